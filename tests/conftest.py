"""Settings for the whole suite."""

from __future__ import annotations

from hypothesis import settings

# the same examples on every run: a suite that fails now and then tells nobody anything
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
