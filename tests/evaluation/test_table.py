"""The text for the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.test_run import DENSE, labels_of, options, quantized
from tests.small_nets import write_pictures
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate
from xportdnn.evaluation.table import text


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("table")
    images = write_pictures(folder / "pictures", 3, (5, 6))
    return evaluate(options(quantized(folder), images, labels=labels_of(folder, [0, 1, 2]), one_at_a_time=True))


def test_summary(evaluated: Evaluation) -> None:
    lines = text(evaluated).splitlines()
    assert lines[0].endswith("deploy.prototxt: 3 pictures, fake arithmetic")
    assert lines[1].startswith("top-1: float ")
    assert lines[2].startswith("top-5: float ")
    assert lines[3].startswith("agreement of top-1: ")
    assert lines[4].startswith("output prob: SQNR ")


def test_columns_are_aligned(evaluated: Evaluation) -> None:
    lines = text(evaluated).splitlines()
    start = lines.index("layers by damage, lowest SQNR first") + 1
    column = lines[start].index("layer")
    names = [line[column:] for line in lines[start + 1 :]]
    assert sorted(names) == [
        "conv1 (Convolution)", "conv2 (Convolution)", "data (Input)", "pool2 (Pooling)", "prob (Softmax)",
        "relu1 (ReLU)",
    ]  # fmt: skip
    assert all(line[column - 1] == " " for line in lines[start + 1 :])


def test_layers_alone_stand_before_the_sides(evaluated: Evaluation) -> None:
    lines = text(evaluated).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("one layer at a time"))
    names = [line.rsplit("  ", 1)[-1] for line in lines[start + 2 : start + 8]]
    assert sorted(names[:4]) == ["conv1", "conv2", "data", "pool2"]
    assert names[4:] == ["all weights", "all activations"]


def test_long_tables_are_cut_unless_asked_for(evaluated: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xportdnn.evaluation.table.SHORT", 2)
    short = text(evaluated)
    assert "... and 2 more; --verbose or --json shows all" in short
    assert short.endswith("... and 4 more; --verbose or --json shows all\n")
    assert "more;" not in text(evaluated, whole=True)


def test_zero_weights_are_shown(evaluated: Evaluation) -> None:
    (line,) = (line for line in text(evaluated).splitlines() if line.endswith("  conv1 (Convolution)"))
    row = next(row for row in evaluated.rows if row.layer.name == "conv1")
    assert f"  {row.zeros}  conv1" in line
    weights = [row.zeros for row in evaluated.rows if row.zeros is not None]
    shares = [f"{100 * sum(counts) / sum(each.total for each in weights):.1f} %" for counts in
              (tuple(each.before for each in weights), tuple(each.after for each in weights))]  # fmt: skip
    assert f"\nzero weights: {shares[0]} -> {shares[1]} of {sum(each.total for each in weights):,}\n" in text(evaluated)


def test_no_accuracy_without_labels(tmp_path: Path) -> None:
    found = evaluate(options(quantized(tmp_path), write_pictures(tmp_path / "pictures", 1, (5, 6))))
    assert "top-1: " not in text(found).replace("agreement of top-1: ", "")
    assert text(found).splitlines()[0].endswith("1 picture, fake arithmetic")


def test_dense_outputs_have_a_psnr(tmp_path: Path) -> None:
    found = evaluate(options(quantized(tmp_path, DENSE), write_pictures(tmp_path / "pictures", 2, (5, 6))))
    assert " dB, PSNR " in text(found)
    assert "agreement" not in text(found)
