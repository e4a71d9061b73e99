/* kernels/cpu/gumbel.h - the noise of 128 neighbouring tokens (kernels/rng.h), and drawing among filtered logits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_GUMBEL_H
#define KERNELS_CPU_GUMBEL_H

#include "kernels/cpu/vec.h"
#include "kernels/ops.h"

#define GUMBEL_TOKENS 128

/* noise[i] of token first + i; first is a multiple of 128. */
void ISA_NAME(gumbel_tile)(const struct sampling *s, int first, float noise[GUMBEL_TOKENS]);

/* True if the draw needs all logits of the row at once. */
bool ISA_NAME(sampling_filters)(const struct sampling *s);
/* Draws from the row's V raw logits (temperature not applied), which are changed, among tokens < n_valid. */
int32_t ISA_NAME(sample_filtered)(const struct sampling *s, float *logits, int n_valid);

#endif
