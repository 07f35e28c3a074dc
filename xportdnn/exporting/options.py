"""Everything an export can be told."""

from __future__ import annotations

import os
from dataclasses import dataclass

from xportdnn.errors import UsageError
from xportdnn.layers import Shape
from xportdnn.output import STDOUT


@dataclass(frozen=True)
class ExportOptions:
    """The options of `xportdnn export`.

    Attributes:
        npz: the file of codes, scales and biases.
        pack6: six-bit codes without gaps there.
        caffemodel: the file of floats on the grid.
        c_dir: the folder for the C reference.
        inputs: what the C reference's golden vectors are computed from: `FILE.npy`, or `BLOB=FILE.npy`.
        dims: (C, H, W) of the input where the text says none.

    Raises:
        UsageError: options that contradict each other.
    """

    deploy_model: str
    weights: str
    npz: str | None = None
    pack6: bool = False
    caffemodel: str | None = None
    c_dir: str | None = None
    inputs: tuple[str, ...] = ()
    dims: Shape | None = None

    def __post_init__(self) -> None:
        places = {"--npz": self.npz, "--caffemodel": self.caffemodel, "--c_dir": self.c_dir}
        named = {option: path for option, path in places.items() if path is not None}
        if not named:
            raise UsageError("there is nothing to write; give --npz FILE, --caffemodel FILE, --c_dir DIR or several")
        for option, path in named.items():
            if not path:
                raise UsageError(f"{option} is empty; give it a name")
        if self.c_dir == STDOUT:
            raise UsageError("--c_dir is a folder, and no folder fits into standard output (-); give it a name")
        if len({path if path == STDOUT else os.path.realpath(path) for path in named.values()}) < len(named):
            raise UsageError("two of --npz, --caffemodel and --c_dir name the same place")
        if self.pack6 and self.npz is None:
            raise UsageError("--pack6 belongs to --npz FILE")
        if self.inputs and self.c_dir is None:
            raise UsageError("--input belongs to --c_dir DIR")
        if self.inputs and self.dims is not None:
            raise UsageError("--dims and --input exclude each other: an array has its own shape")
        if self.dims is not None and min(self.dims) < 1:
            raise UsageError(f"--dims must be three positive numbers C,H,W, it is {','.join(map(str, self.dims))}")

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are read."""
        arrays = [part for text in self.inputs for part in (text, text.partition("=")[2]) if part]
        return (self.deploy_model, self.weights, *arrays)
