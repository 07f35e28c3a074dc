    fx_by_fraction($count, $bottom, $two_to_fl, $least, $greatest, $top);
