"""Older generations of the format come out as a person would write them today, everything else left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.board import parse as board_parse
from tests.small_nets import PLAIN
from xportdnn.errors import PrototxtError
from xportdnn.prototxt import Message, Source, parse
from xportdnn.upgrade import V1_TYPES, Upgraded, input_layer, upgrade


def upgraded(text: str) -> Upgraded:
    return upgrade(parse(Source("net.prototxt", text)))


def today(text: str) -> str:
    return upgraded(text).document.source.text


def same(old: str, new: str) -> bool:
    """Whether the upgraded text means to protobuf what the text in today's form means."""
    return bool(board_parse(today(old)) == board_parse(new))


def test_a_file_of_today_is_not_touched() -> None:
    document = parse(Source("net.prototxt", PLAIN))
    assert upgrade(document) == (document, ())
    assert upgrade(document).document is document


# ---- input headers

SHAPE = "  input_param {\n    shape {\n      dim: 1\n      dim: 3\n      dim: 5\n      dim: 7\n    }\n  }\n"
INPUT = f'layer {{\n  name: "input"\n  type: "Input"\n  top: "x"\n{SHAPE}}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            'name: "n"\n# picture\ninput: "x"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 5\ninput_dim: 7\n# rest\n',
            f'name: "n"\n# picture\n{INPUT}\n# rest\n',
            id="input_dim",
        ),
        pytest.param('input: "x" input_dim: [1, 3, 0x5, 7] # why\n', f"{INPUT} # why\n", id="list, hexadecimal"),
        pytest.param('input: "x"\ninput_shape {\n  dim: 1 dim: 3 dim: 5 dim: 7\n}\n', f"{INPUT}\n", id="input_shape"),
        pytest.param(
            'input_dim: 1\nname: "n"\ninput: "x"\ninput_dim: [3, 5, 7]\n', f'{INPUT}\nname: "n"\n', id="scattered"
        ),
        pytest.param(
            'input: "x"\r\ninput_shape { dim: [1, 3, 5, 7] }\r\n', INPUT.replace("\n", "\r\n") + "\r\n", id="CRLF"
        ),
        pytest.param('input: "x"', 'layer {\n  name: "input"\n  type: "Input"\n  top: "x"\n}', id="no shape"),
        pytest.param(
            'layer { name: "input" }\ninput: "x"\n',
            'layer {\n  name: "x"\n  type: "Input"\n  top: "x"\n}\nlayer { name: "input" }\n',
            id="a layer is called input; header behind the layers",
        ),
        pytest.param(
            "input: 'x' input: 'y\"' input_shape { dim: 2 } input_shape { dim: [4, 6] }",
            'layer {\n  name: "input"\n  type: "Input"\n  top: "x"\n  top: "y\\""\n  input_param {\n    shape {\n'
            "      dim: 2\n    }\n    shape {\n      dim: 4\n      dim: 6\n    }\n  }\n}",
            id="two inputs",
        ),
        pytest.param(
            "input: ['x', 'y']\ninput_dim: [1, 2, 3, 4, 5, 6, 7, 8]\n",
            input_layer("input", ["x", "y"], [(1, 2, 3, 4), (5, 6, 7, 8)], "\n") + "\n",
            id="two inputs, input_dim",
        ),
        pytest.param(
            "input: 'x' input: 'y' input_shape { dim: 9 }",
            input_layer("input", ["x", "y"], [(9,), (9,)], "\n"),
            id="one shape for two inputs",
        ),
        pytest.param("input_dim: 4\n", "input_dim: 4\n", id="dims of no input"),
    ],
)
def test_header(text: str, expected: str) -> None:
    assert today(text) == expected


def test_header_is_said_with_its_line() -> None:
    assert upgraded('name: "n"\n\ninput: "x"\n').notes == ("net.prototxt:3: the input header is now an Input layer",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "input: 'x' input_dim: 1 input_shape {}", "1: input_shape and input_dim are both given", id="both"
        ),
        pytest.param(
            "\ninput: 'x'\ninput_dim: [1, 2, 3]", r"2: 1 input\(s\) need 4 input_dim values .* are 3", id="few dims"
        ),
        pytest.param(
            "input: ['x', 'y', 'z'] input_shape {} input_shape {}",
            "1: 3 inputs but 2 input_shape blocks",
            id="few shapes",
        ),
        pytest.param("input: 'x'\ninput_dim: 1.5", "2: input_dim must be a whole number, not 1.5", id="no number"),
        pytest.param("input: 5", "1: input must be a quoted string, not 5", id="no name"),
    ],
)
def test_header_error(text: str, message: str) -> None:
    with pytest.raises(PrototxtError, match=f"^net.prototxt:{message}"):
        upgraded(text)


# ---- V1


def test_v1_changes_words_and_nothing_else() -> None:
    text = """\
name: "v1"  # LeNet
layers {
  bottom: "data"
  name: "conv1"   # first
  type: CONVOLUTION
  convolution_param { num_output: 2 kernel_size: 5 }
  top: "conv1"
}
layers: < name: 'act' bottom: "conv1" type: 18 top: "conv1">
"""
    assert today(text) == text.replace("layers", "layer").replace("CONVOLUTION", '"Convolution"').replace(
        "type: 18", 'type: "ReLU"'
    )
    assert upgraded(text).notes == ("net.prototxt:2: 2 V1 'layers' entries are now 'layer' entries",)


# caffe.proto, V1LayerParameter.LayerType, and the names of UpgradeV1LayerType
V1_NAMES = """
    ABSVAL AbsVal, ACCURACY Accuracy, ARGMAX ArgMax, BNLL BNLL, CONCAT Concat, CONTRASTIVE_LOSS ContrastiveLoss,
    CONVOLUTION Convolution, DATA Data, DECONVOLUTION Deconvolution, DROPOUT Dropout, DUMMY_DATA DummyData,
    ELTWISE Eltwise, EUCLIDEAN_LOSS EuclideanLoss, EXP Exp, FLATTEN Flatten, HDF5_DATA HDF5Data,
    HDF5_OUTPUT HDF5Output, HINGE_LOSS HingeLoss, IM2COL Im2col, IMAGE_DATA ImageData, INFOGAIN_LOSS InfogainLoss,
    INNER_PRODUCT InnerProduct, LRN LRN, MEMORY_DATA MemoryData, MULTINOMIAL_LOGISTIC_LOSS MultinomialLogisticLoss,
    MVN MVN, POOLING Pooling, POWER Power, RELU ReLU, SIGMOID Sigmoid,
    SIGMOID_CROSS_ENTROPY_LOSS SigmoidCrossEntropyLoss, SILENCE Silence, SLICE Slice, SOFTMAX Softmax,
    SOFTMAX_LOSS SoftmaxWithLoss, SPLIT Split, TANH TanH, THRESHOLD Threshold, WINDOW_DATA WindowData
"""
# their numbers; NONE is 0
V1_NUMBERS = {
    "ABSVAL": 35, "ACCURACY": 1, "ARGMAX": 30, "BNLL": 2, "CONCAT": 3, "CONTRASTIVE_LOSS": 37, "CONVOLUTION": 4,
    "DATA": 5, "DECONVOLUTION": 39, "DROPOUT": 6, "DUMMY_DATA": 32, "ELTWISE": 25, "EUCLIDEAN_LOSS": 7, "EXP": 38,
    "FLATTEN": 8, "HDF5_DATA": 9, "HDF5_OUTPUT": 10, "HINGE_LOSS": 28, "IM2COL": 11, "IMAGE_DATA": 12,
    "INFOGAIN_LOSS": 13, "INNER_PRODUCT": 14, "LRN": 15, "MEMORY_DATA": 29, "MULTINOMIAL_LOGISTIC_LOSS": 16,
    "MVN": 34, "POOLING": 17, "POWER": 26, "RELU": 18, "SIGMOID": 19, "SIGMOID_CROSS_ENTROPY_LOSS": 27,
    "SILENCE": 36, "SLICE": 33, "SOFTMAX": 20, "SOFTMAX_LOSS": 21, "SPLIT": 22, "TANH": 23, "THRESHOLD": 31,
    "WINDOW_DATA": 24,
}  # fmt: skip


@pytest.mark.parametrize("pair", V1_NAMES.replace("\n", " ").split(","), ids=lambda pair: pair.split()[0])
def test_v1_type(pair: str) -> None:
    old, new = pair.split()
    assert today(f"layers {{ type: {old} }}") == f'layer {{ type: "{new}" }}'
    assert today(f"layers {{ type: {V1_NUMBERS[old]} }}") == f'layer {{ type: "{new}" }}'


def test_v1_types_are_all_there() -> None:
    assert sorted(V1_NUMBERS.values()) == list(range(1, len(V1_TYPES)))
    assert today("layers { type: NONE }") == 'layer { type: "NONE" }'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("blobs_lr: 1 blobs_lr: 2.5", "param { lr_mult: 1 } param { lr_mult: 2.5 }", id="rates"),
        pytest.param(
            "blobs_lr: 1 weight_decay: 1 blobs_lr: 2 weight_decay: 0",
            "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }",
            id="rates and decays",
        ),
        pytest.param("weight_decay: [3, 4]", "param { decay_mult: 3 } param { decay_mult: 4 }", id="list"),
        pytest.param(
            'param: "w" param: "" blob_share_mode: PERMISSIVE',
            'param { name: "w" share_mode: PERMISSIVE } param { }',
            id="shared names",
        ),
    ],
)
def test_v1_learning_rates(old: str, new: str) -> None:
    assert same(f'layers {{ name: "a" {old} top: "t" }}', f'layer {{ name: "a" {new} top: "t" }}')


def test_v1_learning_rates_stand_where_they_stood() -> None:
    text = 'layers {\n  name: "a"\n  blobs_lr: 1\n  blobs_lr: 2\n  weight_decay: 1\n  top: "t"  # out\n}\n'
    assert today(text) == (
        'layer {\n  name: "a"\n  param { lr_mult: 1 decay_mult: 1 }\n  param { lr_mult: 2 }\n  top: "t"  # out\n}\n'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("layers { type: CONV }", "1: 'CONV' is no V1 layer type; write the layer as", id="unknown name"),
        pytest.param("layers { type: 40 }", "1: '40' is no V1 layer type", id="unknown number"),
        pytest.param('layers {\n type: "ReLU" }', "2: 'ReLU' is no V1 layer type", id="today's type in a V1 layer"),
        pytest.param("layers: 5", r"1: 'layers' must be a \{ \} block", id="no block"),
        pytest.param("layer {}\nlayers {}", "2: 'layers' here and 'layer' in line 1: one file holds two", id="mixed"),
        pytest.param(
            "layers { param { } }", r"1: param must be a quoted string, not a \{ \} block", id="today's param"
        ),
        pytest.param(
            "layers { blobs_lr { } }", r"1: 'blobs_lr' must be a value, not a \{ \} block", id="block for a rate"
        ),
    ],
)
def test_v1_error(text: str, message: str) -> None:
    with pytest.raises(PrototxtError, match=f"^net.prototxt:{message}"):
        upgraded(text)


def test_lines_are_those_of_the_file() -> None:
    text = (
        'input: "x"\ninput_dim: 1\ninput_dim: 1\ninput_dim: 1\ninput_dim: 1\nlayers {\n  blobs_lr: 1\n  type: RELU\n}\n'
    )
    result = upgraded(text).document
    made, layer = (entry for entry in result.root.fields if entry.name == "layer")
    assert (result.source.line(made.start), result.source.line(layer.start)) == (1, 6)
    assert isinstance(layer.value, Message)
    (kind,) = (entry for entry in layer.value.fields if entry.name == "type")
    assert result.source.line(kind.start) == 8


# ---- V0


V0 = """\
layers {
  layer {
    name: "conv"
    type: "conv"
    num_output: 4 kernelsize: 5 pad: 1 group: 2 biasterm: false
    weight_filler { type: "gaussian" std: 0.01 }
    blobs_lr: 1 blobs_lr: 2 weight_decay: 3
  }
  bottom: "data"
  top: "conv"
}
# between
layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv" top: "pool" }
layers { layer { name: "norm" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.75 } bottom: "pool" top: "norm" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.5 } bottom: "norm" top: "norm" }
layers { layer { name: "join" type: "concat" concat_dim: 1 } bottom: "norm" bottom: "pool" top: "join" }
layers { layer { name: "fc" type: "innerproduct" num_output: 6 } bottom: "join" top: "fc" }
layers { layer { name: "act" type: "relu" } bottom: "fc" top: "fc" }
layers { layer { name: "prob" type: "softmax" } bottom: "fc" top: "prob" }
"""
V0_TODAY = """\
layer {
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 }
  convolution_param {
    num_output: 4 kernel_size: 5 pad: 1 group: 2 bias_term: false
    weight_filler { type: "gaussian" std: 0.01 }
  }
}
layer {
  name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 3 stride: 2 }
}
layer {
  name: "norm" type: "LRN" bottom: "pool" top: "norm" lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 }
}
layer { name: "drop" type: "Dropout" bottom: "norm" top: "norm" dropout_param { dropout_ratio: 0.5 } }
layer { name: "join" type: "Concat" bottom: "norm" bottom: "pool" top: "join" concat_param { concat_dim: 1 } }
layer { name: "fc" type: "InnerProduct" bottom: "join" top: "fc" inner_product_param { num_output: 6 } }
layer { name: "act" type: "ReLU" bottom: "fc" top: "fc" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_v0() -> None:
    assert same(V0, V0_TODAY)
    assert "\n# between\n" in today(V0)
    assert upgraded(V0).notes == ("net.prototxt:1: 8 V0 'layers' entries are now 'layer' entries",)


PADDING = 'layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "padded" }\n'


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        pytest.param(
            "conv", "num_output: 4 kernelsize: 5", "convolution_param { num_output: 4 kernel_size: 5", id="conv"
        ),
        pytest.param(
            "conv",
            "num_output: 4 kernelsize: 5 pad: 0",
            "convolution_param { num_output: 4 kernel_size: 5",
            id="conv with a pad",
        ),
        pytest.param("pool", "kernelsize: 3", "pooling_param { kernel_size: 3", id="pool"),
    ],
)
def test_padding_goes_into_the_layer_behind_it(kind: str, body: str, expected: str) -> None:
    old = f'layers {{ layer {{ name: "a" type: "{kind}" {body} }} bottom: "padded" top: "a" }}\n'
    types = {"conv": "Convolution", "pool": "Pooling"}
    assert same(
        PADDING + old, f'layer {{ name: "a" type: "{types[kind]}" bottom: "data" top: "a" {expected} pad: 2 }} }}'
    )
    assert today(PADDING + old).startswith("layer {")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            PADDING + 'layers { layer { type: "relu" } bottom: "padded" top: "a" }',
            "2: only a conv or pool layer can follow a padding layer",
            id="padding before ReLU",
        ),
        pytest.param('layers { layer { type: "swish" } }', "1: 'swish' is no V0 layer type", id="unknown type"),
        pytest.param(V0 + "layers { type: RELU }", "20: V0 and V1 layers in one file", id="V1 among V0"),
    ],
)
def test_v0_error(text: str, message: str) -> None:
    with pytest.raises(PrototxtError, match=f"^net.prototxt:{message}"):
        upgraded(text)


# ---- lists of layers


def test_layers_in_a_list_become_entries_and_keep_their_comments() -> None:
    text = 'layer: [{ name: "a" }, # one\n  # two\n  < name: "b" >\n # three\n]; # four\nlayer { name: "c" }\n'
    result = upgraded(text)
    assert result.document.source.text == (
        'layer { name: "a" }\n# one\n# two\nlayer < name: "b" > # three # four\nlayer { name: "c" }\n'
    )
    assert result.notes == ("net.prototxt:1: the list of 2 layers is now one entry for each",)


def test_a_list_of_v1_layers() -> None:
    assert today("layers [{ type: RELU }, { type: TANH }]") == 'layer { type: "ReLU" }\nlayer { type: "TanH" }'


# ---- all together


HEADERS = ['input: "x"\ninput_dim: [1, 3, 5, 7]\n', 'name: "n"\n', "# nothing\n"]
ENTRIES = [
    'layers { name: "a" type: RELU bottom: "x" top: "a" blobs_lr: 1 }\n',
    'layers {\n  name: "b"\n  type: POOLING\n  pooling_param { pool: MAX }\n  blobs_lr: 1\n  weight_decay: 0\n}\n',
    "# a remark\n",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(HEADERS), unique=True), st.lists(st.sampled_from(ENTRIES), max_size=5), st.booleans())
def test_upgrading_twice_is_upgrading_once(header: list[str], entries: list[str], crlf: bool) -> None:
    text = "".join(header + entries)
    once = today(text.replace("\n", "\r\n") if crlf else text)
    assert upgraded(once).notes == ()
    assert today(once) == once
    assert ("\n" in once.replace("\r\n", "")) == ("\n" in text and not crlf)
