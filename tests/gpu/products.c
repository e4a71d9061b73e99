/* tests/gpu/products.c - every matrix product that a forward pass makes, of many heights, beside the reference chain: all bits.
 *
 * cuBLASLt's algorithms are chosen once a range of heights (kernels/cuda/blas.c); here each height is looked at, with bias,
 * with a residual apart and in place, on normal numbers and on numbers whose sums cancel.
 *
 * Gradients of weights too, over numbers of tokens.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/cuda.h"
#include "tests/gpu/fixture.h"

#define MOST_ROWS 2048

static void *memory[6]; /* x, w, bias, residual, y, wanted */

static void fill(int N, int K, bool cancels, uint64_t stream)
{
    size_t xs = (size_t)MOST_ROWS * (size_t)K, ws = (size_t)N * (size_t)K, ys = (size_t)MOST_ROWS * (size_t)N;
    if (cancels) {
        cuda_trial_elements(memory[0], MOST_ROWS, (size_t)K, K, CUDA_TRIAL_REPEATED, 1);
        cuda_trial_elements(memory[1], (size_t)N, (size_t)K, K, CUDA_TRIAL_NEGATIVE, 1);
        cuda_trial_elements(memory[2], 1, (size_t)N, N, CUDA_TRIAL_PLAIN, -17);
        cuda_trial_elements(memory[3], MOST_ROWS, (size_t)N, N, CUDA_TRIAL_PLAIN, -17);
        return;
    }
    const size_t sizes[4] = {xs, ws, (size_t)N, ys};
    for (int i = 0; i < 4; i++) {
        size_t n = sizes[i] < 1000003 ? sizes[i] : 1000003; /* a prime: rows do not repeat */
        float *x = elements(n, i == 1 ? 1 / sqrtf((float)K) : 1, stream + (uint64_t)i);
        uint16_t *bits = mem_alloc(sizes[i] * 2);
        for (size_t k = 0; k < sizes[i]; k++) {
            bits[k] = bf16_bits(x[k % n]);
        }
        device_write(gpu, memory[i], bits, sizes[i] * 2);
        free(x), free(bits);
    }
}

/* Which of the heights differ; in words. */
static void check_product(int N, int K, bool bias, bool residual, bool cancels)
{
    static const int heights[] = {1,   2,   3,   7,   8,   15,   16,   17,   31,   32,  33,  48,
                                  63,  64,  65,  100, 127, 128,  129,  200,  255,  256, 257, 300,
                                  384, 500, 512, 513, 777, 1000, 1024, 1025, 1700, 2048};
    char bad[512] = "";
    size_t used = 0, total = 0;
    for (size_t i = 0; i < sizeof heights / sizeof *heights; i++) {
        for (int in_place = 0; in_place <= (residual ? 1 : 0); in_place++) {
            size_t n = (size_t)heights[i] * (size_t)N;
            struct cuda_product p = {.what = "test", .M = heights[i], .N = N, .K = K};
            p.a = memory[0], p.lda = (size_t)K, p.b = memory[1], p.ldb = (size_t)K, p.ldc = (size_t)N;
            p.bias = bias ? memory[2] : NULL, p.residual = residual ? memory[3] : NULL;
            p.c = memory[5];
            cuda_product_reference(&p);
            p.c = memory[4];
            if (in_place) {
                device_copy(gpu, memory[4], memory[3], n * 2);
                p.residual = memory[4];
            }
            cuda_product_run(&p);
            size_t different = cuda_count_different(memory[4], memory[5], n, n, n);
            total += different;
            if (different && used < sizeof bad - 40) {
                used += (size_t)snprintf(bad + used, sizeof bad - used, " %d%s:%zu", heights[i], in_place ? "i" : "",
                                         different);
            }
        }
    }
    check(total == 0, "product N %d K %d%s%s%s: %zu elements differ%s", N, K, bias ? " bias" : "",
          residual ? " residual" : "", cancels ? " cancelling" : "", total, bad);
}

/* Gradients of weights, over numbers of tokens that no tile divides: all bits are those of one of the two ways to add to what is
 * there, and the same one for all numbers. */
static void check_gradient(int N, int K, bool cancels)
{
    static const int tokens[] = {1, 3, 17, 59, 83, 127, 129, 200, 331, 513, 700, 1000, 1023, 1025, 1500, 2047};
    size_t n = (size_t)N * (size_t)K, different[2] = {0, 0};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        cuda_trial_columns(memory[0], tokens[i], (size_t)N, N, cancels ? CUDA_TRIAL_REPEATED : CUDA_TRIAL_PLAIN, 1);
        cuda_trial_columns(memory[1], tokens[i], (size_t)K, K, cancels ? CUDA_TRIAL_NEGATIVE : CUDA_TRIAL_PLAIN, 1);
        struct cuda_product p = {.what = "test", .M = N, .N = K, .K = tokens[i], .wide = true, .accumulate = true};
        p.a = memory[0], p.lda = (size_t)N, p.a_transposed = true, p.b = memory[1], p.ldb = (size_t)K,
        p.b_transposed = true;
        p.ldc = (size_t)K;
        for (int from_c = 0; from_c < 2; from_c++) {
            for (int run = 0; run < 2; run++) {
                p.c = memory[4 + run];
                device_copy(gpu, memory[4 + run], memory[3], n * 4);
                p.from_c = run && from_c;
                run ? cuda_product_reference(&p) : cuda_product_run(&p);
            }
            different[from_c] += cuda_count_different(memory[4], memory[5], 2 * n, 2 * n, 2 * n);
        }
    }
    check(different[0] == 0 || different[1] == 0, "gradient %d x %d%s: %zu elements differ, %zu from C", N, K,
          cancels ? " cancelling" : "", different[0], different[1]);
}

static void check_gradients(void)
{
    static const int shapes[][2] = {{64, 32},   {32, 32},   {128, 32},   {262, 32},
                                    {256, 128}, {768, 128}, {1152, 896}, {896, 896}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int N = shapes[i][0], K = shapes[i][1];
        for (int cancels = 0; cancels < 2; cancels++) {
            cuda_trial_elements(memory[3], 1, 2 * (size_t)N * (size_t)K, 2 * N * K, CUDA_TRIAL_PLAIN, 0);
            check_gradient(N, K, cancels);
        }
    }
}

int main(void)
{
    static const struct {
        int N, K;
        bool bias, residual;
    } shapes[] = {
        {128, 40, true, false},      {40, 64, false, true},     {96, 40, false, false},     {40, 48, false, true},
        {128, 32, false, false},     {32, 64, false, true},     {192, 128, true, false},    {128, 128, false, true},
        {704, 128, false, false},    {128, 352, false, true},   {1152, 896, true, false},   {896, 896, false, true},
        {9728, 896, false, false},   {896, 4864, false, true},  {2048, 1536, true, false},  {1536, 1536, false, true},
        {17920, 1536, false, false}, {1536, 8960, false, true}, {4096, 1024, false, false}, {1024, 2048, false, true},
        {6144, 1024, false, false},  {1024, 3072, false, true},
    };
    open_both();
    for (int i = 0; i < 6; i++) {
        memory[i] = device_alloc(gpu, (size_t)MOST_ROWS * 17920 * 2, "test");
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int cancels = 0; cancels < 2; cancels++) {
            fill(shapes[i].N, shapes[i].K, cancels, 10 * i);
            check_product(shapes[i].N, shapes[i].K, shapes[i].bias, shapes[i].residual, cancels);
        }
    }
    check_gradients();
    return close_both();
}
