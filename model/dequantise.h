/* model/dequantise.h - the number formats of GGUF tensors, turned into fp32.
 *
 * A row is a run of blocks, each `block` values in `bytes` bytes. A block of the older formats has one scale d (fp16), and
 * for _1 a minimum m: value = d q, or d q + m. A block of the K formats has 256 values in sub-blocks of 16 or 32 with small
 * integer scales (and minima) of their own: value = (d scale) q - dmin minimum. Every product and sum is rounded to fp32 in the
 * order written, so the result is the same bits on all machines.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_DEQUANTISE_H
#define MODEL_DEQUANTISE_H

#include <stdint.h>

struct quant_type {
    uint32_t id; /* in the file */
    const char *name;
    uint32_t block, bytes; /* values and bytes of a block */
    void (*dequantise)(const uint8_t *block, float *out);
};

/* NULL if there is no such type, or none that can be read here. */
const struct quant_type *quant_type_find(uint32_t id);
/* n values, a whole number of blocks. */
void dequantise(const struct quant_type *type, const uint8_t *blocks, uint64_t n, float *out);

#endif
