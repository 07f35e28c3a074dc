    {
        static const int64_t factor[] = {$factor}, offset[] = {0};
        static const fx_requantization above = {factor, offset, 1, $places, $least, $greatest};
        fx_relu($count, $bottom, &above, NULL, $top);
    }
