    {
        static const fx_shape bottom_shape = {$num, $channels, {$size}};
        static const fx_shape top_shape = {$num, $num_output, {$top_size}};
        static const fx_windows windows = {{$kernel}, {$stride}, {$pad}, {$dilation}};
        real_${how}(&bottom_shape, &top_shape, &windows, $group, $bottom, $weights, $bias, $top);
    }
