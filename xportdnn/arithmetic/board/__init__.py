"""CHaiDNN's kernel in integers, bit for bit.

The rules were found by running CHaiDNN's own code (Xilinx/CHaiDNN ad3be78: design/conv, software/init,
software/swkernels) in C simulation; every module names its own. Not among them, because the board was not run on
them: depthwise convolution, BatchNorm jobs, CReLU, Deconvolution, Permute, Normalize.

    weights       floats of a convolution to the integers that the host stores (convInit)
    convolution   the accumulator with its limits, and the output stage
    pooling, eltwise
    ends          floats into the board and out of it
    faults        layers that the kernel computes wrong, and why
    saturations   what was lost on the way, counted

Blobs are int8, (num, channels, height, width). The board computes images two by two: 0 and 1, 2 and 3 and so on.
"""
