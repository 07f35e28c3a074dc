"""String literals of the text format, from content to text and back; bytes that are no UTF-8 survive both ways."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_LETTERS = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}


def unescaped(literal: str) -> str:
    """The content of a literal with its quotes."""
    body = literal[1:-1]
    if "\\" not in body:
        return body
    raw = bytearray()
    last = 0
    for match in _ESCAPE.finditer(body):
        raw += body[last : match.start()].encode("utf-8", "surrogateescape")
        octal, hexadecimal, letter = match.groups()
        if octal is not None:
            raw.append(int(octal, 8) & 0xFF)
        elif hexadecimal is not None:
            raw.append(int(hexadecimal, 16))
        elif letter in _LETTERS:
            raw.append(_LETTERS[letter])
        else:
            raw += letter.encode("utf-8", "surrogateescape")
        last = match.end()
    raw += body[last:].encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "surrogateescape")


def quoted(text: str) -> str:
    """A string literal that reads back as `text`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
