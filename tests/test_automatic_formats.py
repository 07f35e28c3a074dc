"""`--fl_bitwidths auto`: formats from pictures that chain, that the board can compute with, and that cost little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import board
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, conv, data, layer, net_of, write_net, write_pictures
from xportdnn import api, fractions, qformats
from xportdnn.block_params import parameters
from xportdnn.choices import FL_METHODS, Matrix, Mode, Triple
from xportdnn.conversion import Conversion
from xportdnn.errors import CalibrationError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.guards.fractions import NO_LIMITS, Average, Site, moved
from xportdnn.guards.marks import Guard
from xportdnn.journal import Journal, Level
from xportdnn.layers import Array, Arrays
from xportdnn.matrix import fields
from xportdnn.network import Value
from xportdnn.plan import own_fields
from xportdnn.qformats import Formats
from xportdnn.report import report

ROOT = Path(__file__).parents[1]
NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
by_net = pytest.mark.parametrize("name", NETS)
by_method = pytest.mark.parametrize("method", FL_METHODS)
DYNAMIC: dict[str, Any] = {"quant_type": "DynamicFixed", "fl_bitwidths": "auto"}


def converted(
    folder: Path, text: str, weights: Mapping[str, Iterable[Array]] | None = None, **options: Any
) -> tuple[Conversion, Journal]:
    """A network's formats from three random pictures of its size."""
    files = write_net(folder, text, weights)
    net = net_of(text)
    _, _, height, width = net.declared[net.inputs[0]]
    pictures = write_pictures(folder / "pictures", 3, (width, height))
    journal = Journal()
    settings: dict[str, Any] = {"bitwidths": (8, 8, 8), "calibration_size": 3, "workers": 1, **DYNAMIC, **options}
    made = api.convert(files.deploy, files.weights, calibration_directory=pictures, journal=journal, **settings)
    return made, journal


def formats(made: Conversion) -> Formats:
    assert made.formats is not None
    return made.formats


def blocks(made: Conversion) -> dict[str, dict[str, Any]]:
    return {block.layer.name: dict(block.fields) for block in made.blocks}


def kinds(made: Conversion) -> list[str]:
    return [mark.guard.value for mark in made.marks]


def arrays(*values: Any) -> Arrays:
    return tuple(np.asarray(each, np.float32) for each in values)


# ---- what is written


@by_net
@by_method
@pytest.mark.parametrize("matrix", list(Matrix), ids=lambda matrix: matrix.value)
def test_the_board_accepts_the_file(tmp_path: Path, name: str, method: str, matrix: Matrix) -> None:
    made, _ = converted(tmp_path, NETS[name], fl_method=method, matrix=matrix)
    assert board.problems(made.text, "DynamicFixed", matrix.value) == []
    assert not {finding.rule.id for finding in made.findings} & {
        "fractional-lengths-differ", "sides-differ", "output-shift", "average-shift-out-of-range", "fl-params-negative",
        "fl-output-negative",
    }  # fmt: skip


@by_net
def test_one_length_for_each_class(tmp_path: Path, name: str) -> None:
    """What a layer reads has the length with which it was written."""
    made, _ = converted(tmp_path, NETS[name])
    found = formats(made)
    for block in made.blocks:
        own = dict(block.fields)
        for value, field in ((block.layer.bottoms[0], "fl_layer_in"), (block.layer.tops[0], "fl_layer_out")):
            assert own[field] == found.fractions.values[value] == found.values[found.classes[value]].fl


def test_average_pooling_has_a_length_of_its_own(tmp_path: Path) -> None:
    """An average of many is smaller than its parts, and the board can shift from one format to another."""
    pool = blocks(converted(tmp_path, PLAIN)[0])["pool2"]
    assert pool["fl_layer_out"] > pool["fl_layer_in"]


def test_widths_are_those_asked_for(tmp_path: Path) -> None:
    made, journal = converted(tmp_path, RESIDUAL, bitwidths=(8, 8, 6))
    widths = {(name, value) for own in blocks(made).values() for name, value in own.items() if "bw" in name}
    assert {value for name, value in widths if name.startswith("bw_layer")} == {6}
    assert {value for name, value in widths if not name.startswith("bw_layer")} == {8}
    assert any("a blob has one width" in remark.text for remark in journal.remarks)


def test_a_blob_of_zeros_and_weights_of_zeros(tmp_path: Path) -> None:
    zeros = arrays(np.zeros((4, 3, 3, 3)), np.zeros(4))
    own = blocks(converted(tmp_path, PLAIN, {"conv1": zeros}, guards=False)[0])["conv1"]
    assert own["fl_params"] == own["fl_layer_out"] == fractions.overflow(0, 1, 8)


def test_what_is_behind_a_layer_without_a_rule_gets_no_block(tmp_path: Path) -> None:
    text = data(1, 3, 4, 5) + conv("a", "data", "a", 2) + layer("odd", "Odd", "a", "odd") + conv("b", "odd", "b", 6)
    files = write_net(tmp_path, text)
    pictures = write_pictures(tmp_path / "pictures", 2, (5, 4))
    made = api.convert(files.deploy, files.weights, calibration_directory=pictures, workers=1, **DYNAMIC)
    assert list(blocks(made)) == ["a"]
    assert [missed.name for missed in made.missing] == ["b"]


def test_nan_is_told_where_it_begins(tmp_path: Path) -> None:
    bad = arrays(np.full((4, 3, 3, 3), np.nan), np.zeros(4))
    with pytest.raises(CalibrationError, match=r"the weights cannot be used(.|\n)*conv1"):
        converted(tmp_path, PLAIN, {"conv1": bad})


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    alone, _ = converted(tmp_path, RESIDUAL)
    together, _ = converted(tmp_path, RESIDUAL, workers=workers)
    assert together.text == alone.text


def test_overrides_stay(tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.json"
    overrides.write_text('{"stem": {"fl_layer_out": -1, "fl_params": 2}, "left_bn": {"float": true}}', encoding="utf-8")
    made, _ = converted(tmp_path, RESIDUAL, overrides=overrides)
    found = blocks(made)
    assert (found["stem"]["fl_layer_out"], found["stem"]["fl_params"]) == (-1, 2)
    assert found["right"]["fl_layer_in"] == -1
    assert "left_bn" not in found


def test_scores_have_a_rule_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole scale class of what a Softmax reads; `fractions.whole` says why."""
    method = qformats.METHODS["mse"]._replace(of_values=lambda seen, bits: 3, of_scores=lambda seen, bits: 1)
    monkeypatch.setitem(qformats.METHODS, "mse", method)
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 4) + conv("b", "a", "b", 5) + layer("r", "ReLU", "b", "b")
    text += layer("p", "Pooling", "b", "p", "pooling_param { pool: MAX kernel_size: 2 }")
    made, _ = converted(tmp_path, text + layer("prob", "Softmax", "p", "prob"), guards=False)
    found = {
        name: (fields["fl_layer_in"], fields["fl_layer_out"]) for name, fields in blocks(made).items() if name in "ab"
    }
    assert found == {"a": (3, 3), "b": (3, 1)}


# ---- parameters of BatchNorm and Scale


def own_arrays(text: str, name: str, weights: Mapping[str, Arrays]) -> dict[str, Array]:
    """Field -> numbers."""
    net = net_of(text)
    (found,) = (each for each in net.layers if each.name == name)
    names = fields(Matrix.GUIDE, Mode.DYNAMIC_FIXED, found.type)
    by_index = {each.index: weights.get(each.name, ()) for each in net.layers}
    return {each.field: each.values for each in parameters(net, found, names, by_index)}


NORMALISING = {"left_bn": arrays([2.0, -4.0], [8.0, 0.5], [2.0]), "left_scale": arrays([3.0, 0.25], [-1.0, 7.0])}


class TestNormalisation:
    def test_mean_and_variance_are_divided_by_the_factor(self) -> None:
        found = own_arrays(RESIDUAL, "left_bn", NORMALISING)
        assert found["batchnorm_mean_fl"].tolist() == [1, -2]
        assert found["batchnorm_variance_fl"].tolist() == [4, 0.25]

    def test_gamma_by_std_is_that_of_the_batch_norm_before(self) -> None:
        found = own_arrays(RESIDUAL, "left_scale", NORMALISING)
        assert found["scale_gamma_fl"].tolist() == [3, 0.25]
        assert found["scale_beta_fl"].tolist() == [-1, 7]
        np.testing.assert_allclose(found["scale_gamma_by_std_fl"], [1.5, 0.5], rtol=1e-4)

    def test_a_scale_alone_has_gamma_for_it(self) -> None:
        text = data(1, 2, 4, 5) + layer("scale", "Scale", "data", "scale")
        found = own_arrays(text, "scale", {"scale": arrays([3.0, 0.25])})
        assert found["scale_gamma_by_std_fl"].tolist() == [3, 0.25]
        assert found["scale_beta_fl"].tolist() == [0]

    def test_every_length_is_of_its_own_numbers(self, tmp_path: Path) -> None:
        made, _ = converted(tmp_path, RESIDUAL, fl_method="overflow")
        for index, rows in formats(made).params.items():
            names = next(block.fields for block in made.blocks if block.layer.index == index)
            assert tuple(row.what for row in rows) == own_fields(name for name, _ in names)
            assert all(row.fl == fractions.overflow(row.minimum, row.maximum, 8) for row in rows)

    def test_a_channel_that_gamma_kills_does_not_decide(self, tmp_path: Path) -> None:
        """Its tiny variance would ask for steps that the variances of the others are too large for."""
        variances = [1e-4, 900.0, 800.0, 700.0, 850.0]
        batch_norm, betas = arrays(np.zeros(5), variances, [1.0]), np.zeros(5)
        found = {}
        for name, gamma in (("dead", 1e-6), ("alive", 1.0)):
            (tmp_path / name).mkdir()
            scale = arrays([gamma, 1.0, 1.0, 1.0, 1.0], betas)
            made, _ = converted(tmp_path / name, RESIDUAL, {"left_bn": batch_norm, "left_scale": scale})
            found[name] = blocks(made)["left_bn"]["batchnorm_variance_fl"]
        assert found["dead"] == fractions.overflow(0, 900, 8)
        assert found["alive"] >= found["dead"]


# ---- what the board cannot do


def one_by_one(*more: str) -> str:
    """A 1x1 convolution with 4 output channels over the picture."""
    return data(1, 3, 8, 9) + conv("conv1", "data", "conv1", 4) + "".join(more)


def weights_of(weight: float, bias: float) -> dict[str, Arrays]:
    rng = np.random.default_rng(3)
    kernel = rng.uniform(-weight, weight, (4, 3, 1, 1))
    return {"conv1": arrays(kernel, [bias, -bias, bias / 2, 0])}


class TestBoard:
    def test_a_bias_that_would_wrap_takes_bits_from_fl_params(self, tmp_path: Path) -> None:
        weights = weights_of(0.001, 1.2)
        free = blocks(converted(tmp_path, one_by_one(), weights, input_scale=0.004, guards=False)[0])["conv1"]
        made, journal = converted(tmp_path, one_by_one(), weights, input_scale=0.004)
        held = blocks(made)["conv1"]
        assert held["fl_params"] < free["fl_params"]
        assert (held["fl_layer_in"], held["fl_layer_out"]) == (free["fl_layer_in"], free["fl_layer_out"])
        assert 2 ** (held["fl_layer_in"] + held["fl_params"]) * 1.2 < 2**15
        assert kinds(made) == ["params"]
        assert any(remark.text.startswith("fl_params moved") for remark in journal.remarks)

    def test_without_guards_the_best_formats_stay(self, tmp_path: Path) -> None:
        made, _ = converted(tmp_path, one_by_one(), weights_of(0.001, 1.2), input_scale=0.004, guards=False)
        assert made.marks == ()
        row = formats(made).params[1][0]
        assert row.fl >= fractions.overflow(row.minimum, row.maximum, 8)

    def test_weights_beyond_127_are_clipped(self, tmp_path: Path) -> None:
        """A negative fl_params would store zeros."""
        made, _ = converted(tmp_path, one_by_one(), weights_of(400, 0), input_scale=0.004)
        assert blocks(made)["conv1"]["fl_params"] == 0
        assert Guard.PARAMS in {mark.guard for mark in made.marks}

    def test_pixels_get_no_negative_length(self, tmp_path: Path) -> None:
        made, _ = converted(tmp_path, one_by_one(), mean_value="100,100,100")
        assert blocks(made)["conv1"]["fl_layer_in"] == 0
        assert "raised" in kinds(made)

    def test_pixels_that_would_be_clipped_hard_keep_a_negative_one(self, tmp_path: Path) -> None:
        made, journal = converted(tmp_path, one_by_one(), mean_value="0,0,0")
        assert blocks(made)["conv1"]["fl_layer_in"] == -1
        assert "floats" in kinds(made)
        assert any("feed it floats" in remark.text for remark in journal.remarks if remark.level is Level.WARNING)

    def test_software_gets_no_negative_length(self, tmp_path: Path) -> None:
        text = one_by_one(layer("fc", "InnerProduct", "conv1", "fc", "inner_product_param { num_output: 5 }"))
        weights = weights_of(20, 0)
        assert blocks(converted(tmp_path, text, weights, guards=False)[0])["conv1"]["fl_layer_out"] < 0
        made, _ = converted(tmp_path, text, weights)
        assert blocks(made)["conv1"]["fl_layer_out"] == 0
        assert "raised" in kinds(made)

    def test_who_reads_only_a_size_needs_no_room_for_numbers(self, tmp_path: Path) -> None:
        """PriorBox has the picture for a bottom: clipping it at 127 would take half of its range."""
        priors = "prior_box_param { min_size: 2 variance: 0.1 }"
        text = one_by_one(layer("priors", "PriorBox", "conv1 data", "priors", priors))
        made, _ = converted(tmp_path, text, weights_of(20, 0), mean_value="0,0,0")
        found = blocks(made)["conv1"]
        assert (found["fl_layer_in"], found["fl_layer_out"]) == (-1, -6)
        assert "raised" not in kinds(made)

    def test_a_sum_too_coarse_for_its_output(self, tmp_path: Path) -> None:
        """Large weights that cancel each other leave sums with fewer bits than the output would have."""
        kernel = np.zeros((4, 3, 1, 1))
        kernel[:, 0], kernel[:, 1] = 120, -120
        text = one_by_one()
        files = write_net(tmp_path, text, {"conv1": arrays(kernel, np.zeros(4))})
        folder = tmp_path / "gray"
        folder.mkdir()
        write_pictures(folder, 3, (9, 8), "L")  # gray: all channels alike
        made = api.convert(
            files.deploy, files.weights, calibration_directory=folder, bitwidths=(8, 8, 8), mean_value="0,0,0.001",
            workers=1, **DYNAMIC,
        )  # fmt: skip
        own = blocks(made)["conv1"]
        assert own["fl_layer_in"] + own["fl_params"] - own["fl_layer_out"] >= 1

    def test_average_that_shrinks_more_than_the_board_can_shift(self) -> None:
        read, written = Value("conv1", 1), Value("pool", 2)
        asked = NO_LIMITS._replace(averages=(Average(read, written),))
        found = moved(asked, net_of(PLAIN), {read: 2, written: 12}, {})
        assert found.values == {read: 2, written: 9}

    def test_a_circle_that_no_length_fits_ends(self) -> None:
        """Each of two layers that write for one another needs a shorter output than input."""
        first, second = Value("conv1", 1), Value("conv2", 4)
        net = net_of(PLAIN)
        sites = tuple(
            Site(net.layers[reads.writer], reads, writes, Triple(8, 8, 8), np.zeros(4, np.float32))
            for reads, writes in ((first, second), (second, first))
        )
        found = moved(
            NO_LIMITS._replace(sites=sites), net, {first: 0, second: 0}, {1: {"fl_params": 0}, 4: {"fl_params": 0}}
        )
        assert found.values[first] < 0
        assert {mark.guard for mark in found.marks} == {Guard.LOWERED}

    def test_other_widths_are_not_held_to_the_board(self, tmp_path: Path) -> None:
        made, _ = converted(tmp_path, one_by_one(), weights_of(400, 0), bitwidths=(10, 10, 10), force=True)
        assert made.marks == ()

    @pytest.mark.parametrize("seed", range(6))
    def test_nothing_is_left_to_warn_of(self, tmp_path: Path, seed: int) -> None:
        rng = np.random.default_rng(seed)
        weights = {
            name: arrays(rng.standard_normal(shape) * 10.0 ** rng.uniform(-4, 0), rng.standard_normal(shape[0]) * 3)
            for name, shape in (("conv1", (4, 3, 3, 3)), ("conv2", (5, 4, 2, 2)))
        }
        made, _ = converted(tmp_path, PLAIN, weights, input_scale=0.02)
        assert not {"shift", "int16", "average", "blob"}.intersection(kinds(made))


def test_fused_weights_that_the_board_stores_coarsely(tmp_path: Path) -> None:
    """Its own rule gives weights below 1/8 half of the fractional bits that they could have."""
    scale = arrays(np.full(5, 0.01), np.zeros(5))
    made, journal = converted(tmp_path, RESIDUAL, {"left_scale": scale})
    (mark,) = (mark for mark in made.marks if mark.guard is Guard.FUSED)
    assert mark.layers[0].name == "left"
    assert mark.fits is not None
    assert mark.fits - mark.was > 1
    assert any("fold them first" in remark.text for remark in journal.remarks)


# ---- what is said


def test_the_table(tmp_path: Path) -> None:
    made, journal = converted(tmp_path, RESIDUAL)
    texts = [remark.text for remark in journal.remarks]
    (head,) = (at for at, text in enumerate(texts) if text.split()[:2] == ["layer", "number"])
    rows = [*formats(made).values.values(), *(row for rows in formats(made).params.values() for row in rows)]
    table = texts[head : head + 1 + len(rows)]
    assert table[0].split() == ["layer", "number", "range", "bits", "fl", "saturated", "SQNR"]
    assert {text.split()[1] for text in table if text.startswith("left_scale  ")} == {
        "left", "scale_gamma_fl", "scale_beta_fl", "scale_gamma_by_std_fl",
    }  # fmt: skip


def test_the_worst_formats_are_shown_to_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qformats, "_WORST", 4)
    made, journal = converted(tmp_path, RESIDUAL)
    values, params = formats(made).values, formats(made).params
    (head,) = (at for at, remark in enumerate(journal.remarks) if remark.text.split()[:2] == ["layer", "number"])
    assert journal.remarks[head - 1].text == (
        f"{len(values)} formats of blobs, {sum(map(len, params.values()))} of parameters; "
        "the 4 of least signal to quantization noise (--verbose: all)"
    )
    noise = {Level.INFO: list[float](), Level.DETAIL: list[float]()}
    rows = [*values.values(), *(row for rows in params.values() for row in rows)]
    for row, remark in zip(rows, journal.remarks[head + 1 :], strict=False):
        noise[remark.level].append(row.quality.sqnr_db)
    assert len(noise[Level.INFO]) == 4
    assert max(noise[Level.INFO]) <= min(noise[Level.DETAIL])


def test_the_report(tmp_path: Path) -> None:
    made, journal = converted(tmp_path, RESIDUAL)
    found = json.loads(json.dumps(report(made, journal.remarks), allow_nan=False))
    assert found["options"]["fl_bitwidths"] == "auto"
    assert found["options"]["fl_method"] == "mse"
    assert len(found["calibration"]["pictures"]) == 3
    own = {each["name"]: each for each in found["layers"]}
    assert own["left_bn"]["parameters"]["batchnorm_mean_fl"]["bits"] == 8
    for each in found["blobs"]:
        assert each.keys() == {
            "blob", "written_by", "scale_class", "bits", "fl", "minimum", "maximum", "saturated", "sqnr_db",
        }  # fmt: skip
    assert {each["blob"] for each in found["blobs"]} == {"data", "stem", "left", "right", "sum", "swap"}


# ---- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "--fl_bitwidths auto needs calibration images", id="no pictures"),
        pytest.param({"fl_method": "best"}, "--fl_method is one of mse, overflow, ristretto, not 'best'", id="method"),
        pytest.param({"quant_type": "Xilinx"}, "--fl_bitwidths belongs to --quant_type DynamicFixed", id="mode"),
        pytest.param(
            {"quant_type": "Xilinx", "fl_bitwidths": None, "fl_method": "mse"},
            "--fl_method belongs to --quant_type DynamicFixed",
            id="method of the other mode",
        ),
        pytest.param(
            {"fl_bitwidths": None, "fl_method": "mse"},
            "--fl_method is how --fl_bitwidths auto finds formats: give that, too, or leave it out",
            id="method of nothing",
        ),
        pytest.param({"threshold_method": "mse"}, "--threshold_method belongs to --quant_type Xilinx", id="thresholds"),
        pytest.param({"params_method": "max"}, "--params_method belongs to --quant_type Xilinx", id="weights"),
        pytest.param(
            {"calibration_directory": ".", "calibration_seed": 1, "calibration_indices": (1, 2)},
            "--calibration_seed and --calibration_indices exclude each other",
            id="two choices of pictures",
        ),
    ],
)
def test_contradictions(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    files = write_net(tmp_path, PLAIN)
    with pytest.raises(UsageError, match=message):
        api.convert(files.deploy, files.weights, **{**DYNAMIC, **options})


def test_command_line(tmp_path: Path) -> None:
    files = write_net(tmp_path, PLAIN)
    pictures = write_pictures(tmp_path / "pictures", 2)
    out = tmp_path / "out.prototxt"
    command = [
        sys.executable, "-m", "xportdnn", "--quant_type", "DynamicFixed", "--fl_bitwidths", "auto", "--fl_method",
        "overflow", *files.arguments, "--calibration_directory", str(pictures), "--workers", "1",
        "--quantized_deploy_model", str(out),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = api.convert(
        files.deploy, files.weights, calibration_directory=pictures, fl_method="overflow", workers=1, **DYNAMIC
    )
    assert out.read_text() == made.text


# ---- what it costs


def measured(folder: Path, name: str, bits: int, method: str) -> tuple[float, float, float]:
    """Float and quantized top-1 and the outputs' SQNR of a sample network on a part of its test pictures."""
    sample, kind = ROOT / "sample_models" / name, name.split("_")[0]
    deploy, weights = sample / "deploy.prototxt", sample / f"{name}.caffemodel"
    feeding: dict[str, Any] = {"input_scale": 1 / 256} if kind == "digits" else {}
    made = api.convert(
        deploy, weights, bitwidths=(bits,) * 3, calibration_directory=ROOT / "calibration" / kind, calibration_size=16,
        fl_method=method, workers=1, force=True, **DYNAMIC, **feeding,
    )  # fmt: skip
    quantized = folder / "quantized.prototxt"
    quantized.write_text(made.text, encoding="utf-8")
    tests = ROOT / "calibration" / f"{kind}_test"
    options = EvaluationOptions(
        str(quantized), str(weights), str(tests), str(tests.with_name(f"{tests.name}.labels.txt")), images_size=100,
        workers=1, **feeding,
    )  # fmt: skip
    found = evaluate(options, Journal())
    assert found.classified is not None
    assert found.classified.float_top1 is not None
    assert found.classified.top1 is not None
    assert found.output_sqnr_db is not None
    return found.classified.float_top1, found.classified.top1, found.output_sqnr_db


@pytest.mark.parametrize("name", ["digits_plain", "digits_residual"])
def test_eight_bits_cost_no_more_than_a_point(tmp_path: Path, name: str) -> None:
    before, after, _ = measured(tmp_path, name, 8, "mse")
    assert after >= before - 1


@pytest.mark.parametrize("method", ["mse", "overflow"])
def test_sixteen_bits_cost_nothing(tmp_path: Path, method: str) -> None:
    before, after, sqnr_db = measured(tmp_path, "digits_residual", 16, method)
    assert after == before
    assert sqnr_db > 55


def test_a_residual_network_with_blobs_in_place_collapses_with_ristretto_alone(tmp_path: Path) -> None:
    """Half of every activation's range is cut off, and what the shortcut carries on is cut again in every block."""
    before, ristretto, sqnr_db = measured(tmp_path, "digits_residual", 8, "ristretto")
    assert ristretto < before - 10
    _, overflow, better_db = measured(tmp_path, "digits_residual", 8, "overflow")
    assert overflow >= before - 2
    assert better_db > sqnr_db + 10
    assert measured(tmp_path, "digits_residual", 8, "mse")[2] > better_db
