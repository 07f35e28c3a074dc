    fx_to_real($count, $bottom, $step, $top);
