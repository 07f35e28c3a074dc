"""Blocks in the user's text: nothing else changes, wherever braces and comments stand; a second run changes nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_nets import by_name, data, layer, net_of
from xportdnn.blocks import Rewritten, block_lines, number, rewrite
from xportdnn.choices import DEFAULT_FRACTION, Matrix, Mode, ScaleClasses, Triple
from xportdnn.network import Net
from xportdnn.plan import Block, Thresholds, dynamic_fixed, xilinx

WIDTHS = Triple(8, 6, 8)
BLOCK = re.compile(r"precision_param \{[^{}]*\}")


def blocks_of(net: Net, mode: Mode) -> tuple[Block, ...]:
    """The blocks of one mode, with a threshold of 1.5 for every value and channel."""
    if mode is Mode.DYNAMIC_FIXED:
        return dynamic_fixed(net, WIDTHS, DEFAULT_FRACTION, Matrix.GUIDE)
    values = {value: 1.5 for each in net.layers for value in each.tops}
    params = {each.index: (1.5, 2.5) for each in net.layers}
    return xilinx(net, WIDTHS, Thresholds(values, params), Matrix.GUIDE, ScaleClasses.BOARD)[0]


def quantized(text: str, mode: Mode = Mode.DYNAMIC_FIXED) -> Rewritten:
    net = net_of(text)
    return rewrite(net, blocks_of(net, mode), dict.fromkeys(net.inputs, (1, 3, 5, 7)))


def assert_only_blocks_added(before: str, after: str, count: int) -> None:
    """`after` is `before` with `count` insertions, each a block with blanks and line ends around it."""
    at = end = 0
    found = list(BLOCK.finditer(after))
    assert len(found) == count
    for match in found:
        head = after[end : match.start()]
        shared = next((i for i, (a, b) in enumerate(zip(head, before[at:], strict=False)) if a != b), len(head))
        assert not head[shared:].strip(), f"new text before a block: {head[shared:]!r}"
        at += shared
        # what the insertion split: blanks of the input may stand behind the block now
        behind = re.compile(r"\s*").match(after, match.end())
        assert behind is not None
        blanks = re.compile(r"\s*").match(before, at)
        assert blanks is not None
        assert behind[0].endswith(blanks[0]), "blanks of the input are lost"
        at, end = blanks.end(), behind.end()
    assert before[at:] == after[end:]


# ---- random networks in random layouts

Draw = Any
TYPES = [
    ("Convolution", "convolution_param { num_output: 2 kernel_size: 1 }"),
    ("ReLU", ""),
    ("Pooling", "pooling_param {pool: MAX}"),
    ("Pooling", "pooling_param {\n pool : AVE # why not\n}"),
    ("Dropout", "dropout_param < dropout_ratio: 0.5 >"),
    ("Eltwise", ""),
    ("Concat", 'bottom: "data"'),
    ("BatchNorm", "unheard_of_param { a: [1, 2] }"),
    ("Scale", "scale_param: { bias_term: true }"),
    ("MyLayer", 'my_param { text: "{ # }" }'),
]


@st.composite
def one_layer(draw: Draw, index: int) -> str:
    """A layer that reads the one before it, laid out by chance."""
    kind, body = draw(st.sampled_from(TYPES))
    bottom = "data" if index == 0 else f"top{index - 1}"
    fields = [f'name: "layer{index}"', f'type: "{kind}"', f'bottom: "{bottom}"', f'top: "top{index}"']
    if kind == "Eltwise":
        fields.append('bottom: "data"')
    fields = draw(st.permutations([*fields, body]) if body else st.permutations(fields))
    opening, closing = draw(st.sampled_from([("{", "}"), ("<", ">")]))
    colon = draw(st.sampled_from(["", ":", " : ", " "]))
    indent = draw(st.sampled_from(["", "  ", "\t", "      "]))
    between = draw(st.sampled_from(["\n" + indent, " ", "\n\n" + indent, f" # a remark }}\n{indent}", ";\n" + indent]))
    first = draw(st.sampled_from(["", " ", "\n" + indent, f" # first {{\n{indent}"]))
    last = draw(st.sampled_from(["", " ", "\n", "\n" + indent, " # last }\n", "\n# end\n", "  \n\n"]))
    outer = draw(st.sampled_from(["", "  "]))
    return f"{outer}layer{colon}{opening}{first}{between.join(fields)}{last}{closing}"


@st.composite
def texts(draw: Draw) -> str:
    count = draw(st.integers(1, 4))
    head = draw(st.sampled_from(["", 'name: "net"\n', "# a remark\n", "\ufeff"]))
    shape = draw(st.sampled_from(["dim: [1, 3, 5, 7]", "dim: 1 dim: 3 dim: 5 dim: 7"]))
    source = f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape: {{ {shape} }} }} }}'
    layers = [source, *(draw(one_layer(index)) for index in range(count))]
    gap = draw(st.sampled_from(["\n", "\n\n", " ", "\n# between\n"]))
    text = head + gap.join(layers) + draw(st.sampled_from(["", "\n", "  \n\n", " # the end"]))
    return str(text.replace("\n", "\r\n") if draw(st.booleans()) else text)


MODES = st.sampled_from(list(Mode))


@settings(max_examples=100, deadline=None)
@given(texts(), MODES)
def test_taking_the_blocks_out_gives_the_input_back(text: str, mode: Mode) -> None:
    net = net_of(text)
    blocks = blocks_of(net, mode)
    result = rewrite(net, blocks, {})
    assert result.notes == ()
    assert_only_blocks_added(text, result.text, len(blocks))
    assert "\n" not in result.text.replace("\r\n", "") or "\r\n" not in text


@settings(max_examples=40, deadline=None)
@given(texts(), MODES)
def test_every_block_is_the_last_field_of_its_layer_and_says_what_was_planned(text: str, mode: Mode) -> None:
    net = net_of(text)
    planned = {block.layer.name: list(block_lines(block.fields)) for block in blocks_of(net, mode)}
    written = net_of(rewrite(net, blocks_of(net, mode), {}).text)
    for each in written.layers:
        blocks = [field for field in each.message.fields if field.name == "precision_param"]
        assert len(blocks) == (each.name in planned)
        if blocks:
            assert each.message.fields[-1] is blocks[0]
            lines = written.source.text[blocks[0].start : blocks[0].end].splitlines()
            indent = len(lines[-1]) - 1
            assert [lines[0], *(line[indent:] for line in lines[1:])] == planned[each.name]


@settings(max_examples=40, deadline=None)
@given(texts(), MODES)
def test_a_second_run_replaces_the_blocks_by_themselves(text: str, mode: Mode) -> None:
    once = quantized(text, mode).text
    again = quantized(once, mode)
    assert again.text == once
    count = len(BLOCK.findall(once))
    note = f"net.prototxt: formats that were there before are replaced, {count} in all"
    assert again.notes == (note,) * (count > 0)


@settings(max_examples=40, deadline=None)
@given(texts(), MODES, MODES)
def test_what_mode_was_there_before_does_not_matter(text: str, before: Mode, mode: Mode) -> None:
    fresh, replaced = quantized(text, mode).text, quantized(quantized(text, before).text, mode).text
    # a brace at the end of a line keeps the line that the old block gave it
    assert re.sub(r"\s+", "", replaced) == re.sub(r"\s+", "", fresh)


# ---- layouts by example


ONE_LINE = 'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
FORMATS = """precision_param {
    bw_layer_in: 8
    bw_layer_out: 8
    fl_layer_in: 2
    fl_layer_out: 2
    quant_type: "DynamicFixed"
  }"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            data(1, 3, 5, 7) + 'layer {\n  name: "p"\n  type: "Pooling"\n  bottom: "data"\n  top: "p"\n}\n',
            data(1, 3, 5, 7)
            + f'layer {{\n  name: "p"\n  type: "Pooling"\n  bottom: "data"\n  top: "p"\n  {FORMATS}\n}}\n',
            id="as everybody writes",
        ),
        pytest.param(
            data(1, 3, 5, 7) + 'layer { name: "p" type: "Pooling" bottom: "data" top: "p" }',
            data(1, 3, 5, 7) + f'layer {{ name: "p" type: "Pooling" bottom: "data" top: "p" \n  {FORMATS}\n}}',
            id="one line, no final newline",
        ),
        pytest.param(
            data(1, 3, 5, 7)
            + 'layer {\n  name: "p" type: "Pooling" bottom: "data" top: "p"\n  precision_param { bw_layer_in: 3 }\n'
            + "  pooling_param { pool: AVE }\n  precision_param <\n  >\n}\n",
            data(1, 3, 5, 7)
            + 'layer {\n  name: "p" type: "Pooling" bottom: "data" top: "p"\n  pooling_param { pool: AVE }\n'
            + f"  {FORMATS}\n}}\n",
            id="two old blocks",
        ),
        pytest.param(
            data(1, 3, 5, 7)
            + 'layer { name: "p" type: "Pooling" bottom: "data" top: "p" precision_param { bw_layer_in: 3 } }\n',
            data(1, 3, 5, 7) + f'layer {{ name: "p" type: "Pooling" bottom: "data" top: "p" \n  {FORMATS}\n}}\n',
            id="an old block in the line",
        ),
    ],
)
def test_layout(before: str, after: str) -> None:
    assert quantized(before).text == after


@pytest.mark.parametrize("block", ["precision_param", "quantization_param"])
def test_old_blocks_go_even_where_no_new_ones_come(block: str) -> None:
    text = data(1, 3, 5, 7) + layer("act", "ReLU", "data", "act", f"{block} {{ bw_layer_in: 3 }}")
    result = quantized(text)
    assert result.text == data(1, 3, 5, 7) + layer("act", "ReLU", "data", "act")
    assert result.notes == ("net.prototxt: formats that were there before are replaced, 1 in all",)


# ---- input layers


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param("dim: 10 dim: 3 dim: 5 dim: 7", "dim: 1 dim: 3 dim: 5 dim: 7", id="batch of 10"),
        pytest.param("dim: [0x10, 3, 5, 7]", "dim: [1, 3, 5, 7]", id="list"),
        pytest.param("dim: 10 # many\n dim: [3, 5]; dim: 7", "dim: 1 # many\n dim: [3, 5]; dim: 7", id="comments stay"),
    ],
)
def test_the_batch_becomes_1(shape: str, expected: str) -> None:
    text = '# above\nlayer { name: "in" type: "Input" top: "data" input_param { shape: { SHAPE } } }\n' + ONE_LINE
    result = quantized(text.replace("SHAPE", shape))
    assert result.text == text.replace("SHAPE", expected)
    assert result.notes == ("net.prototxt:2: the batch of input 'in' is now 1",)


@pytest.mark.parametrize("shape", ["dim: 1 dim: 3 dim: 5 dim: 7", "dim: 10 dim: 3", "dim: 10"])
def test_other_batches_stay(shape: str) -> None:
    text = f'layer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }}\n{ONE_LINE}'
    assert (quantized(text).text, quantized(text).notes) == (text, ())


def test_an_input_without_a_shape_gets_the_one_of_the_calibration() -> None:
    result = quantized(layer("in", "Input", "", "data") + ONE_LINE)
    dims = "".join(f"      dim: {dim}\n" for dim in (1, 3, 5, 7))
    shape = f"  input_param {{\n    shape {{\n{dims}    }}\n  }}\n"
    assert result.text == layer("in", "Input", "", "data")[:-2] + shape + "}\n" + ONE_LINE
    (note,) = result.notes
    assert note == 'layer "in" (Input, net.prototxt:1): has no shape; the one of the calibration is written'


def test_a_data_layer_becomes_an_input_layer() -> None:
    text = 'layer {\n  name: "mem" type: "MemoryData"\n  top: "data" top: "label"\n  memory_data_param { width: 9 } }\n'
    result = quantized(text + ONE_LINE, Mode.XILINX)
    (written, _) = net_of(result.text).layers
    assert (written.name, written.type) == ("mem", "Input")
    assert [field.name for field in written.message.fields] == ["name", "type", "top", "input_param", "precision_param"]
    assert net_of(result.text).declared == {written.tops[0]: (1, 3, 5, 7)}
    assert result.notes == (
        'layer "mem" (MemoryData, net.prototxt:1): is now an Input layer; the board reads no data files',
    )


def test_an_old_block_of_a_data_layer_goes_with_it() -> None:
    text = layer("mem", "Data", "", "data", "precision_param { bw_layer_out: 3 }") + ONE_LINE
    assert len(BLOCK.findall(quantized(text, Mode.XILINX).text)) == 2
    assert "bw_layer_out: 3" not in quantized(text, Mode.XILINX).text


# ---- older generations: everything in one go


def test_a_legacy_header() -> None:
    result = quantized('input: "data"\ninput_dim: [4, 3, 5, 7]\n' + ONE_LINE, Mode.XILINX).text
    written = net_of(result)
    assert written.declared == {written.inputs[0]: (1, 3, 5, 7)}
    assert [len(BLOCK.findall(result)), result.count("input_dim")] == [2, 0]
    assert result.endswith("\n}")


def test_v1_layers() -> None:
    text = (
        'input: "data"\ninput_shape { dim: [1, 3, 5, 7] }\n'
        'layers {  # first\n  name: "c"\n  type: CONVOLUTION\n  bottom: "data"\n  top: "c"\n  blobs_lr: 1\n'
        "  convolution_param { num_output: 2 kernel_size: 1 }\n}\n"
    )
    result = quantized(text).text
    assert "layer {  # first\n" in result
    (found,) = BLOCK.findall(result)
    assert by_name(net_of(result), "c").message.fields[-1].name == "precision_param"
    assert "fl_params: 5" in found


def test_v0_layers() -> None:
    text = (
        'input: "data"\ninput_dim: [1, 3, 5, 7]\n'
        'layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "padded" }\n'
        'layers { layer { name: "c" type: "conv" num_output: 2 kernelsize: 3 } bottom: "padded" top: "c" }\n'
    )
    written = net_of(quantized(text, Mode.XILINX).text)
    assert [each.type for each in written.layers] == ["Input", "Convolution"]
    assert all(each.message.fields[-1].name == "precision_param" for each in written.layers)


# ---- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6, "6"), (-3, "-3"), (0.0, "0.0"), (226.0, "226.0"), (0.1, "0.1"), (1e-7, "1e-07"), (1e12, "1e+12"),
        (123456789012.0, "123456789012.0"), (1234567890123.0, "1.23456789012e+12"), (2.0**-126, "1.17549435082e-38"),
        # as the original printed its floats (fcn5_deploy_666.prototxt)
        (float(np.float32(148.765808)), "148.765808105"), (float(np.float32(14.9543486)), "14.9543485641"),
        (float(np.float32(225.512802)), "225.512802124"), (float(np.float32(16.2352829)), "16.2352828979"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_reads_back_exactly(value: float) -> None:
    assert np.float32(number(value)) == np.float32(value)


def test_block_lines() -> None:
    fields = (("bw_params", 6), ("th_params", (0.5, 2.0)), ("th_layer_in", 1.25), ("quant_type", 'a"b'))
    assert list(block_lines(fields)) == [
        "precision_param {",
        "  bw_params: 6",
        "  th_params: 0.5",
        "  th_params: 2.0",
        "  th_layer_in: 1.25",
        '  quant_type: "a\\"b"',
        "}",
    ]
