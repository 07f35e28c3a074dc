"""A linter for CHaiDNN prototxts: what the board's parser, graph optimiser and integer kernels make of a file.

`rules` holds one module per subject, `subject` the file as the board sees it, `look` applies the ones to the other.
"""

from __future__ import annotations

from xportdnn.check.look import look
from xportdnn.check.rule import Broken, Finding, Rule, Severity
from xportdnn.check.rules import all_rules
from xportdnn.check.subject import BoardLayer, Subject, caffe_type

__all__ = ["BoardLayer", "Broken", "Finding", "Rule", "Severity", "Subject", "all_rules", "caffe_type", "look"]
