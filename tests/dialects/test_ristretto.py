"""`--dialect ristretto`: what its own tool writes, what its parser takes, and what is read back from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from tests.dialects.protos import parse
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, Files, conv, data, layer, net_of, write_net, write_pictures
from xportdnn import api, precision
from xportdnn.arithmetic import minifloat
from xportdnn.check import look, opening
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.dialects.formats import formats as formats_of
from xportdnn.errors import InputError, NetworkError, UsageError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.exponents import LEAST
from xportdnn.journal import Journal, Level
from xportdnn.precision import Precision, Ristretto
from xportdnn.prototxt import Source

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / ".." / "shared" / "golden"
TOOL = GOLDEN / "ristretto" / "quantize_tool"
MODES = ("dynamic_fixed_point", "minifloat", "integer_power_of_2_weights")
DIGITS = ROOT / "sample_models" / "digits_residual"
UP = (
    data(1, 3, 5, 7)
    + layer("up", "Deconvolution", "data", "up", "convolution_param { num_output: 2 kernel_size: 2 }")
    + layer("fc", "InnerProduct", "up", "fc", "inner_product_param { num_output: 4 }")
)


def converted(files: Files, mode: str, *, journal: Journal | None = None, **options: Any) -> Conversion:
    common: dict[str, Any] = {"dialect": "ristretto", "quant_type": Mode.DYNAMIC_FIXED, "trimming_mode": mode}
    return api.convert(files.deploy, files.weights, **common | options, journal=journal)


def desk(folder: Path, text: str) -> tuple[Files, Path]:
    """A network and pictures of its size."""
    net = net_of(text)
    *_, height, width = net.declared[net.inputs[0]]
    return write_net(folder, text), write_pictures(folder / "pictures", 3, (width, height))


def shared(path: Path) -> Path:
    if not path.exists():
        pytest.skip("what Ristretto itself wrote is not here")
    return path


def values_apart(text: str) -> str:
    """The network in protobuf's own words, with every number of the formats made 0."""
    printed = text_format.MessageToString(parse(text, "ristretto"))
    return re.sub(r"\b((?:bw|fl)_\w+|mant_bits|exp_bits): -?\d+", r"\1: 0", printed)


@pytest.mark.parametrize("mode", MODES)
def test_the_same_file_as_the_tool_but_for_the_numbers(mode: str, tmp_path: Path) -> None:
    files = write_net(tmp_path, shared(TOOL / "train_val.prototxt").read_text(encoding="utf-8"), dims=(3, 12, 14))
    given: dict[str, Any] = {"calibration_directory": write_pictures(tmp_path / "pictures", 2)}
    text = converted(files, mode, bitwidths=(8, 8, 8), dims=(3, 12, 14), **given).text
    golden = (TOOL / f"quantized_{mode}.prototxt").read_text(encoding="utf-8")
    assert values_apart(text) == values_apart(golden)


def test_a_whole_network_as_the_tool_wrote_it(tmp_path: Path) -> None:
    folder = shared(GOLDEN / "ristretto_prototxt")
    text = (folder / "ruimashita_squeezenet_train_val.prototxt").read_text(encoding="utf-8")
    files = write_net(tmp_path, text, dims=(3, 227, 227))
    golden = (folder / "ruimashita_squeezenet_quantized.prototxt").read_text(encoding="utf-8")
    ours, theirs = (parse(each, "ristretto") for each in (converted(files, MODES[0]).text, golden))
    assert [each.type for each in ours.layer] == [each.type for each in theirs.layer]
    quantized = [[each.name for each in net.layer if each.HasField("quantization_param")] for net in (ours, theirs)]
    assert quantized[0] == quantized[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", [PLAIN, RESIDUAL, INCEPTION, UP], ids=["plain", "residual", "inception", "up"])
def test_read_back_with_the_same_formats(text: str, mode: str, tmp_path: Path) -> None:
    files, pictures = desk(tmp_path, text)
    fractions: dict[str, Any] = {} if mode == "minifloat" else {"fl_bitwidths": "auto"}
    done = converted(files, mode, bitwidths=(9, 9, 9), calibration_directory=pictures, **fractions)
    parse(done.text, "ristretto")
    net = net_of(done.text)
    formats: dict[int, dict[str, Any]] = {block.layer.index: dict(block.fields) for block in done.blocks}
    written = {index: Ristretto(**fields) for index, fields in formats.items()}
    assert written
    assert precision.read(net) == written
    assert {net.layers[index].type for index in written} <= {
        "ConvolutionRistretto", "DeconvolutionRistretto", "FcRistretto",
    }  # fmt: skip


def test_only_types_and_blocks_change(tmp_path: Path) -> None:
    text = "# a comment\r\n" + PLAIN.replace("\n", "\r\n") + "# the end"
    done = converted(write_net(tmp_path, text), MODES[0], fl_bitwidths=(1, -2, 3), bitwidths=(5, 4, 16))
    without = re.sub(r"  quantization_param \{\r\n(?:    \w+: -?\d+\r\n)*  \}\r\n", "", done.text)
    assert without.replace("ConvolutionRistretto", "Convolution").replace("FcRistretto", "InnerProduct") == text
    assert (
        "  quantization_param {\r\n    bw_layer_in: 5\r\n    bw_layer_out: 16\r\n    bw_params: 4\r\n"
        "    fl_layer_in: 1\r\n    fl_layer_out: 3\r\n    fl_params: -2\r\n  }\r\n}\r\n"
    ) in done.text


def test_batch_and_data_layers_stay(tmp_path: Path) -> None:
    text = data(5, 3, 8, 9) + conv("a", "data", "a", 4)
    assert "dim: 5" in converted(write_net(tmp_path, text), MODES[0]).text


def test_a_skipped_layer_has_the_plain_type(tmp_path: Path) -> None:
    text = data(1, 3, 8, 9) + layer("a", "ConvolutionRistretto", "data", "a", "convolution_param { num_output: 2 }")
    text = text.replace("num_output: 2", "num_output: 2 kernel_size: 1") + conv("b", "a", "b", 4)
    done = converted(write_net(tmp_path, text), MODES[0], skip_layers=["a"])
    assert [each.type for each in net_of(done.text).layers] == ["Input", "Convolution", "ConvolutionRistretto"]


def test_types_that_ristretto_does_not_have(tmp_path: Path) -> None:
    depthwise = "convolution_param { num_output: 3 group: 3 kernel_size: 1 }"
    text = data(1, 3, 8, 9) + layer("a", "DepthwiseConvolution", "data", "a", depthwise)
    text += layer("n", "BatchNormRistretto", "a", "n")
    journal = Journal()
    done = converted(write_net(tmp_path, text), MODES[0], journal=journal)
    assert [each.type for each in net_of(done.text).layers][1:] == ["DepthwiseConvolution", "BatchNorm"]
    warnings = [remark.text for remark in journal.remarks if remark.level is Level.WARNING]
    assert [text for text in warnings if "a (DepthwiseConvolution)" in text] == warnings[:1]


def test_the_bias_counts_where_ristretto_trims_it(tmp_path: Path) -> None:
    """A bias far beyond the weights, as folded networks have: Ristretto's own rule saturates it."""
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 2)
    weights = np.full((2, 3, 1, 1), 0.5, np.float32), np.array([9.0, -3.0], np.float32)
    files = write_net(tmp_path, text, {"a": weights})
    pictures = write_pictures(tmp_path / "pictures", 2, (9, 8))
    found = {
        method: dict(
            converted(
                files, MODES[0], bitwidths=(8, 8, 8), fl_bitwidths="auto", fl_method=method,
                calibration_directory=pictures,
            ).blocks[0].fields
        )["fl_params"]
        for method in ("ristretto", "overflow", "mse")
    }  # fmt: skip
    assert found == {"ristretto": 8, "overflow": 3, "mse": 3}


@pytest.mark.parametrize(("input_scale", "fl"), [(0.001, 6), (1.0, 8)], ids=["small numbers", "large numbers"])
def test_a_weight_counts_as_much_as_what_it_multiplies(tmp_path: Path, input_scale: float, fl: int) -> None:
    """Of pixels the weights' sums are far beyond the bias, which is clipped at 0.5 then."""
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 2, "kernel_size: 3")
    kernel = np.random.default_rng(5).uniform(-0.01, 0.01, (2, 3, 3, 3))
    weights = kernel.astype(np.float32), np.array([1.0, -0.4], np.float32)
    journal = Journal()
    done = converted(
        write_net(tmp_path, text, {"a": weights}), MODES[0], bitwidths=(8, 8, 8), fl_bitwidths="auto",
        calibration_directory=write_pictures(tmp_path / "pictures", 2, (9, 8)), input_scale=input_scale,
        journal=journal,
    )  # fmt: skip
    assert dict(done.blocks[0].fields)["fl_params"] == fl
    warned = [remark.text for remark in journal.remarks if remark.text.startswith("weights and bias have one format")]
    assert [text.split(": ")[1].split()[0] for text in warned] == (["a"] if fl == 8 else [])


def test_overrides(tmp_path: Path) -> None:
    (tmp_path / "layers.json").write_text('{"fc": {"bits": 12, "fl_params": 9, "params_bits": 3}}', encoding="utf-8")
    done = converted(write_net(tmp_path, PLAIN), MODES[0], overrides=tmp_path / "layers.json")
    (fields,) = (dict(block.fields) for block in done.blocks if block.layer.name == "fc")
    assert (fields["bw_layer_out"], fields["bw_params"], fields["fl_params"]) == (12, 3, 9)


# ---- minifloat


@pytest.mark.parametrize(
    ("peak", "bits"),
    [(0.0, 1), (4.0, 1), (4.5, 2), (8.0, 2), (8.5, 3), (32.0, 3), (33.0, 4), (512.0, 4), (513.0, 5), (3e38, 8)],
    ids=lambda value: str(value),
)
def test_bits_of_exponent(peak: float, bits: int) -> None:
    """ceil(log2(log2(peak) - 1) + 1), by hand."""
    assert minifloat.exponent_bits(peak) == bits


@pytest.mark.parametrize(("scale", "bits"), [(1.0, LEAST), (100.0, 5)], ids=["small", "large"])
def test_exponent_holds_what_the_layers_read_and_write(scale: float, bits: int, tmp_path: Path) -> None:
    files = write_net(tmp_path, data(1, 3, 8, 9) + conv("a", "data", "a", 2))
    given: dict[str, Any] = {"calibration_directory": write_pictures(tmp_path / "p", 2, (9, 8)), "input_scale": scale}
    (block,) = converted(files, "minifloat", bitwidths=(16, 16, 16), fl_method="ristretto", **given).blocks
    assert dict(block.fields) == {"precision": "MINIFLOAT", "mant_bits": 15 - bits, "exp_bits": bits}


def test_too_few_bits_for_a_minifloat(tmp_path: Path) -> None:
    files, pictures = desk(tmp_path, PLAIN)
    with pytest.raises(UsageError, match=r"leave -?\d bits to the mantissa; give 7 to 29"):
        converted(
            files, "minifloat", bitwidths=(5, 5, 5), fl_method="ristretto", calibration_directory=pictures,
            mean_value="0",
        )  # fmt: skip


# ---- reading


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        pytest.param("bw_params: 4", Ristretto, id="ristretto"),
        pytest.param("bw_layer_in: 8 batchnorm_mean_fl: 3", Precision, id="of-the-board"),
        pytest.param("th_layer_in: 1.5 bw_layer_in: 8", Precision, id="thresholds"),
    ],
)
def test_whose_block_it_is(block: str, kind: type) -> None:
    text = data(1, 3, 8, 9) + layer("n", "BatchNorm", "data", "n", f"quantization_param {{ {block} }}")
    (found,) = precision.read(net_of(text)).values()
    assert type(found) is kind


@pytest.mark.parametrize("field", ["fl_bias_params: 3", "qparam_out { min: 0 }"], ids=["fork", "caffe-jacinto"])
def test_fields_of_others_are_refused(field: str) -> None:
    text = data(1, 3, 8, 9) + layer("n", "BatchNorm", "data", "n", f"quantization_param {{ {field} }}")
    with pytest.raises(NetworkError, match=f"holds {field.split()[0].rstrip(':')}"):
        precision.read(net_of(text))


@pytest.mark.parametrize(("mode", "drop"), [(MODES[0], 2.0), (MODES[1], 4.0), (MODES[2], 20.0)], ids=MODES)
def test_a_trained_network(mode: str, drop: float, tmp_path: Path) -> None:
    """8 bits cost little, 3 bits of mantissa 2 pictures of 60, powers of two what they cost before they are trained."""
    files = Files(DIGITS / "deploy.prototxt", DIGITS / "digits_residual.caffemodel")
    steps: dict[str, Any] = {"mean_value": "0", "input_scale": 1 / 256}
    fractions: dict[str, Any] = {} if mode == "minifloat" else {"fl_bitwidths": "auto"}
    pictures = ROOT / "calibration" / "digits"
    text = converted(files, mode, bitwidths=(8, 8, 8), calibration_directory=pictures, workers=1, **fractions, **steps)
    target = tmp_path / "ristretto.prototxt"
    target.write_text(text.text, encoding="utf-8")
    labels = ROOT / "calibration" / "digits_test.labels.txt"
    found = evaluate(
        EvaluationOptions(
            str(target), str(files.weights), str(ROOT / "calibration" / "digits_test"), str(labels), 60, workers=1,
            **steps,
        )
    )  # fmt: skip
    assert found.classified is not None
    assert found.classified.top1 is not None
    assert found.classified.float_top1 is not None
    assert found.classified.top1 >= found.classified.float_top1 - drop


def test_blocks_of_plain_types_are_named(tmp_path: Path) -> None:
    """Ristretto's Convolution takes no notice of them: what looks like no loss is no quantization."""
    formats = "quantization_param { bw_params: 8 fl_params: 5 bw_layer_in: 8 fl_layer_in: 2 bw_layer_out: 8 }"
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 2)
    text += layer("fc", "InnerProduct", "a", "fc", f"inner_product_param {{ num_output: 2 }}\n{formats}")
    journal = Journal()
    net = net_of(text)
    assert list(formats_of(net, None, None, journal)) == [2]
    (warning,) = journal.remarks
    assert warning.level is Level.WARNING
    assert warning.text.endswith("these are computed in float: fc (InnerProduct)")


@pytest.mark.parametrize("dialect", ["ristretto", "chaidnn"])
def test_a_network_without_anything_to_quantize(tmp_path: Path, dialect: str) -> None:
    journal = Journal()
    text = data(1, 3, 8, 9) + layer("s", "Sigmoid", "data", "s")
    done = converted(write_net(tmp_path, text), MODES[0], dialect=dialect, trimming_mode=None, journal=journal)
    assert "quantization_param" not in done.text
    assert any(remark.text.startswith("no layer gets formats: ") for remark in journal.remarks)


def test_no_formats_at_all(tmp_path: Path) -> None:
    files, pictures = desk(tmp_path, PLAIN)
    with pytest.raises(InputError, match="no layer of this file has formats"):
        evaluate(EvaluationOptions(str(files.deploy), str(files.weights), str(pictures)))


# ---- check


def rules_broken(text: str) -> set[str]:
    return {finding.rule.id for finding in look(opening.subject(Source("net.prototxt", text)))}


def test_check_takes_q_f_formats_for_the_boards(tmp_path: Path) -> None:
    """Where CHaiDNN's parser reads the block, it finds what it wants; Pooling has none in Ristretto."""
    text = data(1, 3, 8, 9) + conv("a", "data", "a", 32) + layer("r", "ReLU", "a", "a")
    files = write_net(tmp_path, text)
    assert rules_broken(converted(files, MODES[0], bitwidths=(8, 8, 8)).text) == set()


@pytest.mark.parametrize("mode", MODES[1:])
def test_check_refuses_fields_that_only_ristretto_has(mode: str, tmp_path: Path) -> None:
    files, pictures = desk(tmp_path, PLAIN)
    text = converted(files, mode, bitwidths=(8, 8, 8), calibration_directory=pictures).text
    assert "unknown-field" in rules_broken(text)


def test_check_names_widths_that_the_board_does_not_have(tmp_path: Path) -> None:
    text = converted(write_net(tmp_path, PLAIN), MODES[0], bitwidths=(16, 4, 16)).text
    assert "bit-width-unsupported" in rules_broken(text)


@pytest.mark.parametrize("mode", MODES)
def test_check_of_what_the_tool_wrote(mode: str) -> None:
    found = rules_broken(shared(TOOL / f"quantized_{mode}.prototxt").read_text(encoding="utf-8"))
    assert found >= {"one-input", "unregistered-type"}
    assert ("unknown-field" in found) == (mode != MODES[0])
