"""Files are written whole or not at all, and nothing that is an input, a folder or a device is replaced."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from xportdnn import output
from xportdnn.errors import OutputError, UsageError


def content(folder: Path) -> list[str]:
    """The names of everything in a folder."""
    return sorted(path.name for path in folder.iterdir())


class TestCheck:
    def test_standard_output_needs_no_check(self) -> None:
        output.check("-", ("-",))

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        output.check(str(tmp_path / "out.prototxt"), ())
        assert content(tmp_path) == []

    def test_folders_are_made(self, tmp_path: Path) -> None:
        output.check(str(tmp_path / "a" / "b" / "out.prototxt"), ())
        assert content(tmp_path / "a" / "b") == []

    @pytest.mark.parametrize("spelling", ["deploy.prototxt", "./deploy.prototxt", "link.prototxt", "hard.prototxt"])
    def test_an_input_is_refused_under_any_name(self, tmp_path: Path, spelling: str) -> None:
        deploy = tmp_path / "deploy.prototxt"
        deploy.write_text("")
        (tmp_path / "link.prototxt").symlink_to(deploy)
        os.link(deploy, tmp_path / "hard.prototxt")
        with pytest.raises(UsageError, match="is an input of this run; give the output another name"):
            output.check(f"{tmp_path}/{spelling}", ("missing.caffemodel", str(deploy)))

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="is a folder; give the name of a file in it"):
            output.check(str(tmp_path), ())

    def test_a_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match=r"out.prototxt: cannot be written: (Not a directory|File exists)"):
            output.check(str(tmp_path / "file" / "out.prototxt"), ())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            output.check(str(tmp_path / "out.prototxt"), ())


class TestWrite:
    @pytest.mark.parametrize("name", ["out.prototxt", "without suffix", ".hidden", "é.json"])
    def test_a_new_file(self, tmp_path: Path, name: str) -> None:
        output.write(str(tmp_path / name), b"a\r\nb\xff")
        assert (tmp_path / name).read_bytes() == b"a\r\nb\xff"
        assert content(tmp_path) == [name]

    def test_an_old_file_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("old and longer")
        output.write(str(tmp_path / "out"), b"new")
        assert (tmp_path / "out").read_bytes() == b"new"
        assert content(tmp_path) == ["out"]

    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_permissions_are_those_of_any_new_file(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            output.write(str(tmp_path / "out"), b"")
            assert os.umask(umask) == umask
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~umask

    def test_the_file_behind_a_link_is_replaced_and_the_link_stays(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_text("old")
        (tmp_path / "link").symlink_to(Path("folder", "file"))
        output.write(str(tmp_path / "link"), b"new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "file").read_bytes() == b"new"
        assert content(tmp_path / "folder") == ["file"]

    @pytest.mark.parametrize("link", [False, True], ids=["pipe", "link to a pipe"])
    def test_a_pipe_is_written_to(self, tmp_path: Path, link: bool) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        (tmp_path / "link").symlink_to(pipe)
        target = str(tmp_path / "link" if link else pipe)
        output.check(target, ())
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        output.write(target, b"through")
        reader.join(10)
        assert read == [b"through"]
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert content(tmp_path) == ["link", "pipe"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="a fault would replace the device itself, which only root can")
    def test_a_device_stays_a_device(self) -> None:
        output.check(os.devnull, ())
        output.write(os.devnull, b"gone")
        assert Path(os.devnull).is_char_device()

    def test_a_failure_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "out").write_text("old")

        def full(temporary: str, target: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="out: cannot be written: No space left on device"):
            output.write(str(tmp_path / "out"), b"new")
        assert (tmp_path / "out").read_text() == "old"
        assert content(tmp_path) == ["out"]

    def test_an_interruption_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(temporary: str, target: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            output.write(str(tmp_path / "out"), b"new")
        assert content(tmp_path) == []

    def test_a_folder_that_has_gone(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
            output.write(str(tmp_path / "gone" / "out"), b"")

    def test_standard_output(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        output.write("-", b"a\r\n\xff")
        assert capfdbinary.readouterr() == (b"a\r\n\xff", b"")
