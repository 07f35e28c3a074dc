"""Values of the text as the numbers, names and nested messages that a layer declares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from xportdnn import decode
from xportdnn.decode import Uint
from xportdnn.errors import LayerError
from xportdnn.prototxt import Message, Scalar, Source, parse


def block(text: str) -> Message:
    return parse(Source("net.prototxt", text)).root


def written(text: str) -> Scalar | Message:
    """The value of a field with this text behind its colon."""
    (found,) = block(f"x: {text}").all("x")
    return found


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("12", 12), ("-12", -12), ("0x1F", 31), ("-0X1f", -31), ("017", 15), ("-07", -7), ("- 3", -3)],
)
def test_as_int(text: str, number: int) -> None:
    assert decode.as_int(written(text), "x") == number


@pytest.mark.parametrize("text", ["1.0", "1e3", "08", "'1'", "one", "inf", "{}"])
def test_what_is_no_int(text: str) -> None:
    with pytest.raises(LayerError, match="x must be a whole number, not "):
        decode.as_int(written(text), "x")


def test_as_uint_refuses_a_minus_sign() -> None:
    assert decode.as_uint(written("0x10"), "x") == 16
    with pytest.raises(LayerError, match="x must not be negative, it is -1"):
        decode.as_uint(written("-1"), "x")
    with pytest.raises(LayerError, match="x must not be negative, it is 0"):
        decode.as_uint(written("-0"), "x")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0), ("-1.5", -1.5), (".5", 0.5), ("5.", 5.0), ("1e-3", 1e-3), ("2E+2", 200.0), ("1.5f", 1.5),
        ("-2F", -2.0), ("0x10", 16.0), ("-010", -8.0), ("0", 0.0), ("09.5", 9.5), ("inf", math.inf),
        ("-Infinity", -math.inf), ("INF", math.inf),
    ],
)  # fmt: skip
def test_as_float(text: str, number: float) -> None:
    assert decode.as_float(written(text), "x") == number


@pytest.mark.parametrize("text", ["nan", "-nan", "NaN"])
def test_as_float_of_nan(text: str) -> None:
    assert math.isnan(decode.as_float(written(text), "x"))


@pytest.mark.parametrize("text", ["'1.5'", "'inf'", "one", "{ }"])
def test_what_is_no_float(text: str) -> None:
    with pytest.raises(LayerError, match="x must be a number, not "):
        decode.as_float(written(text), "x")


@pytest.mark.parametrize(
    ("text", "truth"), [(text, True) for text in ("true", "True", "t", "1")] + [(t, False) for t in ("false", "f", "0")]
)
def test_as_bool(text: str, truth: bool) -> None:
    assert decode.as_bool(written(text), "x") is truth


@pytest.mark.parametrize("text", ["'true'", "TRUE", "yes", "2", "-1", "{}"])
def test_what_is_no_bool(text: str) -> None:
    with pytest.raises(LayerError, match="x must be true or false, not "):
        decode.as_bool(written(text), "x")


def test_as_text() -> None:
    assert decode.as_text(written("'MAX'"), "x") == "MAX"
    with pytest.raises(LayerError, match="x must be a quoted string, not MAX"):
        decode.as_text(written("MAX"), "x")


@pytest.mark.parametrize(("text", "name"), [("AVE", "AVE"), ("0", "MAX"), ("1", "AVE")])
def test_as_enum(text: str, name: str) -> None:
    assert decode.as_enum(("MAX", "AVE"), written(text), "x") == name


@pytest.mark.parametrize(
    ("text", "shown"), [("'AVE'", '"AVE"'), ("ave", "ave"), ("2", "2"), ("-1", "-1"), ("{}", "a { } block")]
)
def test_what_is_none_of_the_names(text: str, shown: str) -> None:
    with pytest.raises(LayerError, match=f"^x must be one of MAX, AVE, not {shown}$"):
        decode.as_enum(("MAX", "AVE"), written(text), "x")


@dataclass(frozen=True)
class Filler:
    type: str = "constant"
    value: float = 0.0


FILLER = decode.message(Filler)


@dataclass(frozen=True)
class Params:
    """A field of every sort that the layers use."""

    num_output: Uint = 0
    axis: int = 1
    scale: float = 2.5
    bias_term: bool = True
    name: str = ""
    kernel_h: Uint | None = None
    across: bool | None = None
    pad: tuple[Uint, ...] = ()
    coeff: tuple[float, ...] = ()
    pool: str = decode.enum("MAX", "AVE")
    operation: str = decode.enum("PROD", "SUM", default="SUM")
    filler: Filler | None = FILLER
    fillers: tuple[Filler, ...] = decode.messages(Filler)
    tops: int = decode.count_of("top")

    IGNORED = ("engine",)


def decoded(text: str, layer: str = "") -> Params:
    return decode.decode(block(text), Params, block(layer))


def test_without_a_block_all_fields_have_their_defaults() -> None:
    assert decode.decode(None, Params) == Params(tops=0)
    assert decoded("") == Params(tops=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("num_output: 3 axis: -1", {"num_output": 3, "axis": -1}, id="integers"),
        pytest.param("scale: 1", {"scale": 1.0}, id="float"),
        pytest.param("bias_term: f name: 'x'", {"bias_term": False, "name": "x"}, id="bool and string"),
        pytest.param("kernel_h: 0 across: false", {"kernel_h": 0, "across": False}, id="given, not absent"),
        pytest.param("pad: 1 coeff: 2 pad: 3", {"pad": (1, 3), "coeff": (2.0,)}, id="repeated"),
        pytest.param("pad: [1, 2] pad: 3", {"pad": (1, 2, 3)}, id="list"),
        pytest.param("pool: AVE operation: 0", {"pool": "AVE", "operation": "PROD"}, id="enums"),
        pytest.param("filler { value: 2 }", {"filler": Filler(value=2.0)}, id="message"),
        pytest.param("fillers {} fillers { type: 'x' }", {"fillers": (Filler(), Filler("x"))}, id="messages"),
        pytest.param("engine: CUDNN unheard_of { a: 1 }", {}, id="names it does not know"),
    ],
)
def test_decode(text: str, expected: dict[str, Any]) -> None:
    assert decoded(text) == Params(**expected, tops=0)


def test_fields_of_the_layer_are_counted() -> None:
    assert decoded("", "top: 'a' top: 'b' bottom: 'c'").tops == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("axis: 1 axis: 1", "axis is given more than once", id="scalar twice"),
        pytest.param("axis: [1, 2]", "axis is given more than once", id="scalar as a list"),
        pytest.param("filler {} filler {}", "filler is given more than once", id="message twice"),
        pytest.param("num_output: -1", "num_output must not be negative", id="negative"),
        pytest.param("pad: 1 pad: 2.5", "pad must be a whole number, not 2.5", id="one of several"),
        pytest.param("axis { }", "axis must be a whole number, not a { } block", id="block for a number"),
        pytest.param("filler: 3", "filler must be a { } block, not 3", id="number for a block"),
        pytest.param("filler { value: x }", "value must be a number, not x", id="inside a message"),
    ],
)
def test_error(text: str, message: str) -> None:
    with pytest.raises(LayerError, match=f"^{message}"):
        decoded(text)


def test_unknown_fields() -> None:
    text = "axis: 1 engine: CUDNN kernal_size: 3 filler {} dialect {} kernal_size: 3"
    assert decode.unknown_fields(block(text), Params) == ["kernal_size", "dialect", "kernal_size"]
