"""Whether CHaiDNN runs a network, and how: checked and decided before anything runs.

Layers without a rule of the board are problems: types that its parser does not know, and those whose arithmetic was
never recorded from its code. Layers that it runs, but differently from what the network says, are warned about and
computed as the board computes them. Where its kernel is known to give numbers that follow no rule (`board.faults`),
the simulation computes what the kernel is meant to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xportdnn.arithmetic.board import faults
from xportdnn.choices import Mode
from xportdnn.errors import LayerError
from xportdnn.layers import Arrays, Shape
from xportdnn.network import Layer, Net, Value, infer_shapes
from xportdnn.precision import Ristretto
from xportdnn.simulation.board import geometry
from xportdnn.simulation.board.fusion import Fusion, fuse, report
from xportdnn.simulation.board.kinds import MOVED, SOFTWARE
from xportdnn.simulation.board.weights import Convolution, alone, fused, of_board, store
from xportdnn.simulation.formats import Block, Fixed, Whole, whole_in, whole_out
from xportdnn.simulation.places import Problems, Warnings

_UNRECORDED = frozenset({"Deconvolution", "Power"})
_NHWC = (0, 2, 3, 1)

# What is said of layers, their names behind it.
_UNCONVERTED = "the board converts nothing between layers; not every format that these read is the one that was written"
_UNSCALED = "the board does not rescale inside these layers"
_TRUNCATED = "the board works BatchNorm and Scale into these weights and keeps the whole part of their th_layer_out"
_DEPTHWISE = "the board rounds depthwise weights to whole numbers in Xilinx mode; these are computed as they should be"
_PRODUCT = "the board adds the bottoms of an Eltwise PROD"
_NORMALIZED = "the board's arithmetic for these is not recorded; they are computed in float and rounded half up"
_SPLIT = "the board's parser knows no Split; remove these, a blob may be read many times"
_DROPOUT = "the board's parser fails at a Dropout that is not in place; remove these"


class Sides(NamedTuple):
    """What a layer reads and writes by its own block; None where the block says nothing of it."""

    layer_in: Whole | None = None
    layer_out: Whole | None = None


@dataclass(frozen=True)
class Plan:
    """How the board runs a network.

    Attributes:
        convolutions: by layer index.
        sides: of all other layers of the kernel, by layer index.
        warnings: what will not be as the network says, or as the board is meant to compute.
    """

    fusion: Fusion
    convolutions: Mapping[int, Convolution]
    sides: Mapping[int, Sides]
    warnings: tuple[str, ...]


def plan(
    net: Net,
    layers: Sequence[Layer],
    weights: Mapping[int, Arrays],
    blocks: Mapping[int, Block],
    inputs: Mapping[Value, Shape],
) -> Plan:
    """How the board runs these layers.

    Raises:
        NetworkError: every layer that it cannot run.
    """
    problems, warnings = Problems(net), Warnings()
    fusion = fuse(net, layers)
    report(net, layers, fusion, problems, warnings)
    planner = _Planner(net, weights, blocks, infer_shapes(net, inputs), fusion, warnings)
    planner.written |= dict.fromkeys(inputs)
    for layer in layers:
        with problems.of(layer):
            planner.plan(layer)
    other = "fake" if any(map(_has_no_integers, blocks.values())) else "integer"
    problems.check(
        f"layers that the board cannot run; replace them, cut the network before them, or use --arithmetic {other}:"
    )
    return Plan(fusion, planner.convolutions, planner.sides, warnings.sentences)


def _has_no_integers(block: Block) -> bool:
    return isinstance(block, Ristretto) and (
        block.precision != "DYNAMIC_FIXED_POINT" or block.rounding_scheme == "STOCHASTIC"
    )


@dataclass
class _Planner:
    """Collects what is found while going through the layers.

    Attributes:
        written: the format of every value, None where it holds floats.
        unknown: values behind a layer that the board cannot run; nothing is said of those who read them.
    """

    net: Net
    weights: Mapping[int, Arrays]
    blocks: Mapping[int, Block]
    shapes: Mapping[Value, Shape]
    fusion: Fusion
    warnings: Warnings
    written: dict[Value, Whole | None] = field(default_factory=dict)
    unknown: set[Value] = field(default_factory=set)
    convolutions: dict[int, Convolution] = field(default_factory=dict)
    sides: dict[int, Sides] = field(default_factory=dict)

    def plan(self, layer: Layer) -> None:
        """One layer.

        Raises:
            LayerError: the board cannot run it.
        """
        assert layer.kind is not None
        self.written |= dict.fromkeys(layer.tops)
        self.unknown |= set(layer.tops)
        name = layer.kind.name
        if name in SOFTWARE:
            self._software(layer)
            self.unknown -= set(layer.tops)
        elif rule := _PLANS.get(name):
            form = rule(self, layer)
            self.written |= dict.fromkeys(layer.tops, form)
            if form is not None or not self.unknown.intersection(layer.bottoms):
                self.unknown -= set(layer.tops)
        elif name in _UNRECORDED:
            raise LayerError("its arithmetic on the board is not known")
        else:
            raise LayerError("the board knows no such type")

    def own(self, layer: Layer) -> Sides:
        """What the layer's block says.

        Raises:
            LayerError: it is a block that the board does not read.
        """
        block = of_board(self.blocks.get(layer.index))
        return self.sides.setdefault(layer.index, Sides(whole_in(block), whole_out(block)))

    def arriving(self, layer: Layer) -> list[Whole | None]:
        """The formats in which the bottoms were written."""
        return [self.written[value] for value in layer.bottoms]

    def enters(self, layer: Layer, own: Whole | None) -> None:
        """Compare what the layer reads with what was written.

        Raises:
            LayerError: floats arrive, and no format says how to make integers of them.
        """
        for value, form in zip(layer.bottoms, self.arriving(layer), strict=True):
            if value in self.unknown:
                continue
            if form is None and own is None:
                raise LayerError(f"'{value.blob}' holds floats, and no block says what integers to make of them")
            if form is not None and own is not None and form != own:
                self.warnings.add(_UNCONVERTED, layer, f"'{value.blob}' written with {form}, read with {own}")

    def _software(self, layer: Layer) -> None:
        for value, form in zip(layer.bottoms, self.arriving(layer), strict=True):
            if isinstance(form, Fixed) and form.fl < 0:
                raise LayerError(
                    f"runs in software and reads '{value.blob}' with fl_layer_out {form.fl}; the board cannot shift by "
                    "a negative number there, use at least 0"
                )


def _convolution(planner: _Planner, layer: Layer) -> Whole:
    blobs = planner.weights[layer.index]
    block = planner.blocks.get(layer.index)
    windows = geometry.of_convolution(layer, planner.shapes[layer.bottoms[0]])
    counts = planner.shapes[layer.tops[0]][2:]
    if layer.index in planner.fusion.normalised:
        batch_norm, scale = planner.fusion.normalised[layer.index]
        geometry.check_fused(batch_norm, scale)
        parts = [blobs, *(planner.weights[each.index] for each in (batch_norm, scale))]
        found = store(fused(parts, batch_norm.params.eps, block, planner.blocks.get(scale.index)))
    else:
        found = store(alone(layer, blobs, block))
    if found.truncated is not None:
        planner.warnings.add(_TRUNCATED, layer, f"{found.truncated:g}")
    planner.enters(layer, found.layer_in)
    first = not planner.convolutions
    planner.convolutions[layer.index] = found
    shape, group = blobs[0].shape, layer.params.group
    for fault in faults.convolution(found.mode, shape, group, windows, counts, found.bits, found.fl_params, first):
        planner.warnings.add(fault.sentence, layer)
    if group > 2 and group == layer.params.num_output and found.mode is Mode.XILINX:
        planner.warnings.add(_DEPTHWISE, layer)
    return found.layer_out


def _normalisation(planner: _Planner, layer: Layer) -> Whole | None:
    if layer.index not in planner.fusion.owners:
        raise LayerError(
            "the board runs BatchNorm and Scale only in a row behind a Convolution, both in place or both not and the "
            "Scale with one reader; work it into the weights"
        )
    return planner.arriving(layer)[0]


def _pooling(planner: _Planner, layer: Layer) -> Whole | None:
    params = layer.params
    own, out = planner.own(layer)
    _, channels, *size = planner.shapes[layer.bottoms[0]]
    if params.pool == "AVE" and (own is None or out is None):
        raise LayerError("has no complete precision_param; the board would take its own defaults; convert the network")
    planner.enters(layer, own)
    counts = planner.shapes[layer.tops[0]][2:]
    windows = geometry.of_pooling(layer, tuple(size), counts)
    if params.pool == "AVE" and isinstance(own, Fixed) and isinstance(out, Fixed):
        shift = own.fl + 8 - out.fl
        if not 1 <= shift <= 31:
            raise LayerError(
                f"fl_layer_in {own.fl} + 8 - fl_layer_out {out.fl} is {shift}; the board shifts by 1 to 31"
            )
    elif own is not None and out is not None and own != out:
        planner.warnings.add(_UNSCALED, layer, f"reads {own}, writes {out}")
    for fault in faults.pooling("AVE" if params.pool == "AVE" else "MAX", channels, tuple(size), windows, counts):
        planner.warnings.add(fault.sentence, layer)
    return out or planner.arriving(layer)[0]


def _eltwise(planner: _Planner, layer: Layer) -> Whole | None:
    if len(layer.bottoms) != 2 or layer.params.coeff or layer.params.operation == "MAX":
        raise LayerError("the board adds two bottoms without coeff, and nothing else")
    if layer.params.operation == "PROD":
        planner.warnings.add(_PRODUCT, layer)
    own, out = planner.own(layer)
    planner.enters(layer, own)
    arriving = planner.arriving(layer)
    if own is None and arriving[0] != arriving[1] and not planner.unknown.intersection(layer.bottoms):
        planner.warnings.add(_UNCONVERTED, layer, f"adds numbers with {arriving[0]} and with {arriving[1]}")
    if own is not None and out is not None and own != out:
        planner.warnings.add(_UNSCALED, layer, f"reads {own}, writes {out}")
    return out or arriving[0]


def _relu(planner: _Planner, layer: Layer) -> Whole | None:
    return planner.arriving(layer)[0]


def _normalize(planner: _Planner, layer: Layer) -> Whole | None:
    own, out = planner.own(layer)
    if layer.params.across_spatial:
        raise LayerError("across_spatial must be false on the board")
    if out is None:
        raise LayerError("has no complete precision_param; the board would take its own defaults; convert the network")
    planner.enters(layer, own)
    planner.warnings.add(_NORMALIZED, layer)
    return out


def _moved(planner: _Planner, layer: Layer) -> Whole | None:
    assert layer.kind is not None
    name, arriving = layer.kind.name, planner.arriving(layer)
    if name == "Split":
        planner.warnings.add(_SPLIT, layer)
    if name == "Dropout" and layer.tops[0].blob != layer.bottoms[0].blob:
        planner.warnings.add(_DROPOUT, layer)
    if name == "Permute" and layer.params.order != _NHWC:
        raise LayerError("the board takes only the order 0, 2, 3, 1")
    # of all these only the block of a Permute is read
    own = planner.own(layer) if name == "Permute" else Sides()
    planner.sides[layer.index] = own
    if None in arriving:
        return None
    if len(set(arriving)) > 1:
        forms = ", ".join(f"'{value.blob}' with {form}" for value, form in zip(layer.bottoms, arriving, strict=True))
        planner.warnings.add(_UNCONVERTED, layer, forms)
    return own.layer_out or arriving[0]


_PLANS: Mapping[str, Callable[[_Planner, Layer], Whole | None]] = {
    "Convolution": _convolution,
    "BatchNorm": _normalisation,
    "Scale": _normalisation,
    "Pooling": _pooling,
    "Eltwise": _eltwise,
    "ReLU": _relu,
    "Normalize": _normalize,
    **dict.fromkeys(MOVED, _moved),
}
