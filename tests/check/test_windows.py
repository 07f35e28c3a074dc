"""Kernels, pads, strides and groups."""

from __future__ import annotations

import pytest

from tests.check.cases import Case
from tests.check.nets import INPUT, convolution, layer, messages, net, read
from xportdnn.check import look
from xportdnn.check.rules.windows import RULES


def window(text: str, kind: str = "Convolution") -> str:
    """A network of one layer of the kind, with this text in its block."""
    name = "pooling_param" if kind == "Pooling" else "convolution_param"
    given = "" if kind == "Pooling" else "num_output: 4"
    return net(layer("a", kind, f"{name} {{ {given} {text} }}"))


def deconvolution(text: str = "", kernel: int = 4, group: int = 6, made: int = 6) -> str:
    """A network of one Deconvolution at stride 2."""
    fields = f"num_output: {made} group: {group} kernel_size: {kernel} stride: 2 {text}"
    return net(layer("a", "Deconvolution", f"convolution_param {{ {fields} }}"))


CASES = {
    "num-output": Case(
        failing=net(layer("fc", "InnerProduct", "inner_product_param { bias_term: false }")),
        passing=net(layer("fc", "InnerProduct", "inner_product_param { num_output: 5 }")),
        says="inner_product_param has no num_output",
        line=2,
    ),
    "window-fields": Case(
        failing=window("kernel_size: 3\npad_h: 1"),
        passing=window("kernel_size: 3 pad_h: 1 pad_w: 1"),
        says="pad_h stands alone; the board wants pad_h and pad_w, or pad",
        line=3,
    ),
    "square-kernel": Case(
        failing=window("kernel_h: 1\nkernel_w: 7 pad_h: 0 pad_w: 3"),
        passing=window("kernel_h: 7 kernel_w: 7"),
        says="kernel_h is 1, kernel_w is 7",
        line=3,
    ),
    "square-pad": Case(
        failing=window("kernel_size: 3 pad_h: 1\npad_w: 0", "Pooling"),
        passing=window("kernel_size: 3 pad_h: 1 pad_w: 1", "Pooling"),
        says="pad_h is 1, pad_w is 0",
        line=3,
    ),
    "square-stride": Case(
        failing=window("kernel_size: 3\nstride_h: 2 stride_w: 1"),
        passing=window("kernel_size: 3 stride_h: 2 stride_w: 2"),
        says="stride_h is 2, stride_w is 1",
        line=3,
    ),
    "first-value-only": Case(
        failing=window("kernel_size: 3 pad: [1,\n0]"),
        passing=window("kernel_size: [3, 3] pad: [1, 1] stride: 2 dilation: 2"),
        says="pad is 1, 0; the board takes 1 for both axes",
    ),
    "group-divides": Case(
        failing=window("kernel_size: 3\ngroup: 4"),
        passing=window("kernel_size: 3 group: 2"),
        says="group is 4, the bottom has 6 channels",
        line=3,
    ),
    "deconvolution-pad": Case(
        failing=deconvolution("\npad: 1"), passing=deconvolution("pad: 0"), says="pad is 1 instead of 0", line=3
    ),
    "deconvolution-kernel": Case(
        failing=deconvolution(kernel=5),
        passing=deconvolution(kernel=3),
        says="kernel_size is 5 at stride 2 instead of 3 or 4",
        line=2,
    ),
    "deconvolution-group": Case(
        failing=deconvolution(group=1),
        passing=deconvolution(),
        says="6 channels come in, num_output is 6, group is 1; all three must be the same",
        line=2,
    ),
    # (9 + 2 - 2) / 4 rounds up to a third window; the one behind it would start at 12, past 9 + 1.
    "pooling-clip": Case(
        failing=window("kernel_size: 2 stride: 4\npad: 1", "Pooling"),
        passing=window("kernel_size: 3 stride: 2 pad: 1", "Pooling"),
        says="the board makes 4x3 of 9x7, Caffe 3x2",
        line=3,
    ),
}
NAMED = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("kind", ["Convolution", "ConvolutionRistretto", "Deconvolution"])
def test_num_output_is_wanted_of_every_kernel(kind: str) -> None:
    text = net(layer("a", kind, "convolution_param { kernel_size: 3 }"))
    assert messages(NAMED["num-output"], text) == ["convolution_param has no num_output"]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("", "Convolution", ["there is no kernel_size"]),
        ("", "Pooling", ["there is no kernel_size"]),
        ("global_pooling: true", "Pooling", []),
        ("kernel_w: 3", "Pooling", ["kernel_w stands alone; the board wants kernel_h and kernel_w, or kernel_size"]),
        ("kernel_size: 3 kernel_h: 3", "Deconvolution", ["kernel_size and kernel_h are both given"]),
        (
            "kernel_size: 3 stride: 2 stride_h: 2 stride_w: 2",
            "Convolution",
            ["stride and stride_h and stride_w are both given"],
        ),
        ("kernel_size: 3 pad: 0", "Convolution", []),
    ],
)
def test_window_fields(text: str, kind: str, found: list[str]) -> None:
    assert messages(NAMED["window-fields"], window(text, kind)) == found


@pytest.mark.parametrize(
    ("rule", "text", "kind", "found"),
    [
        pytest.param("square-kernel", "kernel_h: 2 kernel_w: 3", "Pooling", 0, id="Pooling of any window"),
        pytest.param("square-kernel", "kernel_h: 2", "Convolution", 0, id="half a kernel"),
        pytest.param("square-pad", "kernel_size: 3 pad_h: 0 pad_w: 1", "Convolution", 1, id="pad alone"),
        pytest.param("square-pad", "kernel_h: 1 kernel_w: 3 pad_h: 0 pad_w: 1", "Convolution", 0, id="pad of a kernel"),
        pytest.param("square-pad", "kernel_h: 1 kernel_w: 3 pad_h: 0 pad_w: 1", "Pooling", 1, id="pad of a window"),
        pytest.param("square-stride", "global_pooling: true stride_h: 1 stride_w: 2", "Pooling", 1, id="global"),
        pytest.param("group-divides", "kernel_size: 3 group: 0", "Convolution", 1, id="no group"),
        pytest.param("first-value-only", "kernel_size: 3 dilation: [1, 2]", "Convolution", 1, id="dilation"),
    ],
)
def test_found(rule: str, text: str, kind: str, found: int) -> None:
    assert len(messages(NAMED[rule], window(text, kind))) == found


def test_offsets_of_crop() -> None:
    text = net(layer("a", "Crop", 'bottom: "data" crop_param { offset: 2 offset: 3 }'))
    assert messages(NAMED["first-value-only"], text) == ["offset is 2, 3; the board takes 2 for both axes"]


@pytest.mark.parametrize(
    ("between", "channels"),
    [
        pytest.param(convolution(name="x"), 4, id="Convolution"),
        pytest.param(layer("x", "ReLU"), 6, id="ReLU"),
        pytest.param(layer("x", "Concat", 'bottom: "data"'), 12, id="Concat"),
        pytest.param(layer("x", "Eltwise", 'bottom: "data"'), 6, id="Eltwise"),
        pytest.param(layer("x", "Concat", 'bottom: "data" concat_param { axis: 2 }'), None, id="Concat of rows"),
        pytest.param(layer("x", "Reshape"), None, id="Reshape"),
        pytest.param(layer("x", "Mine", "user_defined_layer: true"), None, id="the user's own"),
    ],
)
def test_channels_are_followed(between: str, channels: int | None) -> None:
    found = messages(NAMED["group-divides"], net(between, convolution("group: 5", bottom="x")))
    assert found == ([f"group is 5, the bottom has {channels} channels"] if channels else [])


def test_channels_of_a_header() -> None:
    text = 'input: "data" input_shape { dim: 1 dim: 6 dim: 9 dim: 7 }' + convolution("group: 5")
    assert messages(NAMED["group-divides"], text) == ["group is 5, the bottom has 6 channels"]


@pytest.mark.parametrize(
    ("made", "group", "found"),
    [(6, 6, 0), (3, 3, 1), (6, 3, 1)],
    ids=["one for each", "fewer", "mixing"],
)
def test_deconvolution_group(made: int, group: int, found: int) -> None:
    assert len(messages(NAMED["deconvolution-group"], deconvolution(made=made, group=group))) == found


def test_a_deconvolution_behind_what_is_not_known() -> None:
    text = (
        deconvolution(made=8, group=8)
        .replace(INPUT, INPUT + layer("x", "Reshape"))
        .replace('"data" top: "a"', '"x" top: "a"')
    )
    assert messages(NAMED["deconvolution-group"], text) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kernel_size: 2 stride: 4", id="no pad"),
        pytest.param("kernel_size: 2 stride: 4 pad: 1 round_mode: FLOOR", id="rounding of another fork"),
        pytest.param("global_pooling: true pad: 0", id="global"),
    ],
)
def test_pooling_that_agrees(text: str) -> None:
    assert messages(NAMED["pooling-clip"], window(text, "Pooling")) == []


@pytest.mark.parametrize("kind", ["Pooling", "Convolution", "Deconvolution"])
def test_an_ordinary_window_is_silent(kind: str) -> None:
    text = deconvolution() if kind == "Deconvolution" else window("kernel_size: 3 pad: 1 stride: 2", kind)
    assert look(read(text), RULES) == ()
