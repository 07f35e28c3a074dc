"""Running a quantized network as fixed-point hardware would.

Three levels (`Arithmetic`): `fake` quantizes inputs, weights and outputs and computes in float between; `integer` is
what a careful implementer of the same formats gets, with wide accumulators and rounding; `chaidnn` is the board, bit by
bit.

    run           the network, layer by layer: `prepare` once, `Simulation.run` for every batch, or `simulate` for both
    formats       what the numbers of a blob look like, read from a layer's block
    reach         how far values reach
    held          what a blob holds while the network runs
    fake          the first level; `trimmed` makes its weights, `planned` runs it at the speed of calibration
    integer       the second
    board         the third
    vectors       the integers of every layer as files for a hardware engineer
    command       `xportdnn simulate`

The names below are imported when first used: `guards` and `check` want `board.fusion` and `board.geometry` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xportdnn.choices import Arithmetic
    from xportdnn.simulation.run import Simulation, prepare, simulate
    from xportdnn.simulation.simulated import Simulated

__all__ = ["Arithmetic", "Simulated", "Simulation", "prepare", "simulate"]

_HOMES = {"Arithmetic": "xportdnn.choices", "Simulated": "xportdnn.simulation.simulated"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "xportdnn.simulation.run")), name)
