"""The conversion, from options to text: the whole tool as one function that can be read aloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from xportdnn import overrides, plan
from xportdnn.blocks import Rewritten, rewrite
from xportdnn.choices import BOARD_WIDTHS, Dialect, Mode
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.network import Layer, Net, Value
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import DEFAULT_DIMS, Options
from xportdnn.overrides import NOTHING_ASKED, Asked
from xportdnn.plan import NOTHING_SETTLED, Block, Settled
from xportdnn.prototxt import Source

# what few conversions need is imported where they do: those of DynamicFixed mode take no longer than that would
if TYPE_CHECKING:
    from xportdnn.caffemodel import Caffemodel
    from xportdnn.calibration import Evidence
    from xportdnn.check import Finding
    from xportdnn.guards.marks import Mark
    from xportdnn.pictures import CalibrationSet
    from xportdnn.qformats import Formats


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        source: the quantized prototxt; its lines are those of the user's file. In the dialect json it is that of the
            dialect chaidnn, which is not written.
        blocks: what it holds, as values.
        missing: layers that should have a block but could not be calibrated.
        evidence: None in DynamicFixed mode.
        formats: only where pictures decided in DynamicFixed mode.
        asked: what was asked for single layers.
        decided: what the guards did.
        folded: the weights that belong to the text where the network was folded, else the user's own do.
        foreseen: those of `findings` that were said before the calibration.
    """

    options: Options
    opened: Opened
    source: Source
    blocks: tuple[Block, ...]
    missing: tuple[Layer, ...]
    evidence: Evidence | None
    asked: Asked = NOTHING_ASKED
    decided: tuple[Mark, ...] = ()
    folded: Caffemodel | None = None
    foreseen: tuple[Finding, ...] = ()
    formats: Formats | None = None

    @cached_property
    def text(self) -> str:
        """What is written."""
        if self.options.dialect is not Dialect.JSON:
            return self.source.text
        from xportdnn.dialects import planfile

        found = self.evidence or self.formats
        pictures = found.pictures.choice.pictures if found is not None else ()
        return planfile.text(self.options, self.opened.net, self.opened.inputs, self.blocks, pictures)

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """What the guards did, and what they find in the formats of DynamicFixed mode.

        The latter is looked for when somebody asks, because it may take all weights, which nothing else reads there.
        """
        return (*self.decided, *self._found(inside=True))

    @property
    def quick_marks(self) -> tuple[Mark, ...]:
        """The same without a look at weights that the board will fuse."""
        return (*self.decided, *self._found(inside=False))

    def _found(self, inside: bool) -> Iterator[Mark]:
        if self.options.quant_type is Mode.DYNAMIC_FIXED and self.options.guarded:
            from xportdnn.guards import dynamic_fixed

            yield from dynamic_fixed.marks(self.opened.net, self.blocks, self.opened.weights, inside)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What breaks a rule of the board in the text.

        It is looked for when somebody asks, because that takes longer than the rest of a DynamicFixed conversion. The
        board reads no other dialect.
        """
        if self.options.dialect is not Dialect.CHAIDNN:
            return ()
        from xportdnn.check.written import findings

        return findings(self.source, self.opened, self.folded or self.opened.model, self.options.quant_type)


def convert(options: Options, journal: Journal | None = None) -> Conversion:
    """Convert one network; nothing is written.

    Args:
        journal: None where nobody wants to hear anything.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
    """
    journal = journal or Journal(unread=True)
    _warn_of_widths(options, journal)
    asked = overrides.asked(options)
    net = open_net(options.deploy_model, journal)
    if options.dialect is Dialect.JACINTO:
        return _jacinto(options, net, journal)
    if options.trims == "minifloat":
        return _minifloat(options, net, asked, journal)
    if options.quant_type is Mode.DYNAMIC_FIXED:
        found = _automatic if options.calibrated else _dynamic_fixed
        return found(options, net, asked, journal)
    return _xilinx(options, net, asked, journal)


def _dynamic_fixed(options: Options, net: Net, asked: Asked, journal: Journal) -> Conversion:
    if options.calibration_directory is not None:
        journal.warn(
            "--calibration_directory is not read: the formats are those of --fl_bitwidths "
            f"{','.join(map(str, options.fraction))}; --fl_bitwidths auto finds them from pictures"
        )
    known = _known_inputs(net, options)
    written = _written_inputs(net, known, options)
    for value in net.inputs:
        if value not in known and options.dialect is Dialect.CHAIDNN:
            journal.info(
                f"input '{value.blob}' has no shape in {net.source.name}; {'x'.join(map(str, written[value]))} is "
                "written, and the weights are not checked against the layers; --dims C,H,W gives it one"
            )
    opened, folded = _opened(options, net, known, None, journal)
    net = opened.net
    settled = _settled(asked, opened, options, journal)
    blocks = plan.dynamic_fixed(net, options.bitwidths, options.fraction, options.table, settled)
    inputs = _written_inputs(net, _known_inputs(net, options), options)
    blocks, rewritten = _written(options, net, blocks, inputs, journal)
    done = _finished(options, opened, asked, rewritten, blocks, (), None, (), journal)
    return replace(done, folded=folded)


def _automatic(options: Options, net: Net, asked: Asked, journal: Journal) -> Conversion:
    from xportdnn import qformats

    pictures, opened, folded, written = _with_pictures(options, net, journal)
    net = opened.net
    settled = _settled(asked, opened, options, journal)
    found = qformats.formats(options, opened, pictures, journal, settled)
    qformats.tell(found, journal)
    blocks, missing = plan.automatic(net, options.bitwidths, found.fractions, options.table, settled)
    blocks, rewritten = _written(options, net, blocks, written, journal)
    done = _finished(options, opened, asked, rewritten, blocks, missing, None, found.marks, journal)
    return replace(done, folded=folded, formats=found)


def _minifloat(options: Options, net: Net, asked: Asked, journal: Journal) -> Conversion:
    from xportdnn.dialects import ristretto
    from xportdnn.exponents import exp_bits
    from xportdnn.workers import default_workers

    pictures, opened, folded, _ = _with_pictures(options, net, journal)
    net, bits = opened.net, options.bitwidths
    settled = _settled(asked, opened, options, journal)
    blocks = ristretto.known(plan.dynamic_fixed(net, bits, options.fraction, options.table, settled), journal)
    layers, workers = [block.layer for block in blocks], options.workers or default_workers()
    exponent = exp_bits(opened, layers, pictures, options.fl_rule, bits.params, workers, journal)
    blocks = ristretto.minifloats(blocks, bits.params, exponent)
    done = _finished(options, opened, asked, ristretto.rewrite(net, blocks), blocks, (), None, (), journal)
    return replace(done, folded=folded)


def _jacinto(options: Options, net: Net, journal: Journal) -> Conversion:
    from xportdnn.dialects import jacinto

    wanted = jacinto.chosen(options.net_quantization_param or "", options.bitwidths, options.skip_layers)
    opened, folded = _opened(options, net, _known_inputs(net, options), None, journal)
    for doubt in () if journal.unread else jacinto.without_format(opened.net, opened.weights, wanted):
        journal.warn(doubt)
    rewritten = jacinto.rewrite(opened.net, wanted)
    done = _finished(options, opened, NOTHING_ASKED, rewritten, (), (), None, (), journal)
    return replace(done, folded=folded)


def _written(
    options: Options, net: Net, blocks: tuple[Block, ...], inputs: Mapping[Value, Shape], journal: Journal
) -> tuple[tuple[Block, ...], Rewritten]:
    """The blocks in their dialect, and the text with them."""
    if options.for_board:
        return blocks, rewrite(net, blocks, inputs)
    from xportdnn.dialects import ristretto

    blocks = ristretto.trimmed_by(options.trims, blocks, journal)
    return blocks, ristretto.rewrite(net, blocks)


def _xilinx(options: Options, net: Net, asked: Asked, journal: Journal) -> Conversion:
    from xportdnn.calibration import evidence

    pictures, opened, folded, written = _with_pictures(options, net, journal)
    net = opened.net
    settled = _settled(asked, opened, options, journal)
    foreseen = _foreseen(options, opened, settled, written, journal)
    found = evidence(options, opened, pictures, journal, settled)
    blocks, missing = plan.xilinx(
        net, options.bitwidths, found.thresholds, options.matrix, options.scale_classes, settled
    )
    rewritten = rewrite(net, blocks, written)
    done = _finished(options, opened, asked, rewritten, blocks, missing, found, found.marks, journal)
    return replace(done, folded=folded, foreseen=foreseen)


def _settled(asked: Asked, opened: Opened, options: Options, journal: Journal) -> Settled:
    if not asked.layers and not asked.skipped:
        return NOTHING_SETTLED
    from xportdnn.settle import settle

    return settle(asked, opened, options, journal)


def _with_pictures(
    options: Options, net: Net, journal: Journal
) -> tuple[CalibrationSet, Opened, Caffemodel | None, dict[Value, Shape]]:
    """The pictures, what `_opened` gives for them, and the input shape to write."""
    from xportdnn.pictures import calibration_set

    pictures, shape = calibration_set(options, net, journal)
    opened, folded = _opened(options, net, {pictures.target: shape}, pictures, journal)
    (target,) = opened.inputs
    return replace(pictures, target=target), opened, folded, {target: opened.net.declared.get(target, shape)}


def _foreseen(
    options: Options, opened: Opened, settled: Settled, inputs: Mapping[Value, Shape], journal: Journal
) -> tuple[Finding, ...]:
    """What the board cannot do whatever the thresholds are, said before they are looked for."""
    from xportdnn.check import written

    blocks, _ = plan.xilinx(
        opened.net, options.bitwidths, written.thresholds_of_one(opened), options.matrix, options.scale_classes, settled
    )
    found = written.findings(rewrite(opened.net, blocks, inputs).source, opened, None, Mode.XILINX)
    written.tell(found, journal)
    return found


def _opened(
    options: Options, net: Net, inputs: Mapping[Value, Shape], pictures: CalibrationSet | None, journal: Journal
) -> tuple[Opened, Caffemodel | None]:
    """The network with its weights; if it is folded, that one, proven on the first picture, and its caffemodel."""
    net, model = open_weights(net, options.weights, journal)
    if not options.fold:
        return complete(net, model, inputs, journal, options.strict), None
    from xportdnn.folding.command import fold_proven, input_shapes
    from xportdnn.folding.proof import Evidence

    evidence = None
    if pictures is not None:
        evidence = Evidence("the first picture", [{pictures.target.blob: pictures[0][pictures.target]}])
    shapes = inputs if pictures is not None else input_shapes(net, options.dims)
    folded = fold_proven(net, model, shapes, evidence, journal, options.strict)
    return folded.opened, folded.model


def _finished(
    options: Options,
    opened: Opened,
    asked: Asked,
    rewritten: Rewritten,
    blocks: tuple[Block, ...],
    missing: tuple[Layer, ...],
    evidence: Evidence | None,
    decided: tuple[Mark, ...],
    journal: Journal,
) -> Conversion:
    done = Conversion(options, opened, rewritten.source, blocks, missing, evidence, asked, decided)
    if journal.unread:
        return done
    for note in rewritten.notes:
        journal.info(note)
    if told := done.marks if options.calibrated else done.quick_marks:
        from xportdnn.guards.marks import tell

        tell(told, journal)
    for block in blocks:
        journal.detail(_summary(block))
    if not blocks and not missing and options.dialect is not Dialect.JACINTO:
        whose = "Ristretto" if options.dialect is Dialect.RISTRETTO else "the board"
        journal.warn(f"no layer gets formats: this network has no layer that {whose} quantizes (see --list-layers)")
    if missing:
        names = ", ".join(layer.name for layer in missing)
        journal.warn(f"{len(missing)} layers could not be calibrated and get no block: {names}")
    return done


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
    if odd and options.for_board:
        journal.warn(f"--bitwidths: the board takes only 6 and 8 bits, not {', '.join(map(str, odd))}")
    if options.calibrated and layer_in != layer_out:
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
