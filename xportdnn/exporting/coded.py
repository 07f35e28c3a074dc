"""A layer's blobs as integers, and what turns these into the numbers that `fake` multiplies with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xportdnn.arithmetic import Integers, minifloat, power_of_two, threshold
from xportdnn.choices import Mode
from xportdnn.codefile import decoded
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np
from xportdnn.network import Layer
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation.formats import Block, Fixed, rounding_of
from xportdnn.simulation.formats import fixed as fixed_of
from xportdnn.simulation.integer.jobs import narrow
from xportdnn.simulation.trimmed import (
    MULTIPLYING,
    by_output_channel,
    moment_formats,
    scale_formats,
    thresholds,
    trimmed,
)

_NAMES: Mapping[str, tuple[str, ...]] = {
    "BatchNorm": ("mean", "variance", "count"),
    "Scale": ("gamma", "beta"),
    **dict.fromkeys(MULTIPLYING, ("weights", "bias")),
}


@dataclass(frozen=True)
class Coded:
    """One blob.

    Attributes:
        name: "weights", "bias", "mean" and so on; the blob's number where the type gives none.
        values: what quantization leaves of it, as it is read back from the codes, float32; the blob itself where it
            has no format.
        form: {"kind", "bits", ...} as in the manifest; None: float32.
        codes: in the smallest signed type; None where `form` is.
        scale: of a threshold's codes, float32; None where `form` says all.
    """

    name: str
    values: Array
    form: Mapping[str, Any] | None = None
    codes: Integers | None = None
    scale: Array | None = None


_Codes: TypeAlias = tuple[Mapping[str, Any], Integers, "Array | None"]


def coded(layer: Layer, blobs: Arrays, block: Block | None) -> tuple[Coded, ...]:
    """The blobs of a layer in the formats of its block.

    Args:
        block: None: all stay float32.

    Raises:
        LayerError: the blobs do not fit the block, or codes do not give their values back.
    """
    assert layer.kind is not None
    names = _names(layer, len(blobs))
    if block is None:
        return tuple(map(Coded, names, blobs))
    values = trimmed(layer, blobs, block, rounding_of(block, layer.index)).blobs
    return tuple(
        _blob(layer, index, name, blob, block) for index, (name, blob) in enumerate(zip(names, values, strict=True))
    )


def _names(layer: Layer, count: int) -> tuple[str, ...]:
    assert layer.kind is not None
    known = _NAMES.get(layer.kind.name, ())
    known = known[1:] if layer.kind.name == "Scale" and len(layer.bottoms) > 1 else known
    return tuple(known[index] if index < len(known) else str(index) for index in range(count))


def _blob(layer: Layer, index: int, name: str, values: Array, block: Block) -> Coded:
    found = _codes(layer, index, values, block)
    if found is None:
        return Coded(name, values)
    form, codes, scale = found
    # -0.0 becomes 0.0 by that
    read = decoded(codes, form, scale)
    if not np.array_equal(read, values):
        raise LayerError(
            f"its {name} of {form['bits']} bits are more than float32 numbers can be told apart by; use fewer bits"
        )
    return Coded(name, read, form, narrow(codes, form["bits"]), scale)


def _codes(layer: Layer, index: int, values: Array, block: Block) -> _Codes | None:
    """The integers of values that are in their format already; None where the block has no format for the blob."""
    if isinstance(block, Precision) and block.mode is Mode.XILINX:
        return _by_threshold(layer, values, block) if index == 0 else None
    if isinstance(block, Ristretto) and block.precision != "DYNAMIC_FIXED_POINT":
        return _ristretto(layer, index, values, block)
    form = _fixed(layer, index, block)
    if form is None:
        return None
    return {"kind": "fixed", "bits": form.bits, "fl": form.fl}, form.quantize(values), None


def _by_threshold(layer: Layer, values: Array, block: Precision) -> _Codes | None:
    assert layer.kind is not None
    if not block.th_params or block.bw_params is None or layer.kind.channels is None:
        return None
    rows = by_output_channel(layer, values, thresholds(layer, values, block))
    codes = threshold.quantize(values, rows, block.bw_params)
    return {"kind": "threshold", "bits": block.bw_params}, codes, threshold.step(rows, block.bw_params)


def _ristretto(layer: Layer, index: int, values: Array, block: Ristretto) -> _Codes | None:
    assert layer.kind is not None
    if layer.kind.name not in MULTIPLYING:
        return None
    if block.precision == "MINIFLOAT":
        return _minifloat(values, block.mant_bits, block.exp_bits)
    if index > 0:
        return None
    _, exponents = np.frexp(values)
    codes = np.sign(values).astype(np.int64) * (exponents.astype(np.int64) - block.exp_min)
    bits = power_of_two.code_bits(block.exp_min, block.exp_max)
    return {"kind": "power_of_two", "bits": bits, "exp_min": block.exp_min, "exp_max": block.exp_max}, codes, None


def _minifloat(values: Array, mant_bits: int, exp_bits: int) -> _Codes:
    codes = minifloat.codes(values, mant_bits, exp_bits)
    bits = 1 + exp_bits + mant_bits
    # the format's 0 leaves its largest number no code of this width
    bits += int(codes.max(initial=0)) >> bits - 1
    return {"kind": "minifloat", "bits": bits, "mant_bits": mant_bits, "exp_bits": exp_bits}, codes, None


def _fixed(layer: Layer, index: int, block: Block) -> Fixed | None:
    """The Q.F format of a blob (`simulation.trimmed` says which blobs have one)."""
    assert layer.kind is not None
    if isinstance(block, Ristretto):
        return Fixed(block.fl_params, block.bw_params) if layer.kind.name in MULTIPLYING else None
    if layer.kind.name == "BatchNorm":
        formats: tuple[Fixed | None, ...] = moment_formats(block)
    elif layer.kind.name == "Scale":
        formats = scale_formats(layer, block)
    else:
        formats = (fixed_of(block.fl_params, block.bw_params),) if layer.kind.channels else ()
    return formats[index] if index < len(formats) else None
