"""Ristretto's `quantization_param`, as its tool `ristretto quantize` writes it (pmgysel/caffe quantization.cpp).

The type strings change and the blocks are added; batch, data layers and all the rest stay as they are. Fields and
their order are those of the tool, one list for each trimming mode:

    dynamic_fixed_point           widths and fractional lengths of input, output, and parameters: weights and bias
    minifloat                     one format for all numbers of the network
    integer_power_of_2_weights    exponents -8 to -1, which with the sign are 4 bits, and Q.F blobs. Its CPU code leaves
                                  the blobs in float, its GPU code does not
"""

from __future__ import annotations

from collections.abc import Sequence

from xportdnn.blocks import Rewritten, block_lines, cleared
from xportdnn.dialects.retyping import can_quantize, retyped
from xportdnn.edits import insertion
from xportdnn.errors import UsageError
from xportdnn.journal import Journal
from xportdnn.network import Net
from xportdnn.plan import Block, Word

EXPONENTS = (-8, -1)
_PARAMS = ("bw_params", "fl_params")
_MANTISSA = (1, 23)  # of a float32


def rewrite(net: Net, blocks: Sequence[Block]) -> Rewritten:
    """The network's text with the blocks in it, whose layers have Ristretto's types."""
    edits, notes = cleared(net)
    edits += retyped(net, {block.layer.index for block in blocks})
    edits += [
        insertion(net.source, block.layer.entry, block_lines(block.fields, "quantization_param")) for block in blocks
    ]
    return Rewritten(net.source.edited(edits), tuple(notes))


def known(blocks: Sequence[Block], journal: Journal) -> tuple[Block, ...]:
    """The blocks of layers that Ristretto can quantize; the others are named."""
    kept = tuple(block for block in blocks if can_quantize(block.layer))
    foreign = [f"{block.layer.name} ({block.layer.type})" for block in blocks if not can_quantize(block.layer)]
    if foreign:
        journal.warn(f"Ristretto has no such layer types; they get no block and stay as they are: {', '.join(foreign)}")
    return kept


def trimmed_by(mode: str, blocks: Sequence[Block], journal: Journal) -> tuple[Block, ...]:
    """Ristretto's blocks of a trimming mode with Q.F blobs, from those of DynamicFixed mode."""
    kept = known(blocks, journal)
    if mode != "integer_power_of_2_weights":
        return kept
    least, greatest = EXPONENTS
    journal.info(f"the weights are powers of two, 2**{least} to 2**{greatest}; their width of --bitwidths is not used")
    return power_of_two(kept)


def power_of_two(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Blocks of the mode integer_power_of_2_weights from those of dynamic_fixed_point."""
    mode = ("precision", Word("INTEGER_POWER_OF_2_WEIGHTS"))
    range_of_exponents = tuple(zip(("exp_min", "exp_max"), EXPONENTS, strict=True))
    return tuple(
        block._replace(
            fields=(mode, *((name, value) for name, value in block.fields if name not in _PARAMS), *range_of_exponents)
        )
        for block in blocks
    )


def minifloats(blocks: Sequence[Block], bits: int, exp_bits: int) -> tuple[Block, ...]:
    """The same blocks with a minifloat of so many bits.

    Raises:
        UsageError: the exponent leaves no bit to the mantissa, or more than a float32 has.
    """
    mant_bits = bits - 1 - exp_bits
    least, greatest = _MANTISSA
    if not least <= mant_bits <= greatest:
        raise UsageError(
            f"--bitwidths {bits},{bits},{bits}: sign and {exp_bits} bits of exponent, which the blobs need, leave "
            f"{mant_bits} bits to the mantissa; give {least + 1 + exp_bits} to {greatest + 1 + exp_bits}"
        )
    fields = (("precision", Word("MINIFLOAT")), ("mant_bits", mant_bits), ("exp_bits", exp_bits))
    return tuple(block._replace(fields=fields) for block in blocks)
