"""BN of SegNet and ENet: folded and own statistics."""

from __future__ import annotations

import numpy as np

from tests.layers.one_layer import blob, shapes, values
from tests.layers.weighted import assert_images_alone, assert_refused, blob_shapes, top

FOLDED = 'type: "BN" bn_param { bn_mode: INFERENCE }'
LEARN = 'type: "BN"'


def test_inference_scales_and_shifts() -> None:
    x = values(1, 2, 3, 4).reshape(1, 2, 1, 2)
    scale, shift = values(10, 100).reshape(1, 2, 1, 1), values(0.5, -1).reshape(1, 2, 1, 1)
    np.testing.assert_array_equal(top(FOLDED, x, blobs=(scale, shift)), [[[[10.5, 20.5]], [[299, 399]]]])


def test_learn_normalizes_by_the_batch_first() -> None:
    x = values(1, 2, 3, 10).reshape(2, 1, 1, 2)
    scale, shift = values(2).reshape(1, 1, 1, 1), values(3).reshape(1, 1, 1, 1)
    result = top(LEARN, x, blobs=(scale, shift))
    np.testing.assert_allclose(result, 2 * (x - 4) / np.sqrt(12.5) + 3, rtol=1e-6)


def test_learn_is_batch_norm_with_own_statistics_and_scale() -> None:
    x, scale, shift = blob(2, 3, 4, 5), blob(1, 3, 1, 1, seed=1), blob(1, 3, 1, 1, seed=2)
    own = 'type: "BatchNorm" batch_norm_param { use_global_stats: false eps: 1e-9 }'
    normalized = top(own, x, blobs=(blob(3), np.abs(blob(3)), values(1)))
    np.testing.assert_allclose(top(LEARN, x, blobs=(scale, shift)), normalized * scale + shift, rtol=1e-5, atol=1e-6)


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(FOLDED, blob(2, 3, 4, 5), (blob(1, 3, 1, 1, seed=1), blob(1, 3, 1, 1, seed=2)))


def test_weights() -> None:
    assert blob_shapes(FOLDED, (2, 3, 4, 5)) == ((1, 3, 1, 1), (1, 3, 1, 1))


def test_the_top_has_four_axes() -> None:
    assert shapes(FOLDED, (2, 3)) == ((2, 3, 1, 1),)


def test_refuses_more_than_four_axes() -> None:
    assert_refused(FOLDED, (2, 3, 4, 5, 6), message="more than 4 axes")
