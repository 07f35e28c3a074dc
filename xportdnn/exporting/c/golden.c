#include "golden.h"

/* each headers */
#include "golden/$symbol.h"
/* end headers */

const float *const golden_inputs[] = {
/* each inputs */
    $symbol,
/* end inputs */
};

const golden_top golden_tops[] = {
/* each tops */
    {{$integers, $bytes}, $floats},
/* end tops */
};
