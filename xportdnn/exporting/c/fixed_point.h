/* Layers of a quantized network in integers: exact sums, one rounding, half away from zero.
 *
 * Blobs are (num, channels, height, width) in C order, one int32_t for each integer. The network's formats are such
 * that no sum times a factor leaves 62 bits; that was checked when the network was exported.
 */
#ifndef FIXED_POINT_H
#define FIXED_POINT_H

#include <stddef.h>
#include <stdint.h>

/* Integers of 1, 2 or 4 bytes. */
typedef struct {
    const void *data;
    int bytes;
} fx_integers;

int32_t fx_at(fx_integers integers, size_t index);

/* (sum * factor + offset) / 2^places, rounded half away from zero, then limited; negative places multiply. */
typedef struct {
    const int64_t *factor;
    const int64_t *offset;
    int channels; /* length of both: one for each channel, or 1 */
    int places;
    int64_t least;
    int64_t greatest;
} fx_requantization;

typedef struct {
    int kernel[2]; /* height, width */
    int stride[2];
    int pad[2];
    int dilation[2];
} fx_windows;

typedef struct {
    int num;
    int channels;
    int size[2]; /* height, width */
} fx_shape;

/* The cells of a window along one axis that lie inside, and how many count for an average. */
typedef struct {
    int first;
    int end;
    int counted;
} fx_window;

fx_window fx_window_at(const fx_windows *windows, const fx_shape *shape, int axis, int index);

/* Where the cell of the bottom lies from which tap `tap` of a kernel reaches a cell of a deconvolution's top, -1 if
 * there is none. */
int fx_origin(const fx_windows *windows, const fx_shape *shape, int axis, int index, int tap);

void fx_convolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                    const int32_t *bottom, fx_integers weights, const fx_requantization *out, int32_t *top);

/* Weights are (channels, num_output / group, kernel). */
void fx_deconvolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                      const int32_t *bottom, fx_integers weights, const fx_requantization *out, int32_t *top);

/* (rows, inputs) times (outputs, inputs), or (inputs, outputs) if transposed. */
void fx_inner_product(int rows, int inputs, int outputs, int transposed, const int32_t *bottom, fx_integers weights,
                      const fx_requantization *out, int32_t *top);

/* One factor and offset for each channel of (num, channels, inner): BatchNorm, Scale, and from format to format. */
void fx_affine(int num, int channels, int inner, const int32_t *bottom, const fx_requantization *out, int32_t *top);

void fx_maximum_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                        const int32_t *bottom, const fx_requantization *out, int32_t *top);

/* Pad counts among the cells of a window, what hangs over beyond it does not. */
void fx_average_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                        const int32_t *bottom, const fx_requantization *out, int32_t *top);

/* The sum of bottoms times coefficients. */
void fx_sum(int count, int bottoms, const int32_t *const *bottom, const int64_t *coefficients,
            const fx_requantization *out, int32_t *top);

void fx_maximum(int count, int bottoms, const int32_t *const *bottom, const fx_requantization *out, int32_t *top);

/* `below` is for what is negative; 0 (no address) makes that 0. */
void fx_relu(int count, const int32_t *bottom, const fx_requantization *above, const fx_requantization *below,
             int32_t *top);

/* Floats to integers: limited to +-threshold, divided by the step. */
void fx_by_threshold(int count, const float *real, float threshold, float step, int64_t greatest, int32_t *integers);

/* Floats to integers: times 2^fl, limited. */
void fx_by_fraction(int count, const float *real, float two_to_fl, int64_t least, int64_t greatest, int32_t *integers);

void fx_to_real(int count, const int32_t *integers, float step, float *real);

/* Layers that only move cells of 4 bytes, integers or floats. */
void fx_copy(int count, const void *bottom, void *top);

/* The rows of all bottoms behind each other; `lengths` of each bottom's row. */
void fx_concat(int rows, int bottoms, const void *const *bottom, const int *lengths, void *top);

/* `shape` of the bottom, `size` of the top, which begins at `offset` on every axis: Crop and Slice. */
void fx_crop(int axes, const int *shape, const int *size, const int *offset, const void *bottom, void *top);

/* `shape` of the bottom; axis i of the top is axis order[i] of the bottom. */
void fx_permute(int axes, const int *shape, const int *order, const void *bottom, void *top);

#endif
