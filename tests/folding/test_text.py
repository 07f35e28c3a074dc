"""The folded prototxt: nothing changes but what must, and it looks as if its author had written it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.folding.nets import assert_same_outputs, fold_text
from tests.folding.test_patterns import DATA, bn, relu, scale
from tests.small_nets import conv, layer
from xportdnn.build import build
from xportdnn.folding.plan import Plan
from xportdnn.folding.rewrite import rewritten
from xportdnn.journal import Journal
from xportdnn.prototxt import Source, parse

HEAD = """\
# a network\r
name: "net"   # its name
input: "data"
input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }
"""
BEFORE = """\

# the stem
layer {
	name: 'conv'	type: "Convolution"
	bottom: "data"
	top: "conv"   # before the norm
	param { lr_mult: 1 }
	convolution_param {
		num_output: 2
		bias_term: false
		kernel_size: 1   # pointwise
	}
	precision_param { bw_params: 8 }
}

# normalised
layer {
	name: "bn"
	type: "BatchNorm"
	bottom: "conv"
	top: "bn"
	precision_param { batchnorm_mean_fl: 3 }
}
layer { name: "scale" type: "Scale" bottom: "bn" top: 'scale' scale_param { bias_term: true } }

layer { name: "relu" type: "ReLU" bottom: "scale" top: "scale" }

layer < name: "drop", type: "Dropout", bottom: "scale", top: "drop"; >
layer { name: "fc" type: "InnerProduct" bottom: [ "drop" ] top: "fc" inner_product_param { num_output: 3 } }
"""
AFTER = """\

# the stem
layer {
	name: 'conv'	type: "Convolution"
	bottom: "data"
	top: "scale"   # before the norm
	param { lr_mult: 1 }
	convolution_param {
		num_output: 2
		kernel_size: 1   # pointwise
	}
	precision_param { bw_params: 8 }
}

# normalised

layer { name: "relu" type: "ReLU" bottom: "scale" top: "scale" }

layer { name: "fc" type: "InnerProduct" bottom: [ "scale" ] top: "fc" inner_product_param { num_output: 3 } }
"""


def test_every_other_byte_stays(tmp_path: Path) -> None:
    folded = fold_text(tmp_path, HEAD + BEFORE)
    assert folded.net.source.text.endswith(AFTER)
    assert folded.net.source.text.startswith('# a network\r\nname: "net"   # its name\nlayer {')
    assert_same_outputs(tmp_path, folded)


def test_old_blocks_of_what_stays_are_named(tmp_path: Path) -> None:
    journal = Journal()
    fold_text(tmp_path, HEAD + BEFORE, journal=journal)
    (warning,) = [remark.text for remark in journal.remarks if remark.level == 2]
    assert "the precision_param blocks of 1 layers belong to the network before folding" in warning


def test_windows_line_ends(tmp_path: Path) -> None:
    text = (DATA + conv("conv", "data", "conv", 4) + "\n" + bn("conv", "x") + "\n" + relu("x", "r")).replace(
        "\n", "\r\n"
    )
    expected = DATA + conv("conv", "data", "x", 4) + "\n" + relu("x", "r")
    assert fold_text(tmp_path, text).net.source.text == expected.replace("\n", "\r\n")


def test_all_on_one_line(tmp_path: Path) -> None:
    text = " ".join(
        (DATA + conv("conv", "data", "conv", 4, "kernel_size: 1 bias_term: false") + bn("conv", "x")).split()
    )
    expected = " ".join((DATA + conv("conv", "data", "x", 4)).split())
    assert fold_text(tmp_path, text).net.source.text == expected


@pytest.mark.parametrize("at_the_end", ["", "\n", "\n\n# end\n"])
def test_the_last_layer_goes(tmp_path: Path, at_the_end: str) -> None:
    text = DATA + conv("conv", "data", "conv", 4) + bn("conv", "conv").removesuffix("\n") + at_the_end
    expected = DATA + conv("conv", "data", "conv", 4) + at_the_end.removeprefix("\n")
    assert fold_text(tmp_path, text).net.source.text == expected


def test_layers_in_a_list(tmp_path: Path) -> None:
    listed = conv("conv", "data", "conv", 4).removeprefix("layer ") + "," + bn("conv", "x").removeprefix("layer ")
    folded = fold_text(tmp_path, f"{DATA}layer: [{listed}]\n")
    assert folded.net.source.text == DATA + conv("conv", "data", "x", 4)


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    text = DATA + "# \udcff\n" + conv("conv", "data", "conv", 4) + bn("conv", "b\udcffn")
    folded = fold_text(tmp_path, text)
    assert folded.net.source.text == DATA + "# \udcff\n" + conv("conv", "data", "b\udcffn", 4)
    assert_same_outputs(tmp_path, folded)


V1 = """\
input: "data"
input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4
layers {
  name: "conv"
  type: CONVOLUTION
  bottom: "data"
  top: "conv"
  blobs_lr: 1
  convolution_param { num_output: 3 kernel_size: 1 }
}
layers { name: "split" type: SPLIT bottom: "conv" top: "a" top: "b" }
layers { name: "power" type: POWER bottom: "a" top: "c" power_param { scale: 3 } }
layers { name: "drop" type: DROPOUT bottom: "b" top: "b" }
layers { name: "sum" type: ELTWISE bottom: "c" bottom: "b" top: "sum" }
"""


def test_the_old_format(tmp_path: Path) -> None:
    journal = Journal()
    folded = fold_text(tmp_path, V1, journal=journal)
    assert folded.net.source.text.endswith(
        'layer { name: "power" type: "Power" bottom: "conv" top: "c" power_param { scale: 3 } }\n'
        'layer { name: "sum" type: "Eltwise" bottom: "c" bottom: "conv" top: "sum" }\n'
    )
    # lines are those of the file on disk
    assert [folded.net.source.line(layer.entry.start) for layer in folded.net.layers] == [1, 3, 12, 14]
    assert any("deploy.prototxt:12) stays: " in remark.text for remark in journal.remarks)
    assert_same_outputs(tmp_path, folded)


def test_training_layers_stay(tmp_path: Path) -> None:
    """The loss reads the last blob, which keeps its name."""
    loss = layer("loss", "SoftmaxWithLoss", "out label", "loss")
    label = layer("label", "Data", "", "label", "include { phase: TRAIN }")
    text = DATA + label + conv("conv", "data", "conv", 4) + bn("conv", "x") + scale("x", "out") + loss
    assert fold_text(tmp_path, text).net.source.text == DATA + label + conv("conv", "data", "out", 4) + loss


def test_an_empty_plan_gives_the_very_same_source() -> None:
    net = build(parse(Source("net.prototxt", DATA + relu("data", "r"))))
    homes = {top: top for each in net.layers for top in each.tops}
    assert rewritten(net, Plan((), (), (), {}, homes, frozenset(homes), {})) is net.source
