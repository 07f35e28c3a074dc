/* Layers that compute in float beside the hardware. The order of their sums is their own, so that the last digits may
 * differ from another implementation's.
 */
#ifndef REAL_H
#define REAL_H

#include "fixed_point.h"

/* (rows, inputs) times (outputs, inputs), or (inputs, outputs) if transposed; `bias` may be 0 (no address). */
void real_inner_product(int rows, int inputs, int outputs, int transposed, const float *bottom, const float *weights,
                        const float *bias, float *top);

/* `bias` may be 0 (no address). */
void real_convolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                      const float *bottom, const float *weights, const float *bias, float *top);
void real_deconvolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                        const float *bottom, const float *weights, const float *bias, float *top);

void real_maximum_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                          const float *bottom, float *top);
void real_average_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                          const float *bottom, float *top);

void real_sum(int count, int bottoms, const float *const *bottom, const float *coefficients, float *top);
void real_product(int count, int bottoms, const float *const *bottom, float *top);
void real_maximum(int count, int bottoms, const float *const *bottom, float *top);

/* Of (num, channels, inner); mean and variance are sums, `total` is what to divide them by. */
void real_batch_norm(int num, int channels, int inner, float eps, const float *bottom, const float *mean,
                     const float *variance, const float *total, float *top);

/* Of (num, channels, inner); `beta` may be 0 (no address). */
void real_scale(int num, int channels, int inner, const float *bottom, const float *gamma, const float *beta,
                float *top);

/* Of (num, channels, inner). */
void real_prelu(int num, int channels, int inner, const float *bottom, const float *slope, float *top);

void real_clip(int count, float least, float greatest, const float *bottom, float *top);

/* Of (num, channels, plane): over all of an image or the channels of each of its cells; one scale, or one for each
 * channel. */
void real_normalize(int num, int channels, int plane, int across_spatial, int shared, float eps, const float *bottom,
                    const float *scale, float *top);

void real_relu(int count, float negative_slope, const float *bottom, float *top);

/* Along the middle axis of (outer, length, inner). */
void real_softmax(int outer, int length, int inner, const float *bottom, float *top);

/* Over `size` channels of (num, channels, plane). */
void real_lrn(int num, int channels, int plane, int size, float alpha, float beta, float k, const float *bottom,
              float *top);

#endif
