"""Values as C writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xportdnn.lazy import np

_LARGEST_INT = (1 << 31) - 1


def string(text: str) -> str:
    """A string literal; what is not plain ASCII, or means something in C, as octal bytes."""
    data = text.encode("utf-8", "surrogateescape")
    return (
        '"'
        + "".join(chr(byte) if re.match(rb"[\w ./:+-]", bytes([byte]), re.ASCII) else f"\\{byte:03o}" for byte in data)
        + '"'
    )


def whole(value: int) -> str:
    """An integer literal of 64 bits where it needs them."""
    return str(value) if abs(value) <= _LARGEST_INT else f"{value}LL"


def wholes(values: Iterable[int]) -> str:
    """Several, with commas."""
    return ", ".join(map(whole, values))


def real(value: float) -> str:
    """A float literal with every digit (hexadecimal, C99)."""
    return f"{float(np.float32(value)).hex()}f"


def reals(values: Iterable[float]) -> str:
    """Several, with commas."""
    return ", ".join(map(real, values))
