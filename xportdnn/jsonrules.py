"""Rules of what JSON may hold, to be put together as a published schema is; tests compare the readers with theirs.

A rule takes a value with its place and yields what is wrong with it, one sentence each:

    layer "conv1": bw_params cannot be 8.5; it must be a whole number from 2 to 32

Rules know nothing of files: who reads one puts its name in front, and the remedy behind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from xportdnn.similar import similar

Rule: TypeAlias = Callable[[Any, str, str], Iterator[str]]
"""(value, the entry around it as messages begin: `layer "conv1": ` or nothing, its name in there) -> what is wrong."""

_LONGEST = 60  # characters of a value that a message shows
_LEVELS = 3  # of lists and objects inside each other
_SHOWN = 3  # of the entries of a list that are wrong for one reason
_FEW = 10  # fields that a message names in full
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[\w./-]{1,60}")


# ---- words of messages


def shown(value: object) -> str:
    """A value as JSON in one line, cut where it is long."""
    text = _written(value, _LEVELS)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _written(value: object, levels: int) -> str:
    # neither deeper nor further than a message shows: the encoder gives up on a nesting that the decoder took
    if isinstance(value, dict):
        pairs = islice(value.items(), _LONGEST if levels else 0)
        inside = [f"{_written(name, 0)}: {_written(each, levels - 1)}" for name, each in pairs]
        return f"{{{', '.join(inside) if levels or not value else '...'}}}"
    if isinstance(value, list):
        inside = [_written(each, levels - 1) for each in value[: _LONGEST if levels else 0]]
        return f"[{', '.join(inside) if levels or not value else '...'}]"
    import json  # conversions without such files do without it

    return json.dumps(value, ensure_ascii=False)


def near(name: str, known: Sequence[str]) -> str:
    """A hint at names like this one; empty if there are none."""
    found = [repr(each) for each in similar(name, known)]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def refused(value: object, place: str, wanted: str) -> str:
    """What is said of a value that is not what it must be."""
    return f"{place} cannot be {shown(value)}; it must be {wanted}"


def _plain(name: str) -> str:
    """A field's name, in quotes where it is a strange one."""
    return name if _PLAIN.fullmatch(name) else shown(name)


# ---- single values


def is_number(value: object) -> bool:
    """Whether JSON calls it a number, which `true` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_digest(value: object) -> bool:
    """Whether it looks like a SHA-256."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def must(holds: Callable[[Any], bool], wanted: str) -> Rule:
    """The rule of values for which something holds.

    Args:
        holds: takes any value that JSON has, NaN and infinity of Python's decoder included.
        wanted: what such a value is called: "text".
    """

    def rule(value: Any, entry: str, name: str) -> Iterator[str]:
        if not holds(value):
            yield refused(value, f"{entry}{name}", wanted)

    return rule


def whole(least: int, greatest: int | None = None) -> Rule:
    """A whole number. JSON knows one kind of number: 8.0 is one."""

    def holds(value: Any) -> bool:
        # NaN compares as less than nothing
        if not is_number(value) or not value >= least or (greatest is not None and value > greatest):
            return False
        return isinstance(value, int) or value.is_integer()

    return must(holds, f"a whole number from {least}" + ("" if greatest is None else f" to {greatest}"))


def same(wanted: str | float) -> Rule:
    """One value alone; `true` is not 1, and 1.0 is."""
    alike = isinstance(wanted, bool)
    return must(lambda value: isinstance(value, bool) is alike and value == wanted, shown(wanted))


def one_of(*words: str) -> Rule:
    """One of some texts."""
    return must(lambda value: value in words, " or ".join(map(shown, words)))


def anything(value: Any, entry: str, name: str) -> Iterator[str]:
    """The rule of what is not looked at."""
    yield from ()


text = must(lambda value: isinstance(value, str), "text")
flag = must(lambda value: isinstance(value, bool), "true or false")
sha256 = must(is_digest, "a SHA-256 in 64 hexadecimal digits")


# ---- lists and objects


def listed(item: Rule, least: int = 0, greatest: int | None = None, most: int | None = _SHOWN) -> Rule:
    """A list.

    Args:
        item: the rule of each of its entries.
        least, greatest: how many entries it may have.
        most: of how many entries it is told what is wrong; None: of all.
    """
    upper = " or more" if greatest is None else f" to {greatest}"
    count = f"{least}" if least == greatest else f"{least}{upper}"

    def rule(value: Any, entry: str, name: str) -> Iterator[str]:
        place = f"{entry}{name}"
        if not isinstance(value, list):
            yield refused(value, place, f"a list of {count}" if least or greatest is not None else "a list")
            return
        if len(value) < least or (greatest is not None and len(value) > greatest):
            yield f"{place} cannot be a list of {len(value)}; it must be one of {count}"
        wrong = [found for at, each in enumerate(value) if (found := list(item(each, entry, f"{name}[{at}]")))]
        for found in wrong[:most]:
            yield from found
        if most is not None and len(wrong) > most:
            yield f"{place}: and {len(wrong) - most} more of its entries"

    return rule


class Pairs(dict[str, Any]):
    """A JSON object that remembers which names it had twice: for the decoder's `object_pairs_hook`."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(pairs) > len(self) else {}
        self.repeated = [name for name, count in counts.items() if count > 1]


@dataclass(frozen=True)
class Record:
    """An object.

    Attributes:
        fields: the rule of each field.
        optional: those that may be absent.
        others: the rule of fields of other names; None: there are no others.
        together: what is wrong with fields that are right by themselves; sees an object with any fields and values.
    """

    fields: Mapping[str, Rule]
    optional: Collection[str] = ()
    others: Rule | None = None
    together: Callable[[Mapping[str, Any]], Iterator[str]] | None = None

    def __call__(self, value: Any, entry: str, name: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from self.inside(value, entry, f"{name}.")
            return
        needed = ", ".join(key for key in self.fields if key not in self.optional)
        yield refused(value, f"{entry}{name}", f"an object with the fields {needed}" if needed else "an object")

    def inside(self, value: Mapping[str, Any], entry: str, path: str = "") -> Iterator[str]:
        """What is wrong with the fields; `path` comes in front of their names."""
        for key in value.repeated if isinstance(value, Pairs) else ():
            yield f"{entry}{path}{_plain(key)} is given twice; keep one"
        for key, each in value.items():
            rule = self.fields.get(key, self.others)
            if rule is None:
                yield f"{entry}{path}{_plain(key)} is no field{self._hint(key)}"
            else:
                yield from rule(each, entry, f"{path}{_plain(key)}")
        for key in self.fields:
            if key not in value and key not in self.optional:
                yield f"{entry}{path}{key} is missing"
        if self.together is not None:
            yield from (f"{entry}{path}{problem}" for problem in self.together(value))

    def _hint(self, name: str) -> str:
        known = list(self.fields)
        return near(name, known) or (f"; the fields are {', '.join(known)}" if len(known) <= _FEW else "")


def called(kind: str, record: Record) -> Rule:
    """An object that messages call by its field `name`, or where it has none by its place.

    Those inside each other make one entry: `layer "conv1", blob "bias": `.
    """

    def rule(value: Any, entry: str, name: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield from record(value, entry, name)
            return
        own = value.get("name")
        around = f"{entry.removesuffix(': ')}, " if entry else ""
        yield from record.inside(value, f"{around}{f'{kind} {shown(own)}' if isinstance(own, str) else name}: ")

    return rule
