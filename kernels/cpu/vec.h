/* kernels/cpu/vec.h - sixteen fp32 lanes, with the same bits from every instruction set.
 *
 * The sources of kernels/cpu are compiled once for each instruction set (Makefile, ISAS). A vec is one 512-bit
 * register, two 256-bit ones, or an array of sixteen floats; each operation acts on each lane alone and rounds once, so
 * the three builds agree in every bit. Reductions have a fixed tree: lane i + lane i+8, then +4, +2, +1.
 *
 * Only this file uses intrinsics; gemm.[ch] choose tile shapes by the instruction set. A name that other files of
 * kernels/ must see is written ISA_NAME(matmul) and becomes matmul_avx2 and so on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_VEC_H
#define KERNELS_CPU_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define VEC_LANES 16

#define ISA_PASTE_(name, isa) name##_##isa
#define ISA_PASTE(name, isa)  ISA_PASTE_(name, isa)
#define ISA_NAME(name)        ISA_PASTE(name, ISA)

#if defined(__AVX512F__)

typedef __m512 vec;

static inline vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void vec_store(float *p, vec a)
{
    _mm512_storeu_ps(p, a);
}
static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}
static inline vec vec_sqrt(vec a)
{
    return _mm512_sqrt_ps(a);
}
/* a b + c, rounded once */
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* a > b ? a : b (b where one is not a number) */
static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
/* a < b ? yes : no */
static inline vec vec_select_less(vec a, vec b, vec yes, vec no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
/* the float whose bits are (bits of a + bias) << shift */
static inline vec vec_bits_shift_left(vec a, int32_t bias, int shift)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(bias)), (unsigned)shift));
}
/* (float)(bits of a >> 23) */
static inline vec vec_exponent_bits(vec a)
{
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_castps_si512(a), 23));
}
/* The first n lanes from memory, `rest` in the others; 0 <= n <= 16. */
static inline vec vec_load_n(const float *p, int n, float rest)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(rest), (__mmask16)((1u << n) - 1u), p);
}
/* The first n lanes to memory. */
static inline void vec_store_n(float *p, vec a, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), a);
}
/* the mantissa of a with the exponent of 1: in [1, 2) */
static inline vec vec_mantissa(vec a)
{
    __m512i bits = _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x007FFFFF));
    return _mm512_castsi512_ps(_mm512_or_si512(bits, _mm512_set1_epi32(0x3F800000)));
}

#elif defined(__AVX2__)

typedef struct {
    __m256 lo, hi;
} vec;

#define VEC_BOTH(expression_lo, expression_hi) ((vec){(expression_lo), (expression_hi)})

static inline vec vec_set(float x)
{
    return VEC_BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x));
}
static inline vec vec_load(const float *p)
{
    return VEC_BOTH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
static inline void vec_store(float *p, vec a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline vec vec_add(vec a, vec b)
{
    return VEC_BOTH(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi));
}
static inline vec vec_sub(vec a, vec b)
{
    return VEC_BOTH(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi));
}
static inline vec vec_mul(vec a, vec b)
{
    return VEC_BOTH(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi));
}
static inline vec vec_div(vec a, vec b)
{
    return VEC_BOTH(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi));
}
static inline vec vec_sqrt(vec a)
{
    return VEC_BOTH(_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi));
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return VEC_BOTH(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
static inline vec vec_max(vec a, vec b)
{
    return VEC_BOTH(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi));
}
static inline vec vec_min(vec a, vec b)
{
    return VEC_BOTH(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi));
}
static inline vec vec_select_less(vec a, vec b, vec yes, vec no)
{
    return VEC_BOTH(_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
                    _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)));
}
static inline vec vec_bits_shift_left(vec a, int32_t bias, int shift)
{
    __m256i add = _mm256_set1_epi32(bias);
    return VEC_BOTH(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(a.lo), add), shift)),
                    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(a.hi), add), shift)));
}
static inline vec vec_exponent_bits(vec a)
{
    return VEC_BOTH(_mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_castps_si256(a.lo), 23)),
                    _mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_castps_si256(a.hi), 23)));
}
/* all ones in the first n of eight lanes from lane `first` on */
static inline __m256i vec_mask(int n, int first)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}
static inline vec vec_load_n(const float *p, int n, float rest)
{
    __m256i lo = vec_mask(n, 0), hi = vec_mask(n, 8);
    __m256 other = _mm256_set1_ps(rest);
    return VEC_BOTH(_mm256_blendv_ps(other, _mm256_maskload_ps(p, lo), _mm256_castsi256_ps(lo)),
                    _mm256_blendv_ps(other, _mm256_maskload_ps(p + 8, hi), _mm256_castsi256_ps(hi)));
}
static inline void vec_store_n(float *p, vec a, int n)
{
    _mm256_maskstore_ps(p, vec_mask(n, 0), a.lo);
    _mm256_maskstore_ps(p + 8, vec_mask(n, 8), a.hi);
}
static inline vec vec_mantissa(vec a)
{
    __m256i mask = _mm256_set1_epi32(0x007FFFFF), one = _mm256_set1_epi32(0x3F800000);
    return VEC_BOTH(_mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(a.lo), mask), one)),
                    _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(a.hi), mask), one)));
}

#else /* any machine: plain C, lane by lane */

typedef struct {
    float lane[VEC_LANES];
} vec;

#define VEC_EACH(expression)                                                                                           \
    vec r;                                                                                                             \
    for (int i = 0; i < VEC_LANES; i++) {                                                                              \
        r.lane[i] = (expression);                                                                                      \
    }                                                                                                                  \
    return r

static inline uint32_t vec_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float vec_bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline vec vec_set(float x)
{
    VEC_EACH(x);
}
static inline vec vec_load(const float *p)
{
    VEC_EACH(p[i]);
}
static inline void vec_store(float *p, vec a)
{
    memcpy(p, a.lane, sizeof a.lane);
}
static inline vec vec_add(vec a, vec b)
{
    VEC_EACH(a.lane[i] + b.lane[i]);
}
static inline vec vec_sub(vec a, vec b)
{
    VEC_EACH(a.lane[i] - b.lane[i]);
}
static inline vec vec_mul(vec a, vec b)
{
    VEC_EACH(a.lane[i] * b.lane[i]);
}
static inline vec vec_div(vec a, vec b)
{
    VEC_EACH(a.lane[i] / b.lane[i]);
}
static inline vec vec_sqrt(vec a)
{
    VEC_EACH(sqrtf(a.lane[i]));
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    VEC_EACH(fmaf(a.lane[i], b.lane[i], c.lane[i]));
}
static inline vec vec_max(vec a, vec b)
{
    VEC_EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
static inline vec vec_min(vec a, vec b)
{
    VEC_EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
static inline vec vec_select_less(vec a, vec b, vec yes, vec no)
{
    VEC_EACH(a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i]);
}
static inline vec vec_bits_shift_left(vec a, int32_t bias, int shift)
{
    VEC_EACH(vec_bits_float((vec_float_bits(a.lane[i]) + (uint32_t)bias) << shift));
}
static inline vec vec_exponent_bits(vec a)
{
    VEC_EACH((float)(vec_float_bits(a.lane[i]) >> 23));
}
static inline vec vec_mantissa(vec a)
{
    VEC_EACH(vec_bits_float((vec_float_bits(a.lane[i]) & 0x007FFFFFu) | 0x3F800000u));
}
static inline vec vec_load_n(const float *p, int n, float rest)
{
    float lanes[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++) {
        lanes[i] = i < n ? p[i] : rest;
    }
    return vec_load(lanes);
}
static inline void vec_store_n(float *p, vec a, int n)
{
    float lanes[VEC_LANES];
    vec_store(lanes, a);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

#endif

/* ---- made of the above, so the same for all ---- */

static inline vec vec_zero(void)
{
    return vec_set(0.0f);
}

#if defined(__AVX2__)

/* The tree on eight lanes that hold the first halving: + 4, + 2, + 1. */
static inline float vec_sum_8(__m256 a)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
static inline float vec_largest_8(__m256 a)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

#endif

#if defined(__AVX512F__)

static inline float vec_sum(vec a)
{
    return vec_sum_8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}
static inline float vec_largest(vec a)
{
    return vec_largest_8(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}
static inline float vec_first(vec a)
{
    return _mm512_cvtss_f32(a);
}

#elif defined(__AVX2__)

static inline float vec_sum(vec a)
{
    return vec_sum_8(_mm256_add_ps(a.lo, a.hi));
}
static inline float vec_largest(vec a)
{
    return vec_largest_8(_mm256_max_ps(a.lo, a.hi));
}
static inline float vec_first(vec a)
{
    return _mm256_cvtss_f32(a.lo);
}

#else

static inline float vec_sum(vec a)
{
    float lanes[VEC_LANES];
    vec_store(lanes, a);
    for (int half = VEC_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    return lanes[0];
}

static inline float vec_largest(vec a)
{
    float lanes[VEC_LANES];
    vec_store(lanes, a);
    for (int half = VEC_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
        }
    }
    return lanes[0];
}

static inline float vec_first(vec a)
{
    return a.lane[0];
}

#endif

/* e^x to 1 or 2 units in the last place; exactly 0 below -87.3 (so also for -infinity), and e^88.3 above 88.3.
 * Range reduction by ln 2 in two parts, then a polynomial of degree 6 (coefficients of Cephes' expf). */
static inline vec vec_exp(vec x)
{
    const vec low = vec_set(-87.3f);
    vec y = vec_max(vec_min(x, vec_set(88.3f)), low);
    const vec magic = vec_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
    vec shifted = vec_fma(y, vec_set(1.44269504f), magic);
    vec n = vec_sub(shifted, magic);
    y = vec_fma(n, vec_set(-0.693359375f), y);
    y = vec_fma(n, vec_set(2.12194440e-4f), y);
    vec p = vec_set(1.9875691500e-4f);
    p = vec_fma(p, y, vec_set(1.3981999507e-3f));
    p = vec_fma(p, y, vec_set(8.3334519073e-3f));
    p = vec_fma(p, y, vec_set(4.1665795894e-2f));
    p = vec_fma(p, y, vec_set(1.6666665459e-1f));
    p = vec_fma(p, y, vec_set(5.0000001201e-1f));
    p = vec_fma(p, vec_mul(y, y), vec_add(y, vec_set(1.0f)));
    vec power = vec_bits_shift_left(shifted, 127 - 0x4B400000, 23); /* 2^n */
    return vec_select_less(x, low, vec_zero(), vec_mul(p, power));
}

/* Natural logarithm of a positive, normal x, to 1 or 2 units in the last place (coefficients of Cephes' logf). */
static inline vec vec_log(vec x)
{
    vec e = vec_sub(vec_exponent_bits(x), vec_set(127.0f));
    vec m = vec_mantissa(x);
    const vec root = vec_set(1.41421356f);
    e = vec_select_less(root, m, vec_add(e, vec_set(1.0f)), e);
    m = vec_select_less(root, m, vec_mul(m, vec_set(0.5f)), m);
    vec y = vec_sub(m, vec_set(1.0f));
    vec z = vec_mul(y, y);
    vec p = vec_set(7.0376836292e-2f);
    p = vec_fma(p, y, vec_set(-1.1514610310e-1f));
    p = vec_fma(p, y, vec_set(1.1676998740e-1f));
    p = vec_fma(p, y, vec_set(-1.2420140846e-1f));
    p = vec_fma(p, y, vec_set(1.4249322787e-1f));
    p = vec_fma(p, y, vec_set(-1.6668057665e-1f));
    p = vec_fma(p, y, vec_set(2.0000714765e-1f));
    p = vec_fma(p, y, vec_set(-2.4999993993e-1f));
    p = vec_fma(p, y, vec_set(3.3333331174e-1f));
    p = vec_mul(vec_mul(p, y), z);
    p = vec_fma(e, vec_set(-2.12194440e-4f), p);
    p = vec_fma(z, vec_set(-0.5f), p);
    return vec_fma(e, vec_set(0.693359375f), vec_add(y, p));
}

static inline float vec_exp_1(float x)
{
    return vec_first(vec_exp(vec_set(x)));
}

static inline float vec_log_1(float x)
{
    return vec_first(vec_log(vec_set(x)));
}

#endif
