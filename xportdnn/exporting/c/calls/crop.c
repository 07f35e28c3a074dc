    {
        static const int shape[] = {$shape}, size[] = {$size}, offset[] = {$offset};
        fx_crop($axes, shape, size, offset, $bottom, $top);
    }
