"""`--dialect jacinto`: the block, and what its options do, by numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialect_protos import parse
from tests.simulation.quantized import feeds_of
from tests.small_nets import PLAIN, RESIDUAL, Files, by_name, conv, data, layer, net_of, write_net
from xportdnn import api, cli
from xportdnn.arithmetic import scaled
from xportdnn.arithmetic.scaled import Scaled, of_range
from xportdnn.choices import Arithmetic, Triple
from xportdnn.dialects import jacinto
from xportdnn.dialects.jacinto import NetQuantization
from xportdnn.errors import InputError, LayerError, NetworkError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array, Arrays
from xportdnn.simulation.command import SimulationOptions, simulate_files
from xportdnn.simulation.jacinto import merged, prepare, ranges_of

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "sample_models" / "digits_residual"
# no room beyond the range that was seen, and weights as they are: one thing at a time
BARE = NetQuantization(quantize_weights=False, range_expansion_factor=1.0)


def f32(values: Sequence[Any]) -> Array:
    return np.asarray(values, np.float32)


def trimmed(values: list[float], form: Scaled, clip: bool = True) -> list[float]:
    return [float(each) for each in scaled.trim(np.array(values, np.float32), form, clip=clip)]


# ---- scale and offset from a range


@pytest.mark.parametrize(
    ("ends", "bits", "power_of_two", "with_offset", "scale", "offset", "limits"),
    [
        # 255 / 5.1: no bit for a sign
        pytest.param((0.0, 5.1), 8, False, False, 50.0, 0.0, (0, 255), id="unsigned"),
        pytest.param((0.5, 5.1), 8, False, False, 50.0, 0.0, (0, 255), id="unsigned-from-above-0"),
        # 127 / 1.27
        pytest.param((-1.27, 0.5), 8, False, False, 100.0, 0.0, (-128, 127), id="signed"),
        # 255 / (3 - -1), and -1 becomes 0
        pytest.param((-1.0, 3.0), 8, False, True, 63.75, 63.75, (0, 255), id="offset"),
        # 4095 / 4
        pytest.param((-1.0, 3.0), 12, False, True, 1023.75, 1023.75, (0, 4095), id="12-bit-weights"),
        # 5 has 3 bits: 2**(8 - 3)
        pytest.param((0.0, 5.0), 8, True, False, 32.0, 0.0, (0, 255), id="power-of-two-unsigned"),
        # and one for the sign
        pytest.param((-5.0, 2.0), 8, True, False, 16.0, 0.0, (-128, 127), id="power-of-two-signed"),
        # 3 - -1 has 2 bits
        pytest.param((-1.0, 3.0), 8, True, True, 64.0, 64.0, (0, 255), id="power-of-two-offset"),
        pytest.param((0.0, 4.0), 8, True, False, 64.0, 0.0, (0, 255), id="a-power-of-two-itself"),
        # 0.2 has -2 bits: 2**(8 + 2)
        pytest.param((0.0, 0.2), 8, True, False, 1024.0, 0.0, (0, 255), id="below-1"),
        pytest.param((0.0, 0.0), 8, True, False, 256.0, 0.0, (0, 255), id="nothing-but-0"),
        # 1000 has 10 bits: 2**(8 - 10)
        pytest.param((0.0, 1000.0), 8, True, False, 0.25, 0.0, (0, 255), id="steps-above-1"),
    ],
)
def test_scale(
    ends: tuple[float, float],
    bits: int,
    power_of_two: bool,
    with_offset: bool,
    scale: float,
    offset: float,
    limits: tuple[int, int],
) -> None:
    form = of_range(*ends, bits, power_of_two, with_offset)
    assert form.scale == pytest.approx(scale, rel=1e-6)
    assert form.offset == pytest.approx(offset, rel=1e-6)
    assert form.limits == limits


@pytest.mark.parametrize("with_offset", [False, True], ids=["plain", "offset"])
def test_a_range_of_nothing_is_refused(with_offset: bool) -> None:
    with pytest.raises(LayerError, match="divides by the range of these numbers, which is 0"):
        of_range(0.0, 0.0, 8, False, with_offset)


def test_one_repeated_number_has_a_range_without_offset() -> None:
    """255 / 0.5, but nothing to divide by where the range is max - min."""
    assert of_range(0.5, 0.5, 8, False, False).scale == 510.0
    with pytest.raises(LayerError, match="which is 0"):
        of_range(0.5, 0.5, 8, False, True)


@pytest.mark.parametrize("power_of_two", [False, True], ids=["plain", "power-of-two"])
@pytest.mark.parametrize("with_offset", [False, True], ids=["centred", "offset"])
@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-1.0, 3.5e38), "no range of these numbers in float32"),
        ((-3e38, 3e38), "no range of these numbers in float32"),
        ((float("nan"), 1.0), "no range of these numbers in float32"),
        ((-float("inf"), 1.0), "no range of these numbers in float32"),
        ((0.0, 1e-40), "no scale for a range as small"),
    ],
    ids=["large", "wide", "nan", "inf", "small"],
)
def test_ranges_beyond_float32_are_refused(
    ends: tuple[float, float], said: str, with_offset: bool, power_of_two: bool
) -> None:
    with pytest.raises(LayerError, match=said):
        of_range(*ends, 8, power_of_two, with_offset)


@pytest.mark.parametrize(
    ("values", "form", "wanted"),
    [
        # 1.01 * 50 = 50.5 -> 51; 6 is clipped to 255 / 50, -1 to 0
        pytest.param([1.01, 6.0, -1.0], Scaled(8, 50.0, 0.0, False), [1.02, 5.1, 0.0], id="unsigned"),
        # halves away from 0; the least integer is -128
        pytest.param([0.03125, -0.03125, -9.0], Scaled(8, 16.0, 0.0, True), [0.0625, -0.0625, -8.0], id="signed"),
        # 4 * 64 = 256 is one too many
        pytest.param([4.0], Scaled(8, 64.0, 0.0, False), [3.984375], id="largest"),
        # 0 * 63.75 + 63.75 -> 64 -> 0.25 / 63.75: the zeros are gone
        pytest.param([0.0, -1.0, 3.0], Scaled(8, 63.75, 63.75, False), [0.25 / 63.75, -1.0, 3.0], id="offset"),
    ],
)
def test_trim(values: list[float], form: Scaled, wanted: list[float]) -> None:
    assert trimmed(values, form) == pytest.approx(wanted, rel=1e-6)


def test_trim_without_clipping() -> None:
    assert trimmed([6.0, -1.0], Scaled(8, 50.0, 0.0, False), clip=False) == pytest.approx([6.0, -1.0], rel=1e-6)


def test_ends_of_a_range_are_not_counted_as_clipped() -> None:
    values = f32([-0.7, 0.1, 1.3])
    assert scaled.beyond(values, of_range(-0.7, 1.3, 12, False, True)) == 0
    assert scaled.beyond(f32([-0.8, 1.4]), of_range(-0.7, 1.3, 12, False, True)) == 2


# ---- networks


def run(text: str, blobs: Mapping[str, Arrays], array: Array, wanted: NetQuantization) -> dict[str, Array]:
    """What every layer writes, by name."""
    net = net_of(text)
    weights = {
        each.index: tuple(np.asarray(blob, np.float32) for blob in blobs.get(each.name, ())) for each in net.layers
    }
    simulation, feeds = prepare(net, weights, wanted, feeds_of(net, {"data": array}))
    return {step.layer.name: step.tops[0] for step in simulation.run(feeds)}


INPUT = f32([2.0, -1.0, 0.5]).reshape(1, 1, 1, 3)
RELU = data(1, 1, 1, 3) + conv("a", "data", "a", 1) + layer("relu", "ReLU", "a", "a")
WEIGHTS = {"a": (f32([[[[1.5]]]]), f32([0.125]))}


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


# ---- the text


def converted(files: Files, **options: Any) -> str:
    common: dict[str, Any] = {"dialect": "jacinto", "quant_type": "DynamicFixed", "bitwidths": (8, 12, 8)}
    return api.convert(files.deploy, files.weights, **common | options).text


def test_text(tmp_path: Path) -> None:
    text = "# a comment\n" + RESIDUAL.replace("layer {", 'name: "net" # mine\nlayer {', 1)
    files = write_net(tmp_path, text)
    given = "power2_scale_weights: true range_expansion_factor: 1.5"
    done = converted(files, bitwidths=(7, 10, 7), skip_layers=["sum"], net_quantization_param=given)
    block = (
        "quantize: true\nnet_quantization_param {\n  quantize_weights: true\n  quantize_activations: true\n"
        "  bitwidth_weights: 10\n  bitwidth_activations: 7\n  bitwidth_bias: 16\n  power2_scale_weights: true\n"
        "  power2_scale_activations: false\n  apply_offset_weights: true\n  apply_offset_activations: false\n"
        '  range_expansion_factor: 1.5\n  ignored_layer_names: "sum"\n}\n'
    )
    assert done == text.replace("layer {", f"{block}layer {{", 1)
    assert parse(done, "jacinto").net_quantization_param.bitwidth_weights == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("power2_range: true", "power2_range is no field of caffe-jacinto 0.17"),
        ("bitwidth_weights: 8", "is what --bitwidths says"),
        ('ignored_layer_names: "a"', "is what --skip_layers says"),
        ("quantize_weights: maybe", "must be true or false"),
        ("quantize_weights", "expected ':'"),
        ("rounding_scheme: NEAREST", "must be one of QuantizationParameter_Rounding_NEAREST"),
    ],
    ids=["another-branch", "widths", "names", "no-flag", "no-prototxt", "enum"],
)
def test_fields_that_cannot_be_asked_for(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        jacinto.chosen(text, Triple(8, 12, 8), ())


def test_a_layer_to_ignore_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--skip_layers nosuch: .* no such layer"):
        converted(write_net(tmp_path, PLAIN), skip_layers=["nosuch"])


# ---- reading it


def test_read_back(tmp_path: Path) -> None:
    given = f"apply_offset_activations: true rounding_scheme: {jacinto.STOCHASTIC} range_update_factor: 0.5"
    text = converted(write_net(tmp_path, PLAIN), net_quantization_param=given, skip_layers=["fc", "prob"])
    assert jacinto.read(net_of(text)) == jacinto.chosen(given, Triple(8, 12, 8), ("fc", "prob"))


def test_nothing_to_read() -> None:
    assert jacinto.read(net_of(PLAIN)) is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("net_quantization_param { }", "without `quantize: true`"),
        ("quantize: false net_quantization_param { }", "without `quantize: true`"),
        ("quantize: true net_quantization_param { bitwidth_weights: 1 }", "bitwidth_weights: 1; 2 to 24 bits"),
        ("quantize: true net_quantization_param { } net_quantization_param { }", "there are 2 values"),
    ],
    ids=["no-switch", "off", "bits", "twice"],
)
def test_what_cannot_be_simulated_is_named(block: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        jacinto.read(net_of(f"{block}\n{PLAIN}"))


UNUSABLE = {
    "quantization_start: 0": "switches quantization off",
    "quantization_start: 2147483648": "does not fit into 32 bits",
    "update_quantization_param: false": "recorded in a caffemodel",
    "power2_scale_activations: true": "not described well enough",
    "bitwidth_bias: 0": "bitwidth_bias: 0; 2 to 24 bits",
    "bitwidth_bias: 32": "bitwidth_bias: 32; 2 to 24 bits",
    f"precision: {jacinto.FLOAT}": "quantizes nothing",
    "quantize_weights: 3": "must be true or false",
    "quantize_weights: true quantize_weights: true": "quantize_weights is given more than once",
    "power2_range: true": "power2_range is no field",
    "range_update_factor: 0": "range_update_factor: 0; it must be above 0 and at most 1",
    "range_update_factor: 1.5": "range_update_factor: 1.5; it must be",
    "range_update_factor: nan": "range_update_factor: nan; it must be",
    "range_expansion_factor: nan": "range_expansion_factor: nan leaves nothing of numbers of 8 bits",
    "range_expansion_factor: inf": "range_expansion_factor: inf leaves nothing",
    "range_expansion_factor: -2": "range_expansion_factor: -2 leaves nothing",
    "range_expansion_factor: 1e30": "leaves nothing of numbers of 8 bits; give more than 1/128 and less than 128",
    "range_expansion_factor: 128": "range_expansion_factor: 128 leaves nothing",
    "range_expansion_factor: 0": "range_expansion_factor: 0 leaves nothing",
}


@pytest.mark.parametrize(("text", "said"), UNUSABLE.items(), ids=UNUSABLE)
def test_both_ends_refuse_the_same(text: str, said: str) -> None:
    """What is not simulated is not written, either."""
    with pytest.raises(UsageError, match=said):
        jacinto.chosen(text, Triple(8, 12, 8), ())
    with pytest.raises(InputError, match=said) as caught:
        jacinto.read(net_of(f"quantize: true {jacinto.BLOCK} {{ {text} }}\n{PLAIN}"))
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("factor", [127.9, 0.008], ids=str)
def test_the_widest_and_the_narrowest_range_leave_something(factor: float) -> None:
    """Of the largest number one step at least; of all others what is clipped."""
    assert jacinto.chosen(f"range_expansion_factor: {factor}", Triple(8, 12, 8), ())
    top = run(RELU, WEIGHTS, INPUT, replace(BARE, range_expansion_factor=factor))["relu"]
    assert np.isfinite(top).all()
    assert top.max() > 0


def test_everything_wrong_is_said_at_once() -> None:
    text = "quantization_start: 0 bitwidth_bias: -1 foo: 1 bitwidth_weights: 8 range_update_factor: 2"
    with pytest.raises(UsageError) as caught:
        jacinto.chosen(text, Triple(8, 12, 8), ())
    assert len(caught.value.problems) == 5
    with pytest.raises(InputError) as refused:
        jacinto.read(net_of(f"{jacinto.BLOCK} {{ {text} }}\n{PLAIN}"))
    assert len(refused.value.problems) == 5  # its own width is right there, but `quantize` is missing


def test_exit_codes(tmp_path: Path) -> None:
    """An option is bad usage, a file that somebody wrote is bad input."""
    files, bad = write_net(tmp_path, PLAIN), "range_expansion_factor: nan"
    target = tmp_path / "out.prototxt"
    how = ["--dialect", "jacinto", "--quant_type", "DynamicFixed", f"--{jacinto.BLOCK}", bad]
    assert cli._run([*files.arguments, *how, "--quantized_deploy_model", str(target)], False) == 2
    assert not target.exists()
    target.write_text(f"quantize: true {jacinto.BLOCK} {{ {bad} }}\n{PLAIN}", encoding="utf-8")
    np.save(tmp_path / "in.npy", np.ones((1, 3, 10, 12), np.float32))
    given = [
        "--weights",
        str(files.weights),
        "--input",
        str(tmp_path / "in.npy"),
        "--blobs_dir",
        str(tmp_path / "blobs"),
    ]
    assert cli._run(["simulate", "--deploy_model", str(target), *given], False) == 1
    assert not (tmp_path / "blobs").exists()


def test_recorded_ranges_are_not_read() -> None:
    own = layer("r", "ReLU", "data", "r", "quantization_param { qparam_out { min: 0 max: 1 } }")
    with pytest.raises(InputError, match="remove quantization_param of r"):
        jacinto.read(net_of("quantize: true net_quantization_param { }\n" + data(1, 3, 8, 9) + own))


# ---- commands


def written(folder: Path) -> Files:
    files = write_net(folder, PLAIN)
    target = folder / "jacinto.prototxt"
    target.write_text(converted(files), encoding="utf-8")
    return Files(target, files.weights)


def test_simulate_writes_what_prepare_gives(tmp_path: Path) -> None:
    files = written(tmp_path)
    array = np.random.default_rng(3).normal(size=(2, 3, 10, 12)).astype(np.float32)
    np.save(tmp_path / "in.npy", array)
    blobs = tmp_path / "blobs"
    arguments = ["simulate", *files.arguments, "--input", str(tmp_path / "in.npy"), "--blobs_dir", str(blobs)]
    assert cli._run(arguments, False) == 0
    network = api.read(files.deploy, files.weights)
    weights = {
        each.index: tuple(
            blob.values() for stored in network.model.layers if stored.name == each.name for blob in stored.blobs
        )
        for each in network.net.layers
    }
    wanted = jacinto.read(network.net)
    assert wanted is not None
    simulation, feeds = prepare(network.net, weights, wanted, feeds_of(network.net, {"data": array}))
    for step in simulation.run(feeds):
        np.testing.assert_array_equal(np.load(blobs / f"{step.layer.name}.npy"), step.tops[0])


@pytest.mark.parametrize("arithmetic", [Arithmetic.INTEGER, Arithmetic.CHAIDNN], ids=lambda each: each.value)
def test_only_fake(arithmetic: Arithmetic, tmp_path: Path) -> None:
    files = written(tmp_path)
    np.save(tmp_path / "in.npy", np.ones((1, 3, 10, 12), np.float32))
    options = SimulationOptions(
        str(files.deploy), str(files.weights), (str(tmp_path / "in.npy"),), blobs_dir=str(tmp_path / "b"),
        arithmetic=arithmetic,
    )  # fmt: skip
    with pytest.raises(UsageError, match="use fake"):
        simulate_files(options, Journal())


def test_evaluate_says_that_it_cannot(tmp_path: Path) -> None:
    files = written(tmp_path)
    with pytest.raises(InputError, match="`xportdnn simulate` takes this file"):
        evaluate(EvaluationOptions(str(files.deploy), str(files.weights), str(ROOT / "calibration" / "shapes")))


def test_a_trained_network_keeps_its_classes(tmp_path: Path) -> None:
    """12-bit weights and 8-bit blobs with its defaults: the same class for 39 of 40 pictures at least."""
    files = Files(DIGITS / "deploy.prototxt", DIGITS / "digits_residual.caffemodel")
    quantized = tmp_path / "jacinto.prototxt"
    quantized.write_text(converted(files), encoding="utf-8")
    steps = ["--mean_value", "0", "--input_scale", str(1 / 256), "--images_size", "40"]
    pictures = ["--images", str(ROOT / "calibration" / "digits_test")]
    done = ["simulate", "--deploy_model", str(quantized), "--weights", str(files.weights)]
    assert cli._run([*done, *pictures, *steps, "--blobs_dir", str(tmp_path / "quantized")], False) == 0
    off = quantized.read_text(encoding="utf-8").replace("quantize_weights: true", "quantize_weights: false")
    quantized.write_text(off.replace("quantize_activations: true", "quantize_activations: false"), encoding="utf-8")
    assert cli._run([*done, *pictures, *steps, "--blobs_dir", str(tmp_path / "float")], False) == 0
    found, wanted = (np.load(tmp_path / name / "prob.npy").argmax(axis=1) for name in ("quantized", "float"))
    assert int((found == wanted).sum()) >= 39
