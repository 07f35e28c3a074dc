"""A network's forward, planned once: which kernels run, in which order, on which memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import groupby
from operator import attrgetter

from xportdnn.engine import choice, layout
from xportdnn.engine.choice import Choose, Work
from xportdnn.engine.kernel import Run, nothing
from xportdnn.engine.memory import LINE, buffers, place
from xportdnn.engine.steps import Step, steps
from xportdnn.execute import forward
from xportdnn.layers import Array, Arrays, Shape, Shapes
from xportdnn.lazy import np
from xportdnn.network import Layer, Net, Value, runnable


class Program:
    """The forward of a network for one image at a time, in memory of its own.

    Only what the observed values depend on is computed. A value that is not observed and that only an element-wise
    layer reads is never stored: the reader's work is done on every stretch of rows while it is in the cache, and the
    factors of BatchNorm and Scale go into the weights of the convolution before them. An observed value is the same to
    the last bit whatever else is observed, but for rounding behind a BatchNorm, Scale or Bias that is taken together
    with the layers around it.
    """

    def __init__(
        self,
        net: Net,
        weights: Mapping[int, Arrays],
        shapes: Mapping[Value, Shape],
        feeds: Collection[Value],
        observed: Collection[Value],
        *,
        changeable: bool = False,
        choose: Choose = choice.kernel,
    ) -> None:
        """
        Args:
            weights: arrays by layer index (see `execute.load`); those of InnerProduct are kept and read, not copied.
            shapes: of all values (see `network.infer_shapes`).
            feeds: the values that `run` will be given.
            observed: the values that `run` shall yield.
            changeable: what is yielded may be written to, and the layers behind read what stands there then; where
                tops are their bottom under other names, all of them change at once. Values in `loose` stay read-only.
            choose: which kernels run.
        """
        self._net, self._weights, self._shapes = net, weights, shapes
        self._feeds, self._observed, self._changeable = tuple(feeds), frozenset(observed), changeable
        self._steps = tuple(steps(runnable(net, self._feeds), weights, shapes, self._observed, choose))
        self._buffers, spans = buffers(self._steps, shapes, self._feeds)
        self._offsets, self._size = place(spans)
        seen = sorted((value for value in self._feeds if value in self._observed), key=attrgetter("writer"))
        self._fed = [list(values) for _, values in groupby(seen, key=attrgetter("writer"))]
        self._bind()

    @property
    def nbytes(self) -> int:
        """The working memory, without the weights."""
        return 4 * self._size

    @property
    def loose(self) -> frozenset[Value]:
        """The values whose shape depends on the numbers."""
        return frozenset(value for step in self._steps if step.loose for value in step.tops)

    def twin(self, host: Program | None = None) -> Program:
        """The same with memory of its own, for another thread.

        Args:
            host: a program whose memory will do: only one of them can run at a time.
        """
        twin = copy.copy(self)
        twin._bind(None if host is None or host._size < self._size else host._whole)
        return twin

    def array(self, value: Value) -> Array:
        """Where an observed value lies; what stands there is the value from its layer's turn to its last reader's."""
        return self._views[value]

    def run(self, feeds: Mapping[Value, Array]) -> Iterator[tuple[Value, Array]]:
        """Compute one image.

        Args:
            feeds: (1, channels, height, width) or whatever shape the value has; they may lie in memory as they like.

        Yields:
            Every observed value right after it was computed, read-only and in Caffe's axes, though not in Caffe's
            order in memory. It is valid until the next one is asked for.

        Raises:
            LayerError: a reference rule cannot handle the values it got, named with its place.
        """
        for tops in self.layers(feeds):
            yield from tops.items()

    def layers(self, feeds: Mapping[Value, Array]) -> Iterator[dict[Value, Array]]:
        """The same layer by layer, input layers first: all observed tops of a layer, valid until the next is computed.

        Raises:
            LayerError: see `run`.
        """
        for value in self._feeds:
            np.copyto(self._memory[value], feeds[value])
        for values in self._fed:
            yield {value: self._views[value] for value in values}
        for work, values in self._work:
            # what leaves the finite range is found by those who read the values
            with np.errstate(all="ignore"):
                work()
            if values:
                yield {value: self._views[value] for value in values}

    def _bind(self, whole: Array | None = None) -> None:
        """Take memory, if there is none, and lay everything out in it."""
        self._whole = np.empty(self._size + LINE, np.float32) if whole is None else whole
        memory = self._whole[-(self._whole.ctypes.data // self._whole.itemsize) % LINE :]
        self._memory = {
            value: layout.within(memory[self._offsets[buffer] :], self._shapes[value])
            for value, buffer in self._buffers.items()
        }
        view = np.ndarray.view if self._changeable else _read_only
        self._views = {value: view(array) for value, array in self._memory.items()}
        self._work: list[tuple[Run, list[Value]]] = []
        scratches = self._offsets[len(self._offsets) - len(self._steps) :]
        for step, offset in zip(self._steps, scratches, strict=True):
            work = self._work_of(step, memory[offset : offset + step.scratch])
            self._work.append((work, [value for value in step.tops if value in self._observed]))

    def _work_of(self, step: Step, scratch: Array) -> Run:
        if step.is_alias:
            return nothing
        if step.kernel is None:
            return partial(self._refer, step)
        return step.kernel.bind(
            tuple(self._memory[value] for value in step.bottoms), self._memory[step.tops[0]], scratch
        )

    def _refer(self, step: Step) -> None:
        """The layer's reference rule, its tops copied to where they belong."""
        bottoms = tuple(self._views[value] for value in step.bottoms)
        tops = forward(self._net, step.layer, bottoms, self._weights.get(step.layer.index, ()))
        for value, top in zip(step.tops, tops, strict=True):
            if step.loose:
                self._views[value] = _read_only(top)
            else:
                np.copyto(self._memory[value], top)


def _read_only(array: Array) -> Array:
    view = array[...]
    view.flags.writeable = False
    return view


def rule(net: Net, layer: Layer, bottoms: Shapes, blobs: Arrays) -> Callable[[Arrays], Arrays]:
    """A single layer, planned for bottoms of these shapes: a function from bottoms to new tops.

    The bottoms may lie in memory as they like; the tops of kernels lie with their channels last. Dropout and Split give
    their bottom itself.

    Raises:
        LayerError: by the function, see `execute.forward`.
    """
    assert layer.kind is not None
    if choice.renames(layer):
        return lambda arrays: arrays * len(layer.tops)
    tops = layer.kind.shape(layer.params, bottoms)
    kernel = choice.kernel(Work(layer, bottoms, tops, blobs))
    if kernel is None:
        return lambda arrays: forward(net, layer, arrays, blobs)
    scratch = np.empty(kernel.scratch, np.float32)

    def run(arrays: Arrays) -> Arrays:
        top = layout.empty(tops[0])
        with np.errstate(all="ignore"):
            kernel.bind(tuple(layout.laid_out(array) for array in arrays), top, scratch)()
        return (top,)

    return run
