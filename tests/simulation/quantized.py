"""Quantized networks in memory: text with blocks, blobs and inputs by name, and what a simulation makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.small_nets import net_of
from xportdnn import precision
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net, Value
from xportdnn.simulation import Arithmetic, Simulated, Simulation, prepare


def block(fields: Mapping[str, object], name: str = "precision_param") -> str:
    """A block of formats; tuples repeat a field, strings are quoted unless they are words in capitals."""
    return f"{name} {{ {' '.join(_entries(fields))} }}"


def _entries(fields: Mapping[str, object]) -> list[str]:
    return [f"{name}: {_written(item)}" for name, value in fields.items() for item in _items(value)]


def _items(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _written(value: object) -> str:
    if isinstance(value, str):
        return value if value.isupper() else f'"{value}"'
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def xilinx(bits: int, th_in: float, th_out: float, th_params: tuple[float, ...] = (), **more: object) -> str:
    """A block of Xilinx mode, with weights' thresholds if there are any."""
    fields: dict[str, Any] = {"bw_layer_in": bits, "bw_layer_out": bits}
    if th_params:
        fields |= {"bw_params": bits, "th_params": th_params}
    return block(fields | {"th_layer_in": th_in, "th_layer_out": th_out, "quant_type": "Xilinx"} | more)


def fixed(bits: int, fl_in: int, fl_out: int, fl_params: int | None = None, **more: object) -> str:
    """A block of DynamicFixed mode, with weights' fractional bits if there are any."""
    fields: dict[str, Any] = {"bw_layer_in": bits, "bw_layer_out": bits, "fl_layer_in": fl_in, "fl_layer_out": fl_out}
    if fl_params is not None:
        fields |= {"bw_params": bits, "fl_params": fl_params}
    return block(fields | {"quant_type": "DynamicFixed"} | more)


def feeds_of(net: Net, arrays: Mapping[str, NDArray[Any]]) -> dict[Value, Array]:
    """Inputs by blob name."""
    tops = {value.blob: value for layer in net.layers if layer.is_input for value in layer.tops}
    return {tops[name]: np.asarray(array, np.float32) for name, array in arrays.items()}


def prepared(
    text: str,
    blobs: Mapping[str, Arrays],
    arrays: Mapping[str, NDArray[Any]],
    arithmetic: Arithmetic,
    *,
    as_ristretto: bool = False,
) -> tuple[Simulation, dict[Value, Array]]:
    """The simulation, and what to feed."""
    net = net_of(text)
    feeds = feeds_of(net, arrays)
    weights = {layer.index: tuple(np.float32(blob) for blob in blobs.get(layer.name, ())) for layer in net.layers}
    shapes = {value: array.shape for value, array in feeds.items()}
    return prepare(net, weights, precision.read(net), arithmetic, shapes, as_ristretto=as_ristretto), feeds


def run(
    text: str,
    blobs: Mapping[str, Arrays],
    arrays: Mapping[str, NDArray[Any]],
    arithmetic: Arithmetic,
    *,
    as_ristretto: bool = False,
) -> dict[str, Simulated]:
    """What is said of every layer, by name."""
    simulation, feeds = prepared(text, blobs, arrays, arithmetic, as_ristretto=as_ristretto)
    return {simulated.layer.name: simulated for simulated in simulation.run(feeds)}
