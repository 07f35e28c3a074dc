"""`--overrides FILE` and `--skip_layers`: what the user wants otherwise for single layers, as values.

The file is a JSON object, layer name -> object of the keys in `KEYS`. schemas/overrides.schema.json says the same for
editors and other programs, and a test holds the two together. What an entry means for a network decides `settle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

from xportdnn import files
from xportdnn.choices import BOARD_WIDTHS, Mode
from xportdnn.errors import InputError, UsageError
from xportdnn.jsonrules import Pairs, Record, Rule, flag, is_number, must, refused, shown, whole
from xportdnn.options import Options

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
        content = json.loads(files.read(path), object_pairs_hook=Pairs)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is no JSON: {error}") from None
    if not isinstance(content, Pairs):
        raise InputError(f'{path}: must be an object of layers, {{"conv1": {{"bits": 8}}}}, not {shown(content)}')
    layers: dict[str, Override] = {}
    problems = [f"{place(name)} is given twice; keep one" for name in content.repeated]
    for name, entry in content.items():
        if name == "$schema" and isinstance(entry, str):
            continue
        if isinstance(entry, dict):
            problems += _ENTRY.inside(entry, f"{place(name)}.")
            layers[name] = _override(entry)
        else:
            problems.append(refused(entry, place(name), 'an object, such as {"bits": 8}'))
    return layers, problems


def _override(entry: Mapping[str, Any]) -> Override:
    """What an entry asks for, as far as it is right."""
    right = {key: value for key, value in entry.items() if key in KEYS and not any(KEYS[key](value, "", key))}
    return Override(**{"keep_float" if key == "float" else key: _value(key, value) for key, value in right.items()})


def _value(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(float, value))
    if not is_number(value):
        return value
    return float(value) if key in _THRESHOLDS else int(value)


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


def _threshold(value: Any, entry: str, name: str) -> Iterator[str]:
    from xportdnn.thresholds import METHODS, named

    if not (named(value) if isinstance(value, str) else _is_positive(value)):
        wanted = f"a number above 0 in float32's range, or {', '.join(METHODS)} or percentile:99.9"
        yield refused(value, f"{entry}{name}", wanted)


def _are_thresholds(value: Any) -> bool:
    return _is_positive(value) or (isinstance(value, list) and value != [] and all(map(_is_positive, value)))


def _is_positive(value: Any) -> bool:
    # NaN, which Python's reader takes, compares as false
    return is_number(value) and LEAST <= value <= GREATEST


def _together(entry: Mapping[str, Any]) -> Iterator[str]:
    if entry.get("float") is True and len(entry) > 1:
        others = ", ".join(key for key in entry if key != "float")
        yield f"float: a layer in float has no formats; remove it, or {others}"


_THRESHOLDS = ("threshold", "params_threshold")
KEYS: dict[str, Rule] = {
    "threshold": _threshold,
    "bits": whole(*WIDTHS),
    "params_threshold": must(
        _are_thresholds, "a number above 0 in float32's range, or a list of one for each output channel"
    ),
    "params_bits": whole(*WIDTHS),
    "fl_layer_in": whole(*FRACTIONS),
    "fl_layer_out": whole(*FRACTIONS),
    "fl_params": whole(*FRACTIONS),
    "float": flag,
}
_ENTRY = Record(KEYS, optional=KEYS, together=_together)
_FOREIGN = {Mode.XILINX: ("fl_layer_in", "fl_layer_out", "fl_params"), Mode.DYNAMIC_FIXED: _THRESHOLDS}
