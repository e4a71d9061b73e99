/* model/finite.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/finite.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define CHUNK 32768 /* numbers that are counted in lanes as narrow as they are */
#define LANES 32

/* All bits of the exponent are set in NaN and infinity, and in nothing else. */
static uint64_t few_16(const uint8_t *data, uint16_t exponent, uint16_t limit, uint64_t n)
{
    uint64_t bad = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        bad += (bits & exponent) >= limit;
    }
    return bad;
}

static uint64_t few_32(const uint8_t *data, uint32_t exponent, uint32_t limit, uint64_t n)
{
    uint64_t bad = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, data + 4 * i, sizeof bits);
        bad += (bits & exponent) >= limit;
    }
    return bad;
}

/* LANES numbers at a time: loops of that form become vector instructions at -O2. */
static uint64_t chunk_16(const uint8_t *data, uint16_t exponent, uint16_t limit, uint64_t n)
{
    uint16_t lanes[LANES] = {0}, bits[LANES];
    uint64_t i = 0, bad = 0;
    for (; i + LANES <= n; i += LANES) {
        memcpy(bits, data + 2 * i, sizeof bits);
        for (int k = 0; k < LANES; k++) {
            lanes[k] = (uint16_t)(lanes[k] + ((bits[k] & exponent) >= limit));
        }
    }
    for (int k = 0; k < LANES; k++) {
        bad += lanes[k];
    }
    return bad + few_16(data + 2 * i, exponent, limit, n - i);
}

static uint64_t chunk_32(const uint8_t *data, uint32_t exponent, uint32_t limit, uint64_t n)
{
    uint32_t lanes[LANES] = {0}, bits[LANES];
    uint64_t i = 0, bad = 0;
    for (; i + LANES <= n; i += LANES) {
        memcpy(bits, data + 4 * i, sizeof bits);
        for (int k = 0; k < LANES; k++) {
            lanes[k] += (bits[k] & exponent) >= limit;
        }
    }
    for (int k = 0; k < LANES; k++) {
        bad += lanes[k];
    }
    return bad + few_32(data + 4 * i, exponent, limit, n - i);
}

/* Numbers whose exponent, as fp32 has it, is `exponent` or more; fp16 is compared with its own largest. */
static uint64_t count_from(const void *data, enum tensor_dtype dtype, uint32_t exponent, uint64_t n)
{
    BUG_ON(dtype == DTYPE_OTHER || dtype == DTYPE_F8_E4M3); /* whose scales are not known here */
    const uint8_t *bytes = data;
    uint64_t bad = 0, n_chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for reduction(+ : bad) schedule(static) if (n_chunks > 1)
    for (uint64_t i = 0; i < n_chunks; i++) {
        uint64_t at = i * CHUNK, part = n - at < CHUNK ? n - at : CHUNK;
        bad += dtype == DTYPE_F32   ? chunk_32(bytes + 4 * at, 0x7F800000, exponent << 23, part)
               : dtype == DTYPE_F16 ? chunk_16(bytes + 2 * at, 0x7C00, 0x7C00, part)
                                    : chunk_16(bytes + 2 * at, 0x7F80, (uint16_t)(exponent << 7), part);
    }
    return bad;
}

uint64_t not_finite_count(const void *data, enum tensor_dtype dtype, uint64_t n)
{
    return count_from(data, dtype, 255, n);
}

uint64_t not_weight_count(const void *data, enum tensor_dtype dtype, uint64_t n)
{
    return count_from(data, dtype, 127 + 100, n);
}

enum err not_finite_refuse(const char *path, const char *tensor, uint64_t bad, uint64_t n)
{
    return bad == 0 ? ERR_NONE
                    : err_set(ERR_FORMAT,
                              "%s: %llu of the %llu numbers of tensor '%s' are not finite (NaN or infinity), or above "
                              "2^100; the model was "
                              "damaged or its training diverged: take another copy or an earlier checkpoint",
                              path, (unsigned long long)bad, (unsigned long long)n, tensor);
}

const struct param_part *not_finite_find(const struct params *params, const struct device *device, const float *array)
{
    const struct param_part *found = NULL;
    float *rows = NULL;
    for (int i = 0; i < params->n_parts && !found; i++) {
        const struct param_part *part = &params->parts[i];
        const struct param *p = &params->table[part->param];
        int cols = param_width(p), block = CHUNK / cols > 64 ? CHUNK / cols / 16 * 16 : 64;
        bool there = !array || p->trains;
        rows = mem_grow(rows, (size_t)block * (size_t)cols * sizeof *rows);
        for (int row = 0; there && row < part->rows && !found; row += block) {
            int n = part->rows - row < block ? part->rows - row : block;
            if (array) {
                device->ops->wide_export(rows, array + p->offset, part->row + row, n, p->rows, cols);
            } else {
                params_export(params, device, p, rows, part->row + row, n);
            }
            found = not_finite_count(rows, DTYPE_F32, (uint64_t)n * (uint64_t)cols) > 0 ? part : NULL;
        }
    }
    free(rows);
    return found;
}
