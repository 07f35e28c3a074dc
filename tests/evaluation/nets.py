"""Networks, pictures and stand-ins for a simulation that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.small_nets import conv, data, layer, net_of, random_weights
from xportdnn import convert, execute
from xportdnn.evaluation.share import Bench, Feeds, Run
from xportdnn.execute import Step
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net, Value, infer_shapes
from xportdnn.simulation import Simulated

ROOT = Path(__file__).resolve().parents[2]

HAS_REPORT = all(find_spec(name) is not None for name in ("jinja2", "pygal"))
INPUT = data(1, 3, 6, 5)
CLASSIFIER = (
    INPUT
    + conv("conv1", "data", "conv1", 4, "kernel_size: 3")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + conv("conv2", "conv1", "conv2", 7)
    + layer("pool2", "Pooling", "conv2", "pool2", "pooling_param { pool: AVE global_pooling: true }")
    + layer("prob", "Softmax", "pool2", "prob")
)
Change = Callable[[Step], Arrays]


def weights_of(net: Net, seed: int = 0) -> dict[int, Arrays]:
    """Made-up weights by layer index."""
    blobs = random_weights(net, net.declared, seed)
    return {each.index: blobs[each.name] for each in net.layers if each.name in blobs}


def pictures_of(net: Net, count: int, seed: int = 1) -> list[dict[Value, Array]]:
    """Random inputs."""
    rng = np.random.default_rng(seed)
    (target,) = net.inputs
    return [{target: rng.standard_normal(net.declared[target]).astype(np.float32)} for _ in range(count)]


def stand_in(net: Net, weights: Mapping[int, Arrays], change: Change, saturated: int = 0) -> Run:
    """A "quantized" network: the float one, every layer's tops changed after it ran."""

    def run(feeds: Feeds) -> Iterator[Simulated]:
        for step in execute.run(net, weights, feeds):
            yield Simulated(step.layer, change(step), saturated=saturated)

    return run


def bench(
    text: str,
    change: Change,
    count: int,
    outputs: Sequence[str],
    scores: str | None = None,
    labels: Sequence[int] | None = None,
    pictures: Sequence[Feeds] | None = None,
    histograms: bool = False,
) -> Bench:
    """A bench for a text with made-up weights; outputs are named by blob."""
    net = net_of(text)
    weights = weights_of(net)
    newest = {value.blob: value for each in net.layers for value in each.tops}
    return Bench(
        net,
        weights,
        pictures_of(net, count) if pictures is None else pictures,
        [None] * count if labels is None else labels,
        [stand_in(net, weights, change)],
        tuple(newest[name] for name in outputs),
        None if scores is None else newest[scores],
        True,
        histograms,
    )


def shapes_of(net: Net) -> dict[Value, tuple[int, ...]]:
    return infer_shapes(net, net.declared)


def converted(sample: str, target: Path, bits: int = 8, method: str = "max") -> Path:
    """A sample network, quantized by calibration pictures of its own."""
    folder = ROOT / "sample_models" / sample
    kind = sample.split("_")[0]
    done = convert(
        folder / "deploy.prototxt",
        folder / f"{sample}.caffemodel",
        calibration_directory=ROOT / "calibration" / kind,
        calibration_size=4,
        bitwidths=(bits,) * 3,
        threshold_method=method,
        input_scale=0.00390625 if kind == "digits" else 1.0,
        workers=1,
    )
    target.write_text(done.text, encoding="utf-8")
    return target
