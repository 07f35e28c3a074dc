"""The answer without any syntax: for every layer that gets a block, its fields and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, Union

from xportdnn.choices import Matrix, Mode, ScaleClasses, Triple
from xportdnn.matrix import fields
from xportdnn.network import Layer, Net, Value

FieldValue: TypeAlias = Union[int, float, str, tuple[float, ...]]


class Block(NamedTuple):
    """The fields of one layer's `precision_param`, in the order in which they are written."""

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


def quantized(net: Net, matrix: Matrix, mode: Mode) -> list[tuple[Layer, tuple[str, ...]]]:
    """The layers that the matrix gives a block, with its fields."""
    return [(layer, names) for layer in net.layers if (names := block_fields(layer, matrix, mode))]


def block_fields(layer: Layer, matrix: Matrix, mode: Mode) -> tuple[str, ...]:
    """The fields of a layer's block; empty where the matrix gives it none."""
    if layer.is_input:
        return fields(matrix, mode, "Input")
    if layer.kind is None:
        return ()
    return fields(matrix, mode, layer.kind.name, getattr(layer.params, "pool", ""))


def dynamic_fixed(net: Net, bits: Triple, fraction: Triple, matrix: Matrix) -> tuple[Block, ...]:
    """The blocks of DynamicFixed mode: the user's widths and fractional lengths, the same in every layer."""
    values: dict[str, FieldValue] = {
        "bw_layer_in": bits.layer_in,
        "bw_layer_out": bits.layer_out,
        "bw_params": bits.params,
        "fl_layer_in": fraction.layer_in,
        "fl_layer_out": fraction.layer_out,
        "fl_params": fraction.params,
        "quant_type": Mode.DYNAMIC_FIXED.value,
    }
    return tuple(
        Block(layer, tuple((name, values.get(name, _of_params(name, bits, fraction))) for name in names))
        for layer, names in quantized(net, matrix, Mode.DYNAMIC_FIXED)
    )


def _of_params(name: str, bits: Triple, fraction: Triple) -> int:
    """The width or fractional length of a BatchNorm's or Scale's own parameters: that of all parameters."""
    return bits.params if name.endswith("_bw") else fraction.params


def xilinx(
    net: Net, bits: Triple, found: Thresholds, matrix: Matrix, how: ScaleClasses
) -> tuple[tuple[Block, ...], tuple[Layer, ...]]:
    """The blocks of Xilinx mode, and the layers that should have one but were not calibrated."""
    blocks: list[Block] = []
    missing: list[Layer] = []
    for layer, names in quantized(net, matrix, Mode.XILINX):
        reads = [
            found.values.get(value) for value in (layer.bottoms[:1] if how is ScaleClasses.BOARD else layer.bottoms)
        ]
        # the original gave an Eltwise the largest threshold of its inputs; the board's classes make them equal
        th_in = None if None in reads or not reads else max(threshold for threshold in reads if threshold is not None)
        th_out = found.values.get(layer.tops[0]) if layer.tops else None
        th_params = found.params.get(layer.index)
        values: dict[str, FieldValue | None] = {
            "bw_layer_in": bits.layer_out,  # the board has one activation width
            "bw_layer_out": bits.layer_out,
            "bw_params": bits.params,
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


def needed(net: Net, matrix: Matrix, found: Mapping[Value, Value]) -> frozenset[Value]:
    """The scale classes that a block of Xilinx mode will read."""
    touched: set[Value] = set()
    for layer, _ in quantized(net, matrix, Mode.XILINX):
        touched.update(found[value] for value in (*layer.bottoms, *layer.tops[:1]) if value in found)
    return frozenset(touched)
