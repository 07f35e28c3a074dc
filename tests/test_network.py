"""A text as the network that runs: versions of blobs, what is left out, shapes, and everything that can be wrong."""

from __future__ import annotations

import re

import pytest

from tests import small_nets
from tests.small_nets import by_name, net_of, value
from xportdnn.errors import NetworkError
from xportdnn.network import LeftOut, Value, infer_shapes, runnable, unreached


def layer(name: str, kind: str, bottoms: str, tops: str, rest: str = "") -> str:
    """A layer on one line, so that lines can be counted."""
    return " ".join(small_nets.layer(name, kind, bottoms, tops, rest).split()) + "\n"


def data(*shape: int, name: str = "data") -> str:
    return " ".join(small_nets.data(*shape, name=name).split()) + "\n"


def conv(name: str, bottom: str, top: str, num_output: int, more: str = "kernel_size: 1") -> str:
    return " ".join(small_nets.conv(name, bottom, top, num_output, more).split()) + "\n"


IN_PLACE = (
    data(1, 3, 4, 5)
    + conv("conv1", "data", "conv1", 2)
    + layer("bn1", "BatchNorm", "conv1", "conv1")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + conv("conv2", "conv1", "conv2", 6)
)


def problems(text: str) -> list[str]:
    """Everything wrong with a network; the headline is checked to count it."""
    with pytest.raises(NetworkError) as caught:
        net_of(text)
    count = len(caught.value.problems)
    assert (
        caught.value.message == f"net.prototxt: the network has {'a problem' if count == 1 else f'{count} problems'}:"
    )
    return list(caught.value.problems)


def test_layers_stand_in_file_order() -> None:
    assert [each.name for each in net_of(IN_PLACE).layers] == ["data", "conv1", "bn1", "relu1", "conv2"]


def test_every_write_in_place_is_a_new_value() -> None:
    net = net_of(IN_PLACE)
    assert by_name(net, "bn1").bottoms == (value(net, "conv1"),)
    assert by_name(net, "bn1").tops == (value(net, "conv1", "bn1"),)
    assert by_name(net, "conv2").bottoms == (value(net, "conv1", "relu1"),)


def test_readers_belong_to_one_version() -> None:
    net = net_of(IN_PLACE)
    readers = {writer: net.readers[value(net, "conv1", writer)] for writer in ("conv1", "bn1", "relu1")}
    assert {writer: [each.name for each in found] for writer, found in readers.items()} == {
        "conv1": ["bn1"],
        "bn1": ["relu1"],
        "relu1": ["conv2"],
    }


def test_a_layer_that_reads_a_blob_twice_is_one_reader() -> None:
    net = net_of(data(1, 3) + layer("sum", "Eltwise", "data data", "sum"))
    assert net.readers == {value(net, "data"): (by_name(net, "sum"),)}


def test_places_are_named_with_type_and_line() -> None:
    net = net_of(IN_PLACE)
    assert net.where(by_name(net, "bn1")) == 'layer "bn1" (BatchNorm, net.prototxt:3)'
    assert net.at(by_name(net, "bn1")) == 'layer "bn1" (BatchNorm, line 3)'


def test_lines_are_those_of_the_file_and_not_of_its_upgraded_text() -> None:
    old = 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 4\ninput_dim: 5\n'
    net = net_of(old + 'layers {\n  name: "r"\n  type: RELU\n  bottom: "data"\n  top: "data"\n}\n')
    assert net.at(by_name(net, "r")) == 'layer "r" (ReLU, line 6)'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "date", "r"),
            "layer \"r\" (ReLU, line 2): bottom 'date' is the top of no layer before it; did you mean 'data'?",
            id="misspelt bottom",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "xyz", "r"),
            "layer \"r\" (ReLU, line 2): bottom 'xyz' is the top of no layer before it; give it the name of an earlier "
            "top",
            id="unknown bottom",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "r", "r"),
            "layer \"r\" (ReLU, line 2): bottom 'r' is the top of no layer before it; give it the name of an earlier "
            "top",
            id="reads itself",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "s", "r") + layer("t", "TanH", "data", "s"),
            'layer "r" (ReLU, line 2): bottom \'s\' is the top of no layer before it but of layer "t" (line 3) behind '
            "it; put that one first",
            id="forward reference",
        ),
        pytest.param(
            data(1, 3) + layer("l", "Power", "data", "l", "include { phase: TRAIN }") + layer("r", "ReLU", "l", "r"),
            'layer "r" (ReLU, line 3): bottom \'l\' is the top of no layer before it; layer "l" (line 2) makes it, '
            "but is not run: TRAIN only",
            id="made in TRAIN only",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "data", "x") + layer("s", "TanH", "data", "x"),
            'layer "s" (TanH, line 3): top \'x\' is already the top of layer "r" (line 2); give it another name',
            id="two writers",
        ),
        pytest.param(
            data(1, 4) + layer("s", "Slice", "data", "x x"),
            'layer "s" (Slice, line 2): two of its tops have the same name; every top needs a name of its own',
            id="one name for two tops",
        ),
        pytest.param(
            data(1, 3) + layer("p", "Power", "data", "p") + layer("q", "TanH", "p", "q") + layer("r", "ReLU", "p", "p"),
            'layer "r" (ReLU, line 4): overwrites \'p\' of layer "p" (line 2) in place although another layer reads '
            "it before; give its top another name (Caffe: top blob produced by multiple sources)",
            id="overwritten after it was read",
        ),
        pytest.param(
            data(1, 3) + layer("f", "Flatten", "data", "data"),
            "layer \"f\" (Flatten, line 2): Flatten cannot run in place; give its top another name than 'data'",
            id="cannot run in place",
        ),
        pytest.param(
            data(1, 3) + 'layer { name: "r" bottom: "data" top: "r" }\n',
            'layer "r" (no type, line 2): has no type; add type: "..."',
            id="no type",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "data data", "r"),
            'layer "r" (ReLU, line 2): has 2 bottom blob(s), ReLU takes 1',
            id="too many bottoms",
        ),
        pytest.param(
            data(1, 3) + layer("c", "Concat", "", "c"),
            'layer "c" (Concat, line 2): has 0 bottom blob(s), Concat takes 1 or more',
            id="too few bottoms",
        ),
        pytest.param(
            data(1, 3) + layer("p", "Pooling", "data", "a b c"),
            'layer "p" (Pooling, line 2): has 3 top blob(s), Pooling takes 1 to 2',
            id="too many tops",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "data", "r", "relu_param { }\nrelu_param { }"),
            'layer "r" (ReLU, line 2): relu_param is given again in line 2; merge the two blocks',
            id="block given twice",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "data", "r", "relu_param: 3"),
            'layer "r" (ReLU, line 2): relu_param must be a { } block',
            id="value instead of a block",
        ),
        pytest.param(
            data(1, 3) + layer("r", "ReLU", "data", "r", "relu_param { negative_slope: high }"),
            'layer "r" (ReLU, line 2): negative_slope must be a number, not high',
            id="value of the wrong sort",
        ),
        pytest.param(
            data(1, 3) + "layer: 7\n", "net.prototxt:2: 'layer' must be a { } block", id="value instead of a layer"
        ),
    ],
)
def test_what_is_wrong_is_named_with_place_and_remedy(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_everything_wrong_is_said_at_once() -> None:
    text = data(1, 3) + layer("r", "ReLU", "date", "r") + layer("f", "Flatten", "data", "data")
    assert [re.findall(r'layer "(\w)"', problem) for problem in problems(text)] == [["r"], ["f"]]


def test_one_broken_layer_does_not_blame_those_behind_it() -> None:
    broken = layer("p", "Power", "data", "p", "power_param { power: high }")
    text = data(1, 3) + broken + layer("r", "ReLU", "p", "r") + layer("s", "TanH", "data", "p")
    assert problems(text) == [
        'layer "p" (Power, line 2): power must be a number, not high',
        'layer "s" (TanH, line 4): top \'p\' is already the top of layer "p" (line 2); give it another name',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "there is no layer in this file; a deploy prototxt holds `layer { }` entries", id="empty"),
        pytest.param(
            'net: "a/train_val.prototxt"\nbase_lr: 0.1\n',
            "this is a solver prototxt, not a network; its network is a/train_val.prototxt",
            id="solver",
        ),
        pytest.param("base_lr: 0.1\n", "this is a solver prototxt, not a network", id="solver without a network"),
    ],
)
def test_files_without_layers(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        net_of(text)
    assert str(caught.value) == f"net.prototxt: {message}"


@pytest.mark.parametrize(
    ("kind", "rest", "reason"),
    [
        pytest.param("Accuracy", "", "training or scoring only", id="score"),
        pytest.param("SoftmaxWithLoss", "", "training or scoring only", id="loss with another name"),
        pytest.param("SmoothL1Loss", "", "training or scoring only", id="loss of a fork"),
        pytest.param("Power", "include { phase: TRAIN }", "TRAIN only", id="phase"),
    ],
)
def test_layers_of_training_and_scoring_are_left_out(kind: str, rest: str, reason: str) -> None:
    net = net_of(data(1, 3) + layer("x", kind, "data", "x", rest))
    assert net.left_out == (LeftOut("x", kind, 2, reason),)
    assert [each.name for each in net.layers] == ["data"]


def test_what_left_out_layers_read_is_known() -> None:
    net = net_of(data(1, 3) + layer("loss", "SoftmaxWithLoss", "data label", "loss"))
    assert net.read_elsewhere == {"data", "label"}


@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        pytest.param("fancy: 3", "fancy", id="in the layer"),
        pytest.param("relu_param { slope: 1 }", "relu_param.slope", id="in its block"),
        pytest.param("fancy { a: 1 }\nrelu_param { slope: 1 }", "relu_param.slope, fancy", id="in both"),
    ],
)
def test_unknown_fields_are_noted(rest: str, fields: str) -> None:
    net = net_of(data(1, 3) + layer("r", "ReLU", "data", "r", rest))
    assert net.notes == (
        f'net.prototxt: layer "r" (ReLU, line 2): Caffe knows no field {fields}; kept, without effect here',
    )


@pytest.mark.parametrize(
    "rest",
    ["relu_param { engine: CAFFE }", "transform_param { scale: 2 }", "param { lr_mult: 1 }", "[a.b] { c: 1 }"],
    ids=["engine", "another layer's block", "learning rate", "extension"],
)
def test_fields_without_effect_on_the_forward_are_no_news(rest: str) -> None:
    assert net_of(data(1, 3) + layer("r", "ReLU", "data", "r", rest)).notes == ()


def test_layers_of_one_name_are_noted() -> None:
    net = net_of(data(1, 3) + layer("r", "ReLU", "data", "a") + layer("r", "TanH", "data", "b"))
    assert net.notes == (
        'net.prototxt: layer "r" (TanH, line 3): has the name of the layer in line 2; the board takes no two '
        "layers of one name",
    )


def test_what_only_the_training_minds_is_a_doubt() -> None:
    net = net_of(data(1, 3) + layer("bn", "BatchNorm", "data", "bn", "param { lr_mult: 1 }"))
    assert [(each.name, reason.split(",")[0]) for each, reason in net.doubts] == [
        ("bn", "lr_mult of a BatchNorm param must be 0")
    ]


def test_layers_of_other_forks_have_no_kind() -> None:
    net = net_of(data(1, 3) + layer("odd", "FancyLayer", "data", "odd", "fancy_param { a: 1 }"))
    odd = by_name(net, "odd")
    assert (odd.kind, odd.params, net.notes) == (None, None, ())


@pytest.mark.parametrize(
    ("more", "group"),
    [pytest.param("", 6, id="one for each output"), pytest.param("group: 3", 3, id="as written")],
)
@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_types_have_groups(kind: str, more: str, group: int) -> None:
    block = f"convolution_param {{ num_output: 6 kernel_size: 1 {more} }}"
    net = net_of(data(1, 6, 3, 2) + layer("dw", kind, "data", "dw", block))
    assert by_name(net, "dw").params.group == group


def test_inputs_that_nobody_reads_need_not_be_fed() -> None:
    net = net_of(data(1, 3) + data(7, name="label") + data(2, name="other") + layer("r", "ReLU", "data", "r"))
    assert net.inputs == (value(net, "data"),)


def test_silence_is_no_reader() -> None:
    net = net_of(
        data(1, 3) + data(7, name="label") + layer("s", "Silence", "label", "") + layer("r", "ReLU", "data", "r")
    )
    assert net.inputs == (value(net, "data"),)


def test_a_network_of_inputs_alone_is_fed_the_first() -> None:
    net = net_of(data(1, 3) + data(7, name="label"))
    assert net.inputs == (value(net, "data"),)


def test_several_inputs_are_fed_in_file_order() -> None:
    net = net_of(data(1, 3) + data(1, 3, name="more") + layer("sum", "Eltwise", "more data", "sum"))
    assert [each.blob for each in net.inputs] == ["data", "more"]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        pytest.param(data(2, 3, 4, 5), {"data": (2, 3, 4, 5)}, id="Input"),
        pytest.param(
            layer("in", "Input", "", "a b", "input_param { shape { dim: 7 } }"),
            {"a": (7,), "b": (7,)},
            id="one for all",
        ),
        pytest.param(
            layer("in", "Input", "", "a b", "input_param { shape: { dim: 7 } shape: { dim: 2 dim: 3 } }"),
            {"a": (7,), "b": (2, 3)},
            id="one for each",
        ),
        pytest.param(layer("in", "Input", "", "a"), {}, id="none given"),
        pytest.param(
            layer("in", "Data", "", "a b", "transform_param { crop_size: 9 }"), {"a": (1, 3, 9, 9)}, id="source"
        ),
    ],
)
def test_declared_shapes(text: str, shapes: dict[str, tuple[int, ...]]) -> None:
    assert {each.blob: shape for each, shape in net_of(text).declared.items()} == shapes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            layer("in", "Input", "", "a b c", "input_param { shape { dim: 7 } shape { dim: 2 } }"),
            r'^layer "in" \(Input, net\.prototxt:1\): .*2 shape',
            id="Input",
        ),
        pytest.param(
            layer("in", "MemoryData", "", "a b", "memory_data_param { channels: many }"),
            r'^layer "in" \(MemoryData, net\.prototxt:1\): channels must be a whole number, not many',
            id="source",
        ),
    ],
)
def test_wrong_declarations_are_named_with_their_place(text: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        _ = net_of(text).declared


def test_shapes_are_those_of_values() -> None:
    net = net_of(IN_PLACE + layer("p", "Pooling", "conv2", "p", "pooling_param { kernel_size: 3 stride: 2 }"))
    shapes = infer_shapes(net, net.declared)
    assert shapes == {
        value(net, "data"): (1, 3, 4, 5),
        value(net, "conv1"): (1, 2, 4, 5),
        value(net, "conv1", "bn1"): (1, 2, 4, 5),
        value(net, "conv1", "relu1"): (1, 2, 4, 5),
        value(net, "conv2"): (1, 6, 4, 5),
        value(net, "p"): (1, 6, 2, 2),
    }


def test_shapes_follow_what_is_fed() -> None:
    net = net_of(IN_PLACE)
    assert infer_shapes(net, {value(net, "data"): (8, 3, 7, 9)})[value(net, "conv2")] == (8, 6, 7, 9)


TWO_WRONG = (
    data(1, 3, 4, 5)
    + conv("big", "data", "big", 2, "kernel_size: 9")
    + layer("behind", "ReLU", "big", "behind")
    + layer("norm", "LRN", "data", "norm", "lrn_param { local_size: 4 }")
)


def test_every_layer_that_cannot_be_computed_is_named() -> None:
    net = net_of(TWO_WRONG)
    with pytest.raises(NetworkError, match=r"^net\.prototxt: 2 layers cannot be computed:") as caught:
        infer_shapes(net, net.declared)
    assert [re.findall(r'^layer "(\w+)" \(\w+, line \d+\): ', text) for text in caught.value.problems] == [
        ["big"],
        ["norm"],
    ]


def test_an_input_without_extent_is_refused() -> None:
    net = net_of(IN_PLACE)
    with pytest.raises(NetworkError, match="one layer cannot be computed") as caught:
        infer_shapes(net, {value(net, "data"): (1, 3, 0, 5)})
    assert caught.value.problems == (
        "layer \"data\" (Input, line 1): 'data' has the shape [1, 3, 0, 5]; every dim must be at least 1",
    )


FOREIGN = (
    data(1, 3, 4, 5)
    + conv("first", "data", "first", 2)
    + layer("odd", "FancyLayer", "first", "odd")
    + conv("behind", "odd", "behind", 2)
    + conv("aside", "first", "aside", 7)
)


def test_shapes_behind_a_layer_without_rule_are_unknown() -> None:
    net = net_of(FOREIGN)
    assert [each.blob for each in infer_shapes(net, net.declared)] == ["data", "first", "aside"]


def test_layers_that_cannot_run_have_a_reason() -> None:
    net = net_of(FOREIGN)
    found = {each.name: reason for each, reason in unreached(net, infer_shapes(net, net.declared))}
    assert found == {
        "odd": "there is no rule for the type FancyLayer",
        "behind": "its bottom 'odd' is not computed",
    }


def test_layers_run_where_their_bottoms_are_there() -> None:
    net = net_of(FOREIGN)
    assert [each.name for each in runnable(net, net.inputs)] == ["first", "aside"]


def test_nothing_runs_on_nothing() -> None:
    assert runnable(net_of(FOREIGN), ()) == ()


def test_a_value_that_is_fed_need_not_be_an_input() -> None:
    net = net_of(FOREIGN)
    assert [each.name for each in runnable(net, [Value("odd", by_name(net, "odd").index)])] == ["behind"]
