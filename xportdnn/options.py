"""Everything a conversion can be told, with the user guide's defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xportdnn.choices import (
    BOARD_WIDTHS,
    DEFAULT_FRACTION,
    DEFAULT_WIDTHS,
    THRESHOLD_METHODS,
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
    fl_bitwidths: Triple | None = None
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
    threshold_method: str = "xilinx"
    scale_classes: ScaleClasses = ScaleClasses.BOARD
    matrix: Matrix = Matrix.GUIDE
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
        if self.threshold_method not in THRESHOLD_METHODS:
            yield f"--threshold_method is one of {', '.join(THRESHOLD_METHODS)}, not '{self.threshold_method}'"

    def _mode_problems(self) -> Iterator[str]:
        if self.quant_type is Mode.XILINX:
            if self.calibration_directory is None:
                yield "--quant_type Xilinx needs calibration images: give --calibration_directory DIR"
            if self.fl_bitwidths is not None:
                yield "--fl_bitwidths belongs to --quant_type DynamicFixed; Xilinx mode finds thresholds by itself"
            if self.calibration_seed is not None and self.calibration_indices is not None:
                yield "--calibration_seed and --calibration_indices exclude each other; give one"

    @property
    def fraction(self) -> Triple:
        """The fractional lengths of DynamicFixed mode."""
        return self.fl_bitwidths or DEFAULT_FRACTION


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
