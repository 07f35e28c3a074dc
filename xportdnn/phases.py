"""Which layers take part in the TEST phase (caffe net.cpp, FilterNet and StateMeetsRule)."""

from __future__ import annotations

from xportdnn.decode import as_int
from xportdnn.prototxt import Message


def left_out(layer: Message) -> str:
    """Why Caffe would not run this layer in phase TEST at level 0 without stages; empty if it would."""
    include, exclude = layer.messages("include"), layer.messages("exclude")
    if include and not any(_meets(rule) for rule in include):
        phases = {rule.string("phase") for rule in include}
        return "TRAIN only" if phases <= {"TRAIN", "0"} else "its include rules do not hold in TEST"
    if any(_meets(rule) for rule in exclude):
        return "excluded from TEST"
    return ""


def _meets(rule: Message) -> bool:
    """Whether the state (TEST, level 0, no stage) satisfies a NetStateRule."""
    if rule.string("phase", "TEST") not in ("TEST", "1"):
        return False
    if any(as_int(value, "min_level") > 0 for value in rule.all("min_level")):
        return False
    if any(as_int(value, "max_level") < 0 for value in rule.all("max_level")):
        return False
    return not rule.strings("stage")
