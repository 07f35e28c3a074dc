"""Every case that was recorded from CHaiDNN's own code, bit for bit."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.arithmetic import recorded
from tests.arithmetic.arrays import f32
from tests.arithmetic.recorded import KernelCase, kernel_cases
from tests.data import pack_arithmetic
from tests.golden import DATA
from xportdnn.arithmetic.board import eltwise, ends, pooling, weights
from xportdnn.arithmetic.board.convolution import Result, convolution
from xportdnn.arithmetic.board.saturations import Saturations
from xportdnn.arithmetic.board.weights import Stored
from xportdnn.choices import Triple
from xportdnn.kernels import Windows

SHARED = Path(__file__).parents[3] / "shared" / "golden"


def of(op: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test by the cases of one operation."""
    return pytest.mark.parametrize("case", kernel_cases(op), ids=lambda case: case.name)


def triple(facts: dict[str, Any], kind: str) -> Triple:
    return Triple(*(facts[f"{kind}_{part}"] for part in Triple._fields))


def stored(case: KernelCase, weight: NDArray[np.float32], rows: slice = slice(None)) -> Stored:
    """The case's weights as we store them."""
    facts, bias = case.facts, case.arrays["bias_float"][rows]
    bits = triple(facts, "bw")
    if facts["mode"] == "DynamicFixed":
        return weights.dynamic_fixed(weight, bias, bits, triple(facts, "fl"))
    th_params = case.arrays["th_params"][rows]
    return weights.xilinx(weight, bias, bits, facts["th_layer_in"], th_params, facts["th_layer_out"])


def as_recorded(case: KernelCase) -> Stored:
    """The recorded integers."""
    arrays, facts = case.arrays, case.facts
    return Stored(
        arrays["weights_int"],
        arrays["bias_int"],
        arrays.get("scale_int"),
        facts["requant_shift"],
        facts["bw_layer_in"] == 6,
        Saturations(),
    )


def windows(case: KernelCase) -> Windows:
    geometry = case.facts["geometry"]
    fields = (geometry["kernel"], geometry["stride"], geometry["pad"], geometry.get("dilation", 1))
    return Windows(*((side, side) for side in fields))


def counts(case: KernelCase) -> tuple[int, int]:
    return case.facts["geometry"]["out_height"], case.facts["geometry"]["out_width"]


@of("Convolution")
def test_weights(case: KernelCase) -> None:
    weight = case.arrays["weights_float"]
    rows = slice(len(weight))
    found = stored(case, weight, rows).weights
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, case.arrays["weights_int"][rows])


@of("Convolution")
def test_bias(case: KernelCase) -> None:
    found = stored(case, np.zeros(case.arrays["weights_int"].shape, np.float32)).bias
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, case.arrays["bias_int"])


@pytest.mark.parametrize(
    "case", [case for case in kernel_cases("Convolution") if "scale_int" in case.arrays], ids=lambda case: case.name
)
def test_scale(case: KernelCase) -> None:
    found = stored(case, np.zeros(case.arrays["weights_int"].shape, np.float32)).scale
    assert found is not None
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, case.arrays["scale_int"])


@of("Convolution")
def test_the_output_shift(case: KernelCase) -> None:
    assert stored(case, case.arrays["weights_float"][:1], slice(1)).shift == case.facts["requant_shift"]


@of("Convolution")
def test_all_weights_where_they_are_at_hand(case: KernelCase) -> None:
    path = SHARED / "chaidnn_kernel" / case.name / "weights_float.npy"
    if not path.exists():
        pytest.skip("the recorded cases are not here: golden/chaidnn_kernel")
    np.testing.assert_array_equal(stored(case, np.load(path)).weights, case.arrays["weights_int"])


@of("Convolution")
def test_convolution(case: KernelCase) -> None:
    group, relu = case.facts["geometry"]["group"], case.facts["relu"]
    result = convolution(case.arrays["input_int"], as_recorded(case), windows(case), counts(case), group, relu)
    assert result.top.dtype == np.int8
    np.testing.assert_array_equal(result.top, case.arrays["output_int"])


@of("Pooling")
def test_pooling(case: KernelCase) -> None:
    facts, images = case.facts, case.arrays["input_int"]
    if facts["pool"] == "MAX":
        top = pooling.maximum(images, windows(case), counts(case))
    elif facts["mode"] == "Xilinx":
        top = pooling.average_xilinx(images, windows(case), counts(case))
    else:
        formats = (facts["fl_layer_in"], facts["fl_layer_out"])
        top = pooling.average_dynamic_fixed(images, windows(case), counts(case), *formats).top
    np.testing.assert_array_equal(top, case.arrays["output_int"])


@of("Eltwise")
def test_eltwise(case: KernelCase) -> None:
    first, second = case.arrays["input_int"], case.arrays["input2_int"]
    result = eltwise.add(first, second, case.facts["bw_layer_in"], case.facts["relu"])
    np.testing.assert_array_equal(result.top, case.arrays["output_int"])


def read_image(case: KernelCase) -> Result:
    facts, image = case.facts, case.arrays["image_uint8"]
    mean = f32(facts["mean"])
    if facts["mode"] == "Xilinx":
        return ends.input_xilinx(image - mean, facts["th_layer_in"], facts["bw_layer_in"])
    if "divisor" in facts:
        values = ends.normalised(image, facts["mean"], facts["divisor"])
        return ends.input_dynamic_fixed(values, facts["fl_layer_in"], facts["bw_layer_in"])
    return ends.pixels_dynamic_fixed(image, mean, facts["fl_layer_in"], facts["bw_layer_in"])


@of("InputQuantization")
def test_image_to_integers(case: KernelCase) -> None:
    np.testing.assert_array_equal(read_image(case).top.transpose(2, 0, 1), case.arrays["output_int"])


@of("Quantize")
def test_software_to_hardware(case: KernelCase) -> None:
    facts = case.facts
    result = ends.software_xilinx(case.arrays["input_float"], facts["th_layer_in"], facts["bw_layer_in"])
    np.testing.assert_array_equal(result.top, case.arrays["output_int"])


@of("Dequantize")
def test_hardware_to_software(case: KernelCase) -> None:
    facts = case.facts
    values = ends.output_xilinx(case.arrays["input_int"], facts["th_layer_out"], facts["bw_layer_out"])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, case.arrays["output_float"])


def test_no_operation_is_left_out() -> None:
    tested = {"Convolution", "Pooling", "Eltwise", "InputQuantization", "Quantize", "Dequantize"}
    assert {case.facts["op"] for case in recorded.kernel().values()} == tested


@pytest.mark.parametrize("name", ["chaidnn_kernel", "ristretto"])
def test_the_packed_cases_are_the_recorded_ones(name: str) -> None:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the recorded cases are not here: golden/{name}")
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        packed = {entry: archive.read(entry) for entry in archive.namelist()}
    assert packed == getattr(pack_arithmetic, name)(folder)
