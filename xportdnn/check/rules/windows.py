"""Kernels, strides, pads and groups of Convolution, Deconvolution and Pooling: what the parser checks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

from xportdnn.check.graph import channels
from xportdnn.check.params import board_type, commas, flag, integer, integers, of, param, start
from xportdnn.check.rule import Broken, Rule, Severity
from xportdnn.check.shaped import shaped
from xportdnn.check.subject import BoardLayer, Subject
from xportdnn.prototxt import Message

_WEIGHTED = ("Convolution", "Deconvolution")
_WINDOWED = (*_WEIGHTED, "Pooling")
_FORMS = {"kernel": "kernel_size", "pad": "pad", "stride": "stride"}
_DEFAULTS = {"pad": 0, "stride": 1}


def _block(layer: BoardLayer) -> Message:
    return param(layer, "pooling_param" if board_type(layer) == "Pooling" else "convolution_param")


def _is_global(layer: BoardLayer) -> bool:
    return board_type(layer) == "Pooling" and flag(_block(layer), "global_pooling", False)


def _axes(layer: BoardLayer, form: str) -> tuple[int, int] | None:
    """(height, width) as the board reads them; None where it stops, or takes the bottom's for a global Pooling."""
    block = _block(layer)
    both = integers(block, _FORMS[form])
    high, wide = integers(block, f"{form}_h"), integers(block, f"{form}_w")
    if high or wide:
        return (high[0], wide[0]) if high and wide and not both else None
    if both or form in _DEFAULTS:
        first = both[0] if both else _DEFAULTS[form]
        return first, first
    return None


def _num_output(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, *_WEIGHTED, "InnerProduct"):
        name = "inner_product_param" if board_type(layer) == "InnerProduct" else "convolution_param"
        if not param(layer, name).all("num_output"):
            yield Broken(f"{name} has no num_output", layer)


def _forms(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, *_WINDOWED):
        block = _block(layer)
        for form, name in _FORMS.items():
            if form == "kernel" and _is_global(layer):
                continue
            given = [each for each in (name, f"{form}_h", f"{form}_w") if block.all(each)]
            where = start(block, *given)
            if given == [f"{form}_h"] or given == [f"{form}_w"]:
                yield Broken(f"{given[0]} stands alone; the board wants {form}_h and {form}_w, or {name}", layer, where)
            elif len(given) > 1 and name in given:
                yield Broken(f"{' and '.join(given)} are both given", layer, where)
            elif not given and form == "kernel":
                yield Broken("there is no kernel_size", layer)


def _square(form: str, types: tuple[str, ...]) -> Callable[[Subject], Iterator[Broken]]:
    def find(subject: Subject) -> Iterator[Broken]:
        for layer in of(subject, *types):
            axes, kernel = _axes(layer, form), _axes(layer, "kernel")
            # The remedy of square-kernel makes the pad square, too.
            follows = form == "pad" and kernel is not None and kernel[0] != kernel[1]
            if axes is not None and axes[0] != axes[1] and not (follows and board_type(layer) in _WEIGHTED):
                where = start(_block(layer), f"{form}_h", f"{form}_w")
                yield Broken(f"{form}_h is {axes[0]}, {form}_w is {axes[1]}", layer, where)

    return find


def _first_only(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, *_WEIGHTED, "Crop"):
        block = param(layer, "crop_param") if board_type(layer) == "Crop" else _block(layer)
        for name in ("kernel_size", "pad", "stride", "dilation", "offset"):
            values = integers(block, name)
            if len(set(values)) > 1:
                yield Broken(
                    f"{name} is {commas(values)}; the board takes {values[0]} for both axes", layer, start(block, name)
                )


def _group(subject: Subject) -> Iterator[Broken]:
    arriving = channels(subject)
    for layer in of(subject, "Convolution"):
        group, count = integer(_block(layer), "group", 1), arriving.get(layer.index, 0)
        if group < 1 or count % group:
            yield Broken(f"group is {group}, the bottom has {count} channels", layer, start(_block(layer), "group"))


def _deconvolution_pad(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Deconvolution"):
        axes = _axes(layer, "pad")
        if axes is not None and axes[0] == axes[1] != 0:
            yield Broken(f"pad is {axes[0]} instead of 0", layer, start(_block(layer), "pad", "pad_h", "pad_w"))


def _deconvolution_kernel(subject: Subject) -> Iterator[Broken]:
    for layer in of(subject, "Deconvolution"):
        kernel, stride = _axes(layer, "kernel"), _axes(layer, "stride")
        if kernel is None or stride is None or kernel[0] != kernel[1] or stride[0] != stride[1]:
            continue
        wanted = (2 * stride[0] - 1, 2 * stride[0])
        if kernel[0] not in wanted:
            message = f"kernel_size is {kernel[0]} at stride {stride[0]} instead of {wanted[0]} or {wanted[1]}"
            yield Broken(message, layer, start(_block(layer), "kernel_size", "kernel_h", "kernel_w"))


def _deconvolution_group(subject: Subject) -> Iterator[Broken]:
    arriving = channels(subject)
    for layer in of(subject, "Deconvolution"):
        block = _block(layer)
        group, made = integer(block, "group", 1), integer(block, "num_output", 0)
        count = arriving.get(layer.index, made)
        if made and not group == made == count:
            message = f"{count} channels come in, num_output is {made}, group is {group}; all three must be the same"
            yield Broken(message, layer, start(block, "group", "num_output"))


def _clip(subject: Subject) -> Iterator[Broken]:
    for found in shaped(subject, "Pooling"):
        layer, block = found.board, _block(found.board)
        kernel, pad, stride = (_axes(layer, form) for form in _FORMS)
        if kernel is None or pad is None or stride is None or not any(pad) or _is_global(layer):
            continue
        if block.all("ceil_mode") or block.all("round_mode"):
            continue  # unknown-field
        bottom, caffe = found.bottoms[0][2:], found.tops[0][2:]
        spans = zip(bottom, kernel, pad, stride, strict=True)
        board = tuple(ceil((size - window + 2 * edge) / step) + 1 for size, window, edge, step in spans)
        if board != caffe:
            sizes = [f"{high}x{wide}" for high, wide in (board, bottom, caffe)]
            message = f"the board makes {sizes[0]} of {sizes[1]}, Caffe {sizes[2]}"
            yield Broken(message, layer, start(block, "pad", "pad_h", "pad_w"))


_SOURCE = "caffe_network_parser.cpp, ExtractConvolutionParameters, ExtractDeconvolutionParameters, "
RULES = (
    Rule(
        "num-output",
        Severity.STOPS,
        "Convolution, Deconvolution and InnerProduct have num_output",
        "The parser wants it and does not look for it in the caffemodel.",
        "Write the number of filters, the first dim of the weights.",
        _SOURCE + "EP012; EP015 and EP018 (Deconvolution, InnerProduct) read, not run",
        _num_output,
    ),
    Rule(
        "window-fields",
        Severity.STOPS,
        "kernel_size, or kernel_h and kernel_w; the same for pad and stride",
        "The parser stops where both forms are given, where one of _h and _w stands alone (Caffe takes a default for "
        "the other), and where there is no kernel size.",
        "Write kernel_size, pad and stride: the board takes squares only.",
        _SOURCE + "EP151 to EP159; ExtractPoolingParameters, EP161 to EP169 (read, not run)",
        _forms,
    ),
    Rule(
        "square-kernel",
        Severity.STOPS,
        "The kernels of Convolution and Deconvolution are square",
        "The board has square filters only. Pooling may have any window.",
        "Where the sizes differ by an even number, enlarge the kernel to a square with zero weights around it, and the "
        "pad with it; otherwise train again.",
        _SOURCE + "EP154",
        _square("kernel", _WEIGHTED),
    ),
    Rule(
        "square-pad",
        Severity.STOPS,
        "The pad is the same in both directions",
        "The board pads all four sides alike.",
        "Where the kernel is not square either, make squares of both, see square-kernel; otherwise train again.",
        _SOURCE + "EP157; ExtractPoolingParameters, EP167 (read, not run)",
        _square("pad", _WINDOWED),
    ),
    Rule(
        "square-stride",
        Severity.STOPS,
        "The stride is the same in both directions",
        "The board steps alike in both directions.",
        "Train again with one stride.",
        _SOURCE + "EP160; ExtractPoolingParameters, EP170 (read, not run)",
        _square("stride", _WINDOWED),
    ),
    Rule(
        "first-value-only",
        Severity.WRONG,
        "A value for each axis is the same for both",
        "Where kernel_size, pad, stride, dilation, or Crop's offset are given for each axis, the board takes the first "
        "value for both, without a word. (A kernel does not fit its weights then, EP056.)",
        "Only what is the same on both axes runs on the board.",
        _SOURCE + "ExtractCropParameters (read, not run)",
        _first_only,
    ),
    Rule(
        "group-divides",
        Severity.STOPS,
        "The channels of a Convolution's bottom are a multiple of group",
        "As in Caffe.",
        "Correct group or the layer before.",
        _SOURCE + "EP014",
        _group,
    ),
    Rule(
        "deconvolution-pad",
        Severity.STOPS,
        "A Deconvolution has no pad",
        "The board's Deconvolution makes the whole output.",
        "Write pad: 0 and a Crop layer behind with that pad as offset.",
        _SOURCE + "EP058",
        _deconvolution_pad,
    ),
    Rule(
        "deconvolution-kernel",
        Severity.STOPS,
        "A Deconvolution's kernel is twice the stride, or one less",
        "The board's Deconvolution knows no other overlap.",
        "Enlarge a smaller kernel with zero weights behind the others and crop what that adds; train a larger one "
        "again.",
        _SOURCE + "EP059",
        _deconvolution_kernel,
    ),
    Rule(
        "deconvolution-group",
        Severity.STOPS,
        "A Deconvolution has one filter for each channel",
        "Channels in, num_output and group must be the same number: the board upsamples, it does not mix channels.",
        "Mix the channels by a 1x1 Convolution before it.",
        _SOURCE + "EP060",
        _deconvolution_group,
    ),
    Rule(
        "pooling-clip",
        Severity.WRONG,
        "A padded Pooling has the size that Caffe gives it",
        "Caffe drops a last window that would start in the padding; the board keeps it, and all sizes behind differ.",
        "Choose pad, kernel and stride so that the last window starts inside the picture.",
        "software/xtract/xparameter.hpp, PoolingParameter::computeOutputDim (read, not run)",
        _clip,
        "shapes",
    ),
)
