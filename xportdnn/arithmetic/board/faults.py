"""Layers that the kernel computes wrong: found while its code was run, with results that follow no rule.

For these layers the functions beside this module compute what the kernel is meant to compute, so that a simulation is
still of use; whoever simulates one should say what this module says of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple

from xportdnn.arithmetic.board.accumulator import portions
from xportdnn.choices import Mode, Triple

if TYPE_CHECKING:
    from xportdnn.kernels import Windows
    from xportdnn.layers import Shape


class Kind(Enum):
    """What is wrong, whatever the numbers."""

    PORTIONS = "input channels that are divided unevenly"
    GROUP_CHANNELS = "2 groups of an odd number of channels"
    GROUPS = "more than 2 groups"
    FIXED_GROUPS = "2 groups in DynamicFixed mode"
    ELEVEN = "an 11x11 kernel behind the first layer"
    NARROW = "a narrow first layer with a large kernel and a stride"
    WIDTHS = "different widths of input and output"
    NEGATIVE = "a negative number of fractional bits of the weights"
    WINDOW = "a large pooling window"
    OVERHANG = "a pooling window that hangs over"
    MULTIPLIERS = "an average of a number of channels for which multipliers are missing"
    CELL = "an average over single cells"


class Fault(NamedTuple):
    """One thing that the kernel gets wrong about a layer, as a kind and as a sentence with its numbers."""

    kind: Kind
    sentence: str


def convolution(
    mode: Mode, weight: Shape, group: int, windows: Windows, counts: Shape, bits: Triple, fl_params: int, first: bool
) -> Iterator[Fault]:
    """What is wrong about a convolution.

    Args:
        weight: (num_output, channels / group, *kernel).
        fl_params: 0 in Xilinx mode.
        first: whether it is the network's first convolution.
    """
    num_output, per_group, *kernel = weight
    planes, count = portions(per_group * group, windows.kernel, group)
    if count > 1 and planes % (4 * count):
        yield Fault(
            Kind.PORTIONS,
            f"{per_group} input channels with a {'x'.join(map(str, kernel))} kernel: the board divides them into "
            f"{count} portions that are no multiple of 4 channels; the outputs are wrong",
        )
    if group == 2 and (per_group % 16 or num_output // 2 % 16):
        yield Fault(
            Kind.GROUP_CHANNELS,
            f"2 groups of {per_group} input and {num_output // 2} output channels: unless both are multiples of 16 the "
            "second group reads or writes the wrong channels",
        )
    elif group > 2:
        yield Fault(
            Kind.GROUPS, f"{group} groups: the board knows 1 and 2 groups and depthwise layers, which have not been run"
        )
    if group == 2 and mode is Mode.DYNAMIC_FIXED:
        yield Fault(
            Kind.FIXED_GROUPS, "2 groups in DynamicFixed mode: the second group may read from an invalid address"
        )
    if max(kernel) == 11 and not first:
        yield Fault(Kind.ELEVEN, "an 11x11 kernel outside the first layer: some outputs are wrong")
    if first and max(kernel) in (7, 11) and max(windows.stride) >= 2 and counts[-1] < 16:
        yield Fault(
            Kind.NARROW,
            f"a {max(kernel)}x{max(kernel)} kernel with stride, and only {counts[-1]} columns: some outputs are wrong",
        )
    if bits.layer_in != bits.layer_out:
        yield Fault(
            Kind.WIDTHS,
            f"bw_layer_in is {bits.layer_in} and bw_layer_out {bits.layer_out}: the output has the range of the first",
        )
    if mode is Mode.DYNAMIC_FIXED and fl_params < 0:
        yield Fault(Kind.NEGATIVE, f"fl_params {fl_params} is negative: all weights become 0")


def pooling(
    pool: Literal["MAX", "AVE"], channels: int, size: Shape, windows: Windows, counts: Shape
) -> Iterator[Fault]:
    """What is wrong about a pooling layer; size: (height, width) of the bottom."""
    if max(windows.kernel) > 11:
        yield Fault(Kind.WINDOW, f"a window of {max(windows.kernel)} cells a side, more than 11: the outputs are wrong")
    overhang = windows.span(counts)[-1] - size[-1] - 2 * windows.pad[-1]
    if overhang >= 2:
        yield Fault(
            Kind.OVERHANG,
            f"the last window hangs over the padded image by {overhang} columns, more than 1: the outputs are wrong",
        )
    if pool == "AVE" and 1 <= channels % 32 <= 16:
        yield Fault(
            Kind.MULTIPLIERS,
            f"the average of {channels} channels, {channels % 32} more than a multiple of 32: from 1 to 16 more, some "
            "of the last ones are multiplied by a number that was never loaded",
        )
    if pool == "AVE" and max(windows.kernel) == 1:
        yield Fault(Kind.CELL, "an average over single cells: its multiplier does not fit into the board's register")
