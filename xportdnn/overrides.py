"""`--overrides FILE` and `--skip_layers`: what the user wants otherwise for single layers, as values.

The file is a JSON object, layer name -> object of the keys in `KEYS`. schemas/overrides.schema.json says the same for
editors and other programs, and a test holds the two together. What an entry means for a network decides `settle`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

from xportdnn import files
from xportdnn.choices import BOARD_WIDTHS, Mode
from xportdnn.errors import InputError, LayerError, UsageError
from xportdnn.options import Options
from xportdnn.similar import similar

Threshold: TypeAlias = Union[float, str]
"""A threshold, or the method to find it by: "mse", "percentile:99.9"."""

LEAST, GREATEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # the normal numbers of float32, which the board reads
WIDTHS = (2, 32)
FRACTIONS = (-126, 126)  # 2**fl beyond this is no normal float32


@dataclass(frozen=True)
class Override:
    """One layer's entry; None where it asks for nothing.

    Attributes:
        threshold: of what the layer writes.
        bits: width of what the layer writes.
        params_threshold: of the weights, one for all output channels or one for each.
        params_bits: width of the weights.
        fl_layer_in, fl_layer_out, fl_params: fractional lengths of DynamicFixed mode.
        keep_float: the layer gets no block.
    """

    threshold: Threshold | None = None
    bits: int | None = None
    params_threshold: float | tuple[float, ...] | None = None
    params_bits: int | None = None
    fl_layer_in: int | None = None
    fl_layer_out: int | None = None
    fl_params: int | None = None
    keep_float: bool = False

    @property
    def keys(self) -> dict[str, Any]:
        """The keys that ask for something, with their values."""
        values = {key: getattr(self, "keep_float" if key == "float" else key) for key in KEYS}
        return {key: value for key, value in values.items() if value is not None and value is not False}


@dataclass(frozen=True)
class Asked:
    """Everything asked for single layers.

    Attributes:
        path: the file; empty if there is none.
        layers: layer name -> entry of the file.
        skipped: the layers of `--skip_layers`.
    """

    path: str = ""
    layers: Mapping[str, Override] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def floats(self) -> tuple[str, ...]:
        """The layers that get no block, by whichever way it was said, each once."""
        return tuple(dict.fromkeys((*(name for name, each in self.layers.items() if each.keep_float), *self.skipped)))

    def of(self, name: str) -> dict[str, Any]:
        """The keys of one layer with their values; empty if nothing was asked for it."""
        keys = self.layers[name].keys if name in self.layers else {}
        return {**keys, "float": True} if name in self.skipped else keys

    def refuse(self, in_file: Sequence[str], in_option: Sequence[str]) -> None:
        """Stop if there are problems, with those of the file or those of `--skip_layers`, or with both.

        Raises:
            InputError: the file has problems.
            UsageError: only the option has.
        """
        if not in_file and not in_option:
            return
        problems = [*in_file, *(f"--skip_layers {problem}" for problem in in_option)]
        if len(problems) == 1:
            raise InputError(f"{self.path}: {problems[0]}") if in_file else UsageError(problems[0])
        if in_file:
            raise InputError(f"{self.path}: these overrides cannot be used:", problems)
        raise UsageError("these layers cannot be skipped:", problems)


NOTHING_ASKED = Asked()


def place(layer: str, key: str = "") -> str:
    """`"conv1".threshold`, for messages."""
    return f'"{layer}"' + (f".{key}" if key else "")


def near(name: str, known: Sequence[str]) -> str:
    """A hint at names like this one; empty if there are none."""
    found = [repr(each) for each in similar(name, known)]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def asked(options: Options) -> Asked:
    """What the options ask for single layers.

    Raises:
        InputError: the file cannot be read, or holds what cannot be used with these options: everything at once.
    """
    if options.overrides is None:
        return Asked(skipped=options.skip_layers)
    layers, problems = _read(options.overrides)
    for name, override in layers.items():
        problems += _misplaced(name, override, options)
    found = Asked(options.overrides, layers, options.skip_layers)
    found.refuse(problems, [])
    return found


def _read(path: str) -> tuple[dict[str, Override], list[str]]:
    import json

    try:
        content = json.loads(files.read(path), object_pairs_hook=_Pairs)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is no JSON: {error}") from None
    if not isinstance(content, _Pairs):
        raise InputError(f'{path}: must be an object of layers, {{"conv1": {{"bits": 8}}}}, not {_shown(content)}')
    layers: dict[str, Override] = {}
    problems = [f"{place(name)}: given twice; keep one" for name in content.repeated]
    for name, entry in content.items():
        if name == "$schema" and isinstance(entry, str):
            continue
        values, wrong = _entry(name, entry)
        problems += wrong
        layers[name] = Override(**values)
    return layers, problems


class _Pairs(dict[str, Any]):
    """A JSON object that remembers which names it had twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.repeated = [name for name in self if names.count(name) > 1]


def _entry(name: str, entry: object) -> tuple[dict[str, Any], list[str]]:
    """The fields of an `Override`, and what is wrong."""
    if not isinstance(entry, _Pairs):
        return {}, [f'{place(name)}: must be an object, such as {{"bits": 8}}, not {_shown(entry)}']
    values: dict[str, Any] = {}
    problems = [f"{place(name, key)}: given twice; keep one" for key in entry.repeated]
    for key, value in entry.items():
        if key not in KEYS:
            hint = near(key, list(KEYS)) or f"; the keys are {', '.join(KEYS)}"
            problems.append(f"{place(name, key)}: there is no such key{hint}")
            continue
        try:
            values["keep_float" if key == "float" else key] = KEYS[key](value)
        except LayerError as error:
            problems.append(f"{place(name, key)}: {error}, not {_shown(value)}")
    if values.get("keep_float") and len(entry) > 1:
        others = ", ".join(key for key in entry if key != "float")
        problems.append(f"{place(name, 'float')}: a layer in float has no formats; remove it, or {others}")
    return values, problems


def _misplaced(name: str, override: Override, options: Options) -> Iterator[str]:
    """What the options do not allow."""
    keys = override.keys
    mode = options.quant_type
    for key in _FOREIGN[mode]:
        if key in keys:
            other = Mode.DYNAMIC_FIXED if mode is Mode.XILINX else Mode.XILINX
            yield f"{place(name, key)}: belongs to --quant_type {other.value}, this is {mode.value}; remove it"
    for key in ("bits", "params_bits"):
        if key in keys and options.for_board and keys[key] not in BOARD_WIDTHS and not options.force:
            yield f"{place(name, key)}: the board takes 6 or 8, not {keys[key]}; --force overrides"
    if mode is Mode.XILINX and isinstance(override.threshold, str) and options.rule == "xilinx":
        yield (
            f'{place(name, "threshold")}: "{override.threshold}" is found from the statistics of one pass over the '
            "float network, and --threshold_method xilinx makes none; give a number, or another --threshold_method"
        )
    if name in options.skip_layers and keys.keys() - {"float"}:
        yield f"{place(name)}: --skip_layers keeps this layer in float, where it has no formats; remove one of the two"


def _threshold(value: Any) -> Threshold:
    from xportdnn.thresholds import METHODS, named

    if isinstance(value, str):
        if named(value) is not None:
            return value
    elif _is_positive(value):
        return float(value)
    raise LayerError(f"must be a number above 0 in float32's range, or {', '.join(METHODS)} or percentile:99.9")


def _thresholds(value: Any) -> float | tuple[float, ...]:
    if isinstance(value, list) and value and all(map(_is_positive, value)):
        return tuple(map(float, value))
    if _is_positive(value):
        return float(value)
    raise LayerError("must be a number above 0 in float32's range, or a list of one for each output channel")


def _is_positive(value: Any) -> bool:
    # NaN, which Python's reader takes, compares as false
    return _is_number(value) and LEAST <= value <= GREATEST


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(limits: tuple[int, int]) -> Callable[[object], int]:
    least, greatest = limits

    def read(value: Any) -> int:
        # JSON knows one kind of number: 8.0 is a whole one
        if _is_number(value) and least <= value <= greatest and value == int(value):
            return int(value)
        raise LayerError(f"must be a whole number from {least} to {greatest}")

    return read


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise LayerError("must be true or false")
    return value


def _shown(value: object) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


KEYS: dict[str, Callable[[Any], Any]] = {
    "threshold": _threshold,
    "bits": _whole(WIDTHS),
    "params_threshold": _thresholds,
    "params_bits": _whole(WIDTHS),
    "fl_layer_in": _whole(FRACTIONS),
    "fl_layer_out": _whole(FRACTIONS),
    "fl_params": _whole(FRACTIONS),
    "float": _flag,
}
_FOREIGN = {
    Mode.XILINX: ("fl_layer_in", "fl_layer_out", "fl_params"),
    Mode.DYNAMIC_FIXED: ("threshold", "params_threshold"),
}
