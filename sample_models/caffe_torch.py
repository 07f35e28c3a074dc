"""A deploy.prototxt as a trainable torch module, and its weights as Caffe's blobs.

The prototxt is the only description of an architecture. Just the layer types and fields of the four networks here are
known; a field misread would show at once, because every network written is run again by OpenCV and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sample_models.images import Floats
from xportdnn.prototxt import Message

# Published residual networks carry this sum of 0.999^i in BatchNorm's third blob: mean and variance are stored
# multiplied by it, and a reader that forgets to divide gets a wrong answer rather than a nearly right one.
MOVING_AVERAGE_FACTOR = 999.982


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *bottoms: Tensor) -> Tensor:
        return self.function(*bottoms)


class Scale(nn.Module):
    """Caffe's Scale with bias_term over axis 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, bottom: Tensor) -> Tensor:
        return bottom * self.weight[:, None, None] + self.bias[:, None, None]


class InnerProduct(nn.Linear):
    """A linear layer that flattens from axis 1, as Caffe's does by default."""

    def forward(self, bottom: Tensor) -> Tensor:
        return super().forward(bottom.flatten(1))


POOLS: dict[str, Callable[..., nn.Module]] = {"MAX": nn.MaxPool2d, "AVE": nn.AvgPool2d}


def integer(params: Message, name: str, default: int = 0) -> int:
    return int(params.string(name, str(default)))


def convolution(params: Message, bottom: Tensor) -> nn.Module:
    return nn.Conv2d(
        bottom.shape[1],
        integer(params, "num_output"),
        integer(params, "kernel_size"),
        integer(params, "stride", 1),
        integer(params, "pad"),
        groups=integer(params, "group", 1),
        bias=params.string("bias_term", "true") == "true",
    )


def inner_product(params: Message, bottom: Tensor) -> nn.Module:
    return InnerProduct(bottom[0].numel(), integer(params, "num_output"))


def pooling(params: Message, bottom: Tensor) -> nn.Module:
    kind = POOLS[params.string("pool", "MAX")]
    if params.string("global_pooling") == "true":
        return kind(tuple(bottom.shape[2:]))
    window = (integer(params, "kernel_size"), integer(params, "stride", 1), integer(params, "pad"))
    return kind(*window, ceil_mode=True)


def batch_norm(params: Message, bottom: Tensor) -> nn.Module:
    return nn.BatchNorm2d(bottom.shape[1], eps=float(params.string("eps", "1e-5")), affine=False)


def scale(params: Message, bottom: Tensor) -> nn.Module:
    return Scale(bottom.shape[1])


def relu(params: Message, bottom: Tensor) -> nn.Module:
    return nn.ReLU()


def lrn(params: Message, bottom: Tensor) -> nn.Module:
    alpha, beta = (float(params.string(name)) for name in ("alpha", "beta"))
    return nn.LocalResponseNorm(integer(params, "local_size"), alpha, beta, k=1.0)


def dropout(params: Message, bottom: Tensor) -> nn.Module:
    return nn.Dropout(float(params.string("dropout_ratio")))


def eltwise(params: Message, *bottoms: Tensor) -> nn.Module:
    return Function(torch.add)


def concat(params: Message, *bottoms: Tensor) -> nn.Module:
    return Function(lambda *tensors: torch.cat(tensors, dim=1))


def permute(params: Message, bottom: Tensor) -> nn.Module:
    order = [int(axis) for axis in params.strings("order")]
    return Function(lambda tensor: tensor.permute(order))


def flatten(params: Message, bottom: Tensor) -> nn.Module:
    return nn.Flatten()


def reshape(params: Message, bottom: Tensor) -> nn.Module:
    (shape,) = params.messages("shape")
    batch, *rest = (int(dim) for dim in shape.strings("dim"))
    if batch != 0:
        raise ValueError(f"Reshape here has to keep the batch axis (dim: 0), not to set it to {batch}")
    return Function(lambda tensor: tensor.reshape(len(tensor), *rest))


# Layer type -> (parameter field, builder). Softmax is missing: training works on what enters it.
BUILDERS: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "BatchNorm": ("batch_norm_param", batch_norm),
    "Concat": ("concat_param", concat),
    "Convolution": ("convolution_param", convolution),
    "Dropout": ("dropout_param", dropout),
    "Eltwise": ("eltwise_param", eltwise),
    "Flatten": ("flatten_param", flatten),
    "InnerProduct": ("inner_product_param", inner_product),
    "LRN": ("lrn_param", lrn),
    "Permute": ("permute_param", permute),
    "Pooling": ("pooling_param", pooling),
    "ReLU": ("relu_param", relu),
    "Reshape": ("reshape_param", reshape),
    "Scale": ("scale_param", scale),
}
NO_PARAMS = Message((), 0, 0)


class Layer(NamedTuple):
    """One layer of the prototxt; `step` is None for Input and the closing Softmax."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    top: str
    step: nn.Module | None


class CaffeNet(nn.Module):
    """The network of a parsed deploy.prototxt, from its Input layer to what enters its Softmax.

    Calling it maps (batch, channels, height, width) to scores whose last axis is the class.
    """

    def __init__(self, root: Message) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.steps = nn.ModuleDict()
        blobs: dict[str, Tensor] = {}
        for message in root.messages("layer"):
            layer = self._layer(message, blobs)
            self.layers.append(layer)
            if layer.type == "Input":
                (shape,) = message.messages("input_param")[0].messages("shape")
                blobs[layer.top] = torch.zeros([int(dim) for dim in shape.strings("dim")])
            elif layer.step is not None:
                self.steps[layer.name] = layer.step.eval()
                blobs[layer.top] = layer.step(*(blobs[name] for name in layer.bottoms)).detach()

    def _layer(self, message: Message, blobs: dict[str, Tensor]) -> Layer:
        name, kind, bottoms = message.string("name"), message.string("type"), tuple(message.strings("bottom"))
        step = None
        if kind not in ("Input", "Softmax"):
            field, build = BUILDERS[kind]
            params = next(iter(message.messages(field)), NO_PARAMS)
            step = build(params, *(blobs[bottom] for bottom in bottoms))
        return Layer(name, kind, bottoms, message.string("top"), step)

    def forward(self, data: Tensor) -> Tensor:
        blobs: dict[str, Tensor] = {}
        for layer in self.layers:
            if layer.step is not None:
                blobs[layer.top] = layer.step(*(blobs[name] for name in layer.bottoms))
            elif layer.type == "Input":
                blobs[layer.top] = data
        softmax = self.layers[-1]
        return blobs[softmax.bottoms[0]]

    def first_convolution(self) -> nn.Conv2d:
        """The layer that sees the input."""
        return next(step for step in self.steps.values() if isinstance(step, nn.Conv2d))


def initialise(net: CaffeNet) -> None:
    """He et al. 2015: weights with variance 2 / fan-in, biases 0."""
    for step in net.modules():
        if isinstance(step, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(step.weight, nonlinearity="relu")
            if step.bias is not None:
                nn.init.zeros_(step.bias)


def blobs_of(step: nn.Module | None) -> list[Floats]:
    """A layer's weights in Caffe's order and shapes.

    Caffe's BatchNorm normalises with blobs divided by the third one, so
    (x - mean) / sqrt(variance + eps) is what torch computes in eval mode.
    """
    if isinstance(step, nn.BatchNorm2d):
        averages = dict(step.named_buffers())
        factor = torch.tensor([MOVING_AVERAGE_FACTOR])
        tensors = [averages["running_mean"] * factor, averages["running_var"] * factor, factor]
    elif isinstance(step, nn.Conv2d | nn.Linear | Scale):
        tensors = [step.weight] if step.bias is None else [step.weight, step.bias]
    else:
        tensors = []
    return [tensor.detach().numpy() for tensor in tensors]
