"""How improved networks are made from a set of pictures, with the formats that a conversion on it would choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from xportdnn import calibration, execute, plan, precision
from xportdnn.folding.bias_correction import corrected
from xportdnn.folding.equalize import Rule, Spread, factors, scaled, spread
from xportdnn.folding.extents import extents
from xportdnn.folding.folded import Folded
from xportdnn.folding.reweighted import reweighted
from xportdnn.folding.strands import Strands, strands
from xportdnn.journal import Journal
from xportdnn.layers import Arrays
from xportdnn.network import runnable
from xportdnn.options import Options
from xportdnn.pictures import CalibrationSet
from xportdnn.precision import Precision
from xportdnn.workers import default_workers

_ROUNDS = 2
"""Corrected biases move the thresholds, and with them the steps that biases are kept in; the second time hardly."""


@dataclass(frozen=True)
class Candidate:
    """A network, and the formats of its layers by index."""

    folded: Folded
    blocks: Mapping[int, Precision]

    @cached_property
    def weights(self) -> Mapping[int, Arrays]:
        """Arrays by layer index, of the layers that run."""
        opened = self.folded.opened
        return execute.load(runnable(opened.net, opened.inputs), opened.weights)

    @cached_property
    def strands(self) -> Strands:
        """Its channels, as far as only one factor can scale them."""
        return strands(self.folded.opened)


@dataclass(frozen=True)
class Workshop:
    """A set of pictures, and the conversion that networks are made for."""

    options: Options
    pictures: CalibrationSet
    journal: Journal

    @property
    def workers(self) -> int:
        return self.options.workers or default_workers()

    def candidate(self, folded: Folded) -> Candidate:
        """A network as it would be converted.

        Raises:
            CalibrationError: NaN or infinity in the forward.
        """
        # what there is to say about thresholds the conversion will say
        quiet = Journal(progress=self.journal.progress)
        found = calibration.evidence(self.options, folded.opened, self.pictures, quiet).thresholds
        options = self.options
        blocks, _ = plan.xilinx(folded.net, options.bitwidths, found, options.matrix, options.scale_classes)
        return Candidate(folded, {block.layer.index: precision.of_fields(block.fields) for block in blocks})

    def spread(self, candidate: Candidate) -> Spread:
        """How much of its scale class every channel uses."""
        opened, found = candidate.folded.opened, candidate.strands
        seen = extents(opened, candidate.weights, self.pictures, tuple(found.of), self.workers)
        return spread(opened, candidate.weights, found, seen, self.options.bitwidths.layer_out)

    def equalized(self, candidate: Candidate, measured: Spread, rule: Rule) -> Candidate:
        """The network with its channels scaled."""
        opened, weights = candidate.folded.opened, candidate.weights
        blobs = scaled(opened, weights, candidate.strands, factors(measured, weights, rule))
        return self.candidate(reweighted(candidate.folded, blobs))

    def corrected(self, candidate: Candidate) -> Candidate:
        """The network with its biases corrected, for the formats that it has then.

        Raises:
            CalibrationError: the pictures' blobs do not fit into the memory.
        """
        opened, found = candidate.folded.opened, candidate
        layers = runnable(opened.net, opened.inputs)
        with self.journal.progress("correcting", _ROUNDS * len(layers)) as tick:
            for _ in range(_ROUNDS):
                blobs = corrected(opened, candidate.weights, found.blocks, self.pictures, self.workers, tick)
                found = self.candidate(reweighted(candidate.folded, blobs))
        return found

    def on(self, pictures: CalibrationSet) -> Workshop:
        """The same with other pictures."""
        return replace(self, pictures=pictures)
