"""The text as CHaiDNN's own protobuf parser would take it."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import board
from tests.check import chai_fields
from tests.check.cases import Case
from tests.check.nets import convolution, layer, messages, net, read
from xportdnn.check import Subject, look
from xportdnn.check.fields import schema
from xportdnn.check.rules.schema import RULES
from xportdnn.errors import PrototxtError
from xportdnn.prototxt import Source, parse

BLOCK = "precision_param { bw_layer_in: 8 }"
CASES = {
    "unknown-field": Case(
        failing=net(layer("sum", "ReLU", "precision_param { bwlayer_in: 8 }")),
        passing=net(layer("sum", "ReLU", "precision_param { bw_layer_in: 8 }")),
        says="precision_param has no field bwlayer_in; bw_layer_in?",
        line=2,
    ),
    "repeated-field": Case(
        failing=net(convolution("bias_term: true\n num_output: 5")),
        passing=net(convolution("pad: 1 pad: 1")),
        says="num_output of convolution_param is given twice, first in line 2",
        line=3,
    ),
    "second-precision-block": Case(
        failing=net(convolution().replace("convolution_param", f"{BLOCK}\n{BLOCK} convolution_param")),
        passing=net(convolution().replace("convolution_param", f"{BLOCK} quantization_param {{ }} convolution_param")),
        says="precision_param of a layer is given twice, first in line 2",
        line=3,
    ),
    "wrong-value": Case(
        failing=net(convolution("group: -1")),
        passing=net(convolution("group: 0x1")),
        says="group must not be negative, it is -1",
        line=2,
    ),
}


NAMED = {rule.id: rule for rule in RULES}
SHARED = Path(__file__).parents[3] / "shared"
FILES = sorted(path for folder in ("prototxt_corpus", "models") for path in (SHARED / folder).rglob("*.prototxt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            net(layer("a", "ConvolutionRistretto", "quantization_param { mant_bits: 3 }")),
            "quantization_param has no field mant_bits; it is Ristretto's, convert with --dialect chaidnn",
            id="Ristretto",
        ),
        pytest.param(
            "quantize: true " + net(layer("a", "ReLU", "")),
            "the network has no field quantize; it is caffe-jacinto's, convert with --dialect chaidnn",
            id="caffe-jacinto",
        ),
    ],
)
def test_formats_of_other_programs(text: str, message: str) -> None:
    assert messages(NAMED["unknown-field"], text) == [message]


def refused(text: str) -> bool:
    """Whether the rules of the schema find anything; v1-layers stands for what is inside of `layers`."""
    try:
        subject = Subject(parse(Source("net.prototxt", text)))
    except PrototxtError:
        return True
    return bool(look(subject, RULES)) or bool(subject.document.root.all("layers"))


def board_refuses(text: str) -> bool:
    try:
        board.parse(text)
    except text_format.ParseError:
        return True
    return False


@pytest.mark.parametrize("name", CASES)
def test_protobuf_agrees(name: str) -> None:
    assert board_refuses(CASES[name].failing)
    assert not board_refuses(CASES[name].passing)


def test_the_table_is_that_of_the_schema() -> None:
    assert chai_fields.TABLE.read_text(encoding="utf-8") == chai_fields.table(), "run python -m tests.check.chai_fields"


@pytest.mark.skipif(not FILES, reason="the collection of published networks is not here: prototxt_corpus and models")
def test_published_files_are_judged_as_by_protobuf() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    assert [path.name for path, text in texts.items() if refused(text) != board_refuses(text)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("pooling_parm { }", "a layer has no field pooling_parm; pooling_param?", id="typing error"),
        pytest.param("bn_param { }", "a layer has no field bn_param", id="no far guess"),
        pytest.param("alpha: 1", "a layer has no field alpha; it belongs into lrn_param or elu_param", id="level"),
        pytest.param("engine: CAFFE", "a layer has no field engine", id="too many places"),
        pytest.param(
            "pooling_param { ceil_mode: true }",
            "pooling_param has no field ceil_mode; the board always does what ceil_mode: true says: delete it",
            id="what the board does anyway",
        ),
        pytest.param(
            "pooling_param { round_mode: FLOOR }",
            "pooling_param has no field round_mode; the board always rounds up, round_mode: FLOOR rounds down: choose "
            "kernel and pad so that nothing is left to round, then delete it",
            id="what the board does otherwise",
        ),
        pytest.param("[caffe.more]: 3", "a layer has no field [caffe.more]", id="extension"),
        pytest.param("wrong { wrong { } }", "a layer has no field wrong", id="once for all inside"),
        pytest.param("wrong: 1 wrong: 2", "a layer has no field wrong", id="once for a name"),
    ],
)
def test_unknown_field(text: str, message: str) -> None:
    assert messages(NAMED["unknown-field"], net(layer("a", "ReLU", text))) == [message]


def test_a_layer_that_the_board_skips_is_read_all_the_same() -> None:
    text = net(layer("a", "ReLU", "include { phase: TRAIN } relu6_param { }"))
    (finding,) = look(read(text), RULES)
    assert finding.layer == "a"


@pytest.mark.parametrize(
    ("rule", "text", "message"),
    [
        ("repeated-field", "name: 'a' name: 'b' name: 'c'", "name of the network is given 3 times, first in line 1"),
        ("repeated-field", "name: ['a']", "name of the network takes one value, not a list"),
        ("repeated-field", "name: ['a', # ]\n 'b']", "name of the network takes one value, not a list"),
        ("wrong-value", "name: a", "name must be a quoted string, not a"),
        ("wrong-value", "name { }", "name must be a quoted string, not a { } block"),
        ("wrong-value", "force_backward: 2", "force_backward must be true or false, not 2"),
        ("wrong-value", "input_dim: 1.0", "input_dim must be a whole number, not 1.0"),
        (
            "wrong-value",
            "input_dim: 2147483648",
            "input_dim is 2147483648, outside of int32: -2147483648 to 2147483647",
        ),
        ("wrong-value", "state: 'TEST'", 'state must be a { } block, not "TEST"'),
        ("wrong-value", "state { phase: VAL }", "phase must be one of TRAIN, TEST, not VAL"),
        ("wrong-value", "state { phase: 2 }", "phase must be one of TRAIN, TEST, not 2"),
        ("wrong-value", "state { phase: 'TEST' }", 'phase must be one of TRAIN, TEST, not "TEST"'),
    ],
)
def test_message(rule: str, text: str, message: str) -> None:
    assert messages(NAMED[rule], text) == [message]
    assert board_refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "state { phase: 1 }", "state { phase: 0x1 }", "state: < phase: TEST >", "force_backward: t",
        "input_dim: [1, 2]",
        "input_dim: []", "input_dim: -010", "name: 'a' 'b';", "layer { loss_weight: -inf loss_weight: 1.5f }",
        "layer: [{ name: 'a' }, { name: 'b' }]", "layer { include [{ phase: TEST }, { }] }",
    ],
)  # fmt: skip
def test_other_spellings_pass(text: str) -> None:
    assert not refused(text)
    assert not board_refuses(text)


def test_a_solver_is_one_finding() -> None:
    assert messages(NAMED["unknown-field"], "net: 'a.prototxt' base_lr: 0.1") == [
        "net is a field of a solver prototxt, this is not a network"
    ]


# Hexadecimal floats are left out: protobuf took them in CHaiDNN's day and does no more.
HEXADECIMAL = "0x10"
LITERALS = [
    "1", "-1", "0", "3", "2.5", "-2.5e3", "1f", "inf", "-nan", "true", "f", "True", "MAX", "TEST", "LMDB", "a", '"a"',
     "'TEST'", HEXADECIMAL, "4294967295", "4294967296", "-2147483649", "9223372036854775808",
]  # fmt: skip


@st.composite
def fields(draw: st.DrawFn, kind: str, depth: int = 3) -> str:
    """The fields of a message: mostly known ones, mostly with values of their type."""
    known = schema().messages[kind]
    names = st.sampled_from([name for name in known if name != "layers"] or ["none"])
    texts = []
    for name in draw(st.lists(names, max_size=4)):
        inner = known[name].name if name in known else ""
        if draw(st.integers(0, 19)) == 0:
            texts.append(f"{name}x: 1")
        elif inner in schema().messages and depth and draw(st.integers(0, 9)):
            texts.append(f"{name} {{ {draw(fields(inner, depth - 1))} }}")
        elif inner in schema().enums and draw(st.booleans()):
            texts.append(f"{name}: {draw(st.sampled_from(list(schema().enums[inner])))}")
        else:
            literals = [text for text in LITERALS if inner != "float" or text != HEXADECIMAL]
            value = draw(st.sampled_from(literals))
            texts.append(f"{name}: [{value}]" if draw(st.integers(0, 9)) == 0 else f"{name}: {value}")
    return " ".join(texts)


@settings(max_examples=400)
@given(fields("NetParameter"))
@example("layer { convolution_param { num_output: 3 num_output: 3 } }")
def test_judges_as_protobuf_does(text: str) -> None:
    assert refused(text) == board_refuses(text)
