#include "network.h"

/* each headers */
#include "layers/$symbol.h"
/* end headers */

/* each buffers */
static $type $symbol[$count];
/* end buffers */
/* each units */

/* $comment */
static void ${symbol}__run(void)
{
$calls}
/* end units */

const network_input network_inputs[] = {
/* each inputs */
    {$name, $count, $symbol},
/* end inputs */
};
const int network_input_count = $input_count;

const network_top network_tops[] = {
/* each tops */
    {$name, $run, $whole, $step, $count, $symbol},
/* end tops */
};
const int network_top_count = $top_count;
