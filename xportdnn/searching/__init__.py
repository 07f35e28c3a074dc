"""How few bits will do: `xportdnn search`.

    options    everything a search can be told
    widths     the parts of a network that have a width of their own, and their widths
    metric     what is measured of a quantized network, and how much of it may be lost
    calibration   the pictures that formats are found from
    lengths    the formats of every layer at every width
    networks   a network quantized with given widths, ready to run
    share      the pictures of one worker, decoded once, and what the float network makes of them
    bench      all pictures: a width in, a score out
    ladder     the search itself, Ristretto's and the way back from it: pure functions of scores
    mixed      6 or 8 bits for the weights of each layer
    conversions   the conversion with other widths, as its command would do it
    command    from options to a result
    table, values   the result as text and as JSON

The ladder is that of `ristretto quantize` (Gysel et al., "Ristretto: A Framework for Empirical Study of
Resource-Efficient Inference in Convolutional Neural Networks", IEEE TNNLS 2018; pmgysel/caffe quantization.cpp).
"""
