"""Sizes with which the board's kernel computes wrong numbers."""

from __future__ import annotations

from tests.check.cases import Case
from tests.check.converted import fixed, xilinx
from tests.check.nets import messages
from tests.small_nets import conv, data, layer
from xportdnn.arithmetic.board.faults import Kind
from xportdnn.check.rules.geometry import RULES

BY_ID = {rule.id: rule for rule in RULES}


def one(channels: int, num_output: int, more: str, size: tuple[int, int] = (13, 12)) -> str:
    """A network of one Convolution."""
    return data(1, channels, *size) + conv("a", "data", "a", num_output, more)


def second(more: str) -> str:
    """The same Convolution, behind a 1x1 one."""
    return data(1, 3, 13, 12) + conv("first", "data", "first", 4) + conv("a", "first", "a", 5, more)


def pooled(channels: int, size: tuple[int, int], text: str) -> str:
    """A network of one Pooling."""
    return data(1, channels, *size) + layer("p", "Pooling", "data", "p", f"pooling_param {{ {text} }}")


def grouped(block: str) -> str:
    """Two groups of 16 channels, with a block."""
    params = "convolution_param { num_output: 32 kernel_size: 1 group: 2 }"
    return data(1, 32, 5, 4) + layer("a", "Convolution", "data", "a", f"{params}\n{block}")


CASES: dict[str, Case] = {
    "channel-portions": Case(
        one(228, 5, "kernel_size: 3"), one(256, 5, "kernel_size: 3"), says="228 input channels with a 3x3 kernel"
    ),
    "group-channels": Case(
        one(24, 32, "kernel_size: 1 group: 2"),
        one(32, 96, "kernel_size: 1 group: 2"),
        says="2 groups of 12 input and 16 output channels",
        line=12,
    ),
    "group-count": Case(one(6, 9, "kernel_size: 1 group: 3"), one(6, 6, "kernel_size: 3 group: 6"), says="group is 3"),
    "group-dynamic-fixed": Case(
        grouped(fixed(3, 3, 5)), grouped(xilinx(1, 1, [0.5] * 32)), says="2 groups in DynamicFixed mode"
    ),
    "large-kernel-late": Case(second("kernel_size: 11"), second("kernel_size: 7"), says="11x11 kernel outside"),
    "narrow-first-layer": Case(
        one(3, 5, "kernel_size: 7 stride: 2", (37, 35)),
        one(3, 5, "kernel_size: 7 stride: 2", (35, 37)),
        says="only 15 columns",
    ),
    "pooling-window": Case(
        pooled(32, (13, 12), "kernel_size: 12"), pooled(32, (13, 12), "kernel_size: 11"), says="12 cells a side"
    ),
    "pooling-overhang": Case(
        pooled(32, (7, 8), "kernel_size: 2 stride: 4"),
        pooled(32, (7, 9), "kernel_size: 2 stride: 4"),
        says="hangs over the padded image by 2 columns",
    ),
    "average-channels": Case(
        pooled(48, (6, 5), "pool: AVE kernel_size: 2"),
        pooled(49, (6, 5), "pool: AVE kernel_size: 2"),
        says="48 channels, 16 more than a multiple of 32",
    ),
    "average-cell": Case(
        pooled(32, (6, 5), "pool: AVE kernel_size: 1 stride: 2"),
        pooled(32, (6, 5), "pool: MAX kernel_size: 1 stride: 2"),
        says="an average over single cells",
    ),
}


def test_every_fault_but_those_of_formats_has_a_rule() -> None:
    assert len(RULES) == len(set(Kind) - {Kind.WIDTHS, Kind.NEGATIVE})


def test_a_file_without_blocks_is_not_in_dynamic_fixed_mode() -> None:
    assert messages(BY_ID["group-dynamic-fixed"], grouped("")) == []


def test_global_pooling_takes_the_size_of_its_bottom() -> None:
    text = pooled(32, (14, 9), "pool: AVE global_pooling: true")
    assert messages(BY_ID["pooling-window"], text) == [
        "a window of 14 cells a side, more than 11: the outputs are wrong"
    ]
