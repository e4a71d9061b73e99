/* model/rope.c - the frequencies of rotary embedding, as transformers computes them.
 *
 * Sources: default Su et al. 2021 (arXiv 2104.09864); linear Chen et al. 2023 (arXiv 2306.15595); YaRN Peng et al. 2023
 * (arXiv 2309.00071, section 3); llama3 as published with Llama 3.1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "model/config.h"

static double llama3_frequency(const struct rope_config *r, double f)
{
    double wavelength = 2 * acos(-1) / f, n = r->original_max_positions;
    if (wavelength < n / r->high_freq_factor) {
        return f;
    }
    if (wavelength > n / r->low_freq_factor) {
        return f / r->factor;
    }
    double smooth = (n / wavelength - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - smooth) * f / r->factor + smooth * f;
}

/* The pair whose angle turns `rotations` times over the original context. */
static double yarn_pair(const struct rope_config *r, int D, double rotations)
{
    return D * log(r->original_max_positions / (rotations * 2 * acos(-1))) / (2 * log(r->theta));
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static void yarn(const struct rope_config *r, int D, double *frequencies, double *scale)
{
    double low = fmax(floor(yarn_pair(r, D, r->beta_fast)), 0);
    double high = fmin(ceil(yarn_pair(r, D, r->beta_slow)), D - 1);
    high = low == high ? high + 0.001 : high;
    for (int i = 0; i < D / 2; i++) {
        double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
        frequencies[i] = frequencies[i] / r->factor * ramp + frequencies[i] * (1 - ramp);
    }
    if (r->has_attention_factor) {
        *scale = r->attention_factor;
    } else if (r->mscale != 0 && r->mscale_all_dim != 0) {
        *scale = yarn_scale(r->factor, r->mscale) / yarn_scale(r->factor, r->mscale_all_dim);
    } else {
        *scale = yarn_scale(r->factor, 1);
    }
}

void rope_frequencies(const struct rope_config *rope, int D, double *frequencies, double *scale)
{
    *scale = 1;
    for (int i = 0; i < D / 2; i++) {
        double f = pow(rope->theta, -2.0 * i / D);
        frequencies[i] = rope->type == ROPE_LINEAR   ? f / rope->factor
                         : rope->type == ROPE_LLAMA3 ? llama3_frequency(rope, f)
                                                     : f;
    }
    if (rope->type == ROPE_YARN) {
        yarn(rope, D, frequencies, scale);
    }
}
