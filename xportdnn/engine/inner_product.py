"""InnerProduct: a matrix times a vector, with the matrix where the caffemodel lies in memory.

The weights of a large layer are never copied: they are read once per image, which takes as long as the memory does.
"""

from __future__ import annotations

from dataclasses import dataclass

from xportdnn.engine import layout
from xportdnn.engine.kernel import Op, Run
from xportdnn.layers import Array, Arrays
from xportdnn.lazy import np

# Bytes of weights that are copied at a time where they are not aligned: NumPy would copy the whole matrix at once.
_BLOCK = 3 << 19
_GRAIN = 4  # BLAS takes so many rows of them at once, and should take the same ones however they are cut


@dataclass(frozen=True)
class InnerProduct:
    """One image, in Caffe's order of its numbers, to (1, num_output).

    Attributes:
        weights: (num_output, inputs).
        finish: what is done to the top.
    """

    weights: Array
    finish: tuple[Op, ...]

    @property
    def _height(self) -> int:
        """Outputs that are computed at a time."""
        if self.weights.flags.aligned:
            return len(self.weights)
        height: int = _BLOCK // (4 * self.weights.shape[1]) // _GRAIN * _GRAIN
        return max(_GRAIN, height)

    @property
    def scratch(self) -> int:
        inputs: int = self.weights.shape[1]
        return inputs + (0 if self.weights.flags.aligned else self._height * inputs)

    def bind(self, bottoms: Arrays, top: Array, scratch: Array) -> Run:
        (bottom,), inputs = bottoms, self.weights.shape[1]
        vector = scratch[:inputs]
        in_order = vector.reshape(bottom.shape)
        copied = scratch[inputs:].reshape(-1, inputs)
        out = layout.rows(top)
        stretches = []
        for start in range(0, len(self.weights), self._height):
            weights = self.weights[start : start + self._height]
            aligned = copied[: len(weights)] if copied.size else weights
            stretches.append((weights, aligned, out[0, start : start + len(weights)]))

        def run() -> None:
            np.copyto(in_order, bottom)
            for weights, aligned, part in stretches:
                if aligned is not weights:
                    np.copyto(aligned, weights)
                np.matmul(aligned, vector, out=part)
            for op in self.finish:
                op(out, out)

        return run
