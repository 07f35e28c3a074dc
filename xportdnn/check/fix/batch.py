"""The batch of the Input layer, made 1."""

from __future__ import annotations

from collections.abc import Iterator

from xportdnn.check.fix import Change, Fix
from xportdnn.check.subject import Subject
from xportdnn.prototxt import Edit, Scalar


def _changes(subject: Subject) -> Iterator[Change]:
    for layer in subject.layers:
        if layer.type != "Input":
            continue
        for param in layer.message.messages("input_param"):
            for shape in param.messages("shape"):
                dims = [dim for dim in shape.all("dim") if isinstance(dim, Scalar)]
                if len(dims) == 4 and dims[0].text != "1":
                    batch = dims[0]
                    message = f'the batch of input "{layer.name}" was {batch.text} and is now 1'
                    yield Change(batch.start, message, (Edit(batch.start, batch.end, "1"),))


FIX = Fix(("batch",), "The batch of the input becomes 1", _changes)
