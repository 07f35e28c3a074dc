"""Which layers get a `precision_param` block, with which fields: the layer-support matrices, as data.

`guide` is the table of the XportDNN user guide; `parser` is what CHaiDNN's own parser reads and warns about when it
is missing (software/xtract/caffe_network_parser.cpp, ExtractPrecisionParameters). The two contradict each other on
ReLU, Concat, Input, Deconvolution, Normalize and MAX pooling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from xportdnn.choices import Dialect, Matrix, Mode, Table

Fields: TypeAlias = tuple[str, ...]

# In the order of the field numbers of CHaiDNN's PrecisionParameter, which is the order that the original wrote.
_THRESHOLDS: Fields = ("bw_layer_in", "bw_layer_out", "th_layer_in", "th_layer_out", "quant_type")
_WEIGHT_THRESHOLDS: Fields = (
    "bw_layer_in", "bw_layer_out", "bw_params", "th_layer_in", "th_layer_out", "th_params", "quant_type",
)  # fmt: skip
_BARE: Fields = ("bw_layer_in", "bw_layer_out", "th_layer_in", "th_layer_out")
_INPUT: Fields = ("bw_layer_out", "th_layer_out")
_FORMATS: Fields = ("bw_layer_in", "bw_layer_out", "fl_layer_in", "fl_layer_out")
_PARAMS_FORMATS: Fields = ("bw_layer_in", "bw_layer_out", "bw_params", "fl_layer_in", "fl_layer_out", "fl_params")
_WEIGHT_FORMATS: Fields = (*_PARAMS_FORMATS, "quant_type")
_BATCH_NORM: Fields = (
    *_FORMATS, "batchnorm_mean_fl", "batchnorm_variance_fl", "batchnorm_mean_bw", "batchnorm_variance_bw", "quant_type",
)  # fmt: skip
_SCALE: Fields = (
    *_FORMATS, "scale_gamma_fl", "scale_beta_fl", "scale_gamma_bw", "scale_beta_bw", "scale_gamma_by_std_fl",
    "scale_gamma_by_std_bw", "quant_type",
)  # fmt: skip
_PLAIN_FORMATS: Fields = (*_FORMATS, "quant_type")


class Row(NamedTuple):
    """A line of the user guide's table: its name there, the Caffe types, and the block's fields (empty: no block)."""

    guide: str
    types: tuple[str, ...]
    xilinx: Fields = ()
    dynamic_fixed: Fields = ()


# A type may name its pooling method: "Pooling AVE".
_GUIDE = (
    Row("Convolution", ("Convolution",), _WEIGHT_THRESHOLDS, _WEIGHT_FORMATS),
    Row("BatchNorm", ("BatchNorm",), _THRESHOLDS, _BATCH_NORM),
    Row("Power", ("Power",)),
    Row("Scale", ("Scale",), _THRESHOLDS, _SCALE),
    Row("InnerProduct", ("InnerProduct",)),
    Row("Pooling (Max, Avg)", ("Pooling MAX", "Pooling AVE"), _THRESHOLDS, _PLAIN_FORMATS),
    Row("ReLU", ("ReLU",), _BARE),
    Row("Deconvolution", ("Deconvolution",), _WEIGHT_THRESHOLDS),
    Row("Concat", ("Concat",), _THRESHOLDS),
    Row("Crop", ("Crop",)),
    Row("Softmax", ("Softmax",)),
    Row("Dropout", ("Dropout",)),
    Row("Permute", ("Permute",), _THRESHOLDS, _PLAIN_FORMATS),
    Row("Normalize", ("Normalize",), _THRESHOLDS),
    Row("Argmax", ("ArgMax",)),
    Row("Flatten", ("Flatten",)),
    Row("PriorBox", ("PriorBox",)),
    Row("Reshape", ("Reshape",)),
    Row("NMS", ("DetectionOutput",)),
    Row("Eltwise", ("Eltwise",), _THRESHOLDS, _PLAIN_FORMATS),
    Row("Depthwise Separable Convolution", ("Convolution",), _WEIGHT_THRESHOLDS, _WEIGHT_FORMATS),
    Row("Input / Data", ("Input",), _INPUT),
)
_PARSER = (
    Row("Convolution (also grouped, depthwise)", ("Convolution",), _WEIGHT_THRESHOLDS, _WEIGHT_FORMATS),
    Row("Deconvolution", ("Deconvolution",), _WEIGHT_THRESHOLDS, _PLAIN_FORMATS),
    Row("Pooling MAX", ("Pooling MAX",), _THRESHOLDS),
    Row("Pooling AVE", ("Pooling AVE",), _THRESHOLDS, _PLAIN_FORMATS),
    Row("Eltwise", ("Eltwise",), _THRESHOLDS, _PLAIN_FORMATS),
    Row("Permute", ("Permute",), _THRESHOLDS, _PLAIN_FORMATS),
    Row("Normalize", ("Normalize",), _WEIGHT_THRESHOLDS, _PLAIN_FORMATS),
    Row("BatchNorm", ("BatchNorm",), _THRESHOLDS, _BATCH_NORM),
    Row("Scale", ("Scale",), _THRESHOLDS, _SCALE),
    Row("ReLU, Concat, Input, InnerProduct and all others", ()),
)
# What `ristretto quantize` makes quantized layers of, and Deconvolution, of which it leaves that to the user
# (pmgysel/caffe quantization.cpp, EditNetDescriptionDynamicFixedPoint; deconv_ristretto_layer.cpp).
_RISTRETTO = (
    Row("Convolution", ("Convolution",), (), _PARAMS_FORMATS),
    Row("InnerProduct", ("InnerProduct",), (), _PARAMS_FORMATS),
    Row("Deconvolution", ("Deconvolution",), (), _PARAMS_FORMATS),
)
ROWS: Mapping[Table, tuple[Row, ...]] = {
    Matrix.GUIDE: _GUIDE,
    Matrix.PARSER: _PARSER,
    Dialect.RISTRETTO: _RISTRETTO,
}


def fields(matrix: Table, mode: Mode, caffe_type: str, pool: str = "") -> Fields:
    """The fields of a layer's block; empty where it gets none.

    Args:
        caffe_type: Caffe's own name of the type.
        pool: MAX or AVE for a Pooling layer.
    """
    wanted = f"{caffe_type} {pool}" if caffe_type == "Pooling" else caffe_type
    for row in ROWS[matrix]:
        if wanted in row.types:
            return row.xilinx if mode is Mode.XILINX else row.dynamic_fixed
    return ()


def table(matrix: Matrix) -> list[tuple[str, str, str]]:
    """(layer, Xilinx, DynamicFixed) with Yes and No, for `--list-layers` and the README."""
    answer = {True: "Yes", False: "No"}
    return [(row.guide, answer[bool(row.xilinx)], answer[bool(row.dynamic_fixed)]) for row in ROWS[matrix]]
