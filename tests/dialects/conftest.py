"""Plans that many tests read."""

from __future__ import annotations

import pytest

from tests.dialects.plan_desk import MODES, Desk
from tests.small_nets import PLAIN


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desk]:
    """A plan of each mode."""
    return {mode: Desk(tmp_path_factory.mktemp(mode), PLAIN, mode) for mode in MODES}
