"""Names and the order of the layers: which blob is there when a layer asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.graph import input_layer, input_names, outputs
from xportdnn.check.params import IN_PLACE, board_type, is_custom, start, texts, why_left_out
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.check.wording import counted
from xportdnn.similar import similar

_BOTTOMS = {"Crop": 2, "DetectionOutput": 3, "Eltwise": 2, "PriorBox": 2}
_TOO_MANY = {
    "Eltwise": "add them two at a time",
    "Scale": "the board multiplies by the layer's own weights only",
}


def _duplicates(subject: Subject) -> Iterator[Broken]:
    first: dict[str, BoardLayer] = {}
    for layer in subject.layers:
        if layer.name in first:
            line = subject.source.line(first[layer.name].entry.start)
            named = f"the name {layer.name} is taken" if layer.name else "a layer without a name is there already"
            yield Broken(f"{named}, see line {line}", layer, start(layer.message, "name"))
        first.setdefault(layer.name, layer)


def _bottoms(subject: Subject) -> Iterator[Broken]:
    known = set(input_names(subject))
    if not known:  # one-input says that the data layers are no input
        known = {top for layer in subject.skipped if not layer.bottoms for top in layer.tops}
    for layer in subject.layers:
        for blob, at in texts(layer, "bottom"):
            if blob not in known:
                yield Broken(_missing(subject, layer, blob, known), layer, at)
        known |= set(layer.tops)


def _missing(subject: Subject, layer: BoardLayer, blob: str, known: set[str]) -> str:
    """What became of a bottom that no layer before made."""
    for maker in (*subject.layers[layer.index + 1 :], *subject.skipped):
        if blob in maker.tops:
            made = f"bottom {blob} is made by layer {maker.name} of line {subject.source.line(maker.entry.start)}"
            return f"{made}, which {'the board skips as TRAIN only' if maker.index < 0 else 'has to stand before'}"
    if input_layer(subject) is not None and blob in subject.document.root.strings("input"):
        return f"bottom {blob} is an input of the header, which the board does not look at beside an Input layer"
    near = similar(blob, sorted(known), 1, 0.8)
    return f"bottom {blob} is the top of no layer before" + (f"; {near[0]}?" if near else "")


def _made_twice(subject: Subject) -> Iterator[Broken]:
    at_top = input_layer(subject)
    makers: dict[str, BoardLayer | None] = {} if at_top is not None else dict.fromkeys(input_names(subject)[:1])
    for layer in subject.layers:
        if layer.type == "Input" and layer is not at_top:
            continue  # second-input
        in_place = board_type(layer) in IN_PLACE and layer.bottoms[:1] == layer.tops[:1]
        for top, at in texts(layer, "top"):
            # Layers in place on types that the board does not run have one finding already.
            other = not board_type(layer) and top in layer.bottoms
            if top in makers and not in_place and not other:
                yield Broken(_twice(subject, layer, top, makers[top]), layer, at)
            makers.setdefault(top, layer)


def _twice(subject: Subject, layer: BoardLayer, top: str, maker: BoardLayer | None) -> str:
    if top in layer.bottoms:
        return f"{layer.type} works in place on {top}; only {', '.join(sorted(IN_PLACE))} may"
    if maker is None:
        return f"top {top} is there already, as input of the header"
    line = subject.source.line(maker.entry.start)
    return f"top {top} is there already, made by layer {maker.name} of line {line}"


def _counts(subject: Subject) -> Iterator[Broken]:
    for layer in subject.layers:
        kind = board_type(layer)
        if kind in ("", "Input"):
            continue
        count, wanted = len(layer.bottoms), _BOTTOMS.get(kind, 1)
        if kind == "Concat" and not count:
            yield Broken("Concat has no bottom", layer)
        elif kind != "Concat" and count != wanted:
            hint = f"; {_TOO_MANY[kind]}" if kind in _TOO_MANY and count > wanted else ""
            yield Broken(f"{layer.type} has {counted(count, 'bottom')}, the board takes {wanted}{hint}", layer)
        if len(layer.tops) != 1:
            yield Broken(f"{layer.type} has {counted(len(layer.tops), 'top')}, the board makes 1", layer)


def _several_outputs(subject: Subject) -> Iterator[Broken]:
    found = list(outputs(subject))
    if len(found) > 1:
        blobs = ", ".join(blob for blob, _ in found)
        yield Broken(f"{len(found)} blobs are read by no layer: {blobs}; the board has one output", found[0][1])


def _phases(subject: Subject) -> Iterator[Broken]:
    for layer in subject.layers:
        reason = why_left_out(layer)
        # For types that the board does not know, unregistered-type says it.
        if reason and (board_type(layer) or is_custom(layer)) and layer is not input_layer(subject):
            yield Broken(f"Caffe leaves this layer out ({reason}), the board runs it", layer, _rules(layer))
    for layer in subject.skipped:
        if not why_left_out(layer):
            yield Broken("Caffe runs this layer in TEST too, the board skips it", layer, _rules(layer))


def _rules(layer: BoardLayer) -> int:
    return start(layer.message, "include", "exclude")


_PARSER = "caffe_network_parser.cpp, "
RULES = (
    Rule(
        "duplicate-name",
        Severity.STOPS,
        "Every layer has a name of its own",
        "The board finds layers, and their weights, by name.",
        "Rename one of the layers, in the caffemodel too.",
        _PARSER + "ParseCaffeNetwork, EP010",
        _duplicates,
    ),
    Rule(
        "unknown-bottom",
        Severity.STOPS,
        "Every bottom is the top of a layer before",
        "The board reads the layers in the order of the file and wants every bottom to be there already.",
        "Move the layer that makes the blob before this one, or correct the name.",
        "xgraph.cpp, checkIfBlobExists, EX002",
        _bottoms,
    ),
    Rule(
        "top-made-twice",
        Severity.STOPS,
        "Every top is new, or the bottom of a layer that may work in place",
        f"Only {', '.join(sorted(IN_PLACE))} may write over their bottom; for all others the blob is there already.",
        "Give the top a name of its own, and the layers behind it that bottom.",
        "xgraph.cpp, checkIfBlobExists, EX003",
        _made_twice,
    ),
    Rule(
        "blob-count",
        Severity.STOPS,
        "Every layer has as many bottoms and tops as the board knows for its type",
        "One bottom and one top; two bottoms for Eltwise, Crop and PriorBox, three for DetectionOutput, any number for "
        "Concat.",
        "Write the network with layers of that many blobs.",
        _PARSER + "checkNumberOfTopAndBottom, EP021, EP022, EP023",
        _counts,
    ),
    Rule(
        "several-outputs",
        Severity.WRONG,
        "The network has one output",
        "The application gets the output of the last job only; where a part of the network is run, several outputs "
        "stop the parser.",
        "Cut the network to one output, join the outputs by Concat where their shapes allow it, or make a network for "
        "each.",
        "xi_interface.cpp, xiInit (read, not run); xgraph.cpp, prune, EP307",
        _several_outputs,
    ),
    Rule(
        "phase-rules",
        Severity.WRONG,
        "The board runs the layers that Caffe runs in TEST",
        "The board looks for include { phase: TRAIN } only: it skips such a layer, whatever else that includes; "
        "exclude, stages and levels mean nothing.",
        "Write the deploy network without include and exclude.",
        _PARSER + "ParseCaffeNetwork (read, not run)",
        _phases,
    ),
)
