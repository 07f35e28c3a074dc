"""Layer types: what the board does not know, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.graph import input_layer, input_names
from xportdnn.check.params import REGISTERED, integers, is_custom, param, start, why_left_out
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.check.wording import counted
from xportdnn.prototxt import Scalar
from xportdnn.similar import similar
from xportdnn.sources import is_source

_DEPTHWISE = "write Convolution with group: num_output; the weights stay as they are"
_RECTIFIER = "train again with ReLU, which is all that the board computes, or run it as the user's own layer"
_SCORE = "delete it, a deploy network ends before it"
_AGAIN = "train again without it, or run it as the user's own layer"
_REMEDIES = {
    "Accuracy": _SCORE,
    "BN": "write it as BatchNorm and Scale, then let xportdnn fold put both into the convolution before",
    "Bias": "put it into the bias of the layer before",
    "ConvolutionDepthwise": _DEPTHWISE,
    "Clip": _RECTIFIER,
    "DepthwiseConvolution": _DEPTHWISE,
    "ELU": _RECTIFIER,
    "LRN": f"{_AGAIN}; leaving it out without training costs the accuracy",
    "LRNRistretto": f"{_AGAIN}; leaving it out without training costs the accuracy",
    "NMS": "write DetectionOutput",
    "PReLU": _RECTIFIER,
    "ReLU6": _RECTIFIER,
    "Silence": "delete it, with the layer that makes its bottom if nobody else reads that",
    "Slice": "write one Convolution for each part where a Convolution makes the bottom, or run it as the user's own "
    "layer",
    "SoftmaxWithLoss": "delete it, or write Softmax where the application wants probabilities",
    "Split": "let its readers read its bottom: on the board a blob may have any number of readers; xportdnn fold drops "
    "it",
}
_OWN = "run it behind the board, or as the user's own layer (user_defined_layer: true and a plugin)"


def _unregistered(subject: Subject) -> Iterator[Broken]:
    for layer in subject.layers:
        if layer.type in REGISTERED or is_custom(layer) or not _quoted(layer) or _excused(subject, layer):
            continue
        text = f"the board knows no type {layer.type}" if layer.type else "the layer has no type"
        reason = why_left_out(layer)
        remedy = f"Caffe leaves it out ({reason}), the board does not see that: delete it" if reason else _remedy(layer)
        yield Broken(f"{text}; {remedy}", layer, start(layer.message, "type"))


def _quoted(layer: BoardLayer) -> bool:
    """Whether the type is a string; wrong-value reports what is none."""
    return all(isinstance(value, Scalar) and value.kind == "string" for value in layer.message.all("type"))


def _excused(subject: Subject, layer: BoardLayer) -> bool:
    """Data layers of a file without an input: one-input reports the first of them for all."""
    return is_source(layer.type) and input_layer(subject) is None and not input_names(subject)


def _remedy(layer: BoardLayer) -> str:
    if layer.type in _REMEDIES:
        return _REMEDIES[layer.type]
    if layer.type.endswith("Loss"):
        return _SCORE
    if is_source(layer.type):
        return "delete it, the network has its input already"
    names = {name.lower(): name for name in REGISTERED}
    near = similar(layer.type.lower(), names, 1, 0.88)
    return f"{names[near[0]]}? Otherwise {_OWN}" if near else _OWN


def _custom(subject: Subject) -> Iterator[Broken]:
    for layer in subject.layers:
        if is_custom(layer):
            where = start(layer.message, "user_defined_layer")
            yield from (Broken(problem, layer, where) for problem in _custom_problems(layer))


def _custom_problems(layer: BoardLayer) -> Iterator[str]:
    if layer.type in REGISTERED:
        yield f"{layer.type} is a type of the board's own; the user's layer needs another name for its type"
    if not layer.bottoms or len(layer.tops) != 1:
        counts = f"{counted(len(layer.bottoms), 'bottom')} and {counted(len(layer.tops), 'top')}"
        yield f"the user's layer has {counts}; it needs bottoms and 1 top"
    elif layer.bottoms == layer.tops:
        yield f"the user's layer works in place on {layer.tops[0]}; its top must be another blob"
    dims = integers(param(layer, "xcustom_param"), "top_dim")
    if not dims or 0 in dims:
        yield "the user's layer has no top_dim above 0 in its xcustom_param; the board cannot know the shape of its top"


RULES = (
    Rule(
        "unregistered-type",
        Severity.STOPS,
        "Every layer is of a type that the board knows",
        "The board knows "
        + ", ".join(sorted(set(REGISTERED.values())))
        + ", and these with Ristretto's names: "
        + ", ".join(sorted(name for name in REGISTERED if name.endswith("Ristretto")))
        + ". At any other type the parser stops, also at the scores and losses of a training file that do not say "
        "include { phase: TRAIN }.",
        "Do what the message says, or make the layer the user's own: user_defined_layer: true, an xcustom_param with "
        "top_dim, and its code compiled into CHaiDNN (docs/SOFTWARE_LAYER_PLUGIN.md).",
        "caffe_layer_map.hpp, fillCaffeLayerMap; caffe_network_parser.cpp, ParseCaffeNetwork, EP009",
        _unregistered,
    ),
    Rule(
        "custom-layer",
        Severity.STOPS,
        "The user's own layers say what the board has to know of them",
        "The board runs them by a function that the user compiles into it, found by the type; it wants the shape of "
        "the one top, and a type that is not its own.",
        "Give the type another name, one top that is no bottom, and xcustom_param { top_dim: ... } with all dims.",
        "caffe_network_parser.cpp, ExtractXCustomParameters, EP067, EP070 to EP073, EP075 (read, not run)",
        _custom,
    ),
)
