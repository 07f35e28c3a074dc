"""Four small trained Caffe networks, and the code that trained them."""
