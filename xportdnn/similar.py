"""Names like one that is not there, for the hints of messages.

`difflib` is imported when something is misspelt: that takes longer than looking a whole network through.
"""

from __future__ import annotations

from collections.abc import Iterable


def similar(name: str, known: Iterable[str], most: int = 3, least: float = 0.6) -> list[str]:
    """The most similar first.

    Args:
        most: how many at the most.
        least: how similar they are, 1 being equal.
    """
    from difflib import get_close_matches

    return get_close_matches(name, list(known), most, least)
