    real_normalize($num, $channels, $plane, $across_spatial, $shared, $eps, $bottom, $scale, $top);
