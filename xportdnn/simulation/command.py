"""`xportdnn simulate`: a quantized network on given arrays or pictures, every top written, the damage counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from xportdnn import execute
from xportdnn.choices import Arithmetic
from xportdnn.dialects import jacinto
from xportdnn.dialects.formats import formats
from xportdnn.dialects.jacinto import NetQuantization
from xportdnn.errors import UsageError
from xportdnn.folder import Picture
from xportdnn.journal import Journal
from xportdnn.layers import Array, Arrays, Shape
from xportdnn.lazy import np
from xportdnn.network import Net, Value, runnable
from xportdnn.npy import prepare_folder, read_inputs, write_tops
from xportdnn.opening import complete, open_net, open_weights
from xportdnn.options import Options, preprocessing
from xportdnn.pictures import calibration_set
from xportdnn.simulation.grid import check_codes
from xportdnn.simulation.run import Simulation, prepare
from xportdnn.simulation.vectors import Vectors

_WORST = 3  # layers that the last line names


@dataclass(frozen=True)
class SimulationOptions:
    """The options of `xportdnn simulate`; those of the preprocessing have the conversion's names and defaults.

    Attributes:
        inputs: `FILE.npy`, or `BLOB=FILE.npy` for networks with several inputs.
        images: a folder of pictures instead.
        images_size: how many of them make the batch: the first of the sorted folder.
        plan: the formats, where the prototxt is the float one.
        blobs_dir: the folder for every layer's tops.
        vectors: the folder for every layer's integers.

    Raises:
        UsageError: options that contradict each other.
    """

    deploy_model: str
    weights: str | None
    inputs: tuple[str, ...] = ()
    images: str | None = None
    images_size: int = 8
    blobs_dir: str | None = None
    arithmetic: Arithmetic = Arithmetic.FAKE
    plan: str | None = None
    vectors: str | None = None
    c_header: bool = False
    dims: Shape | None = None
    transpose: tuple[int, ...] = (2, 0, 1)
    channel_swap: tuple[int, ...] | None = None
    raw_scale: float = 255.0
    mean_value: str | None = None
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if bool(self.inputs) == bool(self.images):
            raise UsageError("give either --input FILE.npy or --images DIR")
        if self.images_size < 1:
            raise UsageError(f"--images_size must be at least 1, it is {self.images_size}")
        if self.blobs_dir is None and self.vectors is None:
            raise UsageError("there is nothing to write; give --blobs_dir DIR, --vectors DIR or both")
        if self.vectors is not None and self.arithmetic is Arithmetic.FAKE:
            raise UsageError("--vectors needs integers, which --arithmetic fake has none of; use integer or chaidnn")
        if self.c_header and self.vectors is None:
            raise UsageError("--c_header belongs to --vectors DIR")
        if self.blobs_dir is not None and self.blobs_dir == self.vectors:
            raise UsageError("--blobs_dir and --vectors name the same folder")


@dataclass
class Counts:
    """What was lost.

    Attributes:
        files: how many tops were written.
        values: how many numbers the tops hold.
        saturated, wrapped, clipped: by layer; the last counts weights and biases.
    """

    files: int = 0
    values: int = 0
    saturated: dict[str, int] = field(default_factory=dict)
    wrapped: dict[str, int] = field(default_factory=dict)
    clipped: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = {
            "saturated": _summed(self.saturated, f" of {self.values:,} values"),
            "wrapped": _summed(self.wrapped),
            "weights and biases beyond their format": _summed(self.clipped),
        }
        return "; ".join(f"{what}: {count}" for what, count in parts.items())


def simulate_files(options: SimulationOptions, journal: Journal) -> Counts:
    """Simulate the network and write what was asked for.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
        UsageError: an input is missing or names no input of the network.
        NetworkError: the arithmetic cannot run some of the layers.
    """
    net = open_net(options.deploy_model, journal)
    feeds = _pictures(options, net, journal) if options.images else {}
    net, model = open_weights(net, options.weights, journal)
    feeds = feeds or read_inputs(net, options.inputs, journal)
    opened = complete(net, model, {value: array.shape for value, array in feeds.items()}, journal, strict=True)
    layers = runnable(net, feeds)
    check_codes(net, layers, model, options.arithmetic)
    weights = execute.load(layers, opened.weights)
    wanted = jacinto.read(net) if options.plan is None else None
    if wanted is not None:
        simulation, feeds = _jacinto(options, net, weights, wanted, feeds)
    else:
        blocks = formats(net, options.plan, options.weights, journal)
        simulation = prepare(net, weights, blocks, options.arithmetic, opened.inputs)
    for warning in simulation.warnings:
        journal.warn(warning)
    counts = _written(options, simulation, feeds, journal)
    journal.info(str(counts))
    return counts


def _jacinto(
    options: SimulationOptions,
    net: Net,
    weights: Mapping[int, Arrays],
    wanted: NetQuantization,
    feeds: Mapping[Value, Array],
) -> tuple[Simulation, dict[Value, Array]]:
    from xportdnn.simulation.jacinto import prepare as of_frame

    if options.arithmetic is not Arithmetic.FAKE:
        raise UsageError(
            f"--arithmetic {options.arithmetic.value}: caffe-jacinto computes in float with quantized numbers; use fake"
        )
    return of_frame(net, weights, wanted, feeds)


def _pictures(options: SimulationOptions, net: Net, journal: Journal) -> dict[Value, Array]:
    """The first pictures of the folder as one batch."""
    conversion = Options(
        options.deploy_model,
        options.weights or "",
        calibration_directory=options.images,
        calibration_size=options.images_size,
        **preprocessing(options),
    )
    pictures, _ = calibration_set(conversion, net, journal)
    journal.info(f"{options.images}: {len(pictures)} pictures, {', '.join(_names(pictures.choice.pictures))}")
    return {pictures.target: np.concatenate([feed[pictures.target] for feed in pictures])}


def _names(pictures: Sequence[Picture]) -> list[str]:
    names = [picture.name for picture in islice(pictures, _WORST)]
    return names if len(pictures) <= _WORST else [*names, "..."]


def _written(
    options: SimulationOptions, simulation: Simulation, feeds: Mapping[Value, Array], journal: Journal
) -> Counts:
    net = simulation.net
    counts = Counts(clipped={net.layers[index].name: count for index, count in simulation.clipped.items()})
    vectors = None if options.vectors is None else Vectors(simulation, options.vectors, options.c_header)
    if options.blobs_dir is not None:
        prepare_folder(net, options.blobs_dir)
    if vectors is not None:
        vectors.prepare()
    with journal.progress("simulating", len(simulation.layers)) as tick:
        for step in simulation.steps(feeds):
            simulated = step.simulated()
            name = step.layer.name
            counts.saturated[name] = counts.saturated.get(name, 0) + simulated.saturated
            counts.wrapped[name] = counts.wrapped.get(name, 0) + simulated.wrapped
            counts.values += sum(top.size for top in simulated.tops)
            if options.blobs_dir is not None:
                counts.files += write_tops(options.blobs_dir, step.layer, simulated.tops)
            if vectors is not None:
                vectors.add(step)
            tick()
    if vectors is not None:
        vectors.finish()
    return counts


def _summed(by_layer: Mapping[str, int], of: str = "") -> str:
    """`12 of 400 values, most in conv2 (8), conv1 (4)`."""
    total = sum(by_layer.values())
    if not total:
        return "none"
    worst = sorted((name for name, count in by_layer.items() if count), key=lambda name: -by_layer[name])[:_WORST]
    return f"{total:,}{of}, most in {', '.join(f'{name} ({by_layer[name]:,})' for name in worst)}"
