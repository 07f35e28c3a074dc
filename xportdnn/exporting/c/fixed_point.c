#include "fixed_point.h"

#include <string.h>

#define CELL 4
#define NOTHING (-((int64_t)1 << 62)) /* the maximum of no cells */

int32_t fx_at(fx_integers integers, size_t index)
{
    if (integers.bytes == 1)
        return ((const int8_t *)integers.data)[index];
    if (integers.bytes == 2)
        return ((const int16_t *)integers.data)[index];
    return ((const int32_t *)integers.data)[index];
}

static int64_t rounded(int64_t value, int places)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (places > 63)
        places = 63;
    if (places > 0)
        magnitude = (magnitude + ((uint64_t)1 << (places - 1))) >> places;
    else
        magnitude <<= -places;
    return value < 0 ? -(int64_t)magnitude : (int64_t)magnitude;
}

static int32_t limited(int64_t value, const fx_requantization *out)
{
    if (value < out->least)
        value = out->least;
    if (value > out->greatest)
        value = out->greatest;
    return (int32_t)value;
}

static int32_t requantized(int64_t sum, int channel, const fx_requantization *out)
{
    int index = out->channels > 1 ? channel : 0;
    return limited(rounded(sum * out->factor[index] + out->offset[index], out->places), out);
}

void fx_convolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                    const int32_t *bottom, fx_integers weights, const fx_requantization *out, int32_t *top)
{
    const int height = bottom_shape->size[0], width = bottom_shape->size[1];
    const int channels = bottom_shape->channels / group, outputs = top_shape->channels / group;
    for (int n = 0; n < top_shape->num; n++)
        for (int o = 0; o < top_shape->channels; o++)
            for (int y = 0; y < top_shape->size[0]; y++)
                for (int x = 0; x < top_shape->size[1]; x++) {
                    size_t weight = (size_t)o * channels * windows->kernel[0] * windows->kernel[1];
                    int64_t sum = 0;
                    for (int c = 0; c < channels; c++) {
                        size_t plane = (size_t)n * bottom_shape->channels + (size_t)(o / outputs) * channels + c;
                        for (int i = 0; i < windows->kernel[0]; i++)
                            for (int j = 0; j < windows->kernel[1]; j++, weight++) {
                                int row = y * windows->stride[0] - windows->pad[0] + i * windows->dilation[0];
                                int column = x * windows->stride[1] - windows->pad[1] + j * windows->dilation[1];
                                if (row >= 0 && row < height && column >= 0 && column < width)
                                    sum += (int64_t)fx_at(weights, weight) *
                                           bottom[(plane * height + row) * width + column];
                            }
                    }
                    *top++ = requantized(sum, o, out);
                }
}

void fx_inner_product(int rows, int inputs, int outputs, int transposed, const int32_t *bottom, fx_integers weights,
                      const fx_requantization *out, int32_t *top)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) {
            int64_t sum = 0;
            for (int i = 0; i < inputs; i++) {
                size_t weight = transposed ? (size_t)i * outputs + o : (size_t)o * inputs + i;
                sum += (int64_t)fx_at(weights, weight) * bottom[(size_t)r * inputs + i];
            }
            *top++ = requantized(sum, o, out);
        }
}

void fx_affine(int num, int channels, int inner, const int32_t *bottom, const fx_requantization *out, int32_t *top)
{
    for (int n = 0; n < num; n++)
        for (int c = 0; c < channels; c++)
            for (int i = 0; i < inner; i++)
                *top++ = requantized(*bottom++, c, out);
}

fx_window fx_window_at(const fx_windows *windows, const fx_shape *shape, int axis, int index)
{
    fx_window found;
    int start = index * windows->stride[axis] - windows->pad[axis];
    int end = start + windows->kernel[axis];
    if (end > shape->size[axis] + windows->pad[axis])
        end = shape->size[axis] + windows->pad[axis];
    found.counted = end - start;
    found.first = start < 0 ? 0 : start;
    found.end = end < shape->size[axis] ? end : shape->size[axis];
    return found;
}

int fx_origin(const fx_windows *windows, const fx_shape *shape, int axis, int index, int tap)
{
    int apart = index + windows->pad[axis] - tap * windows->dilation[axis];
    if (apart < 0 || apart % windows->stride[axis] || apart / windows->stride[axis] >= shape->size[axis])
        return -1;
    return apart / windows->stride[axis];
}

void fx_deconvolution(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows, int group,
                      const int32_t *bottom, fx_integers weights, const fx_requantization *out, int32_t *top)
{
    const int width = bottom_shape->size[1], taps = windows->kernel[0] * windows->kernel[1];
    const int channels = bottom_shape->channels / group, outputs = top_shape->channels / group;
    for (int n = 0; n < top_shape->num; n++)
        for (int o = 0; o < top_shape->channels; o++)
            for (int y = 0; y < top_shape->size[0]; y++)
                for (int x = 0; x < top_shape->size[1]; x++) {
                    int64_t sum = 0;
                    for (int c = o / outputs * channels; c < (o / outputs + 1) * channels; c++) {
                        size_t plane = (size_t)n * bottom_shape->channels + c;
                        size_t weight = ((size_t)c * outputs + o % outputs) * taps;
                        for (int i = 0; i < windows->kernel[0]; i++)
                            for (int j = 0; j < windows->kernel[1]; j++, weight++) {
                                int row = fx_origin(windows, bottom_shape, 0, y, i);
                                int column = fx_origin(windows, bottom_shape, 1, x, j);
                                if (row >= 0 && column >= 0)
                                    sum += (int64_t)fx_at(weights, weight) *
                                           bottom[(plane * bottom_shape->size[0] + row) * width + column];
                            }
                    }
                    *top++ = requantized(sum, o, out);
                }
}

void fx_maximum_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                        const int32_t *bottom, const fx_requantization *out, int32_t *top)
{
    const size_t plane = (size_t)bottom_shape->size[0] * bottom_shape->size[1];
    for (int p = 0; p < top_shape->num * top_shape->channels; p++, bottom += plane)
        for (int y = 0; y < top_shape->size[0]; y++)
            for (int x = 0; x < top_shape->size[1]; x++) {
                fx_window rows = fx_window_at(windows, bottom_shape, 0, y);
                fx_window columns = fx_window_at(windows, bottom_shape, 1, x);
                int64_t best = NOTHING;
                for (int i = rows.first; i < rows.end; i++)
                    for (int j = columns.first; j < columns.end; j++)
                        if (bottom[(size_t)i * bottom_shape->size[1] + j] > best)
                            best = bottom[(size_t)i * bottom_shape->size[1] + j];
                *top++ = requantized(best, 0, out);
            }
}

void fx_average_pooling(const fx_shape *bottom_shape, const fx_shape *top_shape, const fx_windows *windows,
                        const int32_t *bottom, const fx_requantization *out, int32_t *top)
{
    const size_t plane = (size_t)bottom_shape->size[0] * bottom_shape->size[1];
    const int up = out->places < 0 ? -out->places : 0, down = out->places > 0 ? out->places : 0;
    for (int p = 0; p < top_shape->num * top_shape->channels; p++, bottom += plane)
        for (int y = 0; y < top_shape->size[0]; y++)
            for (int x = 0; x < top_shape->size[1]; x++) {
                fx_window rows = fx_window_at(windows, bottom_shape, 0, y);
                fx_window columns = fx_window_at(windows, bottom_shape, 1, x);
                int64_t sum = 0;
                for (int i = rows.first; i < rows.end; i++)
                    for (int j = columns.first; j < columns.end; j++)
                        sum += bottom[(size_t)i * bottom_shape->size[1] + j];
                sum *= out->factor[0];
                uint64_t magnitude = (sum < 0 ? 0 - (uint64_t)sum : (uint64_t)sum) << up;
                uint64_t divisor = (uint64_t)rows.counted * (uint64_t)columns.counted << down;
                int64_t quotient = (int64_t)((2 * magnitude + divisor) / (2 * divisor));
                *top++ = limited(sum < 0 ? -quotient : quotient, out);
            }
}

void fx_sum(int count, int bottoms, const int32_t *const *bottom, const int64_t *coefficients,
            const fx_requantization *out, int32_t *top)
{
    for (int i = 0; i < count; i++) {
        int64_t sum = 0;
        for (int b = 0; b < bottoms; b++)
            sum += bottom[b][i] * coefficients[b];
        top[i] = requantized(sum, 0, out);
    }
}

void fx_maximum(int count, int bottoms, const int32_t *const *bottom, const fx_requantization *out, int32_t *top)
{
    for (int i = 0; i < count; i++) {
        int32_t best = bottom[0][i];
        for (int b = 1; b < bottoms; b++)
            if (bottom[b][i] > best)
                best = bottom[b][i];
        top[i] = requantized(best, 0, out);
    }
}

void fx_relu(int count, const int32_t *bottom, const fx_requantization *above, const fx_requantization *below,
             int32_t *top)
{
    for (int i = 0; i < count; i++)
        if (bottom[i] > 0 || !below)
            top[i] = requantized(bottom[i] > 0 ? bottom[i] : 0, 0, above);
        else
            top[i] = requantized(bottom[i], 0, below);
}

/* Half away from zero; the fraction and its double are exact. */
static int64_t nearest(float value)
{
    int64_t whole = (int64_t)value;
    float fraction = value - (float)whole;
    fraction += fraction;
    return whole + (int64_t)fraction;
}

static float between(float value, float least, float greatest)
{
    return value < least ? least : value > greatest ? greatest : value;
}

void fx_by_threshold(int count, const float *real, float threshold, float step, int64_t greatest, int32_t *integers)
{
    const fx_requantization limits = {NULL, NULL, 1, 0, -greatest, greatest};
    for (int i = 0; i < count; i++) {
        float steps = between(real[i], -threshold, threshold) / step;
        integers[i] = limited(nearest(steps), &limits);
    }
}

void fx_by_fraction(int count, const float *real, float two_to_fl, int64_t least, int64_t greatest, int32_t *integers)
{
    const fx_requantization limits = {NULL, NULL, 1, 0, least, greatest};
    for (int i = 0; i < count; i++) {
        float steps = between(real[i] * two_to_fl, (float)least, (float)greatest);
        integers[i] = limited(nearest(steps), &limits);
    }
}

void fx_to_real(int count, const int32_t *integers, float step, float *real)
{
    for (int i = 0; i < count; i++)
        real[i] = (float)integers[i] * step;
}

void fx_copy(int count, const void *bottom, void *top)
{
    memcpy(top, bottom, (size_t)count * CELL);
}

void fx_concat(int rows, int bottoms, const void *const *bottom, const int *lengths, void *top)
{
    char *to = top;
    for (int r = 0; r < rows; r++)
        for (int b = 0; b < bottoms; b++) {
            size_t bytes = (size_t)lengths[b] * CELL;
            memcpy(to, (const char *)bottom[b] + (size_t)r * bytes, bytes);
            to += bytes;
        }
}

/* Where a cell of the top, counted in C order, lies in the bottom. */
static size_t origin(int axes, const int *shape, const int *order, size_t cell)
{
    size_t place = 0;
    for (int axis = axes - 1; axis >= 0; axis--) {
        size_t index = cell % (size_t)shape[order[axis]];
        cell /= (size_t)shape[order[axis]];
        for (int inner = order[axis] + 1; inner < axes; inner++)
            index *= (size_t)shape[inner];
        place += index;
    }
    return place;
}

void fx_permute(int axes, const int *shape, const int *order, const void *bottom, void *top)
{
    size_t count = 1;
    for (int axis = 0; axis < axes; axis++)
        count *= (size_t)shape[axis];
    for (size_t cell = 0; cell < count; cell++)
        memcpy((char *)top + cell * CELL, (const char *)bottom + origin(axes, shape, order, cell) * CELL, CELL);
}

void fx_crop(int axes, const int *shape, const int *size, const int *offset, const void *bottom, void *top)
{
    size_t count = 1;
    for (int axis = 0; axis < axes; axis++)
        count *= (size_t)size[axis];
    for (size_t cell = 0; cell < count; cell++) {
        size_t place = 0, step = 1, rest = cell;
        for (int axis = axes - 1; axis >= 0; axis--) {
            place += (rest % (size_t)size[axis] + (size_t)offset[axis]) * step;
            rest /= (size_t)size[axis];
            step *= (size_t)shape[axis];
        }
        memcpy((char *)top + cell * CELL, (const char *)bottom + place * CELL, CELL);
    }
}
