"""What the conversion writes gives no finding about blocks, chaining and fusing but those that are true."""

from __future__ import annotations

from pathlib import Path

import pytest

from xportdnn.api import convert
from xportdnn.check import look
from xportdnn.check.opening import subject
from xportdnn.check.rules import block_values, blocks, chaining, fusion, normalization
from xportdnn.prototxt import Source

ROOT = Path(__file__).parents[2]
RULES = (*blocks.RULES, *block_values.RULES, *chaining.RULES, *fusion.RULES, *normalization.RULES)
PICTURES = {"digits": ROOT / "calibration" / "digits", "shapes": ROOT / "calibration" / "shapes"}
# The parser warns about BatchNorm and Scale whatever stands there; depthwise layers need the other mode.
TRUE = {
    "digits_plain": set(),
    "digits_residual": {"normalization-listed"},
    "shapes_depthwise": {"normalization-listed", "depthwise-xilinx"},
    "shapes_inception": set(),
}


def rules(text: str) -> set[str]:
    return {finding.rule.id for finding in look(subject(Source("out.prototxt", text)), RULES)}


def files(name: str) -> tuple[Path, Path]:
    folder = ROOT / "sample_models" / name
    return folder / "deploy.prototxt", folder / f"{name}.caffemodel"


@pytest.mark.parametrize("matrix", ["guide", "parser"])
@pytest.mark.parametrize("name", TRUE)
class TestSampleNetworks:
    def test_xilinx(self, name: str, matrix: str) -> None:
        pictures = PICTURES[name.split("_")[0]]
        found = convert(*files(name), matrix=matrix, calibration_directory=pictures, calibration_size=1)
        assert rules(found.text) == TRUE[name]

    def test_dynamic_fixed(self, name: str, matrix: str) -> None:
        found = convert(*files(name), matrix=matrix, quant_type="DynamicFixed")
        assert rules(found.text) == set()

    def test_dynamic_fixed_with_two_fractional_lengths(self, name: str, matrix: str) -> None:
        """What the user asked for cannot work, and that is said."""
        found = convert(*files(name), matrix=matrix, quant_type="DynamicFixed", fl_bitwidths=(4, 6, 2))
        assert "fractional-lengths-differ" in rules(found.text) <= {"fractional-lengths-differ", "sides-differ"}
