    {
        static const fx_requantization out = {$factor, $offset, $lengths, $places, $least, $greatest};
        fx_affine($num, $channels, $inner, $bottom, &out, $top);
    }
