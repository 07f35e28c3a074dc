"""`fake` on planned memory gives what `Fake` gives; where sums are exact, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, conv, data, layer, net_of, random_weights
from xportdnn.engine.choice import Exact
from xportdnn.errors import LayerError
from xportdnn.layers import Array
from xportdnn.network import Net, Value, infer_shapes
from xportdnn.precision import Precision, Ristretto
from xportdnn.simulation import Arithmetic, Simulation, prepare
from xportdnn.simulation.planned import Planned, planned

# With weights and inputs of few bits all its sums are exact, in any order.
JOINED = (
    data(1, 3, 10, 12)
    + conv("stem", "data", "stem", 4, "kernel_size: 3 bias_term: false")
    + layer("stem_relu", "ReLU", "stem", "stem")
    + layer("ways", "Split", "stem", "one two three")
    + conv("left", "one", "left", 5, "kernel_size: 3 pad: 1 bias_term: false")
    + layer("left_relu", "ReLU", "left", "left")
    + conv("right", "two", "right", 7, "kernel_size: 1 bias_term: false")
    + layer("join", "Concat", "left right", "join")
    + layer("drop", "Dropout", "join", "join")
    + layer("small", "Pooling", "join", "small", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    + conv("again", "three", "again", 4, "kernel_size: 1 bias_term: false")
    + layer("sum", "Eltwise", "again stem", "sum")
    + layer("mean", "Pooling", "small", "mean", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
    + layer("flat", "Flatten", "mean", "flat")
    + layer("fc", "InnerProduct", "flat", "fc", "inner_product_param { num_output: 6 bias_term: false }")
)
NET = net_of(JOINED)
Blocks = Mapping[int, Precision | Ristretto]


class Case(NamedTuple):
    """A network with formats, prepared by rules and planned, and what to feed."""

    simulation: Simulation
    planned: Planned | None
    feeds: Mapping[Value, Array]


def case(net: Net, blocks: Blocks, seed: int = 0, arithmetic: Arithmetic = Arithmetic.FAKE) -> Case:
    named = random_weights(net, net.declared, seed)
    weights = {each.index: tuple(few_bits(blob, 1) for blob in named.get(each.name, ())) for each in net.layers}
    simulation = prepare(net, weights, blocks, arithmetic, net.declared)
    rng = np.random.default_rng(seed)
    feeds = {value: few_bits(rng.standard_normal(net.declared[value]), 4) for value in net.inputs}
    shapes = infer_shapes(net, net.declared)
    return Case(simulation, planned(simulation, shapes, net.inputs, Exact()), feeds)


def few_bits(array: NDArray[np.floating], steps: int) -> Array:
    """Multiples of 1 / (2 * steps), up to 1."""
    return np.asarray(np.clip(np.rint(2 * steps * array), -2 * steps, 2 * steps) / (2 * steps), np.float32)


def fixed(fl_in: int | None, fl_out: int | None, fl_params: int | None, bits: int = 8) -> Precision:
    return Precision(
        bw_layer_in=bits,
        bw_layer_out=bits,
        bw_params=bits,
        fl_layer_in=fl_in,
        fl_layer_out=fl_out,
        fl_params=fl_params,
    )


def assert_the_same(found: Case) -> None:
    """Numbers and counts of clipped ones, layer by layer, twice in the same memory."""
    assert found.planned is not None
    for _ in range(2):
        expected = list(found.simulation.run(found.feeds))
        for ours, theirs in zip(found.planned.run(found.feeds), expected, strict=True):
            assert ours.layer is theirs.layer
            assert ours.saturated == theirs.saturated, ours.layer.name
            for one, two in zip(ours.tops, theirs.tops, strict=True):
                np.testing.assert_array_equal(one, two, err_msg=ours.layer.name)


FRACTIONS = st.one_of(st.none(), st.integers(2, 7))
BLOCKS = st.one_of(st.none(), st.builds(fixed, FRACTIONS, FRACTIONS, FRACTIONS))


def is_renamed(index: int) -> bool:
    return NET.layers[index].type in ("Split", "Dropout")


@settings(max_examples=60, deadline=None)
@given(st.lists(BLOCKS, min_size=len(NET.layers), max_size=len(NET.layers)), st.integers(0, 99))
def test_any_formats(blocks: list[Precision | None], seed: int) -> None:
    """Bottoms read in other formats than they were written in, by one reader of several, too."""
    given = {index: block for index, block in enumerate(blocks) if block is not None and not is_renamed(index)}
    assert_the_same(case(NET, given, seed))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([index for index in range(len(NET.layers)) if not is_renamed(index)]), st.integers(0, 99))
def test_one_layer_alone(index: int, seed: int) -> None:
    assert_the_same(case(NET, {index: fixed(5, 3, 4)}, seed))


@pytest.mark.parametrize("text", [PLAIN, RESIDUAL, INCEPTION], ids=["plain", "residual", "inception"])
def test_thresholds(text: str) -> None:
    """Sums of floats are rounded in another order, so a few numbers are a step off."""
    net = net_of(text)
    blocks: dict[int, Precision] = {}
    for each in net.layers:
        own = random_weights(net, net.declared).get(each.name, ())
        th_params = (3.0,) * len(own[0]) if own and each.kind is not None and each.kind.name == "Convolution" else ()
        if each.type in ("Input", "Convolution", "ReLU", "Concat", "Pooling", "Dropout", "Eltwise"):
            blocks[each.index] = Precision("Xilinx", 8, 8, 8, th_layer_in=7.0, th_layer_out=7.0, th_params=th_params)
    found = case(net, blocks)
    assert found.planned is not None
    for ours, theirs in zip(found.planned.run(found.feeds), found.simulation.run(found.feeds), strict=True):
        for one, two in zip(ours.tops, theirs.tops, strict=True):
            differing = np.count_nonzero(np.abs(one - two) > 1e-4)
            assert differing <= one.size // 50, ours.layer.name


def test_what_is_not_quantized_is_the_float_network() -> None:
    assert_the_same(case(NET, {}))


def test_a_layer_that_only_moves_is_left_alone() -> None:
    join, fc = (next(each for each in NET.layers if each.name == name) for name in ("join", "fc"))
    found = case(NET, {join.index: fixed(5, 5, None), fc.index: fixed(5, 5, 5)}).planned
    assert found is not None
    assert found.leaves(join)  # nothing that it moves is quantized
    assert not found.leaves(fc)


@pytest.mark.parametrize("arithmetic", [Arithmetic.INTEGER, Arithmetic.CHAIDNN], ids=lambda each: each.value)
def test_other_arithmetics_cannot_be_planned(arithmetic: Arithmetic) -> None:
    net = net_of(data(1, 3, 4, 5) + conv("conv", "data", "conv", 2))
    assert case(net, {0: fixed(5, 5, None), 1: fixed(5, 5, 5)}, arithmetic=arithmetic).planned is None


TRIMMING_NET = net_of(JOINED.replace('"Convolution"', '"ConvolutionRistretto"').replace("InnerProduct", "FcRistretto"))
TRIMMING = [each.index for each in TRIMMING_NET.layers if each.type.endswith("Ristretto")]


def trimming(fl_in: int, fl_out: int, fl_params: int) -> Ristretto:
    return Ristretto(
        bw_layer_in=8, bw_layer_out=8, bw_params=8, fl_layer_in=fl_in, fl_layer_out=fl_out, fl_params=fl_params
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.builds(trimming, *[st.integers(2, 7)] * 3), min_size=len(TRIMMING), max_size=len(TRIMMING)))
def test_layers_that_trim_in_place(blocks: list[Ristretto]) -> None:
    """Through Split as well: "left", "right", "again" and "sum" read one piece of memory."""
    assert_the_same(case(TRIMMING_NET, dict(zip(TRIMMING, blocks, strict=True))))


@pytest.mark.parametrize("kind", ["Dropout", "Flatten"])
def test_memory_that_only_one_program_shares_cannot_be_trimmed_in_place(kind: str) -> None:
    """The engine renames Dropout's bottom where Caffe copies it, and copies Flatten's, where Caffe renames it."""
    text = (
        data(1, 3, 4, 5)
        + layer("other", kind, "data", "other")
        + layer("fc", "FcRistretto", "data", "fc", "inner_product_param { num_output: 2 bias_term: false }")
    )
    alone, both = text, text + layer("relu", "ReLU", "other", "relu")
    assert case(net_of(alone), {2: trimming(5, 5, 5)}).planned is not None
    assert case(net_of(both), {2: trimming(5, 5, 5)}).planned is None


def test_random_rounding_cannot_be_planned() -> None:
    """It follows the order of the numbers."""
    blocks = dict.fromkeys(TRIMMING, Ristretto(rounding_scheme="STOCHASTIC", fl_layer_in=5, fl_layer_out=5))
    assert case(TRIMMING_NET, blocks).planned is None


def test_one_piece_of_memory_cannot_be_read_twice() -> None:
    text = data(1, 3, 4, 5) + layer("ways", "Split", "data", "one two") + layer("sum", "Eltwise", "one two", "sum")
    assert case(net_of(text), {2: fixed(5, 5, None)}).planned is None
    assert case(net_of(text), {0: fixed(5, 5, None), 2: fixed(5, 5, None)}).planned is not None


def test_names_of_one_value_cannot_get_another_format() -> None:
    text = data(1, 3, 4, 5) + layer("ways", "Split", "data", "one two")
    assert case(net_of(text), {0: fixed(5, 5, None), 1: fixed(5, 3, None)}).planned is None


def test_numbers_that_are_none_are_named() -> None:
    found = case(NET, {NET.inputs[0].writer: fixed(5, 5, None)})
    assert found.planned is not None
    broken = {value: np.where(array > 0.5, np.float32(np.nan), array) for value, array in found.feeds.items()}
    wrong = int(np.isnan(next(iter(broken.values()))).sum())
    with pytest.raises(LayerError, match=rf'layer "data" \(Input, .*\): {wrong} values of 360 are NaN'):
        list(found.planned.run(broken))


def test_twins_work_at_the_same_time() -> None:
    blocks = {each.index: fixed(5, 4, 5) for each in NET.layers if not is_renamed(each.index)}
    found = case(NET, blocks)
    assert found.planned is not None
    twins = [found.planned.twin() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda twin: assert_the_same(found._replace(planned=twin)), twins))


def test_twins_in_one_memory_work_one_after_the_other() -> None:
    host, guest = case(NET, {1: fixed(5, 4, 5)}), case(NET, {4: fixed(5, 4, 5)})
    assert host.planned is not None
    assert guest.planned is not None
    for _ in range(2):
        assert_the_same(guest._replace(planned=guest.planned.twin(host.planned)))
        assert_the_same(host)
