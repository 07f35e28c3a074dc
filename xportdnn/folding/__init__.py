"""BatchNorm, Scale and their like computed into the weights next to them; Dropout and Split taken out.

CHaiDNN has no BatchNorm or Scale layer of its own and no Split at all: what its optimiser does not fuse makes it stop
(xtract_opt.cpp). Here the network changes before calibration sees it, and nothing of it is left to the optimiser.

    affine     a layer that only scales and shifts, as one factor and one summand per channel
    absorb     such factors put into a Convolution, Deconvolution or InnerProduct, from behind or from before
    wiring     who reads a value when Dropout and Split are gone, and which blobs must keep their names
    plan       which layers go where, which stay, and why
    rewrite    the plan as edits of the text
    fused      NVIDIA's BatchNorm of five blobs, taken apart first
    model      the folded caffemodel in memory
    folded     all of it in a row
    proof      the folded network's outputs against the original's
    command    from files to a folded and proven network

The folded network is a `Net` and a `Caffemodel` like any other.
"""
