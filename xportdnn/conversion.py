"""The conversion, from options to text: the whole tool as one function that can be read aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xportdnn import plan
from xportdnn.blocks import Rewritten, rewrite
from xportdnn.choices import BOARD_WIDTHS, Mode
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Layer, Net, Value
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import DEFAULT_DIMS, Options
from xportdnn.plan import Block

if TYPE_CHECKING:
    from xportdnn.calibration import Evidence


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        text: the quantized prototxt.
        blocks: what it holds, as values.
        missing: layers that should have a block but could not be calibrated.
        evidence: None in DynamicFixed mode.
    """

    options: Options
    opened: Opened
    text: str
    blocks: tuple[Block, ...]
    missing: tuple[Layer, ...]
    evidence: Evidence | None


def convert(options: Options, journal: Journal | None = None) -> Conversion:
    """Convert one network; nothing is written.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
    """
    journal = journal or Journal()
    _warn_of_widths(options, journal)
    net = open_net(options.deploy_model, journal)
    if options.quant_type is Mode.DYNAMIC_FIXED:
        return _dynamic_fixed(options, net, journal)
    return _xilinx(options, net, journal)


def _dynamic_fixed(options: Options, net: Net, journal: Journal) -> Conversion:
    net, model = open_weights(net, options.weights, journal)
    known = _known_inputs(net, options)
    written = _written_inputs(net, known, options)
    for value in net.inputs:
        if value not in known:
            journal.info(
                f"input '{value.blob}' has no shape in {net.source.name}; {'x'.join(map(str, written[value]))} is "
                "written, and the weights are not checked against the layers; --dims C,H,W gives it one"
            )
    opened = complete(net, model, known, journal, options.strict)
    blocks = plan.dynamic_fixed(net, options.bitwidths, options.fraction, options.matrix)
    rewritten = rewrite(net, blocks, written)
    return _finished(options, opened, rewritten, blocks, (), None, journal)


def _xilinx(options: Options, net: Net, journal: Journal) -> Conversion:
    # pictures and arrays: what DynamicFixed conversions need not load
    from xportdnn.calibration import evidence
    from xportdnn.pictures import calibration_set

    pictures, shape = calibration_set(options, net, journal)
    net, model = open_weights(net, options.weights, journal)
    opened = complete(net, model, {pictures.target: shape}, journal, options.strict)
    found = evidence(options, opened, pictures, journal)
    blocks, missing = plan.xilinx(net, options.bitwidths, found.thresholds, options.matrix, options.scale_classes)
    rewritten = rewrite(net, blocks, {pictures.target: net.declared.get(pictures.target, shape)})
    return _finished(options, opened, rewritten, blocks, missing, found, journal)


def _finished(
    options: Options,
    opened: Opened,
    rewritten: Rewritten,
    blocks: tuple[Block, ...],
    missing: tuple[Layer, ...],
    evidence: Evidence | None,
    journal: Journal,
) -> Conversion:
    for note in rewritten.notes:
        journal.info(note)
    for block in blocks:
        journal.detail(_summary(block))
    if missing:
        names = ", ".join(layer.name for layer in missing)
        journal.warn(f"{len(missing)} layers could not be calibrated and get no block: {names}")
    return Conversion(options, opened, rewritten.text, blocks, missing, evidence)


def _summary(block: Block) -> str:
    """`conv1 (Convolution): bw_layer_in 8, th_layer_in 0.99609375, th_params 0.301 .. 0.511 (20)`."""
    parts = []
    for name, value in block.fields:
        if isinstance(value, tuple):
            parts.append(f"{name} {min(value):.3g} .. {max(value):.3g} ({len(value)})")
        elif name != "quant_type":
            parts.append(f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}")
    return f"{block.layer.name} ({block.layer.type}): {', '.join(parts)}"


def _warn_of_widths(options: Options, journal: Journal) -> None:
    layer_in, _, layer_out = options.bitwidths
    odd = sorted({bits for bits in options.bitwidths if bits not in BOARD_WIDTHS})
    if odd:
        journal.warn(f"--bitwidths: the board takes only 6 and 8 bits, not {', '.join(map(str, odd))}")
    if options.quant_type is Mode.XILINX and layer_in != layer_out:
        journal.warn(
            f"--bitwidths: a blob has one width, so the third number, {layer_out}, is used for all of them and the "
            f"first, {layer_in}, is not"
        )


def _known_inputs(net: Net, options: Options) -> dict[Value, Shape]:
    """The input shapes that are known without pictures."""
    if options.dims is not None and len(net.inputs) == 1:
        return {net.inputs[0]: (1, *options.dims)}
    return {value: net.declared[value] for value in net.inputs if value in net.declared}


def _written_inputs(net: Net, known: Mapping[Value, Shape], options: Options) -> dict[Value, Shape]:
    """The shapes to write for inputs that have none in the text."""
    return {value: known.get(value, (1, *(options.dims or DEFAULT_DIMS))) for value in net.inputs}
