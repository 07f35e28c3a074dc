"""Lists to arrays of one dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def f32(values: ArrayLike) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def i8(values: ArrayLike) -> NDArray[np.int8]:
    return np.array(values, np.int8)


def u8(values: ArrayLike) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)
