"""What quantization costs: the float network and the quantized one, picture by picture, layer by layer.

    labels       which pictures, and what each of them shows
    outputs      which blobs are the network's answer, and the class it gives
    metrics      SQNR, cosine, PSNR, ranks, divergence: pure functions
    tally        what is kept of a layer or an output while pictures pass; parts merge exactly
    lockstep     the networks side by side, by the engine or by the reference rules
    share        the pictures of one worker, float and quantized in lockstep
    sensitivity  one layer at a time, weights or activations alone
    ranking      the layers, worst first
    findings     where the damage is, in words
    run          all of it, from options to an `Evaluation`
    table, values, page, charts   the result as text, as JSON, as one HTML page with its pictures

NumPy does the work; Jinja2 and pygal are needed for the page alone (`pip install xportdnn[report]`).
"""
