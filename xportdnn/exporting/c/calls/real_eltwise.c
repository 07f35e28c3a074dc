    {
        const float *const bottoms[] = {$bottoms};
        real_${how}($count, $bottom_count, bottoms, $top);
    }
