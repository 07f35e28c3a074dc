"""Layers with blocks, as a converted file has them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.small_nets import layer

DATA = layer("data", "Input", "", "data", "input_param { shape { dim: 1 dim: 3 dim: 10 dim: 12 } }")


def xilinx(th_in: object, th_out: object, params: Sequence[object] = (), bits: int = 8) -> str:
    """A block of Xilinx mode, with `th_params` if there are any."""
    widths = f"bw_layer_in: {bits} bw_layer_out: {bits}" + (f" bw_params: {bits}" if params else "")
    filters = "".join(f" th_params: {value}" for value in params)
    sides = f"th_layer_in: {th_in} th_layer_out: {th_out}"
    return f'precision_param {{ {widths} {sides}{filters} quant_type: "Xilinx" }}'


def fixed(fl_in: int, fl_out: int, params: int | None = None, bits: int = 8) -> str:
    """A block of DynamicFixed mode, with `fl_params` if it is given."""
    widths = f"bw_layer_in: {bits} bw_layer_out: {bits}" + (f" bw_params: {bits}" if params is not None else "")
    sides = f"fl_layer_in: {fl_in} fl_layer_out: {fl_out}" + (f" fl_params: {params}" if params is not None else "")
    return f'precision_param {{ {widths} {sides} quant_type: "DynamicFixed" }}'


def conv(bottom: str, top: str, block: str, num_output: int = 2, more: str = "") -> str:
    """A 1x1 Convolution named like its top."""
    text = f"convolution_param {{ num_output: {num_output} kernel_size: 1 {more} }}"
    return layer(top, "Convolution", bottom, top, f"{text}\n{block}")


def xilinx_conv(bottom: str, top: str, th_in: object, th_out: object, num_output: int = 2, more: str = "") -> str:
    """The same with a block of Xilinx mode."""
    return conv(bottom, top, xilinx(th_in, th_out, [0.5] * num_output), num_output, more)


def fixed_conv(bottom: str, top: str, fl_in: int, fl_out: int, num_output: int = 2, more: str = "") -> str:
    """The same with a block of DynamicFixed mode."""
    return conv(bottom, top, fixed(fl_in, fl_out, 5), num_output, more)


def pool(bottom: str, top: str, block: str, method: str = "MAX") -> str:
    """A 2x2 Pooling named like its top."""
    text = f"pooling_param {{ pool: {method} kernel_size: 2 stride: 2 }}"
    return layer(top, "Pooling", bottom, top, f"{text}\n{block}")


def relu(bottom: str, top: str) -> str:
    """A ReLU named like its top, or after its bottom where it is in place."""
    return layer(f"{top}_relu", "ReLU", bottom, top)


def normalized(bottom: str, batch_norm: str, scale: str, block: str) -> str:
    """A BatchNorm and a Scale with the same block, named `norm` and `scale`."""
    shift = f"scale_param {{ bias_term: true }}\n{block}"
    return layer("norm", "BatchNorm", bottom, batch_norm, block) + layer("scale", "Scale", batch_norm, scale, shift)


def normalization(fl_in: int, fl_out: int) -> str:
    """A block of DynamicFixed mode that suits a BatchNorm and a Scale: it holds the fields of both."""
    names = (
        "batchnorm_mean", "batchnorm_variance", "scale_gamma", "scale_beta", "scale_gamma_by_std",
    )  # fmt: skip
    fields = " ".join(f"{name}_bw: 8 {name}_fl: 5" for name in names)
    return fixed(fl_in, fl_out).replace(" }", f" {fields} }}")
