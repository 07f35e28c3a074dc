"""The answer without any syntax: for every layer that gets a block, its fields and their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, Union

from xportdnn.choices import Mode, ScaleClasses, Table, Triple
from xportdnn.matrix import fields
from xportdnn.network import Layer, Net, Value


class Word(str):
    """The name of an enum's value, which is written without quotes."""

    __slots__ = ()


FieldValue: TypeAlias = Union[int, float, str, tuple[float, ...]]


class Block(NamedTuple):
    """The fields of one layer's block, in the order in which they are written."""

    layer: Layer
    fields: tuple[tuple[str, FieldValue], ...]


class Thresholds(NamedTuple):
    """What calibration found.

    Attributes:
        values: value -> threshold, above 0; values that were not reached are absent.
        params: layer index -> one threshold per output channel.
    """

    values: Mapping[Value, float]
    params: Mapping[int, tuple[float, ...]]


class Fractions(NamedTuple):
    """The fractional lengths that were found for DynamicFixed mode.

    Attributes:
        values: value -> fractional length; values that were not reached are absent.
        params: layer index -> those of the layer's own parameters, by field.
    """

    values: Mapping[Value, int]
    params: Mapping[int, Mapping[str, int]]


@dataclass(frozen=True)
class Settled:
    """What the user settled beforehand for single layers (`settle`); what is absent goes the common way.

    Attributes:
        floats: indices of layers that get no block.
        widths: value -> bits.
        fractions: value -> fractional length, in DynamicFixed mode.
        thresholds: value -> threshold, or the method to find it by (`thresholds.named`), in Xilinx mode.
        params: layer index -> one threshold per output channel.
        params_widths, params_fractions: layer index -> bits and fractional length of the weights.
    """

    floats: frozenset[int] = frozenset()
    widths: Mapping[Value, int] = field(default_factory=dict)
    fractions: Mapping[Value, int] = field(default_factory=dict)
    thresholds: Mapping[Value, float | str] = field(default_factory=dict)
    params: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    params_widths: Mapping[int, int] = field(default_factory=dict)
    params_fractions: Mapping[int, int] = field(default_factory=dict)


NOTHING_SETTLED = Settled()


def quantized(net: Net, matrix: Table, mode: Mode) -> list[tuple[Layer, tuple[str, ...]]]:
    """The layers that the matrix gives a block, with its fields."""
    return [(layer, names) for layer in net.layers if (names := block_fields(layer, matrix, mode))]


def block_fields(layer: Layer, matrix: Table, mode: Mode) -> tuple[str, ...]:
    """The fields of a layer's block; empty where the matrix gives it none."""
    if layer.is_input:
        return fields(matrix, mode, "Input")
    if layer.kind is None:
        return ()
    return fields(matrix, mode, layer.kind.name, getattr(layer.params, "pool", ""))


def dynamic_fixed(
    net: Net, bits: Triple, fraction: Triple, matrix: Table, settled: Settled = NOTHING_SETTLED
) -> tuple[Block, ...]:
    """The blocks of DynamicFixed mode: the user's widths and fractional lengths, the same in every layer.

    Args:
        settled: what single layers have instead.
    """
    return tuple(
        _formats(layer, names, bits, fraction, settled, {})
        for layer, names in quantized(net, matrix, Mode.DYNAMIC_FIXED)
        if layer.index not in settled.floats
    )


def automatic(
    net: Net, bits: Triple, found: Fractions, matrix: Table, settled: Settled = NOTHING_SETTLED
) -> tuple[tuple[Block, ...], tuple[Layer, ...]]:
    """The blocks of DynamicFixed mode with the fractional lengths that calibration found.

    A blob has one width, `bits.layer_out`.

    Args:
        settled: what single layers have instead; its fractional lengths are in `found` already.

    Returns:
        The blocks, and the layers that should have one but were not calibrated.
    """
    blocks: list[Block] = []
    missing: list[Layer] = []
    widths = bits._replace(layer_in=bits.layer_out)
    for layer, names in quantized(net, matrix, Mode.DYNAMIC_FIXED):
        if layer.index in settled.floats:
            continue
        into, out = (found.values.get(value) for value in (layer.bottoms[0], layer.tops[0]))
        own = found.params.get(layer.index, {})
        if into is None or out is None or not own.keys() >= set(own_fields(names)):
            missing.append(layer)
        else:
            blocks.append(_formats(layer, names, widths, Triple(into, 0, out), settled, own))
    return tuple(blocks), tuple(missing)


def own_fields(names: Iterable[str]) -> tuple[str, ...]:
    """The fields among these that hold fractional lengths of a layer's own parameters."""
    return tuple(name for name in names if name == "fl_params" or name.endswith("_fl"))


def _formats(
    layer: Layer,
    names: tuple[str, ...],
    bits: Triple,
    fraction: Triple,
    settled: Settled,
    found: Mapping[str, int],
) -> Block:
    read, written = layer.bottoms[0], layer.tops[0]
    params_bits = settled.params_widths.get(layer.index, bits.params)
    params_fraction = settled.params_fractions.get(layer.index, fraction.params)
    values: dict[str, FieldValue] = {
        "bw_layer_in": settled.widths.get(read, bits.layer_in),
        "bw_layer_out": settled.widths.get(written, bits.layer_out),
        "bw_params": params_bits,
        "fl_layer_in": settled.fractions.get(read, fraction.layer_in),
        "fl_layer_out": settled.fractions.get(written, fraction.layer_out),
        "fl_params": params_fraction,
        "quant_type": Mode.DYNAMIC_FIXED.value,
    }
    # the own parameters of BatchNorm and Scale have the format of all parameters where none was found for each
    own = {name: params_bits if name.endswith("_bw") else params_fraction for name in names}
    return Block(layer, tuple((name, found.get(name, values.get(name, own[name]))) for name in names))


def xilinx(
    net: Net,
    bits: Triple,
    found: Thresholds,
    matrix: Table,
    how: ScaleClasses,
    settled: Settled = NOTHING_SETTLED,
) -> tuple[tuple[Block, ...], tuple[Layer, ...]]:
    """The blocks of Xilinx mode, and the layers that should have one but were not calibrated.

    Args:
        settled: the widths that single layers have instead, and those that get no block; its thresholds are in
            `found` already.
    """
    blocks: list[Block] = []
    missing: list[Layer] = []
    for layer, names in quantized(net, matrix, Mode.XILINX):
        if layer.index in settled.floats:
            continue
        reads = [
            found.values.get(value) for value in (layer.bottoms[:1] if how is ScaleClasses.BOARD else layer.bottoms)
        ]
        # the original gave an Eltwise the largest threshold of its inputs; the board's classes make them equal
        th_in = None if None in reads or not reads else max(threshold for threshold in reads if threshold is not None)
        th_out = found.values.get(layer.tops[0]) if layer.tops else None
        th_params = found.params.get(layer.index)
        values: dict[str, FieldValue | None] = {
            "bw_layer_in": _width(layer.bottoms, bits, settled),
            "bw_layer_out": _width(layer.tops, bits, settled),
            "bw_params": settled.params_widths.get(layer.index, bits.params),
            "th_layer_in": th_in,
            "th_layer_out": th_out,
            "th_params": th_params,
            "quant_type": Mode.XILINX.value,
        }
        entries = tuple((name, value) for name in names if (value := values[name]) is not None)
        if len(entries) == len(names):
            blocks.append(Block(layer, entries))
        else:
            missing.append(layer)
    return tuple(blocks), tuple(missing)


def _width(values: tuple[Value, ...], bits: Triple, settled: Settled) -> int:
    """The width of what a layer reads or writes: the board has one for all blobs, unless the user settled another."""
    return settled.widths.get(values[0], bits.layer_out) if values else bits.layer_out


def needed(net: Net, matrix: Table, found: Mapping[Value, Value], mode: Mode = Mode.XILINX) -> frozenset[Value]:
    """The scale classes that a block will read."""
    touched: set[Value] = set()
    for layer, _ in quantized(net, matrix, mode):
        touched.update(found[value] for value in (*layer.bottoms, *layer.tops[:1]) if value in found)
    return frozenset(touched)
