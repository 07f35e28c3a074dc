    real_inner_product($rows, $inputs, $outputs, $transposed, $bottom, $weights, $bias, $top);
