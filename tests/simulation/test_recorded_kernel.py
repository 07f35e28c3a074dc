"""CHaiDNN's recorded layers through the whole way: prototxt and caffemodel's floats to integers, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.arithmetic.recorded import KernelCase, kernel_cases
from tests.simulation.quantized import block, run
from tests.small_nets import data, layer
from xportdnn.layers import Arrays
from xportdnn.simulation import Arithmetic, Simulated

_FIELDS = ("bw_layer_in", "bw_layer_out", "bw_params", "th_layer_in", "th_layer_out")
_FL = ("fl_layer_in", "fl_layer_out", "fl_params")


def of(op: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test by the cases of one operation."""
    return pytest.mark.parametrize("case", kernel_cases(op), ids=lambda case: case.name)


def formats(case: KernelCase, **more: object) -> str:
    """The case's block."""
    fields = {name: case.facts[name] for name in (*_FIELDS, *_FL) if case.facts.get(name) is not None}
    return block(fields | {"quant_type": case.facts["mode"]} | more)


def steps(case: KernelCase, side: str) -> NDArray[np.float32]:
    """The step of what the case reads (or its weights)."""
    facts = case.facts
    if facts["mode"] == "DynamicFixed":
        return np.asarray(2.0 ** -facts[f"fl_{side}"], np.float32)
    th = case.arrays["th_params"] if side == "params" else facts[f"th_{side}"]
    return np.asarray(np.float32(th).astype(np.float64) / (2 ** (facts[f"bw_{side}"] - 1) - 1), np.float32)


def weights(case: KernelCase) -> Arrays:
    """The caffemodel's floats, or where they were too many to keep, floats on the recorded integers."""
    whole = case.arrays["weights_int"]
    kept = case.arrays["weights_float"]
    floats = kept if kept.shape == whole.shape else whole * steps(case, "params").reshape(-1, 1, 1, 1)
    return floats.astype(np.float32), case.arrays["bias_float"]


def geometry(case: KernelCase, *names: str) -> str:
    facts = case.facts["geometry"]
    fields = {"kernel": "kernel_size"}
    return " ".join(f"{fields.get(name, name)}: {facts[name]}" for name in names)


def front(name: str, case: KernelCase, integers: NDArray[np.int8]) -> tuple[str, dict[str, NDArray[Any]]]:
    """A blob with these integers: the sum of two inputs, for no input is ever quantized to the most negative code."""
    high = np.maximum(integers, -(2 ** (case.facts["bw_layer_in"] - 1) - 1))
    step = steps(case, "layer_in")
    parts = {f"{name}_high": high * step, f"{name}_rest": (integers - high) * step}
    text = "".join(data(*integers.shape, name=part) for part in parts)
    entering = {name: case.facts[name] for name in ("bw_layer_in", "th_layer_in", "fl_layer_in") if name in case.facts}
    same = {name.replace("_in", "_out"): value for name, value in entering.items()}
    unit = block({"quant_type": case.facts["mode"]} | entering | same)
    return text + layer(name, "Eltwise", " ".join(parts), name, unit), parts


def simulated(case: KernelCase, kind: str, params: str, blobs: Arrays = ()) -> tuple[NDArray[np.int64], Simulated]:
    """The case's layer between Eltwise layers that make its bottoms and a ReLU, if it has one folded."""
    text, feeds = "", dict[str, NDArray[Any]]()
    names = [name for name in ("input_int", "input2_int") if name in case.arrays]
    for name in names:
        one, parts = front(name, case, case.arrays[name])
        text, feeds = text + one, feeds | parts
    thresholds = {"th_params": tuple(case.arrays["th_params"])} if "th_params" in case.arrays else {}
    text += layer("case", kind, " ".join(names), "case", f"{params}\n{formats(case, **thresholds)}")
    if case.facts.get("relu"):
        text += layer("relu", "ReLU", "case", "case")
    found = run(text, {"case": blobs}, feeds, Arithmetic.CHAIDNN)
    last = found["relu" if case.facts.get("relu") else "case"]
    return last.integers[0], found["case"]


@of("Convolution")
def test_convolution(case: KernelCase) -> None:
    params = geometry(case, "num_output", "kernel", "stride", "pad", "dilation", "group")
    integers, _ = simulated(case, "Convolution", f"convolution_param {{ {params} }}", weights(case))
    np.testing.assert_array_equal(integers, case.arrays["output_int"])


@of("Pooling")
def test_pooling(case: KernelCase) -> None:
    params = f"pool: {case.facts['pool']} {geometry(case, 'kernel', 'stride', 'pad')}"
    integers, _ = simulated(case, "Pooling", f"pooling_param {{ {params} }}")
    np.testing.assert_array_equal(integers, case.arrays["output_int"])


@of("Eltwise")
def test_eltwise(case: KernelCase) -> None:
    integers, _ = simulated(case, "Eltwise", "")
    np.testing.assert_array_equal(integers, case.arrays["output_int"])


@of("Quantize")
def test_software_to_hardware(case: KernelCase) -> None:
    """A Crop runs in software, and a 1x1 pooling passes on what enters the kernel."""
    floats = case.arrays["input_float"]
    text = data(*floats.shape) + layer("crop", "Crop", "data data", "crop") + entrance(case, "crop")
    found = run(text, {}, {"data": floats}, Arithmetic.CHAIDNN)
    np.testing.assert_array_equal(found["pool"].integers[0], case.arrays["output_int"])


def entrance(case: KernelCase, bottom: str) -> str:
    """A layer of the kernel that changes nothing."""
    fields = {name: case.facts[name] for name in ("bw_layer_in", "th_layer_in", "fl_layer_in") if name in case.facts}
    both = fields | {name.replace("_in", "_out"): value for name, value in fields.items()}
    formats = block(both | {"quant_type": case.facts["mode"]})
    return layer("pool", "Pooling", bottom, "pool", f"pooling_param {{ pool: MAX kernel_size: 1 }}\n{formats}")


@of("Dequantize")
def test_hardware_to_software(case: KernelCase) -> None:
    facts = case.facts
    fields = {f"{name}_{side}": facts[f"{name}_out"] for name in ("bw_layer", "th_layer") for side in ("in", "out")}
    same = KernelCase(case.name, {**facts, **fields}, case.arrays)
    text, feeds = front("input_int", same, case.arrays["input_int"])
    text += layer("crop", "Crop", "input_int input_int", "crop")
    found = run(text, {}, feeds, Arithmetic.CHAIDNN)
    np.testing.assert_array_equal(found["crop"].tops[0], case.arrays["output_float"])


@of("InputQuantization")
def test_input(case: KernelCase) -> None:
    facts, image = case.facts, case.arrays["image_uint8"]
    if facts["mode"] == "DynamicFixed" and "divisor" not in facts:
        pytest.skip("8-bit pixels that the application feeds without floats")
    values = image - np.float32(facts["mean"])
    if "divisor" in facts:
        values = (image / 255.0 - np.float64(facts["mean"])) / np.float64(facts["divisor"])
    feeds = {"data": values.astype(np.float32).transpose(2, 0, 1)[np.newaxis]}
    found = run(data(*feeds["data"].shape) + entrance(case, "data"), {}, feeds, Arithmetic.CHAIDNN)
    np.testing.assert_array_equal(found["pool"].integers[0][0], case.arrays["output_int"])


@pytest.mark.parametrize(
    ("name", "saturates", "wraps"),
    [
        ("df8_bias_int16_wrap", False, False),
        ("x8_acc_saturates", True, False),
        ("x8_24bit_wrap", True, True),
        ("x8_y_wraps", True, True),
        ("x8_round_overflow", True, True),
        ("x6_20bit_wrap_images_differ", True, True),
    ],
)
def test_limits_are_counted(name: str, saturates: bool, wraps: bool) -> None:
    (case,) = (case for case in kernel_cases("Convolution") if case.name == name)
    params = geometry(case, "num_output", "kernel", "stride", "pad", "dilation", "group")
    _, said = simulated(case, "Convolution", f"convolution_param {{ {params} }}", weights(case))
    assert (said.saturated > 0, said.wrapped > 0) == (saturates, wraps)
