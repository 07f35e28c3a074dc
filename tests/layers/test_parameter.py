"""Parameter: its blob is its top."""

from __future__ import annotations

import numpy as np
import pytest

from tests.layers.one_layer import counting, decoded, shapes
from xportdnn.errors import LayerError

BODY = 'type: "Parameter" parameter_param { shape { dim: 2 dim: 3 } }'


def test_the_blob_is_the_top() -> None:
    kind, params = decoded(BODY, 0, 1)
    blob = counting(2, 3)
    (top,) = kind.forward(params, (), (blob,))
    np.testing.assert_array_equal(top, blob)


def test_blob_and_top_have_the_shape_in_the_text() -> None:
    kind, params = decoded(BODY, 0, 1)
    assert kind.blobs(params, ()) == shapes(BODY) == ((2, 3),)


def test_without_dims_it_is_one_value() -> None:
    assert shapes('type: "Parameter"') == ((),)


def test_an_empty_shape_is_refused() -> None:
    with pytest.raises(LayerError, match="shape 2x0 is empty"):
        shapes('type: "Parameter" parameter_param { shape { dim: 2 dim: 0 } }')
