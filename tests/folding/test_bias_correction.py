"""Biases that take back what quantization shifts, in the steps in which the board keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.folding.nets import floats, fold_text
from tests.folding.test_patterns import relu
from tests.small_nets import by_name, conv, data, layer
from xportdnn import execute, sequential
from xportdnn.errors import CalibrationError
from xportdnn.folding.bias_correction import as_held, corrected
from xportdnn.folding.folded import Folded
from xportdnn.folding.reweighted import reweighted
from xportdnn.layers import Array, Arrays
from xportdnn.network import Value
from xportdnn.precision import Precision
from xportdnn.simulation import Arithmetic, simulate

IDENTITY = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
STEP = 16 / 127


def xilinx(th_params: Sequence[float], th_layer_in: float = 4, th_layer_out: float = 16) -> Precision:
    return Precision("Xilinx", 8, 8, 8, th_layer_in=th_layer_in, th_layer_out=th_layer_out, th_params=tuple(th_params))


# weights of 1.5 that th_params of 1 clip: a third of every sum is lost
CLIPPED = xilinx([1, 2, 1])
NET = data(1, 3, 4, 5) + conv("one", "data", "one", 3, "kernel_size: 1 bias_term: false")


def network(folder: Path, text: str = NET, **weights: Arrays) -> Folded:
    return fold_text(folder, text, {"one": (np.float32(1.5) * IDENTITY,), **weights})


def constant(folded: Folded, *values: float) -> list[dict[Value, Array]]:
    """Pictures that hold a single number each."""
    (target,) = folded.opened.inputs
    return [{target: np.full(folded.opened.inputs[target], each, np.float32)} for each in values]


def correct(
    folded: Folded,
    blocks: Mapping[str, Precision],
    pictures: Sequence[Mapping[Value, Array]],
    workers: int = 1,
) -> dict[str, Arrays]:
    """The new blobs by the layers' names."""
    by_index = {by_name(folded.net, name).index: block for name, block in blocks.items()}
    weights = execute.load(folded.net.layers, folded.opened.weights)
    found = corrected(folded.opened, weights, by_index, pictures, workers)
    return {folded.net.layers[index].name: blobs for index, blobs in found.items()}


def test_a_shift_is_taken_back_in_whole_steps(tmp_path: Path) -> None:
    folded = network(tmp_path)
    weight, bias = correct(folded, {"one": CLIPPED}, constant(folded, 1, 2))["one"]
    # 0.5 of x is lost in the first and third channel, 0.75 on average: 5.95 steps
    np.testing.assert_allclose(bias, floats(6 * STEP, 0, 6 * STEP), rtol=1e-6)
    np.testing.assert_array_equal(weight, np.float32(1.5) * IDENTITY)


def test_the_corrected_network_is_nearer(tmp_path: Path) -> None:
    folded = network(tmp_path)
    pictures = constant(folded, 1, 2)
    index = by_name(folded.net, "one").index
    better = reweighted(folded, {index: correct(folded, {"one": CLIPPED}, pictures)["one"]})
    assert "bias_term" not in better.net.source.text

    def shift(made: Folded) -> float:
        weights = execute.load(made.net.layers, made.opened.weights)
        means = [
            list(simulate(made.net, weights, {index: CLIPPED}, feeds, Arithmetic.FAKE))[-1].tops[0][0, 0].mean()
            for feeds in pictures
        ]
        return float(abs(np.mean(means) - 1.5 * 1.5))

    assert shift(folded) > 0.7
    assert shift(better) < STEP / 2


def test_an_old_bias_goes_on_the_grid_with_its_correction(tmp_path: Path) -> None:
    """The board would round it anyway; channels without a correction keep every digit."""
    text = NET.replace(" bias_term: false", "")
    folded = network(tmp_path, text, one=(np.float32(1.5) * IDENTITY, floats(0.4 * STEP, 0.4 * STEP, -2.3 * STEP)))
    _, bias = correct(folded, {"one": CLIPPED}, constant(folded, 1, 2))["one"]
    # what rounding does to the bias is part of the shift: 0 + 5.95 + 0.4 and -2 + 5.95 - 0.3 steps
    np.testing.assert_allclose(bias, floats(6 * STEP, 0.4 * STEP, 4 * STEP), rtol=1e-5)


def test_less_than_half_a_step_is_none(tmp_path: Path) -> None:
    folded = network(tmp_path)
    assert correct(folded, {"one": CLIPPED}, constant(folded, 0.1)) == {}


class TestRectified:
    """Of x and -x a third is lost, which is no shift; behind a ReLU only x counts."""

    @pytest.mark.parametrize(
        ("behind", "steps"),
        [
            pytest.param("", 0, id="an output"),
            pytest.param(relu("one", "x"), 4, id="ReLU"),
            pytest.param(layer("leaky", "ReLU", "one", "x", "relu_param { negative_slope: 0.5 }"), 0, id="leaky ReLU"),
            pytest.param(relu("one", "x") + layer("abs", "AbsVal", "one", "y"), 0, id="another reader"),
        ],
    )
    def test_places_that_count(self, tmp_path: Path, behind: str, steps: int) -> None:
        folded = network(tmp_path, NET + behind)
        found = correct(folded, {"one": CLIPPED}, constant(folded, 1, -1))
        assert (
            [float(bias) for bias in found["one"][1]] == pytest.approx([steps * STEP, 0, steps * STEP])
            if (steps)
            else found == {}
        )


def test_float_layers_are_corrected_to_the_last_digit(tmp_path: Path) -> None:
    """InnerProduct has no block in the guide's table: it runs in float, on what the layers before it shifted."""
    text = NET + layer("fc", "InnerProduct", "one", "fc", "inner_product_param { num_output: 2 }")
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((2, 60)).astype(np.float32)
    folded = network(tmp_path, text, fc=(weight, floats(1, -1)))
    coarse = xilinx([1, 2, 1], th_layer_out=1000)  # steps of 7.87: the shift of "one" stays
    pictures = constant(folded, 1, 2)
    found = correct(folded, {"one": coarse}, pictures)
    assert list(found) == ["fc"]
    held = [np.rint(x * floats(1, 1.5, 1) / (1000 / 127)) * (1000 / 127) for x in (1.0, 2.0)]
    lost = np.mean([1.5 * x - each for x, each in zip((1.0, 2.0), held, strict=True)], axis=0)
    expected = floats(1, -1) + weight.reshape(2, 3, 20).sum(axis=2) @ lost
    np.testing.assert_allclose(found["fc"][1], expected, rtol=1e-3)


def test_a_layer_sees_those_before_it_corrected(tmp_path: Path) -> None:
    text = NET + conv("two", "one", "two", 3)
    folded = network(tmp_path, text, two=(IDENTITY, floats(0, 0, 0)))
    blocks = {"one": CLIPPED, "two": xilinx([1, 1, 1], 16, 16)}
    assert list(correct(folded, blocks, constant(folded, 1, 2))) == ["one"]


def test_shared_weights_stay(tmp_path: Path) -> None:
    shared = 'param { name: "w" }\nconvolution_param { num_output: 3 kernel_size: 1 bias_term: false }'
    text = data(1, 3, 4, 5) + layer("one", "Convolution", "data", "one", shared)
    text += layer("two", "Convolution", "one", "two", shared)
    folded = network(tmp_path, text, two=(np.float32(1.5) * IDENTITY,))
    assert correct(folded, {"one": CLIPPED, "two": CLIPPED}, constant(folded, 1, 2)) == {}


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    folded = network(tmp_path, NET + relu("one", "one") + conv("two", "one", "two", 3))
    rng = np.random.default_rng(6)
    (target,) = folded.opened.inputs
    pictures = [{target: rng.normal(1, 2, (1, 3, 4, 5)).astype(np.float32)} for _ in range(7)]
    blocks = {"one": CLIPPED, "two": xilinx([1, 1, 1])}
    alone, together = (correct(folded, blocks, pictures, count) for count in (1, workers))
    assert alone.keys() == together.keys() == {"one", "two"}
    assert all(np.array_equal(alone[name][1], together[name][1]) for name in alone)


def test_the_board_keeps_a_bias_in_steps_and_clips_it() -> None:
    weight, bias = as_held((IDENTITY, floats(0.4 * STEP, -2.6 * STEP, 17)), CLIPPED)
    assert weight is IDENTITY
    np.testing.assert_allclose(bias, floats(0, -3 * STEP, 16), rtol=1e-6)


@pytest.mark.parametrize("block", [None, Precision("DynamicFixed", 8, 8, 8, 4, 4, 6)], ids=["float", "DynamicFixed"])
def test_elsewhere_a_bias_stays(block: Precision | None) -> None:
    blobs = (IDENTITY, floats(0.123, 1, 2))
    assert as_held(blobs, block) is blobs


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "available_bytes", lambda: 1000)
    folded = network(tmp_path)
    with pytest.raises(CalibrationError, match=r"2 need about .* use a smaller --calibration_size"):
        correct(folded, {"one": CLIPPED}, constant(folded, 1, 2))
