"""The deploy prototxts of the measured networks, written from their published architectures.

Szegedy et al. 2014 (GoogLeNet, here without its two LRN layers), Iandola et al. 2016 (SqueezeNet 1.1), He et al. 2015
(ResNet-50), Howard et al. 2017 (MobileNet v1), Simonyan and Zisserman 2014 (VGG-16); layer names as in the Caffe
models that are in use. `tiny` is for trying the benchmarks out.
"""

from __future__ import annotations

from collections.abc import Sequence


class _Prototxt:
    """A prototxt that grows at its end; every method adds layers and returns the name of their last top."""

    def __init__(self, name: str, channels: int, height: int, width: int) -> None:
        dims = " ".join(f"dim: {dim}" for dim in (1, channels, height, width))
        self.text = f'name: "{name}"\n'
        self.layer("data", "Input", (), f"input_param {{ shape {{ {dims} }} }}")

    def layer(self, name: str, kind: str, bottoms: Sequence[str], params: str = "", *, in_place: bool = False) -> str:
        top = bottoms[0] if in_place else name
        lines = [f'name: "{name}"', f'type: "{kind}"', *(f'bottom: "{bottom}"' for bottom in bottoms), f'top: "{top}"']
        self.text += "layer {\n" + "".join(f"  {line}\n" for line in [*lines, *([params] if params else [])]) + "}\n"
        return top

    def relu(self, bottom: str, name: str) -> str:
        return self.layer(name, "ReLU", [bottom], in_place=True)

    def convolution(self, name: str, bottom: str, num_output: int, kernel_size: int, **fields: int | str) -> str:
        fields = {"num_output": num_output, "kernel_size": kernel_size, **fields}
        return self.layer(name, "Convolution", [bottom], f"convolution_param {{ {_written(fields)} }}")

    def rectified(self, name: str, bottom: str, num_output: int, kernel_size: int, **fields: int | str) -> str:
        """Convolution and ReLU."""
        return self.relu(self.convolution(name, bottom, num_output, kernel_size, **fields), f"{name}/relu")

    def normalized(self, name: str, bottom: str, num_output: int, kernel_size: int, **fields: int | str) -> str:
        """Convolution without bias, BatchNorm and Scale, the latter two in place."""
        top = self.convolution(name, bottom, num_output, kernel_size, bias_term="false", **fields)
        self.layer(f"{name}/bn", "BatchNorm", [top], in_place=True)
        return self.layer(f"{name}/scale", "Scale", [top], "scale_param { bias_term: true }", in_place=True)

    def pooling(self, name: str, bottom: str, pool: str, **fields: int | str) -> str:
        return self.layer(name, "Pooling", [bottom], f"pooling_param {{ {_written({'pool': pool, **fields})} }}")

    def inner_product(self, name: str, bottom: str, num_output: int) -> str:
        return self.layer(name, "InnerProduct", [bottom], f"inner_product_param {{ num_output: {num_output} }}")

    def dropout(self, name: str, bottom: str) -> str:
        return self.layer(name, "Dropout", [bottom], in_place=True)

    def softmax(self, bottom: str) -> str:
        """The end: the text of the whole network."""
        self.layer("prob", "Softmax", [bottom])
        return self.text


def _written(fields: dict[str, int | str]) -> str:
    return " ".join(f"{name}: {value}" for name, value in fields.items())


def tiny() -> str:
    """One layer of every type that the others hold, on 3x20x24."""
    net = _Prototxt("tiny", 3, 20, 24)
    stem = net.relu(net.normalized("stem", "data", 16, 3, pad=1), "stem/relu")
    shrunk = net.pooling("shrunk", stem, "MAX", kernel_size=3, stride=2)
    depthwise = net.rectified("depthwise", shrunk, 16, 3, pad=1, group=16)
    total = net.relu(net.layer("total", "Eltwise", [shrunk, depthwise]), "total/relu")
    branches = [net.rectified("branch1", total, 8, 1), net.rectified("branch3", total, 12, 3, pad=1)]
    joined = net.layer("joined", "Concat", branches)
    mean = net.pooling("mean", joined, "AVE", global_pooling="true")
    return net.softmax(net.inner_product("score", net.dropout("drop", mean), 10))


# 1x1, 3x3 reduced and 3x3, 5x5 reduced and 5x5, projection of the pooled
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet() -> str:
    """GoogLeNet without LRN, the network of CHaiDNN's own example."""
    net = _Prototxt("googlenet", 3, 224, 224)
    top = net.rectified("conv1/7x7_s2", "data", 64, 7, pad=3, stride=2)
    top = net.pooling("pool1/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    top = net.rectified("conv2/3x3_reduce", top, 64, 1)
    top = net.rectified("conv2/3x3", top, 192, 3, pad=1)
    top = net.pooling("pool2/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    for name, (one, reduced3, three, reduced5, five, projected) in _INCEPTIONS.items():
        block = f"inception_{name}"
        branches = [net.rectified(f"{block}/1x1", top, one, 1)]
        middle = net.rectified(f"{block}/3x3_reduce", top, reduced3, 1)
        branches.append(net.rectified(f"{block}/3x3", middle, three, 3, pad=1))
        middle = net.rectified(f"{block}/5x5_reduce", top, reduced5, 1)
        branches.append(net.rectified(f"{block}/5x5", middle, five, 5, pad=2))
        middle = net.pooling(f"{block}/pool", top, "MAX", kernel_size=3, stride=1, pad=1)
        branches.append(net.rectified(f"{block}/pool_proj", middle, projected, 1))
        top = net.layer(f"{block}/output", "Concat", branches)
        if name in ("3b", "4e"):
            top = net.pooling(f"pool{name[0]}/3x3_s2", top, "MAX", kernel_size=3, stride=2)
    top = net.pooling("pool5/7x7_s1", top, "AVE", kernel_size=7, stride=1)
    return net.softmax(net.inner_product("loss3/classifier", net.dropout("pool5/drop_7x7_s1", top), 1000))


def squeezenet() -> str:
    """SqueezeNet 1.1."""
    net = _Prototxt("squeezenet", 3, 227, 227)
    top = net.rectified("conv1", "data", 64, 3, stride=2)
    for index, (squeezed, expanded) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)], start=2
    ):
        if index in (2, 4, 6):
            top = net.pooling(f"pool{index - 1}", top, "MAX", kernel_size=3, stride=2)
        middle = net.rectified(f"fire{index}/squeeze1x1", top, squeezed, 1)
        one = net.rectified(f"fire{index}/expand1x1", middle, expanded, 1)
        three = net.rectified(f"fire{index}/expand3x3", middle, expanded, 3, pad=1)
        top = net.layer(f"fire{index}/concat", "Concat", [one, three])
    top = net.rectified("conv10", net.dropout("drop9", top), 1000, 1)
    return net.softmax(net.pooling("pool10", top, "AVE", global_pooling="true"))


def resnet50() -> str:
    """ResNet-50 as its authors published it: the stride stands in the first convolution of a block."""
    net = _Prototxt("resnet50", 3, 224, 224)
    top = net.relu(net.normalized("conv1", "data", 64, 7, pad=3, stride=2), "conv1_relu")
    top = net.pooling("pool1", top, "MAX", kernel_size=3, stride=2)
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=2):
        for letter in "abcdef"[:blocks]:
            name, first = f"res{stage}{letter}", letter == "a"
            stride = 2 if first and stage > 2 else 1
            shortcut = net.normalized(f"{name}_branch1", top, 4 * width, 1, stride=stride) if first else top
            top = net.normalized(f"{name}_branch2a", top, width, 1, stride=stride)
            top = net.normalized(f"{name}_branch2b", net.relu(top, f"{name}_branch2a_relu"), width, 3, pad=1)
            top = net.normalized(f"{name}_branch2c", net.relu(top, f"{name}_branch2b_relu"), 4 * width, 1)
            top = net.relu(net.layer(name, "Eltwise", [shortcut, top]), f"{name}_relu")
    top = net.pooling("pool5", top, "AVE", kernel_size=7, stride=1)
    return net.softmax(net.inner_product("fc1000", top, 1000))


def mobilenet() -> str:
    """MobileNet v1."""
    net = _Prototxt("mobilenet", 3, 224, 224)
    top = net.relu(net.normalized("conv1", "data", 32, 3, pad=1, stride=2), "relu1")
    channels = 32
    pairs = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for index, (num_output, stride) in enumerate(pairs, start=1):
        depthwise = net.normalized(f"dw{index}", top, channels, 3, pad=1, stride=stride, group=channels)
        top = net.normalized(f"sep{index}", net.relu(depthwise, f"dw{index}/relu"), num_output, 1)
        top, channels = net.relu(top, f"sep{index}/relu"), num_output
    top = net.pooling("pool6", top, "AVE", global_pooling="true")
    return net.softmax(net.convolution("fc7", top, 1000, 1))


def vgg16() -> str:
    """VGG-16."""
    net = _Prototxt("vgg16", 3, 224, 224)
    top = "data"
    for stage, (depth, width) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], start=1):
        for index in range(1, depth + 1):
            top = net.rectified(f"conv{stage}_{index}", top, width, 3, pad=1)
        top = net.pooling(f"pool{stage}", top, "MAX", kernel_size=2, stride=2)
    for name in ("fc6", "fc7"):
        top = net.dropout(f"drop{name[2]}", net.relu(net.inner_product(name, top, 4096), f"relu{name[2]}"))
    return net.softmax(net.inner_product("fc8", top, 1000))


NETS = {
    "googlenet": googlenet,
    "squeezenet": squeezenet,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
    "vgg16": vgg16,
    "tiny": tiny,
}
MEASURED = tuple(name for name in NETS if name != "tiny")
