"""Fixed-point arithmetic: pure functions from arrays to arrays, every rounding named.

    rounding          half away from zero, half to even, half up, toward zero, stochastic
    threshold         integers of the step th / (2**(bw-1) - 1), Xilinx mode
    qformat           integers of the step 2**-fl, DynamicFixed mode and Ristretto's dynamic fixed point
    minifloat, power_of_two   Ristretto's other two formats
    twos_complement   what a register of n bits keeps
    products          exact integer products at the speed of floating-point BLAS
    integer           a layer as a careful implementer computes it: wide sums, one rounding
    board             a layer as CHaiDNN's kernel computes it, limits included

*quantize* turns floats into integers, *dequantize* integers into floats, and *trim* (Ristretto's and CHaiDNN's word)
turns floats into the floats that quantization leaves of them. Values must be finite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[np.signedinteger[Any]]
    Int64s: TypeAlias = NDArray[np.int64]
    Int32s: TypeAlias = NDArray[np.int32]
    Int8s: TypeAlias = NDArray[np.int8]
else:
    Integers = Int64s = Int32s = Int8s = Any
