"""PriorBox and DetectionOutput: the parser makes the boxes itself and takes SSD's usual settings only."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.params import commas, flag, integer, numbers, of, param, start
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Message


def _prior_box(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "PriorBox"):
        block = param(layer, "prior_box_param")
        for names, problem in _prior_box_problems(block):
            yield Broken(problem, layer, start(block, *names))


def _prior_box_problems(block: Message) -> Iterator[tuple[tuple[str, ...], str]]:
    """(fields, what is wrong with them)"""
    least, most = numbers(block, "min_size"), numbers(block, "max_size")
    if not block.all("min_size"):
        yield (), "there is no min_size"
    pairs = [(low, high) for low, high in zip(least, most, strict=False) if high <= low]
    if pairs:
        yield ("max_size",), f"max_size {pairs[0][1]:g} is not above min_size {pairs[0][0]:g}"
    for name, both in (("step", ("step_h", "step_w")), ("img_size", ("img_h", "img_w"))):
        given = [each for each in (name, *both) if block.all(each)]
        if len(given) > 1 and name in given:
            yield (name, *both), f"{' and '.join(given)} are both given"
        elif len(given) == 1 and given[0] in both:
            yield both, f"{given[0]} stands alone; the board wants {both[0]} and {both[1]}, or {name}"
        for each in given:
            values = numbers(block, each)
            if any(value <= 0 for value in values):
                yield (each,), f"{each} is {commas(values)}, it must be above 0"
    variance = numbers(block, "variance")
    if len(variance) in (1, 4) and any(value <= 0 for value in variance):
        yield ("variance",), f"variance is {commas(variance)}, all must be above 0"


def _detection_output(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "DetectionOutput"):
        block = param(layer, "detection_output_param")
        if not block.all("num_classes"):
            yield Broken("there is no num_classes", layer)
        if not flag(block, "share_location", True):
            yield Broken("share_location is false", layer, start(block, "share_location"))
        background = integer(block, "background_label_id", 0)
        if background != 0:
            message = f"background_label_id is {background} instead of 0"
            yield Broken(message, layer, start(block, "background_label_id"))
        code = block.string("code_type", "CORNER")
        if code not in ("CENTER_SIZE", "2"):
            given = code if block.all("code_type") else "not given, which is CORNER,"
            yield Broken(f"code_type is {given} instead of CENTER_SIZE", layer, start(block, "code_type"))
        if flag(block, "variance_encoded_in_target", False):
            yield Broken("variance_encoded_in_target is true", layer, start(block, "variance_encoded_in_target"))


RULES = (
    Rule(
        "prior-box-values",
        Severity.STOPS,
        "PriorBox has sizes and steps above 0, each written in one way",
        "The parser makes the boxes itself. It wants a min_size, each max_size above its min_size, step or step_h and "
        "step_w, img_size or img_h and img_w, and variances above 0.",
        "Correct the field that the message names.",
        "caffe_network_parser.cpp, ExtractPriorBoxParameters, EP043, EP045, EP046, EP100, EP103 to EP110 (read, not "
        "run)",
        _prior_box,
    ),
    Rule(
        "detection-output-values",
        Severity.STOPS,
        "DetectionOutput decodes CENTER_SIZE boxes that all classes share",
        "The parser takes share_location: true, background_label_id: 0, code_type: CENTER_SIZE and "
        "variance_encoded_in_target: false only, and wants num_classes.",
        "Run any other DetectionOutput behind the board.",
        "caffe_network_parser.cpp, ExtractNMSParameters, EP049 to EP053 (read, not run)",
        _detection_output,
    ),
)
