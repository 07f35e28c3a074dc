"""The exponent of minifloats: Ristretto's, and that of least noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import conv, data, write_net, write_pictures
from xportdnn import api, exponents, statistics
from xportdnn.arithmetic import minifloat
from xportdnn.network import Value
from xportdnn.precision import Ristretto
from xportdnn.quantities import Quantities
from xportdnn.searching.command import search
from xportdnn.searching.options import SearchOptions
from xportdnn.searching.result import Climbed

ROOT = Path(__file__).parents[1]
ONE = data(1, 3, 8, 9) + conv("a", "data", "a", 2)


def seen(*blobs: Any) -> Quantities:
    """Blobs that were seen, and no parameters."""
    found = {Value(f"blob{at}", at): statistics.of(np.asarray(blob, np.float32)) for at, blob in enumerate(blobs)}
    return Quantities(found, {value: each.peak for value, each in found.items()}, {})


@given(st.integers(1, 8))
def test_the_smallest_number(exp_bits: int) -> None:
    """It stays, what is just below is lost."""
    smallest = np.float32(minifloat.smallest(exp_bits))
    values = np.array([smallest, np.nextafter(smallest, np.float32(0))])
    assert minifloat.trim(values, 3, exp_bits).tolist() == [smallest, 0.0]


@pytest.mark.parametrize(
    ("scales", "bits", "chosen"),
    [
        pytest.param([1.0], 16, 2, id="nothing is small"),
        pytest.param([1.0, 1e-3], 16, 5, id="one is small"),
        pytest.param([300.0], 16, 4, id="one is large"),
        pytest.param([1.0, 1e-7], 8, 6, id="one is tiny"),
    ],
)
def test_small_numbers_count_as_much_as_large_ones(scales: list[float], bits: int, chosen: int) -> None:
    numbers = np.random.default_rng(3).uniform(0.5, 1, 4000)
    assert exponents.chosen(seen(*(numbers * scale for scale in scales)), "mse", bits) == chosen


@settings(deadline=None, max_examples=25)
@given(st.integers(-20, 8), st.integers(3, 5), st.integers(2, 10))
def test_the_estimate_is_the_error_of_the_format(power: int, exp_bits: int, mant_bits: int) -> None:
    numbers = np.abs(np.random.default_rng(5).normal(0, math.ldexp(1.0, power), 5000)).astype(np.float32)
    error = np.subtract(minifloat.trim(numbers, mant_bits, exp_bits), numbers, dtype=np.float64)
    measured = float(np.square(error).sum()) / float(np.square(numbers, dtype=np.float64).sum())
    assert exponents.noise(seen(numbers), mant_bits, exp_bits) == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(
    ("bits", "least", "greatest"),
    [(3, 1, 1), (8, 1, 6), (16, 1, 8), (27, 3, 8), (32, 8, 8)],
    ids=lambda value: str(value),
)
def test_what_a_float32_can_hold(bits: int, least: int, greatest: int) -> None:
    found = exponents.possible(bits)
    assert (found[0], found[-1]) == (least, greatest)
    assert not exponents.possible(2)


def test_zeros(tmp_path: Path) -> None:
    assert exponents.noise(seen(np.zeros(5)), 3, 4) == 0.0


def exponent_of(folder: Path, method: str) -> int:
    """Of a conversion whose weights are small."""
    weights = np.full((2, 3, 1, 1), 1e-4, np.float32), np.array([0.5, -0.25], np.float32)
    files, pictures = write_net(folder, ONE, {"a": weights}), write_pictures(folder / "pictures", 2, (9, 8))
    done = api.convert(
        files.deploy,
        files.weights,
        quant_type="DynamicFixed",
        dialect="ristretto",
        trimming_mode="minifloat",
        bitwidths=(16, 16, 16),
        fl_method=method,
        calibration_directory=pictures,
        workers=1,
    )
    (block,) = done.blocks
    fields: dict[str, Any] = dict(block.fields)
    return Ristretto(**fields).exp_bits


@pytest.mark.parametrize(("method", "bits"), [("mse", 5), ("overflow", 5), ("ristretto", 4)])
def test_only_ristretto_does_not_look_at_the_weights(method: str, bits: int, tmp_path: Path) -> None:
    assert exponent_of(tmp_path, method) == bits


@pytest.mark.parametrize("name", ["shapes_inception", "shapes_depthwise"])
def test_sixteen_bits_are_as_good_as_float(name: str) -> None:
    """With the 4 bits of exponent that the blobs alone need they are at chance."""
    folder = ROOT / "sample_models" / name
    found = search(
        SearchOptions(
            str(folder / "deploy.prototxt"),
            str(folder / f"{name}.caffemodel"),
            str(ROOT / "calibration" / "shapes_test"),
            str(ROOT / "calibration" / "shapes_test.labels.txt"),
            images_size=40,
            trimming_mode="minifloat",
            error_margin=10.0,
            calibration_directory=str(ROOT / "calibration" / "shapes"),
            workers=1,
        )
    )
    assert isinstance(found, Climbed)
    first, second, *_ = found.ladders[0].rungs
    assert (first.bits, second.bits) == (16, 8)
    assert first.score.top1 == found.judge.baseline.top1
    assert second.within
