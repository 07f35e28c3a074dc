"""Caffe networks to fixed-point CHaiDNN prototxts."""

__version__ = "0.1.0"
