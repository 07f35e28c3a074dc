"""The arithmetic of `chaidnn`: the board.

    kinds     the layer types that its kernel does not compute
    fusion    what it computes inside another layer
    weights   its convolutions' numbers, BatchNorm and Scale worked in
    geometry  which sizes and axes it takes
    plan      whether it runs a network at all, and where it does something else than the network says
    level     the layers themselves

The kernel's own rules are in `xportdnn.arithmetic.board`.
"""
