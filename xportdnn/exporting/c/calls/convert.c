    {
        static const int64_t factor[] = {$factor}, offset[] = {0};
        static const fx_requantization out = {factor, offset, 1, $places, $least, $greatest};
        fx_affine(1, 1, $count, $bottom, &out, $top);
    }
