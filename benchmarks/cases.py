"""Networks with pictures to calibrate with and others to judge by, for the tables in docs/.

The sample networks come with the repository; the others, and their pictures, are looked for in a folder beside it and
left out where that is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sample_models import digits, shapes
from sample_models.images import save, save_labels
from sample_models.samples import CALIBRATION, SAMPLES
from xportdnn.evaluation.options import EvaluationOptions
from xportdnn.evaluation.result import Evaluation
from xportdnn.evaluation.run import evaluate

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
CALIBRATED = 32  # pictures that each network is calibrated with
JUDGED = 400  # held-out pictures that the sample networks are judged by


@dataclass(frozen=True)
class Case:
    """A network, its pictures and how they are fed.

    Attributes:
        calibration: folder of the pictures to calibrate with; empty: every fifth of `images`, which are not judged.
        labels: a file of labels; empty where the outputs themselves are compared.
        feeding: options of the preprocessing.
    """

    name: str
    folder: Path
    images: Path
    calibration: Path | None = None
    labels: Path | None = None
    feeding: dict[str, Any] = field(default_factory=dict)

    @property
    def deploy(self) -> Path:
        return self.folder / "deploy.prototxt"

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.caffemodel"


_CIFAR = {"channel_swap": (0, 1, 2), "mean_value": str(SHARED / "models" / "cifar10_mean.binaryproto")}
_UNIT = {"input_scale": 0.0078125}
# network -> pictures, labelled or not, preprocessing as the collection's own README gives it
_COLLECTION: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "tinysqueeze_imagenet": ("imagenet_samples", True, {}),
    "resnet20_cifar10": ("cifar10_test_jpg", True, _CIFAR),
    "cifar10_full_v2": ("cifar10_test_jpg", True, _CIFAR),
    "cifar10_quick_2014_v1": ("cifar10_test_jpg", True, _CIFAR),
    "lenet_mnist": ("mnist_t10k_png", True, {"input_scale": 0.00390625}),
    "yufacedetect_v1": ("faces", False, {}),
    "retinaface_mnet25": ("faces", False, {"channel_swap": (0, 1, 2), "mean_value": "0"}),
    "ultraface_rfb320": ("faces", False, {"channel_swap": (0, 1, 2), "mean_value": "127", **_UNIT}),
    "mtcnn_det1": (
        "faces",
        False,
        {"channel_swap": (0, 1, 2), "mean_value": "127.5", "transpose": (2, 1, 0), **_UNIT},
    ),
}


def cases(drawn: Path) -> Iterator[Case]:
    """All networks that are there.

    Args:
        drawn: an empty folder for the held-out pictures of the sample networks.
    """
    for name, sample in SAMPLES.items():
        held_out = digits.dataset().held_out if sample.dataset == "digits" else shapes.held_out()
        folder, labels = drawn / sample.dataset, drawn / f"{sample.dataset}.labels.txt"
        if not folder.exists():
            save(folder, judged := held_out.part(0, JUDGED))
            save_labels(labels, judged.labels)
        steps = sample.preprocessing
        feeding: dict[str, Any] = {"input_scale": steps.input_scale, "channel_swap": steps.channel_swap}
        feeding["mean_value"] = ",".join(map(str, steps.mean))
        yield Case(name, sample.prototxt.parent, folder, CALIBRATION / sample.dataset, labels, feeding)
    for name, (images, labelled, feeding) in _COLLECTION.items():
        pictures = SHARED / "images" / images
        if pictures.is_dir():
            known = pictures.with_name(f"{images}.labels.txt") if labelled else None
            yield Case(name, SHARED / "models" / name, pictures, None, known, feeding)


def split(case: Case, folder: Path) -> tuple[Path, Path]:
    """Folders of links: the pictures to calibrate with, and those to judge by."""
    if case.calibration is not None:
        return case.calibration, case.images
    pictures = sorted(path for path in case.images.iterdir() if path.is_file())
    every = max(2, min(4, len(pictures) // CALIBRATED))
    for name, chosen in (("calibration", pictures[::every]), ("judged", _others(pictures, every))):
        (folder / name).mkdir()
        for path in chosen:
            (folder / name / path.name).symlink_to(path.resolve())
    return folder / "calibration", folder / "judged"


def _others(pictures: Sequence[Path], every: int) -> list[Path]:
    return [path for at, path in enumerate(pictures) if at % every]


def judge(case: Case, deploy: Path, weights: Path, judged: Path, folder: Path) -> Evaluation:
    """Evaluate a quantized network in the arithmetic `fake`.

    Args:
        judged: the pictures to judge by.
        folder: for files that nobody needs afterwards.
    """
    labels = None if case.labels is None else str(_kept(case.labels, judged, folder))
    return evaluate(EvaluationOptions(str(deploy), str(weights), str(judged), labels=labels, workers=1, **case.feeding))


def _kept(labels: Path, judged: Path, folder: Path) -> Path:
    """The lines of the pictures that are judged."""
    names = {path.name for path in judged.iterdir()}
    lines = labels.read_text(encoding="utf-8").splitlines()
    target = folder / "labels.txt"
    target.write_text("".join(f"{line}\n" for line in lines if line.split()[0] in names), encoding="utf-8")
    return target
