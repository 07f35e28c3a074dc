    {
        static const fx_shape bottom_shape = {$num, $channels, {$size}};
        static const fx_shape top_shape = {$num, $channels, {$top_size}};
        static const fx_windows windows = {{$kernel}, {$stride}, {$pad}, {1, 1}};
        static const int64_t factor[] = {$factor}, offset[] = {0};
        static const fx_requantization out = {factor, offset, 1, $places, $least, $greatest};
        fx_${how}_pooling(&bottom_shape, &top_shape, &windows, $bottom, &out, $top);
    }
