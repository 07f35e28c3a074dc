"""Quantized weights as files.

    command    `xportdnn export`
    coded      a layer's blobs as integer codes, and what the codes mean
    weights    all layers of a network, proven to give the same numbers when they are read back
    manifest   what the `.npz` says of itself
    grid       the caffemodel whose floats lie on the grid
    program    the network as a list of C calls, from a simulation in integers
    calls      the call of each layer type in integers
    float_calls  the same in float
    templates  C text from the files in `c/`
    c_folder   headers, reference program and golden vectors as a folder

`xportdnn.codefile` is the `.npz` format itself.
"""
