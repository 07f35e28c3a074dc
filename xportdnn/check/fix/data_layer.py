"""Layers that read data files, made Input layers of the same shape with batch 1."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check import rewiring
from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.prototxt import Edit
from xportdnn.sources import is_source, source_shapes
from xportdnn.upgrade import input_layer


def _changes(subject: Subject) -> Iterator[Change]:
    """Only where the layer's own fields give its shape; labels that somebody reads are one number each."""
    for layer in subject.layers:
        if not is_source(layer.type) or not _only_picture_runs(subject, layer):
            continue
        shapes = source_shapes(layer.type, layer.message)
        if not shapes or len(shapes[0]) < 2:
            continue
        picture, *others = layer.tops
        labels = [top for top in others if rewiring.readers(subject.entries, top)]
        written = [(1, *shapes[0][1:]), *[(1,)] * len(labels)]
        text = input_layer(layer.name, [picture, *labels], written, subject.source.newline)
        edit = Edit(layer.entry.start, layer.entry.end, text)
        if rewiring.alone(subject, layer.entry):
            yield Change(edit.start, f'"{layer.name}" ({layer.type}) is now an Input layer', (edit,))


def _only_picture_runs(subject: Subject, layer: BoardLayer) -> bool:
    """Whether Caffe runs the layer in TEST, and there none but Silence reads its further tops."""
    caffe = subject.caffe_layers.get(layer.index)
    if subject.net is None or caffe is None or not caffe.tops:
        return False
    readers = (reader for top in caffe.tops[1:] for reader in subject.net.readers.get(top, ()))
    return all(reader.type == "Silence" for reader in readers)


FIX = Fix(("one-input",), "Layers that read data files become Input layers", _changes)
