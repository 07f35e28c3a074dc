    real_clip($count, $least, $greatest, $bottom, $top);
