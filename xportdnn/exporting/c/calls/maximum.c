    {
        static const int64_t factor[] = {$factor}, offset[] = {0};
        static const fx_requantization out = {factor, offset, 1, $places, $least, $greatest};
        const int32_t *const bottoms[] = {$bottoms};
        fx_maximum($count, $bottom_count, bottoms, &out, $top);
    }
