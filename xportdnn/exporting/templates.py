"""C text from the files in `c/`: `$name` stands for a field, and what lies between two lines is repeated.

    /* each layers */
    {$name, $count},
    /* end layers */

stands there once for every entry of the field `layers`, with the entry's own fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from string import Template
from typing import Any

_STRETCH = re.compile(r"^/\* each (\w+) \*/\n(.*?)^/\* end \1 \*/\n", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    """A file of the package as it is."""
    return files("xportdnn.exporting").joinpath("c", *name.split("/")).read_text(encoding="utf-8")


def rendered(name: str, fields: Mapping[str, Any]) -> str:
    """A file of the package with its fields filled in."""
    return "".join(_filled(text_of(name), fields))


def _filled(text: str, fields: Mapping[str, Any]) -> Iterator[str]:
    at = 0
    for stretch in _STRETCH.finditer(text):
        yield Template(text[at : stretch.start()]).substitute(fields)
        for entry in fields[stretch[1]]:
            yield from _filled(stretch[2], {**fields, **entry})
        at = stretch.end()
    yield Template(text[at:]).substitute(fields)
