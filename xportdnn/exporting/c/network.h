/* A quantized network in integers: write the inputs, call every `run` in order, read the tops. */
#ifndef NETWORK_H
#define NETWORK_H

#include "fixed_point.h"
#include "real.h"

typedef struct {
    const char *blob;
    int count;
    float *data;
} network_input;

/* A blob after the layer that wrote it. */
typedef struct {
    const char *layer;
    void (*run)(void); /* 0 (no address) for the further tops of a layer */
    int whole;         /* int32_t, times `step` the real numbers; otherwise float */
    float step;
    int count;
    void *data;
} network_top;

extern const network_input network_inputs[];
extern const int network_input_count;
extern const network_top network_tops[];
extern const int network_top_count;

#endif
