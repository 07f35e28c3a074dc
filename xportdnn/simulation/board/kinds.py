"""How CHaiDNN runs the layer types that its kernel does not compute."""

from __future__ import annotations

SOFTWARE = frozenset({"InnerProduct", "Softmax", "Crop", "PriorBox", "DetectionOutput", "ArgMax"})
MOVED = frozenset({"Concat", "Permute", "Flatten", "Reshape", "Dropout", "Split"})
