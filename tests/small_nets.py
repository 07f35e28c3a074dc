"""Tiny networks as a user has them on disk: a prototxt, a caffemodel of made-up weights, a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests import caffe_files
from xportdnn.build import build
from xportdnn.layers import Array, Shape
from xportdnn.network import Layer, Net, Value, infer_shapes
from xportdnn.prototxt import Source, parse
from xportdnn.upgrade import upgrade


@dataclass(frozen=True)
class Files:
    """A network on disk."""

    deploy: Path
    weights: Path

    @property
    def arguments(self) -> list[str]:
        """The options that name it."""
        return ["--deploy_model", str(self.deploy), "--weights", str(self.weights)]


def layer(name: str, kind: str, bottoms: str, tops: str, rest: str = "") -> str:
    """A `layer { }` entry; blobs with blanks between them, `rest` on lines of its own."""
    lines = [f'name: "{name}"', f'type: "{kind}"']
    lines += [f'bottom: "{blob}"' for blob in bottoms.split()] + [f'top: "{blob}"' for blob in tops.split()]
    lines += rest.splitlines()
    return "layer {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def data(*shape: int, name: str = "data") -> str:
    """An Input layer."""
    dims = " ".join(f"dim: {dim}" for dim in shape)
    return layer(name, "Input", "", name, f"input_param {{ shape {{ {dims} }} }}")


def conv(name: str, bottom: str, top: str, num_output: int, more: str = "kernel_size: 1") -> str:
    """A Convolution layer."""
    return layer(name, "Convolution", bottom, top, f"convolution_param {{ num_output: {num_output} {more} }}")


PLAIN = (
    data(1, 3, 10, 12)
    + conv("conv1", "data", "conv1", 4, "kernel_size: 3")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + layer("pool1", "Pooling", "conv1", "pool1", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    + conv("conv2", "pool1", "conv2", 5, "kernel_size: 2")
    + layer("pool2", "Pooling", "conv2", "pool2", "pooling_param { pool: AVE global_pooling: true }")
    + layer("fc", "InnerProduct", "pool2", "fc", "inner_product_param { num_output: 6 }")
    + layer("prob", "Softmax", "fc", "prob")
)
RESIDUAL = (
    data(1, 3, 8, 9)
    + conv("stem", "data", "stem", 4, "kernel_size: 3 pad: 1")
    + layer("stem_relu", "ReLU", "stem", "stem")
    + conv("left", "stem", "left", 5, "kernel_size: 1 bias_term: false")
    + layer("left_bn", "BatchNorm", "left", "left")
    + layer("left_scale", "Scale", "left", "left", "scale_param { bias_term: true }")
    + conv("right", "stem", "right", 5, "kernel_size: 3 pad: 1")
    + layer("sum", "Eltwise", "left right", "sum")
    + layer("sum_relu", "ReLU", "sum", "sum")
    + layer("swap", "Permute", "sum", "swap", "permute_param { order: 0 order: 2 order: 3 order: 1 }")
)
INCEPTION = (
    data(1, 3, 9, 11)
    + conv("stem", "data", "stem", 6, "kernel_size: 3 pad: 1")
    + layer("stem_relu", "ReLU", "stem", "stem")
    + layer("norm", "LRN", "stem", "norm", "lrn_param { local_size: 3 alpha: 0.1 beta: 0.75 }")
    + conv("a", "norm", "a", 4)
    + layer("a_relu", "ReLU", "a", "a")
    + conv("b_reduce", "norm", "b_reduce", 2)
    + layer("b_reduce_relu", "ReLU", "b_reduce", "b_reduce")
    + conv("b", "b_reduce", "b", 5, "kernel_size: 3 pad: 1")
    + layer("b_relu", "ReLU", "b", "b")
    + layer("c_pool", "Pooling", "norm", "c_pool", "pooling_param { pool: MAX kernel_size: 3 pad: 1 }")
    + conv("c", "c_pool", "c", 3)
    + layer("c_relu", "ReLU", "c", "c")
    + layer("join", "Concat", "a b c", "join")
    + layer("drop", "Dropout", "join", "join")
    + layer("pool", "Pooling", "join", "pool", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }")
    + conv("last", "pool", "last", 7)
)


def net_of(text: str, name: str = "net.prototxt") -> Net:
    """The TEST network of a text of any generation."""
    return build(upgrade(parse(Source(name, text))).document)


def by_name(net: Net, name: str) -> Layer:
    """The layer of that name."""
    (found,) = (each for each in net.layers if each.name == name)
    return found


def value(net: Net, blob: str, writer: str = "") -> Value:
    """One version of a blob, by the layer that wrote it (the one of the blob's name, if not said)."""
    return Value(blob, by_name(net, writer or blob).index)


def random_weights(net: Net, inputs: Mapping[Value, Shape], seed: int = 0) -> dict[str, tuple[Array, ...]]:
    """Normally distributed blobs for every layer that has some; variances of BatchNorm are positive."""
    shapes = infer_shapes(net, inputs)
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[Array, ...]] = {}
    for each in net.layers:
        if each.kind is None or each.is_input or any(bottom not in shapes for bottom in each.bottoms):
            continue
        wanted = each.kind.blobs(each.params, tuple(shapes[bottom] for bottom in each.bottoms))
        blobs = tuple(rng.standard_normal(shape).astype(np.float32) for shape in wanted)
        if each.kind.name == "BatchNorm":
            blobs = (blobs[0], np.abs(blobs[1]) + np.float32(0.5), np.ones(1, np.float32))
        if blobs:
            found[each.name] = blobs
    return found


def caffemodel(blobs: Mapping[str, Iterable[Array]]) -> bytes:
    """Layers by name, today's form."""
    return b"".join(caffe_files.v2(name, "", *map(caffe_files.blob, arrays)) for name, arrays in blobs.items())


def write_net(
    folder: Path, text: str, weights: Mapping[str, Iterable[Array]] | None = None, dims: Shape | None = None
) -> Files:
    """Write a prototxt and its caffemodel; weights that are not given are made up.

    Args:
        weights: replaces the blobs of the layers it names.
        dims: (C, H, W) of the input where the text says none.
    """
    net = net_of(text)
    inputs = {each: net.declared.get(each, (1, *(dims or ()))) for each in net.inputs}
    blobs = {**random_weights(net, inputs), **(weights or {})}
    files = Files(folder / "deploy.prototxt", folder / "net.caffemodel")
    files.deploy.write_bytes(text.encode("utf-8", "surrogateescape"))
    files.weights.write_bytes(caffemodel(blobs))
    return files


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Path:
    """A folder of PNGs of random pixels, named 0.png, 1.png and so on; `size` is (width, height)."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{index}.png")
    return folder
