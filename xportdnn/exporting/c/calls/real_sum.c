    {
        static const float coefficients[] = {$coefficients};
        const float *const bottoms[] = {$bottoms};
        real_sum($count, $bottom_count, bottoms, coefficients, $top);
    }
