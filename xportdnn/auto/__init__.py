"""The rule `auto`: thresholds by what they do to the network's outputs.

judging   the values that count, and the error of each
places    where a class's threshold stands
share     the pictures of one worker
search    all classes, one after the other
"""
