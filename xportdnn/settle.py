"""What overrides mean for one network: which blobs they reach through scale classes, and what speaks against them.

A threshold, a width and a fractional length belong to integers, and the board moves integers unchanged through whole
scale classes (`scales`). So what one layer asks for what it writes holds for its class, in every block that writes or
reads a blob of the class. Widths follow the board's classes even where `--scale_classes original` lets fewer blobs
share a threshold. Fractional lengths end at AVE pooling, which shifts from fl_layer_in to fl_layer_out (CHaiDNN
xi_dnn_conv_utils.hpp, loadsf_avg_pool).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from xportdnn import plan, scales
from xportdnn.choices import BOARD_WIDTHS, Matrix, Mode, ScaleClasses
from xportdnn.journal import Journal
from xportdnn.jsonrules import near
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.options import Options
from xportdnn.overrides import Asked, Override, place
from xportdnn.plan import NOTHING_SETTLED, Settled
from xportdnn.statistics import Statistics
from xportdnn.thresholds import named

_OF_TOPS = frozenset({"threshold", "bits", "fl_layer_out"})


def settle(asked: Asked, opened: Opened, options: Options, journal: Journal) -> Settled:
    """The overrides in terms of a network's values and layers.

    Raises:
        InputError: the file names layers that are not there or get no block, asks for what a block does not hold, or
            for two different things in one scale class: everything at once.
        UsageError: the same of `--skip_layers`.
    """
    if not asked.layers and not asked.skipped:
        return NOTHING_SETTLED
    ground = _ground(opened, options)
    in_option = [problem for name in asked.skipped for problem in ground.unfit(name, Override(keep_float=True))]
    in_file = [problem for name, override in asked.layers.items() for problem in ground.unfit(name, override)]
    fit = [(layer, each) for name, each in asked.layers.items() for layer in ground.formatted(name)]
    widths = _shared(opened.net, _claims(fit, "bits"), ground.classes(ScaleClasses.BOARD))
    thresholds = _shared(opened.net, _claims(fit, "threshold"), ground.classes(options.scale_classes))
    fractions = _shared(
        opened.net, [*_claims(fit, "fl_layer_in"), *_claims(fit, "fl_layer_out")], ground.fraction_classes
    )
    shared = (thresholds, widths, fractions)
    asked.refuse([*in_file, *(problem for each in shared for problem in each.problems)], in_option)
    for remark in (remark for each in shared for remark in each.remarks):
        journal.info(remark)
    floats = [ground.layers[name][0] for name in asked.floats]
    if options.for_board:
        _warn_of_widths(fit, options, journal)
        _warn_of_floats(floats, options.quant_type, journal)
    return Settled(
        floats=frozenset(layer.index for layer in floats),
        widths=widths.values,
        fractions=fractions.values,
        thresholds=thresholds.values,
        params={
            layer.index: (wanted,) * ground.channels(layer) if isinstance(wanted, float) else wanted
            for layer, override in fit
            if (wanted := override.params_threshold) is not None
        },
        params_widths={layer.index: bits for layer, each in fit if (bits := each.params_bits) is not None},
        params_fractions={layer.index: fl for layer, each in fit if (fl := each.fl_params) is not None},
    )


def overridden(
    settled: Settled, found: Mapping[Value, float], statistics: Mapping[Value, Statistics], bits: int
) -> dict[Value, float]:
    """The thresholds of the scale classes that have one of the user's.

    Args:
        found: scale class -> threshold, of all classes.
        statistics: scale class -> what the streaming pass saw, for thresholds that are named by their method.
        bits: the width of classes that have none of their own.
    """
    chosen: dict[Value, float] = {}
    for root in found:
        wanted = settled.thresholds.get(root)
        if isinstance(wanted, str):
            method = named(wanted)
            assert method is not None
            chosen[root] = method(statistics[root], settled.widths.get(root, bits))
        elif wanted is not None:
            chosen[root] = wanted
    return chosen


@dataclass(frozen=True)
class _Ground:
    """What a network offers to overrides.

    Attributes:
        layers: name -> the layers that have it.
        fields: layer index -> the fields of its block, of layers that get one.
        reasons: layer index -> why a layer gets none, where more is to be said than its type.
        reached: the layers whose blobs are known.
    """

    opened: Opened
    options: Options
    layers: Mapping[str, Sequence[Layer]]
    fields: Mapping[int, tuple[str, ...]]
    reasons: Mapping[int, str]
    reached: Sequence[Layer]

    def classes(self, how: ScaleClasses) -> dict[Value, Value]:
        return scales.classes(self.reached, how)

    @property
    def fraction_classes(self) -> dict[Value, Value]:
        """The blobs that share a fractional length."""
        return scales.fraction_classes(self.reached)

    def channels(self, layer: Layer) -> int:
        """How many th_params the layer has."""
        assert layer.kind is not None
        assert layer.kind.channels is not None
        weight, *_ = layer.kind.blobs(layer.params, tuple(self.opened.shapes[value] for value in layer.bottoms))
        return int(layer.kind.channels(layer.params, np.empty(weight, np.float32)).shape[0])

    def unfit(self, name: str, override: Override) -> Iterator[str]:
        """What speaks against an entry, one sentence each."""
        found, keys = self.layers.get(name, ()), override.keys
        if len(found) != 1:
            yield f"{place(name)}: {self._nameless(name)}"
            return
        (layer,) = found
        fields = self.fields.get(layer.index, ())
        if not fields and not (layer.is_input and keys.keys() <= _OF_TOPS):
            table = f"--{'matrix' if self.options.for_board else 'dialect'} {self.options.table.value}"
            mode = self.options.quant_type.value
            reason = self.reasons.get(layer.index, f"{layer.type} gets none in {mode} mode with {table}")
            yield f"{place(name)}: there is no block to change or to skip: {reason}"
            return
        if not fields and not self._is_read(layer.tops[0]):
            yield f"{place(name)}: there is nothing to change: no block reads '{layer.tops[0].blob}'"
        for key in [key for key in keys if key not in _OF_TOPS and key != "float"]:
            if not _holds(fields, key):
                yield f"{place(name, key)}: the block of this {layer.type} layer has no such number; remove it"
        given = override.params_threshold
        if isinstance(given, tuple) and "th_params" in fields and len(given) != (count := self.channels(layer)):
            counts = f"{len(given)} thresholds for {count} output channels"
            yield f"{place(name, 'params_threshold')}: {counts}; give {count}, or one number for all"

    def formatted(self, name: str) -> Sequence[Layer]:
        """The layer of this name, if the formats of its blobs can be chosen."""
        found = self.layers.get(name, ())
        can_be = {layer.index for layer in self.reached if layer.index in self.fields or layer.is_input}
        return [layer for layer in found if len(found) == 1 and layer.index in can_be]

    def _nameless(self, name: str) -> str:
        if name in self.layers:
            return f"{len(self.layers[name])} layers have this name; give each its own"
        for layer in self.opened.net.left_out:
            if layer.name == name:
                return f"this layer is not run: {layer.reason}"
        return f"the network has no such layer{near(name, list(self.layers))}"

    def _is_read(self, value: Value) -> bool:
        classes = self.classes(ScaleClasses.BOARD)
        readers = (layer for layer in self.reached if layer.index in self.fields)
        return any(classes[bottom] == classes.get(value) for layer in readers for bottom in layer.bottoms)


def _ground(opened: Opened, options: Options) -> _Ground:
    net, run = opened.net, {layer.index for layer in opened.net.layers}
    reasons = {layer.index: reason for layer, reason in opened.unreached if layer.kind is None}
    if options.quant_type is Mode.XILINX:
        # without numbers there are no thresholds
        reasons |= {layer.index: reason for layer, reason in opened.unreached}
        run = {layer.index for layer in runnable(net, opened.inputs)} | {value.writer for value in opened.inputs}
    layers: dict[str, list[Layer]] = {}
    for layer in net.layers:
        layers.setdefault(layer.name, []).append(layer)
    blocks = plan.quantized(net, options.table, options.quant_type)
    fields = {layer.index: names for layer, names in blocks if layer.index in run}
    return _Ground(opened, options, layers, fields, reasons, [layer for layer in net.layers if layer.index in run])


def _holds(fields: tuple[str, ...], key: str) -> bool:
    """Whether a block has the number; BatchNorm's and Scale's own parameters are parameters too."""
    if key == "params_threshold":
        return "th_params" in fields
    if key == "params_bits":
        return any(name == "bw_params" or name.endswith("_bw") for name in fields)
    if key == "fl_params":
        return any(name == "fl_params" or name.endswith("_fl") for name in fields)
    return key in fields


class _Claim(NamedTuple):
    """What a layer's entry asks for a value."""

    text: str
    value: Value
    wanted: Any


def _claims(fit: Sequence[tuple[Layer, Override]], key: str) -> Iterator[_Claim]:
    for layer, override in fit:
        wanted = getattr(override, key)
        # an Input layer has no bottoms
        for value in (layer.bottoms if key == "fl_layer_in" else layer.tops)[:1] if wanted is not None else ():
            yield _Claim(f"{place(layer.name, key)} {wanted}", value, wanted)


class _Shared(NamedTuple):
    """Claims spread over their scale classes: what every value gets, contradictions, and what is to be said."""

    values: dict[Value, Any]
    problems: list[str]
    remarks: list[str]


def _shared(net: Net, claims: Iterable[_Claim], classes: Mapping[Value, Value]) -> _Shared:
    shared = _Shared({}, [], [])
    first: dict[Value, _Claim] = {}
    members = scales.members(classes)
    for claim in claims:
        root = classes[claim.value]
        names = list(dict.fromkeys(net.layers[value.writer].name for value in members[root]))
        before = first.setdefault(root, claim)
        if before.wanted != claim.wanted:
            shared.problems.append(
                f"{before.text} and {claim.text} contradict each other, they are of one scale class "
                f"({', '.join(names)}); give only one"
            )
        elif before is claim:
            shared.values.update(dict.fromkeys(members[root], claim.wanted))
            if len(names) > 1:
                shared.remarks.append(f"{claim.text} holds for the whole scale class: {', '.join(names)}")
    return shared


def _warn_of_widths(fit: Sequence[tuple[Layer, Override]], options: Options, journal: Journal) -> None:
    widths = {bits for _, each in fit for bits in (each.bits, each.params_bits) if bits is not None}
    if odd := sorted(widths.difference(BOARD_WIDTHS)):
        journal.warn(f"{options.overrides}: the board takes only 6 and 8 bits, not {', '.join(map(str, odd))}")
    common = options.bitwidths.layer_out
    other = [f"{layer.name} {each.bits}" for layer, each in fit if each.bits not in (None, common)]
    if other:
        journal.warn(
            f"{options.overrides}: the board has one width for all blobs of a network, here {common} bits; others can "
            f"be simulated but not run: {', '.join(other)}"
        )


def _warn_of_floats(floats: Sequence[Layer], mode: Mode, journal: Journal) -> None:
    missed = [layer.name for layer in floats if plan.block_fields(layer, Matrix.PARSER, mode)]
    other = [layer.name for layer in floats if layer.name not in missed]
    if missed:
        journal.warn(
            f"no block for {', '.join(missed)}, which is for experiments: `xportdnn evaluate` computes them in float, "
            "but the board takes them for DynamicFixed with 6 bits, 3 of them fractional (5 of the weights); only "
            "software layers stay float there"
        )
    if other:
        journal.info(f"no block for {', '.join(other)}; the board would read none")
