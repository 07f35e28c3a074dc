    {
        static const int shape[] = {$shape}, order[] = {$order};
        fx_permute($axes, shape, order, $bottom, $top);
    }
