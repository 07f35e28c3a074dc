"""Everything a search can be told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xportdnn.choices import FL_METHODS, TRIMMING_MODES, Mode
from xportdnn.errors import refuse
from xportdnn.layers import Shape
from xportdnn.options import preprocessing
from xportdnn.searching.metric import Metric


@dataclass(frozen=True)
class SearchOptions:
    """The options of `xportdnn search`; those of pictures have the names and defaults of `evaluate` and the conversion.

    Attributes:
        metric: None: top-1 accuracy of labelled pictures, agreement of unlabelled ones, SQNR without classes.
        error_margin: None: that of the metric.
        calibration_directory: None: the pictures that the search is judged by.
        quant_type: of the conversion that `mixed` is meant for.

    Raises:
        UsageError: options that contradict each other, all at once.
    """

    deploy_model: str
    weights: str
    images: str
    labels: str | None = None
    images_size: int | None = None
    score_blob: str | None = None
    metric: Metric | None = None
    error_margin: float | None = None
    trimming_mode: str = TRIMMING_MODES[0]
    formats: str = "mse"
    mixed: bool = False
    quant_type: Mode = Mode.DYNAMIC_FIXED
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
    workers: int | None = None

    def __post_init__(self) -> None:
        refuse(list(self._problems()))

    def _problems(self) -> Iterator[str]:
        if self.error_margin is not None and not (math.isfinite(self.error_margin) and self.error_margin >= 0):
            yield f"--error_margin must be a number from 0, it is {self.error_margin}"
        if self.metric is not None and (problem := self.metric.problem(self.error_margin)):
            yield problem
        for name in ("images_size", "calibration_size", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"--{name} must be at least 1, it is {value}"
        if self.dims is not None and (len(self.dims) != 3 or min(self.dims) < 1):
            yield f"--dims must be three positive numbers C,H,W, it is {','.join(map(str, self.dims))}"
        if self.trimming_mode not in TRIMMING_MODES:
            yield f"--trimming_mode is one of {', '.join(TRIMMING_MODES)}, not '{self.trimming_mode}'"
        if self.formats not in FL_METHODS:
            yield f"--formats is one of {', '.join(FL_METHODS)}, not '{self.formats}'"
        if self.mixed and self.trimming_mode != TRIMMING_MODES[0]:
            yield f"--mixed is for CHaiDNN's board, which has no --trimming_mode {self.trimming_mode}"
        if not self.mixed and self.quant_type is not Mode.DYNAMIC_FIXED:
            yield f"--quant_type {self.quant_type.value} belongs to --mixed; the ladder is of Q.F formats"
        if self.calibration_seed is not None and self.calibration_indices is not None:
            yield "--calibration_seed and --calibration_indices exclude each other; give one"

    @property
    def picks(self) -> bool:
        """Whether the pictures to find formats from are chosen by number."""
        return self.calibration_seed is not None or self.calibration_indices is not None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What `evaluate` and the conversion are given of it, too."""
        return preprocessing(self)

    @property
    def calibration(self) -> dict[str, Any]:
        """The conversion's options about its pictures."""
        found = {name: getattr(self, f"calibration_{name}") for name in ("size", "seed", "indices")}
        return {
            "calibration_directory": self.calibration_directory or self.images,
            **{f"calibration_{name}": value for name, value in found.items()},
        }
