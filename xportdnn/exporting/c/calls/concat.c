    {
        static const int lengths[] = {$lengths};
        const void *const bottoms[] = {$bottoms};
        fx_concat($rows, $bottom_count, bottoms, lengths, $top);
    }
