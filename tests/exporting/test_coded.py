"""Codes and scales are what `fake` multiplies with, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.exporting.nets import MODES, Network, small, write
from tests.simulation.quantized import block, xilinx
from tests.small_nets import data, layer
from xportdnn.choices import Arithmetic
from xportdnn.codefile import decoded
from xportdnn.errors import NetworkError
from xportdnn.simulation import prepare
from xportdnn.simulation.fake import Fake


def fake(network: Network) -> Fake:
    net = network.opened.net
    level = prepare(net, network.weights, network.blocks, Arithmetic.FAKE, network.opened.inputs).level
    assert isinstance(level, Fake)
    return level


def ristretto(kind: str, param: str, **fields: object) -> str:
    return data(1, 2, 5, 6) + layer("r", kind, "data", "r", f"{param}\n{block(fields, 'quantization_param')}")


CONV = "convolution_param { num_output: 4 kernel_size: 3 }"
PRODUCT = f"inner_product_param {{ num_output: 3 transpose: true }}\n{xilinx(8, 3, 9, (1.0, 2.0, 0.5))}"
POWERS = {"precision": "INTEGER_POWER_OF_2_WEIGHTS", "exp_min": -6, "exp_max": 0}
NETS = {
    **{mode: small(mode) for mode in MODES},
    "inner product": data(1, 2, 5, 6) + layer("ip", "InnerProduct", "data", "ip", PRODUCT),
    "dynamic fixed point": ristretto("ConvolutionRistretto", CONV, bw_params=8, fl_params=5, bw_layer_in=8),
    "16 bits": ristretto("ConvolutionRistretto", CONV, bw_params=16, fl_params=12),
    "stochastic": ristretto("ConvolutionRistretto", CONV, bw_params=6, fl_params=3, rounding_scheme="STOCHASTIC"),
    "minifloat": ristretto("ConvolutionRistretto", CONV, precision="MINIFLOAT", mant_bits=3, exp_bits=4),
    "minifloat of 16 bits": ristretto("ConvolutionRistretto", CONV, precision="MINIFLOAT", mant_bits=10, exp_bits=5),
    "powers of two": ristretto("FcRistretto", "inner_product_param { num_output: 7 }", **POWERS),
}
ALL = pytest.mark.parametrize("name", NETS)


@ALL
def test_codes_and_scales_are_what_fake_multiplies_with(name: str, tmp_path: Path) -> None:
    network = write(tmp_path, NETS[name])
    prepared = fake(network).prepared
    for each in network.exported().values():
        for blob, expected in zip(each.blobs, prepared[each.layer.index].blobs, strict=True):
            real = expected if blob.codes is None else decoded(blob.codes, blob.form, blob.scale)
            np.testing.assert_array_equal(real, expected)
            np.testing.assert_array_equal(blob.values, expected)


@ALL
def test_codes_stay_within_their_bits(name: str, tmp_path: Path) -> None:
    codes = [blob for each in write(tmp_path, NETS[name]).exported().values() for blob in each.blobs if blob.form]
    assert codes
    for blob in codes:
        assert blob.form is not None
        assert blob.codes is not None
        assert np.abs(blob.codes.astype(np.int64)).max() <= 1 << blob.form["bits"] - 1
        assert blob.codes.dtype == (np.int8 if blob.form["bits"] <= 8 else np.int16)


def test_which_blobs_have_codes(tmp_path: Path) -> None:
    found = {mode: write(tmp_path, small(mode)).exported() for mode in MODES}
    named = {
        mode: {f"{name}.{blob.name}" for name, each in layers.items() for blob in each.blobs if blob.codes is not None}
        for mode, layers in found.items()
    }
    assert named["Xilinx"] == {"a/conv.weights", "up.weights"}
    assert named["DynamicFixed"] == named["Xilinx"] | {"bn.mean", "bn.variance", "scale.gamma", "scale.beta"}


def test_powers_of_two_have_no_zero(tmp_path: Path) -> None:
    weights = {"r": (np.array([[0, 0.25, -1, 3]], np.float32).repeat(7, 0).repeat(15, 1), np.zeros(7, np.float32))}
    (each,) = write(tmp_path, NETS["powers of two"], weights).exported().values()
    assert each.blobs[0].codes is not None
    assert sorted(set(each.blobs[0].codes.ravel().tolist())) == [-7, 1, 5, 7]


def test_the_largest_minifloat_takes_one_bit_more(tmp_path: Path) -> None:
    """Its code is 2^(bits - 1): the format has as many numbers as its bits can tell apart, and 0 besides."""
    shape = (4, 2, 3, 3)
    found = {}
    for peak in (480.0, -480.0, 448.0):
        weights = {"r": (np.full(shape, peak, np.float32), np.zeros(4, np.float32))}
        (each,) = write(tmp_path, NETS["minifloat"], weights).exported().values()
        codes = each.blobs[0]
        assert codes.form is not None
        assert codes.codes is not None
        found[peak] = (codes.form["bits"], codes.codes.dtype.name, int(codes.codes[0, 0, 0, 0]))
    assert found == {480.0: (9, "int16", 128), -480.0: (8, "int8", -128), 448.0: (8, "int8", 127)}


def test_codes_that_float32_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    """The largest weight's quotient by its step is rounded to half a step above the largest code."""
    peak = np.float32(1.3839424)
    conv = f"{CONV}\n{xilinx(24, 3, 9, (float(peak),) * 4)}"
    text = data(1, 2, 5, 6) + layer("c", "Convolution", "data", "c", conv)
    weights = {"c": (np.full((4, 2, 3, 3), peak), np.zeros(4, np.float32))}
    with pytest.raises(NetworkError, match=r'layer "c" .*its weights of 24 bits'):
        write(tmp_path, text, weights).exported()


def test_one_blob_in_two_formats_is_refused(tmp_path: Path) -> None:
    """Layers that share their weights have them once in a file."""
    shared = 'param { name: "w" } param { name: "b" }\nconvolution_param { num_output: 2 kernel_size: 3 pad: 1 }\n'
    text = (
        data(1, 2, 5, 6)
        + layer("one", "Convolution", "data", "one", shared + xilinx(8, 3, 9, (1.0, 2.0)))
        + layer("two", "Convolution", "one", "two", shared + xilinx(6, 9, 9, (1.0, 2.0)))
    )
    with pytest.raises(NetworkError, match=r'layer "one" .*another layer uses the same weights in another format'):
        write(tmp_path, text).exported()
