"""Other programs' ways to write the formats of a quantized network.

    retyping      Ristretto's names of layer types, and back
    ristretto     `quantization_param` in layers of Ristretto's types, three trimming modes
    jacinto       caffe-jacinto's `net_quantization_param`, one for the whole network
    planfile      CHaiDNN's blocks as JSON, by schemas/plan.schema.json
    planschema    what that allows
    planmatch     whether a plan is that of a network
    formats       what of all this a file holds

CHaiDNN's own is in `blocks`.
"""
