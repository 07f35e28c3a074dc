"""Layers in float: no block, a word about it, and what `evaluate` makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests import board
from tests.overrides.desk import Desk, formats
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.values import report as evaluated
from xportdnn.journal import Level


def test_a_skipped_layer_gets_no_block_and_is_spoken_of(plain: Desk) -> None:
    made = plain.convert({"relu1": {"float": True}}, skip_layers=["conv1", "pool1"])
    assert {"conv1", "relu1", "pool1"}.isdisjoint(formats(made.text))
    assert made.missing == ()
    assert board.problems(made.text, "Xilinx", uncalibrated=frozenset({"conv1", "relu1", "pool1"})) == []
    assert plain.said(Level.WARNING, "no block") == [
        "no block for conv1, pool1, which is for experiments: `xportdnn evaluate` computes them in float, but the "
        "board takes them for DynamicFixed with 6 bits, 3 of them fractional (5 of the weights); only software layers "
        "stay float there"
    ]
    assert plain.said(Level.INFO, "no block") == ["no block for relu1; the board would read none"]


def sqnr(made: Conversion, desk: Desk) -> dict[str, dict[str, Any]]:
    """What `evaluate` says of every layer of the converted network."""
    quantized = desk.folder / "quantized.prototxt"
    quantized.write_text(made.text, encoding="utf-8")
    found = evaluate(EvaluationOptions(str(quantized), str(desk.files.weights), str(desk.pictures), workers=1))
    return {each["name"]: each for each in evaluated(found, ())["layers"]}


@pytest.mark.parametrize("mode", Mode)
def test_evaluate_sees_skipped_layers_in_float(plain: Desk, mode: Mode) -> None:
    whole = sqnr(plain.convert(quant_type=mode), plain)
    assert not whole["pool1"]["identical"]
    names = [name for name in ("data", "conv1", "relu1", "pool1") if whole[name]["formats"] is not None]
    part = sqnr(plain.convert(quant_type=mode, skip_layers=names), plain)
    assert all(part[name]["identical"] and part[name]["formats"] is None for name in names)
    assert not part["conv2"]["identical"]
