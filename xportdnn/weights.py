"""Which blobs of a caffemodel belong to which layer, checked before any work (caffe net.cpp, CopyTrainedLayersFrom)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from xportdnn.caffemodel import Blob, Caffemodel
from xportdnn.errors import WeightsError
from xportdnn.layers import Shape, Shapes
from xportdnn.network import Layer, Net, Value
from xportdnn.similar import similar

Weights: TypeAlias = Mapping[int, tuple[Blob, ...]]
"""Layer index -> blobs in the layer's own shapes."""


def assign(net: Net, shapes: Mapping[Value, Shape], model: Caffemodel) -> Weights:
    """The blobs of every layer whose shapes are known.

    Parameters shared by name (`param { name: "w" }`) use one blob; of several in the file, the last one counts, as in
    Caffe. Layers whose bottoms have no known shape are not looked up.

    Raises:
        WeightsError: every missing layer, wrong blob count and wrong shape, with the probable cause.
    """
    wanted = dict(_wanted(net, shapes))
    owners = _owners(net, wanted)
    stored = _stored(net, owners, wanted, model)
    problems: list[tuple[Layer, str]] = []
    found: dict[int, tuple[Blob, ...]] = {}
    for layer in net.layers:
        expected = wanted.get(layer.index, ())
        blobs = [_taken(stored, owners[layer.index, i], wanted, shape) for i, shape in enumerate(expected)]
        own = model.names.get(layer.name)
        if own is not None and layer.index in wanted and len(own.blobs) != len(expected):
            problems.append((layer, _count(len(own.blobs), len(expected), layer)))
        elif expected and any(blob is None for blob in blobs):
            problems.append((layer, _missing(layer, own is not None, model)))
        else:
            fitted = [_fit(blob, shape) for blob, shape in zip(blobs, expected, strict=True) if blob is not None]
            for i, (blob, shape) in enumerate(zip(blobs, expected, strict=True)):
                if blob is not None and fitted[i] is None:
                    problems.append((layer, _misfit(i, blob, shape)))
            found[layer.index] = tuple(blob for blob in fitted if blob is not None)
    if problems:
        headline = _headline(net, model, len({layer.index for layer, _ in problems}))
        lines = [f"{net.at(layer)}: {problem}" for layer, problem in problems]
        raise WeightsError(headline, [*lines, *_cause(net, model)])
    return found


def _wanted(net: Net, shapes: Mapping[Value, Shape]) -> Iterator[tuple[int, Shapes]]:
    for layer in net.layers:
        if layer.kind is not None and not layer.is_input and all(value in shapes for value in layer.bottoms):
            yield layer.index, layer.kind.blobs(layer.params, tuple(shapes[value] for value in layer.bottoms))


def _owners(net: Net, wanted: Mapping[int, Shapes]) -> dict[tuple[int, int], tuple[int, int]]:
    """(layer, blob) -> the (layer, blob) whose storage it uses: its own, or the first with the same param name."""
    named: dict[str, tuple[int, int]] = {}
    owners: dict[tuple[int, int], tuple[int, int]] = {}
    for layer in net.layers:
        names = [block.string("name") for block in layer.message.messages("param")]
        for i in range(max(len(wanted.get(layer.index, ())), len(names))):
            name = names[i] if i < len(names) else ""
            owners[layer.index, i] = named.setdefault(name, (layer.index, i)) if name else (layer.index, i)
            _same_shape(net, layer, i, owners[layer.index, i], wanted)
    return owners


def _same_shape(net: Net, layer: Layer, i: int, owner: tuple[int, int], wanted: Mapping[int, Shapes]) -> None:
    if owner == (layer.index, i) or layer.index not in wanted or owner[0] not in wanted:
        return
    mine, theirs = wanted[layer.index][i : i + 1], wanted[owner[0]][owner[1] : owner[1] + 1]
    block = layer.message.messages("param")[i]
    permissive = block.string("share_mode") in ("PERMISSIVE", "1")
    if mine and theirs and (math.prod(mine[0]) != math.prod(theirs[0]) if permissive else mine != theirs):
        raise WeightsError(
            f"{net.where(layer)}: shares the parameter '{block.string('name')}' of layer "
            f'"{net.layers[owner[0]].name}", which has the shape {list(theirs[0])}; this layer needs {list(mine[0])}'
        )


def _stored(
    net: Net,
    owners: Mapping[tuple[int, int], tuple[int, int]],
    wanted: Mapping[int, Shapes],
    model: Caffemodel,
) -> dict[tuple[int, int], Blob]:
    """The blob of every owner, in the owner's shape."""
    by_name: dict[str, list[Layer]] = {}
    for layer in net.layers:
        by_name.setdefault(layer.name, []).append(layer)
    stored: dict[tuple[int, int], Blob] = {}
    for entry in model.layers:
        for layer in by_name.get(entry.name, ()):
            for i, blob in enumerate(entry.blobs):
                owner = owners.get((layer.index, i), (layer.index, i))
                stored[owner] = _moved(blob, _shape(wanted, (layer.index, i)), _shape(wanted, owner))
    return stored


def _taken(
    stored: Mapping[tuple[int, int], Blob], owner: tuple[int, int], wanted: Mapping[int, Shapes], shape: Shape
) -> Blob | None:
    blob = stored.get(owner)
    return None if blob is None else _moved(blob, _shape(wanted, owner), shape)


def _shape(wanted: Mapping[int, Shapes], place: tuple[int, int]) -> Shape | None:
    return next(iter(wanted.get(place[0], ())[place[1] : place[1] + 1]), None)


def _moved(blob: Blob, source: Shape | None, target: Shape | None) -> Blob:
    """A blob between two layers that share it; PERMISSIVE sharing lets them have different shapes."""
    if source is None or target is None or source == target:
        return blob
    fitted = _fit(blob, source)
    return blob if fitted is None else replace(fitted, shape=target)


def _fit(blob: Blob, shape: Shape) -> Blob | None:
    """The blob in the layer's shape, or None; legacy blobs are compared without their leading ones."""
    if blob.shape == shape:
        return blob
    padded = (1,) * (4 - len(shape)) + shape if len(shape) <= 4 else shape
    return replace(blob, shape=shape, legacy=False) if blob.legacy and blob.shape == padded else None


_BIASED = {"Convolution", "Deconvolution", "InnerProduct", "Scale"}


def _count(has: int, needs: int, layer: Layer) -> str:
    text = f"the caffemodel has {has} blob(s) for it, {layer.type} here needs {needs}"
    if layer.kind is None or layer.kind.name not in _BIASED:
        return text
    if has > 2 >= needs:
        return f"{text}; extra blobs (masks, codebooks) come from a pruning or quantizing fork: export plain weights"
    if has == needs + 1 and needs:
        return f"{text}; the weights have a bias, the prototxt says bias_term: false"
    if has == needs - 1:
        return (
            f"{text}; the prototxt wants a bias, the weights have none: set bias_term: false, or use the matching file"
        )
    return text


def _missing(layer: Layer, partly: bool, model: Caffemodel) -> str:
    if not model.path:
        return "needs its blobs"
    if partly:
        return "some of its blobs are not in the caffemodel"
    near = similar(layer.name, model.names, 3, 0.7)
    hint = f"; the nearest names there are {', '.join(repr(name) for name in near)}" if near else ""
    return f"is not in the caffemodel{hint}"


def _misfit(index: int, blob: Blob, shape: Shape) -> str:
    text = f"blob {index} has the shape {list(blob.shape)}, it must be {list(shape)}"
    if len(shape) == 4 and len(blob.shape) == 4 and blob.shape[1] * 2 <= shape[1] and shape[1] % blob.shape[1] == 0:
        return f"{text}; a group of {shape[1] // blob.shape[1]} seems to be missing in the prototxt"
    if len(shape) == 2 and len(blob.shape) == 2 and blob.shape[0] == shape[0]:
        return f"{text}; was the network trained with another input size (see --dims)?"
    return text


def _headline(net: Net, model: Caffemodel, count: int) -> str:
    if not model.path:
        return f"{net.source.name}: these layers have weights; give the caffemodel with --weights:"
    if not model.names:
        return f"{model.path}: this caffemodel holds no weights at all; {net.source.name} needs them:"
    noun = "layer does" if count == 1 else "layers do"
    return f"{model.path}: {count} {noun} not match {net.source.name}:"


_BATCH_NORM = {"BatchNorm", "BN"}


def _cause(net: Net, model: Caffemodel) -> list[str]:
    """The accident that probably explains the mismatches."""
    if not model.names:
        return []
    there = Counter(layer.type for layer in model.names.values())
    here = Counter(layer.type for layer in net.layers)
    normalised_there = any(there[name] for name in _BATCH_NORM)
    normalised_here = any(here[name] for name in _BATCH_NORM)
    if normalised_there and not normalised_here:
        return [
            "probable cause: the weights hold BatchNorm blobs, the prototxt was merged; use the unmerged deploy file"
        ]
    if normalised_here and not normalised_there:
        return ["probable cause: BatchNorm was merged into these weights; use the merged (no-BN) deploy prototxt"]
    names = {layer.name for layer in net.layers}
    if not names & set(model.names):
        return ["probable cause: no layer name occurs in both files, they belong to different networks"]
    return []
