"""BatchNorm: stored and own statistics, the factor blob, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, text_of, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, blob_shapes, opencv, top
from xportdnn.layers.batch_norm import KIND
from xportdnn.prototxt import Message, Source, parse

NORM = 'type: "BatchNorm"'


def norm(block: str) -> str:
    return f"{NORM} batch_norm_param {{ {block} }}"


def test_worked_by_hand() -> None:
    x = values(1, 2, 3, 4).reshape(1, 2, 2)
    result = top(norm("eps: 1"), x, blobs=(values(2, 6), values(6, 16), values(2)))
    np.testing.assert_allclose(result, [[[0, 1 / 2], [0, 1 / 3]]], rtol=1e-6)


def test_eps_is_one_in_a_hundred_thousand_by_default() -> None:
    result = top(NORM, values(3, 5).reshape(1, 2), blobs=(values(0, 0), values(0, 0), values(1)))
    np.testing.assert_allclose(result, [[3 / math.sqrt(1e-5), 5 / math.sqrt(1e-5)]], rtol=1e-6)


def test_a_factor_of_zero_makes_mean_and_variance_zero() -> None:
    result = top(norm("eps: 1"), values(3, 5).reshape(1, 2), blobs=(values(7, 7), values(7, 7), values(0)))
    np.testing.assert_array_equal(result, [[3, 5]])


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.125, 1000, width=32))
def test_the_factor_divides_both_statistics(factor: float) -> None:
    x, mean, variance = blob(2, 3, 4, 5), blob(3, seed=1), np.abs(blob(3, seed=2)) + 1
    scaled = (mean * np.float32(factor), variance * np.float32(factor), values(factor))
    assert_close(top(NORM, x, blobs=scaled), top(NORM, x, blobs=(mean, variance, values(1))))


def test_the_batchs_own_statistics_are_biased() -> None:
    x = values(1, 2, 3, 10).reshape(2, 1, 2)
    result = top(norm("use_global_stats: false"), x, blobs=(values(9), values(9), values(1)))
    np.testing.assert_allclose(result, (x - 4) / math.sqrt(12.5 + 1e-5), rtol=1e-6)


def test_own_statistics_run_over_images_and_planes_of_a_channel() -> None:
    x = blob(2, 3, 4, 5)
    result = top(norm("use_global_stats: false"), x, blobs=(values(0, 0, 0), values(0, 0, 0), values(0)))
    np.testing.assert_allclose(result.mean(axis=(0, 2, 3)), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(result.var(axis=(0, 2, 3)), np.ones(3), rtol=1e-4)


def test_a_broken_variance_gives_not_a_number() -> None:
    result = top(NORM, values(3).reshape(1, 1), blobs=(values(0), values(-1), values(1)))
    assert math.isnan(result.item())


def test_agrees_with_opencv() -> None:
    x = blob(2, 3, 4, 5)
    blobs = blob(3, seed=1), np.abs(blob(3, seed=2)) + 1, values(4)
    assert_close(top(NORM, x, blobs=blobs), opencv(NORM, x, blobs=blobs))


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(NORM, blob(3, 4, 5, 7), (blob(4, seed=1), np.abs(blob(4, seed=2)), values(2)))


def test_weights() -> None:
    assert blob_shapes(NORM, (2, 3, 4, 5)) == ((3,), (3,), (1,))


def test_refuses_a_bottom_without_channels() -> None:
    assert_refused(NORM, (5,), message=r"channel axis \(axis 1\), it is 5")


def layer(params: str) -> Message:
    return parse(Source("test.prototxt", text_of(f"{NORM} {params}", 1, 1))).root.messages("layer")[0]


@pytest.mark.parametrize(
    "params", ["", "param { lr_mult: 0 }", "param { lr_mult: 0.0 } param { lr_mult: 0 decay_mult: 0 }", "param { }"]
)
def test_fixed_statistics_are_accepted(params: str) -> None:
    assert KIND.doubt(layer(params)) == ""


def test_three_rates_are_put_right_by_caffe() -> None:
    assert KIND.doubt(layer("param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 }")) == ""


def test_doubts_learned_statistics() -> None:
    assert KIND.doubt(layer("param { lr_mult: 0 } param { lr_mult: 1 }")).startswith("lr_mult of a BatchNorm param")
