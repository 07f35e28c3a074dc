"""InnerProduct against the reference rule, and what happens to its weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.networks import assert_close, assert_like_the_reference, one_layer
from tests.small_nets import by_name
from xportdnn import execute
from xportdnn.engine import inner_product, rule
from xportdnn.engine.inner_product import InnerProduct
from xportdnn.layers import Array, Shape


@pytest.mark.parametrize("fields", ["", "bias_term: false", "transpose: true"], ids=["bias", "no-bias", "transposed"])
@pytest.mark.parametrize(
    "bottom",
    [
        pytest.param((1, 5, 4, 3), id="image"),
        pytest.param((1, 17), id="vector"),
        pytest.param((1, 4, 3), id="three-axes"),
        pytest.param((3, 4), id="several-images"),
    ],
)
def test_bottoms(bottom: Shape, fields: str) -> None:
    assert_like_the_reference(one_layer("InnerProduct", f"inner_product_param {{ num_output: 7 {fields} }}", bottom))


def unaligned(array: Array) -> Array:
    """The same numbers at an odd address, read-only, as in a memory-mapped caffemodel."""
    memory = np.frombuffer(b"\0" + array.tobytes(), np.float32, array.size, offset=1)
    return memory.reshape(array.shape)


def test_weights_that_are_not_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inner_product, "_BLOCK", 4 * 60 * 3)
    case = one_layer("InnerProduct", "inner_product_param { num_output: 10 }", (1, 5, 4, 3))
    layer = by_name(case.net, "it")
    blobs = tuple(unaligned(blob) for blob in case.weights[layer.index])
    assert not blobs[0].flags.aligned
    bottoms = (case.feeds()[layer.bottoms[0]],)
    (found,) = rule(case.net, layer, ((1, 5, 4, 3),), blobs)(bottoms)
    (expected,) = execute.forward(case.net, layer, bottoms, blobs)
    assert_close(found, expected)


@pytest.mark.parametrize("make", [np.array, unaligned], ids=["aligned", "unaligned"])
def test_the_weights_are_kept_where_they_are(make: type) -> None:
    weights: Array = make(np.ones((400, 2000), np.float32))
    kernel = InnerProduct(weights, ())
    assert kernel.weights is weights
    assert 4 * kernel.scratch <= 4 * 2000 + inner_product._BLOCK
