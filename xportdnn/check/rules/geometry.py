"""Sizes with which the board's kernel computes wrong numbers (`xportdnn.arithmetic.board.faults`).

All were found while CHaiDNN's kernel was run in C simulation; its software takes such layers without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from xportdnn.arithmetic.board import faults
from xportdnn.arithmetic.board.faults import Fault, Kind
from xportdnn.check.params import param, start
from xportdnn.check.reading import readings
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.shaped import Shaped, shaped
from xportdnn.check.subject import Subject
from xportdnn.choices import Mode, Triple
from xportdnn.layers import pooling
from xportdnn.layers.convolution import windows_of

# Widths and fractional lengths have rules of their own.
_WIDTHS, _FRACTION = Triple(8, 8, 8), 0
_FIELDS = ("kernel_size", "kernel_h", "group")


@lru_cache(maxsize=1)
def _all(subject: Subject) -> tuple[tuple[Shaped, Fault], ...]:
    return tuple(_found(subject))


def _found(subject: Subject) -> Iterator[tuple[Shaped, Fault]]:
    modes = {reading.layer.index: reading.mode for reading in readings(subject) if reading.has_block}
    first = next((layer.layer.index for layer in shaped(subject, "Convolution")), -1)
    for found in shaped(subject, "Convolution", "Pooling"):
        if len(found.bottoms[0]) != 4:
            continue
        if found.layer.kind is not None and found.layer.kind.name == "Pooling":
            yield from ((found, fault) for fault in _of_pooling(found))
        else:
            mode = modes.get(found.board.index) or Mode.XILINX
            yield from ((found, fault) for fault in _of_convolution(found, mode, found.layer.index == first))


def _of_convolution(found: Shaped, mode: Mode, first: bool) -> Iterator[Fault]:
    params, bottom, counts = found.layer.params, found.bottoms[0], found.tops[0][2:]
    group, channels = params.group, bottom[1]
    windows = windows_of(params, bottom)
    weight = (params.num_output, channels // group, *windows.kernel)
    depthwise = group == params.num_output == channels
    for fault in faults.convolution(mode, weight, group, windows, counts, _WIDTHS, _FRACTION, first):
        if not (depthwise and fault.kind is Kind.GROUPS):
            yield fault


def _of_pooling(found: Shaped) -> Iterator[Fault]:
    params, (_, channels, *plane) = found.layer.params, found.bottoms[0]
    size = tuple(plane)
    windows = pooling.windows_of(params, size)
    return faults.pooling("AVE" if params.pool == "AVE" else "MAX", channels, size, windows, found.tops[0][2:])


def _of(kind: Kind) -> Callable[[Subject], Iterator[Broken]]:
    def find(subject: Subject) -> Iterator[Broken]:
        for found, fault in _all(subject):
            if fault.kind is kind:
                block = "convolution_param" if found.board.message.all("convolution_param") else "pooling_param"
                said = f"group is {found.layer.params.group}" if kind is Kind.GROUPS else fault.sentence
                yield Broken(said, found.board, start(param(found.board, block), *_FIELDS))

    return find


_SIMULATED = "CHaiDNN design/conv, run in C simulation"

RULES = (
    Rule(
        "channel-portions",
        Severity.WRONG,
        "Input channels can be divided into portions of a multiple of 4",
        "The kernel adds up at most 2044 products at a time and halves the input channels until that suffices. Where a "
        "portion is no multiple of 4 channels (3x3 with 228 or 260 of them) it reads the wrong ones; the software "
        "only prints that the number of input planes should be a multiple of 4.",
        "Give the layer before it more filters, of zeros if need be: a multiple of 4 times the number of portions.",
        f"{_SIMULATED}; xi_init.cpp, convInit",
        _of(Kind.PORTIONS),
        "shapes",
    ),
    Rule(
        "group-channels",
        Severity.WRONG,
        "With group 2, both groups have a multiple of 16 channels, in and out",
        "The second group starts at the next multiple of 16 and reads or writes the wrong channels.",
        "Write the layer as one of group 1 with zero weights between the groups.",
        _SIMULATED,
        _of(Kind.GROUP_CHANNELS),
        "shapes",
    ),
    Rule(
        "group-count",
        Severity.WRONG,
        "A convolution has 1 group, 2 groups, or as many as channels",
        "The optimiser has no job for other groups and leaves the layer as it is; the hardware knows 1 and 2 groups. "
        "The check that should say so does not work.",
        "Write the layer as one of group 1 with zero weights between the groups.",
        "CHaiDNN xtract_opt.cpp, EO001; docs/SUPPORTED_LAYERS.md",
        _of(Kind.GROUPS),
        "shapes",
    ),
    Rule(
        "group-dynamic-fixed",
        Severity.LIMIT,
        "Group 2 is for Xilinx mode",
        "In DynamicFixed mode the software leaves an address of the second group as it finds it. The numbers were "
        "right where this was run; the address may be invalid.",
        "Convert the network in Xilinx mode, or write the layer as one of group 1, with zero weights between the "
        "groups.",
        f"{_SIMULATED}; xi_init.cpp, convInit",
        _of(Kind.FIXED_GROUPS),
        "shapes",
    ),
    Rule(
        "large-kernel-late",
        Severity.WRONG,
        "11x11 kernels are in the first layer",
        "Only the first layer's way through the hardware is right for them.",
        "Use smaller kernels, such as several of 3x3 in a row, and train again.",
        _SIMULATED,
        _of(Kind.ELEVEN),
        "shapes",
    ),
    Rule(
        "narrow-first-layer",
        Severity.WRONG,
        "A first layer with a 7x7 or 11x11 kernel and a stride makes at least 16 columns",
        "The first layer's way through the hardware is not right for less.",
        "Feed larger pictures, or use stride 1 and pool behind it.",
        _SIMULATED,
        _of(Kind.NARROW),
        "shapes",
    ),
    Rule(
        "pooling-window",
        Severity.WRONG,
        "Pooling windows have no more than 11x11 cells",
        "The kernel counts a window's cells in 8 bits with a sign, up to 127.",
        "Pool in two layers (14x14 is 7x7 and then 2x2), or leave the layer to the host at the end of the network.",
        _SIMULATED,
        _of(Kind.WINDOW),
        "shapes",
    ),
    Rule(
        "pooling-overhang",
        Severity.WRONG,
        "The last window of a Pooling hangs over the padded picture by one column at most",
        "The kernel has no more columns beyond the border.",
        "Choose kernel, stride and pad so that the windows fill the picture: (size + 2 pad - kernel) must be a "
        "multiple of stride.",
        _SIMULATED,
        _of(Kind.OVERHANG),
        "shapes",
    ),
    Rule(
        "average-channels",
        Severity.WRONG,
        "AVE pooling has a number of channels that is a multiple of 32, or 17 to 31 more",
        "The software loads the multipliers of 32 channels at a time; of 1 to 16 channels left over, the third and "
        "fourth of every four get a number that was never loaded.",
        "Give the layer before it more filters, of zeros if need be, up to the next multiple of 32; or average on the "
        "host.",
        f"{_SIMULATED}; xi_dnn_conv_utils.hpp, loadsf_avg_pool",
        _of(Kind.MULTIPLIERS),
        "shapes",
    ),
    Rule(
        "average-cell",
        Severity.WRONG,
        "AVE pooling has windows of more than one cell",
        "The multiplier of a single cell, 65536 or 256, does not fit into the 16 or 8 bits that the kernel has for it.",
        "Remove the layer: it changes nothing, or with a stride only leaves cells out, which MAX pooling does, too.",
        f"{_SIMULATED}; xi_dnn_conv_utils.hpp, loadsf_avg_pool",
        _of(Kind.CELL),
        "shapes",
    ),
)
