    real_scale($num, $channels, $inner, $bottom, $gamma, $beta, $top);
