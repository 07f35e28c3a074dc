"""The folder of C: parameters and golden vectors as headers, the network as calls, and the files that never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from xportdnn import execute
from xportdnn.choices import Arithmetic
from xportdnn.exporting.coded import Coded
from xportdnn.exporting.literals import real, string
from xportdnn.exporting.program import Buffer, Program, Unit, program
from xportdnn.exporting.templates import rendered, text_of
from xportdnn.exporting.weights import Exported
from xportdnn.layers import Array
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable
from xportdnn.opening import Opened
from xportdnn.simulation import formats
from xportdnn.simulation.c_header import header, identifier
from xportdnn.simulation.formats import Block, Whole
from xportdnn.simulation.held import Held, Quantized
from xportdnn.simulation.integer.jobs import narrow
from xportdnn.simulation.run import Simulation, Step, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST = 100  # characters of a layer's name in C: most file systems end a file's name at 255
FIXED = ("fixed_point.h", "fixed_point.c", "real.h", "real.c", "network.h", "golden.h", "main.c")


def c_files(
    opened: Opened, found: Sequence[Exported], blocks: Mapping[int, Block], feeds: Mapping[Value, Array]
) -> dict[str, str]:
    """The text of every file of the folder, by its path there.

    Args:
        feeds: what the golden vectors are made from.

    Raises:
        NetworkError: layers that cannot be computed in integers, or that the reference has no call for.
        LayerError: NaN or infinity in the inputs.
    """
    net = opened.net
    layers = runnable(net, feeds)
    weights = execute.load(layers, opened.weights)
    simulation = prepare(net, weights, blocks, Arithmetic.INTEGER, opened.inputs)
    steps = list(simulation.steps(feeds))
    symbols = names(net)
    made = program(simulation, steps, symbols, weights, feeds.keys())
    coded = {each.layer.index: each.blobs for each in found}
    texts = {name: text_of(name) for name in FIXED}
    texts["network.c"] = _network(made, [symbols[layer.index] for layer in layers if weights[layer.index]])
    texts["golden.c"], golden = _golden(made, steps, feeds, symbols)
    texts |= golden
    for layer in layers:
        if weights[layer.index]:
            arrays = _parameters(simulation, layer, coded[layer.index])
            texts[f"layers/{symbols[layer.index]}.h"] = header(symbols[layer.index], arrays)
    return texts


def random_feeds(opened: Opened, blocks: Mapping[int, Block]) -> dict[Value, Array]:
    """Inputs from end to end of the format that they are quantized to, -1 to 1 where there is none."""
    rng = np.random.default_rng(0)
    return {
        value: rng.uniform(*_ends(_entrance(opened.net, value, blocks)), shape).astype(np.float32)
        for value, shape in opened.inputs.items()
    }


def names(net: Net) -> dict[int, str]:
    """Layer index -> a name that C takes, no two of them the same whatever the case of their letters.

    All that C sees of a layer is called `<name>__<what>`, where `what` begins with no underscore and has no two of them
    in a row: so no two things of the network, and none of the fixed files, can have one name.
    """
    found: dict[int, str] = {}
    taken: set[str] = set()
    for layer in net.layers:
        tries = _tries(identifier(layer.name)[:_LONGEST], layer.index)
        found[layer.index] = next(name for name in tries if name.lower() not in taken)
        taken.add(found[layer.index].lower())
    return found


def _tries(stem: str, index: int) -> Iterator[str]:
    yield stem
    yield f"{stem}_layer{index}"
    yield from (f"{stem}_layer{index}_{number}" for number in count(2))


def _entrance(net: Net, value: Value, blocks: Mapping[int, Block]) -> Whole | None:
    writer = formats.whole_out(blocks.get(value.writer))
    readers = (formats.whole_in(blocks.get(reader.index)) for reader in net.readers.get(value, ()))
    return writer or next((form for form in readers if form is not None), None)


def _ends(form: Whole | None) -> tuple[float, float]:
    return (-1.0, 1.0) if form is None else (form.limits[0] * form.step, form.limits[1] * form.step)


def _parameters(simulation: Simulation, layer: Layer, coded: Sequence[Coded]) -> Mapping[str, NDArray[Any]]:
    """What stands in the header of a layer: integers as `simulate --vectors` has them, or floats."""
    hardware = simulation.level.hardware(layer)
    if not hardware.arrays:
        return {blob.name: blob.values for blob in coded}
    facts: dict[str, NDArray[Any]] = {
        "shift": np.array(hardware.facts["shift"], np.int32),
        "limits": np.array(hardware.facts["limits"], np.int64),
    }
    scales = {f"{blob.name}_scale": scale for blob in coded if (scale := _scale(blob)) is not None}
    return {**hardware.arrays, **scales, **facts}


def _scale(blob: Coded) -> Array | None:
    if blob.form is not None and blob.form["kind"] == "fixed":
        return np.asarray(np.ldexp(np.float32(1), -blob.form["fl"]), np.float32)
    return blob.scale


def _network(made: Program, headers: Iterable[str]) -> str:
    tops = [top for unit in made.units for top in _tops(unit)]
    fields = {
        "headers": [{"symbol": symbol} for symbol in headers],
        "buffers": [
            {"type": "float" if each.form is None else "int32_t", "symbol": each.symbol, "count": each.count}
            for each in made.buffers
        ],
        "units": [
            {"symbol": unit.symbol, "comment": identifier(unit.layer.type), "calls": _calls(unit)}
            for unit in made.units
        ],
        "inputs": [
            {"name": string(value.blob), "count": place.count, "symbol": place.symbol}
            for value, place in made.inputs.items()
        ],
        "tops": tops,
        "input_count": len(made.inputs),
        "top_count": len(tops),
    }
    return rendered("network.c", fields)


def _tops(unit: Unit) -> list[dict[str, Any]]:
    return [
        {
            "name": string(unit.layer.name),
            "run": f"{unit.symbol}__run" if index == 0 else "NULL",
            "whole": int(top.form is not None),
            "step": real(1.0 if top.form is None else top.form.step),
            "count": top.count,
            "symbol": top.symbol,
        }
        for index, top in enumerate(unit.tops)
    ]


def _calls(unit: Unit) -> str:
    return "".join(
        rendered(f"calls/{call.name}.c", {**call.fields, **_operands(read, top)}) for call, read, top in unit.calls
    )


def _operands(read: Sequence[Buffer], top: Buffer) -> dict[str, str]:
    return {"bottom": read[0].symbol, "bottoms": ", ".join(each.symbol for each in read), "top": top.symbol}


def _golden(
    made: Program, steps: Sequence[Step], feeds: Mapping[Value, Array], symbols: Mapping[int, str]
) -> tuple[str, dict[str, str]]:
    """`golden.c`, and the headers with the arrays."""
    headers: dict[str, str] = {}
    written: list[dict[str, str]] = []
    tops: list[dict[str, Any]] = []
    inputs: dict[Value, str] = {}
    for step in steps:
        symbol = f"golden_{symbols[step.layer.index]}"
        if not step.outcome.tops:
            continue
        arrays = {f"output_{index}": _narrowed(held) for index, held in enumerate(step.outcome.tops)}
        tops += [_golden_top(f"{symbol}__{name}", array) for name, array in arrays.items()]
        for value in step.layer.tops:
            if value in feeds:
                inputs[value] = f"{symbol}__input_{len(inputs)}"
                arrays[f"input_{len(inputs) - 1}"] = np.asarray(feeds[value], np.float32)
        headers[f"golden/{symbols[step.layer.index]}.h"] = header(symbol, arrays)
        written.append({"symbol": symbols[step.layer.index]})
    fields = {
        "headers": written,
        "inputs": [{"symbol": inputs[value]} for value in made.inputs],
        "tops": tops,
    }
    return rendered("golden.c", fields), headers


def _narrowed(held: Held) -> NDArray[Any]:
    return narrow(held.integers, held.format.bits) if isinstance(held, Quantized) else held.real


def _golden_top(symbol: str, array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype == np.float32:
        return {"integers": "NULL", "bytes": 0, "floats": symbol}
    return {"integers": symbol, "bytes": array.dtype.itemsize, "floats": "NULL"}
