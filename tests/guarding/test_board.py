"""The guards against the board itself: what a rule's own thresholds do in its integers, and what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.guarding.nets import (
    BIASED,
    CONV,
    DEEP,
    FUSED,
    IDENTITY,
    RECTIFIED,
    by_bits,
    by_method,
    converted,
    floats,
    fused,
    vector,
)
from tests.small_nets import conv, layer, net_of
from xportdnn import execute, precision
from xportdnn.choices import Arithmetic
from xportdnn.conversion import Conversion
from xportdnn.errors import NetworkError
from xportdnn.guards.marks import Guard
from xportdnn.journal import Journal, Level
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.simulation import prepare


@dataclass(frozen=True)
class OnBoard:
    """A conversion, and what the board makes of it on the pictures it was calibrated with.

    Attributes:
        wrapped: outputs that wrapped around.
        clipped: weights, biases and factors that the host could not store.
    """

    conversion: Conversion
    journal: Journal
    wrapped: int
    clipped: int
    warnings: tuple[str, ...]

    def threshold(self, name: str) -> float:
        """The th_layer_out of a layer."""
        (found,) = (dict(block.fields)["th_layer_out"] for block in self.conversion.blocks if block.layer.name == name)
        assert isinstance(found, float)
        return found

    @property
    def guards(self) -> set[Guard]:
        return {mark.guard for mark in self.conversion.marks}


def on_board(folder: Path, text: str, weights: Mapping[str, Arrays], **options: Any) -> OnBoard:
    """Convert and simulate, bit by bit.

    Raises:
        NetworkError: the board would not run it.
    """
    conversion, journal = converted(folder, text, weights, **options)
    assert conversion.evidence is not None
    net, opened = net_of(conversion.text), conversion.opened
    arrays = execute.load(runnable(net, opened.inputs), opened.weights)
    simulation = prepare(net, arrays, precision.read(net), Arithmetic.CHAIDNN, opened.inputs)
    wrapped = sum(done.wrapped for feeds in conversion.evidence.pictures for done in simulation.run(feeds))
    return OnBoard(conversion, journal, wrapped, sum(simulation.clipped.values()), simulation.warnings)


# the same number twice, once with each sign
CANCELLED = {"c": (floats((100, -100, 0), (1, -1, 0)), vector(1, 0.5))}


@by_method
@by_bits
def test_sums_far_below_0_do_not_wrap(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, RECTIFIED, DEEP, guards=False, **options)
    held = on_board(tmp_path, RECTIFIED, DEEP, **options)
    assert raw.wrapped > 0
    assert (held.wrapped, held.guards) == (0, {Guard.WRAP})
    assert held.threshold("c") == held.threshold("r") > raw.threshold("c")


@by_method
def test_sums_do_not_wrap_behind_batch_norm(tmp_path: Path, method: str) -> None:
    weights = fused(1.0) | {"c": (floats((-1, -1, -1), (0.05, 0, 0)), np.zeros(2, np.float32))}
    raw = on_board(tmp_path, FUSED, weights, guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, weights, threshold_method=method)
    assert raw.wrapped > 0
    assert (held.wrapped, held.guards) == (0, {Guard.WRAP, Guard.WHOLE})


@by_method
@by_bits
def test_biases_are_not_clipped(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, CONV, BIASED, guards=False, **options)
    held = on_board(tmp_path, CONV, BIASED, **options)
    assert raw.clipped == 2
    assert (held.clipped, held.guards) == (0, {Guard.BIAS})
    assert held.threshold("c") == 600


@by_method
def test_biases_are_not_clipped_behind_batch_norm(tmp_path: Path, method: str) -> None:
    weights = BIASED | {"bn": IDENTITY, "s": (vector(0.5, 0.5), vector(0.25, 0))}
    raw = on_board(tmp_path, FUSED, weights, guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, weights, threshold_method=method)
    assert raw.clipped == 2
    assert held.clipped == 0
    assert held.threshold("s") == 301  # 0.5 * 600 + 0.25, and whole
    assert held.guards == {Guard.BIAS, Guard.WHOLE}


@by_method
@by_bits
def test_factors_stay_below_4(tmp_path: Path, method: str, bits: int) -> None:
    options: dict[str, Any] = {"threshold_method": method, "bitwidths": (bits,) * 3}
    raw = on_board(tmp_path, CONV, CANCELLED, guards=False, **options)
    held = on_board(tmp_path, CONV, CANCELLED, **options)
    assert raw.clipped > 0
    assert (held.clipped, held.guards) == (0, {Guard.FACTOR})


@by_method
@pytest.mark.parametrize("gamma", [0.001, 0.00392], ids=["0.25", "0.99"])
def test_a_threshold_below_1_behind_batch_norm_does_not_stop_the_board(
    tmp_path: Path, method: str, gamma: float
) -> None:
    with pytest.raises(NetworkError, match="becomes 0 on the board"):
        on_board(tmp_path, FUSED, fused(gamma), guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, fused(gamma), threshold_method=method)
    assert held.threshold("s") == held.threshold("r") == 1
    assert held.guards == {Guard.WHOLE}


@by_method
def test_a_threshold_behind_batch_norm_keeps_no_decimals(tmp_path: Path, method: str) -> None:
    raw = on_board(tmp_path, FUSED, fused(0.03), guards=False, threshold_method=method)
    held = on_board(tmp_path, FUSED, fused(0.03), threshold_method=method)
    assert any("the whole part of their th_layer_out" in warning for warning in raw.warnings)
    assert not any("the whole part" in warning for warning in held.warnings)
    assert held.threshold("s") == np.ceil(raw.threshold("s"))


def test_a_scale_that_is_not_worked_in_keeps_its_decimals(tmp_path: Path) -> None:
    text = FUSED.replace('type: "BatchNorm"', 'type: "Power"')
    weights = {name: blobs for name, blobs in fused(0.03).items() if name != "bn"}
    made, _ = converted(tmp_path, text, weights, threshold_method="max")
    assert made.marks == ()


def test_a_bias_beyond_all_reason_is_given_up(tmp_path: Path) -> None:
    """Room for it would leave the other channel no step to move by."""
    weights = {"c": (floats((1, 0, 0), (0.05, 0, 0)), vector(-1e6, 0))}
    held = on_board(tmp_path, RECTIFIED, weights, threshold_method="max")
    assert held.threshold("c") < 30  # the other channel reaches 12.75
    assert Guard.CLIPPED in held.guards
    (warning,) = [text for level, text in held.journal.remarks if "room for them" in text and level is Level.WARNING]
    assert "c (1e+06 at " in warning


def test_channels_that_hardly_do_anything_are_a_detail(tmp_path: Path) -> None:
    weights = {"c": (floats((1e-6, 0, 0), (1, 1, 1)), np.zeros(2, np.float32))}
    made, journal = converted(tmp_path, CONV, weights, threshold_method="max")
    assert [(mark.guard, mark.was) for mark in made.marks] == [(Guard.FINE, 1)]
    assert [level for level, text in journal.remarks if "off by more than 1 %" in text] == [Level.DETAIL]


def test_what_shares_the_class_is_raised_with_it(tmp_path: Path) -> None:
    pool = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
    text = RECTIFIED + layer("p", "Pooling", "c", "p", pool) + conv("d", "p", "d", 5)
    held = on_board(tmp_path, text, DEEP, threshold_method="max")
    (d,) = (dict(block.fields) for block in held.conversion.blocks if block.layer.name == "d")
    assert d["th_layer_in"] == held.threshold("p") == held.threshold("c")
