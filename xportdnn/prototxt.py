"""Protobuf text format to a tree that knows where everything stands, and edits back to text.

The grammar is that of protobuf's own parser as Caffe uses it: `#` comments, `{}` or `<>` around messages, `:`
optional before them, `;` or `,` between fields, `[a, b]` lists, adjacent strings, hexadecimal and octal integers,
`1.0f`. No schema is needed, so unknown fields and other forks' layers survive. Nothing is ever printed again: a
changed file is the old text with `Edit`s applied (see `edits`), hence every byte that nobody edits stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from xportdnn import files
from xportdnn.errors import InputError, PrototxtError
from xportdnn.lines import Edit, Source
from xportdnn.literals import unescaped

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Document", "Edit", "Field", "Message", "Scalar", "Source", "Value", "decoded", "parse", "read", "to_bytes"]


class Scalar(NamedTuple):
    """A number, name or string as written; `text` is the unescaped content of a string."""

    kind: str  # "number", "name" or "string"
    text: str
    start: int
    end: int


class Message(NamedTuple):
    """The fields between `start` (the opening brace) and `end` (just after the closing one)."""

    fields: tuple[Field, ...]
    start: int
    end: int

    def all(self, name: str) -> list[Value]:
        """Every value of the repeated field `name`."""
        return [entry.value for entry in self.fields if entry.name == name]

    def messages(self, name: str) -> list[Message]:
        """Every message-valued entry of `name`."""
        return [value for value in self.all(name) if isinstance(value, Message)]

    def strings(self, name: str) -> list[str]:
        """The text of every scalar entry of `name`."""
        return [value.text for value in self.all(name) if isinstance(value, Scalar)]

    def string(self, name: str, default: str = "") -> str:
        """The last scalar entry of `name` as text."""
        found = self.strings(name)
        return found[-1] if found else default


Value: TypeAlias = Union[Scalar, Message]


class Field(NamedTuple):
    """`name: value`, from the first letter of the name to the end of the value and the separator behind it.

    The entries of a list `[a, b]` become fields of their own that share the span of the whole list.
    """

    name: str
    value: Value
    start: int
    end: int


class Document(NamedTuple):
    """A parsed file."""

    source: Source
    root: Message


def read(path: str | Path) -> Source:
    """The text of a file, byte for byte: bytes that are not UTF-8 come back unchanged on writing.

    Raises:
        InputError: the file cannot be read or is binary.
    """
    try:
        data = files.read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    return decoded(str(path), data)


def decoded(name: str, data: bytes) -> Source:
    """The text of bytes that come from anywhere.

    Raises:
        PrototxtError: they are binary.
    """
    if b"\0" in data[:4096]:
        raise PrototxtError(
            f"{name}: this is a binary file, not a prototxt; were --deploy_model and --weights swapped?"
        )
    return Source(name, data.decode("utf-8", "surrogateescape"))


def to_bytes(text: str) -> bytes:
    """The inverse of what `read` does to the bytes."""
    return text.encode("utf-8", "surrogateescape")


_TOKEN = re.compile(
    r"""(?:[\s\ufeff]+|\#[^\n]*)*(?:
    (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?))(?![A-Za-z0-9_.])
  | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
  | (?P<mark>[{}<>\[\]:;,\-])
  | (?P<end>\Z)
  | (?P<wrong>\d[\w.]*|.)
)""",
    re.VERBOSE | re.DOTALL,
)
# What nearly every line of a network is: a field with one plain value and no separator behind it, the head of a
# message, or the end of one. Nothing is refused here; all else goes through the tokens.
_PLAIN = re.compile(
    r"""[\s\ufeff]*(?:(?P<field>[A-Za-z_][A-Za-z0-9_]*)\s*(?:
    :\s*(?:
        (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![A-Za-z0-9_.])
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)(?![A-Za-z0-9_])
      | (?P<string>"[^"\\\n]*"|'[^'\\\n]*')
    )(?=\s*(?:[A-Za-z_}]|\Z))
  | :?\s*(?P<open>\{)
) | (?P<close>\}))""",
    re.VERBOSE,
)
# a comment up to its end, so that no comma inside one counts; one blank at a time, so that nothing is tried twice
_SEPARATOR = re.compile(r"(?:[\s\ufeff]|#[^\n]*\n)*[;,]")
_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 100  # networks nest 4 deep; what goes on and on is damaged


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def parse(source: Source) -> Document:
    """The tree of a prototxt.

    Raises:
        PrototxtError: with file, line and column of the first offence.
    """
    return Document(source, _Parser(source).document())


class _Parser:
    """Recursive descent over the text: plain lines in one step, others by their tokens, one token ahead.

    Attributes:
        at: where what is not taken yet begins: the end of what was taken last.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.depth = 0
        self.at = 0
        self.ahead: _Token | None = None
        self.taken = self.next

    @property
    def next(self) -> _Token:
        if self.ahead is None:
            match = _TOKEN.match(self.text, self.at)
            assert match is not None
            kind = match.lastgroup or "end"
            self.ahead = _Token(kind, match[kind], *match.span(kind))
        return self.ahead

    def fail(self, token: _Token, problem: str) -> PrototxtError:
        line, column = self.source.position(token.start)
        return PrototxtError(f"{self.source.name}:{line}:{column}: {problem}")

    def take(self) -> _Token:
        token = self.taken = self.next
        if token.kind != "end":
            self.move(token.end)
        return token

    def move(self, at: int) -> None:
        self.at, self.ahead = at, None

    def skip(self, *marks: str) -> bool:
        if self.next.kind == "mark" and self.next.text in marks:
            self.take()
            return True
        return False

    def document(self) -> Message:
        fields = self.fields("")
        return Message(fields, 0, len(self.source.text))

    def fields(self, closing: str, opened: _Token | None = None) -> tuple[Field, ...]:
        fields: list[Field] = []
        text, plain = self.text, _PLAIN.match
        while True:
            match = plain(text, self.at)
            kind = match.lastgroup if match is not None else None
            if match is not None and kind in ("number", "name", "string"):
                start, end = match.span(kind)
                self.move(end)
                value = text[start + 1 : end - 1] if kind == "string" else text[start:end]
                fields.append(Field(match["field"], Scalar(kind, value, start, end), match.start("field"), end))
                continue
            if match is not None and kind == "open":
                self.move(match.start(kind))
                message = self.message()
                self.separate()
                fields.append(Field(match["field"], message, match.start("field"), self.at))
                continue
            if match is not None and kind == "close" and closing == "}":
                self.move(match.end())
                return tuple(fields)
            token = self.take()
            if token.kind == "end":
                if opened is None:
                    return tuple(fields)
                line = self.source.line(opened.start)
                problem = f"the file ends inside the '{opened.text}' of line {line}; add the missing '{closing}'"
                raise self.fail(token, problem)
            if token.kind == "mark" and token.text == closing:
                return tuple(fields)
            name, values = self.field(token)
            self.separate()
            fields += [Field(name, value, token.start, self.at) for value in values]

    def separate(self) -> None:
        if match := _SEPARATOR.match(self.text, self.at):
            self.move(match.end())

    def field(self, token: _Token) -> tuple[str, list[Value]]:
        name = token.text
        if token.kind == "mark" and name == "[":
            name = self.extension()
        elif token.kind != "name":
            raise self.fail(token, f"expected a field name, found {_show(token)}{_hint(token, self.source.text)}")
        colon = self.skip(":")
        if self.opens():
            return name, [self.message()]
        if self.skip("["):
            return name, self.listed(name, colon)
        if not colon:
            raise self.fail(self.next, f"expected ':' or '{{' after '{name}', found {_show(self.next)}")
        return name, [self.scalar(name)]

    def listed(self, name: str, scalars: bool) -> list[Value]:
        """The rest of a list after its '['; scalars only where a colon stood before it."""
        values: list[Value] = []
        if self.skip("]"):
            return values
        while True:
            if not scalars and not self.opens():
                raise self.fail(self.next, f"expected '{{' in the list of '{name}', found {_show(self.next)}")
            values.append(self.message() if self.opens() else self.scalar(name))
            if self.skip("]"):
                return values
            if not self.skip(","):
                raise self.fail(self.next, f"expected ',' or ']' in the list of '{name}', found {_show(self.next)}")

    def extension(self) -> str:
        """`[package.name]`, an extension field."""
        parts: list[str] = []
        while not self.skip("]"):
            part = self.take()
            if part.kind == "end" or (part.kind == "wrong" and part.text not in "./"):
                raise self.fail(part, f"expected a field name, found {_show(part)}")
            parts.append(part.text)
        name = "".join(parts)
        if not re.fullmatch(r"[A-Za-z_][\w./-]*", name):
            raise self.fail(self.taken, f"expected a field name in '[{name}]'")
        return f"[{name}]"

    def opens(self) -> bool:
        return self.next.kind == "mark" and self.next.text in _CLOSING

    def message(self) -> Message:
        opened = self.take()
        if self.depth == _DEEPEST:
            raise self.fail(opened, f"blocks are nested more than {_DEEPEST} deep; this is no network")
        self.depth += 1
        fields = self.fields(_CLOSING[opened.text], opened)
        self.depth -= 1
        return Message(fields, opened.start, self.at)

    def scalar(self, name: str) -> Scalar:
        token = self.take()
        if token.kind == "mark" and token.text == "-":
            number = self.take()
            if number.kind == "number" or (number.kind == "name" and number.text.lower() in ("inf", "infinity", "nan")):
                return Scalar("number", "-" + number.text, token.start, number.end)
            raise self.fail(number, f"expected a number after '-' for '{name}', found {_show(number)}")
        if token.kind == "string":
            text, end = unescaped(token.text), token.end
            while self.next.kind == "string":
                more = self.take()
                text, end = text + unescaped(more.text), more.end
            return Scalar("string", text, token.start, end)
        if token.kind in ("name", "number"):
            return Scalar(token.kind, token.text, token.start, token.end)
        raise self.fail(token, f"expected a value for '{name}', found {_show(token)}")


def _show(token: _Token) -> str:
    if token.kind == "end":
        return "the end of the file"
    if token.kind == "wrong" and token.text in "\"'":
        return "a string that does not end on its line"
    return f"'{token.text}'"


def _hint(token: _Token, text: str) -> str:
    if text.startswith("/", token.start):
        return "; comments start with '#'"
    if token.kind == "mark" and token.text == "}":
        return "; one closing brace too many"
    if text.lstrip()[:1] == "<":
        return "; this looks like a web page: download the raw file"
    return ""
