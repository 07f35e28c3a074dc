"""The text format against protobuf's own parser, the places of errors, and edits that change nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.board import SCHEMAS, compile_schema
from xportdnn import decode
from xportdnn.errors import InputError, PrototxtError
from xportdnn.prototxt import Edit, Field, Message, Scalar, Source, insertion, lines_of, parse, quoted, read, to_bytes


def root(text: str) -> Message:
    return parse(Source("net.prototxt", text)).root


def spelled(message: Message) -> list[Any]:
    """[(name, kind and text of a scalar, or the same for a message)], without places."""
    return [
        (field.name, spelled(field.value) if isinstance(field.value, Message) else (field.value.kind, field.value.text))
        for field in message.fields
    ]


# ---- against protobuf: random networks in random spellings


def _caffe(name: str) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(compile_schema(SCHEMAS / "chai_caffe.proto").SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


NetParameter = _caffe("NetParameter")

# What a layer of the random networks may hold: a field of each sort that the text format knows.
SCHEMA: dict[str, dict[str, str]] = {
    "net": {"name": "str", "force_backward": "bool", "layer": "layer*", "input_shape": "shape*", "input_dim": "int*"},
    "layer": {
        "name": "str", "type": "str", "bottom": "str*", "phase": "TRAIN TEST", "loss_weight": "float*",
        "convolution_param": "conv", "relu_param": "relu", "include": "rule*",
    },
    "conv": {
        "num_output": "uint", "bias_term": "bool", "pad": "uint*", "kernel_h": "uint", "axis": "int",
        "engine": "DEFAULT CAFFE CUDNN",
    },
    "relu": {"negative_slope": "float"},
    "rule": {"phase": "TRAIN TEST", "min_level": "int", "stage": "str*"},
    "shape": {"dim": "int*"},
}  # fmt: skip

Draw = Any  # the function that hypothesis hands to composite strategies
GAP = ("", " ", "\n", "\r\n", "\t", "  \n\n  ", " # a remark { \" ' }\n", "\v", "\f")
SPACE = GAP[1:]


def integer(draw: Draw, least: int) -> str:
    number = draw(st.integers(least, 2**31 - 1))
    sign, size = "-" * (number < 0), abs(number)
    return sign + draw(st.sampled_from([f"{size}", f"0x{size:x}", f"0X{size:X}", f"0{size:o}"]))


def floating(draw: Draw) -> str:
    number = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    spellings = [repr(number), f"{number:.3e}", f"{number:.1f}f", f"{int(number % 1000)}", ".5", "5.", "1e5", "inf"]
    return str(draw(st.sampled_from([*spellings, "-inf", "-.25E-2"])))


def escaped(draw: Draw, content: str) -> str:
    """A literal with every byte raw, as a letter, octal or hexadecimal; perhaps cut into several literals."""
    literals = [""]
    quotes = [draw(st.sampled_from("\"'"))]
    for character in content:
        raw = character not in "\\\"'\n" and draw(st.booleans())
        # three octal digits always: fewer would take a following digit in
        numbers = "".join(f"\\{byte:03o}" for byte in character.encode())
        letters = {"\n": "\\n", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\"}
        literals[-1] += character if raw else draw(st.sampled_from([letters.get(character, numbers), numbers]))
        if draw(st.integers(0, 9)) == 0:
            literals.append("")
            quotes.append(draw(st.sampled_from("\"'")))
    pieces = [f"{quote}{literal}{quote}" for quote, literal in zip(quotes, literals, strict=True)]
    return str(draw(st.sampled_from(GAP))).join(pieces)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=6)


def scalar(draw: Draw, sort: str) -> str:
    if sort == "str":
        return escaped(draw, draw(TEXTS))
    if sort == "bool":
        return str(draw(st.sampled_from(["true", "false", "True", "False", "t", "f", "1", "0"])))
    if sort in ("int", "uint"):
        return integer(draw, 0 if sort == "uint" else -(2**31))
    if sort == "float":
        return floating(draw)
    return str(draw(st.sampled_from(sort.split())))


def one_value(draw: Draw, sort: str, depth: int) -> str:
    if sort not in SCHEMA:
        return scalar(draw, sort)
    opening, closing = draw(st.sampled_from(["{}", "<>"]))
    return f"{opening}{message_text(draw, sort, depth)}{closing}"


def message_text(draw: Draw, kind: str, depth: int = 0) -> str:
    text = str(draw(st.sampled_from(GAP)))
    for name in draw(st.lists(st.sampled_from(sorted(SCHEMA[kind])), max_size=5, unique=depth > 0)):
        sort = SCHEMA[kind][name]
        if depth == 0 and not sort.endswith("*") and re.search(rf"\b{name}\b", text):
            continue
        nested = sort.rstrip("*") in SCHEMA
        colon = "" if nested and draw(st.booleans()) else str(draw(st.sampled_from(GAP))) + ":"
        values = [one_value(draw, sort.rstrip("*"), depth + 1)]
        if sort.endswith("*") and draw(st.booleans()):
            values += [one_value(draw, sort.rstrip("*"), depth + 1) for _ in range(draw(st.integers(0, 2)))]
            values = [f"[{', '.join(values)}]"]
        gap = str(draw(st.sampled_from(GAP)))
        # a name needs something between it and the field after it
        text += name + colon + gap + values[0] + str(draw(st.sampled_from([";", ",", *SPACE]))) + gap
    return text


@st.composite
def networks(draw: Draw) -> str:
    return message_text(draw, "net")


def under_schema(tree: Message, into: Any) -> Any:
    """Our tree as a protobuf message: names and sorts from the schema, values by our readers."""
    for entry in tree.fields:
        field = into.DESCRIPTOR.fields_by_name[entry.name]
        if isinstance(entry.value, Message):
            part = getattr(into, entry.name)
            under_schema(entry.value, part.add() if field.is_repeated else part)
            if not field.is_repeated:
                part.SetInParent()
            continue
        found = _value(field, entry)
        if field.is_repeated:
            getattr(into, entry.name).append(found)
        else:
            setattr(into, entry.name, found)
    return into


def _value(field: Any, entry: Field) -> Any:
    if field.enum_type is not None:
        names = tuple(value.name for value in field.enum_type.values)
        return names.index(decode.as_enum(names, entry.value, entry.name))
    readers = {
        FieldDescriptor.CPPTYPE_STRING: decode.as_text,
        FieldDescriptor.CPPTYPE_BOOL: decode.as_bool,
        FieldDescriptor.CPPTYPE_FLOAT: decode.as_float,
        FieldDescriptor.CPPTYPE_UINT32: decode.as_uint,
    }
    return readers.get(field.cpp_type, decode.as_int)(entry.value, entry.name)


@settings(max_examples=150, deadline=None)
@given(networks())
def test_networks_in_any_spelling_read_as_protobuf_reads_them(text: str) -> None:
    expected = text_format.Parse(text, NetParameter())
    assert under_schema(root(text), NetParameter()) == expected


WORDS = st.sampled_from(
    ["layer", "name", ":", "{", "}", "<", ">", "[", "]", ",", ";", "-", '"a"', "'b'", "1", "0x1f", "1.5f", "true", "\n"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=9))
def test_what_protobuf_refuses_is_refused_and_the_rest_accepted(words: list[str]) -> None:
    text = " ".join(words)
    # Python's parser takes "-" only together with its number; C++'s, which Caffe uses, takes it alone
    joined = text.replace("- ", "-")
    try:
        text_format.Parse(joined, NetParameter(), allow_unknown_field=True)
    except text_format.ParseError as error:
        if "no field named" in str(error) or "Couldn't parse" in str(error) or "multiple" in str(error):
            return  # sorts of values and repetitions are the schema's affair
        with pytest.raises(PrototxtError):
            root(text)
    else:
        root(text)


# ---- forms that protobuf's Python parser does not have or that no schema shows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("# only a remark", [], id="only a comment"),
        pytest.param("\ufeffa: 1", [("a", ("number", "1"))], id="byte order mark"),
        pytest.param("a: - 1", [("a", ("number", "-1"))], id="minus apart from its number"),
        pytest.param("a: - # why\n inf", [("a", ("number", "-inf"))], id="minus apart from inf"),
        pytest.param("a: []", [], id="empty list"),
        pytest.param("a [{} < >]", [("a", []), ("a", [])], id="list of messages without a colon", marks=pytest.mark.xfail(raises=PrototxtError)),
        pytest.param("a [{}, < >]", [("a", []), ("a", [])], id="list of messages without a colon"),
        pytest.param("[other.fork.field]: 5", [("[other.fork.field]", ("number", "5"))], id="extension"),
        pytest.param("[a.b/c.d] { e: 1 }", [("[a.b/c.d]", [("e", ("number", "1"))])], id="extension message"),
        pytest.param("a: TRUE b: x1", [("a", ("name", "TRUE")), ("b", ("name", "x1"))], id="names"),
        pytest.param("a: 1.0f b: 2F", [("a", ("number", "1.0f")), ("b", ("number", "2F"))], id="f behind numbers"),
        pytest.param(r"a: '\x41\101\a\q'", [("a", ("string", "AA\aq"))], id="escapes"),
        pytest.param("a: 'x'# why\r\n\"y\"", [("a", ("string", "xy"))], id="adjacent strings"),
        pytest.param("a{b{}}c<>", [("a", [("b", [])]), ("c", [])], id="no blanks"),
        pytest.param("a: 1;;".removesuffix(";"), [("a", ("number", "1"))], id="semicolon"),
    ],
)
def test_form(text: str, expected: list[Any]) -> None:
    assert spelled(root(text)) == expected
