"""`--dialect`: what goes with it and what does not, and that CHaiDNN's own is written as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small_nets import PLAIN, Files, write_net
from xportdnn import api, cli
from xportdnn.choices import Dialect, Matrix, Mode, ScaleClasses, Triple
from xportdnn.errors import UsageError
from xportdnn.journal import Journal, Level
from xportdnn.options import Options

FIXED: dict[str, Any] = {"quant_type": Mode.DYNAMIC_FIXED}
RISTRETTO: dict[str, Any] = {**FIXED, "dialect": Dialect.RISTRETTO}
JACINTO: dict[str, Any] = {**FIXED, "dialect": Dialect.JACINTO}
PICTURES = {"calibration_directory": "pictures"}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_net(tmp_path, PLAIN)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(
            {"dialect": Dialect.RISTRETTO, **PICTURES}, "--quant_type DynamicFixed", id="thresholds-ristretto"
        ),
        pytest.param({"dialect": Dialect.JACINTO}, "--quant_type DynamicFixed", id="thresholds-jacinto"),
        pytest.param({**FIXED, "dialect": Dialect.JSON, "fold": True}, "xportdnn fold", id="plan-of-a-folded-net"),
        pytest.param({**RISTRETTO, "guards": True}, "--guards is about CHaiDNN's board", id="guards"),
        pytest.param({**JACINTO, "guards": False}, "--no_guards is about CHaiDNN's board", id="no-guards"),
        pytest.param({**JACINTO, "scale_classes": ScaleClasses.ORIGINAL}, "--scale_classes original is", id="classes"),
        pytest.param({**JACINTO, "matrix": Matrix.PARSER}, "--matrix parser", id="matrix"),
        pytest.param({**FIXED, "trimming_mode": "minifloat"}, "belongs to --dialect ristretto", id="trimming-mode"),
        pytest.param({**RISTRETTO, "trimming_mode": "float"}, "is one of dynamic_fixed_point,", id="unknown-mode"),
        pytest.param({**FIXED, "net_quantization_param": ""}, "belongs to --dialect jacinto", id="block-of-jacinto"),
        pytest.param({**RISTRETTO, "fl_bitwidths": "auto"}, "--fl_bitwidths auto needs", id="auto-without-pictures"),
        pytest.param(
            {**RISTRETTO, "trimming_mode": "minifloat"}, "minifloat needs calibration", id="minifloat-without-pictures"
        ),
        pytest.param(
            {**RISTRETTO, **PICTURES, "trimming_mode": "minifloat", "fl_bitwidths": Triple(1, 2, 3)},
            "no fractional bits",
            id="fractions-of-minifloat",
        ),
        pytest.param(
            {**RISTRETTO, **PICTURES, "trimming_mode": "minifloat", "bitwidths": Triple(8, 16, 8)},
            "three equal numbers",
            id="widths-of-minifloat",
        ),
        pytest.param(
            {**RISTRETTO, "trimming_mode": "integer_power_of_2_weights", "overrides": "layers.json"},
            "--overrides are Q.F formats",
            id="overrides-of-powers",
        ),
        pytest.param({**JACINTO, "fl_bitwidths": Triple(1, 2, 3)}, "as it runs", id="fractions-of-jacinto"),
        *(
            pytest.param(
                {**JACINTO, name: value}, f"--{name} with --dialect jacinto: .* as it runs", id=f"{name}-of-jacinto"
            )
            for name, value in {
                "overrides": "layers.json",
                "fl_method": "mse",
                "threshold_method": "mse",
                "params_method": "max",
                "calibration_directory": "pictures",
                "calibration_seed": 1,
                "calibration_indices": (1, 2),
            }.items()
        ),
        pytest.param({**JACINTO, "bitwidths": Triple(8, 12, 6)}, "must be equal", id="widths-of-jacinto"),
        pytest.param({**JACINTO, "bitwidths": Triple(8, 25, 8)}, "25 is outside 2 to 24", id="jacinto-too-wide"),
        pytest.param({**RISTRETTO, "bitwidths": Triple(8, 0, 8)}, "0 is outside 1 to 32", id="ristretto-without-bits"),
        pytest.param({**FIXED, "bitwidths": Triple(8, 12, 8)}, "the board takes 6 or 8", id="width-of-the-board"),
    ],
)
def test_contradictions(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Options("deploy.prototxt", "net.caffemodel", **given)


@pytest.mark.parametrize("mode", ["minifloat", "float"])
def test_only_what_is_wrong_is_said(mode: str) -> None:
    """caffe-jacinto has no trimming mode; what the mode would want of the widths is nobody's concern."""
    with pytest.raises(UsageError) as caught:
        Options("a", "b", **JACINTO, trimming_mode=mode, bitwidths=Triple(8, 12, 8))
    assert str(caught.value) == "--trimming_mode belongs to --dialect ristretto"


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("jacinto", "bitwidth_weights: 12\n  bitwidth_activations: 8\n  bitwidth_bias: 16\n"),
        ("chaidnn", "bw_params: 6"),
    ],
    ids=["jacinto", "chaidnn"],
)
@pytest.mark.parametrize("given", [[], ["--bitwidths", "6,6,6"]], ids=["default", "given"])
def test_widths_that_are_not_given(
    given: list[str], dialect: str, said: str, files: Files, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Those of caffe-jacinto itself, unless there are others."""
    how = ["--quant_type", "DynamicFixed", "--dialect", dialect, "--quantized_deploy_model", "-"]
    assert cli._run([*files.arguments, *how, *given], False) == 0
    found = capfdbinary.readouterr().out.decode()
    assert (said in found) is (not given or dialect == "chaidnn")
    if not given:
        assert api.convert(files.deploy, files.weights, dialect=dialect, **FIXED).text == found


@pytest.mark.parametrize("dialect", [Dialect.RISTRETTO, Dialect.JACINTO], ids=lambda dialect: dialect.value)
def test_the_board_has_no_say_in_other_dialects(dialect: Dialect, files: Files) -> None:
    journal = Journal()
    bits = (7, 12, 7)
    done = api.convert(files.deploy, files.weights, dialect=dialect, bitwidths=bits, **FIXED, journal=journal)
    assert [remark.text for remark in journal.remarks if remark.level is Level.WARNING] == []
    assert done.findings == ()


def test_a_text_converted_again_in_another_dialect(files: Files) -> None:
    """Nothing of the one dialect is left in the other, in whatever order they follow."""
    wanted = {
        dialect: api.convert(files.deploy, files.weights, dialect=dialect, bitwidths=(8, 8, 8), **FIXED).text
        for dialect in (Dialect.CHAIDNN, Dialect.RISTRETTO, Dialect.JACINTO)
    }
    for first, text in wanted.items():
        files.deploy.write_text(text, encoding="utf-8")
        for then in (Dialect.RISTRETTO, Dialect.JACINTO):
            again = api.convert(files.deploy, files.weights, dialect=then, bitwidths=(8, 8, 8), **FIXED).text
            assert again == wanted[then], f"{first.value} {then.value}"


def test_chaidnn_takes_out_what_caffe_jacinto_has(files: Files) -> None:
    wanted = api.convert(files.deploy, files.weights, **FIXED).text
    jacinto = api.convert(files.deploy, files.weights, dialect="jacinto", **FIXED).text
    files.deploy.write_text(jacinto, encoding="utf-8")
    assert api.convert(files.deploy, files.weights, **FIXED).text == wanted


@pytest.mark.parametrize("dialect", Dialect, ids=lambda dialect: dialect.value)
def test_command_line(dialect: Dialect, files: Files, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["--quant_type", "DynamicFixed", "--dialect", dialect.value, "--quantized_deploy_model", "-"]
    assert cli._run([*files.arguments, *arguments], False) == 0
    text = api.convert(files.deploy, files.weights, dialect=dialect, **FIXED).text
    assert capfdbinary.readouterr().out == text.encode()
