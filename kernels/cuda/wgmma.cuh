/* kernels/cuda/wgmma.cuh - products of a warpgroup with 64 rows, for attention on Hopper.
 *
 * A tile holds rows of D elements in shared memory, 64 columns after 64 columns, permuted as wgmma reads them; it
 * begins at a multiple of 1024. The sums of a thread of warp w, lane l: c[4 j + 2 half + i] is row
 * 16 w + l / 4 + 8 half, column 8 j + 2 (l % 4) + i. Each is a chain over k, 16 at a time, ascending: the bits of
 * mma.sync.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_WGMMA_CUH
#define KERNELS_CUDA_WGMMA_CUH

#include "kernels/cuda/flow.cuh"

template <int ROWS, int D> struct tile {
    bf16 columns[D / 64][ROWS * 64];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Rows from `row` on, D elements from column `column` on; `barrier` hears of the bytes. By one thread. */
template <int ROWS, int D>
__device__ __forceinline__ void fetch_tile(struct tile<ROWS, D> *to, const CUtensorMap *map, int column, int row,
                                           uint64_t *barrier)
{
#pragma unroll
    for (int i = 0; i < D / 64; i++) {
        fetch_lines(to->columns[i], map, column + 64 * i, row, barrier);
    }
}

/* Of 16 rows of a tile as a second factor whose columns are the product's: from 8 rows to the next 8, from 64 columns
 * to the next 64. */
template <int ROWS, int D> __device__ __forceinline__ uint64_t transposed_descriptor(const struct tile<ROWS, D> *tile)
{
    uint64_t address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (uint64_t)(ROWS * 128 >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

#define C4(f, i)  f(c[i]), f(c[i + 1]), f(c[i + 2]), f(c[i + 3])
#define C16(f, i) C4(f, i), C4(f, i + 4), C4(f, i + 8), C4(f, i + 12)

/* c = a b^T: a 64 x 16, b 64 x 16 */
__device__ __forceinline__ void wgmma16_64_first(float c[32], uint64_t a, uint64_t b)
{
    asm volatile("{\n.reg .pred add;\n"
                 "setp.ne.b32 add, 0, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31}, "
                 "%32, %33, add, 1, 1, 0, 0;\n}"
                 : C16("=f", 0), C16("=f", 16)
                 : "l"(a), "l"(b));
}

/* c += a b^T: a 64 x 16, b 64 x 16 */
__device__ __forceinline__ void wgmma16_64(float c[32], uint64_t a, uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31}, "
                 "%32, %33, 1, 1, 1, 0, 0;"
                 : C16("+f", 0), C16("+f", 16)
                 : "l"(a), "l"(b));
}

/* c = a b^T: a 64 x 16, b 128 x 16 */
__device__ __forceinline__ void wgmma16_128_first(float c[64], uint64_t a, uint64_t b)
{
    asm volatile("{\n.reg .pred add;\n"
                 "setp.ne.b32 add, 0, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,"
                 "%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
                 "%64, %65, add, 1, 1, 0, 0;\n}"
                 : C16("=f", 0), C16("=f", 16), C16("=f", 32), C16("=f", 48)
                 : "l"(a), "l"(b));
}

/* c += a b^T: a 64 x 16, b 128 x 16 */
__device__ __forceinline__ void wgmma16_128(float c[64], uint64_t a, uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,"
                 "%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
                 "%64, %65, 1, 1, 1, 0, 0;"
                 : C16("+f", 0), C16("+f", 16), C16("+f", 32), C16("+f", 48)
                 : "l"(a), "l"(b));
}

/* c += a b: a 64 x 16 in registers, b 16 x 64 */
__device__ __forceinline__ void wgmma16_transposed(float c[32], const uint32_t a[4], uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31}, "
                 "{%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
                 : C16("+f", 0), C16("+f", 16)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/* c += a b: a 64 x 16 in registers, b 16 x 128 */
__device__ __forceinline__ void wgmma16_transposed_wide(float c[64], const uint32_t a[4], uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,"
                 "%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
                 "{%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
                 : C16("+f", 0), C16("+f", 16), C16("+f", 32), C16("+f", 48)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef C16
#undef C4

/* Has the compiler take the sums as written here: after a wait for products. */
template <int N> __device__ __forceinline__ void sums_written(float (&c)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        asm volatile("" : "+f"(c[i])::"memory");
    }
}

/* s = 64 rows of a from `row` on times the rows of b. Begins the products. */
template <int D, int A_ROWS, int B_ROWS>
__device__ __forceinline__ void rows_times_rows(float (&s)[B_ROWS / 2], const struct tile<A_ROWS, D> *a, int row,
                                                const struct tile<B_ROWS, D> *b)
{
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint64_t from_a = tile_descriptor(a->columns[k / 4] + row * 64) + (uint64_t)(k % 4 * 2),
                 from_b = tile_descriptor(b->columns[k / 4]) + (uint64_t)(k % 4 * 2);
        if constexpr (B_ROWS == 64) {
            k == 0 ? wgmma16_64_first(s, from_a, from_b) : wgmma16_64(s, from_a, from_b);
        } else {
            k == 0 ? wgmma16_128_first(s, from_a, from_b) : wgmma16_128(s, from_a, from_b);
        }
    }
}

/* Sums as elements: the first factor of a product. */
template <int N> __device__ __forceinline__ void pack_sums(uint32_t (&to)[N / 16][4], const float (&s)[N / 2])
{
#pragma unroll
    for (int i = 0; i < N / 4; i++) {
        to[i / 4][i % 4] = pack_bf16(s[2 * i], s[2 * i + 1]);
    }
}

/* o += weights [64, N] times the N rows of b. Begins the products. */
template <int D, int N>
__device__ __forceinline__ void weights_times_rows(float (&o)[D / 2], const uint32_t (&weights)[N / 16][4],
                                                   const struct tile<N, D> *b)
{
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        uint64_t from = transposed_descriptor(b) + (uint64_t)(k * (16 * 128 >> 4));
        if constexpr (D == 64) {
            wgmma16_transposed(o, weights[k], from);
        } else {
            wgmma16_transposed_wide(o, weights[k], from);
        }
    }
}

/* The row of this half of a lane's sums, as elements, to where the row is, if it is there. By all lanes. */
template <int D> __device__ __forceinline__ void store_row(bf16 *to, const float (&sums)[D / 2], int half, bool there)
{
#pragma unroll
    for (int i = 2 * half; i < D / 2; i += 16) {
        uint4 run = quad_transposed(pack_bf16(sums[i], sums[i + 1]), pack_bf16(sums[i + 4], sums[i + 5]),
                                    pack_bf16(sums[i + 8], sums[i + 9]), pack_bf16(sums[i + 12], sums[i + 13]));
        if (there) {
            *reinterpret_cast<uint4 *>(to + 2 * (i - 2 * half) + (int)threadIdx.x % 4 * 8) = run;
        }
    }
}

#endif
#endif
