"""The guards of DynamicFixed mode: what they say of formats that the board cannot shift, store or convert, and that the
formats they name instead fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.caffe_files import made_up
from tests.guarding.nets import CONV, FUSED, IDENTITY, INPUT, RECTIFIED, floats, fused, vector
from tests.small_nets import by_name, conv, layer, net_of, write_net
from xportdnn import api, execute, precision
from xportdnn.arithmetic import qformat, twos_complement
from xportdnn.choices import BOARD_WIDTHS, Arithmetic, Mode, Triple
from xportdnn.conversion import Conversion
from xportdnn.errors import NetworkError
from xportdnn.guards import dynamic_fixed
from xportdnn.guards.marks import Guard
from xportdnn.journal import Journal, Level
from xportdnn.layers import Arrays
from xportdnn.network import infer_shapes, runnable
from xportdnn.simulation import Simulation, prepare


@dataclass(frozen=True)
class Done:
    """A conversion with what was said."""

    conversion: Conversion
    journal: Journal

    @property
    def marks(self) -> list[tuple[Guard, str, float, float | None]]:
        return [(mark.guard, mark.layers[0].name, mark.was, mark.fits) for mark in self.conversion.marks]

    def simulation(self) -> Simulation:
        """The board with these formats.

        Raises:
            NetworkError: it would not run them.
        """
        opened = self.conversion.opened
        net = net_of(self.conversion.text)
        arrays = execute.load(runnable(net, opened.inputs), opened.weights)
        return prepare(net, arrays, precision.read(net), Arithmetic.CHAIDNN, opened.inputs)


def fixed(folder: Path, text: str, fl: Triple, weights: Mapping[str, Arrays] | None = None, **options: Any) -> Done:
    """A conversion in DynamicFixed mode at 8 bits."""
    files, journal = write_net(folder, text, weights), Journal()
    chosen = {"bitwidths": (8, 8, 8), **options}
    made = api.convert(
        files.deploy, files.weights, quant_type=Mode.DYNAMIC_FIXED, fl_bitwidths=fl, journal=journal, **chosen
    )
    return Done(made, journal)


@pytest.mark.parametrize(
    ("fl", "shift", "fits"),
    [
        pytest.param(Triple(4, 3, 7), 0, 6, id="0"),
        pytest.param(Triple(2, 1, 5), -2, 2, id="negative"),
        pytest.param(Triple(20, 20, 2), 38, 9, id="38"),
    ],
)
def test_a_shift_that_the_board_cannot_do(tmp_path: Path, fl: Triple, shift: int, fits: int) -> None:
    made = fixed(tmp_path, CONV, fl)
    assert made.marks == [(Guard.SHIFT, "c", shift, fits)]
    with pytest.raises(NetworkError, match="the board shifts by 1 to 31"):
        made.simulation()
    fitting = fixed(tmp_path, CONV, Triple(fl.layer_in, fl.params, fits))
    assert Guard.SHIFT not in {guard for guard, *_ in fitting.marks}
    fitting.simulation()


def test_a_shift_is_that_of_the_fused_weights(tmp_path: Path) -> None:
    """The board throws fl_params away: weights up to 0.2 get 8 - (3 + 1) fractional bits."""
    weights = fused(1.0) | {"c": (floats((0.2, 0, 0), (0.1, 0, 0)), np.zeros(2, np.float32))}
    made = fixed(tmp_path, FUSED, Triple(1, 5, 5), weights)
    assert (Guard.SHIFT, "c", 0, 4) in made.marks
    with pytest.raises(NetworkError, match="the board shifts by 1 to 31"):
        made.simulation()
    fixed(tmp_path, FUSED, Triple(1, 5, 4), weights).simulation()


@pytest.mark.parametrize("bias", [3.0, -3.0, 100.0], ids=["above 0", "below 0", "beyond the format"])
def test_a_bias_that_leaves_16_bits(tmp_path: Path, bias: float) -> None:
    weights = {"c": (floats((0.5, 0, 0), (0, 0.25, 0)), vector(bias, 0))}
    made = fixed(tmp_path, CONV, Triple(7, 7, 5), weights)
    (mark,) = made.marks
    assert mark[:3] == (Guard.INT16, "c", 14)
    assert made.simulation().clipped[by_name(made.conversion.opened.net, "c").index] == 1
    assert isinstance(mark[3], int)
    fitting = fixed(tmp_path, CONV, Triple(7, mark[3] - 7, 5), weights)
    assert fitting.marks == []
    if bias != 100.0:  # which the output format cuts off in any case
        assert sum(fitting.simulation().clipped.values()) == 0


def test_biases_that_fit_are_not_even_read(tmp_path: Path) -> None:
    weights = {"c": (floats((1, 0, 0), (0, 1, 0)), vector(1, -1))}
    assert fixed(tmp_path, CONV, Triple(7, 7, 6), weights).marks == []


def test_zero_biases_fit_any_shift(tmp_path: Path) -> None:
    weights = {"c": (floats((1, 0, 0), (0, 1, 0)), np.zeros(2, np.float32))}
    assert fixed(tmp_path, CONV, Triple(15, 15, 2), weights).marks == []


AVERAGED = INPUT + conv("c", "data", "c", 32) + layer(
    "p", "Pooling", "c", "p", "pooling_param { pool: AVE kernel_size: 7 stride: 7 }"
)  # fmt: skip


def test_an_average_that_the_board_cannot_shift(tmp_path: Path) -> None:
    made = fixed(tmp_path, AVERAGED, Triple(1, 12, 9))
    assert (Guard.AVERAGE, "p", 0, 8) in made.marks
    with pytest.raises(NetworkError, match="the board shifts"):
        made.simulation()


CHAINED = (
    RECTIFIED
    + conv("left", "c", "left", 5)
    + conv("right", "c", "right", 5)
    + layer("sum", "Eltwise", "left right", "sum")
    + layer("p", "Pooling", "sum", "p", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    + conv("last", "p", "last", 4)
    + layer("fc", "InnerProduct", "last", "fc", "inner_product_param { num_output: 6 }")
)


def test_every_blob_is_read_with_what_it_was_written_with(tmp_path: Path) -> None:
    made = fixed(tmp_path, CHAINED, Triple(3, 5, 2))
    # the first layer reads floats
    assert made.marks == [(Guard.BLOB, name, 3, 2) for name in ("left", "right", "sum", "last")]
    (said,) = [remark for remark in made.journal.remarks if "fl_layer_out that the bottom" in remark.text]
    assert said.level is Level.WARNING
    assert any("converts nothing" in warning for warning in made.simulation().warnings)
    assert fixed(tmp_path, CHAINED, Triple(3, 5, 3)).marks == []


def test_fused_layers_are_no_readers(tmp_path: Path) -> None:
    text = FUSED + conv("d", "c", "d", 5)
    assert [mark[:2] for mark in fixed(tmp_path, text, Triple(4, 5, 3)).marks] == [(Guard.BLOB, "d")]


def test_dynamic_fixed_without_guards(tmp_path: Path) -> None:
    assert fixed(tmp_path, CHAINED, Triple(3, 5, 2), guards=False).marks == []


def test_the_guards_leave_the_text_alone(tmp_path: Path) -> None:
    texts = {fixed(tmp_path, CHAINED, Triple(3, 5, 2), guards=guards).conversion.text for guards in (True, False)}
    assert len(texts) == 1


def test_what_nobody_hears_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    files = write_net(tmp_path, CHAINED)
    silent = api.convert(files.deploy, files.weights, quant_type=Mode.DYNAMIC_FIXED, fl_bitwidths=Triple(3, 5, 2))
    assert "marks" not in vars(silent)
    assert {mark.guard for mark in silent.marks} == {Guard.BLOB}


@pytest.mark.parametrize("text", [CONV, FUSED], ids=["plain", "fused"])
def test_shapes_without_values_tell_nothing_of_weights(text: str, tmp_path: Path) -> None:
    files, net = write_net(tmp_path, text), net_of(text)
    files.weights.write_bytes(made_up(net, infer_shapes(net, net.declared), "none"))
    made = api.convert(
        files.deploy, files.weights, quant_type=Mode.DYNAMIC_FIXED, fl_bitwidths=Triple(20, 5, 20), journal=Journal()
    )
    assert made.marks == ()


@pytest.mark.parametrize("variance", [-1.0, float("nan")], ids=["below 0", "NaN"])
def test_fused_weights_that_are_no_numbers_tell_nothing(variance: float, tmp_path: Path) -> None:
    """They have rules of their own in `xportdnn check`."""
    weights = fused(0.01) | {"bn": (IDENTITY[0], vector(variance, 1), IDENTITY[2])}
    assert fixed(tmp_path, FUSED, Triple(4, 5, 4), weights).marks == []
    assert (Guard.FUSED, "c") in [mark[:2] for mark in fixed(tmp_path, FUSED, Triple(4, 5, 4), fused(0.01)).marks]


@settings(max_examples=60, deadline=None)
@given(
    bias=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=6),
    bits=st.sampled_from(BOARD_WIDTHS),
    fl=st.integers(-4, 12),
)
def test_the_room_is_as_far_as_no_bias_wraps(bias: list[float], bits: int, fl: int) -> None:
    room = dynamic_fixed.room_of(bias, bits, fl)
    whole = qformat.quantize(np.array(bias, np.float32), bits, fl)
    assert (twos_complement.wrap(whole << room, 16) == whole << room).all() or not whole.any()
    assert not whole.any() or (twos_complement.wrap(whole << room + 1, 16) != whole << room + 1).any()


def test_a_bias_that_is_no_number_takes_no_room() -> None:
    assert dynamic_fixed.room_of([float("nan"), 1.0], 8, 2) == dynamic_fixed.room_of([1.0], 8, 2)


def test_a_conversion_without_pictures_only_names_fused_weights(tmp_path: Path) -> None:
    files = write_net(tmp_path, FUSED, fused(0.01))
    journal = Journal()
    api.convert(files.deploy, files.weights, quant_type="DynamicFixed", bitwidths=(8, 8, 8), journal=journal)
    (told,) = (remark for remark in journal.remarks if "finds fl_params by itself" in remark.text)
    assert (told.level, told.text.rpartition(": ")[2]) == (Level.INFO, "c")
