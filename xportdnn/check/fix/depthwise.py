"""Other forks' names of the depthwise convolution, written as the Convolution with groups that the board knows."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.edits import insertion
from xportdnn.prototxt import Edit, Field, Message, Scalar

_NAMES = ("ConvolutionDepthwise", "DepthwiseConvolution")


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        params = [entry for entry in layer.message.fields if entry.name == "convolution_param"]
        types = [value for value in layer.message.all("type") if isinstance(value, Scalar)]
        if layer.type not in _NAMES or len(params) != 1 or not isinstance(params[0].value, Message):
            continue
        num_output = params[0].value.string("num_output")
        named = Edit(types[-1].start, types[-1].end, '"Convolution"')
        grouped = _group(subject, params[0], params[0].value, num_output)
        message = f'"{layer.name}" ({layer.type}) is now a Convolution with group {num_output}'
        if num_output:
            yield Change(types[-1].start, message, (named, *grouped))


def _group(subject: Subject, entry: Field, param: Message, num_output: str) -> tuple[Edit, ...]:
    """The group where it is not the number of outputs: these layers do not look at it."""
    written = [value for value in param.all("group") if isinstance(value, Scalar)]
    if not written:
        return (insertion(subject.source, entry, [f"group: {num_output}"]),)
    last = written[-1]
    return (Edit(last.start, last.end, num_output),) if last.text != num_output else ()


FIX = Fix(
    ("unregistered-type",), "DepthwiseConvolution and ConvolutionDepthwise become Convolution with groups", _changes
)
