/* Runs the network on the golden inputs and compares every layer with what the simulation in Python gave: integers
 * must be equal, floats within 1e-5 of the largest. Floats are then replaced by the golden ones, so that the layers
 * behind them read the very same numbers.
 *
 *     cc -std=c99 -O2 *.c -lm -o network && ./network
 */
#include "golden.h"
#include "network.h"

#include <stdio.h>
#include <string.h>

#define TOLERANCE 1e-5

static double magnitude(double value)
{
    return value < 0 ? -value : value;
}

static int different_integers(const network_top *top, const golden_top *golden)
{
    int different = 0;
    for (int i = 0; i < top->count; i++)
        different += ((const int32_t *)top->data)[i] != fx_at(golden->integers, (size_t)i);
    return different;
}

static int different_floats(const network_top *top, const golden_top *golden)
{
    double largest = 0;
    int different = 0;
    for (int i = 0; i < top->count; i++)
        if (magnitude(golden->floats[i]) > largest)
            largest = magnitude(golden->floats[i]);
    for (int i = 0; i < top->count; i++)
        /* written so that NaN differs, too */
        different += !(magnitude((double)((const float *)top->data)[i] - golden->floats[i]) <= TOLERANCE * largest);
    return different;
}

int main(void)
{
    int failures = 0;
    for (int i = 0; i < network_input_count; i++)
        memcpy(network_inputs[i].data, golden_inputs[i], (size_t)network_inputs[i].count * sizeof(float));
    for (int i = 0; i < network_top_count; i++) {
        const network_top *top = &network_tops[i];
        int different;
        if (top->run)
            top->run();
        different = top->whole ? different_integers(top, &golden_tops[i]) : different_floats(top, &golden_tops[i]);
        printf("%s %s %s: %d of %d differ\n", different ? "FAILED" : "equal", top->whole ? "int" : "float", top->layer,
               different, top->count);
        failures += different != 0;
        if (!top->whole)
            memcpy(top->data, golden_tops[i].floats, (size_t)top->count * sizeof(float));
    }
    return failures != 0;
}
