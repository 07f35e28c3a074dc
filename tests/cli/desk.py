"""A network with pictures to convert, and what came of a run of the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.small_nets import PLAIN, write_net, write_pictures

# nothing can be said against it: the board's AVE pooling has a fault with 1 to 16 channels more than a multiple of 32
NET = PLAIN.replace("num_output: 5 ", "num_output: 20 ")


@dataclass(frozen=True)
class Ended:
    """A run of the command line."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stderr.splitlines()


Run: TypeAlias = "Callable[..., Ended]"


@dataclass(frozen=True)
class Desk:
    """A folder with a network and pictures."""

    folder: Path
    pictures: Path
    network: Sequence[str]

    @property
    def out(self) -> Path:
        return self.folder / "out.prototxt"

    def options(self, target: object = None, *more: object) -> list[str]:
        """A whole Xilinx run, one process."""
        return [
            *self.network, "--quantized_deploy_model", str(self.out if target is None else target),
            "--calibration_directory", str(self.pictures), "--workers", "1", *map(str, more),
        ]  # fmt: skip

    def fixed(self, *more: object) -> list[str]:
        """A whole DynamicFixed run."""
        return [
            "--quant_type", "DynamicFixed", *self.network, "--quantized_deploy_model", str(self.out), *map(str, more),
        ]  # fmt: skip

    @property
    def content(self) -> list[str]:
        """Names of all files and folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.iterdir())


def made(folder: Path, text: str = NET, mode: str = "RGB", count: int = 8, size: tuple[int, int] = (12, 10)) -> Desk:
    files = write_net(folder, text, dims=(1 if mode == "L" else 3, size[1], size[0]))
    return Desk(folder, write_pictures(folder / "pictures", count, size, mode), files.arguments)


UNTOUCHED = ["deploy.prototxt", "net.caffemodel", "pictures"]
