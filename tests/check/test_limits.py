"""What the board's documentation limits, and its pooling at the border."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import messages
from tests.small_nets import conv, data, layer
from xportdnn.check.rules.limits import RULES

BY_ID = {rule.id: rule for rule in RULES}


def pool(bottom: str, text: str) -> str:
    """A Pooling named `pool`."""
    return layer("pool", "Pooling", bottom, "pool", f"pooling_param {{ {text} }}")


def upsampled(*behind: str) -> str:
    """A Deconvolution of 4 channels named `up`, and what stands behind it."""
    params = "convolution_param { num_output: 4 kernel_size: 4 stride: 2 group: 4 }"
    return data(1, 4, 6, 5) + layer("up", "Deconvolution", "data", "up", params) + "".join(behind)


def boxes(text: str) -> str:
    """A DetectionOutput on two blobs and priors."""
    params = f"detection_output_param {{ num_classes: 3 share_location: true {text} }}"
    inputs = data(1, 24) + data(1, 18, name="scores") + data(1, 2, 24, name="priors")
    return inputs + layer("boxes", "DetectionOutput", "data scores priors", "boxes", params)


CUT = layer("cut", "Crop", "up data", "cut", "crop_param { axis: 2 offset: 1 }")
ARGMAX = layer("class", "ArgMax", "up", "class", "argmax_param { axis: 1 }")
CASES: dict[str, Case] = {
    "kernel-size": Case(
        data(1, 3, 9, 8) + conv("a", "data", "a", 5, "kernel_size: 2"),
        data(1, 3, 13, 12) + conv("a", "data", "a", 5, "kernel_size: 11"),
        says="2x2",
        line=12,
    ),
    "dilation": Case(
        data(1, 3, 19, 18) + conv("a", "data", "a", 5, "kernel_size: 3 dilation: 7"),
        data(1, 3, 19, 18) + conv("a", "data", "a", 5, "kernel_size: 3 dilation: 6"),
        says="dilation is 7",
    ),
    "feature-maps": Case(
        data(1, 4096, 3, 2) + conv("a", "data", "a", 4097),
        data(1, 4095, 3, 2) + conv("a", "data", "a", 4095),
        says="4096 feature maps come in and 4097 feature maps go out, 4095 is the most",
    ),
    "deconvolution-read": Case(
        upsampled(layer("prob", "Softmax", "up", "prob")), upsampled(ARGMAX), says="prob (Softmax) reads what it makes"
    ),
    "box-count": Case(boxes("keep_top_k: 201"), boxes("keep_top_k: 200"), says="keep_top_k is 201"),
    "max-pooling-border": Case(
        data(1, 3, 9, 8) + conv("a", "data", "a", 5) + pool("a", "kernel_size: 3 stride: 2 pad: 1"),
        data(1, 3, 9, 8)
        + conv("a", "data", "a", 5)
        + layer("r", "ReLU", "a", "a")
        + pool("a", "kernel_size: 3 stride: 2 pad: 1"),
        says="pad 1, and 'a' can hold numbers below 0",
    ),
    "average-pooling-border": Case(
        data(1, 32, 8, 6) + pool("data", "pool: AVE kernel_size: 3 stride: 2"),
        data(1, 32, 9, 7) + pool("data", "pool: AVE kernel_size: 3 stride: 2 pad: 1"),
        says="6 of 12 windows hang over the padded picture; Caffe divides their sums by as few as 4, the board by 9",
    ),
}


@pytest.mark.parametrize("size", [1, 3, 5, 7, 11])
def test_every_documented_kernel_is_taken(size: int) -> None:
    text = data(1, 3, 13, 12) + conv("a", "data", "a", 5, f"kernel_size: {size}")
    assert messages(BY_ID["kernel-size"], text) == []


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        pytest.param("", [], id="worked into a convolution"),
        pytest.param(layer("r", "ReLU", "a", "a"), ["2048 feature maps"], id="alone"),
    ],
)
def test_normalization_has_half_as_many_feature_maps(behind: str, said: list[str]) -> None:
    text = data(1, 3, 3, 2) + conv("a", "data", "a", 2048) + behind
    text += layer("norm", "BatchNorm", "a", "a") + layer("scale", "Scale", "a", "a")
    found = messages(BY_ID["feature-maps"], text)
    assert [message[: len("2048 feature maps")] for message in found] == said * 2


def test_a_piece_may_be_cut_out_before_argmax() -> None:
    assert messages(BY_ID["deconvolution-read"], upsampled(CUT, ARGMAX.replace('bottom: "up"', 'bottom: "cut"'))) == []


def test_a_deconvolution_at_the_end() -> None:
    assert messages(BY_ID["deconvolution-read"], upsampled()) == ["nothing reads what it makes"]


def test_all_boxes_are_kept_where_nothing_is_said() -> None:
    assert messages(BY_ID["box-count"], boxes("")) == ["keep_top_k is not given, all boxes are kept"]


@pytest.mark.parametrize(
    ("text", "bottom"),
    [
        pytest.param(layer("r", "ReLU", "a", "a") + layer("c", "Concat", "a a", "c"), "c", id="concat of rectified"),
        pytest.param(layer("s", "Softmax", "a", "s"), "s", id="softmax"),
        pytest.param(layer("r", "ReLU", "a", "r") + layer("e", "Eltwise", "r r", "e"), "e", id="sum of rectified"),
    ],
)
def test_maxima_of_what_is_never_negative(text: str, bottom: str) -> None:
    text = data(1, 3, 9, 8) + conv("a", "data", "a", 5) + text + pool(bottom, "kernel_size: 3 pad: 1")
    assert messages(BY_ID["max-pooling-border"], text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(layer("r", "ReLU", "a", "x", "relu_param { negative_slope: 0.1 }"), id="leaky"),
        pytest.param(
            layer("r", "ReLU", "a", "r") + layer("x", "Eltwise", "r r", "x", "eltwise_param { coeff: 1 coeff: -1 }"),
            id="difference",
        ),
        pytest.param(layer("x", "Concat", "a data", "x"), id="concat with the input"),
    ],
)
def test_maxima_of_what_may_be_negative(text: str) -> None:
    text = data(1, 3, 9, 8) + conv("a", "data", "a", 5) + text + pool("x", "kernel_size: 3 pad: 1")
    (message,) = messages(BY_ID["max-pooling-border"], text)
    assert message.startswith("pad 1")


def test_maxima_that_a_relu_reads() -> None:
    text = data(1, 3, 9, 8) + pool("data", "kernel_size: 3 pad: 1") + layer("r", "ReLU", "pool", "pool")
    assert messages(BY_ID["max-pooling-border"], text) == []


def test_maxima_of_windows_that_hang_over() -> None:
    text = data(1, 3, 9, 8) + pool("data", "kernel_size: 3 stride: 2")
    assert messages(BY_ID["max-pooling-border"], text) == [
        "windows that hang over by 1, and 'data' can hold numbers below 0"
    ]


def test_maxima_without_border() -> None:
    assert messages(BY_ID["max-pooling-border"], data(1, 3, 9, 7) + pool("data", "kernel_size: 3 stride: 2")) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pool: AVE kernel_size: 3 stride: 5", id="hanging over too far"),
        pytest.param("pool: AVE kernel_size: 12 stride: 5", id="too large a window"),
    ],
)
def test_averages_that_are_wrong_for_another_reason(text: str) -> None:
    assert messages(BY_ID["average-pooling-border"], data(1, 32, 14, 14) + pool("data", text)) == []
