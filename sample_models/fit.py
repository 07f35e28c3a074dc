"""Training: preprocessed pictures and a prototxt in, a caffemodel out. Deterministic on one machine."""

from __future__ import annotations

import torch
from torch import Tensor

from sample_models.accuracy import probabilities
from sample_models.caffe_torch import CaffeNet, blobs_of, initialise
from sample_models.caffe_writer import WrittenLayer, caffemodel
from sample_models.images import Dataset
from sample_models.samples import Recipe, Sample
from xportdnn.prototxt import parse, read

TOLERANCE = 1e-4  # between torch's and OpenCV's probabilities


def log_probabilities(scores: Tensor) -> Tensor:
    """(N, ..., classes) scores to the logarithm of the probabilities averaged over positions, (N, classes)."""
    per_position = scores.reshape(len(scores), -1, scores.shape[-1]).log_softmax(dim=-1)
    return torch.logsumexp(per_position, dim=1) - torch.log(torch.tensor(float(per_position.shape[1])))


def train(net: CaffeNet, inputs: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """AdamW with one learning-rate cycle over `recipe.epochs` epochs."""
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=0.02)
    batches = len(labels) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, recipe.epochs * batches)
    net.train()
    for _ in range(recipe.epochs):
        for chosen in torch.randperm(len(labels))[: batches * recipe.batch].reshape(batches, recipe.batch):
            down, right = torch.randint(-recipe.shift, recipe.shift + 1, (2,)).tolist()
            scores = net(inputs[chosen].roll((down, right), dims=(2, 3)))
            loss = torch.nn.functional.nll_loss(log_probabilities(scores), labels[chosen])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    net.eval()


def trained(sample: Sample, dataset: Dataset) -> CaffeNet:
    """The sample's network, trained, in eval mode, for inputs as the preprocessing makes them."""
    torch.manual_seed(sample.recipe.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net = CaffeNet(parse(read(sample.prototxt)).root)
    initialise(net)
    unit = sample.recipe.input_unit
    inputs = torch.from_numpy(sample.preprocessing.apply(dataset.train.pixels)) / unit
    train(net, inputs, torch.from_numpy(dataset.train.labels), sample.recipe)
    with torch.no_grad():
        net.first_convolution().weight.div_(unit)
    return net


def write(sample: Sample, net: CaffeNet) -> None:
    """The caffemodel beside the prototxt."""
    layers = [
        WrittenLayer(layer.name, layer.type, layer.bottoms, (layer.top,), blobs_of(layer.step)) for layer in net.layers
    ]
    sample.caffemodel.write_bytes(caffemodel(sample.name, layers))


def compare(sample: Sample, net: CaffeNet, dataset: Dataset) -> None:
    """Raise ValueError unless OpenCV, given the files, computes what torch computes."""
    with torch.no_grad():
        inputs = torch.from_numpy(sample.preprocessing.apply(dataset.calibration.pixels))
        expected = log_probabilities(net(inputs)).exp().numpy()
    worst = float(abs(expected - probabilities(sample, dataset.calibration)).max())
    if not worst <= TOLERANCE:
        raise ValueError(f"{sample.caffemodel}: OpenCV's probabilities are off by {worst:.2g}; an export rule is wrong")
