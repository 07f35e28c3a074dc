"""What keeps a conversion within what the board's kernel can do, whatever rule chose the thresholds.

    convolutions    what of a network's convolutions the guards look at
    bounds          the least th_layer_out that a convolution can have, from the kernel's arithmetic
    xilinx          the thresholds of all scale classes, raised until every bound holds
    deconvolutions  one threshold for all weights of a Deconvolution
    fractions       fractional lengths found from pictures, moved until the board can compute with them
    biases          what room for a bias is worth
    dynamic_fixed   the user's formats, looked at and left as they are
    marks           what a guard did or found, and how it is said

In Xilinx mode thresholds are only ever raised, and a whole scale class at once: the board has one number for it.
"""
