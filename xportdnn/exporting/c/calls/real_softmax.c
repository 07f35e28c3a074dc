    real_softmax($outer, $length, $inner, $bottom, $top);
