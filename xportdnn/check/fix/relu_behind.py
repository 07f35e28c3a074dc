"""ReLU behind MAX pooling or Concat, moved in front of it, where the board makes it the last step of another layer.

Rectifying and choosing the largest can change places, because one keeps the order of numbers that the other goes by;
Concat and what else only moves numbers does not look at them at all. The pad of MAX pooling takes no part in it: Caffe
looks at the pixels of a window alone (pooling_layer.cpp, Forward_cpu).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from xportdnn.check import rewiring
from xportdnn.check.caffe_view import in_place, is_any
from xportdnn.check.fix import Change, Fix
from xportdnn.check.reading import fusion
from xportdnn.check.rules.fusion import dropped, rectified
from xportdnn.check.signs import nonnegative
from xportdnn.check.subject import Subject
from xportdnn.check.wording import listed
from xportdnn.layers.pooling import window_counts, windows_of
from xportdnn.lines import Edit, Source
from xportdnn.literals import quoted
from xportdnn.network import Layer, Net, Value
from xportdnn.prototxt import Field, Scalar

_COMPUTING = ("Convolution", "Eltwise", "InnerProduct")
_MOVING = ("Concat", "Dropout", "Flatten", "Permute", "Reshape")


def _changes(subject: Subject) -> Iterator[Change]:
    net = subject.net
    for relu, _ in dropped(subject):
        if net is None or relu.params.negative_slope or relu.index not in subject.board_layers:
            continue
        entry = subject.board_layers[relu.index].entry
        places, taken = _places(subject, net, relu.bottoms[0]), rewiring.removed(subject, entry)
        if places and taken and relu.bottoms[0].blob not in {place.blob for place in places}:
            names = [relu.name] if len(places) == 1 else _names(subject, relu.name, len(places))
            added = (_behind(subject, net, place, entry, name) for place, name in zip(places, names, strict=True))
            where = listed([f'"{net.layers[place.writer].name}"' for place in places])
            message = f'"{relu.name}" (ReLU) now stands behind {where}'
            yield Change(entry.start, message, (*taken, *_joined(subject, relu, entry), *added))


def _places(subject: Subject, net: Net, value: Value) -> tuple[Value, ...] | None:
    """The values to rectify so that this one is; None where not all of them are the board's and its alone."""
    if value in nonnegative(net) and rectified(net, fusion(subject), value):
        return ()
    writer = net.layers[value.writer]
    # another reader would see it rectified, too
    if len(net.readers.get(value, ())) != 1 or writer.index not in subject.board_layers:
        return None
    if _rectifies(net, writer):
        return (value,) if rewiring.alone(subject, subject.board_layers[writer.index].entry) else None
    if len(writer.tops) > 1 or not (is_any(writer, *_MOVING) or _is_max(subject, writer)):
        return None
    found: list[Value] = []
    for bottom in writer.bottoms:
        places = _places(subject, net, bottom)
        if places is None:
            return None
        found += places
    return tuple(found)


def _rectifies(net: Net, layer: Layer) -> bool:
    """Whether the board computes a ReLU behind the layer."""
    normalises = is_any(layer, "Scale") and is_any(net.layers[layer.bottoms[0].writer], "BatchNorm")
    return normalises or is_any(layer, *_COMPUTING)


def _is_max(subject: Subject, layer: Layer) -> bool:
    """Whether it is MAX pooling whose every window has a pixel: what one without any gives is below 0."""
    if not is_any(layer, "Pooling") or layer.params.pool != "MAX" or layer.bottoms[0] not in subject.shapes:
        return False
    size = subject.shapes[layer.bottoms[0]][2:]
    windows = windows_of(layer.params, size)
    counts = window_counts(layer.params, windows, size)
    axes = zip(counts, windows.stride, windows.pad, size, strict=True)
    return all((windows_along - 1) * stride - pad < length for windows_along, stride, pad, length in axes)


def _names(subject: Subject, name: str, wanted: int) -> list[str]:
    """Names like this one that no layer has yet."""
    taken = {rewiring.message(entry).string("name") for entry in subject.entries}
    free = (numbered for number in count(1) if (numbered := f"{name}_{number}") not in taken)
    return [next(free) for _ in range(wanted)]


def _joined(subject: Subject, relu: Layer, entry: Field) -> Iterator[Edit]:
    """Edits with which what the ReLU read is written as what it wrote."""
    if not in_place(relu):
        others = [other for other in subject.entries if other is not entry]
        yield from rewiring.renamed(others, relu.bottoms[0].blob, relu.tops[0].blob)


def _behind(subject: Subject, net: Net, place: Value, entry: Field, name: str) -> Edit:
    """The ReLU again, in place, on the lines behind the layer that writes a value."""
    text, newline = subject.source.text, subject.source.newline
    end = subject.board_layers[net.layers[place.writer].index].entry.end
    rest = text[end:].split("\n", 1)[0].rstrip("\r")
    at = end + len(rest) if not rest.strip() or rest.lstrip().startswith("#") else end
    gap = newline * 2 if text.startswith(newline * 2, at) else newline
    wanted = {"name": name, "bottom": place.blob, "top": place.blob}
    edits = [
        Edit(field.value.start - entry.start, field.value.end - entry.start, quoted(wanted[field.name]))
        for field in rewiring.message(entry).fields
        if field.name in wanted and isinstance(field.value, Scalar) and field.value.text != wanted[field.name]
    ]
    return Edit(at, at, gap + Source(subject.source.name, text[entry.start : entry.end]).edited(edits).text)


FIX = Fix(
    ("relu-dropped",),
    "ReLU behind MAX pooling or Concat moves in front of it, one behind each layer that can compute it",
    _changes,
)
