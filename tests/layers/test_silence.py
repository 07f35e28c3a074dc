"""Silence: no tops at all."""

from __future__ import annotations

from tests.layers.one_layer import counting, forward
from xportdnn.layers.silence import KIND


def test_nothing_comes_out() -> None:
    assert forward('type: "Silence"', counting(2, 3), counting(4), tops=0) == ()


def test_takes_any_bottoms_but_no_tops() -> None:
    assert (KIND.bottoms, KIND.tops) == ((1, None), (0, 0))
