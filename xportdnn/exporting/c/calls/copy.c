    fx_copy($count, $bottom, $top);
