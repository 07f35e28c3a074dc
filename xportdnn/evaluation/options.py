"""Everything an evaluation can be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xportdnn.choices import Arithmetic, Side
from xportdnn.errors import InputError, refuse
from xportdnn.layers import Shape
from xportdnn.options import PREPROCESSING


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of `xportdnn evaluate`; those of the preprocessing have the names and defaults of the conversion's.

    Raises:
        UsageError: options that contradict each other, all at once.
    """

    deploy_model: str
    weights: str | None
    images: str
    labels: str | None = None
    images_size: int | None = None
    score_blob: str | None = None
    arithmetic: Arithmetic = Arithmetic.FAKE
    only: Side | None = None
    plan: str | None = None
    one_at_a_time: bool = False
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
        if self.images_size is not None and self.images_size < 1:
            yield f"--images_size must be at least 1, it is {self.images_size}"
        if self.only is not None and self.one_at_a_time:
            yield "--only and --one_at_a_time exclude each other; --one_at_a_time tells both sides apart as well"
        if self.only is not None and self.arithmetic is not Arithmetic.FAKE:
            yield f"--only keeps one side in float, which --arithmetic {self.arithmetic.value} cannot; use fake"
        if self.dims is not None and (len(self.dims) != 3 or min(self.dims) < 1):
            yield f"--dims must be three positive numbers C,H,W, it is {','.join(map(str, self.dims))}"
        if self.workers is not None and self.workers < 1:
            yield f"--workers must be at least 1, it is {self.workers}"


def remembered(path: str) -> dict[str, Any]:
    """The preprocessing options of a conversion, from the JSON that it wrote.

    A mean file whose name is relative is looked for where the conversion found it, then beside the JSON.

    Raises:
        InputError: the file cannot be read, or is not what a conversion writes.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: this is no JSON: {error}") from None
    options = content.get("options") if isinstance(content, dict) else None
    if not isinstance(options, dict) or not options.keys() >= set(PREPROCESSING):
        raise InputError(f"{path}: holds no preprocessing options; give the file that the conversion wrote with --json")
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value := options[name], list) else value for name in PREPROCESSING
    }
    mean = found["mean_value"]
    if mean is not None and not Path(mean).exists() and (beside := Path(path).parent / mean).is_file():
        found["mean_value"] = str(beside)
    return found
