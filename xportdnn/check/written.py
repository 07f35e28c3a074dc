"""The rules on a conversion's own text, and what is said of it.

Lines are those of the user's file: the text is the same with blocks in it, and it is there that something can be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from xportdnn import execute
from xportdnn.caffemodel import Caffemodel
from xportdnn.check.look import look
from xportdnn.check.rule import Finding, Severity
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.opening import Opened
from xportdnn.plan import Thresholds
from xportdnn.prototxt import Source, parse

_MESSAGES = 3  # different ones of one rule; where there are more, its title stands for them


def findings(source: Source, opened: Opened, model: Caffemodel | None, mode: Mode) -> tuple[Finding, ...]:
    """What breaks a rule in a text that was made of `opened`.

    In DynamicFixed mode no array is touched: such a conversion does without NumPy, and its formats are the user's.
    """
    weights: Mapping[int, Arrays] = {}
    if model is not None and mode is Mode.XILINX:
        weights = execute.load(runnable(opened.net, opened.inputs), opened.weights)
    subject = Subject(parse(source), opened.net, opened.shapes, weights, opened, model=model)
    return look(subject)


def thresholds_of_one(opened: Opened) -> Thresholds:
    """Thresholds of 1 everywhere: what rules find in a text with them is there whatever calibration finds."""
    values = {value: 1.0 for layer in opened.net.layers for value in layer.tops}
    params: dict[int, tuple[float, ...]] = {}
    for layer in opened.net.layers:
        blobs = opened.weights.get(layer.index, ())
        if blobs:
            params[layer.index] = (1.0,) * getattr(layer.params, "num_output", blobs[0].shape[0])
    return Thresholds(values, params)


def tell(found: Iterable[Finding], journal: Journal, said: Iterable[Finding] = ()) -> None:
    """What was found and what to do about it, one rule after the other.

    A warning, but a detail where nothing is known to break. The remedy stands behind the last sentence of a rule.

    Args:
        said: findings that were told before.
    """
    before = {(finding.rule.id, finding.layer) for finding in said}
    new = [finding for finding in found if (finding.rule.id, finding.layer) not in before]
    for rule in dict.fromkeys(finding.rule for finding in new):
        say = journal.detail if rule.severity is Severity.LIMIT else journal.warn
        *others, last = _sentences([finding for finding in new if finding.rule is rule])
        for sentence in others:
            say(sentence)
        say(f"{last}. {rule.remedy.rstrip('.')}")


def _sentences(group: list[Finding]) -> Iterator[str]:
    """The findings of one rule: what was found and in which layers."""
    rule = group[0].rule
    messages = list(dict.fromkeys(finding.message for finding in group))
    if len(messages) > _MESSAGES:
        yield _sentence(group, f"not so in {len(group)} places: {rule.title}")
        return
    for message in messages:
        yield _sentence([finding for finding in group if finding.message == message], message)


def _sentence(group: list[Finding], what: str) -> str:
    rule = group[0].rule
    places = ", ".join(_place(finding) for finding in group)
    return f"{rule.severity.value}: {what} [{rule.id}]: {places}"


def _place(finding: Finding) -> str:
    if finding.layer:
        return f"{finding.layer} ({finding.type}, line {finding.line})"
    return f"line {finding.line}"
