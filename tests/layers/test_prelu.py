"""PReLU: a slope per channel or one for all."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.one_layer import blob, values
from tests.layers.weighted import assert_close, assert_images_alone, assert_refused, blob_shapes, opencv, top

PRELU = 'type: "PReLU"'
SHARED = f"{PRELU} prelu_param {{ channel_shared: true }}"


def test_a_slope_per_channel() -> None:
    x = values(-1, 2, -3, 4).reshape(1, 2, 2)
    np.testing.assert_array_equal(top(PRELU, x, blobs=(values(0.5, -2),)), [[[-0.5, 2], [6, 4]]])


def test_one_slope_for_all() -> None:
    x = values(-1, 2, -3).reshape(1, 3)
    np.testing.assert_array_equal(top(SHARED, x, blobs=(np.array(0.5, np.float32),)), [[-0.5, 2, -1.5]])


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(-4, 4, width=32))
def test_equal_slopes_are_a_shared_one(slope: float) -> None:
    x = blob(2, 3, 4, 5)
    shared = np.array(slope, np.float32)
    np.testing.assert_array_equal(top(PRELU, x, blobs=(values(slope, slope, slope),)), top(SHARED, x, blobs=(shared,)))


def test_agrees_with_opencv() -> None:
    x, slopes = blob(2, 3, 4, 5), blob(3, seed=1)
    assert_close(top(PRELU, x, blobs=(slopes,)), opencv(PRELU, x, blobs=(slopes,)))


def test_a_batch_gives_what_its_images_give() -> None:
    assert_images_alone(PRELU, blob(2, 3, 4, 5), (blob(3, seed=1),))


def test_weights() -> None:
    assert blob_shapes(PRELU, (2, 3, 4, 5)) == ((3,),)


def test_shared_weights_have_no_axes() -> None:
    assert blob_shapes(SHARED, (2, 3, 4, 5)) == ((),)


def test_refuses_a_bottom_without_channels() -> None:
    assert_refused(PRELU, (5,), message=r"channel axis \(axis 1\), it is 5")
