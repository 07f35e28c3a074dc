"""A fault of xportdnn's own, and too little memory."""

from __future__ import annotations

import pytest

from tests.cli.desk import Desk, Run


def test_a_fault_of_ours_is_called_so(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("xportdnn.conversion.rewrite", broken)
    ended = run(*desk.fixed())
    expected = "xportdnn: error: this is a fault of xportdnn: ZeroDivisionError: oh; --debug shows where"
    assert (ended.code, ended.lines) == (1, [expected])
    with pytest.raises(ZeroDivisionError):
        run(*desk.fixed(), debug=True)


def test_too_little_memory_is_said(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("xportdnn.conversion.rewrite", empty)
    ended = run(*desk.fixed())
    assert ended.code == 1
    assert "out of memory; use fewer pictures" in ended.stderr
