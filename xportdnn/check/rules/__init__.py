"""The rules of the board, one module per subject; each ends with `RULES`, and every module found here is used.

Those all of whose rules need the weights stand in `weighed`, with the arithmetic that they import.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module

from xportdnn.check.rule import Rule
from xportdnn.check.rules import weighed


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, modules in alphabetical order, each module's rules in its own."""
    return _of({**_modules(__name__, __path__), **_modules(weighed.__name__, weighed.__path__)})


@cache
def rules_without_weights() -> tuple[Rule, ...]:
    """Those that can be tried where there is no caffemodel that fits, and a few more."""
    return _of(_modules(__name__, __path__))


def _modules(package: str, path: Iterable[str]) -> dict[str, str]:
    """The name of every module of a package -> its full name."""
    return {info.name: f"{package}.{info.name}" for info in pkgutil.iter_modules(path) if not info.ispkg}


def _of(modules: Mapping[str, str]) -> tuple[Rule, ...]:
    return tuple(rule for name in sorted(modules) for rule in import_module(modules[name]).RULES)
