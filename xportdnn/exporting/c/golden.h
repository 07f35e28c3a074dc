/* What goes into the network and comes out of every layer. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "fixed_point.h"

/* One of the two. */
typedef struct {
    fx_integers integers;
    const float *floats;
} golden_top;

extern const float *const golden_inputs[];
extern const golden_top golden_tops[];

#endif
