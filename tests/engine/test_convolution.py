"""Every way to compute a convolution, against the reference rule on random shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.engine.networks import assert_close, assert_like_the_reference, one_layer
from tests.layers.naive import Steps, convolved_size
from tests.small_nets import by_name
from xportdnn.engine import choice, convolution, depthwise, layout, winograd
from xportdnn.engine.choice import Work
from xportdnn.engine.kernel import Kernel
from xportdnn.kernels import Windows
from xportdnn.layers import Shape

sides = st.tuples(st.integers(1, 3), st.integers(1, 3))
sizes = st.sampled_from([(5, 7), (9, 4), (6, 13)])


def params(steps: Steps, num_output: int, group: int = 1, bias: bool = True) -> str:
    return (
        f"convolution_param {{ num_output: {num_output} group: {group} bias_term: {str(bias).lower()} "
        f"kernel_h: {steps.kernel[0]} kernel_w: {steps.kernel[1]} stride_h: {steps.stride[0]} "
        f"stride_w: {steps.stride[1]} pad_h: {steps.pad[0]} pad_w: {steps.pad[1]} "
        f"dilation: {steps.dilation[0]} dilation: {steps.dilation[1]} }}"
    )


def kernel(block: str, bottom: Shape) -> Kernel | None:
    """What the engine chose for a convolution."""
    case = one_layer("Convolution", block, bottom)
    layer = by_name(case.net, "it")
    return choice.kernel(Work(layer, (bottom,), (case.shapes[layer.tops[0]],), case.weights[layer.index]))


@settings(max_examples=40, deadline=None)
@given(
    kernel=sides,
    stride=sides,
    dilation=sides,
    pad=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    size=sizes,
    # (group, channels, num_output): plain, grouped, with two outputs for each channel
    groups=st.sampled_from([(1, 3, 8), (2, 8, 6), (3, 3, 6), (1, 1, 1)]),
    bias=st.booleans(),
)
def test_unrolled_windows(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[int, int],
    size: tuple[int, int],
    groups: tuple[int, int, int],
    bias: bool,
) -> None:
    steps = Steps(kernel, stride, pad, dilation)
    assume(min(convolved_size(steps, size)) > 0)
    group, channels, num_output = groups
    block = params(steps, num_output, group, bias)
    assert_like_the_reference(one_layer("Convolution", block, (1, channels, *size)))


@settings(max_examples=40, deadline=None)
@given(
    kernel=sides,
    stride=sides,
    dilation=sides,
    pad=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    size=sizes,
    channels=st.integers(2, 11),
)
def test_depthwise(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[int, int],
    size: tuple[int, int],
    channels: int,
) -> None:
    steps = Steps(kernel, stride, pad, dilation)
    assume(min(convolved_size(steps, size)) > 0)
    assert_like_the_reference(one_layer("Convolution", params(steps, channels, channels), (1, channels, *size)))


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    channels=st.integers(1, 40),
    num_output=st.integers(1, 70),
)
def test_winograd(size: tuple[int, int], pad: tuple[int, int], channels: int, num_output: int) -> None:
    """Called directly, where it would not pay too."""
    rng = np.random.default_rng(num_output)
    counts = (size[0] + 2 * pad[0] - 2, size[1] + 2 * pad[1] - 2)
    assume(min(counts) > 0)
    block = params(Steps((3, 3), pad=pad), num_output, bias=False)
    case = one_layer("Convolution", block, (1, channels, *size), seed=int(rng.integers(100)))
    layer = by_name(case.net, "it")
    (weight,) = case.weights[layer.index]
    found = winograd.Winograd(pad, counts, winograd.factor(weight, counts), ())
    feeds = case.feeds()
    top = layout.empty((1, num_output, *counts))
    scratch = np.full(found.scratch, np.nan, np.float32)
    found.bind((layout.laid_out(feeds[layer.bottoms[0]]),), top, scratch)()
    assert_close(top, case.reference(feeds)[layer.tops[0]])


def test_winograd_stays_within_the_tolerance_over_many_channels() -> None:
    block = params(Steps((3, 3), pad=(1, 1)), 96, bias=False)
    assert_like_the_reference(one_layer("Convolution", block, (1, 512, 14, 13)))


def test_winograds_transforms_filter_exactly() -> None:
    """Without rounding, a tile's outputs are those of the plain sum (Lavin and Gray, equation 8)."""
    rng = np.random.default_rng(0)
    tile, taps = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    matrices = winograd.transforms()
    found = matrices.outputs @ ((matrices.inputs @ tile.ravel()) * (matrices.weights @ taps.ravel()))
    expected = [[(tile[y : y + 3, x : x + 3] * taps).sum() for x in range(4)] for y in range(4)]
    np.testing.assert_allclose(found.reshape(4, 4), expected, rtol=1e-12, atol=1e-12)


THREE = Windows((3, 3), (1, 1), (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("channels", "num_output", "side", "pays"),
    [
        pytest.param(64, 64, 56, True, id="as-usual"),
        pytest.param(512, 512, 7, True, id="small-plane"),
        pytest.param(3, 64, 224, False, id="few-channels"),
        pytest.param(16, 32, 13, False, id="tiles-that-stick-out"),
    ],
)
def test_winograd_is_chosen_where_it_saves_multiplications(
    channels: int, num_output: int, side: int, pays: bool
) -> None:
    assert winograd.pays(THREE, (side, side), channels, num_output, 1) is pays


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(params(Steps((3, 3), pad=(1, 1)), 48), winograd.Winograd, id="3x3"),
        pytest.param(params(Steps((3, 3), (2, 2)), 48), convolution.Convolution, id="stride"),
        pytest.param(params(Steps((3, 3), dilation=(2, 2)), 48), convolution.Convolution, id="dilation"),
        pytest.param(params(Steps((3, 3)), 48, 2), convolution.Convolution, id="group"),
        pytest.param(params(Steps((3, 3)), 32, 32), depthwise.Depthwise, id="depthwise"),
        pytest.param(params(Steps((1, 1)), 48), convolution.Convolution, id="1x1"),
    ],
)
def test_the_kernel_is_chosen_by_fields_and_shapes(block: str, expected: type) -> None:
    assert isinstance(kernel(block, (1, 32, 20, 24)), expected)


def test_several_images_or_other_axes_are_left_to_the_reference_rule() -> None:
    block = "convolution_param { num_output: 4 kernel_size: 3 }"
    assert kernel(block, (2, 3, 8, 9)) is None
    assert kernel(block, (1, 3, 9)) is None


def test_1x1_kernels_read_the_image_as_it_is() -> None:
    found = kernel(params(Steps((1, 1)), 6), (1, 5, 7, 8))
    assert found is not None
    assert found.scratch == 0
