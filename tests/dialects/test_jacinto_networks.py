"""What the options of caffe-jacinto's block do to a network, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialects.jacinto_nets import BARE, INPUT, RELU, WEIGHTS, converted, f32, run
from tests.simulation.quantized import feeds_of
from tests.small_nets import PLAIN, by_name, conv, data, layer, net_of, write_net
from xportdnn.dialects import jacinto
from xportdnn.dialects.jacinto import NetQuantization
from xportdnn.errors import NetworkError
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array
from xportdnn.simulation.jacinto import merged, prepare, ranges_of


def test_relu_has_the_full_unsigned_range() -> None:
    """Input: 127 / 2 = 63.5: 127, -63.5 -> -64, 31.75 -> 32. Convolution, float, merged: 3.125, -1.387, 0.881.
    ReLU: range of the float frame 0 .. 3.125, 255 / 3.125 = 81.6: 255, 0, 71.88 -> 72.
    """
    tops = run(RELU, WEIGHTS, INPUT, BARE)
    np.testing.assert_allclose(tops["data"].ravel(), np.array([127, -64, 32]) / 63.5, rtol=1e-6)
    np.testing.assert_allclose(tops["a"].ravel(), np.array([127, -64, 32]) / 63.5 * 1.5 + 0.125, rtol=1e-6)
    np.testing.assert_allclose(tops["relu"].ravel(), np.array([255, 0, 72]) / 81.6, rtol=1e-6)


def test_power_of_two_activations() -> None:
    """Input: 2 has 1 bit, with the sign 2: 2**6 = 64: exact, but 2 becomes 127 / 64. ReLU: 3.125 has 2 bits, 2**6."""
    wanted = NetQuantization(
        quantize_weights=False, range_expansion_factor=1.0, power2_scale_weights=True, power2_scale_activations=True
    )
    tops = run(RELU, WEIGHTS, INPUT, wanted)
    np.testing.assert_array_equal(tops["data"].ravel(), [127 / 64, -1, 0.5])
    # (127 / 64 * 1.5 + 0.125) * 64 = 198.5 -> 199, (0.75 + 0.125) * 64 = 56
    np.testing.assert_array_equal(tops["relu"].ravel(), [199 / 64, 0, 56 / 64])


def test_offset_of_activations() -> None:
    """Input: 255 / 3 = 85, offset 85: 255, 0, 127.5 -> 128."""
    wanted = NetQuantization(quantize_weights=False, range_expansion_factor=1.0, apply_offset_activations=True)
    tops = run(RELU, WEIGHTS, INPUT, wanted)
    np.testing.assert_allclose(tops["data"].ravel(), [2.0, -1.0, (128 - 85) / 85], rtol=1e-6)


def test_room_beyond_the_range() -> None:
    """Input: 127 / (2 * 1.25) = 50.8: 101.6 -> 102, -50.8 -> -51, 25.4 -> 25."""
    tops = run(RELU, WEIGHTS, INPUT, NetQuantization(quantize_weights=False))
    np.testing.assert_allclose(tops["data"].ravel(), np.array([102, -51, 25]) / 50.8, rtol=1e-6)


def weights_of(wanted: NetQuantization, weights: list[float], bias: list[float]) -> tuple[Array, Array]:
    text = data(1, 1, 2, 3) + conv("a", "data", "a", len(weights))
    net = net_of(text)
    blobs = {by_name(net, "a").index: (f32(weights).reshape(-1, 1, 1, 1), f32(bias))}
    simulation, _ = prepare(net, blobs, wanted, feeds_of(net, {"data": np.ones((1, 1, 2, 3))}))
    level: Any = simulation.level
    found, own_bias = level.blobs[by_name(net, "a").index]
    return found.ravel(), own_bias.ravel()


def test_weights_of_12_bits_with_offset() -> None:
    """4095 / 4 = 1023.75; 0.001 -> 1024.77 -> 1025 -> 1.25 / 1023.75."""
    found, _ = weights_of(NetQuantization(), [-1.0, 3.0, 0.001], [0.5, 0.25, 0.75])
    np.testing.assert_allclose(found, [-1.0, 3.0, 1.25 / 1023.75], rtol=1e-5)


def test_weights_without_offset() -> None:
    """2047 / 3: the zero stays a zero; 0.001 -> 0.68 -> 1."""
    found, _ = weights_of(NetQuantization(apply_offset_weights=False), [-1.0, 3.0, 0.001, 0.0], [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(found, np.array([-682, 2047, 1, 0]) / (2047 / 3), rtol=1e-6)


def test_weights_of_powers_of_two() -> None:
    """3 has 2 bits and a sign: 2**(12 - 3)."""
    wanted = NetQuantization(apply_offset_weights=False, power2_scale_weights=True)
    found, _ = weights_of(wanted, [-1.0, 3.0, 0.0011], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found, [-1.0, 3.0, 1 / 512])


def test_the_bias_has_its_own_bits_and_is_not_clipped() -> None:
    """4 bits without a sign, 15 / 2 = 7.5: 2 -> 15, 0.5 -> 3.75 -> 4; of a power of two, 8, 2 would be clipped."""
    _, plain = weights_of(NetQuantization(bitwidth_bias=4, apply_offset_weights=False), [1.0, 2.0], [2.0, 0.5])
    np.testing.assert_allclose(plain, [2.0, 4 / 7.5], rtol=1e-6)
    wanted = NetQuantization(bitwidth_bias=4, apply_offset_weights=False, power2_scale_weights=True)
    _, power = weights_of(wanted, [1.0, 2.0], [2.0, 0.3])
    np.testing.assert_array_equal(power, [2.0, 0.25])


def test_switches_and_ignored_layers() -> None:
    off = NetQuantization(quantize_weights=False, quantize_activations=False)
    plain = run(RELU, WEIGHTS, INPUT, off)
    np.testing.assert_array_equal(plain["relu"].ravel(), [3.125, 0, 0.875])
    ignored = NetQuantization(ignored_layer_names=("data", "a", "relu"))
    np.testing.assert_array_equal(run(RELU, WEIGHTS, INPUT, ignored)["relu"], plain["relu"])


def test_stochastic_rounding_is_the_same_in_every_run() -> None:
    wanted = NetQuantization(rounding_scheme=jacinto.STOCHASTIC, apply_offset_weights=False)
    array = np.linspace(-1, 2, 3, dtype=np.float32).reshape(1, 1, 1, 3)
    first, second = (run(RELU, WEIGHTS, array, wanted)["relu"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


FLAT = {"a": (f32([[[[1.5]]], [[[0.5]]]]), f32([0.125, 0.125]))}
TWO = data(1, 1, 1, 3) + conv("a", "data", "a", 2) + layer("relu", "ReLU", "a", "a")


def test_a_constant_bias_is_named_with_what_works() -> None:
    said = (
        r'layer "a" .*: its bias, all 0.125: caffe-jacinto divides by .*power2_scale_weights: true.* --skip_layers a '
    )
    with pytest.raises(NetworkError, match=said):
        run(TWO, FLAT, INPUT, NetQuantization())


@pytest.mark.parametrize(
    "wanted",
    [NetQuantization(power2_scale_weights=True), NetQuantization(ignored_layer_names=("a",))],
    ids=["power-of-two", "skipped"],
)
def test_what_works_with_a_constant_bias(wanted: NetQuantization) -> None:
    """0.125 stays what it is: 2**16 times that is a whole number."""
    tops = run(TWO, FLAT, INPUT, replace(wanted, quantize_activations=False))
    np.testing.assert_allclose(tops["relu"].ravel(), [3.125, 0, 0.875, 1.125, 0, 0.375], atol=2e-3)
    assert all(np.isfinite(top).all() for top in tops.values())


def test_tops_of_zeros_are_named() -> None:
    zeros = {"a": (f32([[[[-1.0]]]]), f32([-3.0]))}
    with pytest.raises(NetworkError, match=r'layer "relu" .*: what it writes, all 0: .*--skip_layers relu '):
        run(RELU, zeros, INPUT, BARE)


def test_the_conversion_warns_of_a_constant_bias(tmp_path: Path) -> None:
    blobs = {"conv1": (np.linspace(-1, 1, 108, dtype=np.float32).reshape(4, 3, 3, 3), np.full(4, 0.5, np.float32))}
    files = write_net(tmp_path, PLAIN, blobs)
    cases: dict[str, dict[str, Any]] = {
        "plain": {},
        "skipped": {"skip_layers": ["conv1"]},
        "power of two": {"net_quantization_param": "power2_scale_weights: true"},
        "no offset": {"net_quantization_param": "apply_offset_weights: false"},
        "float weights": {"net_quantization_param": "quantize_weights: false"},
    }
    for name, options in cases.items():
        journal = Journal()
        converted(files, journal=journal, **options)
        told = [remark.text for remark in journal.remarks if remark.level is Level.WARNING]
        assert [
            ('layer "conv1"' in each, "its bias, all 0.5" in each, "--skip_layers conv1" in each) for each in told
        ] == ([(True, True, True)] if name == "plain" else []), name


def test_ranges_are_those_when_the_frame_is_done() -> None:
    """What an in-place ReLU writes over has the ReLU's range, also through a Reshape, which shares memory."""
    shape = "reshape_param { shape { dim: 0 dim: 3 } }"
    text = data(1, 1, 1, 3) + conv("a", "data", "a", 1) + layer("b", "Reshape", "a", "b", shape)
    net = net_of(text + layer("relu", "ReLU", "b", "b"))
    weights = {by_name(net, "a").index: WEIGHTS["a"]}
    feeds = feeds_of(net, {"data": INPUT})
    found = ranges_of(net, net.layers[1:], weights, feeds)
    assert {(value.blob, value.writer): tuple(ends) for value, ends in found.items()} == {
        ("data", 0): (-1.0, 2.0), ("a", 1): (0.0, 3.125), ("b", 2): (0.0, 3.125), ("b", 3): (0.0, 3.125),
    }  # fmt: skip


def chain(*types: str) -> str:
    """Layers of these types in a row, each in place where Caffe can."""
    text, blob = data(1, 3, 8, 9), "data"
    for index, kind in enumerate(types):
        if kind == "Convolution":
            text += conv(f"l{index}", blob, f"c{index}", 3)
            blob = f"c{index}"
        else:
            text += layer(f"l{index}", kind, blob, blob)
    return text


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        (("Convolution", "ReLU"), [True, False]),
        (("Convolution", "BatchNorm", "Scale", "ReLU"), [True, True, True, False]),
        (("Convolution", "BatchNorm", "Scale"), [True, True, False]),
        (("Convolution", "Convolution"), [False, False]),
        (("BatchNorm", "Convolution"), [True, False]),
        (("BatchNorm", "Scale", "Convolution"), [True, True, False]),
        (("Convolution", "BatchNorm", "Convolution"), [True, False, False]),
        (("Convolution", "BatchNorm", "Scale", "Convolution"), [True, True, False, False]),
        (("Convolution", "Scale", "Convolution"), [True, False, False]),
        (("Convolution", "Sigmoid"), [False, False]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_what_is_merged(types: tuple[str, ...], wanted: list[bool]) -> None:
    net = net_of(chain(*types))
    assert [merged(net, each) for each in net.layers[1:]] == wanted


def test_what_two_layers_read_is_not_merged() -> None:
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 3) + layer("r", "ReLU", "a", "r") + conv("b", "a", "b", 2)
    assert not merged(net_of(text), by_name(net_of(text), "a"))
