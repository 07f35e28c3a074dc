"""Pictures and their labels: from a file, from folders, from neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xportdnn.errors import ImageError, InputError, UsageError
from xportdnn.evaluation import labels
from xportdnn.evaluation.labels import Sample


def touch(folder: Path, *names: str) -> Path:
    """Empty files; what they hold is not looked at here."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def label_file(folder: Path, text: str) -> Path:
    path = folder / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return path


def names_and_labels(samples: Sequence[Sample]) -> list[tuple[str, int | None]]:
    return [(sample.name, sample.label) for sample in samples]


def test_a_plain_folder_is_unlabelled(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png", "notes.txt")
    found = labels.find(tmp_path, None, None)
    assert names_and_labels(found.samples) == [("a.png", None), ("b.png", None)]
    assert not found.labelled


def test_labels_of_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b c.png")
    found = labels.find(tmp_path, label_file(tmp_path, "b c.png\t7\n\n  ./a.png 3  \n"), None)
    assert names_and_labels(found.samples) == [("a.png", 3), ("b c.png", 7)]
    assert found.labelled
    assert found.notes == ()


def test_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "owl/1.png", "cat/2.png", "cat/1.png", "bee/x.txt", ".hidden/1.png")
    found = labels.find(tmp_path, None, None)
    # the folder without pictures is a class all the same
    assert found.classes == ("bee", "cat", "owl")
    assert names_and_labels(found.samples) == [("cat/1.png", 1), ("cat/2.png", 1), ("owl/1.png", 2)]


def test_folders_named_by_numbers_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, "10/a.png", "2/b.png")
    found = labels.find(tmp_path, None, None)
    assert found.classes == ()
    assert names_and_labels(found.samples) == [("10/a.png", 10), ("2/b.png", 2)]


def test_pictures_in_the_folder_itself_go_before_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "cat/1.png")
    assert names_and_labels(labels.find(tmp_path, None, None).samples) == [("a.png", None)]


def test_a_file_can_label_pictures_in_folders(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.png", "y/1.png")
    found = labels.find(tmp_path, label_file(tmp_path, "x/1.png 4\ny/1.png 5\n"), None)
    assert names_and_labels(found.samples) == [("x/1.png", 4), ("y/1.png", 5)]
    assert found.classes == ()


def test_labels_without_picture_are_named_but_harmless(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    found = labels.find(tmp_path, label_file(tmp_path, "a.png 1\nlost.png 2\ngone.png 3\n"), None)
    assert names_and_labels(found.samples) == [("a.png", 1)]
    assert len(found.notes) == 1
    assert found.notes[0].endswith("labels without picture: 2, gone.png, lost.png")


def test_pictures_without_label_are_refused_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    message = r"pictures without label: 2, a\.png, c\.png; labels without picture: 1, B\.png; every picture needs"
    with pytest.raises(InputError, match=message) as caught:
        labels.find(tmp_path, label_file(tmp_path, "b.png 1\nB.png 2\n"), None)
    assert "\n" not in str(caught.value)


def test_many_names_are_one_line(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.png" for number in range(9)))
    with pytest.raises(InputError, match=r": 9, 0\.png, 1\.png, 2\.png, 3\.png, 4\.png and 4 more; labels") as caught:
        labels.find(tmp_path, label_file(tmp_path, "".join(f"{number}.jpg 1\n" for number in range(200))), None)
    assert len(str(caught.value).splitlines()) == 1


def test_lines_that_are_wrong_are_refused_together(tmp_path: Path) -> None:
    path = label_file(tmp_path, "a.png 1\nb.png\nc.png -1\na.png 2\na.png 1\nd.png one\n")
    with pytest.raises(InputError, match="cannot be read") as caught:
        labels.read(path)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["line 2", "line 3", "line 4", "line 6"]


def test_a_label_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        labels.read(tmp_path / "labels.txt")


def test_two_folders_of_one_number(tmp_path: Path) -> None:
    touch(tmp_path, "1/a.png", "01/b.png")
    with pytest.raises(InputError, match="the folders 01 and 1 both stand for class 1"):
        labels.find(tmp_path, None, None)


@pytest.mark.parametrize("names", [(), ("cat/notes.txt",)], ids=["empty", "folders without pictures"])
def test_no_pictures(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(ImageError, match="0 images"):
        labels.find(tmp_path, None, None)


def test_labels_outside_the_output_are_named() -> None:
    samples = [Sample(Path(name), name, label) for name, label in (("a", 0), ("b", 9), ("c", 10), ("d", 99))]
    with pytest.raises(InputError, match=r"'prob' has 10 classes, 0 to 9; labels that lie outside: 2, c: 10, d: 99$"):
        labels.check_range(samples, 10, "prob")
    labels.check_range(samples[:2], 10, "prob")


def test_many_problems_are_counted() -> None:
    assert labels.listed([str(number) for number in range(8)])[-2:] == ["4", "and 3 more"]


def test_a_part_of_the_pictures_is_spread_over_all(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{number}.png" for name in "abc" for number in range(4)))
    found = labels.find(tmp_path, None, 3)
    assert names_and_labels(found.samples) == [("a/0.png", 0), ("b/0.png", 1), ("c/0.png", 2)]
    assert found.found == 12


def test_more_pictures_than_there_are(tmp_path: Path) -> None:
    found = labels.find(touch(tmp_path, "a.png"), None, 5)
    assert found.notes == ("5 pictures asked for, 1 found and used",)


def test_no_picture_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        labels.find(touch(tmp_path, "a.png"), None, 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(1, 200))
def test_spread_positions_exist_once_and_in_order(total: int, size: int) -> None:
    found = list(labels.spread(total, size))
    assert len(found) == min(size, total)
    assert found == sorted(set(found))
    assert found[0] == 0
    assert found[-1] < total
