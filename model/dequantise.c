/* model/dequantise.c - one function a block format; the fields of a block stand in the order of its bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/dequantise.h"

#include <string.h>

#include "base/err.h"
#include "model/safetensors.h"

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float read_half(const uint8_t *p)
{
    return half_to_float(read_u16(p));
}

static void f32(const uint8_t *p, float *y)
{
    uint32_t bits = (uint32_t)read_u16(p) | (uint32_t)read_u16(p + 2) << 16;
    memcpy(y, &bits, sizeof bits);
}

static void f16(const uint8_t *p, float *y)
{
    *y = read_half(p);
}

static void bf16(const uint8_t *p, float *y)
{
    *y = bfloat16_to_float(read_u16(p));
}

/* ---- 32 values: the low nibbles are the first half, the high nibbles the second ---- */

/* d | 16 nibble pairs */
static void q4_0(const uint8_t *p, float *y)
{
    float d = read_half(p);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)((p[2 + j] & 15) - 8);
        y[j + 16] = d * (float)((p[2 + j] >> 4) - 8);
    }
}

/* d | m | 16 nibble pairs */
static void q4_1(const uint8_t *p, float *y)
{
    float d = read_half(p), m = read_half(p + 2);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)(p[4 + j] & 15) + m;
        y[j + 16] = d * (float)(p[4 + j] >> 4) + m;
    }
}

/* Value j of a block with nibble pairs and 32 fifth bits. */
static int five_bits(const uint8_t *high, const uint8_t *nibbles, int j)
{
    int low = j < 16 ? nibbles[j] & 15 : nibbles[j - 16] >> 4;
    return low | (high[j / 8] >> (j % 8) & 1) << 4;
}

/* d | 32 fifth bits | 16 nibble pairs */
static void q5_0(const uint8_t *p, float *y)
{
    float d = read_half(p);
    for (int j = 0; j < 32; j++) {
        y[j] = d * (float)(five_bits(p + 2, p + 6, j) - 16);
    }
}

/* d | m | 32 fifth bits | 16 nibble pairs */
static void q5_1(const uint8_t *p, float *y)
{
    float d = read_half(p), m = read_half(p + 2);
    for (int j = 0; j < 32; j++) {
        y[j] = d * (float)five_bits(p + 4, p + 8, j) + m;
    }
}

/* d | 32 signed bytes */
static void q8_0(const uint8_t *p, float *y)
{
    float d = read_half(p);
    for (int j = 0; j < 32; j++) {
        y[j] = d * (float)(int8_t)p[2 + j];
    }
}

/* ---- 256 values ---- */

/* The 2-bit field of value i: halves of 128 values share 32 bytes, four groups of 32 take two bits each. */
static int two_bits(const uint8_t *q, int i)
{
    return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

/* 16 bytes minimum << 4 | scale | 64 bytes of 2-bit fields | d | dmin */
static void q2_k(const uint8_t *p, float *y)
{
    const uint8_t *q = p + 16;
    float d = read_half(p + 80), dmin = read_half(p + 82);
    for (int i = 0; i < 256; i++) {
        float scale = d * (float)(p[i / 16] & 15), low = dmin * (float)(p[i / 16] >> 4);
        y[i] = scale * (float)two_bits(q, i) - low;
    }
}

/* 32 bytes of third bits | 64 bytes of 2-bit fields | 12 bytes of 6-bit scales | d.  A third bit that is 0 means - 4. Low
 * four bits of the scales: 8 low nibbles, then 8 high ones; the two above them are packed by four in the last 4 bytes. */
static void q3_k(const uint8_t *p, float *y)
{
    const uint8_t *q = p + 32, *s = p + 96;
    float d = read_half(p + 108);
    for (int i = 0; i < 256; i++) {
        int k = i / 16;
        int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4, high = s[8 + k % 4] >> (k / 4 * 2) & 3;
        int third = p[i % 32] >> (i / 32) & 1;
        y[i] = d * (float)((low | high << 4) - 32) * (float)(two_bits(q, i) - (third ? 0 : 4));
    }
}

/* Scale and minimum number k of 8, 6 bits each, in 12 bytes. */
static void six_bits(const uint8_t *s, int k, int *scale, int *minimum)
{
    if (k < 4) {
        *scale = s[k] & 63;
        *minimum = s[k + 4] & 63;
    } else {
        *scale = (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
        *minimum = s[k + 4] >> 4 | s[k] >> 6 << 4;
    }
}

/* q4_k: d | dmin | 12 bytes of scales and minima | 128 bytes of nibbles
 * q5_k: d | dmin | 12 bytes of scales and minima | 32 bytes of fifth bits | 128 bytes of nibbles
 * Groups of 32 values: two of them share 32 bytes, the low nibbles come first; group k has bit k of the fifth bits. */
static void q45_k(const uint8_t *p, const uint8_t *fifth, const uint8_t *q, float *y)
{
    float d = read_half(p), dmin = read_half(p + 2);
    for (int k = 0; k < 8; k++) {
        int scale, minimum;
        six_bits(p + 4, k, &scale, &minimum);
        float d_scale = d * (float)scale, low = dmin * (float)minimum;
        for (int l = 0; l < 32; l++) {
            int value = q[k / 2 * 32 + l] >> (k % 2 * 4) & 15;
            value |= fifth ? (fifth[l] >> k & 1) << 4 : 0;
            y[k * 32 + l] = d_scale * (float)value - low;
        }
    }
}

static void q4_k(const uint8_t *p, float *y)
{
    q45_k(p, NULL, p + 16, y);
}

static void q5_k(const uint8_t *p, float *y)
{
    q45_k(p, p + 16, p + 48, y);
}

/* 128 bytes of low nibbles | 64 bytes of high 2-bit fields | 16 signed scales | d.  In each half of 128 values, 64 bytes of
 * nibbles: the low ones are the first 64 values. */
static void q6_k(const uint8_t *p, float *y)
{
    const uint8_t *high = p + 128, *scales = p + 192;
    float d = read_half(p + 208);
    for (int i = 0; i < 256; i++) {
        int low = p[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        float scale = d * (float)(int8_t)scales[i / 16];
        y[i] = scale * (float)((low | two_bits(high, i) << 4) - 32);
    }
}

static const struct quant_type types[] = {
    {0, "F32", 1, 4, f32},        {1, "F16", 1, 2, f16},        {2, "Q4_0", 32, 18, q4_0},
    {3, "Q4_1", 32, 20, q4_1},    {6, "Q5_0", 32, 22, q5_0},    {7, "Q5_1", 32, 24, q5_1},
    {8, "Q8_0", 32, 34, q8_0},    {10, "Q2_K", 256, 84, q2_k},  {11, "Q3_K", 256, 110, q3_k},
    {12, "Q4_K", 256, 144, q4_k}, {13, "Q5_K", 256, 176, q5_k}, {14, "Q6_K", 256, 210, q6_k},
    {30, "BF16", 1, 2, bf16},
};

const struct quant_type *quant_type_find(uint32_t id)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].id == id) {
            return &types[i];
        }
    }
    return NULL;
}

void dequantise(const struct quant_type *type, const uint8_t *blocks, uint64_t n, float *out)
{
    BUG_ON(n % type->block != 0);
    for (uint64_t i = 0; i < n / type->block; i++) {
        type->dequantise(blocks + i * type->bytes, out + i * type->block);
    }
}
