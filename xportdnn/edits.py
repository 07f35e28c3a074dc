"""Changes of a text that look as if its author had made them: whole lines go, new ones are indented like the rest."""

from __future__ import annotations

from collections.abc import Iterable

from xportdnn.prototxt import Edit, Field, Message, Source


def lines_of(source: Source, start: int, end: int) -> tuple[int, int]:
    """The span widened to whole lines if nothing but blanks shares them with it, else trailing blanks only."""
    text = source.text
    left = start
    while left and text[left - 1] in " \t":
        left -= 1
    right = end
    while right < len(text) and text[right] in " \t":
        right += 1
    if right < len(text) and text[right] == "\r":
        right += 1
    alone = (left == 0 or text[left - 1] == "\n") and (right == len(text) or text[right] == "\n")
    if alone:
        return left, min(right + 1, len(text))
    return (left if left < start else start), end


def insertion(source: Source, entry: Field, lines: Iterable[str]) -> Edit:
    """An edit that puts lines behind the last field of a `{ }` block, indented like its other fields."""
    message, text, newline = entry.value, source.text, source.newline
    assert isinstance(message, Message)
    close = message.end - 1
    line_start = text.rfind("\n", 0, close) + 1
    indent = _field_indent(text, entry, message)
    if not text[line_start:close].strip():  # the closing brace has a line to itself
        return Edit(line_start, line_start, "".join(f"{indent}{line}{newline}" for line in lines))
    block = "".join(f"{newline}{indent}{line}" for line in lines)
    return Edit(close, close, f"{block}{newline}{_line_indent(text, entry.start)}")


def _field_indent(text: str, entry: Field, message: Message) -> str:
    """What stands before the first field that begins a line; two blanks more than the block elsewhere."""
    for inner in message.fields:
        start = text.rfind("\n", 0, inner.start) + 1
        if not text[start : inner.start].strip():
            return text[start : inner.start]
    return _line_indent(text, entry.start) + "  "


def _line_indent(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip())]
