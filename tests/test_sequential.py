"""Xilinx's sequential rule on networks small enough to follow by hand: what is quantized, when, and who sees it.

At 3 bits and with at most 16 values in a blob every threshold is the largest |x|, so that a threshold of 3 means steps
of 1. A probe is an InnerProduct that picks one value of a blob: its threshold is that value, as it lay in memory then.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.small_nets import PLAIN, by_name, conv, data, layer, net_of, random_weights, value
from xportdnn import sequential
from xportdnn.choices import Triple
from xportdnn.errors import CalibrationError
from xportdnn.layers import Array, Arrays
from xportdnn.network import infer_shapes
from xportdnn.sequential import Outcome, calibrate

THREE = Triple(3, 3, 3)
PICTURE = (0.0, 1.4, 3.0, -1.6)  # quantized in steps of 1: 0, 1, 3, -2
INPUT = data(1, 1, 1, 4)


def blob(*numbers: float) -> Array:
    """Of shape (1, 1, 1, n)."""
    return np.array(numbers, np.float32).reshape(1, 1, 1, -1)


def run(text: str, weights: Mapping[str, Arrays] | None = None, bits: Triple = THREE, *pictures: Array) -> Outcome:
    net = net_of(text)
    arrays = {by_name(net, name).index: blobs for name, blobs in (weights or {}).items()}
    arrays |= {
        each.index: (np.eye(4, dtype=np.float32)[[int(each.name[-1])]], np.zeros(1, np.float32))
        for each in net.layers
        if each.type == "InnerProduct"
    }
    feeds = [{value(net, "data"): picture} for picture in pictures or (blob(*PICTURE),)]
    return calibrate(net, arrays, feeds, bits, frozenset(infer_shapes(net, net.declared)))


def probe(bottom: str, index: int, name: str = "probe") -> str:
    """A layer whose threshold is |value| of `bottom` at `index`."""
    return layer(f"{name}{index}", "InnerProduct", bottom, f"{name}{index}", "inner_product_param { num_output: 1 }")


def probes(bottom: str, name: str = "probe") -> str:
    return "".join(probe(bottom, index, name) for index in range(4))


def seen(outcome: Outcome, name: str = "probe") -> list[float]:
    """What the four probes saw, without signs."""
    found = {record.layer.name: record.th_out for record in outcome.records}
    return [round(found[f"{name}{index}"] or 0.0, 5) for index in range(4)]


def thresholds(outcome: Outcome) -> dict[str, tuple[float | None, float | None]]:
    """Layer -> th_layer_in, th_layer_out."""
    return {record.layer.name: (_rounded(record.th_in), _rounded(record.th_out)) for record in outcome.records}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 5)


def times(weight: float, bias: float = 0.0) -> Arrays:
    """The weights of a 1x1 convolution of one channel."""
    return np.full((1, 1, 1, 1), weight, np.float32), np.full(1, bias, np.float32)


# ---- convolutions quantize what they read, in its own memory


def test_a_convolution_reads_quantized_values_and_weights() -> None:
    # the channels weigh 2 and 0.9: each has its own threshold, so that no weight changes; the bias stays as it is
    weights = np.array([2.0, 0.9], np.float32).reshape(2, 1, 1, 1), np.array([0.3, 0.0], np.float32)
    outcome = run(INPUT + conv("c", "data", "c", 2), {"c": weights})
    # twice (0, 1, 3, -2) and 0.3 more
    assert thresholds(outcome) == {"data": (None, 3.0), "c": (3.0, 6.3)}


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 2.0), (0.1, 0.2)], ids=["large weights", "small weights"])
def test_weights_are_quantized_by_the_largest_of_their_channel(scale: float, expected: float) -> None:
    # in steps of a third of the largest the kernel is (3, 1, 0, 0) * scale
    kernel = np.array([3.0, 1.4, -0.4, 0.0], np.float32).reshape(1, 1, 1, 4) * np.float32(scale)
    text = INPUT + conv("c", "data", "c", 1, "kernel_h: 1 kernel_w: 4 bias_term: false")
    outcome = run(text, {"c": (kernel,)}, THREE, blob(1.0, -1.0, -1.0, 1.0))
    assert thresholds(outcome)["c"] == (1.0, expected)


def test_what_a_convolution_read_stays_quantized() -> None:
    outcome = run(INPUT + probes("data", "before") + conv("c", "data", "c", 1) + probes("data"), {"c": times(1)})
    assert seen(outcome, "before") == [0.0, 1.4, 3.0, 1.6]
    assert seen(outcome) == [0.0, 1.0, 3.0, 2.0]


def test_a_convolution_that_has_no_reader_yet_leaves_its_top_alone() -> None:
    outcome = run(INPUT + conv("c", "data", "c", 1) + probes("c"), {"c": times(0.9, 0.05)})
    # 0.9 * (0, 1, 3, -2) + 0.05, not rounded to its own steps
    assert seen(outcome) == [0.05, 0.95, 2.75, 1.75]


@pytest.mark.parametrize(
    "carrier",
    [
        pytest.param(layer("s", "Split", "data", "left right"), id="Split"),
        pytest.param(
            layer("s", "Reshape", "data", "right", "reshape_param { shape { dim: [0, 2, 1, 2] } }"), id="Reshape"
        ),
        pytest.param(layer("s", "Flatten", "data", "right"), id="Flatten"),
    ],
)
def test_blobs_in_the_same_memory_see_it_too(carrier: str) -> None:
    left = "left" if "left" in carrier else "data"
    outcome = run(INPUT + carrier + conv("c", left, "c", 1) + probes("right"), {"c": times(1)})
    assert seen(outcome) == [0.0, 1.0, 3.0, 2.0]
    assert thresholds(outcome)["s"] == (3.0, 3.0)


@pytest.mark.parametrize("carrier", ["Flatten", "Reshape"])
def test_what_a_convolution_made_is_shared_too(carrier: str) -> None:
    shape = "reshape_param { shape { dim: [0, -1] } }" if carrier == "Reshape" else ""
    text = INPUT + conv("a", "data", "a", 2) + layer("s", carrier, "a", "flat", shape)
    text += conv("c", "a", "c", 1) + layer("p", "Power", "flat", "p", "power_param { scale: -1 shift: 3 }")
    first = np.array([1, 0.5], np.float32).reshape(2, 1, 1, 1), np.full(2, 0.4, np.float32)
    second = np.ones((1, 2, 1, 1), np.float32), np.zeros(1, np.float32)
    # a's smallest value, -1.6, lies nearest to -1 of its steps of 3.4 / 3
    assert thresholds(run(text, {"a": first, "c": second}))["p"][1] == pytest.approx(3 + 3.4 / 3, abs=1e-5)


def test_dropout_copies_as_in_caffe() -> None:
    text = INPUT + layer("s", "Dropout", "data", "right") + conv("c", "data", "c", 1) + probes("right")
    assert seen(run(text, {"c": times(1)})) == [0.0, 1.4, 3.0, 1.6]


@pytest.mark.parametrize(
    "maker",
    [
        pytest.param(layer("s", "ReLU", "data", "right"), id="ReLU beside its bottom"),
        pytest.param(layer("s", "AbsVal", "data", "right"), id="AbsVal"),
        pytest.param(layer("s", "Concat", "data", "right"), id="Concat"),
        pytest.param(layer("s", "Pooling", "data", "right", "pooling_param { kernel_size: 1 }"), id="Pooling"),
    ],
)
def test_blobs_in_other_memory_do_not(maker: str) -> None:
    outcome = run(INPUT + maker + conv("c", "data", "c", 1) + probe("right", 1), {"c": times(1)})
    assert thresholds(outcome)["probe1"][1] == 1.4


# ---- thresholds that are searched, and those that are passed on


def test_relu_in_place_has_the_last_word() -> None:
    net = net_of(INPUT + conv("c", "data", "c", 1) + layer("r", "ReLU", "c", "c") + conv("d", "c", "d", 1))
    outcome = run(net.source.text, {"c": times(-2), "d": times(1)})
    # -2 * (0, 1, 3, -2) = (0, -2, -6, 4); the ReLU works on it as it is
    assert thresholds(outcome) == {"data": (None, 3.0), "c": (3.0, 6.0), "r": (6.0, 4.0), "d": (4.0, 4.0)}
    assert outcome.thresholds[value(net, "c")] == 6.0
    assert outcome.thresholds[value(net, "c", "r")] == 4.0


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_pooling_passes_its_threshold_on_and_pools_what_lies_there(pool: str) -> None:
    text = INPUT + conv("c", "data", "c", 1)
    text += layer(
        "p", "Pooling", "data", "p", f"pooling_param {{ pool: {pool} kernel_h: 1 kernel_w: 2 stride_h: 1 stride_w: 2 }}"
    )
    outcome = run(text + layer("a", "AbsVal", "p", "a"), {"c": times(1)})
    assert thresholds(outcome)["p"] == (3.0, 3.0)
    assert next(record for record in outcome.records if record.layer.name == "p").found is None
    # the windows hold 0 and 1, 3 and -2
    assert thresholds(outcome)["a"][1] == {"MAX": 3.0, "AVE": 0.5}[pool]


def test_concat_searches_anew_and_reads_unquantized_blobs() -> None:
    text = INPUT + conv("a", "data", "a", 1) + conv("b", "data", "b", 1)
    text += layer("j", "Concat", "a b", "j", "concat_param { axis: 1 }")
    text += layer("first", "Slice", "j", "one two", "slice_param { slice_point: 1 }") + probes("one")
    outcome = run(text, {"a": times(1, 0.4), "b": times(2)})
    assert thresholds(outcome)["j"] == (3.4, 6.0)
    assert next(record for record in outcome.records if record.layer.name == "j").found is not None
    assert seen(outcome) == [0.4, 1.4, 3.4, 1.6]


# ---- Eltwise

SUM = INPUT + conv("a", "data", "a", 1) + conv("b", "data", "b", 1) + layer("s", "Eltwise", "a b", "s")


def test_eltwise_quantizes_with_each_inputs_own_threshold_and_then_with_the_larger() -> None:
    outcome = run(SUM + probes("s") + layer("r", "ReLU", "s", "r"), {"a": times(1, 0.9), "b": times(2)})
    # a = (0.9, 1.9, 3.9, -1.1): in steps of 1.3 it is (1.3, 1.3, 3.9, -1.3), then in steps of 2 (2, 2, 4, -2);
    # in steps of 2 at once it would be (0, 2, 4, -2). b = (0, 2, 6, -4) in both.
    assert seen(outcome) == [2.0, 4.0, 10.0, 6.0]
    assert thresholds(outcome)["s"] == (6.0, 6.0)
    assert thresholds(outcome)["r"] == (6.0, 10.0)


def test_eltwise_leaves_alone_what_a_convolution_has_quantized() -> None:
    text = INPUT + conv("b", "data", "b", 1) + layer("s", "Eltwise", "data b", "s") + probes("s")
    outcome = run(text, {"b": times(2)})
    # data lies in steps of 1, (0, 1, 3, -2), and is not moved to steps of 2
    assert seen(outcome) == [0.0, 3.0, 9.0, 6.0]


def test_eltwise_does_so_through_aliases() -> None:
    text = INPUT + layer("split", "Split", "data", "left right") + conv("b", "left", "b", 1)
    outcome = run(text + layer("s", "Eltwise", "right b", "s") + probes("s"), {"b": times(2)})
    assert seen(outcome) == [0.0, 3.0, 9.0, 6.0]


def test_what_a_layer_writes_anew_is_not_quantized_any_more() -> None:
    text = INPUT + conv("b", "data", "b", 1) + layer("abs", "AbsVal", "data", "abs")
    outcome = run(text + layer("s", "Eltwise", "abs b", "s") + probes("s"), {"b": times(2)})
    # |data| = (0, 1, 3, 2), in steps of 2 (0, 0, 4, 2): halves go to the even step
    assert seen(outcome) == [0.0, 2.0, 10.0, 2.0]


def test_eltwise_of_a_blob_with_itself() -> None:
    text = INPUT + conv("a", "data", "a", 1) + layer("s", "Eltwise", "a a", "s") + probes("s")
    assert seen(run(text, {"a": times(1, 0.9)})) == [2.6, 2.6, 7.8, 2.6]


# ---- deconvolution and groups: a threshold for every output channel


def by_output_channel(weight: Array, group: int, bits: int, transposed: bool) -> Array:
    """Every weight quantized with the largest |w| that reaches its output channel, one number at a time."""
    result = np.empty_like(weight)
    channels = {
        (i, j): (i // (len(weight) // group)) * weight.shape[1] + j if transposed else i
        for i in range(weight.shape[0])
        for j in range(weight.shape[1])
    }
    for (i, j), channel in channels.items():
        peak = max(np.abs(weight[other]).max() for other, its in channels.items() if its == channel)
        step = peak / np.float32(2 ** (bits - 1) - 1)
        result[i, j] = np.rint(weight[i, j] / step) * step
    return result


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize(("group", "num_output"), [(1, 6), (2, 6), (4, 4), (4, 8)])
def test_groups(kind: str, group: int, num_output: int) -> None:
    body = f"convolution_param {{ num_output: {num_output} group: {group} kernel_size: 2 bias_term: false }}"
    text = data(1, 4, 3, 5) + layer("c", kind, "data", "c", body)
    net = net_of(text)
    picture = np.random.default_rng(1).integers(-7, 8, (1, 4, 3, 5)).astype(np.float32)
    picture[0, 0, 0, 0] = 7  # in steps of 1 at 4 bits: the picture stays as it is
    (weight,) = random_weights(net, net.declared)["c"]
    # 17 bits of the blob are more levels than bins: the threshold is the largest |x|
    outcome = run(text, {"c": (weight,)}, Triple(4, 3, 17), picture)
    exact = by_output_channel(weight, group, 3, kind == "Deconvolution")
    found = by_name(net, "c").kind
    assert found is not None
    (expected,) = found.forward(by_name(net, "c").params, (picture,), (exact,))
    assert outcome.thresholds[value(net, "c")] == pytest.approx(float(np.abs(expected).max()), rel=1e-4)
    (other,) = found.forward(by_name(net, "c").params, (picture,), (weight,))
    assert float(np.abs(other).max()) != pytest.approx(float(np.abs(expected).max()), rel=1e-3)


# ---- pictures


def test_all_pictures_share_one_threshold() -> None:
    outcome = run(INPUT + conv("c", "data", "c", 1), {"c": times(1)}, THREE, blob(0, 1, 1, 1), blob(0, 0.4, 3, -1.4))
    assert thresholds(outcome) == {"data": (None, 3.0), "c": (3.0, 3.0)}


def test_the_callers_pictures_are_not_changed() -> None:
    picture = blob(*PICTURE)
    picture.flags.writeable = False
    run(INPUT + conv("c", "data", "c", 1), {"c": times(1)}, THREE, picture)


def test_every_layer_ticks() -> None:
    net = net_of(INPUT + conv("c", "data", "c", 1) + layer("r", "ReLU", "c", "c"))
    ticks: list[int] = []
    weights = {by_name(net, "c").index: times(1)}
    calibrate(net, weights, [{value(net, "data"): blob(1)}], THREE, frozenset(), lambda: ticks.append(1))
    assert len(ticks) == 2


def test_only_wanted_thresholds_are_searched() -> None:
    net = net_of(INPUT + conv("c", "data", "c", 1))
    feeds = {value(net, "data"): blob(*PICTURE)}
    outcome = calibrate(net, {1: times(1)}, [feeds], THREE, frozenset({value(net, "c")}))
    # the picture has no threshold, so it is not quantized
    assert thresholds(outcome) == {"data": (None, None), "c": (None, 3.0)}


def test_a_nan_names_its_layer() -> None:
    text = INPUT + conv("c", "data", "c", 1) + layer("l", "Log", "c", "l") + layer("e", "Exp", "l", "e")
    with pytest.raises(
        CalibrationError, match=r'^layer "l" \(Log, net.prototxt:\d+\): \'l\' holds 1 values of 4 that are NaN'
    ):
        run(text, {"c": times(1, 0.5)}, THREE, blob(0, 1, 2, -3))


# ---- memory


def test_peak_bytes() -> None:
    net = net_of(PLAIN)
    picture, conv1 = 4 * 3 * 10 * 12, 4 * 4 * 8 * 10
    # at conv1: the picture, the top and |x| of it; more than at the ReLU, where three of conv1's size live
    assert picture + 2 * conv1 > 3 * conv1
    assert sequential.peak_bytes(net, infer_shapes(net, net.declared), net.inputs) == picture + 2 * conv1


def test_peak_bytes_of_a_shortcut() -> None:
    net = net_of(data(1, 2, 1, 1) + conv("a", "data", "a", 30) + conv("b", "a", "b", 7) + conv("c", "a", "c", 50))
    # a, b, which nobody reads and is dropped at once, c and |c|
    expected = 4 * (30 + 50 + 50)
    assert sequential.peak_bytes(net, infer_shapes(net, net.declared), net.inputs) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"/proc/meminfo": ["MemTotal: 9 kB", "MemAvailable:  500 kB"]}, 512000, id="system"),
        pytest.param(
            {
                "/proc/meminfo": ["MemAvailable: 500 kB"],
                "/sys/fs/cgroup/memory.max": ["300000"],
                "/sys/fs/cgroup/memory.current": ["100000"],
            },
            200000,
            id="control group",
        ),
        pytest.param(
            {
                "/proc/meminfo": ["MemAvailable: 500 kB"],
                "/sys/fs/cgroup/memory.max": ["max"],
                "/sys/fs/cgroup/memory.current": ["100000"],
            },
            512000,
            id="control group without a limit",
        ),
    ],
)
def test_available_bytes(monkeypatch: pytest.MonkeyPatch, files: dict[str, list[str]], expected: int) -> None:
    monkeypatch.setattr(sequential, "_lines", lambda path: files.get(path, []))
    assert sequential.available_bytes() == expected
