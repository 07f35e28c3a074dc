"""Everything a conversion can be told, with the user guide's defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xportdnn.choices import (
    BOARD_WIDTHS,
    DEFAULT_FRACTION,
    DEFAULT_WIDTHS,
    FL_METHODS,
    JACINTO_WIDTHS,
    PARAMS_METHODS,
    THRESHOLD_METHODS,
    TRIMMING_MODES,
    Dialect,
    Fraction,
    Matrix,
    Mode,
    ScaleClasses,
    Table,
    Triple,
)
from xportdnn.errors import refuse
from xportdnn.layers import Shape

DEFAULT_DIMS: Shape = (3, 224, 224)
DEFAULT_SWAP = (2, 1, 0)
DEFAULT_MEAN = "104,117,123"
# what formats are decided by
_FORMATS = (
    "fl_bitwidths", "fl_method", "threshold_method", "params_method", "overrides", "calibration_directory",
    "calibration_seed", "calibration_indices",
)  # fmt: skip
_STEEPEST = 126  # 2**fl beyond this is no normal float32
_WIDTHS = {Dialect.RISTRETTO: (1, 32), Dialect.JACINTO: (2, 24)}  # beyond 24 bits float32 has no whole numbers


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
    fl_method: str | None = None
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
    params_method: str | None = None
    overrides: str | None = None
    skip_layers: tuple[str, ...] = ()
    scale_classes: ScaleClasses = ScaleClasses.BOARD
    guards: bool | None = None
    matrix: Matrix = Matrix.GUIDE
    fold: bool = False
    dialect: Dialect = Dialect.CHAIDNN
    trimming_mode: str | None = None
    net_quantization_param: str | None = None
    workers: int | None = None
    strict: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        refuse([*self._number_problems(), *(self._dialect_problems() or self._mode_problems())])

    def _number_problems(self) -> Iterator[str]:
        least, greatest = _WIDTHS.get(self.dialect, (2, 32))
        for bits in sorted(set(self.bitwidths)):
            if not least <= bits <= greatest:
                yield f"--bitwidths {_joined(self.bitwidths)}: {bits} is outside {least} to {greatest}"
            elif self.for_board and bits not in BOARD_WIDTHS and not self.force:
                yield f"--bitwidths {_joined(self.bitwidths)}: the board takes 6 or 8, not {bits}; --force overrides"
        if self.calibration_size < 1:
            yield f"--calibration_size must be at least 1, it is {self.calibration_size}"
        if self.workers is not None and self.workers < 1:
            yield f"--workers must be at least 1, it is {self.workers}"
        if self.dims is not None and (len(self.dims) != 3 or min(self.dims) < 1):
            yield f"--dims must be three positive numbers C,H,W, it is {_joined(self.dims)}"
        for name, value in (("raw_scale", self.raw_scale), ("input_scale", self.input_scale)):
            if not math.isfinite(value) or not value:
                yield f"--{name} must be a finite number other than 0, it is {value:g}"
        if "" in self.skip_layers:
            yield f"--skip_layers {','.join(self.skip_layers)}: there is an empty name; separate names by one comma"
        if self.params_method is not None and self.params_method not in PARAMS_METHODS:
            yield f"--params_method is one of {', '.join(PARAMS_METHODS)}, not '{self.params_method}'"
        if self.threshold_method is not None and self.threshold_method not in THRESHOLD_METHODS:
            yield f"--threshold_method is one of {', '.join(THRESHOLD_METHODS)}, not '{self.threshold_method}'"

        if self.fl_method is not None and self.fl_method not in FL_METHODS:
            yield f"--fl_method is one of {', '.join(FL_METHODS)}, not '{self.fl_method}'"

    def _mode_problems(self) -> Iterator[str]:
        if self.quant_type is Mode.XILINX:
            if self.calibration_directory is None:
                yield "--quant_type Xilinx needs calibration images: give --calibration_directory DIR"
            for name in ("fl_bitwidths", "fl_method"):
                if getattr(self, name) is not None:
                    yield f"--{name} belongs to --quant_type DynamicFixed; Xilinx mode finds thresholds by itself"
        else:
            yield from self._fixed_problems()
        if self.calibrated and self.calibration_seed is not None and self.calibration_indices is not None:
            yield "--calibration_seed and --calibration_indices exclude each other; give one"

    def _fixed_problems(self) -> Iterator[str]:
        if self.calibrated and self.calibration_directory is None:
            needs = "--fl_bitwidths auto" if self.fl_bitwidths == "auto" else "--trimming_mode minifloat"
            yield f"{needs} needs calibration images: give --calibration_directory DIR"
        if self.fl_method is not None and not self.calibrated:
            yield "--fl_method is how --fl_bitwidths auto finds formats: give that, too, or leave it out"
        for name in ("threshold_method", "params_method"):
            if getattr(self, name) is not None:
                yield f"--{name} belongs to --quant_type Xilinx; formats of DynamicFixed mode are found by --fl_method"

    def _dialect_problems(self) -> list[str]:
        """What the dialect does not go with."""
        dialect = f"--dialect {self.dialect.value}"
        found: list[str] = []
        if self.dialect in _WIDTHS and self.quant_type is not Mode.DYNAMIC_FIXED:
            found.append(f"{dialect} knows no thresholds of Xilinx mode: give --quant_type DynamicFixed")
        if self.dialect is Dialect.JSON and self.fold:
            found.append(f"{dialect} --fold: the plan belongs to the folded prototxt; run `xportdnn fold` first")
        if self.dialect is Dialect.JSON and max(map(abs, self.fraction)) > _STEEPEST:
            given = _joined(self.fraction)
            found.append(f"--fl_bitwidths {given}: a plan holds {-_STEEPEST} to {_STEEPEST} fractional bits")
        if not self.for_board and self.guards is not None:
            given = "--guards" if self.guards else "--no_guards"
            found.append(f"{given} is about CHaiDNN's board; {dialect} is not for it")
        if not self.for_board and self.scale_classes is not ScaleClasses.BOARD:
            given = f"--scale_classes {self.scale_classes.value}"
            found.append(f"{given} is about CHaiDNN's thresholds; {dialect} has none")
        if not self.for_board and self.matrix is not Matrix.GUIDE:
            found.append(f"--matrix {self.matrix.value} is one of CHaiDNN's tables; {dialect} has its own layers")
        if self.trimming_mode is not None and self.dialect is not Dialect.RISTRETTO:
            found.append("--trimming_mode belongs to --dialect ristretto")
        if self.net_quantization_param is not None and self.dialect is not Dialect.JACINTO:
            found.append("--net_quantization_param belongs to --dialect jacinto")
        return [*found, *self._ristretto_problems(), *self._jacinto_problems()]

    def _ristretto_problems(self) -> Iterator[str]:
        if self.dialect is not Dialect.RISTRETTO:
            return
        mode = f"--trimming_mode {self.trims}"
        if self.trims not in TRIMMING_MODES:
            yield f"--trimming_mode is one of {', '.join(TRIMMING_MODES)}, not '{self.trims}'"
        if self.trims != TRIMMING_MODES[0] and self.overrides is not None:
            yield f"--overrides are Q.F formats of single layers, which {mode} does not have"
        if self.trims == "minifloat" and isinstance(self.fl_bitwidths, Triple):
            yield f"--fl_bitwidths {_joined(self.fl_bitwidths)}: a minifloat has no fractional bits; leave it out"
        if self.trims == "minifloat" and len(set(self.bitwidths)) > 1:
            yield f"--bitwidths {_joined(self.bitwidths)}: {mode} has one format for all; give three equal numbers"

    def _jacinto_problems(self) -> Iterator[str]:
        if self.dialect is not Dialect.JACINTO:
            return
        for name in _FORMATS:
            if getattr(self, name) is not None:
                yield f"--{name} with --dialect jacinto: caffe-jacinto finds the formats of every layer as it runs"
        if self.bitwidths.layer_in != self.bitwidths.layer_out:
            yield (
                f"--bitwidths {_joined(self.bitwidths)}: caffe-jacinto has one width for all blobs; the first number "
                "and the third must be equal"
            )

    @property
    def for_board(self) -> bool:
        """Whether what is written is for CHaiDNN."""
        return self.dialect not in _WIDTHS

    @property
    def table(self) -> Table:
        """What says which layers get a block."""
        return Dialect.RISTRETTO if self.dialect is Dialect.RISTRETTO else self.matrix

    @property
    def block(self) -> str:
        """What a layer's formats stand in."""
        return "quantization_param" if self.dialect is Dialect.RISTRETTO else "precision_param"

    @property
    def trims(self) -> str:
        """Ristretto's trimming mode."""
        return self.trimming_mode or TRIMMING_MODES[0]

    @property
    def calibrated(self) -> bool:
        """Whether pictures decide."""
        return self.quant_type is Mode.XILINX or self.fl_bitwidths == "auto" or self.trims == "minifloat"

    @property
    def rule(self) -> str:
        """The threshold method: the best of docs/accuracy.md, or the original's with its classes, or the user's."""
        if self.threshold_method is not None:
            return self.threshold_method
        return "auto" if self.scale_classes is ScaleClasses.BOARD else "xilinx"

    @property
    def params_rule(self) -> str:
        """The same for the weights."""
        if self.params_method is not None:
            return self.params_method
        return "mse" if self.scale_classes is ScaleClasses.BOARD else "max"

    @property
    def fl_rule(self) -> str:
        """How fractional lengths are found from pictures."""
        return self.fl_method or FL_METHODS[0]

    @property
    def fraction(self) -> Triple:
        """The fractional lengths of DynamicFixed mode, where pictures do not decide."""
        return self.fl_bitwidths if isinstance(self.fl_bitwidths, Triple) else DEFAULT_FRACTION

    @property
    def guarded(self) -> bool:
        """Whether formats are held to what the board can do; the original knew no guards."""
        if not self.for_board:
            return False
        return self.guards if self.guards is not None else self.scale_classes is ScaleClasses.BOARD


# The options about how a picture becomes the network's input, which several commands have.
PREPROCESSING = ("dims", "transpose", "channel_swap", "raw_scale", "mean_value", "input_scale")


def widths(given: Sequence[int] | None, dialect: Dialect) -> Triple:
    """The bit-widths; where none are given, the user guide's or caffe-jacinto's."""
    if given is not None:
        return Triple(*given)
    return JACINTO_WIDTHS if dialect is Dialect.JACINTO else DEFAULT_WIDTHS


def preprocessing(options: object) -> dict[str, Any]:
    """Those of any command's options."""
    return {name: getattr(options, name) for name in PREPROCESSING}


def _joined(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
