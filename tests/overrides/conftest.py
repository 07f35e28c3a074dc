"""A small network to convert."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.overrides.desk import Desk
from tests.small_nets import PLAIN


@pytest.fixture
def plain(tmp_path: Path) -> Desk:
    return Desk(tmp_path, PLAIN)
