"""caffe-jacinto's `net_quantization_param` of its branch 0.17: one block for the network, formats found as it runs.

Only what decides about numbers is written in full, so that other defaults of another branch change nothing. Branch 0.16
has some fields under other names (`power2_range`); they are refused by name here, as by its protobuf the other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from xportdnn.blocks import Rewritten, block_lines, cleared
from xportdnn.choices import Triple
from xportdnn.decode import Uint, as_bool, decode, enum, unknown_fields
from xportdnn.dialects.retyping import retyped
from xportdnn.errors import InputError, LayerError, PrototxtError, UsageError
from xportdnn.network import Net
from xportdnn.plan import FieldValue, Word
from xportdnn.prototxt import Edit, Message, Source, parse

BLOCK = "net_quantization_param"
_PRECISION = "QuantizationParameter_Precision_"
_ROUNDING = "QuantizationParameter_Rounding_"
STOCHASTIC = f"{_ROUNDING}STOCHASTIC"
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


def chosen(text: str, bits: Triple, ignored: tuple[str, ...]) -> NetQuantization:
    """What the user wants.

    Args:
        text: fields of the block as in a prototxt.
        ignored: names of the layers to leave in float.

    Raises:
        UsageError: the text is none, names fields that the block does not have, or what other options say.
    """
    option = f"--{BLOCK} '{text}'"
    try:
        root = parse(Source(f"--{BLOCK}", text)).root
        found = decode(root, NetQuantization)
    except (PrototxtError, LayerError) as error:
        raise UsageError(f"{option}: {error}") from None
    if strangers := unknown_fields(root, NetQuantization):
        known = ", ".join(each.name for each in fields(NetQuantization) if each.name not in _OPTIONS)
        raise UsageError(f"{option}: the block has no field {strangers[0]}; it has {known}")
    for name, other in _OPTIONS.items():
        if root.all(name):
            raise UsageError(f"{option}: {name} is what {other} says; leave it out here")
    return replace(
        found, bitwidth_weights=bits.params, bitwidth_activations=bits.layer_out, ignored_layer_names=ignored
    )


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
    try:
        if len(blocks) > 1 or not isinstance(blocks[0], Message):
            raise LayerError(f"must be one {{ }} block, there are {len(blocks)} values")
        found = decode(blocks[0], NetQuantization)
    except LayerError as error:
        raise InputError(f"{net.source.name}: {BLOCK}: {error}") from None
    problems = [*_unread(net, unknown_fields(blocks[0], NetQuantization)), *_unusable(found)]
    if problems:
        raise InputError(f"{net.source.name}: {BLOCK} cannot be simulated:", problems)
    return found


def _unread(net: Net, strangers: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(strangers):
        yield f"{name} is no field of caffe-jacinto 0.17; remove it or write what it is called there"
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
    for name in ("bitwidth_weights", "bitwidth_activations", "bitwidth_bias"):
        if not 2 <= getattr(found, name) <= 24:
            yield f"{name}: {getattr(found, name)}; 2 to 24 bits can be simulated"
