"""Everything a conversion can be told, with the user guide's defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xportdnn.choices import (
    BOARD_WIDTHS,
    DEFAULT_FRACTION,
    DEFAULT_WIDTHS,
    FL_METHODS,
    PARAMS_METHODS,
    THRESHOLD_METHODS,
    Fraction,
    Matrix,
    Mode,
    ScaleClasses,
    Triple,
)
from xportdnn.errors import UsageError
from xportdnn.layers import Shape

DEFAULT_DIMS: Shape = (3, 224, 224)
DEFAULT_SWAP = (2, 1, 0)
DEFAULT_MEAN = "104,117,123"


@dataclass(frozen=True)
class Options:
    """The options of a conversion; None means "the default, if it can apply".

    Raises:
        UsageError: values that no run could use, all at once.
    """

    deploy_model: str
    weights: str
    quant_type: Mode = Mode.XILINX
    bitwidths: Triple = DEFAULT_WIDTHS
    fl_bitwidths: Fraction | None = None
    fl_method: str = "mse"
    calibration_directory: str | None = None
    calibration_size: int = 8
    calibration_seed: int | None = None
    calibration_indices: tuple[int, ...] | None = None
    dims: Shape | None = None
    transpose: tuple[int, ...] = (2, 0, 1)
    channel_swap: tuple[int, ...] | None = None
    raw_scale: float = 255.0
    mean_value: str | None = None
    input_scale: float = 1.0
    threshold_method: str | None = None
    params_method: str = "max"
    overrides: str | None = None
    skip_layers: tuple[str, ...] = ()
    scale_classes: ScaleClasses = ScaleClasses.BOARD
    guards: bool | None = None
    matrix: Matrix = Matrix.GUIDE
    fold: bool = False
    workers: int | None = None
    strict: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        problems = [*self._number_problems(), *self._mode_problems()]
        if len(problems) == 1:
            raise UsageError(problems[0])
        if problems:
            raise UsageError("these options cannot be used:", problems)

    def _number_problems(self) -> Iterator[str]:
        for bits in sorted(set(self.bitwidths)):
            if not 2 <= bits <= 32:
                yield f"--bitwidths {_joined(self.bitwidths)}: {bits} is outside 2 to 32"
            elif bits not in BOARD_WIDTHS and not self.force:
                yield f"--bitwidths {_joined(self.bitwidths)}: the board takes 6 or 8, not {bits}; --force overrides"
        if self.calibration_size < 1:
            yield f"--calibration_size must be at least 1, it is {self.calibration_size}"
        if self.workers is not None and self.workers < 1:
            yield f"--workers must be at least 1, it is {self.workers}"
        if self.dims is not None and (len(self.dims) != 3 or min(self.dims) < 1):
            yield f"--dims must be three positive numbers C,H,W, it is {_joined(self.dims)}"
        for name, value in (("raw_scale", self.raw_scale), ("input_scale", self.input_scale)):
            if not math.isfinite(value):
                yield f"--{name} must be a finite number, it is {value}"
        if "" in self.skip_layers:
            yield f"--skip_layers {','.join(self.skip_layers)}: there is an empty name; separate names by one comma"
        if self.params_method not in PARAMS_METHODS:
            yield f"--params_method is one of {', '.join(PARAMS_METHODS)}, not '{self.params_method}'"
        if self.threshold_method is not None and self.threshold_method not in THRESHOLD_METHODS:
            yield f"--threshold_method is one of {', '.join(THRESHOLD_METHODS)}, not '{self.threshold_method}'"

        if self.fl_method not in FL_METHODS:
            yield f"--fl_method is one of {', '.join(FL_METHODS)}, not '{self.fl_method}'"

    def _mode_problems(self) -> Iterator[str]:
        if self.quant_type is Mode.XILINX:
            if self.calibration_directory is None:
                yield "--quant_type Xilinx needs calibration images: give --calibration_directory DIR"
            if self.fl_bitwidths is not None:
                yield "--fl_bitwidths belongs to --quant_type DynamicFixed; Xilinx mode finds thresholds by itself"
        elif self.calibrated and self.calibration_directory is None:
            yield "--fl_bitwidths auto needs calibration images: give --calibration_directory DIR"
        if self.calibrated and self.calibration_seed is not None and self.calibration_indices is not None:
            yield "--calibration_seed and --calibration_indices exclude each other; give one"

    @property
    def calibrated(self) -> bool:
        """Whether pictures decide."""
        return self.quant_type is Mode.XILINX or self.fl_bitwidths == "auto"

    @property
    def rule(self) -> str:
        """The threshold method: the best of docs/accuracy.md for the width, unless the user chose one."""
        if self.threshold_method is not None:
            return self.threshold_method
        return "auto" if self.bitwidths.layer_out < 8 and self.scale_classes is ScaleClasses.BOARD else "xilinx"

    @property
    def fraction(self) -> Triple:
        """The fractional lengths of DynamicFixed mode, where pictures do not decide."""
        return self.fl_bitwidths if isinstance(self.fl_bitwidths, Triple) else DEFAULT_FRACTION

    @property
    def guarded(self) -> bool:
        """Whether thresholds are held to what the board can do; the original knew no guards."""
        return self.guards if self.guards is not None else self.scale_classes is ScaleClasses.BOARD


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
