"""Weights, biases, multipliers, sums and shifts: what of a convolution's numbers the board can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.check.cases import Case
from tests.check.converted import conv, fixed, normalization, normalized, pool, relu, xilinx
from tests.small_nets import caffemodel, data, layer
from xportdnn import caffemodel as files
from xportdnn.arithmetic.board import weights as host
from xportdnn.arithmetic.board.convolution import convolution
from xportdnn.check import look
from xportdnn.check.bounds import bounds
from xportdnn.check.convolutions import convolutions
from xportdnn.check.opening import subject
from xportdnn.check.rules import fractions
from xportdnn.check.rules.weighed import factors, sums, weights
from xportdnn.check.subject import Subject
from xportdnn.choices import Triple
from xportdnn.kernels import Windows
from xportdnn.layers import Array
from xportdnn.prototxt import Source

RULES = (*factors.RULES, *fractions.RULES, *sums.RULES, *weights.RULES)
BY_ID = {rule.id: rule for rule in RULES}
DATA = data(1, 4, 5, 6)


def rows(*values: float) -> Array:
    """Weights of 1x1 filters over 4 channels: the first weight of each filter is given, the others are 0."""
    found = np.zeros((len(values), 4, 1, 1), np.float32)
    found[:, 0, 0, 0] = values
    return found


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


def blobs(weight: Array, bias: Array | None = None) -> dict[str, tuple[Array, ...]]:
    """Of the layer `a`."""
    return {"a": (weight, np.zeros(len(weight), np.float32) if bias is None else bias)}


def one(block: str, num_output: int = 2) -> str:
    """A 1x1 Convolution `a` over 4 channels, with a block."""
    return DATA + conv("data", "a", block, num_output)


def wide(block: str, channels: int) -> str:
    """A 1x1 Convolution `a` of 1 filter over many channels, behind a ReLU."""
    return data(1, channels, 2, 3) + relu("data", "r") + conv("r", "a", block, 1)


def upsampling(block: str) -> str:
    """A Deconvolution `up` of 2 channels with ArgMax behind it."""
    params = "convolution_param { num_output: 2 kernel_size: 4 stride: 2 group: 2 }"
    text = data(1, 2, 5, 6) + layer("up", "Deconvolution", "data", "up", f"{params}\n{block}")
    return text + layer("class", "ArgMax", "up", "class")


def fused(params: int = 5) -> str:
    """A DynamicFixed Convolution `a` with BatchNorm and Scale behind it."""
    return one(fixed(2, 2, params)) + normalized("a", "a", "a", normalization(2, 2))


def fused_blobs(peak: float) -> dict[str, tuple[Array, ...]]:
    """Weights of `fused` whose largest is `peak` with BatchNorm and Scale worked in."""
    unit = (f32(0, 0), f32(1, 1) - np.float32(1e-5), f32(1))
    return {**blobs(rows(peak, peak / 2)), "norm": unit, "scale": (f32(1, 1), f32(0, 0))}


HALVES = blobs(rows(0.5, -0.5))
FULL = np.full((1, 1028, 1, 1), 0.5, np.float32)
DECONVOLUTION = {"up": (np.full((2, 1, 4, 4), 0.75, np.float32), f32(0, 0))}

CASES: dict[str, Case] = {
    # steps 0.5/127 and 4/127 over 0.0039/127: a factor of 4.04
    "multiplier-too-large": Case(
        one(xilinx(4, 0.0039, [0.5, 0.25])),
        one(xilinx(4, 0.004, [0.5, 0.25])),
        says="channel 0 would be multiplied by up to 4.04 with th_layer_out 0.0039",
        line=13,
        weights=blobs(rows(0.5, -0.25)),
    ),
    "multiplier-too-small": Case(
        one(xilinx(4, 1400, [0.5, 0.5])),
        one(xilinx(4, 1250, [0.5, 0.5])),
        says="the multipliers of 2 of 2 channels, the first is 0, are 47 or a little more",
        weights=HALVES,
    ),
    "bias-clipped": Case(
        one(xilinx(4, 3, [0.5, 0.5])),
        one(xilinx(4, 3.5, [0.5, 0.5])),
        says="the bias of channel 1 is up to 3.4, beyond th_layer_out 3",
        line=13,
        weights=blobs(rows(0.5, -0.5), f32(3, -3.4)),
    ),
    "bias-wraps": Case(
        one(fixed(7, 4, 7)),
        one(fixed(7, 4, 6)),
        says="the bias of channel 1 needs up to 49152 with fl_layer_in 7 and fl_params 7, 16 bits hold 32767",
        weights=blobs(rows(0.5, -0.5), f32(1, 3)),
    ),
    "output-shift": Case(
        one(fixed(2, 7, 5)), one(fixed(2, 6, 5)), says="fl_layer_in 2 + fl_params 5 - fl_layer_out 7 is 0", line=13
    ),
    "fused-output-shift": Case(
        fused(),
        fused(),
        says="the board computes fl_params -1 for fused weights up to 0.004; fl_layer_in 2 + fl_params -1",
        weights=fused_blobs(0.004),
        passing_weights=fused_blobs(0.03),
    ),
    "fl-params-negative": Case(one(fixed(5, 2, -1)), one(fixed(5, 2, 0)), says="fl_params is -1", line=13),
    "fl-input-negative": Case(
        one(fixed(-1, 2, 5)),
        one(fixed(5, -1, 5)) + conv("a", "b", fixed(-1, 2, 5)),
        says="fl_layer_in is -1",
    ),
    "fl-output-negative": Case(
        one(fixed(2, -1, 5)) + pool("a", "p", "") + layer("prob", "Softmax", "p", "prob"),
        one(fixed(2, -1, 5))
        + conv("a", "b", fixed(-1, 2, 5))
        + layer("prob", "Softmax", "b", "prob")
        + layer("priors", "PriorBox", "a data", "priors", "prior_box_param { min_size: 2 variance: 0.1 }"),
        says="fl_layer_out is -1, read by prob, which runs in software",
    ),
    "deconvolution-scales": Case(
        upsampling(xilinx(4, 4, [0.5, 0.25])),
        upsampling(xilinx(4, 4, [0.5, 0.5])),
        says="th_params go from 0.25 to 0.5",
    ),
    "accumulator-too-short": Case(
        wide(xilinx(1, 5, [0.5]), 1028),
        wide(xilinx(1, 4, [0.5]), 1028),
        says="no output is larger than 4.06, 81 % of what th_layer_out has room for",
        weights=blobs(FULL),
    ),
    "accumulator-may-saturate": Case(
        # the other filter comes to th_layer_out before its accumulator ends
        data(1, 1028, 2, 3) + conv("data", "a", xilinx(1, 5, [0.5, 2])),
        data(1, 1028, 2, 3) + conv("data", "a", xilinx(1, 4, [0.5, 2])),
        says="in the worst case sums end at 81 % of the output's range: channels of a (1 of 2)",
        weights=blobs(np.concatenate([FULL, 4 * FULL])),
    ),
    "output-may-wrap": Case(
        wide(xilinx(1, 0.9, [0.5]), 8),
        wide(xilinx(1, 1.1, [0.5]), 8),
        says="in the worst case outputs come to 564 steps, 511.5 is the limit: a",
        weights=blobs(np.full((1, 8, 1, 1), 0.5, np.float32)),
    ),
    "weights-clipped": Case(
        one(xilinx(4, 4, [0.5, 0.24])),
        one(xilinx(4, 4, [0.5, 0.5])),
        says="12.5 % of the weights are cut off, in channel 1 0.5 becomes 0.24",
        line=13,
        weights=HALVES,
    ),
    "weights-range-idle": Case(
        one(xilinx(4, 4, [0.5, 2.1])),
        one(xilinx(4, 4, [0.5, 1.9])),
        says="th_params of 1 of 2 channels are too large, that of channel 1 is 2.1 for weights up to 0.5",
        weights=HALVES,
    ),
    "weights-all-zero": Case(
        one(fixed(2, 2, 5)),
        one(fixed(2, 2, 6)),
        says="all weights are stored as 0 with fl_params 5; the largest is 0.01",
        weights=blobs(rows(0.01, -0.008)),
    ),
    "channels-all-zero": Case(
        one(fixed(2, 2, 5)),
        one(fixed(2, 2, 6)),
        says="1 of 2 channels are stored as 0, with weights up to 0.01",
        weights=blobs(rows(0.5, -0.01)),
    ),
    "deconvolution-weights-clipped": Case(
        upsampling(fixed(2, 2)),
        upsampling(fixed(2, 2)),
        says="50 % of the weights are beyond 1, up to 1.5",
        weights={"up": (DECONVOLUTION["up"][0] * f32(2, 1).reshape(2, 1, 1, 1), f32(0, 0))},
        passing_weights=DECONVOLUTION,
    ),
}


def opened(folder: Path, text: str, arrays: Mapping[str, Sequence[Array]]) -> Subject:
    source = Source("net.prototxt", text)
    if not arrays:
        return subject(source)
    path = folder / "net.caffemodel"
    path.write_bytes(caffemodel(arrays))
    found = subject(source, files.read(path))
    assert found.trouble == ""
    return found


def messages(folder: Path, text: str, arrays: Mapping[str, Sequence[Array]], rule: str) -> list[str]:
    return [finding.message for finding in look(opened(folder, text, arrays), [BY_ID[rule]])]


@pytest.mark.parametrize("rule", CASES)
def test_rule(rule: str, tmp_path: Path) -> None:
    case = CASES[rule]
    (finding,) = look(opened(tmp_path, case.failing, case.weights), [BY_ID[rule]])
    assert case.says in finding.message
    assert case.line in (0, finding.line)
    passing = case.weights if case.passing_weights is None else case.passing_weights
    assert messages(tmp_path, case.passing, passing, rule) == []


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(BY_ID)


ALONE = (
    "multiplier-too-large",
    "output-shift",
    "fused-output-shift",
    "weights-all-zero",
    "bias-wraps",
    "fl-params-negative",
)


@pytest.mark.parametrize("rule", ALONE)
def test_one_cause_is_said_once(rule: str, tmp_path: Path) -> None:
    case = CASES[rule]
    found = look(opened(tmp_path, case.failing, case.weights or HALVES), RULES)
    assert [finding.rule.id for finding in found] == [rule]


# ---- multipliers and biases


def test_a_multiplier_that_no_word_holds(tmp_path: Path) -> None:
    """The host cannot store it at all; the other rules say nothing then."""
    text = one(xilinx(4, 1e-6, [0.5, 0.5]))
    found = look(opened(tmp_path, text, HALVES), RULES)
    assert [finding.rule.id for finding in found] == ["multiplier-too-large"]


def test_multipliers_of_dead_channels_do_not_matter(tmp_path: Path) -> None:
    text = one(xilinx(4, 4, [0.5, 1e-8]))
    assert messages(tmp_path, text, blobs(rows(0.5, 1e-8)), "multiplier-too-small") == []


@pytest.mark.parametrize(("bias", "count"), [(3.011, 0), (3.012, 1)])
def test_a_bias_is_lost_from_half_a_step_on(bias: float, count: int, tmp_path: Path) -> None:
    """3 is 127 steps of 0.0236."""
    text = one(xilinx(4, 3, [0.5, 0.5]))
    assert len(messages(tmp_path, text, blobs(rows(0.5, 0.5), f32(0, -bias)), "bias-clipped")) == count


@pytest.mark.parametrize(("bias", "count"), [(3.98, 0), (3.99, 1), (-4.015, 0), (-4.02, 1)])
def test_the_range_of_a_bias_in_dynamic_fixed_mode(bias: float, count: int, tmp_path: Path) -> None:
    """At 8 bits and 5 fractional ones -4 to 3.96875."""
    text = one(fixed(2, 5, 5))
    found = messages(tmp_path, text, blobs(rows(0.5, 0.5), f32(0, bias)), "bias-clipped")
    assert len(found) == count
    assert all("beyond 3.969, the most that fl_layer_out 5 holds" in message for message in found)


def test_a_bias_with_normalization_worked_in(tmp_path: Path) -> None:
    """The board takes th_layer_out from the Scale; that it cuts it down to a whole number has a rule of its own."""
    text = one(xilinx(4, 9, [0.5, 0.5])) + normalized("a", "a", "a", xilinx(9, 3.9))
    arrays = {**HALVES, "norm": (f32(0, 0), f32(1, 1), f32(1)), "scale": (f32(1, 1), f32(1, 3.5))}
    assert messages(tmp_path, text, arrays, "bias-clipped") == []
    (message,) = messages(tmp_path, text, {**arrays, "scale": (f32(1, 1), f32(1, 4.5))}, "bias-clipped")
    assert message == "the bias with BatchNorm and Scale worked in of channel 1 is up to 4.5, beyond th_layer_out 3.9"


# ---- sums


@st.composite
def layers(draw: st.DrawFn) -> tuple[Array, Array, bool, float]:
    """Weights, bias, whether a ReLU stands before the layer, and th_layer_out."""
    seed = draw(st.integers(0, 1 << 16))
    rng = np.random.default_rng(seed)
    channels, kernel = draw(st.sampled_from([(3, 1), (7, 3), (64, 3), (260, 1), (256, 3)]))
    weight = (rng.standard_normal((2, channels, kernel, kernel)) * 0.3).astype(np.float32)
    bias = rng.standard_normal(2).astype(np.float32)
    return weight, bias, draw(st.booleans()), draw(st.floats(0.1, 40))


@settings(max_examples=30, deadline=None)
@given(layers())
def test_no_input_exceeds_the_bounds(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[Array, Array, bool, float]
) -> None:
    weight, bias, rectified, th_out = drawn
    _, channels, kernel, _ = weight.shape
    th_params = [float(value) for value in np.abs(weight).reshape(2, -1).max(axis=1)]
    block = xilinx(1, max(th_out, float(np.abs(bias).max())), th_params)
    text = data(1, channels, kernel, kernel) + (relu("data", "data") if rectified else "")
    text += conv("data", "a", block).replace("kernel_size: 1", f"kernel_size: {kernel}")
    (conv_a,) = convolutions(opened(tmp_path_factory.getbasetemp(), text, {"a": (weight, bias)}))
    found, stored = bounds(conv_a), conv_a.stored
    if found is None or stored is None:
        return  # a multiplier of 4 or more
    positive = stored.weights > 0
    worst = np.where(positive, 127, 0 if rectified else -128).astype(np.int8)
    windows = Windows(*((size, size) for size in (kernel, 1, 0, 1)))
    for channel in range(2):
        exact = int((stored.weights[channel].astype(np.int64) * worst[channel]).sum())
        assert exact == found.above[:, channel].sum()
        lost = convolution(worst[channel : channel + 1], stored, windows, (1, 1)).saturations
        if (found.portions <= 131071).all() and (found.above.sum(axis=0) <= 131071).all():
            assert lost.accumulators == 0
        if (found.largest_words < 511.5).all():
            assert (lost.words, lost.roundings) == (0, 0)


def test_outputs_of_six_bits_have_room_for_larger_sums(tmp_path: Path) -> None:
    text = wide(xilinx(1, 5, [0.5], bits=6), 1028)
    assert messages(tmp_path, text, blobs(FULL), "accumulator-too-short") == []


def test_depthwise_jobs_have_other_sums(tmp_path: Path) -> None:
    text = DATA + conv("data", "a", fixed(7, 7, 7), 4, "group: 4")
    (found,) = convolutions(opened(tmp_path, text, blobs(np.full((4, 1, 1, 1), 0.5, np.float32))))
    assert bounds(found) is None


def test_multipliers_are_those_of_the_host(tmp_path: Path) -> None:
    text = one(xilinx(4, 3, [0.5, 0.25]))
    (found,) = convolutions(opened(tmp_path, text, HALVES))
    limits = bounds(found)
    assert limits is not None
    expected = host.factors(Triple(8, 8, 8), 4, f32(0.5, 0.25), 3)
    np.testing.assert_allclose(limits.factors, expected, rtol=1e-4)


# ---- weights


def test_one_finding_for_an_fl_params_of_all_layers(tmp_path: Path) -> None:
    text = one(fixed(2, 2, 5)) + conv("a", "b", fixed(2, 2, 5))
    arrays = {**HALVES, "b": (np.full((2, 2, 1, 1), 0.1, np.float32), f32(0, 0))}
    assert messages(tmp_path, text, arrays, "weights-range-idle") == ["fl_params could be larger: in b by 5, in a by 2"]


def test_an_fl_params_that_the_board_computes(tmp_path: Path) -> None:
    """0.25 needs 1 bit before the binary point less than the board takes: 8 - (2 + 1) instead of 8 - (-2 + 1)."""
    assert messages(tmp_path, fused(), fused_blobs(0.25), "weights-range-idle") == [
        "the board computes fl_params 5 for fused weights up to 0.25, 3 too few"
    ]


def test_fused_weights_that_vanish(tmp_path: Path) -> None:
    (message,) = messages(tmp_path, fused(), fused_blobs(0.0157), "weights-all-zero")
    assert message.startswith("all weights, BatchNorm and Scale worked in, are stored as 0 with fl_params 1")


@pytest.mark.parametrize("rule", BY_ID)
def test_all_weights_zero(rule: str, tmp_path: Path) -> None:
    text = one(fixed(2, 2, 5)) + conv("a", "b", xilinx(2, 2, [0.5, 0.5]))
    arrays = {**blobs(rows(0, 0)), "b": (np.zeros((2, 2, 1, 1), np.float32), f32(0, 0))}
    assert messages(tmp_path, text, arrays, rule) == []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("", id="none"),
        pytest.param(xilinx(4, 4, [0.5]), id="too few th_params"),
        pytest.param(xilinx("nan", 4, [0.5, 0.5]), id="nan"),
        pytest.param(xilinx(4, 0, [0.5, 0.5]), id="zero"),
        pytest.param(fixed(2, 2, 200), id="absurd"),
        pytest.param(xilinx(4, 4, [0.5, 0.5]).replace("Xilinx", "xilinx"), id="no mode"),
        pytest.param(xilinx(4, 4, [0.5, 0.5]).replace("Xilinx", "DynamicFixed"), id="the other mode"),
    ],
)
def test_blocks_that_other_rules_are_about(block: str, tmp_path: Path) -> None:
    assert convolutions(opened(tmp_path, one(block), HALVES)) == ()


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    text = one(xilinx(4, 4, [0.5, 0.5]))
    assert convolutions(opened(tmp_path, text, blobs(rows(0.5, float("nan"))))) == ()


def test_depthwise_layers_of_xilinx_mode_have_a_rule_of_their_own(tmp_path: Path) -> None:
    text = DATA + conv("data", "a", xilinx(4, 4, [0.5] * 4), 4, "group: 4")
    assert convolutions(opened(tmp_path, text, blobs(np.full((4, 1, 1, 1), 0.5, np.float32)))) == ()
