"""The text format against protobuf's own parser, the places of errors, and edits that change nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.board import SCHEMAS, compile_schema
from xportdnn import decode
from xportdnn.edits import insertion, lines_of
from xportdnn.errors import InputError, PrototxtError
from xportdnn.literals import quoted
from xportdnn.prototxt import Edit, Field, Message, Scalar, Source, parse, read, to_bytes


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
    number: int = draw(st.integers(least, 2**31 - 1))
    sign, size = "-" * (number < 0), abs(number)
    return sign + str(draw(st.sampled_from([f"{size}", f"0x{size:x}", f"0X{size:X}", f"0{size:o}"])))


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


WORDS = st.sampled_from(["aa", "bb", ":", "{", "}", "<", ">", "[", "]", ",", ";", '"c"', "'d'", "true", "\n", "# {\n"])


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=9).map(" ".join))
def test_what_protobuf_refuses_is_refused_and_the_rest_accepted(text: str) -> None:
    # of a field that no schema knows, protobuf cannot tell that it may be a list of messages without a colon
    assume(not re.search(r"\w\s*\[", text))
    try:
        text_format.Parse(text, NetParameter(), allow_unknown_field=True)
    except text_format.ParseError:
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
        pytest.param("a [{}, < >]", [("a", []), ("a", [])], id="list of messages without a colon"),
        pytest.param("[other.fork.field]: 5", [("[other.fork.field]", ("number", "5"))], id="extension"),
        pytest.param("[a.b/c.d] { e: 1 }", [("[a.b/c.d]", [("e", ("number", "1"))])], id="extension message"),
        pytest.param("a: TRUE b: x1", [("a", ("name", "TRUE")), ("b", ("name", "x1"))], id="names"),
        pytest.param("a: 1.0f b: 2F", [("a", ("number", "1.0f")), ("b", ("number", "2F"))], id="f behind numbers"),
        pytest.param(r"a: '\x41\101\a\q'", [("a", ("string", "AA\aq"))], id="escapes"),
        pytest.param("a: 'x'# why\r\n\"y\"", [("a", ("string", "xy"))], id="adjacent strings"),
        pytest.param("a{b{}}c<>", [("a", [("b", [])]), ("c", [])], id="no blanks"),
        pytest.param("a: 1;b: 2,c: 3", [(name, ("number", n)) for name, n in ("a1", "b2", "c3")], id="separators"),
        pytest.param("a: 'x;#}'", [("a", ("string", "x;#}"))], id="marks in a string"),
    ],
)
def test_form(text: str, expected: list[Any]) -> None:
    assert spelled(root(text)) == expected


def test_spans_reach_from_the_name_to_the_separator() -> None:
    text = "  a : [ 1 , 2 ] ;  b { c: 'x' 'y' } "
    first, second, block = root(text).fields
    assert text[first.start : first.end] == text[second.start : second.end] == "a : [ 1 , 2 ] ;"
    assert [text[field.value.start : field.value.end] for field in (first, second)] == ["1", "2"]
    assert isinstance(block.value, Message)
    assert text[block.start : block.end] == "b { c: 'x' 'y' }"
    assert text[block.value.start : block.value.end] == "{ c: 'x' 'y' }"
    (inner,) = block.value.fields
    assert text[inner.value.start : inner.value.end] == "'x' 'y'"


def test_reading_a_message() -> None:
    message = root("a: 1 b {} a: 'two' a {} b { c: 3 }")
    assert message.strings("a") == ["1", "two"]
    assert message.string("a") == "two"
    assert message.string("z", "default") == "default"
    assert [spelled(block) for block in message.messages("b")] == [[], [("c", ("number", "3"))]]
    assert len(message.all("a")) == 3


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8") | st.sampled_from("\udcff\udc80"), max_size=12))
def test_a_quoted_text_reads_back(text: str) -> None:
    assert spelled(root(f"a: {quoted(text)}")) == [("a", ("string", text))]


# ---- errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            'layer {\n  name: "a\n}', r"2:9: expected a value for 'name', found a string that", id="open string"
        ),
        pytest.param("a: 1\nb {\n c: 2\n", r"4:1: .* inside the '{' of line 2; add the missing '}'", id="open brace"),
        pytest.param("b <\n}", r"2:1: expected a field name, found '}'", id="wrong closing mark"),
        pytest.param("b {\n a: 1\n}\n}", r"4:1: .*; one closing brace too many", id="brace too many"),
        pytest.param(
            "a: 1\n// why", r"2:1: expected a field name, found '/'; comments start with '#'", id="comment of C"
        ),
        pytest.param(
            "<!DOCTYPE html>\n<p>", r"1:1: .*; this looks like a web page: download the raw file", id="web page"
        ),
        pytest.param("a\n5", r"2:1: expected ':' or '{' after 'a', found '5'", id="no colon"),
        pytest.param("a [1]", r"1:4: expected '{' in the list of 'a', found '1'", id="list of scalars without a colon"),
        pytest.param("a: [1 2]", r"1:7: expected ',' or '\]' in the list of 'a', found '2'", id="list without comma"),
        pytest.param("a: [1; 2]", r"1:6: expected ',' or '\]' in the list of 'a', found ';'", id="semicolon in a list"),
        pytest.param("a: [1,]", r"1:7: expected a value for 'a', found ']'", id="comma at the end of a list"),
        pytest.param("a: - 'x'", r"1:6: expected a number after '-' for 'a', found ''x''", id="minus before a string"),
        pytest.param("a:\n\n", r"3:1: expected a value for 'a', found the end of the file", id="value missing"),
        pytest.param("a: 1.2.3", r"1:4: expected a value for 'a', found '1.2.3'", id="no number"),
        pytest.param("a: 0x", r"1:4: expected a value for 'a', found '0x'", id="no hexadecimal number"),
        pytest.param("a: 08z", r"1:4: expected a value for 'a', found '08z'", id="letter in a number"),
        pytest.param("[]: 1", r"1:2: expected a field name in '\[\]'", id="empty extension"),
        pytest.param("[-]: 1", r"1:3: expected a field name in '\[-\]'", id="mark for an extension"),
        pytest.param("[a b", r"1:5: expected a field name, found the end of the file", id="open extension"),
        pytest.param("\u00e9: 1", r"1:1: expected a field name, found '\u00e9'", id="letter beyond ASCII"),
        pytest.param("a{" * 5000, r"1:202: blocks are nested more than 100 deep", id="nested without end"),
        pytest.param("a: 1\r\nb: }", r"2:4: expected a value for 'b', found '}'", id="place behind CRLF"),
    ],
)
def test_error(text: str, message: str) -> None:
    with pytest.raises(PrototxtError, match=f"^net.prototxt:{message}") as caught:
        root(text)
    assert "\n" not in str(caught.value)


def test_an_error_in_an_edited_text_names_the_place_in_the_file() -> None:
    source = Source("net.prototxt", "a: 1\nb: 2\nc: }\n")
    edited = source.edited([Edit(0, 4, "x: 1\nx: 2\nx: 3"), Edit(5, 10, "")])
    with pytest.raises(PrototxtError, match=r"^net.prototxt:3:4: "):
        parse(edited)


class TestRead:
    @settings(max_examples=60, deadline=None)
    @given(data=st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"")))
    def test_no_edit_changes_no_byte(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        path = tmp_path_factory.getbasetemp() / "bytes.prototxt"
        path.write_bytes(data)
        source = read(path)
        assert to_bytes(source.text) == data
        assert to_bytes(source.edited([]).text) == data

    def test_a_name_that_is_no_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / "latin1.prototxt"
        path.write_bytes(b'name: "caf\xe9" # \xfc')
        (name,) = parse(read(path)).root.strings("name")
        assert to_bytes(name) == b"caf\xe9"

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(
            InputError, match=r"none\.prototxt: cannot be read: No such file or directory; check the path"
        ):
            read(tmp_path / "none.prototxt")

    def test_a_caffemodel_is_told_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "net.caffemodel"
        path.write_bytes(b"\x0a\x00\x12\x00")
        with pytest.raises(
            PrototxtError, match="binary file, not a prototxt; were --deploy_model and --weights swapped"
        ):
            read(path)


# ---- edits


@st.composite
def edited_texts(draw: Draw) -> tuple[str, list[Edit]]:
    """A text and edits of it in any order that do not overlap."""
    text = draw(st.text("ab\n", max_size=30))
    bounds = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pairs = zip(bounds[::2], bounds[1::2], strict=False)
    edits = [Edit(start, end, draw(st.text("xy\n", max_size=5))) for start, end in pairs]
    return text, draw(st.permutations(edits))


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column by counting."""
    before = text[:offset].split("\n")
    return len(before), len(before[-1]) + 1


@settings(max_examples=200, deadline=None)
@given(edited_texts(), st.randoms(use_true_random=False))
def test_what_no_edit_touches_keeps_its_place(case: tuple[str, list[Edit]], random: Any) -> None:
    text, edits = case
    source = Source("net.prototxt", text)
    edited = source.edited(edits)
    ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
    kept: list[int | None] = []  # for each character of the result, its offset in the text
    at = 0
    for edit in ordered:
        kept += [*range(at, edit.start), *([None] * len(edit.text))]
        at = edit.end
    kept += range(at, len(text))
    assert len(edited.text) == len(kept)
    for offset, origin in enumerate(kept):
        if origin is not None:
            assert edited.text[offset] == text[origin]
            assert edited.position(offset) == place(text, origin)
    # a second round of edits is traced through both
    cut = random.randint(0, len(edited.text))
    twice = edited.edited([Edit(0, cut, "")])
    for offset, origin in enumerate(kept[cut:]):
        if origin is not None:
            assert twice.position(offset) == place(text, origin)


def test_new_text_has_the_place_where_it_was_put() -> None:
    source = Source("net.prototxt", "1\n2\n3\n")
    edited = source.edited([Edit(2, 2, "new\nnew\n"), Edit(4, 5, "three\nfour")])
    assert [edited.line(edited.text.index(word)) for word in ("1", "new", "2", "three", "four")] == [1, 2, 2, 3, 3]
    assert edited.where(edited.text.rindex("new")) == "net.prototxt:2"


def test_overlapping_edits_are_a_fault() -> None:
    with pytest.raises(ValueError, match="overlap at offset 1"):
        Source("net.prototxt", "abc").edited([Edit(0, 2, ""), Edit(1, 3, "")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1\nb: 2\nc: 3\n", "a: 1\nc: 3\n", id="its own line"),
        pytest.param("a: 1\n  b: 2  \nc: 3\n", "a: 1\nc: 3\n", id="blanks around"),
        pytest.param("a: 1\r\n\tb: 2\r\nc: 3\r\n", "a: 1\r\nc: 3\r\n", id="CRLF"),
        pytest.param("a: 1\nb: 2", "a: 1\n", id="no final newline"),
        pytest.param("b: 2\n", "", id="the only line"),
        pytest.param("a: 1  b: 2 c: 3", "a: 1 c: 3", id="in a line"),
        pytest.param("a: 1 b: 2 # why\n", "a: 1 # why\n", id="before a comment"),
        pytest.param("b: 2 # why\n", " # why\n", id="only a comment behind it"),
    ],
)
def test_lines_of(text: str, expected: str) -> None:
    source = Source("net.prototxt", text)
    (field,) = (field for field in parse(source).root.fields if field.name == "b")
    assert source.edited([Edit(*lines_of(source, field.start, field.end), "")]).text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a {\n  b: 1\n}\n", "a {\n  b: 1\n  new {\n  }\n}\n", id="brace on its own line"),
        pytest.param("a {\n\tb: 1\n\t}\n", "a {\n\tb: 1\n\tnew {\n\t}\n\t}\n", id="tabs"),
        pytest.param("a {\r\n b: 1\r\n}", "a {\r\n b: 1\r\n new {\r\n }\r\n}", id="CRLF"),
        pytest.param("a { b: 1 }", "a { b: 1 \n  new {\n  }\n}", id="one line"),
        pytest.param(" a{b: 1}\n", " a{b: 1\n   new {\n   }\n }\n", id="one line, indented"),
        pytest.param("a {\n    b: 1 }", "a {\n    b: 1 \n    new {\n    }\n}", id="brace behind the last field"),
        pytest.param("a { b: 1\n}", "a { b: 1\n  new {\n  }\n}", id="first field behind the brace"),
        pytest.param("a {\n  b: 1\n  # end\n}", "a {\n  b: 1\n  # end\n  new {\n  }\n}", id="comment at the end"),
        pytest.param("a {\n}", "a {\n  new {\n  }\n}", id="empty"),
        pytest.param("a {}", "a {\n  new {\n  }\n}", id="empty on one line"),
        pytest.param("x: 1 a { b: 1 } y: 2", "x: 1 a { b: 1 \n  new {\n  }\n} y: 2", id="among others on one line"),
    ],
)
def test_insertion(text: str, expected: str) -> None:
    source = Source("net.prototxt", text)
    (entry,) = (field for field in parse(source).root.fields if field.name == "a")
    assert source.edited([insertion(source, entry, ["new {", "}"])]).text == expected


@pytest.mark.parametrize(
    ("text", "newline"), [("a: 1\nb: 2", "\n"), ("a: 1\r\nb: 2\n", "\r\n"), ("", "\n")], ids=["LF", "CRLF", "none"]
)
def test_newline(text: str, newline: str) -> None:
    assert Source("net.prototxt", text).newline == newline


def test_scalars_know_their_sort() -> None:
    sorts = [
        field.value.kind for field in root("a: 1 a: -1 a: x a: 'x' a: -inf").fields if isinstance(field.value, Scalar)
    ]
    assert sorts == ["number", "number", "name", "string", "number"]
