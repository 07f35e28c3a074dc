"""Small quantized networks on disk, and the sample networks quantized."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.simulation.quantized import feeds_of, fixed, xilinx
from tests.small_nets import Files, data, layer, write_net
from xportdnn import execute, precision
from xportdnn.api import convert
from xportdnn.caffemodel import Caffemodel
from xportdnn.choices import Arithmetic
from xportdnn.exporting.weights import Exported, exported
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import Simulated, prepare
from xportdnn.simulation.grid import check_codes

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "digits_plain": "digits",
    "digits_residual": "digits",
    "shapes_inception": "shapes",
    "shapes_depthwise": "shapes",
}
MODES = ("Xilinx", "DynamicFixed")

CONV = "convolution_param { num_output: 4 kernel_size: 3 group: 2 }"
DECONV = "convolution_param { num_output: 6 kernel_size: 2 stride: 2 group: 2 }"
THRESHOLDS = (0.75, 1.5, 2.5, 0.0)


def small(mode: str) -> str:
    """Grouped convolution and deconvolution, BatchNorm and Scale that the board cannot fuse, a float InnerProduct."""
    if mode == "Xilinx":
        conv, deconv = xilinx(8, 3, 9, THRESHOLDS), xilinx(6, 9, 30, (0.5, 1.0, 1.5, 2.0, 2.5, 3.0))
        norm, scale = xilinx(8, 30, 9), xilinx(8, 9, 9)
    else:
        conv, deconv = fixed(8, 4, 3, 5), fixed(8, 3, 1, 4)
        moments = {"mean_fl": 5, "variance_fl": 6, "mean_bw": 8, "variance_bw": 8}
        norm = fixed(8, 1, 3, **{f"batchnorm_{name}": value for name, value in moments.items()})
        factors = {"gamma_fl": 6, "beta_fl": 4, "gamma_bw": 8, "beta_bw": 16}
        scale = fixed(8, 3, 3, **{f"scale_{name}": value for name, value in factors.items()})
    return (
        data(2, 2, 5, 6)
        + layer("a/conv", "Convolution", "data", "conv", f"{CONV}\n{conv}")
        + layer("up", "Deconvolution", "conv", "up", f"{DECONV}\n{deconv}")
        + layer("bn", "BatchNorm", "up", "bn", norm)
        + layer("scale", "Scale", "bn", "scale", f"scale_param {{ bias_term: true }}\n{scale}")
        + layer("ip", "InnerProduct", "scale", "ip", "inner_product_param { num_output: 3 }")
    )


class Network(NamedTuple):
    """A quantized network, opened."""

    files: Files
    opened: Opened
    model: Caffemodel
    blocks: dict[int, Precision | Ristretto]

    @property
    def weights(self) -> dict[int, Arrays]:
        return execute.load(self.opened.net.layers, self.opened.weights)

    def exported(self) -> dict[str, Exported]:
        """By layer name."""
        return {each.layer.name: each for each in exported(self.opened, self.blocks)}

    def simulated(self, arithmetic: Arithmetic, batch: Array | None = None) -> dict[str, Simulated]:
        """What is said of every layer, by name; of a random batch if there is none."""
        net = self.opened.net
        check_codes(net, net.layers[1:], self.model, arithmetic)
        (value,) = net.inputs
        if batch is None:
            shape = (3, *self.opened.inputs[value][1:])
            batch = np.random.default_rng(5).uniform(0, 2, shape).astype(np.float32)
        feeds = feeds_of(net, {value.blob: batch})
        simulation = prepare(net, self.weights, self.blocks, arithmetic, {value: batch.shape})
        return {each.layer.name: each for each in simulation.run(feeds)}


def opened(files: Files, weights: Path | None = None, journal: Journal | None = None) -> Network:
    """A network as the commands open it; `weights` in place of its own."""
    journal = journal or Journal()
    net, model = open_weights(open_net(files.deploy, journal), weights or files.weights, journal)
    whole = complete(net, model, net.declared, journal, strict=True)
    return Network(files, whole, model, precision.read(net))


def write(folder: Path, text: str, weights: Mapping[str, Arrays] | None = None) -> Network:
    return opened(write_net(folder, text, weights))


@cache
def converted(name: str, mode: str, bits: int = 8) -> str:
    """The text of a sample network, quantized."""
    kind, folder = SAMPLES[name], ROOT / "sample_models" / name
    files = folder / "deploy.prototxt", folder / f"{name}.caffemodel"
    widths = (bits, bits, bits)
    if mode == "DynamicFixed":
        return convert(*files, quant_type=mode, bitwidths=widths, fl_bitwidths=(4, 6, 4)).text
    scale = 1 / 256 if kind == "digits" else 1.0
    return convert(
        *files, bitwidths=widths, calibration_directory=ROOT / "calibration" / kind, calibration_size=4,
        input_scale=scale, threshold_method="mse", workers=1,
    ).text  # fmt: skip


def sample(folder: Path, name: str, mode: str, bits: int = 8) -> Files:
    """A sample network on disk, quantized."""
    deploy = folder / f"{name}.{mode}.prototxt"
    deploy.write_text(converted(name, mode, bits))
    return Files(deploy, ROOT / "sample_models" / name / f"{name}.caffemodel")


def pictures(name: str, count: int = 2) -> Array:
    """Numbers like those of pictures."""
    shape, scale = ((1, 24, 24), 1) if SAMPLES[name] == "digits" else ((3, 32, 32), 255)
    rng = np.random.default_rng(3)
    low = 0 if scale == 1 else -110
    return rng.uniform(low, low + scale, (count, *shape)).astype(np.float32)
