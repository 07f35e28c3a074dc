"""What can be mended in a prototxt without a change of its network's numbers, one module per fix.

Each module ends with `FIX`, and every module found here is used. A fix is tried only where one of its rules finds
something, and has no say in the order: `repair` goes round until nothing is left to do.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

from xportdnn.check.subject import Subject
from xportdnn.prototxt import Edit


class Change(NamedTuple):
    """Edits that belong together.

    Attributes:
        start: offset of what is mended.
        message: what is done, one sentence.
        rules: those of the fix's rules whose findings it takes away; all of them where it is empty.
    """

    start: int
    message: str
    edits: tuple[Edit, ...]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fix:
    """One way to mend.

    Attributes:
        rules: the ids of the rules whose findings it takes away.
        title: what it does, for the documentation.
        changes: what it would do to a file; those whose edits touch each other are made one after the other.
    """

    rules: tuple[str, ...]
    title: str
    changes: Callable[[Subject], Iterator[Change]] = field(repr=False)


@lru_cache(maxsize=1)
def all_fixes() -> tuple[Fix, ...]:
    """Every fix, modules in alphabetical order."""
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}").FIX for name in modules)
