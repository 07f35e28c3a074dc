    real_lrn($num, $channels, $plane, $size, $alpha, $beta, $k, $bottom, $top);
