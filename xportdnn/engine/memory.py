"""Where buffers lie in one piece of memory: those that are never needed at the same time share their place."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from xportdnn.engine.steps import Step
from xportdnn.layers import Shape
from xportdnn.network import Value

# Every buffer starts on a cache line.
LINE = 16


class Span(NamedTuple):
    """A buffer of `size` numbers, needed from step `first` to step `last`, both included."""

    first: int
    last: int
    size: int


def place(spans: Sequence[Span]) -> tuple[list[int], int]:
    """The offset of every span, and the size of the memory: the largest first, each at the lowest place that is free.

    Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288, greedy by size.
    """
    offsets = [0] * len(spans)
    placed: list[int] = []  # by offset
    total = 0
    for index in sorted(range(len(spans)), key=lambda index: -spans[index].size):
        first, last, size = spans[index]
        offset = 0
        for other in placed if size else ():
            span = spans[other]
            if first <= span.last and span.first <= last and offset + size > offsets[other]:
                offset = max(offset, _next_line(offsets[other] + span.size))
        offsets[index] = offset
        insort(placed, index, key=offsets.__getitem__)
        total = max(total, offset + size)
    return offsets, total


def _next_line(offset: int) -> int:
    return -(-offset // LINE) * LINE


def buffers(
    steps: Sequence[Step], shapes: Mapping[Value, Shape], feeds: Iterable[Value]
) -> tuple[dict[Value, int], list[Span]]:
    """Which buffer each value lies in, and when each is needed; the steps' scratches follow in order.

    A step that only gives its bottom other names has no buffer of its own, nor has one that may overwrite its bottom
    and is the last to read it.
    """
    last = {value: index for index, step in enumerate(steps) for value in step.bottoms}
    found: dict[Value, int] = {}
    spans: list[Span] = []

    def add(value: Value, index: int) -> None:
        found[value] = len(spans)
        spans.append(Span(index, last.get(value, index), math.prod(shapes[value])))

    for value in feeds:
        add(value, 0)
    for index, step in enumerate(steps):
        for value in step.tops:
            buffer = found[step.bottoms[0]] if step.is_alias or step.may_overwrite else -1
            if step.is_alias or (step.may_overwrite and spans[buffer].last <= index):
                found[value] = buffer
                spans[buffer] = spans[buffer]._replace(last=max(spans[buffer].last, last.get(value, index)))
            else:
                add(value, index)
    return found, [*spans, *(Span(index, index, step.scratch) for index, step in enumerate(steps))]
