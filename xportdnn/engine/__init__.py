"""The forward that calibration runs: the reference rules' numbers at the speed of BLAS.

`Program` plans a whole network once and runs it image by image; `rule` is the same for a single layer. Every layer's
one clear rule stays the one in `xportdnn.layers`, and what is found here is tested against it: kernels for the layers
that take the time, `layout` for how they lie in memory, `choice` for which kernel a layer gets, `steps` for what runs as
one, and `memory` for what shares its place. Layers without a kernel run by their reference rule.

Everything is decided from the network's shapes. BLAS is meant to run with one thread, several images at a time in
several processes or threads (each with a `Program.twin`); the numbers do not depend on that.
"""

from __future__ import annotations

from xportdnn.engine.program import Program

__all__ = ["Program"]
