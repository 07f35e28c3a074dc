"""Running a network: order, memory, several inputs, formats from either block."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from tests.simulation.quantized import block, feeds_of, fixed, prepared, run, xilinx
from tests.small_nets import INCEPTION, data, layer, net_of, random_weights
from xportdnn import execute, precision
from xportdnn.errors import NetworkError
from xportdnn.layers import Array
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import Arithmetic, prepare, simulate

ALL = pytest.mark.parametrize("arithmetic", list(Arithmetic), ids=lambda arithmetic: arithmetic.value)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def chain(length: int) -> str:
    """Pooling layers that change nothing but the format."""
    text = data(2, 1, 3, 4, name="p0")
    for index in range(length):
        rest = f"pooling_param {{ pool: MAX kernel_size: 1 }}\n{xilinx(8, 4, 4)}"
        text += layer(f"p{index + 1}", "Pooling", f"p{index}", f"p{index + 1}", rest)
    return text


@ALL
def test_layers_come_in_file_order_the_input_first(arithmetic: Arithmetic) -> None:
    assert list(run(chain(3), {}, {"p0": random(2, 1, 3, 4)}, arithmetic)) == ["p0", "p1", "p2", "p3"]


@ALL
def test_a_blob_is_dropped_after_its_last_reader(arithmetic: Arithmetic) -> None:
    simulation, feeds = prepared(chain(5), {}, {"p0": random(2, 1, 3, 4)}, arithmetic)
    alive: list[weakref.ref[object]] = []
    for step in simulation.steps(feeds):
        alive = [each for each in alive if each() is not None]
        alive.append(weakref.ref(step.outcome.tops[0]))
        gc.collect()
        # this one, the one that it read, and what is held of a step that has just been replaced
        assert len(alive) <= 3


@ALL
def test_simulate_is_prepare_and_run(arithmetic: Arithmetic) -> None:
    net = net_of(chain(2))
    feeds = feeds_of(net, {"p0": random(2, 1, 3, 4)})
    blocks = precision.read(net)
    simulation = prepare(net, {}, blocks, arithmetic, {value: array.shape for value, array in feeds.items()})
    for one, two in zip(simulate(net, {}, blocks, feeds, arithmetic), simulation.run(feeds), strict=True):
        assert one.layer is two.layer
        np.testing.assert_array_equal(one.tops[0], two.tops[0])


@ALL
def test_a_simulation_runs_again_and_again(arithmetic: Arithmetic) -> None:
    simulation, feeds = prepared(chain(2), {}, {"p0": random(2, 1, 3, 4)}, arithmetic)
    first, second = ([each.tops[0] for each in simulation.run(feeds)] for _ in range(2))
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("arithmetic", [Arithmetic.FAKE, Arithmetic.INTEGER], ids=lambda arithmetic: arithmetic.value)
def test_images_of_a_batch_do_not_see_each_other(arithmetic: Arithmetic) -> None:
    net = net_of(INCEPTION)
    blobs = random_weights(net, {net.inputs[0]: (1, 3, 9, 11)})
    text = INCEPTION.replace('type: "Convolution"', f'type: "Convolution" {fixed(8, 3, 1, 4)}')
    x = random(3, 3, 9, 11)
    together = run(text, blobs, {"data": x}, arithmetic)
    alone = [run(text, blobs, {"data": x[index : index + 1]}, arithmetic) for index in range(3)]
    for name, found in together.items():
        np.testing.assert_array_equal(found.tops[0], np.concatenate([each[name].tops[0] for each in alone]))


def test_real_values_are_integers_times_their_step() -> None:
    found = run(chain(1), {}, {"p0": random(2, 1, 3, 4)}, Arithmetic.INTEGER)["p1"]
    np.testing.assert_array_equal(found.tops[0], found.integers[0].astype(np.float32) * np.float32(4 / 127))
    assert found.tops[0].dtype == np.float32
    assert found.integers[0].dtype == np.int64


def test_feeds_are_left_alone() -> None:
    x = random(2, 1, 3, 4) * 9
    before = x.copy()
    rest = f"convolution_param {{ num_output: 1 kernel_size: 1 }}\n{block({'fl_layer_in': 2}, 'quantization_param')}"
    text = data(2, 1, 3, 4) + layer("c", "ConvolutionRistretto", "data", "c", rest)
    run(text, {"c": (random(1, 1, 1, 1), random(1))}, {"data": x}, Arithmetic.FAKE)
    np.testing.assert_array_equal(x, before)


def test_in_float_nothing_differs_from_the_forward() -> None:
    net = net_of(INCEPTION)
    value = net.inputs[0]
    blobs = random_weights(net, {value: (1, 3, 9, 11)})
    weights = {each.index: blobs.get(each.name, ()) for each in net.layers}
    feeds = {value: random(1, 3, 9, 11)}
    steps = execute.run(net, weights, feeds)
    for step, simulated in zip(steps, simulate(net, weights, {}, feeds, Arithmetic.FAKE), strict=True):
        np.testing.assert_array_equal(simulated.tops[0], step.tops[0])


# ---- formats in the text


def test_thresholds_in_a_quantization_param_are_read_as_the_board_reads_them() -> None:
    """As Xilinx's ml-suite wrote them."""
    fields = {"bw_layer_in": 8, "bw_layer_out": 8, "th_layer_in": 2.0, "th_layer_out": 3.0}
    net = net_of(data(1, 2, 3, 4) + layer("p", "Pooling", "data", "p", block(fields, "quantization_param")))
    (found,) = precision.read(net).values()
    assert isinstance(found, Precision)
    assert (found.th_layer_in, found.th_layer_out) == (2.0, 3.0)


def test_other_quantization_params_are_ristrettos() -> None:
    net = net_of(data(1, 2, 3, 4) + layer("p", "Pooling", "data", "p", block({"bw_layer_in": 8}, "quantization_param")))
    (found,) = precision.read(net).values()
    assert isinstance(found, Ristretto)


def test_ristrettos_types_without_a_block_have_its_defaults_in_its_own_files_only() -> None:
    theirs = data(1, 2, 3, 4) + layer("fc", "FcRistretto", "data", "fc", "inner_product_param { num_output: 2 }")
    assert list(precision.read(net_of(theirs)).values()) == [Ristretto()]
    ours = theirs + layer("p", "Pooling", "fc", "p", block({"bw_layer_in": 8, "fl_layer_in": 2}))
    assert [type(found) for found in precision.read(net_of(ours)).values()] == [Precision]


def test_an_unknown_mode_is_refused() -> None:
    net = net_of(data(1, 2, 3, 4) + layer("p", "Pooling", "data", "p", block({"quant_type": "xilinx"})))
    with pytest.raises(NetworkError, match='quant_type is "xilinx"; the board takes Xilinx or DynamicFixed'):
        precision.read(net)
