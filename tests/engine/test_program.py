"""Whole networks: the same values as by the reference rules, in little memory, whatever is observed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests import golden
from tests.engine.networks import Network, assert_close, assert_program_like_the_reference, network, stored
from tests.small_nets import INCEPTION, PLAIN, RESIDUAL, by_name, conv, data, layer
from xportdnn import execute
from xportdnn.engine import Program, choice, layout, rule
from xportdnn.engine.kernel import Kernel
from xportdnn.errors import LayerError
from xportdnn.layers import Array, Arrays
from xportdnn.network import Layer, Value

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path.parent for path in (ROOT / "sample_models").glob("*/deploy.prototxt"))
MODELS = ROOT.parent / "shared" / "models"
# The shape of the input of networks that take pictures of any size.
SIZES = {"vdsr_x234": (1, 1, 41, 43), "waifu2x_upconv7_photo_scale2": (1, 3, 40, 44)}
REFUSED = {"lenet_fq", "lenet_pruned"}

NETS = {"plain": PLAIN, "residual": RESIDUAL, "inception": INCEPTION}
every_net = pytest.mark.parametrize("name", NETS)


def run(case: Network, observed: list[Value] | None = None, seed: int = 0) -> dict[Value, Array]:
    """Copies of the observed values."""
    return {value: array.copy() for value, array in case.program(observed).run(case.feeds(seed))}


@every_net
def test_all_values(name: str) -> None:
    assert_program_like_the_reference(network(NETS[name]))


@every_net
def test_the_output_alone(name: str) -> None:
    case = network(NETS[name])
    assert_program_like_the_reference(case, case.net.layers[-1].tops)


@every_net
def test_each_value_alone(name: str) -> None:
    case = network(NETS[name])
    for value in case.shapes:
        assert_program_like_the_reference(case, [value])


@pytest.mark.parametrize("folder", SAMPLES, ids=lambda folder: folder.name)
def test_the_shipped_networks(folder: Path) -> None:
    dims = (1, 1, 24, 24) if folder.name.startswith("digits") else (1, 3, 32, 32)
    assert_program_like_the_reference(stored(folder / "deploy.prototxt", folder / f"{folder.name}.caffemodel", dims))


def model_names() -> list[str]:
    return sorted(path.name for path in MODELS.glob("*") if path.is_dir() and path.name not in REFUSED)


@pytest.mark.skipif(not MODELS.exists(), reason="the collection of real networks is not here: models")
@pytest.mark.parametrize("name", model_names())
def test_real_networks(name: str) -> None:
    case = stored(MODELS / name / "deploy.prototxt", MODELS / name / f"{name}.caffemodel", SIZES.get(name))
    assert_program_like_the_reference(case)


def test_what_caffe_recorded_of_a_small_inception_resnet(tmp_path: Path) -> None:
    case = golden.caffe()["net_mini_inception_resnet"]
    deploy, weights = case.files.write(tmp_path)
    assert weights is not None
    found = stored(Path(deploy), Path(weights))
    feeds = {value: case.inputs[value.blob] for value in found.inputs}
    tops = {value: array.copy() for value, array in found.program().run(feeds)}
    expected = {top.layer: top.array for top in case.tops}
    for step in found.net.layers:
        if step.name in expected and step.tops[0] in tops:
            assert_close(tops[step.tops[0]], expected[step.name], step.name)


# ---- what a caller can rely on


def test_values_come_right_after_they_are_computed_and_cannot_be_changed() -> None:
    """The blob before and after a ReLU in place are two values in one place."""
    case = network(data(1, 3, 6, 7) + conv("conv", "data", "conv", 4) + layer("relu", "ReLU", "conv", "conv"))
    feeds = case.feeds()
    seen = []
    for value, array in case.program().run(feeds):
        seen.append((value, float(array.min())))
        assert not array.flags.writeable
    assert [value for value, _ in seen] == [case.value("data"), case.value("conv"), case.value("conv", "relu")]
    assert seen[1][1] < 0 == seen[2][1]


@every_net
def test_runs_give_the_same_bytes_whatever_ran_before(name: str) -> None:
    case = network(NETS[name])
    program = case.program()
    first = {value: array.copy() for value, array in program.run(case.feeds(0))}
    for _ in program.run(case.feeds(1)):
        pass
    for value, array in program.run(case.feeds(0)):
        np.testing.assert_array_equal(array, first[value], err_msg=value.blob)


@pytest.mark.parametrize("name", ["plain", "inception"])
def test_a_value_does_not_depend_on_what_else_is_observed(name: str) -> None:
    """To the last bit; only behind BatchNorm, Scale and Bias may rounding differ."""
    case = network(NETS[name])
    together = run(case)
    for value in case.shapes:
        np.testing.assert_array_equal(run(case, [value])[value], together[value], err_msg=value.blob)


def test_behind_batch_norm_a_value_depends_on_it_by_rounding_only() -> None:
    case = network(RESIDUAL)
    together = run(case)
    for value in case.shapes:
        assert_close(run(case, [value])[value], together[value], value.blob)


def test_twins_work_at_the_same_time() -> None:
    case = network(INCEPTION)
    program = case.program()
    expected = [run(case, seed=seed) for seed in range(4)]
    twins = [program.twin() for _ in expected]

    def work(seed: int) -> None:
        for _ in range(10):
            for value, array in twins[seed].run(case.feeds(seed)):
                np.testing.assert_array_equal(array, expected[seed][value])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_layers_that_nothing_observed_depends_on_do_not_run() -> None:
    text = data(1, 3, 6, 7) + conv("conv", "data", "conv", 4)
    text += layer("log", "Log", "conv", "log") + layer("relu", "ReLU", "conv", "relu")
    case = network(text)
    assert [value.blob for value, _ in case.program([case.value("relu")]).run(case.feeds())] == ["relu"]


def test_feeds_may_lie_in_memory_as_they_like() -> None:
    case = network(PLAIN)
    feeds = case.feeds()
    turned = {value: np.asfortranarray(array) for value, array in feeds.items()}
    program = case.program()
    expected = {value: array.copy() for value, array in program.run(feeds)}
    for value, array in program.run(turned):
        np.testing.assert_array_equal(array, expected[value])


def test_the_layer_that_cannot_run_is_named() -> None:
    text = data(2, 3) + data(1, name="index") + layer("pick", "BatchReindex", "data index", "pick")
    case = network(text)
    feeds = {**case.feeds(), case.value("index"): np.array([5], np.float32)}
    with pytest.raises(LayerError, match=r'layer "pick" \(BatchReindex, .*index 5'):
        list(case.program().run(feeds))


@pytest.mark.parametrize(("kind", "tops"), [("Dropout", "top"), ("Split", "left right")], ids=["dropout", "split"])
def test_tops_that_are_the_bottom_itself(kind: str, tops: str) -> None:
    case = network(data(1, 3, 4, 5) + layer("it", kind, "data", tops))
    bottom = layout.laid_out(case.feeds()[case.value("data")])
    found = rule(case.net, by_name(case.net, "it"), (bottom.shape,), ())((bottom,))
    assert len(found) == len(tops.split())
    assert all(top is bottom for top in found)


def test_the_tops_of_a_layer_come_together() -> None:
    text = data(1, 3, 6, 7) + layer("ways", "Split", "data", "one two") + conv("conv", "two", "conv", 4)
    case = network(text)
    found = [list(tops) for tops in case.program().layers(case.feeds())]
    assert found == [[case.value("data")], [case.value("one", "ways"), case.value("two", "ways")], [case.value("conv")]]


def test_what_is_changed_is_what_the_layers_behind_read() -> None:
    case = network(PLAIN)
    program = Program(case.net, case.weights, case.shapes, case.inputs, case.shapes, changeable=True)
    other, expected = case.feeds(1), run(case, seed=1)
    for value, array in program.run(case.feeds(0)):
        if value in other:
            np.copyto(array, other[value])
        np.testing.assert_array_equal(array, expected[value])


def test_a_guest_works_in_the_memory_of_its_host() -> None:
    case = network(INCEPTION)
    host = case.program()
    guest = case.program().twin(host)
    for value in case.shapes:
        assert np.may_share_memory(guest.array(value), host.array(value))
    expected = run(case, seed=1)
    for _ in host.run(case.feeds(0)):
        pass
    for value, array in guest.run(case.feeds(1)):
        np.testing.assert_array_equal(array, expected[value])


def test_a_host_with_too_little_memory_lends_none() -> None:
    small, large = network(PLAIN), network(INCEPTION)
    guest = large.program().twin(small.program([small.inputs[0]]))
    value = large.inputs[0]
    assert {value for value, _ in guest.run(large.feeds())} == set(large.shapes)
    assert guest.array(value).shape == large.shapes[value]


# ---- exact kernels


SUMS = {
    "3x3 convolution": (conv("it", "data", "it", 40, "kernel_size: 3 pad: 1"), 1 << 6),
    "average": (layer("it", "Pooling", "data", "it", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"), 1 << 22),
}


@pytest.mark.parametrize(("text", "size"), SUMS.values(), ids=SUMS)
def test_exact_kernels_add_up_whole_numbers_without_an_error(text: str, size: int) -> None:
    case = network(data(1, 24, 28, 32) + text)
    weights = {index: tuple(np.rint(8 * blob) for blob in blobs) for index, blobs in case.weights.items()}
    feeds = {value: np.rint(np.float32(size) * array) for value, array in case.feeds().items()}
    program = Program(case.net, weights, case.shapes, case.inputs, case.shapes, choose=choice.Exact())
    expected = {value: top for step in execute.run(case.net, weights, feeds) for value, top in named(step)}
    for value, array in program.run(feeds):
        np.testing.assert_array_equal(array, expected[value])


def named(step: execute.Step) -> list[tuple[Value, Array]]:
    return list(zip(step.layer.tops, step.tops, strict=True))


def test_programs_share_the_kernels_of_the_same_weights() -> None:
    case = network(PLAIN)
    choose = choice.Exact()
    conv1, conv2 = (by_name(case.net, name) for name in ("conv1", "conv2"))
    others = {**case.weights, conv2.index: tuple(blob + 1 for blob in case.weights[conv2.index])}

    def kernel(found: Layer, weights: Mapping[int, Arrays]) -> Kernel | None:
        bottoms, tops = (tuple(case.shapes[value] for value in values) for values in (found.bottoms, found.tops))
        return choose(choice.Work(found, bottoms, tops, weights[found.index]))

    assert kernel(conv1, case.weights) is kernel(conv1, others)
    assert kernel(conv2, case.weights) is not kernel(conv2, others)


# ---- memory


def chain(length: int) -> Network:
    text, bottom = data(1, 8, 20, 24), "data"
    for index in range(length):
        text += conv(f"conv{index}", bottom, f"conv{index}", 8)
        bottom = f"conv{index}"
    return network(text)


@pytest.mark.parametrize("length", [3, 12])
def test_a_chain_of_any_length_needs_two_blobs(length: int) -> None:
    assert chain(length).program().nbytes == 2 * 4 * 8 * 20 * 24


def test_element_wise_layers_need_no_blob_of_their_own() -> None:
    text = data(1, 8, 20, 24) + conv("conv", "data", "conv", 8)
    more = layer("relu", "ReLU", "conv", "relu") + layer("scale", "Scale", "relu", "scale")
    assert network(text + more).program().nbytes == network(text).program().nbytes


def test_a_blob_that_is_read_later_is_not_overwritten() -> None:
    text = data(1, 8, 5, 6) + conv("conv", "data", "conv", 8)
    text += layer("split", "Split", "conv", "left right") + layer("relu", "ReLU", "left", "relu")
    text += layer("sum", "Eltwise", "relu right", "sum")
    case = network(text)
    assert_program_like_the_reference(case, [case.value("sum")])
    assert_program_like_the_reference(case)


def test_batches_run_by_the_reference_rules() -> None:
    assert_program_like_the_reference(network(PLAIN.replace("dim: 1 ", "dim: 2 ", 1)))
