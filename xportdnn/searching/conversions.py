"""Conversions with other widths, as their commands would do them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from xportdnn.choices import Mode, Triple
from xportdnn.conversion import Conversion, convert
from xportdnn.network import Net
from xportdnn.options import Options
from xportdnn.precision import Precision, of_fields
from xportdnn.searching import mixed
from xportdnn.searching.mixed import Blocks
from xportdnn.searching.options import SearchOptions

Converting: TypeAlias = Callable[[int, int, frozenset[int]], Conversion]
"""Convert with this width of activations and of weights, 6 bits for the weights of these layers."""


def converting(options: SearchOptions, net: Net, calibration: Mapping[str, Any]) -> Converting:
    """Every conversion is done once.

    Args:
        calibration: the options about pictures.
    """

    @cache
    def converted(activations: int, params: int, narrow: frozenset[int]) -> Conversion:
        return _converted(options, calibration, activations, params, mixed.overrides(net, narrow))

    return converted


def _converted(
    options: SearchOptions, calibration: Mapping[str, Any], activations: int, params: int, asked: Mapping[str, Any]
) -> Conversion:
    fixed = options.quant_type is Mode.DYNAMIC_FIXED
    how: dict[str, Any] = {"fl_bitwidths": "auto", "fl_method": options.formats} if fixed else {"params_method": "mse"}
    with TemporaryDirectory() as folder:
        path = Path(folder, "overrides.json")
        path.write_text(json.dumps(asked), encoding="utf-8", errors="surrogateescape")
        given = Options(
            options.deploy_model,
            options.weights,
            quant_type=options.quant_type,
            bitwidths=Triple(activations, params, activations),
            overrides=str(path) if asked else None,
            workers=options.workers,
            **how,
            **calibration,
            **options.preprocessing,
        )
        return convert(given)


def by_index(conversion: Conversion) -> dict[int, Precision]:
    """Layer index -> its block."""
    return {block.layer.index: of_fields(block.fields) for block in conversion.blocks}


def in_order(conversion: Conversion) -> Blocks:
    """The same as a network to try."""
    return tuple(sorted(by_index(conversion).items()))
