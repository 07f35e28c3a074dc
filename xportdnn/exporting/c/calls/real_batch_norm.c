    real_batch_norm($num, $channels, $inner, $eps, $bottom, $mean, $variance, $total, $top);
