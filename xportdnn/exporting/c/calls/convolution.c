    {
        static const fx_shape bottom_shape = {$num, $channels, {$size}};
        static const fx_shape top_shape = {$num, $num_output, {$top_size}};
        static const fx_windows windows = {{$kernel}, {$stride}, {$pad}, {$dilation}};
        static const fx_requantization out = {$factor, $offset, $lengths, $places, $least, $greatest};
        const fx_integers weights = {$weights, sizeof *$weights};
        fx_${how}(&bottom_shape, &top_shape, &windows, $group, $bottom, weights, &out, $top);
    }
