"""What single layers have instead: the file and its schema, what it does to every block, and all that it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import board
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, by_name, conv, data, layer, net_of, write_net, write_pictures
from xportdnn import api, cli
from xportdnn.choices import Matrix, Mode, ScaleClasses
from xportdnn.conversion import Conversion
from xportdnn.errors import InputError, UsageError, XportdnnError
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.values import report as evaluated
from xportdnn.journal import Journal, Level
from xportdnn.options import Options
from xportdnn.overrides import KEYS, Asked, Override, asked
from xportdnn.precision import Precision, read
from xportdnn.report import report

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "schemas" / "overrides.schema.json").read_bytes())
SCHEMA_RULES = jsonschema.Draft202012Validator(SCHEMA)
DIGITS = ROOT / "sample_models" / "digits_residual"
DIGITS_STEPS: dict[str, Any] = {"mean_value": "0", "input_scale": 1 / 256}
# what scale2a_branch2b writes goes unchanged from the first pooling through the whole first residual block
STAGE = ("scale_conv1", "conv1_relu", "pool1", "scale2a_branch2b", "res2a", "res2a_relu")
NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
FIXED: dict[str, Any] = {"quant_type": Mode.DYNAMIC_FIXED}
by_net = pytest.mark.parametrize("name", NETS)
by_method = pytest.mark.parametrize("method", ["xilinx", "mse"])


def written(folder: Path, content: object) -> Path:
    """The file with this content, which is taken as it is where it is text."""
    path = folder / "layers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


class Desk:
    """A network with three pictures, converted again and again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.net = folder, net_of(text)
        self.files = write_net(folder, text)
        *_, height, width = self.net.declared[self.net.inputs[0]]
        self.pictures = write_pictures(folder / "pictures", 3, (width, height))
        self.journal = Journal()

    def convert(self, content: object = None, **options: Any) -> Conversion:
        self.journal = Journal()
        if content is not None:
            options["overrides"] = written(self.folder, content)
        if options.get("quant_type") is not Mode.DYNAMIC_FIXED:
            rules = {"threshold_method": "xilinx", "params_method": "max"}
            options = {**rules, "calibration_directory": self.pictures, "calibration_size": 3, "workers": 1, **options}
        return api.convert(*self._paths, journal=self.journal, **options)

    def refused(self, content: object = None, **options: Any) -> XportdnnError:
        with pytest.raises(XportdnnError) as caught:
            self.convert(content, **options)
        return caught.value

    def said(self, level: Level, about: str) -> list[str]:
        return [remark.text for remark in self.journal.remarks if remark.level is level and about in remark.text]

    @property
    def path(self) -> Path:
        return self.folder / "layers.json"

    @property
    def _paths(self) -> tuple[Path, Path]:
        return self.files.deploy, self.files.weights


@pytest.fixture
def plain(tmp_path: Path) -> Desk:
    return Desk(tmp_path, PLAIN)


def formats(text: str) -> dict[str, Precision]:
    """Layer name -> its block, read from the text."""
    net = net_of(text)
    found = {net.layers[index].name: block for index, block in read(net).items()}
    return {name: block for name, block in found.items() if isinstance(block, Precision)}


# ---- the file alone


def options(path: Path | None, **more: Any) -> Options:
    """Options that allow everything a file can ask for in one of the two modes."""
    settings = {"calibration_directory": "pictures", "force": True, **more}
    if settings.get("quant_type") is not Mode.DYNAMIC_FIXED:
        settings = {"threshold_method": "mse", **settings}
    return Options("deploy.prototxt", "net.caffemodel", overrides=None if path is None else str(path), **settings)


def test_what_a_file_holds(tmp_path: Path) -> None:
    content = {
        "$schema": "overrides.schema.json",
        "conv1/3x3": {"threshold": 3, "bits": 8.0, "params_threshold": [0.5, 1], "params_bits": 6},
        "pool": {"threshold": "percentile:99.9"},
        "fc.1": {"float": True},
        "left as it is": {"float": False},
    }
    found = asked(options(written(tmp_path, content), skip_layers=("relu", "fc.1")))
    assert found.layers == {
        "conv1/3x3": Override(threshold=3.0, bits=8, params_threshold=(0.5, 1.0), params_bits=6),
        "pool": Override(threshold="percentile:99.9"),
        "fc.1": Override(keep_float=True),
        "left as it is": Override(),
    }
    assert found.floats == ("fc.1", "relu")
    assert [found.of(name) for name in ("pool", "relu", "left as it is", "other")] == [
        {"threshold": "percentile:99.9"}, {"float": True}, {}, {},
    ]  # fmt: skip


def test_fractional_lengths(tmp_path: Path) -> None:
    content = {"conv1": {"fl_layer_in": -3, "fl_layer_out": 0, "fl_params": 7}}
    found = asked(options(written(tmp_path, content), quant_type=Mode.DYNAMIC_FIXED))
    # 0 asks for something
    assert found.of("conv1") == {"fl_layer_in": -3, "fl_layer_out": 0, "fl_params": 7}


def test_nothing_is_asked_without_options() -> None:
    assert asked(options(None)) == Asked()


def refusal(folder: Path, content: object, **more: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        asked(options(written(folder, content), **more))
    return caught.value


POSITIVE = "it must be a number above 0 in float32's range"
WIDTH = "it must be a whole number from 2 to 32"
NO_THRESHOLDS = (
    "0", "-1", "NaN", "Infinity", "1e+39", "1e-39", "true", "null", "[1]", '"entropy"', '"xilinx"', '"percentile:0"',
    '"percentile:100.1"', '"percentile:"', '"percentile:-3"', '"mse:3"',
)  # fmt: skip
XILINX_ONLY = "belongs to --quant_type Xilinx, this is DynamicFixed; remove it"


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        pytest.param("{", {}, "this is no JSON: Expecting property name", id="no JSON"),
        pytest.param("[" * 100_000, {}, "this is no JSON: ", id="too deep"),
        pytest.param([3], {}, 'must be an object of layers, {"conv1": {"bits": 8}}, not [3]', id="list"),
        pytest.param({"c": 8}, {}, '"c" cannot be 8; it must be an object, such as {"bits": 8}', id="entry"),
        pytest.param('{"c": {}, "c": {}}', {}, '"c" is given twice; keep one', id="layer twice"),
        pytest.param('{"c": {"bits": 8, "bits": 8}}', {}, '"c".bits is given twice; keep one', id="key twice"),
        pytest.param(
            {"c": {"treshold": 1}},
            {},
            "\"c\".treshold is no field; did you mean 'threshold' or 'params_threshold'?",
            id="misspelled",
        ),
        pytest.param({"c": {"Q": 1}}, {}, f'"c".Q is no field; the fields are {", ".join(KEYS)}', id="unknown"),
        *(
            pytest.param(
                f'{{"c": {{"threshold": {value}}}}}',
                {},
                f'"c".threshold cannot be {value}; {POSITIVE}, or mse',
                id=value,
            )
            for value in NO_THRESHOLDS
        ),
        *(
            pytest.param(
                f'{{"c": {{"params_threshold": {value}}}}}',
                {},
                f'"c".params_threshold cannot be {value}; {POSITIVE}, or a list of one for each',
                id=value,
            )
            for value in ("0", "[]", "[1, 0]", '[1, "max"]', '"max"', "{}")
        ),
        *(
            pytest.param(
                f'{{"c": {{"{key}": {value}}}}}', {}, f'"c".{key} cannot be {value}; {WIDTH}', id=f"{key} {value}"
            )
            for key in ("bits", "params_bits")
            for value in ("1", "33", "7.5", '"8"', "true", "null", "NaN")
        ),
        pytest.param({"c": {"float": 1}}, {}, '"c".float cannot be 1; it must be true or false', id="float"),
        pytest.param(
            {"c": {"float": True, "bits": 8}},
            {},
            '"c".float: a layer in float has no formats; remove it, or bits',
            id="float and more",
        ),
        pytest.param(
            {"c": {"fl_params": 3}},
            {},
            '"c".fl_params: belongs to --quant_type DynamicFixed, this is Xilinx',
            id="fl in Xilinx",
        ),
        pytest.param({"c": {"threshold": 3}}, FIXED, f'"c".threshold: {XILINX_ONLY}', id="threshold in DynamicFixed"),
        pytest.param(
            {"c": {"params_threshold": 3}}, FIXED, f'"c".params_threshold: {XILINX_ONLY}', id="weights in DynamicFixed"
        ),
        pytest.param(
            {"c": {"fl_params": 127}},
            FIXED,
            '"c".fl_params cannot be 127; it must be a whole number from -126 to 126',
            id="fl",
        ),
        pytest.param(
            {"c": {"bits": 7}},
            {"force": False},
            '"c".bits: the board takes 6 or 8, not 7; --force overrides',
            id="width",
        ),
        pytest.param(
            {"c": {"params_bits": 16}},
            {"force": False},
            '"c".params_bits: the board takes 6 or 8, not 16',
            id="params width",
        ),
        pytest.param(
            {"c": {"threshold": "max"}},
            {"threshold_method": "xilinx"},
            '"c".threshold: "max" is found from the statistics of one pass over the float network, and '
            "--threshold_method xilinx makes none; give a number",
            id="no statistics",
        ),
        pytest.param(
            {"c": {"bits": 8}},
            {"skip_layers": ("c",)},
            '"c": --skip_layers keeps this layer in float',
            id="skipped too",
        ),
    ],
)
def test_one_problem_is_one_line(content: object, more: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, content, **more)
    assert str(error).startswith(f"{tmp_path / 'layers.json'}: {message}")
    assert error.problems == ()


def test_all_problems_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"a": {"bits": 1, "flaot": True, "fl_layer_in": 0}, "b": 3, "c": {"fl_params": 3}})
    assert error.message == f"{tmp_path / 'layers.json'}: these overrides cannot be used:"
    # what is right in an entry is looked at further
    assert [problem.split()[0].rstrip(":") for problem in error.problems] == [
        '"a".bits', '"a".flaot', '"b"', '"a".fl_layer_in', '"c".fl_params',
    ]  # fmt: skip


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: cannot be read: No such file or directory"):
        asked(options(tmp_path / "no.json"))


def test_long_values_are_cut(tmp_path: Path) -> None:
    assert len(str(refusal(tmp_path, {"c": ["x" * 500]}))) < len(str(tmp_path)) + 200


# ---- the schema says the same


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_the_same_keys_each_described() -> None:
    properties = SCHEMA["$defs"]["layer"]["properties"]
    assert list(properties) == list(KEYS)
    assert [key for key, each in properties.items() if not each.get("description")] == []


LEAST, GREATEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32
EDGES = [
    -127, -126, -125.5, -126.0, -1, -0.0, 0, 1, 2, 3, 5.5, 6, 8, 8.0, 31, 32, 33, 126, 127, LEAST, LEAST / 2, GREATEST,
    math.nextafter(GREATEST, math.inf), 1e308, 10**400,
]  # fmt: skip
SHARES = ["0", "00.0", "0.01", "5", "99.9", "099", "100", "0100.0", "100.1", "101", "1e1", "", ".5", "5.", "-1", " 5"]
VALUES = [
    *EDGES, True, False, None, {}, {"bits": 8}, [], [3], [3, 0], [3, "3"], [[3]], "3", "", "mse", "kl", "percentile",
    "max", "xilinx", "Max", "mse:3", *(f"percentile:{share}" for share in SHARES),
]  # fmt: skip


def accepted(folder: Path, entry: Mapping[str, object]) -> bool:
    """Whether the program takes a layer's entry, in the mode that it belongs to."""
    mode = Mode.DYNAMIC_FIXED if any(key.startswith("fl_") for key in entry) else Mode.XILINX
    try:
        asked(options(written(folder, {"conv1": entry}), quant_type=mode))
    except InputError:
        return False
    return True


@pytest.mark.parametrize("key", [*KEYS, "Bits", "$schema"])
def test_the_schema_takes_the_same_values(key: str, tmp_path: Path) -> None:
    by_schema = [(value, SCHEMA_RULES.is_valid({"conv1": {key: value}})) for value in VALUES]
    assert by_schema == [(value, accepted(tmp_path, {key: value})) for value in VALUES]


@pytest.mark.parametrize(
    "entry",
    [{}, {"float": True, "bits": 8}, {"float": False, "bits": 8}, {"float": True}, {"bits": 8, "params_bits": 6}],
    ids=str,
)
def test_the_schema_takes_the_same_entries(entry: Mapping[str, object], tmp_path: Path) -> None:
    assert SCHEMA_RULES.is_valid({"conv1": entry}) == accepted(tmp_path, entry)


@pytest.mark.parametrize("content", [[], 3, "x", None, {"$schema": 3}], ids=str)
def test_neither_takes_what_is_no_object_of_layers(content: object, tmp_path: Path) -> None:
    assert not SCHEMA_RULES.is_valid(content)
    refusal(tmp_path, content)


# ---- what speaks against it in a network


UNREAD = data(1, 3, 4, 5) + layer("fc", "InnerProduct", "data", "fc", "inner_product_param { num_output: 6 }")
NO_BLOCK = "there is no block to change or to skip"
NO_NUMBER = "layer has no such number; remove it"
BEHIND = PLAIN + layer("my", "MyLayer", "pool1", "my") + conv("behind", "my", "behind", 3)


@pytest.mark.parametrize(
    ("text", "content", "more", "message"),
    [
        pytest.param(
            PLAIN,
            {"conv3": {"bits": 8}},
            {},
            "\"conv3\": the network has no such layer; did you mean 'conv2' or 'conv1'?",
            id="misspelled",
        ),
        pytest.param(PLAIN, {"x": {}}, {}, '"x": the network has no such layer', id="nothing alike"),
        pytest.param(
            PLAIN + layer("relu1", "ReLU", "prob", "twin"),
            {"relu1": {"bits": 8}},
            {},
            '"relu1": 2 layers have this name; give each its own',
            id="twins",
        ),
        pytest.param(
            PLAIN + layer("loss", "SoftmaxWithLoss", "fc", "loss"),
            {"loss": {"bits": 8}},
            {},
            '"loss": this layer is not run: training or scoring only',
            id="of training",
        ),
        pytest.param(
            PLAIN,
            {"fc": {"bits": 8}},
            {},
            f'"fc": {NO_BLOCK}: InnerProduct gets none in Xilinx mode with --matrix guide',
            id="software",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"bits": 8}},
            {"quant_type": Mode.DYNAMIC_FIXED, "matrix": Matrix.PARSER},
            f'"pool1": {NO_BLOCK}: Pooling gets none in DynamicFixed mode with --matrix parser',
            id="matrix",
        ),
        pytest.param(
            PLAIN,
            {"data": {"float": True}},
            {"matrix": Matrix.PARSER},
            f'"data": {NO_BLOCK}: Input gets none',
            id="input without a block",
        ),
        pytest.param(
            UNREAD,
            {"data": {"bits": 8}},
            {"matrix": Matrix.PARSER},
            "\"data\": there is nothing to change: no block reads 'data'",
            id="input that no block reads",
        ),
        pytest.param(
            UNREAD + data(1, 3, 4, 5, name="info"),
            {"info": {"bits": 8}},
            {},
            "\"info\": there is nothing to change: no block reads 'info'",
            id="input that is not fed",
        ),
        pytest.param(
            BEHIND, {"my": {"bits": 8}}, {}, f'"my": {NO_BLOCK}: there is no rule for the type MyLayer', id="no rule"
        ),
        pytest.param(
            BEHIND,
            {"behind": {"bits": 8}},
            {},
            f"\"behind\": {NO_BLOCK}: its bottom 'my' is not computed",
            id="not calibrated",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"params_bits": 8}},
            {},
            f'"pool1".params_bits: the block of this Pooling {NO_NUMBER}',
            id="no weights",
        ),
        pytest.param(
            RESIDUAL,
            {"left_scale": {"params_threshold": 3}},
            {},
            f'"left_scale".params_threshold: the block of this Scale {NO_NUMBER}',
            id="no th_params",
        ),
        pytest.param(
            PLAIN,
            {"data": {"params_bits": 8}},
            {},
            f'"data".params_bits: the block of this Input {NO_NUMBER}',
            id="weights of the input",
        ),
        pytest.param(
            PLAIN,
            {"conv1": {"params_threshold": [1, 2, 3]}},
            {},
            '"conv1".params_threshold: 3 thresholds for 4 output channels; give 4, or one number for all',
            id="count",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"threshold": 3}, "conv1": {"threshold": 4}},
            {},
            '"pool1".threshold 3.0 and "conv1".threshold 4.0 contradict each other, they are of one scale class '
            "(conv1, relu1, pool1); give only one",
            id="thresholds of a class",
        ),
        pytest.param(
            PLAIN,
            {"pool1": {"bits": 6}, "conv1": {"bits": 8}},
            {},
            '"pool1".bits 6 and "conv1".bits 8 contradict',
            id="widths of a class",
        ),
        pytest.param(
            PLAIN,
            {"conv1": {"fl_layer_out": 3}, "conv2": {"fl_layer_in": 4}},
            FIXED,
            '"conv2".fl_layer_in 4 and "conv1".fl_layer_out 3 contradict',
            id="fractions of a class",
        ),
    ],
)
def test_what_a_network_does_not_have(
    text: str, content: object, more: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, text)
    error = desk.refused(content, **more)
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{desk.path}: {message}")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            ["conv3"], "--skip_layers \"conv3\": the network has no such layer; did you mean 'conv2' or", id="one"
        ),
        pytest.param(["prob"], f'--skip_layers "prob": {NO_BLOCK}: Softmax gets none', id="software"),
        pytest.param(
            ["conv1", ""], "--skip_layers conv1,: there is an empty name; separate names by one comma", id="empty"
        ),
    ],
)
def test_what_cannot_be_skipped(plain: Desk, names: Sequence[str], message: str) -> None:
    error = plain.refused(skip_layers=names)
    assert isinstance(error, UsageError)
    assert str(error).startswith(message)


def test_several_that_cannot_be_skipped(plain: Desk) -> None:
    error = plain.refused(skip_layers=["prob", "conv1", "x"])
    assert isinstance(error, UsageError)
    assert error.message == "these layers cannot be skipped:"
    assert [problem.split(":")[0] for problem in error.problems] == ['--skip_layers "prob"', '--skip_layers "x"']


def test_file_and_option_at_once(plain: Desk) -> None:
    content = {"pool1": {"threshold": 3, "params_bits": 8}, "conv1": {"threshold": 4}, "y": {}}
    error = plain.refused(content, skip_layers=["x"])
    assert isinstance(error, InputError)
    assert [problem.split(":")[0].split(" and ")[0] for problem in error.problems] == [
        '"pool1".params_bits', '"y"', '"pool1".threshold 3.0', '--skip_layers "x"',
    ]  # fmt: skip


def test_it_is_refused_before_any_picture_is_calibrated(plain: Desk) -> None:
    def no_progress(title: str, total: int) -> Any:
        pytest.fail(f"{title} has begun")

    plain.journal = Journal(progress=no_progress)
    with pytest.raises(InputError):
        api.convert(
            plain.files.deploy, plain.files.weights, calibration_directory=plain.pictures, journal=plain.journal,
            overrides=written(plain.folder, {"x": {}}),
        )  # fmt: skip


# ---- what becomes of it: laws


def everything(made: Conversion, *keys: str) -> dict[str, dict[str, Any]]:
    """What the blocks of a conversion hold, as a file would ask for it; weights only where a block has some."""
    fields = {
        "threshold": "th_layer_out", "bits": "bw_layer_out",
        "params_threshold": "th_params", "params_bits": "bw_params",
        "fl_layer_in": "fl_layer_in", "fl_layer_out": "fl_layer_out", "fl_params": "fl_params",
    }  # fmt: skip
    blocks = {block.layer.name: dict(block.fields) for block in made.blocks}
    return {name: {key: block[fields[key]] for key in keys if fields[key] in block} for name, block in blocks.items()}


@by_net
@by_method
def test_asking_for_what_is_found_anyway_changes_nothing(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method)
    content = everything(found, "threshold", "bits", "params_threshold", "params_bits")
    assert desk.convert(content, threshold_method=method).text == found.text


@by_net
@by_method
def test_a_width_for_every_layer_is_a_width_for_the_network(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method, bitwidths=(8, 6, 8))
    content = everything(found, "bits", "params_bits")
    assert desk.convert(content, threshold_method=method, bitwidths=(6, 8, 6)).text == found.text


@by_net
@pytest.mark.parametrize("method", ["mse", "kl", "percentile", "max"])
def test_a_method_for_every_layer_is_a_method_for_the_network(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method, bitwidths=(8, 6, 8))
    content = {layer: {"threshold": method, "bits": 8} for layer in everything(found)}
    other = "max" if method != "max" else "kl"
    assert desk.convert(content, threshold_method=other, bitwidths=(6, 6, 6)).text == found.text


@by_net
def test_formats_for_every_layer_are_formats_for_the_network(name: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(**FIXED, bitwidths=(8, 6, 8), fl_bitwidths=(4, 7, 4))
    keys = ("bits", "params_bits", "fl_layer_in", "fl_layer_out", "fl_params")
    content = {name: {key: each[key] for key in each} for name, each in everything(found, *keys).items()}
    for name in content:
        if by_name(desk.net, name).type in ("BatchNorm", "Scale"):
            content[name] |= {"params_bits": 6, "fl_params": 7}
    # pictures have no block of their own in this mode
    content["data"] = {"bits": 8, "fl_layer_out": 4}
    assert desk.convert(content, **FIXED, bitwidths=(6, 8, 6), fl_bitwidths=(1, 2, 3)).text == found.text


@by_net
@pytest.mark.parametrize("mode", Mode)
def test_a_network_with_every_layer_skipped_is_as_it_was(name: str, mode: Mode, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    names = [block.layer.name for block in desk.convert(quant_type=mode).blocks]
    assert desk.convert(skip_layers=names, quant_type=mode).text == NETS[name]


# ---- what becomes of it: numbers


@by_method
def test_a_threshold_holds_for_the_whole_class_digit_for_digit(plain: Desk, method: str) -> None:
    made = plain.convert({"pool1": {"threshold": 0.12345678901}}, threshold_method=method)
    assert board.problems(made.text, "Xilinx") == []
    texts = [line.split(": ")[1] for line in made.text.splitlines() if "th_layer" in line]
    # conv1 reads the pictures; conv1 out, relu1, pool1 and conv2 in are of the class
    assert texts.count("0.12345678901") == 6
    assert plain.said(Level.INFO, "scale class") == [
        '"pool1".threshold 0.12345678901 holds for the whole scale class: conv1, relu1, pool1'
    ]


def test_a_class_of_one_layer_needs_no_word(plain: Desk) -> None:
    plain.convert({"data": {"threshold": 3}})
    assert plain.said(Level.INFO, "scale class") == []


def test_the_threshold_of_pictures_that_only_software_reads(tmp_path: Path) -> None:
    made = Desk(tmp_path, UNREAD).convert({"data": {"threshold": 100}})
    assert formats(made.text)["data"].th_layer_out == 100


@pytest.mark.parametrize("matrix", Matrix)
def test_the_threshold_of_the_pictures(plain: Desk, matrix: Matrix) -> None:
    made = plain.convert({"data": {"threshold": 100}}, matrix=matrix)
    assert board.problems(made.text, "Xilinx", matrix.value) == []
    assert formats(made.text)["conv1"].th_layer_in == 100


def test_a_share_of_the_values(plain: Desk) -> None:
    def of(asked: str) -> float:
        made = plain.convert({"conv2": {"threshold": asked}}, threshold_method="max")
        return formats(made.text)["conv2"].th_layer_out or 0.0

    assert of("percentile:50") < of("percentile:99.9") <= of("percentile:100") == of("max")


@pytest.mark.parametrize(
    ("how", "same"), [(ScaleClasses.BOARD, True), (ScaleClasses.ORIGINAL, False)], ids=["board", "original"]
)
def test_the_classes_are_those_of_the_conversion(how: ScaleClasses, same: bool, tmp_path: Path) -> None:
    desk = Desk(tmp_path, RESIDUAL)
    found = formats(desk.convert({"sum": {"threshold": 77, "bits": 8}}, scale_classes=how, force=True).text)
    assert found["sum"].th_layer_out == found["swap"].th_layer_in == 77
    assert (found["right"].th_layer_out == 77) == same
    # the board adds integers: their width is one, whatever the thresholds are
    assert found["right"].bw_layer_out == found["sum"].bw_layer_in == 8


def test_thresholds_of_weights(plain: Desk) -> None:
    content = {"conv1": {"params_threshold": [1, 0.5, 0.25, 3]}, "conv2": {"params_threshold": 2, "params_bits": 8}}
    found = formats(plain.convert(content).text)
    assert (found["conv1"].th_params, found["conv1"].bw_params) == ((1, 0.5, 0.25, 3), 6)
    assert (found["conv2"].th_params, found["conv2"].bw_params) == ((2,) * 5, 8)


def test_the_parsers_normalize_has_thresholds_too(tmp_path: Path) -> None:
    text = data(1, 3, 5, 7) + layer("norm", "Normalize", "data", "norm", "norm_param { channel_shared: false }")
    desk = Desk(tmp_path, text)
    found = formats(desk.convert({"norm": {"params_threshold": [1, 2, 4]}}, matrix=Matrix.PARSER).text)
    assert found["norm"].th_params == (1, 2, 4)
    assert "3 output channels" in str(desk.refused({"norm": {"params_threshold": [1, 2]}}, matrix=Matrix.PARSER))


@by_method
def test_a_width_holds_for_writers_and_readers(plain: Desk, method: str) -> None:
    made = plain.convert({"pool1": {"bits": 8}}, threshold_method=method)
    assert board.problems(made.text, "Xilinx") == []
    assert {name: (each.bw_layer_in, each.bw_layer_out) for name, each in formats(made.text).items()} == {
        "data": (None, 6), "conv1": (6, 8), "relu1": (8, 8), "pool1": (8, 8), "conv2": (8, 6), "pool2": (6, 6),
    }  # fmt: skip
    assert plain.said(Level.WARNING, str(plain.path)) == [
        f"{plain.path}: the board has one width for all blobs of a network, here 6 bits; others can be simulated but "
        "not run: pool1 8"
    ]


def test_the_common_width_needs_no_word(plain: Desk) -> None:
    plain.convert({"pool1": {"bits": 6}}, bitwidths=(6, 6, 6))
    assert plain.said(Level.WARNING, str(plain.path)) == []


def test_the_rule_goes_on_with_what_was_asked_for(plain: Desk) -> None:
    """The rule `xilinx` quantizes everything before the layer that it looks at."""

    def behind(content: object = None, **more: Any) -> float | None:
        return formats(plain.convert(content, bitwidths=(6, 6, 6), **more).text)["conv2"].th_layer_out

    assert behind({"conv1": {"threshold": 0.5}}) != behind()
    assert behind({"conv1": {"params_threshold": 0.01}}) != behind()
    assert behind({"conv1": {"params_bits": 2}}, force=True) != behind()
    assert behind({"pool1": {"bits": 2}}, force=True) != behind()


def test_the_rule_leaves_a_skipped_layer_in_float(plain: Desk) -> None:
    def behind(params: int, **pictures: Any) -> float | None:
        content = {"conv2": {"params_bits": 6}, "data": {"bits": 6, **pictures}}
        options: dict[str, Any] = {"bitwidths": (6, params, 6), "skip_layers": ["conv1"], "force": True}
        return formats(plain.convert(content, **options).text)["conv2"].th_layer_out

    # neither conv1's weights nor what it reads are quantized
    assert behind(6) == behind(2) == behind(6, threshold=0.5)


def test_the_rule_goes_on_behind_a_sum_of_the_original(tmp_path: Path) -> None:
    """There a sum's threshold is the larger one of its inputs, and no other layer shares it."""
    text = data(1, 3, 8, 9) + conv("left", "data", "left", 5) + conv("right", "data", "right", 5)
    desk = Desk(tmp_path, text + layer("sum", "Eltwise", "left right", "sum") + conv("last", "sum", "last", 4))

    def behind(content: object = None) -> float | None:
        return formats(desk.convert(content, scale_classes=ScaleClasses.ORIGINAL).text)["last"].th_layer_out

    assert behind({"sum": {"threshold": 0.5}}) != behind()


def test_widths_that_the_board_does_not_take(plain: Desk) -> None:
    plain.convert({"conv1": {"params_bits": 7}, "conv2": {"bits": 12}}, force=True)
    first, second = plain.said(Level.WARNING, str(plain.path))
    assert first == f"{plain.path}: the board takes only 6 and 8 bits, not 7, 12"
    assert second.endswith("not run: conv2 12")


def test_fractions_end_at_average_pooling(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    content = {"pool1": {"fl_layer_out": 4}, "conv2": {"fl_layer_out": -1}, "data": {"fl_layer_out": 0}}
    made = desk.convert(content, quant_type=Mode.DYNAMIC_FIXED, fl_bitwidths=(2, 5, 3))
    assert board.problems(made.text, "DynamicFixed") == []
    assert {name: (each.fl_layer_in, each.fl_layer_out) for name, each in formats(made.text).items()} == {
        "conv1": (0, 4), "pool1": (4, 4), "conv2": (4, -1), "pool2": (-1, 3),
    }  # fmt: skip


# ---- layers in float


def test_a_skipped_layer_gets_no_block_and_is_spoken_of(plain: Desk) -> None:
    made = plain.convert({"relu1": {"float": True}}, skip_layers=["conv1", "pool1"])
    assert {"conv1", "relu1", "pool1"}.isdisjoint(formats(made.text))
    assert made.missing == ()
    assert board.problems(made.text, "Xilinx", uncalibrated=frozenset({"conv1", "relu1", "pool1"})) == []
    assert plain.said(Level.WARNING, "no block") == [
        "no block for conv1, pool1, which is for experiments: `xportdnn evaluate` computes them in float, but the "
        "board takes them for DynamicFixed with 6 bits, 3 of them fractional (5 of the weights); only software layers "
        "stay float there"
    ]
    assert plain.said(Level.INFO, "no block") == ["no block for relu1; the board would read none"]


def sqnr(made: Conversion, desk: Desk) -> dict[str, dict[str, Any]]:
    """What `evaluate` says of every layer of the converted network."""
    quantized = desk.folder / "quantized.prototxt"
    quantized.write_text(made.text, encoding="utf-8")
    found = evaluate(EvaluationOptions(str(quantized), str(desk.files.weights), str(desk.pictures), workers=1))
    return {each["name"]: each for each in evaluated(found, ())["layers"]}


@pytest.mark.parametrize("mode", Mode)
def test_evaluate_sees_skipped_layers_in_float(plain: Desk, mode: Mode) -> None:
    whole = sqnr(plain.convert(quant_type=mode), plain)
    assert not whole["pool1"]["identical"]
    names = [name for name in ("data", "conv1", "relu1", "pool1") if whole[name]["formats"] is not None]
    part = sqnr(plain.convert(quant_type=mode, skip_layers=names), plain)
    assert all(part[name]["identical"] and part[name]["formats"] is None for name in names)
    assert not part["conv2"]["identical"]


# ---- a shipped network, from the command line


def test_a_trained_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "data": {"threshold": 1},
        "conv1": {"params_threshold": 0.75, "params_bits": 8},
        "scale2a_branch2b": {"threshold": 5.4321, "bits": 8},
        "res3b": {"threshold": "percentile:99.9"},
    }
    out, report_file = tmp_path / "out.prototxt", tmp_path / "out.json"
    arguments = [
        "--deploy_model", str(DIGITS / "deploy.prototxt"), "--weights", str(DIGITS / "digits_residual.caffemodel"),
        "--quantized_deploy_model", str(out), "--calibration_directory", str(ROOT / "calibration" / "digits"),
        "--mean_value", "0", "--input_scale", "0.00390625", "--threshold_method", "max", "--workers", "1",
        "--bitwidths", "6,6,6", "--overrides", str(written(tmp_path, content)), "--json", str(report_file),
        "--skip-layers", "res3b_branch2a,bn3b_branch2a", "--skip_layers", "res3b_relu",
        "--skip_layers", "bn3b_branch2a",
    ]  # fmt: skip
    assert cli._run(arguments, True) == 0
    skipped = ("res3b_branch2a", "bn3b_branch2a", "res3b_relu")
    text = out.read_text(encoding="utf-8")
    assert board.problems(text, "Xilinx", uncalibrated=frozenset(skipped)) == []
    blocks = formats(text)
    assert blocks["conv1"].th_layer_in == 1
    assert (blocks["conv1"].th_params, blocks["conv1"].bw_params) == ((0.75,) * 12, 8)
    for name in STAGE:
        assert (blocks[name].th_layer_out, blocks[name].bw_layer_out) == (5.4321, 8)
    for reader in ("res2a_branch2a", "res3a_branch1", "res3a_branch2a"):
        assert (blocks[reader].th_layer_in, blocks[reader].bw_layer_in, blocks[reader].bw_layer_out) == (5.4321, 8, 6)
    assert set(skipped).isdisjoint(blocks)
    said = capsys.readouterr().err
    assert f'"scale2a_branch2b".threshold 5.4321 holds for the whole scale class: {", ".join(STAGE)}\n' in said
    found = json.loads(report_file.read_bytes())
    assert found["options"]["overrides"] == str(tmp_path / "layers.json")
    assert found["options"]["skip_layers"] == list(skipped)
    asked_for = {each["name"]: each["overridden"] for each in found["layers"] if "overridden" in each}
    assert asked_for == {
        "data": {"threshold": 1.0}, "conv1": {"params_threshold": 0.75, "params_bits": 8},
        "scale2a_branch2b": {"threshold": 5.4321, "bits": 8}, "res3b": {"threshold": "percentile:99.9"},
        **{name: {"float": True} for name in skipped},
    }  # fmt: skip
    thresholds = {(each["blob"], each["written_by"]): each["threshold"] for each in found["blobs"]}
    assert thresholds["res2a", "res2a_relu"] == 5.4321


@by_method
def test_a_trained_network_with_a_layer_in_float(tmp_path: Path, method: str) -> None:
    made = api.convert(
        DIGITS / "deploy.prototxt", DIGITS / "digits_residual.caffemodel", workers=1,
        calibration_directory=ROOT / "calibration" / "digits", threshold_method=method, skip_layers=["conv1", "data"],
        **DIGITS_STEPS,
    )  # fmt: skip
    quantized = tmp_path / "quantized.prototxt"
    quantized.write_text(made.text, encoding="utf-8")
    found = evaluate(
        EvaluationOptions(
            str(quantized), str(DIGITS / "digits_residual.caffemodel"), str(ROOT / "calibration" / "digits_test"),
            images_size=3, workers=1, **DIGITS_STEPS,
        )
    )  # fmt: skip
    layers = {each["name"]: each for each in evaluated(found, ())["layers"]}
    assert layers["conv1"]["identical"]
    assert not layers["bn_conv1"]["identical"]


def test_the_file_is_never_overwritten(plain: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(plain.folder, {"conv1": {"bits": 8}})
    arguments = [
        *plain.files.arguments, "--quantized_deploy_model", str(path), "--overrides", str(path),
        "--calibration_directory", str(plain.pictures),
    ]  # fmt: skip
    assert cli._run(arguments, False) == 2
    assert "is an input of this run" in capsys.readouterr().err
    assert json.loads(path.read_bytes()) == {"conv1": {"bits": 8}}


def test_the_report_in_python(plain: Desk) -> None:
    made = plain.convert({"conv1": {"params_threshold": [1, 2, 3, 4]}}, skip_layers=("pool2",))
    found = report(made, [])
    json.dumps(found, allow_nan=False)
    layers = {each["name"]: each.get("overridden") for each in found["layers"]}
    assert {name: each for name, each in layers.items() if each} == {
        "conv1": {"params_threshold": (1.0, 2.0, 3.0, 4.0)}, "pool2": {"float": True},
    }  # fmt: skip
