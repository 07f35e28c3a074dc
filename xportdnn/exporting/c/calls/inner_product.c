    {
        static const fx_requantization out = {$factor, $offset, $lengths, $places, $least, $greatest};
        const fx_integers weights = {$weights, sizeof *$weights};
        fx_inner_product($rows, $inputs, $outputs, $transposed, $bottom, weights, &out, $top);
    }
