"""The fixed-point formats that a converted prototxt holds: `precision_param`, or Ristretto's `quantization_param`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xportdnn.choices import Mode, Side
from xportdnn.decode import decode, enum, unknown_fields
from xportdnn.errors import LayerError, NetworkError, UsageError
from xportdnn.network import Layer, Net
from xportdnn.prototxt import Message


@dataclass(frozen=True)
class Precision:
    """One layer's block; None and () where a field is absent (CHaiDNN caffe.proto, PrecisionParameter)."""

    quant_type: str = Mode.DYNAMIC_FIXED.value
    bw_layer_in: int | None = None
    bw_layer_out: int | None = None
    bw_params: int | None = None
    fl_layer_in: int | None = None
    fl_layer_out: int | None = None
    fl_params: int | None = None
    batchnorm_mean_fl: int | None = None
    batchnorm_variance_fl: int | None = None
    batchnorm_mean_bw: int | None = None
    batchnorm_variance_bw: int | None = None
    scale_gamma_fl: int | None = None
    scale_beta_fl: int | None = None
    scale_gamma_bw: int | None = None
    scale_beta_bw: int | None = None
    scale_gamma_by_std_fl: int | None = None
    scale_gamma_by_std_bw: int | None = None
    th_layer_in: float | None = None
    th_layer_out: float | None = None
    th_params: tuple[float, ...] = ()

    @property
    def mode(self) -> Mode:
        """Xilinx where the block says so or, as in the blocks of Input and ReLU, holds thresholds only."""
        if self.th_layer_in is not None or self.th_layer_out is not None:
            return Mode.XILINX
        return Mode(self.quant_type)

    def only(self, side: Side) -> Precision | None:
        """The block without the formats of the other side; None if nothing is left of it."""
        kept: dict[str, Any] = {
            name: value
            for name in _NUMBERS
            if (name in _ACTIVATIONS) == (side is Side.ACTIVATIONS) and (value := getattr(self, name)) not in (None, ())
        }
        # without its thresholds a block would no longer say whose mode it is in
        return Precision(quant_type=self.mode.value, **kept) if kept else None


_NUMBERS = Precision.__dataclass_fields__.keys() - {"quant_type"}
_ACTIVATIONS = {name for name in _NUMBERS if name.endswith(("_layer_in", "_layer_out"))}


def of_fields(fields: Iterable[tuple[str, Any]]) -> Precision:
    """The block of the fields that the conversion writes."""
    return Precision(**dict(fields))


@dataclass(frozen=True)
class Ristretto:
    """Ristretto's block, with the defaults of its caffe.proto (QuantizationParameter)."""

    precision: str = enum("DYNAMIC_FIXED_POINT", "MINIFLOAT", "INTEGER_POWER_OF_2_WEIGHTS")
    rounding_scheme: str = enum("NEAREST", "STOCHASTIC")
    bw_layer_in: int = 32
    bw_layer_out: int = 32
    bw_params: int = 32
    fl_layer_in: int = 16
    fl_layer_out: int = 16
    fl_params: int = 16
    mant_bits: int = 23
    exp_bits: int = 8
    exp_min: int = -8
    exp_max: int = -1


def read(net: Net) -> dict[int, Precision | Ristretto]:
    """Layer index -> its formats.

    `...Ristretto` layers without a block have Ristretto's defaults, but not in a file of the board, which knows these
    types by name only.

    Raises:
        NetworkError: blocks that cannot be read, all at once.
    """
    found: dict[int, Precision | Ristretto] = {}
    problems: list[str] = []
    for layer in net.layers:
        try:
            block = _block(layer)
        except LayerError as error:
            problems.append(f"{net.at(layer)}: {error}")
            continue
        if block is not None:
            found[layer.index] = block
    if problems:
        raise NetworkError(f"{net.source.name}: formats that cannot be read:", problems)
    if not any(isinstance(block, Precision) for block in found.values()):
        found |= {
            layer.index: Ristretto()
            for layer in net.layers
            if layer.index not in found and layer.type.endswith("Ristretto")
        }
    return found


def _block(layer: Layer) -> Precision | Ristretto | None:
    ours, theirs = layer.message.messages("precision_param"), layer.message.messages("quantization_param")
    for name, blocks in (("precision_param", ours), ("quantization_param", theirs)):
        if len(blocks) > 1:
            raise LayerError(f"{name} is given {len(blocks)} times; keep one")
    if ours or (theirs and _is_of_the_board(theirs[0])):
        block = decode(ours[0] if ours else theirs[0], Precision)
        if block.quant_type not in [mode.value for mode in Mode]:
            known = " or ".join(mode.value for mode in Mode)
            raise LayerError(f'quant_type is "{block.quant_type}"; the board takes {known}, letter by letter')
        return block
    if theirs:
        if strangers := unknown_fields(theirs[0], Ristretto):
            raise LayerError(
                f"quantization_param holds {strangers[0]}, which neither Ristretto nor CHaiDNN has; remove it, or "
                "convert the float prototxt again"
            )
        return decode(theirs[0], Ristretto)
    return None


def _is_of_the_board(block: Message) -> bool:
    """Whether a `quantization_param` has fields that only a `precision_param` has, as Xilinx's ml-suite wrote it.

    CHaiDNN's parser reads the one for the other where the other is absent.
    """
    return not set(unknown_fields(block, Ristretto)).isdisjoint(Precision.__dataclass_fields__)


def only(formats: Mapping[int, Precision | Ristretto], side: Side) -> dict[int, Precision]:
    """The formats of one side; blocks of which nothing is left are absent.

    Raises:
        UsageError: there are blocks of Ristretto, which cannot leave a side out.
    """
    found: dict[int, Precision] = {}
    for index, block in formats.items():
        if isinstance(block, Ristretto):
            raise UsageError(
                f"--only {side.value}: Ristretto's quantization_param cannot keep the other side float; leave --only "
                "out, or convert with --dialect chaidnn"
            )
        if (left := block.only(side)) is not None:
            found[index] = left
    return found


def modes(formats: Mapping[int, Precision | Ristretto]) -> frozenset[str]:
    """The modes that occur: "Xilinx", "DynamicFixed", "Ristretto"."""
    return frozenset(block.mode.value if isinstance(block, Precision) else "Ristretto" for block in formats.values())
