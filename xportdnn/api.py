"""The functions for scripts and notebooks; the command line calls the same code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xportdnn import conversion, execute
from xportdnn.choices import Dialect, Matrix, Mode, ScaleClasses, Triple
from xportdnn.errors import NetworkError, UsageError
from xportdnn.journal import Journal
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import Options, widths

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xportdnn.caffemodel import Caffemodel
    from xportdnn.layers import Arrays


def convert(
    deploy_model: str | Path,
    weights: str | Path,
    *,
    quant_type: Mode | str = Mode.XILINX,
    bitwidths: Sequence[int] | None = None,
    fl_bitwidths: Sequence[int] | Literal["auto"] | None = None,
    fl_method: str | None = None,
    calibration_directory: str | Path | None = None,
    calibration_size: int = 8,
    calibration_seed: int | None = None,
    calibration_indices: Sequence[int] | None = None,
    dims: Sequence[int] | None = None,
    transpose: Sequence[int] = (2, 0, 1),
    channel_swap: Sequence[int] | None = None,
    raw_scale: float = 255.0,
    mean_value: str | None = None,
    input_scale: float = 1.0,
    threshold_method: str | None = None,
    params_method: str | None = None,
    overrides: str | Path | None = None,
    skip_layers: Sequence[str] = (),
    scale_classes: ScaleClasses | str = ScaleClasses.BOARD,
    guards: bool | None = None,
    matrix: Matrix | str = Matrix.GUIDE,
    fold: bool = False,
    dialect: Dialect | str = Dialect.CHAIDNN,
    trimming_mode: str | None = None,
    net_quantization_param: str | None = None,
    workers: int | None = None,
    strict: bool = False,
    force: bool = False,
    journal: Journal | None = None,
) -> conversion.Conversion:
    """Convert a network; the result's `text` is the quantized prototxt, or the plan. Nothing is written.

    The arguments are the options of the command line.

    Raises:
        xportdnn.errors.XportdnnError: an option or a file cannot be used; the message says why.
    """
    options = Options(
        deploy_model=str(deploy_model),
        weights=str(weights),
        quant_type=Mode(quant_type),
        bitwidths=widths(bitwidths, Dialect(dialect)),
        fl_bitwidths=fl_bitwidths if fl_bitwidths in (None, "auto") else Triple(*fl_bitwidths),
        fl_method=fl_method,
        calibration_directory=None if calibration_directory is None else str(calibration_directory),
        calibration_size=calibration_size,
        calibration_seed=calibration_seed,
        calibration_indices=None if calibration_indices is None else tuple(calibration_indices),
        dims=None if dims is None else tuple(dims),
        transpose=tuple(transpose),
        channel_swap=None if channel_swap is None else tuple(channel_swap),
        raw_scale=raw_scale,
        mean_value=mean_value,
        input_scale=input_scale,
        threshold_method=threshold_method,
        params_method=params_method,
        overrides=None if overrides is None else str(overrides),
        skip_layers=tuple(skip_layers),
        scale_classes=ScaleClasses(scale_classes),
        guards=guards,
        matrix=Matrix(matrix),
        fold=fold,
        dialect=Dialect(dialect),
        trimming_mode=trimming_mode,
        net_quantization_param=net_quantization_param,
        workers=workers,
        strict=strict,
        force=force,
    )
    converted = conversion.convert(options, journal)
    if journal is not None:
        from xportdnn.check.written import tell

        tell(converted.findings, journal, converted.foreseen)
    return converted


@dataclass(frozen=True)
class Network:
    """A prototxt with its caffemodel, ready to run on inputs of any size.

    Attributes:
        net: the layers of the TEST phase.
        model: the caffemodel's blobs.
    """

    net: Net
    model: Caffemodel

    def opened(self, inputs: dict[Value, tuple[int, ...]]) -> Opened:
        """The network with all shapes for these inputs, and its weights checked against them."""
        return complete(self.net, self.model, inputs, Journal(), strict=True)


def read(deploy_model: str | Path, weights: str | Path | None = None) -> Network:
    """Open a network of any generation.

    Raises:
        xportdnn.errors.InputError: a file cannot be read or is not what it should be.
    """
    net, model = open_weights(open_net(deploy_model, Journal()), weights, Journal())
    return Network(net, model)


def forward(network: Network, **inputs: ArrayLike) -> Iterator[tuple[Layer, Arrays]]:
    """Run a network and yield every layer with its tops, right after it ran.

    Args:
        inputs: one array for every input blob, by name.

    Raises:
        UsageError: an input is missing or unknown.
        NetworkError: a layer has no rule, or shapes do not fit together.
    """
    tops = {value.blob: value for layer in network.net.layers if layer.is_input for value in layer.tops}
    wanted = {value.blob for value in network.net.inputs}
    if not wanted <= set(inputs) <= set(tops):
        given = ", ".join(sorted(inputs)) or "none"
        raise UsageError(f"the network's inputs are {', '.join(sorted(wanted))}; given: {given}")
    feeds = {tops[name]: np.asarray(array, np.float32) for name, array in inputs.items()}
    opened = network.opened({value: array.shape for value, array in feeds.items()})
    if opened.unreached:
        layer, reason = opened.unreached[0]
        raise NetworkError(f"{opened.net.where(layer)}: cannot run, {reason}")
    weights = execute.load(opened.net.layers, opened.weights)
    for step in execute.run(opened.net, weights, feeds):
        yield step.layer, step.tops
