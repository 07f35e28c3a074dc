"""caffe-jacinto's `net_quantization_param` of its branch 0.17: one block for the network, formats found as it runs.

Only what decides about numbers is written in full, so that other defaults of another branch change nothing. Branch 0.16
has some fields under other names (`power2_range`); they are refused by name here, as by its protobuf the other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from xportdnn.arithmetic import scaled
from xportdnn.arithmetic.scaled import Scaled
from xportdnn.blocks import Rewritten, block_lines, cleared
from xportdnn.choices import Triple
from xportdnn.decode import Uint, as_bool, decode, enum, unknown_fields
from xportdnn.dialects.retyping import retyped
from xportdnn.errors import InputError, LayerError, PrototxtError, UsageError
from xportdnn.jsonrules import near
from xportdnn.network import Layer, Net
from xportdnn.plan import FieldValue, Word
from xportdnn.prototxt import Edit, Field, Message, Source, parse

if TYPE_CHECKING:
    from xportdnn.layers import Array
    from xportdnn.weights import Weights

BLOCK = "net_quantization_param"
_PRECISION = "QuantizationParameter_Precision_"
_ROUNDING = "QuantizationParameter_Rounding_"
STOCHASTIC = f"{_ROUNDING}STOCHASTIC"
MULTIPLYING = frozenset({"Convolution", "InnerProduct", "Deconvolution"})
FLOAT, FIXED_POINT = f"{_PRECISION}FLOAT", f"{_PRECISION}DYNAMIC_FIXED_POINT"


@dataclass(frozen=True)
class NetQuantization:
    """The block with its defaults (mathmanu/caffe-jacinto, branch caffe-0.17, caffe.proto)."""

    quantize_weights: bool = True
    quantize_activations: bool = True
    bitwidth_weights: Uint = 12
    bitwidth_activations: Uint = 8
    bitwidth_bias: Uint = 16
    power2_scale_weights: bool = False
    power2_scale_activations: bool = False
    apply_offset_weights: bool = True
    apply_offset_activations: bool = False
    precision: str = enum(FLOAT, FIXED_POINT, default=FIXED_POINT)
    rounding_scheme: str = enum(f"{_ROUNDING}NEAREST", STOCHASTIC)
    display_quantization: int = 2000
    update_quantization_param: bool = True
    quantization_start: int = 1
    range_update_factor: float = 0.01
    range_expansion_factor: float = 1.25
    ignored_layer_names: tuple[str, ...] = ()


_ALWAYS = (
    "quantize_weights", "quantize_activations", "bitwidth_weights", "bitwidth_activations", "bitwidth_bias",
    "power2_scale_weights", "power2_scale_activations", "apply_offset_weights", "apply_offset_activations",
)  # fmt: skip
_OPTIONS = {
    "bitwidth_weights": "--bitwidths",
    "bitwidth_activations": "--bitwidths",
    "ignored_layer_names": "--skip_layers",
}
_WIDTHS = (2, 24)  # beyond 24 bits float32 has no whole numbers
_INT32 = 1 << 31


def chosen(text: str, bits: Triple, ignored: tuple[str, ...]) -> NetQuantization:
    """What the user wants.

    Args:
        text: fields of the block as in a prototxt.
        ignored: names of the layers to leave in float.

    Raises:
        UsageError: the text is none, or has fields that the block does not have, that other options say, or with which
            `read` would refuse the block: everything at once.
    """
    option = f"--{BLOCK} '{text}'"
    try:
        root = parse(Source(f"--{BLOCK}", text)).root
    except PrototxtError as error:
        raise UsageError(f"{option}: {error}") from None
    decoded, problems = _decoded(root)
    problems += [
        f"{name} is what {other} says; leave it out here" for name, other in _OPTIONS.items() if root.all(name)
    ]
    found = replace(
        decoded, bitwidth_weights=bits.params, bitwidth_activations=bits.layer_out, ignored_layer_names=ignored
    )
    problems += _unusable(found)
    if len(problems) == 1:
        raise UsageError(f"{option}: {problems[0]}")
    if problems:
        raise UsageError(f"{option}: these fields cannot be used:", problems)
    return found


def _decoded(block: Message) -> tuple[NetQuantization, list[str]]:
    """The block without the fields that cannot be read, and what is wrong with these."""
    problems: list[str] = []
    kept: list[Field] = []
    strangers = dict.fromkeys(unknown_fields(block, NetQuantization))
    for entry in block.fields:
        try:
            decode(block._replace(fields=(entry,)), NetQuantization)
        except LayerError as error:
            problems.append(str(error))
            continue
        single = entry.name not in strangers and entry.name != "ignored_layer_names"
        if single and entry.name in [each.name for each in kept]:
            problems.append(f"{entry.name} is given more than once")
        else:
            kept.append(entry)
    known = [each.name for each in fields(NetQuantization)]
    for name in strangers:
        hint = near(name, known) or f"; it has {', '.join(known)}"
        problems.append(f"{name} is no field of caffe-jacinto 0.17{hint}")
    return decode(block._replace(fields=tuple(kept)), NetQuantization), list(dict.fromkeys(problems))


def rewrite(net: Net, wanted: NetQuantization) -> Rewritten:
    """The network's text with the block, in front of the first layer.

    Raises:
        UsageError: it ignores layers that are not there.
    """
    if lost := sorted(set(wanted.ignored_layer_names) - {layer.name for layer in net.layers}):
        raise UsageError(f"--skip_layers {','.join(lost)}: {net.source.name} has no such layer that runs")
    edits, notes = cleared(net)
    edits += retyped(net)
    lines = ["quantize: true", *block_lines(_entries(wanted), BLOCK)]
    newline, start = net.source.newline, net.layers[0].entry.start
    edits.append(Edit(start, start, "".join(f"{line}{newline}" for line in lines)))
    return Rewritten(net.source.edited(edits), tuple(notes))


def _entries(wanted: NetQuantization) -> Iterator[tuple[str, FieldValue]]:
    default = NetQuantization()
    for each in fields(NetQuantization):
        value = getattr(wanted, each.name)
        if isinstance(value, tuple):
            yield from ((each.name, name) for name in value)
        elif each.name in _ALWAYS or value != getattr(default, each.name):
            yield each.name, _written(value)


def _written(value: bool | int | float | str) -> FieldValue:
    if isinstance(value, bool):
        return Word("true" if value else "false")
    return Word(value) if isinstance(value, str) else value


def read(net: Net) -> NetQuantization | None:
    """The block of a prototxt; None where it has none.

    Raises:
        InputError: it cannot be read, is switched off, or holds what is not known well enough to be simulated.
    """
    blocks = [entry.value for entry in net.settings if entry.name == BLOCK]
    if not blocks:
        return None
    if len(blocks) > 1 or not isinstance(blocks[0], Message):
        raise InputError(f"{net.source.name}: {BLOCK} must be one {{ }} block, there are {len(blocks)} values")
    found, problems = _decoded(blocks[0])
    problems += [*_unread(net), *_unusable(found)]
    if problems:
        raise InputError(f"{net.source.name}: {BLOCK} cannot be simulated:", problems)
    return found


def _unread(net: Net) -> Iterator[str]:
    values = [entry.value for entry in net.settings if entry.name == "quantize"]
    try:
        if not values or not as_bool(values[-1], "quantize"):
            yield "without `quantize: true` beside it caffe-jacinto computes in float; add it"
    except LayerError as error:
        yield str(error)
    own = [layer.name for layer in net.layers if layer.message.messages("quantization_param")]
    if own:
        yield f"layers have recorded ranges of their own, which are not read; remove quantization_param of {own[0]}"


def _unusable(found: NetQuantization) -> Iterator[str]:
    """What nobody can be served with, at either end: it is not written, and refused where somebody else wrote it."""
    if found.precision == FLOAT:
        yield f"precision: {FLOAT} quantizes nothing"
    if found.quantization_start < 1:
        yield f"quantization_start: {found.quantization_start} switches quantization off; give 1 or more"
    if not found.update_quantization_param:
        yield "update_quantization_param: false takes ranges recorded in a caffemodel, which are not read; remove it"
    if found.power2_scale_activations and not found.power2_scale_weights:
        yield (
            "power2_scale_activations without power2_scale_weights: the power of two is then relative to the scale of "
            "the weights, which is not described well enough; give both"
        )
    least, greatest = _WIDTHS
    for name in ("bitwidth_weights", "bitwidth_activations", "bitwidth_bias"):
        if not least <= getattr(found, name) <= greatest:
            yield f"{name}: {getattr(found, name)}; {least} to {greatest} bits can be simulated"
    for name in ("quantization_start", "display_quantization"):
        if not -_INT32 <= getattr(found, name) < _INT32:
            yield f"{name}: {getattr(found, name)} does not fit into 32 bits"
    # NaN compares as false
    if not 0 < found.range_update_factor <= 1:
        yield f"range_update_factor: {found.range_update_factor:g}; it must be above 0 and at most 1"
    # with a sign, which costs a bit: wider, the largest number is less than a step; narrower, a step is clipped
    bits = min(max(found.bitwidth_activations, least), greatest)
    limit = 1 << bits - 1
    if not 1 / limit < found.range_expansion_factor < limit:
        yield (
            f"range_expansion_factor: {found.range_expansion_factor:g} leaves nothing of numbers of {bits} bits; give "
            f"more than 1/{limit} and less than {limit}"
        )


def quantizes(layer: Layer, wanted: NetQuantization) -> bool:
    """Whether the weights of a layer are quantized."""
    return (
        wanted.quantize_weights
        and layer.kind is not None
        and layer.kind.name in MULTIPLYING
        and layer.name not in wanted.ignored_layer_names
    )


def of_blob(layer: Layer, index: int, blob: Array, wanted: NetQuantization) -> Scaled:
    """The format of a layer's weights, or where `index` is above 0 of its bias.

    Raises:
        LayerError: there is none for these numbers; caffe-jacinto goes on with NaN.
    """
    bits = wanted.bitwidth_bias if index else wanted.bitwidth_weights
    least, greatest = float(blob.min()), float(blob.max())
    try:
        return scaled.of_range(least, greatest, bits, wanted.power2_scale_weights, wanted.apply_offset_weights)
    except LayerError as error:
        numbers = f"all {least:g}" if least == greatest else f"{least:g} to {greatest:g}"
        what = f"its {'bias' if index else 'weights'}, {numbers}: {error}"
        raise LayerError(f"{what}; {remedy(layer, 'power2_scale_weights: true')}") from None


def remedy(layer: Layer, power_of_two: str) -> str:
    """What to do where numbers have no format.

    Args:
        power_of_two: the fields that do without the division.
    """
    return (
        f"--{BLOCK} '{power_of_two}' does without the division, --skip_layers {layer.name} (in the file "
        "ignored_layer_names) leaves the layer in float"
    )


def without_format(net: Net, weights: Weights, wanted: NetQuantization) -> Iterator[str]:
    """Of which layers caffe-jacinto makes NaN because of their weights, one sentence each."""
    for layer in net.layers:
        for index, blob in enumerate(weights.get(layer.index, ()) if quantizes(layer, wanted) else ()):
            try:
                of_blob(layer, index, blob.values(), wanted)
            except LayerError as error:
                yield f"{net.where(layer)}: {error}"
