    fx_by_threshold($count, $bottom, $threshold, $step, $greatest, $top);
