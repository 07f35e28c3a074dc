"""The arithmetic of caffe.io.Transformer: by hand, against scikit-image, and against Xilinx's published numbers."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xportdnn import caffemodel
from xportdnn.errors import UsageError
from xportdnn.folder import choose, find
from xportdnn.images import load
from xportdnn.transformer import Preprocessing, mean_from, resize

Array = NDArray[np.float32]
SHARED = Path(__file__).parents[2] / "shared"
XILINX = SHARED / "golden" / "xilinx_resnet50"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photographs and golden numbers are not there")
skimage_resize: Any = skimage.transform.resize
skimage_warp: Any = skimage.transform.warp


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def caffe_resize(image: Array, size: tuple[int, int]) -> Array:
    """caffe.io.resize_image upon the scikit-image of today."""
    low, high = image.min(), image.max()
    small = skimage_resize((image - low) / (high - low), size, order=1, mode="constant", anti_aliasing=False)
    stretched: Array = small * (high - low) + low
    return stretched


def warp_resize(image: Array, size: tuple[int, int]) -> Array:
    """caffe.io.resize_image upon `warp` in float64, which is how the scikit-image of Caffe's days resized."""
    low, high = image.min(), image.max()
    down, across = image.shape[0] / size[0], image.shape[1] / size[1]
    matrix = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    small = skimage_warp(((image - low) / (high - low)).astype(np.float64), matrix, output_shape=size, order=1)
    stretched: Array = (small * np.float64(high - low) + np.float64(low)).astype(np.float32)
    return stretched


class TestResize:
    @settings(max_examples=120, deadline=None)
    @given(
        sides=st.tuples(*[st.integers(1, 40)] * 4),
        channels=st.sampled_from([1, 3]),
        low=st.floats(-300, 300, width=32),
        spread=st.sampled_from([0.01, 1, 255]),
        seed=st.integers(0, 9),
    )
    def test_it_is_scikit_images(
        self, sides: tuple[int, int, int, int], channels: int, low: float, spread: float, seed: int
    ) -> None:
        image = noise(*sides[:2], channels, seed=seed) * np.float32(spread) + np.float32(low)
        resized = resize(image, sides[2:])
        assert resized.dtype == np.float32
        if image.min() == image.max():
            np.testing.assert_array_equal(resized, np.full((*sides[2:], channels), image.flat[0]))
            return
        # scikit-image rounds the stretched values to float32, and so does the stretching back.
        tolerance = 2e-7 * max(spread, abs(low), abs(low + spread))
        np.testing.assert_allclose(resized, caffe_resize(image, sides[2:]), rtol=0, atol=tolerance)
        np.testing.assert_allclose(resized, warp_resize(image, sides[2:]), rtol=0, atol=tolerance)

    def test_enlarging_darkens_the_border_towards_the_least_value(self) -> None:
        image = np.array([[[0.25], [1.0]]], np.float32)
        # Samples at -0.25, 0.25, 0.75 and 1.25; stretched pixels 0 and 1 with 0 around them.
        assert resize(image, (1, 4)).ravel().tolist() == [0.25, 0.4375, 0.8125, 0.8125]

    def test_halving_takes_means_of_four(self) -> None:
        image = np.arange(24, dtype=np.float32).reshape(4, 6, 1)
        assert resize(image, (2, 3))[:, :, 0].tolist() == [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]

    def test_a_third_takes_every_third_pixel(self) -> None:
        image = noise(9, 15, 3)
        np.testing.assert_allclose(resize(image, (3, 5)), image[1::3, 1::3], rtol=0, atol=1e-7)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_constant_picture_stays_constant(self, channels: int) -> None:
        resized = resize(np.full((4, 6, channels), 0.3, np.float32), (9, 5))
        assert resized.shape == (9, 5, channels)
        assert (resized == np.float32(0.3)).all()

    def test_the_picture_is_not_written_to(self) -> None:
        image = noise(5, 7, 3)
        image.flags.writeable = False
        resize(image, (3, 4))

    @needs_shared
    @pytest.mark.parametrize("size", [(224, 224), (300, 500)], ids=["smaller", "mixed"])
    def test_a_photograph(self, size: tuple[int, int]) -> None:
        image, _ = load(SHARED / "images" / "voc_like" / "000456.jpg", 3)
        np.testing.assert_allclose(resize(image, size), caffe_resize(image, size), rtol=0, atol=6e-8)
        np.testing.assert_allclose(resize(image, size), warp_resize(image, size), rtol=0, atol=6e-8)


class TestApply:
    @pytest.mark.parametrize("size", [(5, 7), (4, 6)], ids=["same-size", "resized"])
    @pytest.mark.parametrize("mean_axes", [1, 3])
    def test_it_is_caffes_sequence_to_the_last_bit(self, size: tuple[int, int], mean_axes: int) -> None:
        image, mean = noise(5, 7, 3), np.array([104.007, 116.669, 122.679], np.float32)
        if mean_axes == 3:
            mean = noise(3, *size) * 200
        caffe_in = (image if size == image.shape[:2] else resize(image, size)).transpose(2, 0, 1)[[2, 1, 0], :, :]
        caffe_in *= 255.0
        caffe_in -= mean.reshape(3, *mean.shape[1:] or (1, 1))
        caffe_in *= 0.017
        steps = Preprocessing(channel_swap=(2, 1, 0), raw_scale=255.0, mean=mean, input_scale=0.017)
        result = steps.apply(image, size)
        np.testing.assert_array_equal(result, caffe_in)
        assert (result.dtype.name, result.flags.c_contiguous) == ("float32", True)

    def test_by_hand(self) -> None:
        image = np.array([[[0.25, 0.5, 1.0], [0.0, 0.75, 0.5]]], np.float32)
        steps = Preprocessing((2, 0, 1), (2, 1, 0), 4.0, np.array([1, 2, 3], np.float32), 0.5)
        assert steps.apply(image, (1, 2)).tolist() == [[[1.5, 0.5]], [[0, 0.5]], [[-1, -1.5]]]

    def test_nothing_asked_for_is_only_transposed(self) -> None:
        # Stretching this picture to [0, 1] and back would change last bits.
        image = noise(5, 7, 3) * np.float32(0.3) + np.float32(0.1)
        result = Preprocessing().apply(image, (5, 7))
        np.testing.assert_array_equal(result, image.transpose(2, 0, 1))
        assert result.flags.c_contiguous

    def test_one_channel(self) -> None:
        image = noise(5, 7, 1)
        steps = Preprocessing(raw_scale=255.0, mean=np.array([33], np.float32))
        np.testing.assert_array_equal(steps.apply(image, (5, 7)), (image * np.float32(255) - 33).transpose(2, 0, 1))

    @pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
    def test_every_transpose_of_a_cube(self, order: tuple[int, ...]) -> None:
        image = noise(3, 3, 3)
        np.testing.assert_array_equal(Preprocessing(order).apply(image, (3, 3)), image.transpose(order))

    def test_x_and_y_are_exchanged_for_square_inputs(self) -> None:
        image = noise(9, 6, 3)
        np.testing.assert_array_equal(Preprocessing((2, 1, 0)).apply(image, (4, 4)), resize(image, (4, 4)).T)

    def test_the_picture_is_not_written_to(self) -> None:
        image = noise(5, 7, 3)
        image.flags.writeable = False
        Preprocessing(raw_scale=255.0, mean=np.array([1, 2, 3], np.float32), input_scale=2.0).apply(image, (5, 7))


class TestCheck:
    @pytest.mark.parametrize(
        ("steps", "said"),
        [
            pytest.param(
                {"transpose": (2, 1, 0)}, "picture of 5x7x3 into 3x7x5; the network's input is 3x5x7", id="transpose"
            ),
            pytest.param({"channel_swap": (1, 0)}, "channel_swap 1,0 orders 2 channels; .* has 3", id="swap-of-2"),
            pytest.param({"channel_swap": (0,)}, "channel_swap 0 orders 1 channels", id="swap-of-1"),
            pytest.param({"mean": np.zeros(4, np.float32)}, "the mean is 4; .* input is 3x5x7", id="mean-of-4"),
            pytest.param({"mean": np.zeros((3, 7, 5), np.float32)}, "the mean is 3x7x5; .* 3x5x7", id="mean-turned"),
        ],
    )
    def test_what_does_not_fit_the_network_is_named(self, steps: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            Preprocessing(**steps).apply(noise(9, 11, 3), (5, 7))

    @pytest.mark.parametrize(
        ("steps", "said"),
        [
            pytest.param({"transpose": (2, 0, 0)}, "transpose 2,0,0 must hold 0, 1 and 2", id="repeated-axis"),
            pytest.param({"transpose": (0, 1)}, "transpose 0,1 must", id="two-axes"),
            pytest.param(
                {"channel_swap": (2, 1, 1)}, "channel_swap 2,1,1 must hold each channel", id="repeated-channel"
            ),
            pytest.param({"channel_swap": (3, 2, 1)}, "counted from 0", id="counted-from-1"),
            pytest.param({"raw_scale": float("nan")}, "raw_scale must be a finite number, it is nan", id="nan"),
            pytest.param({"input_scale": float("inf")}, "input_scale must be a finite number", id="infinite"),
        ],
    )
    def test_what_fits_no_network_is_refused_at_once(self, steps: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            Preprocessing(**steps)


MEAN = np.array([104, 117, 123], np.float32)


class TestWords:
    @pytest.mark.parametrize(
        ("steps", "formula"),
        [
            pytest.param(
                Preprocessing((2, 0, 1), (2, 1, 0), 255.0, MEAN, 1.0),
                "(pixel * 255 - mean [104, 117, 123]) * 1, channels 2,1,0",
                id="all",
            ),
            pytest.param(Preprocessing(), "pixel", id="nothing"),
            pytest.param(Preprocessing(raw_scale=255.0), "pixel * 255", id="raw_scale"),
            pytest.param(
                Preprocessing(raw_scale=255.0, input_scale=0.00390625), "pixel * 255 * 0.00390625", id="scales"
            ),
            pytest.param(
                Preprocessing(mean=MEAN + np.float32(0.007)), "pixel - mean [104.007, 117.007, 123.007]", id="mean"
            ),
            pytest.param(Preprocessing(mean=np.zeros((3, 5, 7), np.float32)), "pixel - mean 3x5x7", id="mean-file"),
            pytest.param(Preprocessing((2, 1, 0)), "pixel, transposed 2,1,0", id="transpose"),
        ],
    )
    def test_formula(self, steps: Preprocessing, formula: str) -> None:
        assert steps.formula() == formula

    @pytest.mark.parametrize(
        ("steps", "reach"),
        [
            pytest.param(Preprocessing(), (0, 1), id="nothing"),
            pytest.param(Preprocessing(raw_scale=255.0, mean=MEAN), (-123, 151), id="imagenet"),
            pytest.param(Preprocessing(raw_scale=255.0, input_scale=-2.0), (-510, 0), id="negative-scale"),
            pytest.param(Preprocessing(mean=np.arange(6, dtype=np.float32).reshape(1, 2, 3)), (-5, 1), id="mean-file"),
        ],
    )
    def test_reach(self, steps: Preprocessing, reach: tuple[float, float]) -> None:
        assert steps.reach() == reach


@needs_shared
class TestXilinx:
    """The batch that Xilinx's quantizer saw, from the images and options in its published log."""

    def batch(self, bits: int) -> Array:
        mean, _ = mean_from("104.007,116.669,122.679", 3, (224, 224))
        given = Preprocessing((2, 0, 1), (2, 1, 0), 255.0, mean, 1.0)
        chosen = choose(find(XILINX / f"images_{bits}bit"), 8, 3)
        return np.stack([given.apply(load(picture.path, 3)[0], (224, 224)) for picture in chosen.pictures])

    @pytest.mark.parametrize("bits", [8, 16])
    def test_the_greatest_input_is_the_published_one(self, bits: int) -> None:
        assert np.abs(self.batch(bits)).max() == 150.9929962158203

    def test_the_first_convolution_of_the_16_bit_run_has_the_published_maximum(self) -> None:
        published = json.loads((XILINX / "published_16bit.json").read_text())["layers"]
        (expected,) = (layer for layer in published if layer["name"] == "conv1")
        model = caffemodel.read(XILINX / "resnet50_to_res3d.caffemodel")
        (conv1,) = (layer for layer in model.layers if layer.name == "conv1")
        weights, bias = (blob.values() for blob in conv1.blobs)
        padded = np.pad(self.batch(16), ((0, 0), (0, 0), (3, 3), (3, 3)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(2, 3))[:, :, ::2, ::2]
        greatest = max(
            np.abs(np.tensordot(weights, image, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]).max()
            for image in windows
        )
        # 16-bit rounding of input and weights moves it by less than the six printed digits of the weights.
        assert greatest == pytest.approx(expected["max_abs"], rel=expected["max_abs_rtol"])
