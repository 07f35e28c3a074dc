"""Mending: what is written, what stays byte for byte, that the network computes the same, and that once is enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.small_nets import conv, data, layer, net_of, random_weights
from xportdnn import execute
from xportdnn.check.fix import all_fixes
from xportdnn.check.look import look
from xportdnn.check.repair import Repaired, repair
from xportdnn.layers import Array
from xportdnn.network import Value
from xportdnn.prototxt import Source

SHAPE = (1, 3, 9, 11)
DATA = data(*SHAPE)


def xilinx(th_in: str, th_out: str, params: str = "") -> str:
    """A block on one line, as a field of a layer."""
    return (
        f"precision_param {{ bw_layer_in: 8 bw_layer_out: 8 {params}th_layer_in: {th_in} th_layer_out: {th_out} "
        'quant_type: "Xilinx" }'
    )


def filled(th: str, mode: str = "Xilinx", field: str = "th") -> str:
    """A block as `pass_on` writes it, at the end of a layer of `layer`."""
    lines = ["bw_layer_in: 8", "bw_layer_out: 8", f"{field}_layer_in: {th}", f"{field}_layer_out: {th}"]
    lines.append(f'quant_type: "{mode}"')
    return "  precision_param {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n}\n"


POOL = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
PADDED = "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"
TWO_WEIGHTS = "bw_params: 8 th_params: 1 th_params: 1 "
QUANTIZED = layer(
    "conv", "Convolution", "data", "conv", "convolution_param { num_output: 2 kernel_size: 3 }\n"
    + xilinx("2.5", "6.0", TWO_WEIGHTS),
)  # fmt: skip
RELU = layer("relu", "ReLU", "x", "x")


def normalized(batch_norm: str, scale: str, behind: str) -> str:
    """Convolution, BatchNorm and Scale with these tops, and two readers of the last."""
    return (
        DATA
        + conv("conv", "data", "conv", 4, "kernel_size: 3")
        + layer("bn", "BatchNorm", "conv", batch_norm)
        + layer("scale", "Scale", batch_norm, scale, "scale_param { bias_term: true }")
        + conv("left", behind, "left", 5)
        + conv("right", behind, "right", 5)
        + layer("sum", "Eltwise", "left right", "sum")
    )


def layered_under_concat(behind_a: str, behind_sum: str) -> str:
    """A Concat of a Convolution and an Eltwise, with what stands behind each of them; a name is taken."""
    return (
        DATA
        + conv("a", "data", "a", 2)
        + behind_a
        + conv("relu_2", "data", "b", 3)
        + layer("sum", "Eltwise", "data b", "sum")
        + behind_sum
        + layer("join", "Concat", "a sum", "join")
    )


def pooled(param: str, relu: str = "") -> str:
    """A Convolution, pooling and a ReLU in place."""
    return (
        DATA
        + conv("c", "data", "c", 2)
        + layer("p", "Pooling", "c", "p", param)
        + layer("relu", "ReLU", "p", "p", relu)
        + conv("d", "p", "d", 4)
    )


@dataclass(frozen=True)
class Mend:
    """What becomes of a file.

    Attributes:
        rules: the rules of the findings that go.
        runs: Caffe computes the file as it was.
    """

    before: str
    after: str
    rules: tuple[str, ...]
    runs: bool = True


MENDS = {
    "v1 layers": Mend(
        'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 9\ninput_dim: 11\n# first\n'
        'layers {\n  name: "relu"  # keep\n  type: RELU\n  bottom: "data"\n  top: "relu"\n}\n',
        'layer {\n  name: "input"\n  type: "Input"\n  top: "data"\n  input_param {\n    shape {\n      dim: 1\n'
        "      dim: 3\n      dim: 9\n      dim: 11\n    }\n  }\n}\n# first\n"
        'layer {\n  name: "relu"  # keep\n  type: "ReLU"\n  bottom: "data"\n  top: "relu"\n}\n',
        ("v1-layers",),
    ),
    "batch": Mend(data(10, 3, 9, 11) + conv("c", "data", "c", 2), DATA + conv("c", "data", "c", 2), ("batch",)),
    "data layer with a label": Mend(
        layer("data", "Data", "", "data label", "transform_param { crop_size: 9 }  # from a data base")
        + conv("c", "data", "c", 2)
        + layer("loss", "SoftmaxWithLoss", "c label", "loss"),
        'layer {\n  name: "data"\n  type: "Input"\n  top: "data"\n  input_param {\n    shape {\n      dim: 1\n'
        "      dim: 3\n      dim: 9\n      dim: 9\n    }\n  }\n}\n" + conv("c", "data", "c", 2),
        ("one-input", "unregistered-type"),
    ),
    "input tops": Mend(
        layer("data", "Input", "", "data label", "input_param {\n    shape { dim: 1 dim: 3 dim: 9 dim: 11 }\n"
              "    shape { dim: 1 }\n  }") + conv("c", "data", "c", 2),
        layer("data", "Input", "", "data", "input_param {\n    shape { dim: 1 dim: 3 dim: 9 dim: 11 }\n"
              "  }") + conv("c", "data", "c", 2),
        ("one-input",),
    ),
    "input first": Mend(
        layer("d", "DummyData", "", "noise", "dummy_data_param { shape { dim: 1 } } include { phase: TRAIN }")
        + "# the input\n" + DATA + conv("c", "data", "c", 2),
        DATA + layer("d", "DummyData", "", "noise", "dummy_data_param { shape { dim: 1 } } include { phase: TRAIN }")
        + "# the input\n" + conv("c", "data", "c", 2),
        ("one-input",),
    ),
    "depthwise": Mend(
        DATA + layer("c", "DepthwiseConvolution", "data", "c", "convolution_param {\n    num_output: 3\n"
                     "    kernel_size: 3\n    group: 3\n  }") + conv("p", "c", "p", 2),
        DATA + layer("c", "Convolution", "data", "c", "convolution_param {\n    num_output: 3\n"
                     "    kernel_size: 3\n    group: 3\n  }") + conv("p", "c", "p", 2),
        ("unregistered-type",),
    ),
    "depthwise without group": Mend(
        DATA + layer("c", "ConvolutionDepthwise", "data", "c", "convolution_param {\n    num_output: 3\n"
                     "    kernel_size: 3\n  }") + conv("p", "c", "p", 2),
        DATA + layer("c", "Convolution", "data", "c", "convolution_param {\n    num_output: 3\n"
                     "    kernel_size: 3\n    group: 3\n  }") + conv("p", "c", "p", 2),
        ("unregistered-type",),
        runs=False,  # forks take the group from num_output, this program from the weights
    ),
    "scores": Mend(
        DATA + conv("c", "data", "c", 2) + layer("prob", "Softmax", "c", "prob")
        + layer("acc", "Accuracy", "c data", "acc", "include { phase: TEST }"),
        DATA + conv("c", "data", "c", 2) + layer("prob", "Softmax", "c", "prob"),
        ("unregistered-type",),
    ),
    "silence": Mend(
        layer("data", "Input", "", "data", "input_param { shape { dim: 1 dim: 3 dim: 9 dim: 11 } }")
        + conv("c", "data", "c", 2) + layer("hush", "Silence", "data", ""),
        DATA + conv("c", "data", "c", 2),
        ("unregistered-type",),
    ),
    "phases": Mend(
        DATA + conv("c", "data", "c", 2)
        + layer("relu", "ReLU", "c", "c", "include { phase: TRAIN }\ninclude { phase: TEST }"),
        DATA + conv("c", "data", "c", 2) + layer("relu", "ReLU", "c", "c"),
        ("phase-rules",),
    ),
    "split": Mend(
        DATA + conv("c", "data", "c", 2) + layer("s", "Split", "c", "one two")
        + conv("a", "one", "a", 2) + layer("sum", "Eltwise", "a two", "sum"),
        DATA + conv("c", "data", "c", 2)
        + conv("a", "c", "a", 2) + layer("sum", "Eltwise", "a c", "sum"),
        ("unregistered-type",),
    ),
    "dropout": Mend(
        DATA + conv("c", "data", "c", 2) + layer("drop", "Dropout", "c", "d") + layer("relu", "ReLU", "d", "d")
        + conv("e", "d", "e", 2),
        DATA + conv("c", "data", "c", 2) + layer("drop", "Dropout", "c", "c") + layer("relu", "ReLU", "c", "c")
        + conv("e", "c", "e", 2),
        ("dropout-not-in-place",),
    ),
    "dropout whose bottom is read elsewhere": Mend(
        DATA + conv("c", "data", "c", 2) + layer("drop", "Dropout", "c", "d") + conv("e", "d", "e", 2)
        + layer("sum", "Eltwise", "c e", "sum"),
        DATA + conv("c", "data", "c", 2) + conv("e", "c", "e", 2) + layer("sum", "Eltwise", "c e", "sum"),
        ("dropout-not-in-place",),
    ),
    "scale read twice": Mend(
        normalized("bn", "scale", "scale"),
        normalized("conv", "conv", "conv"),
        ("scale-read-twice", "normalization-half-in-place"),
    ),
    "scale in place alone": Mend(
        normalized("bn", "bn", "bn"), normalized("conv", "conv", "conv"), ("normalization-half-in-place",)
    ),
    "scale in place behind a normalization of what others read": Mend(
        DATA + layer("bn", "BatchNorm", "data", "bn") + layer("scale", "Scale", "bn", "bn")
        + layer("relu", "ReLU", "bn", "bn") + layer("sum", "Eltwise", "data bn", "sum"),
        DATA + layer("bn", "BatchNorm", "data", "bn") + layer("scale", "Scale", "bn", "scale")
        + layer("relu", "ReLU", "scale", "scale") + layer("sum", "Eltwise", "data scale", "sum"),
        ("normalization-half-in-place",),
    ),
    "ReLU behind pooling": Mend(
        pooled(PADDED),
        DATA + conv("c", "data", "c", 2) + layer("relu", "ReLU", "c", "c") + layer("p", "Pooling", "c", "p", PADDED)
        + conv("d", "p", "d", 4),
        ("relu-dropped",),
    ),
    "ReLU apart behind pooling": Mend(
        DATA + conv("c", "data", "c", 2) + "\n" + layer("p", "Pooling", "c", "p", POOL) + "\n"
        + layer("relu", "ReLU", "p", "rectified", "# keep\nrelu_param { negative_slope: 0 }")
        + conv("d", "rectified", "d", 4),
        DATA + conv("c", "data", "c", 2) + "\n"
        + layer("relu", "ReLU", "c", "c", "# keep\nrelu_param { negative_slope: 0 }") + "\n"
        + layer("p", "Pooling", "c", "rectified", POOL) + "\n" + conv("d", "rectified", "d", 4),
        ("relu-dropped",),
    ),
    "ReLU behind Concat": Mend(
        layered_under_concat("", "") + layer("relu", "ReLU", "join", "out"),
        layered_under_concat(layer("relu_1", "ReLU", "a", "a"), layer("relu_3", "ReLU", "sum", "sum")).replace(
            '"join"', '"out"').replace('name: "out"', 'name: "join"'),
        ("relu-dropped",),
    ),
    "ReLU behind Dropout, pooling and Concat": Mend(
        DATA + conv("a", "data", "a", 2) + conv("b", "data", "b", 4) + layer("r", "ReLU", "b", "b")
        + layer("n", "BatchNorm", "data", "n") + layer("s", "Scale", "n", "s") + layer("join", "Concat", "a b s", "j")
        + layer("p", "Pooling", "j", "p", POOL) + layer("drop", "Dropout", "p", "p") + layer("relu", "ReLU", "p", "q"),
        DATA + conv("a", "data", "a", 2) + layer("relu_1", "ReLU", "a", "a") + conv("b", "data", "b", 4)
        + layer("r", "ReLU", "b", "b") + layer("n", "BatchNorm", "data", "n") + layer("s", "Scale", "n", "s")
        + layer("relu_2", "ReLU", "s", "s") + layer("join", "Concat", "a b s", "j")
        + layer("p", "Pooling", "j", "q", POOL) + layer("drop", "Dropout", "q", "q"),
        ("relu-dropped",),
    ),
    "block of a pooling": Mend(
        DATA + QUANTIZED + layer("relu", "ReLU", "conv", "conv") + layer("p", "Pooling", "conv", "p", POOL),
        DATA + QUANTIZED + layer("relu", "ReLU", "conv", "conv")
        + layer("p", "Pooling", "conv", "p", POOL).removesuffix("}\n") + filled("6.0"),
        ("block-missing-xilinx",),
    ),
    "field of a pooling": Mend(
        DATA + QUANTIZED + layer("p", "Pooling", "conv", "p", POOL + "\n" + xilinx("6.0", "6.0").replace(
            "th_layer_out: 6.0 ", "").replace(" }", "\n  }")),
        DATA + QUANTIZED + layer("p", "Pooling", "conv", "p", POOL + "\n" + xilinx("6.0", "6.0").replace(
            "th_layer_out: 6.0 ", "").replace(" }", "\n  th_layer_out: 6.0\n  }")),
        ("field-missing",),
    ),
    "repeated": Mend(
        DATA + layer("c", "Convolution", "data", "c", "convolution_param { num_output: 2 kernel_size: 3 }\n"
                     + xilinx("2.5", "6.0", TWO_WEIGHTS) + "\n" + xilinx("2.5", "6.0", TWO_WEIGHTS)),
        DATA + layer("c", "Convolution", "data", "c", "convolution_param { num_output: 2 kernel_size: 3 }\n"
                     + xilinx("2.5", "6.0", TWO_WEIGHTS)),
        ("second-precision-block",),
    ),
    "quant_type": Mend(
        DATA + QUANTIZED.replace('"Xilinx"', "'xilinx'"), DATA + QUANTIZED, ("quant-type-unknown",)
    ),
    "ceil_mode": Mend(
        DATA + layer("p", "Pooling", "data", "p", "pooling_param {\n    kernel_size: 2\n    ceil_mode: true\n  }"),
        DATA + layer("p", "Pooling", "data", "p", "pooling_param {\n    kernel_size: 2\n  }"),
        ("unknown-field",),
    ),
    "coeff of 1": Mend(
        DATA + layer("e", "Eltwise", "data data", "e", "eltwise_param {\n    coeff: 1\n    coeff: 1.0\n  }"),
        DATA + layer("e", "Eltwise", "data data", "e", "eltwise_param {\n  }"),
        ("eltwise-coeff",),
    ),
    "concat_dim": Mend(
        DATA + layer("e", "Concat", "data data", "e", "concat_param { concat_dim: 2 }"),
        DATA + layer("e", "Concat", "data data", "e", "concat_param { axis: 2 }"),
        ("concat-dim",),
    ),
    "axis from behind": Mend(
        DATA + layer("e", "Softmax", "data", "e", "softmax_param { axis: -1 }"),
        DATA + layer("e", "Softmax", "data", "e", "softmax_param { axis: 3 }"),
        ("negative-axis",),
    ),
}  # fmt: skip


def mended(text: str) -> Repaired:
    return repair(Source("net.prototxt", text))


def computed(text: str) -> Array:
    """What the last layer puts out, of weights that depend on nothing but the layers' names and shapes."""
    net = net_of(text)
    inputs = {value: (1, *net.declared[value][1:]) for value in net.inputs if value.blob == "data"}
    blobs = random_weights(net, inputs)
    weights = {each.index: blobs[each.name] for each in net.layers if each.name in blobs}
    rng = np.random.default_rng(1)
    feeds = {value: rng.standard_normal(shape).astype(np.float32) for value, shape in inputs.items()}
    *_, last = (step.tops[0] for step in execute.run(net, weights, feeds) if step.tops)
    return last


@pytest.mark.parametrize("mend", MENDS.values(), ids=list(MENDS))
def test_text(mend: Mend) -> None:
    done = mended(mend.before)
    assert done.subject.source.text == mend.after
    assert {rule for each in done.mended for rule in each.rules} == set(mend.rules)


@pytest.mark.parametrize("mend", MENDS.values(), ids=list(MENDS))
def test_once_is_enough(mend: Mend) -> None:
    assert mended(mend.after).mended == ()
    left = {finding.rule.id for finding in look(mended(mend.before).subject)}
    assert left.isdisjoint(mend.rules)


@pytest.mark.parametrize("mend", [m for m in MENDS.values() if m.runs], ids=[n for n, m in MENDS.items() if m.runs])
def test_the_network_computes_the_same(mend: Mend) -> None:
    np.testing.assert_array_equal(computed(mend.before), computed(mend.after))


def test_every_fix_is_tried() -> None:
    tried = {rule for mend in MENDS.values() for rule in mend.rules}
    assert [fix.title for fix in all_fixes() if tried.isdisjoint(fix.rules)] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            DATA + layer("e", "Eltwise", "data data", "e", "eltwise_param { coeff: 1 coeff: -1 }"), id="coeff of -1"
        ),
        pytest.param(DATA + layer("s", "Split", "data", "a b") + layer("r", "ReLU", "a", "a")
                     + layer("e", "Eltwise", "a b", "e"), id="split whose top is overwritten"),
        pytest.param(DATA + layer("p", "Pooling", "data", "p", "pooling_param { kernel_size: 2 ceil_mode: false }"),
                     id="ceil_mode false"),
        pytest.param(layer("d", "Data", "", "data", 'data_param { source: "lmdb" }') + conv("c", "data", "c", 2),
                     id="data layer of unknown shape"),
        pytest.param(layer("d", "DummyData", "", "data other",
                           "dummy_data_param { shape { dim: 4 dim: 3 dim: 2 dim: 2 } }")
                     + layer("e", "Eltwise", "data other", "e"), id="data layer of two inputs"),
        pytest.param(DATA + layer("bn", "BatchNorm", "data", "scale") + layer("scale", "Scale", "scale", "scale")
                     + layer("e", "Eltwise", "data scale", "e"), id="name for a top that is taken"),
        pytest.param(DATA + QUANTIZED.replace(xilinx("2.5", "6.0", TWO_WEIGHTS),
                     xilinx("2.5", "6.0", TWO_WEIGHTS) + " " + xilinx("2.5", "7.0", TWO_WEIGHTS)),
                     id="two blocks that differ"),
        pytest.param(DATA + QUANTIZED + QUANTIZED.replace('"conv"', '"other"').replace("6.0", "7.0")
                     + layer("e", "Eltwise", "conv other", "e"), id="Eltwise of unlike thresholds"),
        pytest.param(DATA + conv("c", "data", "c", 2) + layer("l", "PReLU", "c", "c"), id="type the board lacks"),
        pytest.param(DATA + layer("e", "ArgMax", "data", "e", "argmax_param { axis: x }"), id="no number"),
        pytest.param(pooled(POOL.replace("MAX", "AVE")), id="ReLU behind average pooling"),
        pytest.param(pooled(POOL, "relu_param { negative_slope: 0.5 }"), id="leaky ReLU"),
        pytest.param(pooled(POOL) + conv("e", "c", "e", 2), id="ReLU behind pooling of what others read"),
        pytest.param(pooled(POOL).replace('top: "p"', 'top: "p" top: "mask"', 1), id="ReLU behind pooling with a mask"),
        pytest.param(pooled("pooling_param { pool: MAX kernel_size: 1 stride: 9 }"),
                     id="ReLU behind pooling of windows without a pixel"),
        pytest.param(DATA + conv("c", "data", "c", 2) + layer("l", "LRN", "data", "l")
                     + layer("j", "Concat", "c l", "j") + layer("relu", "ReLU", "j", "j"),
                     id="ReLU behind Concat of what has none on the board"),
        pytest.param(DATA + conv("c", "data", "c", 2) + conv("d", "data", "d", 3) + layer("j", "Concat", "c d", "j")
                     + layer("relu", "ReLU", "j", "r") + layer("e", "Concat", "j r", "e"),
                     id="ReLU behind Concat that others read"),
        pytest.param("layer { }\nlayers { }\n", id="two generations in one file"),
    ],
)  # fmt: skip
def test_what_is_left_alone(text: str) -> None:
    """Where it is not clear that the numbers stay, or what was meant."""
    done = mended(text)
    assert done.mended == ()
    assert done.subject.source.text == text
    assert done.diff() == ""


def test_nothing_is_touched_where_nothing_is_wrong() -> None:
    text = "# a header that the board takes\ninput: 'data' input_shape { dim: 1 dim: 3 dim: 9 dim: 11 }\n" + QUANTIZED
    assert mended(text).mended == ()


def test_line_ends_and_strange_bytes_stay() -> None:
    text = (data(2, 3, 9, 11) + "# caf\udce9\n" + conv("c", "data", "c", 2)).replace("\n", "\r\n")
    done = mended(text)
    assert done.subject.source.text == text.replace("dim: 2 ", "dim: 1 ")
    assert done.diff().count("\r\n") == done.diff().count("\n") - 3  # the two names and the place


def test_many_at_once_each_named_with_its_line_in_the_file() -> None:
    text = (
        data(4, 3, 9, 11)
        + conv("c", "data", "c", 2)
        + layer("drop", "Dropout", "c", "d")
        + layer("s", "Split", "d", "one two")
        + conv("a", "one", "a", 2)
        + layer("sum", "Eltwise", "a two", "sum", "eltwise_param { coeff: 1 coeff: 1 }")
        + layer("acc", "Accuracy", "sum data", "acc")
    )
    done = mended(text)
    lines = text.splitlines()
    named = {lines[each.line - 1].strip() for each in done.mended}
    assert {
        "input_param { shape { dim: 4 dim: 3 dim: 9 dim: 11 } }",
        "eltwise_param { coeff: 1 coeff: 1 }",
        "layer {",
    } == named
    assert [each.line for each in done.mended] == sorted(each.line for each in done.mended)
    np.testing.assert_array_equal(computed(text), computed(done.subject.source.text))


def test_dynamic_fixed_formats_are_passed_on() -> None:
    block = (
        "precision_param { bw_layer_in: 8 bw_layer_out: 8 bw_params: 8 fl_layer_in: 2 fl_layer_out: -1 fl_params: 5 }"
    )
    pool = layer("p", "Pooling", "conv", "p", "pooling_param { pool: AVE kernel_size: 3 }")
    text = DATA + layer(
        "conv", "Convolution", "data", "conv", f"convolution_param {{ num_output: 2 kernel_size: 3 }}\n{block}"
    )
    done = mended(text + pool).subject.source.text
    assert done == text + pool.removesuffix("}\n") + filled("-1", "DynamicFixed", "fl")


def test_a_version_of_a_blob_is_not_mistaken_for_another() -> None:
    """The threshold of the ReLU's top, not the Convolution's."""
    text = (
        DATA
        + QUANTIZED
        + layer("relu", "ReLU", "conv", "conv", "precision_param { bw_layer_out: 8 th_layer_out: 4.5 }")
        + layer("p", "Pooling", "conv", "p", POOL)
    )
    assert mended(text).subject.source.text.endswith(filled("4.5"))
    assert Value("conv", 2) in {value for each in net_of(text).layers for value in each.bottoms}


def test_a_moved_relu_stands_behind_the_comment_of_the_layer_before() -> None:
    text = pooled(POOL).replace('}\nlayer {\n  name: "p"', '}  # of c\nlayer {\n  name: "p"').replace("\n", "\r\n")
    done = mended(text).subject.source.text
    assert '}  # of c\r\nlayer {\r\n  name: "relu"\r\n' in done
    assert done.count("\r\n") == done.count("\n")
