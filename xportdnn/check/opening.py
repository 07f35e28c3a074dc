"""From text and caffemodel to what the rules look at. What cannot be had is left out and said, never an error."""

from __future__ import annotations

from xportdnn import execute
from xportdnn.build import build
from xportdnn.caffemodel import Caffemodel
from xportdnn.check.subject import Subject
from xportdnn.errors import InputError
from xportdnn.layers import Shape
from xportdnn.network import Value, infer_shapes, runnable, unreached
from xportdnn.opening import Opened
from xportdnn.prototxt import Source, parse
from xportdnn.upgrade import upgrade
from xportdnn.weights import assign


def subject(source: Source, model: Caffemodel | None = None) -> Subject:
    """The file as the board sees it, with Caffe's view, shapes and weights as far as they can be had.

    Raises:
        PrototxtError: the text is no prototxt.
    """
    document = parse(source)
    net, shapes = None, dict[Value, Shape]()
    try:
        net = build(upgrade(document).document)
        inputs = {value: net.declared[value] for value in net.inputs if value in net.declared}
        shapes = infer_shapes(net, inputs)
        if model is None:
            return Subject(document, net, shapes)
        found = assign(net, shapes, model)
        weights = execute.load(runnable(net, inputs), found)
    except InputError as error:
        return Subject(document, net, shapes, trouble=str(error), model=model)
    opened = Opened(net, inputs, shapes, found, tuple(unreached(net, shapes)))
    return Subject(document, net, shapes, weights, opened, model=model)
