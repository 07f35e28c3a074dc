#include "real.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

void real_inner_product(int rows, int inputs, int outputs, int transposed, const float *bottom, const float *weights,
                        const float *bias, float *top)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) {
            double sum = 0;
            for (int i = 0; i < inputs; i++) {
                size_t weight = transposed ? (size_t)i * outputs + o : (size_t)o * inputs + i;
                sum += (double)weights[weight] * bottom[(size_t)r * inputs + i];
            }
            *top++ = (float)(bias ? sum + bias[o] : sum);
        }
}

void real_convolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                      const float *bottom, const float *weights, const float *bias, float *top)
{
    const int height = bottom_shape->size[0], width = bottom_shape->size[1];
    const int channels = bottom_shape->channels / group, outputs = top_shape->channels / group;
    for (int n = 0; n < top_shape->num; n++)
        for (int o = 0; o < top_shape->channels; o++)
            for (int y = 0; y < top_shape->size[0]; y++)
                for (int x = 0; x < top_shape->size[1]; x++) {
                    const float *weight = weights + (size_t)o * channels * windows->kernel[0] * windows->kernel[1];
                    double sum = bias ? bias[o] : 0;
                    for (int c = 0; c < channels; c++) {
                        size_t plane = (size_t)n * bottom_shape->channels + (size_t)(o / outputs) * channels + c;
                        for (int i = 0; i < windows->kernel[0]; i++)
                            for (int j = 0; j < windows->kernel[1]; j++, weight++) {
                                int row = y * windows->stride[0] - windows->pad[0] + i * windows->dilation[0];
                                int column = x * windows->stride[1] - windows->pad[1] + j * windows->dilation[1];
                                if (row >= 0 && row < height && column >= 0 && column < width)
                                    sum += (double)*weight * bottom[(plane * height + row) * width + column];
                            }
                    }
                    *top++ = (float)sum;
                }
}

void real_deconvolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                        const float *bottom, const float *weights, const float *bias, float *top)
{
    const int width = bottom_shape->size[1], taps = windows->kernel[0] * windows->kernel[1];
    const int channels = bottom_shape->channels / group, outputs = top_shape->channels / group;
    for (int n = 0; n < top_shape->num; n++)
        for (int o = 0; o < top_shape->channels; o++)
            for (int y = 0; y < top_shape->size[0]; y++)
                for (int x = 0; x < top_shape->size[1]; x++) {
                    double sum = bias ? bias[o] : 0;
                    for (int c = o / outputs * channels; c < (o / outputs + 1) * channels; c++) {
                        size_t plane = (size_t)n * bottom_shape->channels + c;
                        const float *weight = weights + ((size_t)c * outputs + o % outputs) * taps;
                        for (int i = 0; i < windows->kernel[0]; i++)
                            for (int j = 0; j < windows->kernel[1]; j++, weight++) {
                                int row = fx_origin(windows, bottom_shape, 0, y, i);
                                int column = fx_origin(windows, bottom_shape, 1, x, j);
                                if (row >= 0 && column >= 0)
                                    sum += (double)*weight *
                                           bottom[(plane * bottom_shape->size[0] + row) * width + column];
                            }
                    }
                    *top++ = (float)sum;
                }
}

void real_maximum_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                          const float *bottom, float *top)
{
    const size_t plane = (size_t)bottom_shape->size[0] * bottom_shape->size[1];
    for (int p = 0; p < top_shape->num * top_shape->channels; p++, bottom += plane)
        for (int y = 0; y < top_shape->size[0]; y++)
            for (int x = 0; x < top_shape->size[1]; x++) {
                fx_window rows = fx_window_at(windows, bottom_shape, 0, y);
                fx_window columns = fx_window_at(windows, bottom_shape, 1, x);
                float best = -FLT_MAX;
                for (int i = rows.first; i < rows.end; i++)
                    for (int j = columns.first; j < columns.end; j++)
                        if (bottom[(size_t)i * bottom_shape->size[1] + j] > best)
                            best = bottom[(size_t)i * bottom_shape->size[1] + j];
                *top++ = best;
            }
}

void real_average_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                          const float *bottom, float *top)
{
    const size_t plane = (size_t)bottom_shape->size[0] * bottom_shape->size[1];
    for (int p = 0; p < top_shape->num * top_shape->channels; p++, bottom += plane)
        for (int y = 0; y < top_shape->size[0]; y++)
            for (int x = 0; x < top_shape->size[1]; x++) {
                fx_window rows = fx_window_at(windows, bottom_shape, 0, y);
                fx_window columns = fx_window_at(windows, bottom_shape, 1, x);
                double sum = 0;
                for (int i = rows.first; i < rows.end; i++)
                    for (int j = columns.first; j < columns.end; j++)
                        sum += bottom[(size_t)i * bottom_shape->size[1] + j];
                *top++ = (float)(sum / ((double)rows.counted * columns.counted));
            }
}

void real_sum(int count, int bottoms, const float *const *bottom, const float *coefficients, float *top)
{
    for (int i = 0; i < count; i++) {
        double sum = 0;
        for (int b = 0; b < bottoms; b++)
            sum += (double)coefficients[b] * bottom[b][i];
        top[i] = (float)sum;
    }
}

void real_product(int count, int bottoms, const float *const *bottom, float *top)
{
    for (int i = 0; i < count; i++) {
        top[i] = bottom[0][i];
        for (int b = 1; b < bottoms; b++)
            top[i] *= bottom[b][i];
    }
}

void real_maximum(int count, int bottoms, const float *const *bottom, float *top)
{
    for (int i = 0; i < count; i++) {
        top[i] = bottom[0][i];
        for (int b = 1; b < bottoms; b++)
            if (bottom[b][i] > top[i])
                top[i] = bottom[b][i];
    }
}

void real_batch_norm(int num, int channels, int inner, float eps, const float *bottom, const float *mean,
                     const float *variance, const float *total, float *top)
{
    const double factor = total[0] != 0 ? 1 / (double)total[0] : 0;
    for (int n = 0; n < num; n++)
        for (int c = 0; c < channels; c++) {
            double deviation = sqrt(variance[c] * factor + (double)eps);
            for (int i = 0; i < inner; i++)
                *top++ = (float)((*bottom++ - mean[c] * factor) / deviation);
        }
}

void real_scale(int num, int channels, int inner, const float *bottom, const float *gamma, const float *beta,
                float *top)
{
    for (int n = 0; n < num; n++)
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < inner; i++)
                *top++ = *bottom++ * gamma[c] + (beta ? beta[c] : 0);
}

void real_prelu(int num, int channels, int inner, const float *bottom, const float *slope, float *top)
{
    for (int n = 0; n < num; n++)
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < inner; i++, bottom++)
                *top++ = *bottom > 0 ? *bottom : slope[c] * *bottom;
}

void real_clip(int count, float least, float greatest, const float *bottom, float *top)
{
    for (int i = 0; i < count; i++)
        top[i] = bottom[i] < least ? least : bottom[i] > greatest ? greatest : bottom[i];
}

void real_normalize(int num, int channels, int plane, int across_spatial, int shared, float eps, const float *bottom,
                    const float *scale, float *top)
{
    const int length = across_spatial ? channels * plane : channels, step = across_spatial ? 1 : plane;
    for (int n = 0; n < num; n++, bottom += (size_t)channels * plane, top += (size_t)channels * plane)
        for (int i = 0; i < channels * plane; i++) {
            const float *cells = bottom + (across_spatial ? 0 : i % plane);
            double squares = 0;
            for (int l = 0; l < length; l++)
                squares += (double)cells[(size_t)l * step] * cells[(size_t)l * step];
            top[i] = (float)(bottom[i] / sqrt(squares + (double)eps)) * scale[shared ? 0 : i / plane];
        }
}

void real_relu(int count, float negative_slope, const float *bottom, float *top)
{
    for (int i = 0; i < count; i++)
        top[i] = bottom[i] > 0 ? bottom[i] : negative_slope * bottom[i];
}

void real_softmax(int outer, int length, int inner, const float *bottom, float *top)
{
    for (int o = 0; o < outer; o++)
        for (int i = 0; i < inner; i++) {
            const float *from = bottom + (size_t)o * length * inner + i;
            float *to = top + (size_t)o * length * inner + i;
            float greatest = from[0];
            double sum = 0;
            for (int l = 1; l < length; l++)
                if (from[(size_t)l * inner] > greatest)
                    greatest = from[(size_t)l * inner];
            for (int l = 0; l < length; l++)
                sum += exp((double)from[(size_t)l * inner] - greatest);
            for (int l = 0; l < length; l++)
                to[(size_t)l * inner] = (float)(exp((double)from[(size_t)l * inner] - greatest) / sum);
        }
}

void real_lrn(int num, int channels, int plane, int size, float alpha, float beta, float k, const float *bottom,
              float *top)
{
    for (int n = 0; n < num; n++, bottom += (size_t)channels * plane, top += (size_t)channels * plane)
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < plane; i++) {
                double squares = 0;
                for (int other = c - size / 2; other <= c + size / 2; other++)
                    if (other >= 0 && other < channels) {
                        double value = bottom[(size_t)other * plane + i];
                        squares += value * value;
                    }
                top[(size_t)c * plane + i] =
                    (float)(bottom[(size_t)c * plane + i] * pow(k + (double)alpha / size * squares, -(double)beta));
            }
}
