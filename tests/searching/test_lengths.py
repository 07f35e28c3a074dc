"""Formats at all widths: those of the conversion, and Ristretto's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.small_nets import (
    INCEPTION,
    PLAIN,
    RESIDUAL,
    by_name,
    conv,
    data,
    layer,
    net_of,
    value,
    write_net,
    write_pictures,
)
from xportdnn import execute, fractions, scales
from xportdnn.choices import FL_METHODS, Dialect, Mode, Triple
from xportdnn.conversion import convert
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.network import Value, runnable
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.options import Options
from xportdnn.precision import Ristretto
from xportdnn.searching.lengths import MINIFLOAT, POWER_OF_2, Lengths, lengths
from xportdnn.searching.widths import FLOAT, Widths

FIXED = "dynamic_fixed_point"


def opened(text: str, folder: Path) -> Opened:
    files = write_net(folder, text)
    net, model = open_weights(open_net(files.deploy, Journal()), files.weights, Journal())
    return complete(net, model, net.declared, Journal(), strict=True)


def pictures(found: Opened, count: int = 3) -> list[dict[Value, Array]]:
    rng = np.random.default_rng(5)
    return [
        {target: rng.normal(0, 20, shape).astype(np.float32) for target, shape in found.inputs.items()}
        for _ in range(count)
    ]


def made(found: Opened, mode: str = FIXED, method: str = "mse", factor: float = 1.0) -> Lengths:
    weights = execute.load(runnable(found.net, found.inputs), found.weights)
    fed = [{target: array * np.float32(factor) for target, array in each.items()} for each in pictures(found)]
    return lengths(found, weights, fed, mode, method, lambda: None, 1)


@pytest.mark.parametrize("method", FL_METHODS)
@pytest.mark.parametrize("bits", [16, 8, 4, 1])
def test_the_formats_are_those_of_the_conversion(tmp_path: Path, method: str, bits: int) -> None:
    files = write_net(tmp_path, RESIDUAL)
    options = Options(
        str(files.deploy),
        str(files.weights),
        quant_type=Mode.DYNAMIC_FIXED,
        dialect=Dialect.RISTRETTO,
        bitwidths=Triple(bits, bits, bits),
        fl_bitwidths="auto",
        fl_method=method,
        calibration_directory=str(write_pictures(tmp_path / "pictures", 3, (9, 8))),
        workers=1,
    )
    done = convert(options)
    assert done.formats is not None
    weights = execute.load(runnable(done.opened.net, done.opened.inputs), done.opened.weights)
    found = lengths(done.opened, weights, done.formats.pictures, FIXED, method, lambda: None, 1)
    written = {block.layer.index: dict(block.fields) for block in done.blocks}
    ours = found.blocks(Widths(bits, bits, bits))
    assert ours.keys() == written.keys()
    for index, fields in written.items():
        assert {name: getattr(ours[index], name) for name in fields if hasattr(ours[index], name)} == {
            name: each for name, each in fields.items() if hasattr(ours[index], name)
        }


def test_ristretto_looks_when_the_forward_is_done(tmp_path: Path) -> None:
    """Of a convolution before BatchNorm, Scale and ReLU in place, these three's result: `algorithms` calls it wrong."""
    net = net_of(RESIDUAL)
    ends = scales.last_versions(net.layers)
    assert ends[value(net, "stem")] == value(net, "stem", "stem_relu")
    assert ends[value(net, "left")] == value(net, "left", "left_scale")
    assert ends[value(net, "right")] == value(net, "right")
    found = opened(RESIDUAL, tmp_path)
    weights = execute.load(runnable(found.net, found.inputs), found.weights)
    peaks = [0.0]
    for each in pictures(found):
        for step in execute.run(found.net, weights, each):
            if step.layer.name == "left_scale":
                peaks.append(float(np.abs(step.tops[0]).max()))
    block = made(found, method="ristretto").blocks(Widths(8, 8, 8))[by_name(found.net, "left").index]
    assert block.fl_layer_out == fractions.ristretto(max(peaks), 8)


def test_every_layer_for_itself(tmp_path: Path) -> None:
    """Ristretto shares no formats within a scale class; the other methods do."""
    text = (
        data(1, 3, 6, 5)
        + conv("one", "data", "one", 4)
        + conv("two", "data", "two", 4)
        + layer("sum", "Eltwise", "one two", "sum", "eltwise_param { coeff: 64 coeff: 1 }")
        + conv("end", "sum", "end", 2)
    )
    found = opened(text, tmp_path)
    end, one = (by_name(found.net, name).index for name in ("end", "one"))
    shared = made(found).blocks(Widths(8, 8, 8))
    assert shared[end].fl_layer_in == shared[one].fl_layer_out
    alone = made(found, method="ristretto").blocks(Widths(8, 8, 8))
    assert alone[end].fl_layer_in < alone[one].fl_layer_out


@pytest.mark.parametrize("method", ["mse", "overflow", "ristretto"])
def test_zeros_everywhere(tmp_path: Path, method: str) -> None:
    """There is no logarithm of 0."""
    found = opened(data(1, 3, 4, 5) + conv("one", "data", "one", 2, "kernel_size: 1 bias_term: false"), tmp_path)
    blocks = made(found, method=method, factor=0.0).blocks(Widths(8, 8, 8))
    assert blocks[1].fl_layer_in == blocks[1].fl_layer_out == fractions.overflow(0.0, 1.0, 8)


def test_minifloats(tmp_path: Path) -> None:
    found = made(opened(PLAIN, tmp_path), MINIFLOAT, "ristretto", factor=0.02)
    assert found.exp_bits(8) == 4
    assert (found.holds(6), found.holds(5)) == (True, False)
    assert set(found.blocks(Widths(8, 8, 8)).values()) == {Ristretto(precision="MINIFLOAT", mant_bits=3, exp_bits=4)}
    assert set(found.blocks(Widths()).values()) == {Ristretto(precision="MINIFLOAT", mant_bits=23, exp_bits=8)}
    assert made(opened(PLAIN, tmp_path), MINIFLOAT, "ristretto", factor=2.0).exp_bits(16) == 5


def test_powers_of_two(tmp_path: Path) -> None:
    found = made(opened(PLAIN, tmp_path), POWER_OF_2)
    for block in found.blocks(Widths(4, 4)).values():
        assert (block.precision, block.exp_min, block.exp_max) == ("INTEGER_POWER_OF_2_WEIGHTS", -8, -1)
        assert (block.bw_layer_in, block.bw_layer_out) == (8, 8)


def test_widths_of_parts(tmp_path: Path) -> None:
    net = opened(PLAIN, tmp_path)
    blocks = made(net).blocks(Widths(8, 2, FLOAT))
    named = {net.net.layers[index].name: block for index, block in blocks.items()}
    assert {name: block.bw_params for name, block in named.items()} == {"conv1": 8, "conv2": 8, "fc": 2}
    assert {block.bw_layer_in for block in named.values()} == {FLOAT}


def test_layers_that_ristretto_does_not_quantize(tmp_path: Path) -> None:
    found = opened(INCEPTION, tmp_path)
    assert {found.net.layers[index].type for index in made(found).blocks(Widths(8, 8, 8))} == {"Convolution"}


def test_ristrettos_float(tmp_path: Path) -> None:
    """What fails at every width is written with its 32 bits, not with a formula that saturates there as well."""
    block = made(opened(PLAIN, tmp_path), method="ristretto").blocks(Widths())[1]
    assert block == Ristretto(bw_layer_in=32, bw_layer_out=32, bw_params=32)
    assert (block.fl_layer_in, block.fl_layer_out, block.fl_params) == (16, 16, 16)
