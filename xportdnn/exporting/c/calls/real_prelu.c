    real_prelu($num, $channels, $inner, $bottom, $slope, $top);
