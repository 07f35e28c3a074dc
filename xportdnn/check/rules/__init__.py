"""The rules of the board, one module per subject; each ends with `RULES`, and every module found here is used."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from xportdnn.check.rule import Rule


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rule, ...]:
    """Every rule, modules in alphabetical order, each module's rules in its own."""
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(rule for name in modules for rule in import_module(f"{__name__}.{name}").RULES)
