"""The words a user can choose between, and the triples of numbers that two options take."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple, TypeAlias, Union


class Mode(str, Enum):
    """The two quantization modes, by the name that the board's parser compares letter by letter."""

    XILINX = "Xilinx"
    DYNAMIC_FIXED = "DynamicFixed"


class Matrix(str, Enum):
    """The layer-support table: the user guide's, or what CHaiDNN's parser reads."""

    GUIDE = "guide"
    PARSER = "parser"


class ScaleClasses(str, Enum):
    """Which blobs share a threshold: those the hardware ties together, or those XportDNN tied."""

    BOARD = "board"
    ORIGINAL = "original"


class Arithmetic(str, Enum):
    """How exactly a simulation imitates the hardware (`xportdnn.simulation`)."""

    FAKE = "fake"
    INTEGER = "integer"
    CHAIDNN = "chaidnn"


class Side(str, Enum):
    """What of a network is quantized, where only a part of it is."""

    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


class Dialect(str, Enum):
    """Whose fields a conversion writes: CHaiDNN's, Ristretto's, caffe-jacinto's, or CHaiDNN's as JSON of our own."""

    CHAIDNN = "chaidnn"
    RISTRETTO = "ristretto"
    JACINTO = "jacinto"
    JSON = "json"


Table: TypeAlias = Union[Matrix, Literal[Dialect.RISTRETTO]]
"""Where it stands which layers get a block: in one of CHaiDNN's two tables, or in Ristretto's code."""


class Triple(NamedTuple):
    """Three numbers for input, parameters and output, as `--bitwidths` and `--fl_bitwidths` give them."""

    layer_in: int
    params: int
    layer_out: int


Fraction: TypeAlias = Union[Triple, Literal["auto"]]
"""The fractional lengths of all layers, or that they are to be found from pictures."""

THRESHOLD_METHODS = ("xilinx", "mse", "kl", "percentile", "max", "auto")
PARAMS_METHODS = ("max", "mse")
FL_METHODS = ("mse", "overflow", "ristretto")
TRIMMING_MODES = ("dynamic_fixed_point", "minifloat", "integer_power_of_2_weights")
BOARD_WIDTHS = (6, 8)
DEFAULT_WIDTHS = Triple(6, 6, 6)
JACINTO_WIDTHS = Triple(8, 12, 8)  # the defaults of caffe-jacinto
DEFAULT_FRACTION = Triple(2, 5, 2)
