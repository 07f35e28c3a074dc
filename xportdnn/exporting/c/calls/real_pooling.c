    {
        static const fx_shape bottom_shape = {$num, $channels, {$size}};
        static const fx_shape top_shape = {$num, $channels, {$top_size}};
        static const fx_windows windows = {{$kernel}, {$stride}, {$pad}, {1, 1}};
        real_${how}_pooling(&bottom_shape, &top_shape, &windows, $bottom, $top);
    }
