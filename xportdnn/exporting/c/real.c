#include "real.h"

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
