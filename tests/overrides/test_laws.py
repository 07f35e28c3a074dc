"""What becomes of overrides, as laws: to ask for all that a conversion finds is to ask for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.overrides.desk import FIXED, Desk, by_method
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, by_name
from xportdnn.choices import Mode
from xportdnn.conversion import Conversion

NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
by_net = pytest.mark.parametrize("name", NETS)


def everything(made: Conversion, *keys: str) -> dict[str, dict[str, Any]]:
    """What the blocks of a conversion hold, as a file would ask for it; weights only where a block has some."""
    fields = {
        "threshold": "th_layer_out", "bits": "bw_layer_out",
        "params_threshold": "th_params", "params_bits": "bw_params",
        "fl_layer_in": "fl_layer_in", "fl_layer_out": "fl_layer_out", "fl_params": "fl_params",
    }  # fmt: skip
    blocks = {block.layer.name: dict(block.fields) for block in made.blocks}
    return {name: {key: block[fields[key]] for key in keys if fields[key] in block} for name, block in blocks.items()}


@by_net
@by_method
def test_asking_for_what_is_found_anyway_changes_nothing(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method)
    content = everything(found, "threshold", "bits", "params_threshold", "params_bits")
    assert desk.convert(content, threshold_method=method).text == found.text


@by_net
@by_method
def test_a_width_for_every_layer_is_a_width_for_the_network(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method, bitwidths=(8, 6, 8))
    content = everything(found, "bits", "params_bits")
    assert desk.convert(content, threshold_method=method, bitwidths=(6, 8, 6)).text == found.text


@by_net
@pytest.mark.parametrize("method", ["mse", "kl", "percentile", "max"])
def test_a_method_for_every_layer_is_a_method_for_the_network(name: str, method: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(threshold_method=method, bitwidths=(8, 6, 8))
    content = {layer: {"threshold": method, "bits": 8} for layer in everything(found)}
    other = "max" if method != "max" else "kl"
    assert desk.convert(content, threshold_method=other, bitwidths=(6, 6, 6)).text == found.text


@by_net
def test_formats_for_every_layer_are_formats_for_the_network(name: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    found = desk.convert(**FIXED, bitwidths=(8, 6, 8), fl_bitwidths=(4, 7, 4))
    keys = ("bits", "params_bits", "fl_layer_in", "fl_layer_out", "fl_params")
    content = {name: {key: each[key] for key in each} for name, each in everything(found, *keys).items()}
    for name in content:
        if by_name(desk.net, name).type in ("BatchNorm", "Scale"):
            content[name] |= {"params_bits": 6, "fl_params": 7}
    # pictures have no block of their own in this mode
    content["data"] = {"bits": 8, "fl_layer_out": 4}
    assert desk.convert(content, **FIXED, bitwidths=(6, 8, 6), fl_bitwidths=(1, 2, 3)).text == found.text


@by_net
@pytest.mark.parametrize("mode", Mode)
def test_a_network_with_every_layer_skipped_is_as_it_was(name: str, mode: Mode, tmp_path: Path) -> None:
    desk = Desk(tmp_path, NETS[name])
    names = [block.layer.name for block in desk.convert(quant_type=mode).blocks]
    assert desk.convert(skip_layers=names, quant_type=mode).text == NETS[name]
