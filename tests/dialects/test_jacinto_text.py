"""`--dialect jacinto`: the block as it is written and as it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.dialects.jacinto_nets import BARE, INPUT, RELU, WEIGHTS, converted, run
from tests.dialects.protos import parse
from tests.small_nets import PLAIN, RESIDUAL, data, layer, net_of, write_net
from xportdnn import cli
from xportdnn.choices import Triple
from xportdnn.dialects import jacinto
from xportdnn.errors import InputError, UsageError

# ---- the text


def test_text(tmp_path: Path) -> None:
    text = "# a comment\n" + RESIDUAL.replace("layer {", 'name: "net" # mine\nlayer {', 1)
    files = write_net(tmp_path, text)
    given = "power2_scale_weights: true range_expansion_factor: 1.5"
    done = converted(files, bitwidths=(7, 10, 7), skip_layers=["sum"], net_quantization_param=given)
    block = (
        "quantize: true\nnet_quantization_param {\n  quantize_weights: true\n  quantize_activations: true\n"
        "  bitwidth_weights: 10\n  bitwidth_activations: 7\n  bitwidth_bias: 16\n  power2_scale_weights: true\n"
        "  power2_scale_activations: false\n  apply_offset_weights: true\n  apply_offset_activations: false\n"
        '  range_expansion_factor: 1.5\n  ignored_layer_names: "sum"\n}\n'
    )
    assert done == text.replace("layer {", f"{block}layer {{", 1)
    assert parse(done, "jacinto").net_quantization_param.bitwidth_weights == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("power2_range: true", "power2_range is no field of caffe-jacinto 0.17"),
        ("bitwidth_weights: 8", "is what --bitwidths says"),
        ('ignored_layer_names: "a"', "is what --skip_layers says"),
        ("quantize_weights: maybe", "must be true or false"),
        ("quantize_weights", "expected ':'"),
        ("rounding_scheme: NEAREST", "must be one of QuantizationParameter_Rounding_NEAREST"),
    ],
    ids=["another-branch", "widths", "names", "no-flag", "no-prototxt", "enum"],
)
def test_fields_that_cannot_be_asked_for(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        jacinto.chosen(text, Triple(8, 12, 8), ())


def test_a_layer_to_ignore_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--skip_layers nosuch: .* no such layer"):
        converted(write_net(tmp_path, PLAIN), skip_layers=["nosuch"])


# ---- reading it


def test_read_back(tmp_path: Path) -> None:
    given = f"apply_offset_activations: true rounding_scheme: {jacinto.STOCHASTIC} range_update_factor: 0.5"
    text = converted(write_net(tmp_path, PLAIN), net_quantization_param=given, skip_layers=["fc", "prob"])
    assert jacinto.read(net_of(text)) == jacinto.chosen(given, Triple(8, 12, 8), ("fc", "prob"))


def test_nothing_to_read() -> None:
    assert jacinto.read(net_of(PLAIN)) is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("net_quantization_param { }", "without `quantize: true`"),
        ("quantize: false net_quantization_param { }", "without `quantize: true`"),
        ("quantize: true net_quantization_param { bitwidth_weights: 1 }", "bitwidth_weights: 1; 2 to 24 bits"),
        ("quantize: true net_quantization_param { } net_quantization_param { }", "there are 2 values"),
    ],
    ids=["no-switch", "off", "bits", "twice"],
)
def test_what_cannot_be_simulated_is_named(block: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        jacinto.read(net_of(f"{block}\n{PLAIN}"))


UNUSABLE = {
    "quantization_start: 0": "switches quantization off",
    "quantization_start: 2147483648": "does not fit into 32 bits",
    "update_quantization_param: false": "recorded in a caffemodel",
    "power2_scale_activations: true": "not described well enough",
    "bitwidth_bias: 0": "bitwidth_bias: 0; 2 to 24 bits",
    "bitwidth_bias: 32": "bitwidth_bias: 32; 2 to 24 bits",
    f"precision: {jacinto.FLOAT}": "quantizes nothing",
    "quantize_weights: 3": "must be true or false",
    "quantize_weights: true quantize_weights: true": "quantize_weights is given more than once",
    "power2_range: true": "power2_range is no field",
    "range_update_factor: 0": "range_update_factor: 0; it must be above 0 and at most 1",
    "range_update_factor: 1.5": "range_update_factor: 1.5; it must be",
    "range_update_factor: nan": "range_update_factor: nan; it must be",
    "range_expansion_factor: nan": "range_expansion_factor: nan leaves nothing of numbers of 8 bits",
    "range_expansion_factor: inf": "range_expansion_factor: inf leaves nothing",
    "range_expansion_factor: -2": "range_expansion_factor: -2 leaves nothing",
    "range_expansion_factor: 1e30": "leaves nothing of numbers of 8 bits; give more than 1/128 and less than 128",
    "range_expansion_factor: 128": "range_expansion_factor: 128 leaves nothing",
    "range_expansion_factor: 0": "range_expansion_factor: 0 leaves nothing",
}


@pytest.mark.parametrize(("text", "said"), UNUSABLE.items(), ids=UNUSABLE)
def test_both_ends_refuse_the_same(text: str, said: str) -> None:
    """What is not simulated is not written, either."""
    with pytest.raises(UsageError, match=said):
        jacinto.chosen(text, Triple(8, 12, 8), ())
    with pytest.raises(InputError, match=said) as caught:
        jacinto.read(net_of(f"quantize: true {jacinto.BLOCK} {{ {text} }}\n{PLAIN}"))
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("factor", [127.9, 0.008], ids=str)
def test_the_widest_and_the_narrowest_range_leave_something(factor: float) -> None:
    """Of the largest number one step at least; of all others what is clipped."""
    assert jacinto.chosen(f"range_expansion_factor: {factor}", Triple(8, 12, 8), ())
    top = run(RELU, WEIGHTS, INPUT, replace(BARE, range_expansion_factor=factor))["relu"]
    assert np.isfinite(top).all()
    assert top.max() > 0


def test_everything_wrong_is_said_at_once() -> None:
    text = "quantization_start: 0 bitwidth_bias: -1 foo: 1 bitwidth_weights: 8 range_update_factor: 2"
    with pytest.raises(UsageError) as caught:
        jacinto.chosen(text, Triple(8, 12, 8), ())
    assert len(caught.value.problems) == 5
    with pytest.raises(InputError) as refused:
        jacinto.read(net_of(f"{jacinto.BLOCK} {{ {text} }}\n{PLAIN}"))
    assert len(refused.value.problems) == 5  # its own width is right there, but `quantize` is missing


def test_exit_codes(tmp_path: Path) -> None:
    """An option is bad usage, a file that somebody wrote is bad input."""
    files, bad = write_net(tmp_path, PLAIN), "range_expansion_factor: nan"
    target = tmp_path / "out.prototxt"
    how = ["--dialect", "jacinto", "--quant_type", "DynamicFixed", f"--{jacinto.BLOCK}", bad]
    assert cli._run([*files.arguments, *how, "--quantized_deploy_model", str(target)], False) == 2
    assert not target.exists()
    target.write_text(f"quantize: true {jacinto.BLOCK} {{ {bad} }}\n{PLAIN}", encoding="utf-8")
    np.save(tmp_path / "in.npy", np.ones((1, 3, 10, 12), np.float32))
    given = [
        "--weights",
        str(files.weights),
        "--input",
        str(tmp_path / "in.npy"),
        "--blobs_dir",
        str(tmp_path / "blobs"),
    ]
    assert cli._run(["simulate", "--deploy_model", str(target), *given], False) == 1
    assert not (tmp_path / "blobs").exists()


def test_recorded_ranges_are_not_read() -> None:
    own = layer("r", "ReLU", "data", "r", "quantization_param { qparam_out { min: 0 max: 1 } }")
    with pytest.raises(InputError, match="remove quantization_param of r"):
        jacinto.read(net_of("quantize: true net_quantization_param { }\n" + data(1, 3, 8, 9) + own))
