"""Six-bit integers without gaps: four of them in three bytes.

The integers become one stream of bits, lowest bits first: value 4k lies in bits 0 to 5 of byte 3k, value 4k + 1 in bits
6 and 7 of it and bits 0 to 3 of byte 3k + 1, and so on. The last bytes are filled up with zeros. Each value is two's
complement, -32 to 31. That is a layout for memory; a file that is compressed anyway is smaller without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xportdnn.arithmetic import twos_complement
from xportdnn.lazy import np

if TYPE_CHECKING:
    import numpy.typing as npt

    from xportdnn.arithmetic import Int8s, Integers
    from xportdnn.layers import Shape

BITS = 6
_VALUES, _BYTES = 4, 3


def packed_size(count: int) -> int:
    """The bytes of so many integers."""
    return -(-count // _VALUES) * _BYTES


def pack6(integers: Integers) -> npt.NDArray[np.uint8]:
    """Integers from -32 to 31 in any shape, in C order, as `packed_size` bytes."""
    flat = integers.reshape(-1)
    codes = np.zeros(packed_size(flat.size) // _BYTES * _VALUES, np.uint32)
    codes[: flat.size] = flat.astype(np.int64) & 0x3F
    groups = codes.reshape(-1, _VALUES)
    words = groups[:, 0] | groups[:, 1] << 6 | groups[:, 2] << 12 | groups[:, 3] << 18
    kept: npt.NDArray[np.uint8] = words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :_BYTES]
    return kept.reshape(-1)


def unpack6(packed: npt.NDArray[np.uint8], shape: Shape) -> Int8s:
    """The integers again, int8 in their shape; `packed` is as long as `pack6` makes it."""
    padded = np.zeros((packed.size // _BYTES, 4), np.uint8)
    padded[:, :_BYTES] = packed.reshape(-1, _BYTES)
    words = padded.view("<u4").reshape(-1, 1)
    codes = (words >> np.array([0, 6, 12, 18], np.uint32) & 0x3F).astype(np.int8).reshape(-1)
    count = int(np.prod(shape, dtype=np.int64))
    return twos_complement.wrap(codes[:count], BITS).reshape(shape)
