"""Arrays as a C header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from xportdnn.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = 16


def identifier(text: str) -> str:
    """A name that C takes: letters, digits and underscores."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return f"_{name}" if name[:1].isdigit() or not name else name


def header(layer: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """`static const` arrays `<layer>__<name>` with their shapes `<layer>__<name>_shape`, in C order."""
    guard = f"XPORTDNN_{identifier(layer).upper()}_H"
    lines = [f"#ifndef {guard}", f"#define {guard}", "", "#include <math.h>", "#include <stdint.h>"]
    for name, array in arrays.items():
        lines += ["", *_definition(f"{identifier(layer)}__{name}", array)]
    return "\n".join([*lines, "", f"#endif  /* {guard} */", ""])


def _definition(name: str, array: NDArray[Any]) -> Iterator[str]:
    kind = "float" if array.dtype == np.float32 else f"{array.dtype.name}_t"
    yield f"static const int {name}_shape[{max(1, array.ndim)}] = {{{', '.join(map(str, array.shape)) or '1'}}};"
    yield f"static const {kind} {name}[{array.size}] = {{"
    written = [_number(value) for value in array.ravel().tolist()]
    for start in range(0, len(written), _COLUMNS):
        yield f"    {', '.join(written[start : start + _COLUMNS])},"
    yield "};"


def _number(value: int | float) -> str:
    """Every digit of it: hexadecimal floats (C99) lose none."""
    if isinstance(value, int):
        # the most negative number of a type has no literal of its own in C
        return str(value) if value > -(1 << 63) else f"({value + 1} - 1)"
    if value != value:
        return "NAN"
    if value in (float("inf"), float("-inf")):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{value.hex()}f"
