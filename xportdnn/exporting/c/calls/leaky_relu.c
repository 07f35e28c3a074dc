    {
        static const int64_t factor[] = {$factor}, slope[] = {$slope}, offset[] = {0};
        static const fx_requantization above = {factor, offset, 1, $places, $least, $greatest};
        static const fx_requantization below = {slope, offset, 1, $slope_places, $least, $greatest};
        fx_relu($count, $bottom, &above, &below, $top);
    }
