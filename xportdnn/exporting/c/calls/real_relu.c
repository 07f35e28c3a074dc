    real_relu($count, $slope, $bottom, $top);
