"""Better weights for a quantized network, kept only where they are better: `fold --equalize` and `--bias_correct`.

making    improved networks from a set of pictures, with the formats of a conversion on it
judging   how far a quantized network is from the float one, on pictures
choosing  one improvement after the other: made on half of the pictures, judged on the other half
command   from files to a folded, proven and improved network
"""
