"""CHaiDNN's kernel in Python's own integers and loops, written from the rules that came with its recorded cases.

It shares no code with the package and none of its shortcuts: every product is made, every register is masked. Blobs
are nested lists: images[n][c][y][x], weights[m][c][ky][kx].
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Plane: TypeAlias = list[list[int]]
Image: TypeAlias = list[Plane]


def f32(x: float) -> float:
    """x rounded to float32."""
    rounded: float = struct.unpack("<f", struct.pack("<f", x))[0]
    return rounded


def nearest(x: float) -> int:
    """Half away from zero."""
    return math.floor(x + 0.5) if x >= 0 else -math.floor(-x + 0.5)


def wrap(x: int, bits: int) -> int:
    x &= (1 << bits) - 1
    return x - (1 << bits) if x >> (bits - 1) else x


def sat(x: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, x))


def step(th: float, bits: int) -> float:
    return f32(f32(th) / (2 ** (bits - 1) - 1))


def by_threshold(x: float, th: float, bits: int) -> int:
    th = f32(th)
    if th == 0:
        return 0
    return nearest(f32(max(-th, min(th, x)) / step(th, bits)))


def by_format(x: float, bits: int, fl: int) -> int:
    low, high = -(2.0 ** (bits - 1)) * 2.0**-fl, (2.0 ** (bits - 1) - 1) * 2.0**-fl
    return nearest(f32(max(low, min(high, x)) * 2.0**fl))


def xilinx_bias(x: float, th_out: float, bits: int) -> int:
    return 256 * by_threshold(x, th_out, bits)


def xilinx_scale(th_w: float, bits_w: int, th_in: float, bits_in: int, th_out: float, bits_out: int) -> int:
    ratio = f32(f32(step(th_w, bits_w) * step(th_in, bits_in)) / step(th_out, bits_out))
    return nearest(f32(ratio * 2.0**22))


def dynamic_fixed_bias(x: float, bits_out: int, fl_in: int, fl_w: int, fl_out: int) -> int:
    return wrap(by_format(x, bits_out, fl_out) * 2 ** (fl_in + fl_w - fl_out), 16)


@dataclass
class Events:
    """How many outputs met each limit."""

    wraps: int = 0
    accumulators: int = 0
    words: int = 0
    roundings: int = 0
    outputs: int = 0


class Geometry(NamedTuple):
    stride: int
    pad: int
    dilation: int
    group: int


class Stage(NamedTuple):
    """The output stage of one output channel: y = acc * factor + addend, shifted right by n."""

    factor: int
    addend: int
    n: int


def chunk_size(channels: int, taps: int, group: int) -> int:
    p = math.ceil(channels / 4) * 4
    if group == 2 and channels > 4:
        p //= 2
    s = 1
    while math.floor(math.floor(p / s) / 4) * taps > 511:
        s = 2 * s
    return p // s


def chunk_sums(products: list[tuple[list[int], list[int]]], six: bool) -> tuple[list[int], list[bool], list[bool]]:
    """T of both images from (image 0's products, image 1's products) of each channel; what wrapped, what was cut."""
    exact = [sum(sum(channel[image]) for channel in products) for image in (0, 1)]
    if not six:
        before = [wrap(exact[image], 24) for image in (0, 1)]
    else:
        low, up = [0, 0], [0, 0]
        for c, (first, second) in enumerate(products):
            low[c % 4 // 2] += sum(first)
            up[c % 4 // 2] += sum(second)
        v = []
        for h in (0, 1):
            z = up[h] * 2**20 + low[h]
            v.append(wrap(z // 2**20 + z // 2**19 % 2, 20))
        before = [wrap(low[0], 20) + wrap(low[1], 20), wrap(v[0] + v[1], 20)]
    after = [sat(t, 18) for t in before]
    return after, [before[i] != exact[i] for i in (0, 1)], [after[i] != before[i] for i in (0, 1)]


def add_chunks(t: int, acc: int) -> int:
    if 131071 in (t, acc):
        return 131071
    if -131072 in (t, acc):
        return -131072
    return sat(t + acc, 18)


def output(acc: int, stage: Stage, six: bool, relu: bool, events: Events) -> int:
    exact = acc * stage.factor + stage.addend
    y = wrap(exact, 32)
    a = wrap(abs(y), 32)
    half = 2 ** (stage.n - 1)
    r = wrap(a + half, 32) >> stage.n
    if y < 0:
        r = -r
    least, greatest = (-32, 31) if six else (-128, 127)
    out = max(least, min(greatest, r))
    events.words += y != exact
    events.roundings += abs(y) + half >= 2**31
    events.outputs += r > greatest if relu else out != r
    return max(out, 0) if relu else out


def convolution(
    pair: list[Image],
    weights: list[Image],
    stages: list[Stage],
    geometry: Geometry,
    size: tuple[int, int],
    *,
    six: bool,
    relu: bool,
) -> tuple[list[Image], Events]:
    """Both images of a pair."""
    events = Events()
    channels, kernel = len(pair[0]), len(weights[0][0])
    per_group, outputs_per_group = channels // geometry.group, len(weights) // geometry.group
    length = chunk_size(channels, kernel * kernel, geometry.group)
    tops: list[Image] = [[[[0] * size[1] for _ in range(size[0])] for _ in weights] for _ in pair]

    def pixel(image: int, channel: int, y: int, x: int) -> int:
        plane = pair[image][channel]
        return plane[y][x] if 0 <= y < len(plane) and 0 <= x < len(plane[0]) else 0

    for m, weight in enumerate(weights):
        base = m // outputs_per_group * per_group
        for oy in range(size[0]):
            for ox in range(size[1]):
                acc: list[int] | None = None
                wrapped, stuck = [False, False], [False, False]
                for start in range(0, per_group, length):
                    products: list[tuple[list[int], list[int]]] = []
                    for c in range(start, min(start + length, per_group)):
                        lists: tuple[list[int], list[int]] = ([], [])
                        for ky in range(kernel):
                            for kx in range(kernel):
                                y = oy * geometry.stride - geometry.pad + ky * geometry.dilation
                                x = ox * geometry.stride - geometry.pad + kx * geometry.dilation
                                for image in (0, 1):
                                    lists[image].append(pixel(image, base + c, y, x) * weight[c][ky][kx])
                        products.append(lists)
                    t, wraps, cuts = chunk_sums(products, six)
                    for image in (0, 1):
                        wrapped[image] |= wraps[image]
                        stuck[image] |= cuts[image]
                    if acc is None:
                        acc = t
                        continue
                    for image in (0, 1):
                        added = add_chunks(t[image], acc[image])
                        stuck[image] |= added != acc[image] + t[image]
                        acc[image] = added
                assert acc is not None
                for image in (0, 1):
                    tops[image][m][oy][ox] = output(acc[image], stages[m], six, relu, events)
                    events.wraps += wrapped[image]
                    events.accumulators += stuck[image]
    return tops, events


def max_pooling(image: Image, kernel: int, stride: int, pad: int, size: tuple[int, int]) -> Image:
    return [
        [[max(_window(p, kernel, stride, pad, y, x)) for x in range(size[1])] for y in range(size[0])] for p in image
    ]


def average_pooling(
    image: Image, kernel: int, stride: int, pad: int, size: tuple[int, int], one: int, shift: int
) -> Image:
    """`one` is 65536 in Xilinx mode and 256 in DynamicFixed."""
    multiplier = math.trunc(one / (kernel * kernel))

    def mean(plane: Plane, y: int, x: int) -> int:
        return wrap(sum(_window(plane, kernel, stride, pad, y, x)) * multiplier >> shift, 8)

    return [[[mean(plane, y, x) for x in range(size[1])] for y in range(size[0])] for plane in image]


def _window(plane: Plane, kernel: int, stride: int, pad: int, oy: int, ox: int) -> list[int]:
    cells = []
    for ky in range(kernel):
        for kx in range(kernel):
            y, x = oy * stride - pad + ky, ox * stride - pad + kx
            cells.append(plane[y][x] if 0 <= y < len(plane) and 0 <= x < len(plane[0]) else 0)
    return cells


def eltwise(a: int, b: int, six: bool, relu: bool) -> int:
    out = max(-32, min(31, a + b)) if six else max(-128, min(127, a + b))
    return max(out, 0) if relu else out
