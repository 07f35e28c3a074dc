"""The guards against the board itself: what a rule's own thresholds do in its integers, and what is left of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.small_nets import RESIDUAL, by_name, conv, data, layer, net_of, value, write_net, write_pictures
from xportdnn import api, calibrate, execute, plan, precision, scales
from xportdnn.arithmetic.board import convolution
from xportdnn.arithmetic.board.weights import XILINX_SHIFT
from xportdnn.arithmetic.board.weights import xilinx as stored
from xportdnn.choices import Arithmetic, Matrix, ScaleClasses, Triple
from xportdnn.cli import main
from xportdnn.conversion import Conversion
from xportdnn.errors import NetworkError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.guards import bounds
from xportdnn.guards.bounds import Numbers
from xportdnn.guards.convolutions import convolutions
from xportdnn.guards.marks import Guard, Mark, sentences
from xportdnn.guards.xilinx import Site, all_bounds, guarded
from xportdnn.journal import Journal, Level
from xportdnn.kernels import Windows
from xportdnn.layers import Arrays
from xportdnn.network import Value, runnable
from xportdnn.report import report
from xportdnn.simulation import prepare

SHARED = Path(__file__).parents[2] / "shared"
METHODS = ("xilinx", "max")
by_method = pytest.mark.parametrize("method", METHODS)
by_bits = pytest.mark.parametrize("bits", [6, 8], ids=["6-bit", "8-bit"])


def floats(*rows: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Weights of a 1x1 Convolution."""
    return np.array(rows, np.float32).reshape(len(rows), -1, 1, 1)


def vector(*numbers: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(numbers, np.float32)


def bright(folder: Path, count: int = 2) -> Path:
    """Pictures of bright gray pixels, 9 wide and 7 high: without mean all channels are above 0 and the same."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for index in range(count):
        gray = rng.integers(160, 256, (7, 9, 1), np.uint8)
        Image.fromarray(gray.repeat(3, axis=2)).save(folder / f"{index}.png")
    return folder


@dataclass(frozen=True)
class OnBoard:
    """A conversion, and what the board makes of it on the pictures it was calibrated with.

    Attributes:
        wrapped: outputs that wrapped around.
        clipped: weights, biases and factors that the host could not store.
    """

    conversion: Conversion
    journal: Journal
    wrapped: int
    clipped: int
    warnings: tuple[str, ...]

    def threshold(self, name: str) -> float:
        """The th_layer_out of a layer."""
        (found,) = (dict(block.fields)["th_layer_out"] for block in self.conversion.blocks if block.layer.name == name)
        assert isinstance(found, float)
        return found

    @property
    def guards(self) -> set[Guard]:
        return {mark.guard for mark in self.conversion.marks}


def converted(folder: Path, text: str, weights: Mapping[str, Arrays], **options: Any) -> tuple[Conversion, Journal]:
    files, journal = write_net(folder, text, weights), Journal()
    chosen = {"calibration_size": 2, "bitwidths": (8, 8, 8), "mean_value": "0", "workers": 1, **options}
    pictures = bright(folder / "pictures")
    return api.convert(files.deploy, files.weights, calibration_directory=pictures, journal=journal, **chosen), journal


def on_board(folder: Path, text: str, weights: Mapping[str, Arrays], **options: Any) -> OnBoard:
    """Convert and simulate, bit by bit.

    Raises:
        NetworkError: the board would not run it.
    """
    conversion, journal = converted(folder, text, weights, **options)
    assert conversion.evidence is not None
    net, opened = net_of(conversion.text), conversion.opened
    arrays = execute.load(runnable(net, opened.inputs), opened.weights)
    simulation = prepare(net, arrays, precision.read(net), Arithmetic.CHAIDNN, opened.inputs)
    wrapped = sum(done.wrapped for feeds in conversion.evidence.pictures for done in simulation.run(feeds))
    return OnBoard(conversion, journal, wrapped, sum(simulation.clipped.values()), simulation.warnings)


INPUT = data(1, 3, 7, 9)
CONV = INPUT + conv("c", "data", "c", 2)
RECTIFIED = CONV + layer("r", "ReLU", "c", "c")
FUSED = (
    CONV
    + layer("bn", "BatchNorm", "c", "c")
    + layer("s", "Scale", "c", "c", "scale_param { bias_term: true }")
    + layer("r", "ReLU", "c", "c")
)
IDENTITY = (np.zeros(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32))


def fused(gamma: float, beta: float = 0.0) -> dict[str, Arrays]:
    """A mean of the channels and the first of them, times gamma, plus beta."""
    weights = floats((0.3, 0.3, 0.3), (1, 0, 0)), np.zeros(2, np.float32)
    return {"c": weights, "bn": IDENTITY, "s": (vector(gamma, gamma), vector(beta, beta))}


# ---- the board's own numbers


# the second channel is small, the first far below 0, which nobody sees behind the ReLU
DEEP = {"c": (floats((-1, -1, -1), (0.05, 0, 0)), np.zeros(2, np.float32))}
# what comes out is small because the bias takes away what the weights give
BIASED = {"c": (floats((-1, -1, -1), (-1, -1, 0)), vector(600, 400))}
# the same number twice, once with each sign
CANCELLED = {"c": (floats((100, -100, 0), (1, -1, 0)), vector(1, 0.5))}


@by_method
@by_bits
def test_sums_far_below_0_do_not_wrap(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, RECTIFIED, DEEP, guards=False, **options)
    held = on_board(tmp_path, RECTIFIED, DEEP, **options)
    assert raw.wrapped > 0
    assert (held.wrapped, held.guards) == (0, {Guard.WRAP})
    assert held.threshold("c") == held.threshold("r") > raw.threshold("c")


@by_method
def test_sums_do_not_wrap_behind_batch_norm(tmp_path: Path, method: str) -> None:
    weights = fused(1.0) | {"c": (floats((-1, -1, -1), (0.05, 0, 0)), np.zeros(2, np.float32))}
    raw = on_board(tmp_path, FUSED, weights, guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, weights, threshold_method=method)
    assert raw.wrapped > 0
    assert (held.wrapped, held.guards) == (0, {Guard.WRAP, Guard.WHOLE})


@by_method
@by_bits
def test_biases_are_not_clipped(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, CONV, BIASED, guards=False, **options)
    held = on_board(tmp_path, CONV, BIASED, **options)
    assert raw.clipped == 2
    assert (held.clipped, held.guards) == (0, {Guard.BIAS})
    assert held.threshold("c") == 600


@by_method
def test_biases_are_not_clipped_behind_batch_norm(tmp_path: Path, method: str) -> None:
    weights = BIASED | {"bn": IDENTITY, "s": (vector(0.5, 0.5), vector(0.25, 0))}
    raw = on_board(tmp_path, FUSED, weights, guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, weights, threshold_method=method)
    assert raw.clipped == 2
    assert held.clipped == 0
    assert held.threshold("s") == 301  # 0.5 * 600 + 0.25, and whole
    assert held.guards == {Guard.BIAS, Guard.WHOLE}


@by_method
@by_bits
def test_factors_stay_below_4(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, CONV, CANCELLED, guards=False, **options)
    held = on_board(tmp_path, CONV, CANCELLED, **options)
    assert raw.clipped > 0
    assert (held.clipped, held.guards) == (0, {Guard.FACTOR})


@by_method
@pytest.mark.parametrize("gamma", [0.001, 0.00392], ids=["0.25", "0.99"])
def test_a_threshold_below_1_behind_batch_norm_does_not_stop_the_board(
    tmp_path: Path, method: str, gamma: float
) -> None:
    with pytest.raises(NetworkError, match="becomes 0 on the board"):
        on_board(tmp_path, FUSED, fused(gamma), guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, fused(gamma), threshold_method=method)
    assert held.threshold("s") == held.threshold("r") == 1
    assert held.guards == {Guard.WHOLE}


@by_method
def test_a_threshold_behind_batch_norm_keeps_no_decimals(tmp_path: Path, method: str) -> None:
    raw = on_board(tmp_path, FUSED, fused(0.03), guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, fused(0.03), threshold_method=method)
    assert any("the whole part of their th_layer_out" in warning for warning in raw.warnings)
    assert not any("the whole part" in warning for warning in held.warnings)
    assert held.threshold("s") == np.ceil(raw.threshold("s"))


def test_a_scale_that_is_not_worked_in_keeps_its_decimals(tmp_path: Path) -> None:
    text = FUSED.replace('type: "BatchNorm"', 'type: "Power"')
    weights = {name: blobs for name, blobs in fused(0.03).items() if name != "bn"}
    made, _ = converted(tmp_path, text, weights, threshold_method="max")
    assert made.marks == ()


def test_a_bias_beyond_all_reason_is_given_up(tmp_path: Path) -> None:
    """Room for it would leave the other channel no step to move by."""
    weights = {"c": (floats((1, 0, 0), (0.05, 0, 0)), vector(-1e6, 0))}
    held = on_board(tmp_path, RECTIFIED, weights, threshold_method="max")
    assert held.threshold("c") < 30  # the other channel reaches 12.75
    assert Guard.CLIPPED in held.guards
    (warning,) = [text for level, text in held.journal.remarks if "room for them" in text and level is Level.WARNING]
    assert "c (1e+06 at " in warning


def test_channels_that_hardly_do_anything_are_a_detail(tmp_path: Path) -> None:
    weights = {"c": (floats((1e-6, 0, 0), (1, 1, 1)), np.zeros(2, np.float32))}
    made, journal = converted(tmp_path, CONV, weights, threshold_method="max")
    assert [(mark.guard, mark.was) for mark in made.marks] == [(Guard.FINE, 1)]
    assert [level for level, text in journal.remarks if "off by more than 1 %" in text] == [Level.DETAIL]


def test_what_shares_the_class_is_raised_with_it(tmp_path: Path) -> None:
    pool = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
    text = RECTIFIED + layer("p", "Pooling", "c", "p", pool) + conv("d", "p", "d", 5)
    held = on_board(tmp_path, text, DEEP, threshold_method="max")
    (d,) = (dict(block.fields) for block in held.conversion.blocks if block.layer.name == "d")
    assert d["th_layer_in"] == held.threshold("p") == held.threshold("c")


# ---- the arithmetic of the bounds


def single(weight: int, bias: float, th_out: float, bits: int) -> tuple[float, int]:
    """A 1x1 convolution of 8 channels of the largest input: how far it is from 0, in steps, and what wrapped."""
    q = 2 ** (bits - 1) - 1
    weights = np.full((1, 8, 1, 1), weight / q, np.float32)
    held = stored(weights, vector(bias), Triple(bits, bits, bits), 1.0, [1.0], th_out)
    result = convolution.convolution(
        np.full((1, 8, 1, 1), q, np.int8), held, Windows((1, 1), (1, 1), (0, 0), (1, 1)), (1, 1)
    )
    lost = result.saturations
    return (8 * weight / q + bias) / th_out * q, lost.words + lost.roundings


@by_bits
@settings(max_examples=60, deadline=None)
@given(weight=st.integers(-31, 31).filter(bool), share=st.floats(-1, 1), sign=st.sampled_from([-1, 1]))
def test_within_the_safe_steps_nothing_wraps(bits: int, weight: int, share: float, sign: int) -> None:
    total = 8 * weight / (2 ** (bits - 1) - 1)
    bias = sign * share * abs(total) / 200
    th_out = max(abs(total + bias) * (2 ** (bits - 1) - 1) / bounds.SAFE_STEPS * (1 + 2**-20), abs(bias))
    steps, wrapped = single(weight, bias, th_out, bits)
    assert abs(steps) <= bounds.SAFE_STEPS
    assert wrapped == 0


@by_bits
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_step_further_it_wraps(bits: int, sign: int) -> None:
    steps, wrapped = single(sign * 31, 0.0, 8 * 31 / 511.75, bits)
    assert abs(steps) < 512
    assert wrapped == 1


def test_safe_steps() -> None:
    assert bounds.SAFE_STEPS == 512 - 1 - 1 / 64
    assert bounds.LARGEST_SUM * 2.0**-XILINX_SHIFT / 2 == 1 / 64


# ---- all classes together

BITS = Triple(8, 8, 8)
BLOBS = ("data", "c0", "c1", "c2", "c3", "c4")
CHAIN = net_of(data(1, 2, 3, 4) + "".join(conv(top, bottom, top, 2) for bottom, top in pairwise(BLOBS)))
CLASSES = [value(CHAIN, blob) for blob in BLOBS[:5]]
positive = st.floats(2.0**-20, 2.0**20, width=32)


@st.composite
def site_lists(draw: st.DrawFn) -> list[Site]:
    """Convolutions between any two of five scale classes."""
    count = draw(st.integers(1, 5))
    found = []
    for index in range(count):
        channels = draw(st.integers(1, 4))
        numbers = Numbers(
            draw(positive),
            np.array(
                draw(st.lists(st.floats(-1000, 1000, width=32), min_size=channels, max_size=channels)), np.float32
            ),
            np.array(draw(st.lists(positive, min_size=channels, max_size=channels)), np.float32),
            BITS,
        )
        reads, writes = draw(st.sampled_from(CLASSES)), draw(st.sampled_from(CLASSES))
        found.append(Site(by_name(CHAIN, f"c{index}"), draw(st.booleans()), reads, writes, numbers))
    return found


all_thresholds = st.tuples(*(positive for _ in CLASSES)).map(lambda numbers: dict(zip(CLASSES, numbers, strict=True)))
laws = settings(max_examples=80, deadline=None)


@laws
@given(site_lists(), all_thresholds)
def test_thresholds_only_rise_and_only_where_a_convolution_writes(
    sites: list[Site], thresholds: dict[Value, float]
) -> None:
    found = guarded(sites, thresholds).thresholds
    assert list(found) == list(thresholds)
    for each, threshold in thresholds.items():
        assert found[each] >= threshold
        if each not in {site.writes for site in sites}:
            assert found[each] == threshold


@laws
@given(site_lists(), all_thresholds)
def test_every_bound_holds_or_is_told_to_be_out_of_reach(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found, marks = guarded(sites, thresholds)
    stuck = {mark.layers[0].index for mark in marks if mark.guard is Guard.STUCK}
    for bound in all_bounds(sites, found):
        is_stuck = bound.guard is Guard.FACTOR and bound.site.writer.index in stuck
        assert bound.least <= found[bound.site.writes] or is_stuck
    assert all(found[site.writes].is_integer() for site in sites if site.whole)


@laws
@given(site_lists(), all_thresholds)
def test_a_second_time_changes_nothing(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found = guarded(sites, thresholds).thresholds
    assert guarded(sites, found).thresholds == found


@laws
@given(site_lists(), all_thresholds, st.randoms(use_true_random=False))
def test_the_order_of_layers_does_not_matter(sites: list[Site], thresholds: dict[Value, float], random: Any) -> None:
    found = guarded(sites, thresholds)
    shuffled = random.sample(sites, len(sites))
    other = guarded(shuffled, thresholds)
    assert other.thresholds == found.thresholds
    raising = {Guard.WRAP, Guard.BIAS, Guard.FACTOR}
    assert {mark for mark in other.marks if mark.guard in raising} == {
        mark for mark in found.marks if mark.guard in raising
    }


@laws
@given(site_lists(), all_thresholds)
def test_marks_lead_from_the_old_threshold_to_the_new(sites: list[Site], thresholds: dict[Value, float]) -> None:
    found, marks = guarded(sites, thresholds)
    writes = {site.writer.index: site.writes for site in sites}
    reached = dict(thresholds)
    for mark in marks:
        if mark.guard in (Guard.WRAP, Guard.BIAS, Guard.FACTOR, Guard.WHOLE):
            root = writes[mark.layers[0].index]
            assert mark.fits is not None
            assert reached[root] == mark.was < mark.fits
            reached[root] = mark.fits
    assert reached == found


def test_a_threshold_that_was_asked_for_stays_and_is_warned_of() -> None:
    numbers = Numbers(10.0, vector(5, 6), vector(1, 1), BITS)
    site = Site(by_name(CHAIN, "c0"), False, CLASSES[0], CLASSES[1], numbers)
    thresholds = dict.fromkeys(CLASSES, 1.0)
    found, marks = guarded([site], thresholds, {CLASSES[1]})
    assert found == thresholds
    assert [(mark.guard, mark.was, mark.fits) for mark in marks] == [(Guard.GIVEN, 1.0, 6.0)]


def test_a_factor_that_follows_its_own_threshold_is_stuck() -> None:
    """An Eltwise ties what the Convolution reads and writes; its weights need more than four times the threshold."""
    numbers = Numbers(1.0, vector(0), vector(600), BITS)
    site = Site(by_name(CHAIN, "c0"), False, CLASSES[1], CLASSES[1], numbers)
    found, marks = guarded([site], dict.fromkeys(CLASSES, 1.0))
    assert found[CLASSES[1]] == 1.0
    assert [mark.guard for mark in marks] == [Guard.STUCK]
    assert [remark.level for remark in sentences(marks)] == [Level.WARNING]


# ---- what the forward shows


@by_method
def test_peaks_are_those_before_the_relu(tmp_path: Path, method: str) -> None:
    files = write_net(tmp_path, RESIDUAL)
    pictures = write_pictures(tmp_path / "pictures", 3, (9, 8))
    made = api.convert(
        files.deploy, files.weights, calibration_directory=pictures, threshold_method="max", workers=1, guards=False
    )
    assert made.evidence is not None
    opened, net = made.opened, made.opened.net
    weights = execute.load(net.layers, opened.weights)
    watched = [each.top for each in convolutions(net, runnable(net, opened.inputs))]
    assert [each.blob for each in watched] == ["stem", "left", "right"]
    assert watched[1].writer == by_name(net, "left_scale").index
    classes = scales.classes(net.layers, ScaleClasses.BOARD)
    needed = plan.needed(net, Matrix.GUIDE, classes)
    without = calibrate.stream(opened, weights, made.evidence.pictures, classes, needed)
    for workers in (1, 2):
        seen = calibrate.stream(
            opened, weights, made.evidence.pictures, classes, needed, workers=workers, watched=watched
        )
        expected: dict[Value, float] = dict.fromkeys(watched, 0.0)
        for feeds in made.evidence.pictures:
            for step in execute.run(net, weights, feeds):
                for top, array in zip(step.layer.tops, step.tops, strict=False):
                    if top in expected:
                        expected[top] = max(expected[top], float(np.abs(array).max()))
        assert seen.peaks == {each: pytest.approx(peak, rel=1e-5) for each, peak in expected.items()}
        # and to look at them changes nothing of what decides
        assert seen.statistics.keys() == without.statistics.keys()
        for root, found in seen.statistics.items():
            assert (found.minimum, found.maximum) == (
                without.statistics[root].minimum,
                without.statistics[root].maximum,
            )
            np.testing.assert_array_equal(found.counts, without.statistics[root].counts)


# ---- options, journal, report


def test_the_original_knows_no_guards_unless_asked(tmp_path: Path) -> None:
    options: dict[str, Any] = {"threshold_method": "max", "scale_classes": "original"}
    assert converted(tmp_path, RECTIFIED, DEEP, **options)[0].marks == ()
    assert converted(tmp_path, RECTIFIED, DEEP, guards=True, **options)[0].marks != ()


def test_widths_that_the_board_does_not_take_have_no_guards(tmp_path: Path) -> None:
    assert converted(tmp_path, RECTIFIED, DEEP, bitwidths=(16, 16, 16), force=True)[0].marks == ()


def test_each_kind_is_said_once_with_its_effect(tmp_path: Path) -> None:
    text = RECTIFIED + conv("d", "c", "d", 2) + layer("dr", "ReLU", "d", "d")
    weights = DEEP | {"d": (floats((0, -10), (0, 0.1)), np.zeros(2, np.float32))}
    made, journal = converted(tmp_path, text, weights, threshold_method="max")
    marks = [mark for mark in made.marks if mark.guard is Guard.WRAP]
    assert [mark.layers[0].name for mark in marks] == ["c", "d"]
    (said,) = [remark for remark in journal.remarks if "32 bits" in remark.text]
    assert said.level is Level.INFO
    assert said.text.endswith(": " + ", ".join(f"{m.layers[0].name} {m.was:.6g} -> {m.fits:.6g}" for m in marks))


def test_the_report_has_them(tmp_path: Path) -> None:
    made, journal = converted(tmp_path, CONV, BIASED, threshold_method="max")
    found = json.loads(json.dumps(report(made, journal.remarks)))["guards"]
    (mark,) = made.marks
    assert found == [{"guard": "bias", "layers": ["c"], "was": mark.was, "fits": 600.0}]


def test_long_lists_of_layers_are_cut() -> None:
    marks = [Mark(Guard.WRAP, (each,) * 14, 1.0, 2.0) for each in CHAIN.layers[1:2] * 13]
    (said,) = sentences(marks)
    assert said.text.count("c0") == 12 * 12
    assert said.text.count(" and 2 more 1 -> 2") == 12
    assert said.text.endswith(", and 1 more")


def test_no_guards_on_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write_net(tmp_path, RECTIFIED, DEEP)
    arguments = [
        *files.arguments, "--calibration_directory", str(bright(tmp_path / "pictures")), "--mean_value", "0",
        "--threshold_method", "max", "--calibration_size", "2", "--workers", "1", "--quantized_deploy_model",
        str(tmp_path / "out.prototxt"),
    ]  # fmt: skip
    for more, told in (([], True), (["--guards"], True), (["--no_guards"], False), (["--no-guards"], False)):
        with pytest.raises(SystemExit) as done:
            main([*arguments, *more])
        assert done.value.code == 0
        assert ("32 bits" in capfd.readouterr().err) is told


# ---- real networks


CIFAR = SHARED / "images" / "cifar10_test_jpg"
RESNET = SHARED / "models" / "resnet20_cifar10"


def test_a_network_with_batch_norm_keeps_its_accuracy_on_the_board(tmp_path: Path) -> None:
    """Float is right for about 80 of 100; thresholds cut off behind every Scale cost 30 of them."""
    if not (RESNET.is_dir() and CIFAR.is_dir()):
        pytest.skip("../shared with the larger networks is not here")
    weights = RESNET / "resnet20_cifar10.caffemodel"
    mean = str(RESNET.parent / "cifar10_mean.binaryproto")
    lost = {}
    for guards in (False, True):
        made = api.convert(
            RESNET / "deploy.prototxt", weights, calibration_directory=CIFAR, calibration_size=8, bitwidths=(8, 8, 8),
            channel_swap=(0, 1, 2), mean_value=mean, threshold_method="mse", guards=guards,
        )  # fmt: skip
        path = tmp_path / f"{guards}.prototxt"
        path.write_text(made.text, encoding="utf-8")
        done = evaluate(
            EvaluationOptions(
                str(path), str(weights), str(CIFAR), f"{CIFAR}.labels.txt", images_size=60, channel_swap=(0, 1, 2),
                mean_value=mean, arithmetic=Arithmetic.CHAIDNN,
            )
        )  # fmt: skip
        assert done.classified is not None
        lost[guards] = (done.classified.float_top1 or 0) - (done.classified.top1 or 0)
    assert lost[False] > 15
    assert lost[True] < 5
