"""A prototxt and a caffemodel, opened together and checked against each other before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xportdnn import caffemodel, prototxt
from xportdnn.build import build
from xportdnn.caffemodel import Caffemodel
from xportdnn.errors import NetworkError, WeightsError
from xportdnn.journal import Journal
from xportdnn.layers import Shape
from xportdnn.mend import mend
from xportdnn.network import Layer, Net, Value, infer_shapes, unreached
from xportdnn.upgrade import upgrade
from xportdnn.weights import Weights, assign

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Opened:
    """A network whose shapes and weights fit.

    Attributes:
        inputs: the shapes of the fed inputs.
        shapes: those of all values that can be computed.
        unreached: layers that cannot run, with the reason.
        model: the whole caffemodel, whatever of it the layers take.
    """

    net: Net
    inputs: Mapping[Value, Shape]
    shapes: Mapping[Value, Shape]
    weights: Weights
    unreached: tuple[tuple[Layer, str], ...]
    model: Caffemodel | None = field(default=None, repr=False)


def open_net(path: str | Path, journal: Journal) -> Net:
    """The TEST network of a prototxt of any generation.

    Raises:
        PrototxtError, NetworkError: see `prototxt.parse` and `build.build`.
    """
    upgraded = upgrade(prototxt.parse(prototxt.read(path)))
    net = build(upgraded.document)
    for note in upgraded.notes:
        journal.info(note)
    for note in net.notes:
        journal.warn(note)
    for layer in net.left_out:
        journal.detail(f'layer "{layer.name}" ({layer.type}, line {layer.line}) is not run: {layer.reason}')
    if net.left_out:
        names = ", ".join(layer.name for layer in net.left_out)
        journal.info(f"{len(net.left_out)} layers belong to training or scoring and are not run: {names}")
    return net


def open_weights(net: Net, path: str | Path | None, journal: Journal) -> tuple[Net, Caffemodel]:
    """A network's caffemodel, and the network with the fields that the weights show to be missing.

    Args:
        path: a caffemodel, or quantized weights as `xportdnn export --npz` writes them.

    Raises:
        WeightsError: the file is no caffemodel, or holds the weights of another prototxt's formats.
    """
    if path is None:
        return net, Caffemodel("", ())
    model = _model(net, path)
    mended = mend(net, model)
    for note in mended.notes:
        journal.warn(note)
    return mended.net, model


def _model(net: Net, path: str | Path) -> Caffemodel:
    if not caffemodel.is_zip(path):
        return caffemodel.read(path)
    from xportdnn import codefile

    if not codefile.is_codefile(path):
        return caffemodel.read(path)
    model = codefile.read(path)
    if model.made_for != codefile.digest(prototxt.to_bytes(net.source.on_disk.text)):
        raise WeightsError(
            f"{path}: was exported with another prototxt than {net.source.name}, whose formats may be others; export "
            "the weights again with this one"
        )
    return model


def complete(net: Net, model: Caffemodel, inputs: Mapping[Value, Shape], journal: Journal, strict: bool) -> Opened:
    """The network with the shapes of all its values and the blobs of all its layers.

    Args:
        inputs: shapes of the fed inputs.

    Raises:
        NetworkError: shapes do not fit together, or `strict` and a layer has no rule or is refused by Caffe.
        WeightsError: the caffemodel belongs to another network.
    """
    without_rule = [layer for layer in net.layers if layer.kind is None and not layer.is_input]
    if strict and without_rule:
        raise NetworkError(
            f"{net.source.name}: there is no rule for the types of these layers; replace them, or cut them off:",
            [net.at(layer) for layer in without_rule],
        )
    if strict and net.doubts:
        raise NetworkError(
            f"{net.source.name}: Caffe refuses these layers:",
            [f"{net.at(layer)}: {reason}" for layer, reason in net.doubts],
        )
    for reason in dict.fromkeys(reason for _, reason in net.doubts):
        names = ", ".join(layer.name for layer, other in net.doubts if other == reason)
        journal.warn(f"{net.source.name}: {reason}. Caffe refuses that; it has no effect here: {names}")
    shapes = infer_shapes(net, inputs)
    found = assign(net, shapes, model)
    weighted = [layer for layer in without_rule if layer.name in model.names]
    if weighted and not any(found.values()):
        raise NetworkError(
            f"{net.source.name}: nothing in this network can be quantized: all its weights are in layers of types "
            "without a rule, or behind them; use the network's standard Caffe form:",
            [net.at(layer) for layer in weighted],
        )
    if without_rule:
        names = ", ".join(net.at(layer).removeprefix("layer ") for layer in without_rule)
        journal.warn(
            f"{net.source.name}: no rule for the types of {len(without_rule)} layers; they stay in the file as they "
            f"are, and what depends on their output is not calibrated: {names}"
        )
    return Opened(net, inputs, shapes, found, tuple(unreached(net, shapes)), model)
