"""Every network that Ristretto ran: `fake` repeats it, and `integer` gives the same without any float."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from tests.golden import DATA
from tests.simulation.quantized import feeds_of
from tests.small_nets import net_of
from xportdnn import caffemodel, execute, precision
from xportdnn.arithmetic.integer import rescale, shift_half_away, shift_truncating
from xportdnn.errors import LayerError, NetworkError
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net, Value, infer_shapes
from xportdnn.precision import Ristretto
from xportdnn.simulation import Arithmetic, Simulation, prepare
from xportdnn.simulation.fake import Fake
from xportdnn.simulation.formats import layer_in
from xportdnn.simulation.integer.level import Integer
from xportdnn.simulation.integer.sums import SUMS
from xportdnn.weights import assign


@dataclass(frozen=True)
class Recorded:
    """A network that Ristretto ran; arrays by the names of their files."""

    name: str
    text: str
    model: bytes = field(repr=False)
    layers: list[dict[str, Any]] = field(repr=False)
    arrays: dict[str, Array] = field(repr=False)

    def top(self, layer: str) -> Array:
        """What the layer computed."""
        (found,) = (each for each in self.layers if each["name"] == layer)
        return self.arrays[found["tops"][0]["file"]]

    def trimmed(self, layer: str, what: str) -> Array | None:
        """Its bottom ("in"), weights ("w") or bias ("b") after trimming; None where it trims nothing."""
        (found,) = (each for each in self.layers if each["name"] == layer)
        return self.arrays.get(found.get(f"{what}_quantized", ""))


@lru_cache(maxsize=1)
def cases() -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    with zipfile.ZipFile(DATA / "ristretto.zip") as archive:
        names = archive.namelist()
        for name in sorted({entry.split("/")[0] for entry in names}):
            arrays = {
                entry.split("/")[1]: np.load(io.BytesIO(archive.read(entry)))
                for entry in names
                if entry.startswith(f"{name}/") and entry.endswith(".npy")
            }
            layers = json.loads(archive.read(f"{name}/manifest.json"))["layers"]
            text = archive.read(f"{name}/deploy.prototxt").decode()
            found[name] = Recorded(name, text, archive.read(f"{name}/weights.caffemodel"), layers, arrays)
    return found


def loaded(
    case: Recorded, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Net, dict[int, Arrays], dict[Value, Array]]:
    net = net_of(case.text)
    inputs = {layer.name: case.top(layer.name) for layer in net.layers if layer.is_input}
    feeds = feeds_of(net, inputs)
    path = tmp_path_factory.mktemp("ristretto") / "weights.caffemodel"
    path.write_bytes(case.model)
    shapes = infer_shapes(net, {value: array.shape for value, array in feeds.items()})
    return net, execute.load(net.layers, assign(net, shapes, caffemodel.read(path))), feeds


def prepared(
    case: Recorded, arithmetic: Arithmetic, folders: pytest.TempPathFactory, as_ristretto: bool = False
) -> tuple[Simulation, dict[Value, Array]]:
    net, weights, feeds = loaded(case, folders)
    shapes = {value: array.shape for value, array in feeds.items()}
    return prepare(net, weights, precision.read(net), arithmetic, shapes, as_ristretto=as_ristretto), feeds


NAMES = sorted(cases())
FIXED = [
    name
    for name in NAMES
    if all(
        not isinstance(block, Ristretto) or block.precision == "DYNAMIC_FIXED_POINT"
        for block in precision.read(net_of(cases()[name].text)).values()
    )
]


@pytest.mark.parametrize("name", NAMES)
def test_fake(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.FAKE, tmp_path_factory, as_ristretto=True)
    for step in simulation.steps(feeds):
        read, top = case.trimmed(step.layer.name, "in"), case.top(step.layer.name)
        if read is not None:
            np.testing.assert_array_equal(step.outcome.read[0].real, read)
        block = simulation.blocks.get(step.layer.index)
        fixed = isinstance(block, Ristretto) and block.precision == "DYNAMIC_FIXED_POINT" and read is not None
        unit = 2.0**-block.fl_layer_out if fixed and isinstance(block, Ristretto) else 0.0
        off = np.abs(step.outcome.tops[0].real - top)
        assert off.max() <= unit + 1e-6 * np.abs(top).max()
        # a sum at a tie may be rounded either way where its floats are added in another order
        assert np.count_nonzero(off > 1e-6 * np.abs(top).max()) <= 0.02 * off.size


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_fake(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    case = cases()[name]
    simulation, _ = prepared(case, Arithmetic.FAKE, tmp_path_factory, as_ristretto=True)
    assert isinstance(simulation.level, Fake)
    for layer in simulation.layers:
        for what, blob in zip("wb", simulation.level.prepared[layer.index].blobs, strict=False):
            wanted = case.trimmed(layer.name, what)
            if wanted is not None:
                np.testing.assert_array_equal(blob.ravel(), wanted.ravel())


@pytest.mark.parametrize("name", [name for name in FIXED if not name.endswith("default")])
def test_integer(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same numbers, but for ties that float sums miss; those of the defaults, 32 bits, need more than 64."""
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.INTEGER, tmp_path_factory)
    for simulated in simulation.run(feeds):
        top = case.top(simulated.layer.name)
        if simulated.integers and simulated.layer.type.endswith("Ristretto"):
            np.testing.assert_array_equal(simulated.tops[0], top)
        else:
            np.testing.assert_allclose(simulated.tops[0], top, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("default")])
def test_integers_that_do_not_fit(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    simulation, feeds = prepared(cases()[name], Arithmetic.INTEGER, tmp_path_factory)
    with pytest.raises(LayerError, match="64 bits"):
        list(simulation.run(feeds))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(FIXED)))
def test_what_has_no_integers(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NetworkError, match="is no format of integers"):
        prepared(cases()[name], Arithmetic.INTEGER, tmp_path_factory)


@pytest.mark.parametrize("name", ["conv_dfp_8", "conv_dfp_4", "deconv_dfp_8", "fc_dfp_8", "conv_dfp_neg_fl"])
def test_a_shift_that_truncates_misses(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The question that users asked first: half of the outputs are one step low without the rounding."""
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.INTEGER, tmp_path_factory)
    assert isinstance(simulation.level, Integer)
    (found,) = simulation.level.jobs.values()
    assert found.weights is not None
    bottom = found.layer_in.quantize(next(iter(feeds.values())))
    sums, axis = SUMS[found.layer.kind.name if found.layer.kind else ""](found.layer, bottom, found.weights)
    requantization, recorded = found.requantization, case.top(found.layer.name)
    assert axis == 1
    wrong = []
    for shift in (shift_half_away, shift_truncating):
        whole = rescale(sums, requantization.factor, requantization.offset, shift, requantization.places)
        real = requantization.out.dequantize(np.clip(whole, *requantization.out.limits))
        wrong.append(np.mean(real != recorded))
    assert wrong[0] == 0
    assert wrong[1] > 0.2


def test_minifloat_without_the_defect(tmp_path_factory: pytest.TempPathFactory) -> None:
    case = cases()["conv_mf_zero_in_input"]
    simulation, feeds = prepared(case, Arithmetic.FAKE, tmp_path_factory)
    (step,) = (step for step in simulation.steps(feeds) if step.outcome.in_place)
    (read,) = step.outcome.read
    assert not np.array_equal(read.real, case.trimmed(step.layer.name, "in"))
    form = layer_in(simulation.blocks[step.layer.index])
    assert form is not None
    np.testing.assert_array_equal(read.real, form.trim(next(iter(feeds.values()))))
