"""The top of the file: layers that the board knows how to read, and its one input of batch 1."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.graph import input_layer, input_names, input_shapes, solver_fields
from xportdnn.check.params import commas
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.check.wording import counted

_SOURCE = "caffe_network_parser.cpp, ParseCaffeNetwork, "


def _no_layers(subject: Subject) -> Iterator[Broken]:
    if not subject.entries and not subject.document.root.all("layers") and not solver_fields(subject):
        yield Broken("there is no layer { } in the file")


def _old_layers(subject: Subject) -> Iterator[Broken]:
    old = [entry for entry in subject.document.root.fields if entry.name == "layers"]
    if old and subject.entries:
        line = subject.source.line(subject.entries[0].start)
        yield Broken(
            f"{len(old)} layers {{ }} of the old format are not looked at beside the layer {{ }} of line {line}",
            start=old[0].start,
        )
    elif old:
        yield Broken(
            f"the network is written as {len(old)} layers {{ }} of the old format; the board reads layer {{ }} only",
            start=old[0].start,
        )


def _one_input(subject: Subject) -> Iterator[Broken]:
    if not subject.entries:
        return
    names, at_top = input_names(subject), input_layer(subject)
    if at_top is not None and len(names) != 1:
        yield Broken(f"the Input layer has {counted(len(names), 'top')}, the board takes 1", at_top)
    elif len(names) > 1:
        headers = [entry for entry in subject.document.root.fields if entry.name == "input"]
        yield Broken(
            f"the header has {len(names)} inputs ({', '.join(names)}), the board takes 1", start=headers[1].start
        )
    elif not names:
        first = _first(subject)
        later = next((layer for layer in subject.layers if layer.type == "Input"), None)
        found = f"the first layer is {first.name} ({first.type or 'without a type'})"
        if later is not None:
            found += f", Input layer {later.name} stands in line {subject.source.line(later.entry.start)}"
        yield Broken(f"{found}; the board wants an Input layer at the top", first)


def _first(subject: Subject) -> BoardLayer:
    layers = (*subject.layers, *subject.skipped)
    return min(layers, key=lambda layer: layer.entry.start)


def _second_input(subject: Subject) -> Iterator[Broken]:
    at_top = input_layer(subject)
    inputs = [layer for layer in subject.layers if layer.type == "Input" and layer is not at_top]
    # Where it is the only one, one-input says that it has to be the first layer.
    only_late = at_top is None and not input_names(subject)
    for layer in inputs[1:] if only_late else inputs:
        yield Broken(f"the Input layer {layer.name} makes a second input ({', '.join(layer.tops)})", layer)


def _shape(subject: Subject) -> Iterator[Broken]:
    shapes = input_shapes(subject)
    if not subject.entries or len(input_names(subject)) != 1:
        return
    if not shapes:
        yield Broken(f"the input {input_names(subject)[0]} has no shape", input_layer(subject))
    for block, name, dims in shapes:
        if len(dims) != 4:
            where = next(entry.start for entry in block.fields if entry.name == name)
            yield Broken(
                f"{name} has {len(dims)} dims ({commas(dims)}), the board wants 4: 1, channels, height, width",
                input_layer(subject),
                where,
            )


def _batch(subject: Subject) -> Iterator[Broken]:
    for block, name, dims in input_shapes(subject) if len(input_names(subject)) == 1 else ():
        if len(dims) == 4 and dims[0] != 1:
            where = next(entry.start for entry in block.fields if entry.name == name)
            yield Broken(
                f"the input is {'x'.join(map(str, dims))}: batch {dims[0]} instead of 1", input_layer(subject), where
            )


def _two_shapes(subject: Subject) -> Iterator[Broken]:
    root = subject.document.root
    if input_layer(subject) is None and root.all("input_dim") and root.all("input_shape"):
        second = next(entry for entry in root.fields if entry.name == "input_shape")
        yield Broken("the header gives both input_dim and input_shape", start=second.start)


RULES = (
    Rule(
        "no-layers",
        Severity.STOPS,
        "The file holds a network",
        "The parser wants at least one layer { }.",
        "Give the deploy prototxt of the network.",
        _SOURCE + "EP106",
        _no_layers,
    ),
    Rule(
        "v1-layers",
        Severity.STOPS,
        "Layers are written as layer { }, not as layers { }",
        "The parser looks at layer { } only. A file of the old format has none for it; in a mixed file it runs without "
        "the others.",
        "Convert the file: xportdnn upgrades the prototxt by itself; the caffemodel needs layer { } too.",
        _SOURCE + "EP106",
        _old_layers,
    ),
    Rule(
        "one-input",
        Severity.STOPS,
        "The network has one input, at the top of the file",
        "The first layer is an Input layer with one top, or there is one input: in the header. Data layers are none: "
        "the board is fed by the application.",
        "Replace data layers by one Input layer of batch 1 at the top; leave labels out.",
        _SOURCE + "EP003, EP006",
        _one_input,
    ),
    Rule(
        "second-input",
        Severity.STOPS,
        "No Input layer behind the first layer",
        "An Input layer is read at the top of the file only; anywhere else its type counts as not supported.",
        "Cut the network so that it has one input, or make the second one by the application.",
        "caffe_network_parser.cpp, ExtractParameters, EP011 (printed on stdout, unlike all others)",
        _second_input,
    ),
    Rule(
        "input-shape",
        Severity.STOPS,
        "The input has four dims",
        "The parser wants 1 x channels x height x width, and aborts without any shape.",
        "Write all four dims in the Input layer, or in the header.",
        _SOURCE + "EP004, EP007, EP027; the missing shape read, not run",
        _shape,
    ),
    Rule(
        "batch",
        Severity.STOPS,
        "The batch of the input is 1",
        "The parser stops at any other batch; the application chooses by itself how many pictures run at a time.",
        "Write 1 as first dim.",
        _SOURCE + "EP004, EP008, EP027",
        _batch,
    ),
    Rule(
        "two-input-shapes",
        Severity.STOPS,
        "The header gives the shape once",
        "input_dim and input_shape together stop the parser.",
        "Keep one of them, or write an Input layer.",
        _SOURCE + "EP026",
        _two_shapes,
    ),
)
