"""Every network that Ristretto ran: `fake` repeats it, and `integer` gives the same without any float."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import DATA
from tests.simulation.quantized import feeds_of
from tests.small_nets import net_of
from xportdnn import caffemodel, execute, precision
from xportdnn.arithmetic.integer import rescale, shift_half_away, shift_truncating
from xportdnn.errors import NetworkError
from xportdnn.layers import Array, Arrays
from xportdnn.network import Net, Value, infer_shapes
from xportdnn.precision import Ristretto
from xportdnn.simulation import Arithmetic, Simulation, prepare
from xportdnn.simulation.fake import Fake
from xportdnn.simulation.formats import layer_in
from xportdnn.simulation.held import Quantized
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


def loaded(case: Recorded, folder: Path) -> tuple[Net, dict[int, Arrays], dict[Value, Array]]:
    net = net_of(case.text)
    inputs = {layer.name: case.top(layer.name) for layer in net.layers if layer.is_input}
    feeds = feeds_of(net, inputs)
    path = folder / "weights.caffemodel"
    path.write_bytes(case.model)
    shapes = infer_shapes(net, {value: array.shape for value, array in feeds.items()})
    return net, execute.load(net.layers, assign(net, shapes, caffemodel.read(path))), feeds


def prepared(
    case: Recorded, arithmetic: Arithmetic, folder: Path, as_ristretto: bool = False
) -> tuple[Simulation, dict[Value, Array]]:
    net, weights, feeds = loaded(case, folder)
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
def test_fake(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.FAKE, tmp_path, as_ristretto=True)
    for step in simulation.steps(feeds):
        read, top = case.trimmed(step.layer.name, "in"), case.top(step.layer.name)
        block = simulation.blocks.get(step.layer.index)
        fixed = isinstance(block, Ristretto) and block.precision == "DYNAMIC_FIXED_POINT" and read is not None
        if read is not None:
            # what other formats leave untrimmed carries the rounding of the float sums before it
            tolerance = 0.0 if fixed or step.layer.bottoms[0] in feeds else 1e-6 * np.abs(read).max()
            np.testing.assert_allclose(step.outcome.read[0].real, read, rtol=0, atol=tolerance)
        unit = 2.0**-block.fl_layer_out if fixed and isinstance(block, Ristretto) else 0.0
        off = np.abs(step.outcome.tops[0].real - top)
        assert off.max() <= unit + 1e-6 * np.abs(top).max()
        # a sum at a tie may be rounded either way where its floats are added in another order
        assert np.count_nonzero(off > 1e-6 * np.abs(top).max()) <= 0.02 * off.size


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_fake(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    simulation, _ = prepared(case, Arithmetic.FAKE, tmp_path, as_ristretto=True)
    assert isinstance(simulation.level, Fake)
    for layer in simulation.layers:
        for what, blob in zip("wb", simulation.level.prepared[layer.index].blobs, strict=False):
            wanted = case.trimmed(layer.name, what)
            if wanted is not None:
                np.testing.assert_array_equal(blob.ravel(), wanted.ravel())


@pytest.mark.parametrize("name", FIXED)
def test_integer(name: str, tmp_path: Path) -> None:
    """The same numbers; where Ristretto has 32 bits, its float sums are the ones that miss by a step."""
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.INTEGER, tmp_path)
    for step in simulation.steps(feeds):
        top = case.top(step.layer.name)
        (held,) = step.outcome.tops
        if step.outcome.in_place and isinstance(held, Quantized):
            np.testing.assert_allclose(held.real, top, rtol=0, atol=held.format.step if held.format.bits == 32 else 0)
        else:
            np.testing.assert_allclose(held.real, top, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(FIXED)))
def test_what_has_no_integers(name: str, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="is no format of integers"):
        prepared(cases()[name], Arithmetic.INTEGER, tmp_path)


@pytest.mark.parametrize("name", ["conv_dfp_8", "conv_dfp_4", "deconv_dfp_8", "fc_dfp_8", "conv_dfp_neg_fl"])
def test_a_shift_that_truncates_misses(name: str, tmp_path: Path) -> None:
    """The question that users asked first: half of the outputs are one step low without the rounding."""
    case = cases()[name]
    simulation, feeds = prepared(case, Arithmetic.INTEGER, tmp_path)
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


def test_minifloat_without_the_defect(tmp_path: Path) -> None:
    case = cases()["conv_mf_zero_in_input"]
    simulation, feeds = prepared(case, Arithmetic.FAKE, tmp_path)
    (step,) = (step for step in simulation.steps(feeds) if step.outcome.in_place)
    (read,) = step.outcome.read
    recorded = case.trimmed(step.layer.name, "in")
    assert recorded is not None
    assert not np.array_equal(read.real, recorded)
    form = layer_in(simulation.blocks[step.layer.index])
    assert form is not None
    np.testing.assert_array_equal(read.real, form.trim(next(iter(feeds.values()))))
