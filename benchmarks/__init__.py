"""How fast xportdnn is, against onnxruntime and OpenCV on the same work: `python -m benchmarks`."""
