"""Broken and doubtful networks: what Caffe refuses is refused better, what it computes wrongly is computed right."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests import golden
from tests.caffe_files import made_up
from tests.golden import Files, Reject
from xportdnn.api import convert
from xportdnn.dump import dump
from xportdnn.errors import XportdnnError
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.network import infer_shapes
from xportdnn.opening import open_net

CASES = golden.caffe_rejects()

# What our message must hold besides its place: the value that is wrong and the remedy.
REFUSED = {
    "argmax_topk_big": 'layer "s" (ArgMax, line 8): top_k is 6 for a bottom of 1x5; use 1 to 5',
    "bn_param_lr_nonzero": 'layer "b" (BatchNorm, line 8): lr_mult of a BatchNorm param must be 0',
    "concat_shape": 'layer "e" (Concat, line 14): bottom 1 is 1x3x8x7 but bottom 0 is 1x3x8x8; they may differ along',
    "conv_group_indivisible": 'layer "c" (Convolution, line 8): the bottom\'s channels (3) cannot be divided into 2',
    "conv_kernel_and_hw": 'layer "c" (Convolution, line 8): kernel_size and kernel_h/kernel_w are both given; keep one',
    "conv_kernel_gt_input": 'layer "c" (Convolution, line 8): the kernel spans 5 cells but an axis of the bottom has 2',
    "conv_kernel_h_only": 'layer "c" (Convolution, line 8): kernel_h is given without kernel_w; give both',
    "conv_no_num_output": 'layer "c" (Convolution, line 8): num_output is missing or 0; give',
    "conv_three_kernels": 'layer "c" (Convolution, line 8): kernel_size is given 3 times; give it once',
    "crop_offset_count": 'layer "c" (Crop, line 14): 3 offset entries for 2 cropped axes; give none, 1 or 2',
    "duplicate_top": 'layer "s" (TanH, line 14): top \'x\' is already the top of layer "r" (line 8); give',
    "eltwise_broadcast": 'layer "e" (Eltwise, line 14): bottom 1 is 1x3x1x1 but bottom 0 is 1x3x8x8; Eltwise',
    "eltwise_coeff_count": 'layer "e" (Eltwise, line 14): 1 coeff entries for 2 bottoms; give one for each',
    "eltwise_prod_coeff": 'layer "e" (Eltwise, line 14): coeff 1 is given for operation PROD; coefficients need',
    "eltwise_shape": 'layer "e" (Eltwise, line 14): bottom 1 is 1x3x8x7 but bottom 0 is 1x3x8x8; Eltwise',
    "forward_reference": 'layer "r" (ReLU, line 8): bottom \'later\' is the top of no layer before it but of layer '
    '"later" (line 14) behind it',
    "inplace_concat": 'layer "c" (Concat, line 14): Concat cannot run in place; give its top another name than \'a\'',
    "inplace_flatten": 'layer "a" (Flatten, line 8): Flatten cannot run in place; give its top another name',
    "inplace_reshape": 'layer "a" (Reshape, line 8): Reshape cannot run in place; give its top another name',
    "inplace_tile": 'layer "a" (Tile, line 8): Tile cannot run in place; give its top another name',
    "input_dim_short": "deploy.prototxt:2: 1 input(s) need 4 input_dim values (batch, channels, height, width each), "
    "there are 2",
    "input_dim_zero": "deploy.prototxt:2): input_param shape 0x3x6x6 is empty; give every dim a size of at least 1",
    "ip_axis_oob": 'layer "s" (InnerProduct, line 8): axis 4 is out of range for a bottom of 1x3x8x8; use -4 to 3',
    "layer_without_type": 'layer "a" (no type, line 8): has no type; add type: "..."',
    "lrn_even_size": 'layer "n" (LRN, line 8): local_size must be odd, not 4',
    "pool_2d_bottom": 'layer "p" (Pooling, line 8): the bottom must have 4 axes (num, channels, height, width), it',
    "pool_global_stride2": 'layer "p" (Pooling, line 8): global_pooling has one window without pad; remove stride',
    "pool_global_with_kernel": 'layer "p" (Pooling, line 8): global_pooling takes the whole plane; remove kernel_size',
    "pool_no_kernel": 'layer "p" (Pooling, line 8): kernel_size is missing; give it',
    "pool_stochastic": 'layer "p" (Pooling, line 8): pool: STOCHASTIC has no forward in Caffe\'s TEST phase; use MAX',
    "relu_two_bottoms": 'layer "r" (ReLU, line 14): has 2 bottom blob(s), ReLU takes 1',
    "reshape_count": 'layer "r" (Reshape, line 8): reshape_param dims 5x5 do not hold the 192 values of the bottom',
    "reshape_two_m1": 'layer "r" (Reshape, line 8): reshape_param has 2 dims of -1; only one can be inferred',
    "scale_shape_mismatch": 'layer "sc" (Scale, line 14): the second bottom (2x4) does not match the first (2x3x4x5)',
    "shared_strict_shape": "deploy.prototxt:16): shares the parameter 'w' of layer \"f1\", which has the shape [4, 6]; "
    "this layer needs [6, 4]",
    "slice_points_count": 'layer "s" (Slice, line 8): 2 slice_point entries for 2 tops; 2 tops need 1',
    "softmax_axis_oob": 'layer "s" (Softmax, line 8): axis 4 is out of range for a bottom of 1x3x8x8; use -4 to 3',
    "split_then_inplace": 'layer "r" (ReLU, line 29): overwrites \'p\' of layer "p" (line 8) in place although another',
    "text_bad_enum": 'layer "p" (Pooling, line 8): pool must be one of MAX, AVE, STOCHASTIC, not MEDIAN',
    "text_c_comment": "deploy.prototxt:8:1: expected a field name, found '/'; comments start with '#'",
    "text_dup_message_ok": 'layer "c" (Convolution, line 8): convolution_param is given again in line 14; merge',
    "text_missing_brace": "deploy.prototxt:2:52: the file ends inside the '{' of line 2; add the missing '}'",
    "text_negative_uint": 'layer "c" (Convolution, line 8): pad must not be negative, it is -1',
    "text_quote_mismatch": "deploy.prototxt:8:30: expected ':' or '{' after 'ReLU', found a string that does not end",
    "text_v1_and_v2_mixed": "deploy.prototxt:8: 'layers' here and 'layer' in line 2: one file holds two generations",
    "weights_blob_count": 'layer "conv1" (Convolution, line 8): the caffemodel has 1 blob(s) for it, Convolution here '
    "needs 2; the prototxt wants a bias",
    "weights_data_count": 'layer "conv1", blob 0 holds 50 values, its shape [4, 3, 3, 3] needs 108',
    "weights_num_output_differs": 'layer "conv1" (Convolution, line 8): blob 0 has the shape [2, 3, 3, 3], it must be '
    "[4, 3, 3, 3]",
    "weights_shape": 'layer "conv1" (Convolution, line 8): blob 0 has the shape [4, 3, 9], it must be [4, 3, 3, 3]',
}  # fmt: skip

# Caffe runs these, but with an empty network, without weights, or with another shape than the blob's own.
REFUSED_THOUGH_ACCEPTED = {
    "inplace_crop": "layer \"c\" (Crop, line 14): Crop cannot run in place; give its top another name than 'a'",
    "text_empty": "deploy.prototxt: there is no layer in this file",
    "weights_empty_ok": "weights.caffemodel: this caffemodel holds no weights at all",
    "weights_garbage": "weights.caffemodel: not a readable caffemodel",
}

# Refused by Caffe, kept by us: a layer or field of another fork does not stop a conversion.
TOLERATED = {
    "unknown_type": 'no rule for the types of 1 layers; they stay in the file as they are, and what depends on their '
    'output is not calibrated: "r" (FancyLayer, line 8)',
    "text_unknown_field": 'layer "a" (ReLU, line 8): Caffe knows no field fancy; kept, without effect here',
}  # fmt: skip

# Read through a pointer that the layer itself writes to: Caffe runs all of these, and computes some of them wrongly.
IN_PLACE = sorted(name for name, case in CASES.items() if case.accepted and name not in REFUSED_THOUGH_ACCEPTED)


def test_every_case_has_its_place_here() -> None:
    assert sorted((*REFUSED, *REFUSED_THOUGH_ACCEPTED, *TOLERATED, *IN_PLACE)) == sorted(CASES)


def test_caffe_refuses_what_we_say_it_refuses() -> None:
    assert not [name for name in (*REFUSED, *TOLERATED) if CASES[name].accepted]


def forward(files: Files, folder: Path) -> dict[str, Array]:
    """Every top of a network by file name, from normally distributed inputs."""
    model, weights = files.write(folder)
    net = open_net(model, Journal())
    inputs = []
    for seed, value in enumerate(net.inputs):
        path = folder / f"{value.blob}.npy"
        array = np.random.default_rng(seed).standard_normal(net.declared[value])
        np.save(path, array.astype(np.float32))
        inputs.append(f"{value.blob}={path}")
    dump(model, weights, inputs, str(folder / "tops"), Journal())
    return {path.stem: np.load(path) for path in (folder / "tops").iterdir()}


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_THOUGH_ACCEPTED])
def test_is_refused(name: str, tmp_path: Path) -> None:
    fragment = (REFUSED | REFUSED_THOUGH_ACCEPTED)[name]
    with pytest.raises(XportdnnError, match=re.escape(fragment)) as caught:
        forward(CASES[name].files, tmp_path)
    assert caught.value.exit_code == 1
    assert len(caught.value.problems) <= 1


@pytest.mark.parametrize("name", TOLERATED)
def test_converts_with_a_warning(name: str, tmp_path: Path) -> None:
    model, _ = CASES[name].files.write(tmp_path)
    (tmp_path / "weights.caffemodel").write_bytes(b"")
    journal = Journal()
    result = convert(model, tmp_path / "weights.caffemodel", quant_type="DynamicFixed", journal=journal)
    assert result.text.encode() == CASES[name].files.prototxt
    # the board has its own opinion of such a file, in which there is nothing to quantize
    others = ("the board", "no layer gets formats")
    told = [remark.text for remark in journal.remarks if not remark.text.startswith(others)]
    assert [text.endswith(TOLERATED[name]) for text in told] == [True]


def test_the_forward_needs_a_rule_for_every_layer(tmp_path: Path) -> None:
    with pytest.raises(XportdnnError, match=r'no rule for the types .*\n  layer "r" \(FancyLayer, line 8\)'):
        forward(CASES["unknown_type"].files, tmp_path)


def with_weights(case: Reject, folder: Path) -> Files:
    net = open_net(case.files.write(folder)[0], Journal())
    return Files(case.files.prototxt, made_up(net, infer_shapes(net, net.declared)))


def out_of_place(prototxt: bytes) -> bytes:
    """The last top renamed."""
    head, tail = prototxt.rsplit(b'top: "', 1)
    return head + b'top: "new_' + tail


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_gives_what_it_gives_with_a_top_of_its_own(name: str, tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    files = with_weights(CASES[name], tmp_path)
    found = forward(files, tmp_path / "in")
    expected = forward(Files(out_of_place(files.prototxt), files.weights), tmp_path / "out")
    assert found.keys() == expected.keys()
    for file, array in expected.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(found[file], array)
