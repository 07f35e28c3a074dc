"""The forward that calibration runs: the numbers of the reference rules, at the speed of BLAS.

`Program` plans a whole network once and runs it image by image; `rule` is a single layer. Each layer's one clear rule
stays the one in `xportdnn.layers`, and the kernels here are tested against it: modules named after what they compute,
`layout` for how images lie in memory, `choice` for which kernel a layer gets, `steps` for what runs as one, `memory`
for what shares its place. Layers without a kernel run by their reference rule.

Everything is decided from the network's shapes. BLAS should run with one thread, and several images at a time in
processes or threads of their own (`Program.twin`): the numbers do not depend on it.
"""

from __future__ import annotations

from xportdnn.engine.program import Program, rule

__all__ = ["Program", "rule"]
