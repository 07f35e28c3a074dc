/* Layers that compute in float beside the hardware. The order of their sums is their own, so that the last digits may
 * differ from another implementation's.
 */
#ifndef REAL_H
#define REAL_H

/* (rows, inputs) times (outputs, inputs), or (inputs, outputs) if transposed; `bias` may be 0 (no address). */
void real_inner_product(int rows, int inputs, int outputs, int transposed, const float *bottom, const float *weights,
                        const float *bias, float *top);

void real_relu(int count, float negative_slope, const float *bottom, float *top);

/* Along the middle axis of (outer, length, inner). */
void real_softmax(int outer, int length, int inner, const float *bottom, float *top);

/* Over `size` channels of (num, channels, plane). */
void real_lrn(int num, int channels, int plane, int size, float alpha, float beta, float k, const float *bottom,
              float *top);

#endif
