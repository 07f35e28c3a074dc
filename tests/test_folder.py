"""What is found in a calibration directory, and which of it is chosen."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xportdnn.errors import ImageError, UsageError
from xportdnn.folder import Choice, Folder, choose, find
from xportdnn.images import Kind


def directory(path: Path, good: str = "", broken: str = "") -> Path:
    """A folder with one small PNG for each letter of `good` and one broken file for each letter of `broken`."""
    path.mkdir(exist_ok=True)
    for letter in good:
        Image.new("RGB", (4, 3), (ord(letter), 0, 0)).save(path / f"{letter}.png")
    for letter in broken:
        (path / f"{letter}.png").write_bytes(b"not an image")
    return path


def names(found: Folder | Choice) -> str:
    """The letters of the files."""
    paths = found.files if isinstance(found, Folder) else [picture.path for picture in found.pictures]
    return "".join(path.stem for path in paths)


class TestFind:
    def test_files_are_sorted_by_the_bytes_of_their_names(self, tmp_path: Path) -> None:
        for name in ("b.png", "B.png", "a10.png", "a9.png", "é.png", "z.png", "_.png"):
            (tmp_path / name).touch()
        assert [path.name for path in find(tmp_path).files] == [
            "B.png", "_.png", "a10.png", "a9.png", "b.png", "z.png", "é.png",
        ]  # fmt: skip

    def test_a_name_that_is_no_utf_8_is_found(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"\xff.png")).touch()
        (tmp_path / "é.png").touch()
        assert [os.fsencode(path.name) for path in find(tmp_path).files] == ["é.png".encode(), b"\xff.png"]

    @pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".Png", ".BMP", ".tif", ".webp", ".HEIC", ".pgm", ".gif"])
    def test_suffixes_in_any_case(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").touch()
        assert len(find(tmp_path).files) == 1

    def test_everything_else_is_counted(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.txt", "c.TXT", "labels", ".hidden.png", ".DS_Store", "d.csv"):
            (tmp_path / name).touch()
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "folder.png" / "inner.png").touch()
        found = find(tmp_path)
        assert names(found) == "a"
        assert found.others == ((".", 2), (".txt", 2), ("", 1), (".csv", 1))
        assert found.folders == 1

    def test_a_pipe_is_no_candidate(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.png")
        directory(tmp_path, "b")
        assert names(find(tmp_path)) == "b"

    def test_a_dangling_link_is_a_candidate_so_that_it_is_reported(self, tmp_path: Path) -> None:
        directory(tmp_path, "b")
        (tmp_path / "a.png").symlink_to(tmp_path / "gone")
        assert choose(find(tmp_path), 1, 3).skipped == (("a.png", "cannot be read: No such file or directory"),)

    def test_no_such_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="gone cannot be read as a directory of images: No such file"):
            find(tmp_path / "gone")

    def test_a_file_instead_of_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").touch()
        with pytest.raises(ImageError, match=r"a\.png is a file; give the directory"):
            find(tmp_path / "a.png")

    @pytest.mark.parametrize(
        ("files", "folders", "said"),
        [
            pytest.param([], [], "it is empty", id="empty"),
            pytest.param(["a.txt"], [], "it holds 1 file ending in .txt", id="one"),
            pytest.param(["a.txt", "b.txt"], ["x"], "it holds 2 files ending in .txt and 1 folder", id="and-a-folder"),
            pytest.param([], ["x", "y"], "it holds 2 folders (not searched)", id="folders"),
            pytest.param(
                ["a.txt", "b.txt", "Makefile", ".x"],
                [],
                "it holds 2 files ending in .txt, 1 file without suffix and 1 hidden file",
                id="three-sorts",
            ),
            pytest.param([f"a.{i}" for i in "abcdef"], [], "1 file ending in .d and 2 other files", id="many-sorts"),
        ],
    )
    def test_no_image_says_what_is_there(self, tmp_path: Path, files: list[str], folders: list[str], said: str) -> None:
        for name in files:
            (tmp_path / name).touch()
        for name in folders:
            (tmp_path / name).mkdir()
        with pytest.raises(ImageError) as refusal:
            find(tmp_path)
        assert str(refusal.value).startswith(f"0 images in {tmp_path}; ")
        assert said in str(refusal.value)


class TestChoose:
    def test_the_first_ones_in_order(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "dbca")), 3, 3)
        assert (names(chosen), chosen.asked, chosen.found, chosen.skipped) == ("abc", 3, 4, ())

    def test_a_picture_is_described(self, tmp_path: Path) -> None:
        (picture,) = choose(find(directory(tmp_path, "a")), 1, 3).pictures
        path = tmp_path / "a.png"
        assert (picture.path, picture.name) == (path, "a.png")
        assert picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (picture.kind, picture.width, picture.height) == (Kind("RGB"), 4, 3)

    def test_width_and_height_are_those_of_the_upright_picture(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (4, 3)).save(tmp_path / "a.png", exif=exif)
        (picture,) = choose(find(tmp_path), 1, 3).pictures
        assert (picture.width, picture.height) == (3, 4)

    def test_the_next_one_takes_the_place_of_a_broken_one(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "bde", broken="ac")), 2, 3)
        assert names(chosen) == "bd"
        assert chosen.skipped == tuple(
            (name, "no image format that Pillow knows, or broken at its very start") for name in ("a.png", "c.png")
        )

    def test_fewer_than_asked_is_told_by_the_numbers(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "ab", broken="c")), 8, 3)
        assert (len(chosen.pictures), chosen.asked, chosen.found, len(chosen.skipped)) == (2, 8, 3, 1)

    def test_nothing_usable_lists_five_reasons(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError) as refusal:
            choose(find(directory(tmp_path, broken="abcdefg")), 2, 3)
        assert refusal.value.message == f"none of the 7 images tried in {tmp_path} can be decoded"
        *reasons, rest = refusal.value.problems
        assert [reason[:6] for reason in reasons] == ["a.png:", "b.png:", "c.png:", "d.png:", "e.png:"]
        assert rest == "and 2 more"

    def test_a_network_of_four_channels_is_refused_before_any_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="4 channels"):
            choose(find(directory(tmp_path, broken="a")), 1, 4)

    def test_at_least_one_must_be_asked_for(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not 0"):
            choose(find(directory(tmp_path, "a")), 0, 3)


class TestSeed:
    def test_the_order_is_fixed_for_all_time(self, tmp_path: Path) -> None:
        folder = find(directory(tmp_path, "abcdefgh"))
        assert [names(choose(folder, 3, 3, seed=seed)) for seed in range(4)] == ["bch", "beg", "cef", "bcf"]

    def test_it_is_the_order_of_sha256(self, tmp_path: Path) -> None:
        folder = find(directory(tmp_path, "abcdefgh"))
        order = sorted("abcdefgh", key=lambda letter: hashlib.sha256(f"5:{letter}.png".encode()).hexdigest())
        assert names(choose(folder, 4, 3, seed=5)) == "".join(sorted(order[:4]))

    def test_a_broken_one_is_replaced_by_the_next_of_that_order(self, tmp_path: Path) -> None:
        order = sorted("abcdefgh", key=lambda letter: hashlib.sha256(f"5:{letter}.png".encode()).hexdigest())
        folder = find(directory(tmp_path, "".join(order[1:]), broken=order[0]))
        chosen = choose(folder, 2, 3, seed=5)
        assert names(chosen) == "".join(sorted(order[1:3]))
        assert [name for name, _ in chosen.skipped] == [f"{order[0]}.png"]

    def test_the_broken_ones_are_told_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "d", broken="abcefgh")), 8, 3, seed=5)
        assert [name[0] for name, _ in chosen.skipped] == list("abcefgh")

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(-(2**70), 2**70), size=st.integers(1, 9))
    def test_more_of_the_same_seed_holds_the_fewer(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, size: int
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "letters"
        folder = find(path if path.is_dir() else directory(path, "abcdefgh"))
        fewer, more = (names(choose(folder, count, 3, seed=seed)) for count in (size, size + 1))
        assert set(fewer) <= set(more)
        assert len(fewer) == min(size, 8)

    def test_seed_and_indices_exclude_each_other(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="exclude each other"):
            choose(find(directory(tmp_path, "a")), 1, 3, seed=1, indices=[0])


class TestIndices:
    def test_they_count_the_sorted_files(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "abcd")), 8, 3, indices=[3, 1])
        assert (names(chosen), chosen.asked) == ("bd", 2)

    def test_a_broken_one_is_not_replaced(self, tmp_path: Path) -> None:
        chosen = choose(find(directory(tmp_path, "bcd", broken="a")), 8, 3, indices=[0, 2])
        assert (names(chosen), chosen.asked, len(chosen.skipped)) == ("c", 2, 1)

    @pytest.mark.parametrize(
        ("indices", "said"),
        [
            pytest.param([0, 2], "index 2 does not exist; .* has 0 to 1", id="beyond"),
            pytest.param([-1], "index -1 does not exist", id="negative"),
            pytest.param([1, 0, 1], "index 1 is given twice", id="repeated"),
            pytest.param([], "at least 1 calibration image", id="none"),
        ],
    )
    def test_impossible_ones_are_named(self, tmp_path: Path, indices: list[int], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            choose(find(directory(tmp_path, "ab")), 8, 3, indices=indices)
