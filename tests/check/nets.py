"""Small prototxts for the rules of the board."""

from __future__ import annotations

from xportdnn.check import Rule, look
from xportdnn.check.opening import subject
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Source

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 6 dim: 9 dim: 7 } } }\n'


def layer(name: str, kind: str, text: str = "", bottom: str = "data", top: str = "") -> str:
    """A line with one layer; by default from the input to a top of its own name."""
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top or name}" {text} }}\n'


def net(*layers: str) -> str:
    """The input and these layers behind it."""
    return INPUT + "".join(layers)


def convolution(text: str = "", name: str = "conv", bottom: str = "data", kind: str = "Convolution") -> str:
    """A 3x3 Convolution of 4 filters."""
    block = f"convolution_param {{ num_output: 4 kernel_size: 3 {text} }}"
    return layer(name, kind, block, bottom)


def read(text: str) -> Subject:
    """The subject of a text."""
    return subject(Source("net.prototxt", text))


def messages(rule: Rule, text: str) -> list[str]:
    """What one rule finds in a text."""
    return [finding.message for finding in look(read(text), [rule])]
