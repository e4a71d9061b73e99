/* tests/kernels/gemm_test.c - the tile of products with any strides, the transpose, and the functions of vec.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define ISA scalar
#include "kernels/cpu/gemm.h"

#include "tests/kernels/fixture.h"

#if defined(__x86_64__)
void gemm_tile_avx2(const struct gemm_tile *tile);
void gemm_transpose_avx2(float *to, const float *from);
void gemm_tile_avx512(const struct gemm_tile *tile);
void gemm_transpose_avx512(float *to, const float *from);
#else
#define gemm_tile_avx2        gemm_tile_scalar
#define gemm_transpose_avx2   gemm_transpose_scalar
#define gemm_tile_avx512      gemm_tile_scalar
#define gemm_transpose_avx512 gemm_transpose_scalar
#endif

/* In the order of fixture.h; only the first tables->n may run. */
static void (*const tiles[])(const struct gemm_tile *) = {gemm_tile_scalar, gemm_tile_avx2, gemm_tile_avx512};
static void (*const transposes[])(float *, const float *) = {gemm_transpose_scalar, gemm_transpose_avx2,
                                                             gemm_transpose_avx512};

enum { MOST_M = 26, MOST_PANELS = 6, MOST_K = 9, A_ROW = 31, C_ROW = MOST_PANELS * 16 + 3 };

/* Every number of rows and panels; a by rows and by columns; chains from 0 and from c. */
static void tiles_are_chains(void **state)
{
    const struct tables *tables = *state;
    float *a = random_floats(A_ROW * A_ROW, 1, 1), *b = random_floats(MOST_PANELS * MOST_K * 16, 1, 2);
    float *start = random_floats(MOST_M * C_ROW, 1, 3), c[MOST_M * C_ROW], want[MOST_M * C_ROW];
    for (int i = 0; i < MOST_M * MOST_PANELS * 8; i++) {
        int M = i / 8 / MOST_PANELS + 1, panels = i / 8 % MOST_PANELS + 1, K = i & 4 ? MOST_K : 1;
        bool from_c = i & 1, columns = i & 2;
        struct gemm_tile g = {.M = M,
                              .n_panels = panels,
                              .K = K,
                              .a = a,
                              .a_row = columns ? 1 : A_ROW,
                              .a_k = columns ? A_ROW : 1,
                              .b = b,
                              .b_panel = MOST_K * 16,
                              .b_k = 16,
                              .c = c,
                              .c_row = C_ROW,
                              .from_c = from_c};
        memcpy(want, start, sizeof want);
        for (int m = 0; m < M; m++) {
            for (int n = 0; n < panels * 16; n++) {
                float sum = from_c ? start[m * C_ROW + n] : 0;
                for (int k = 0; k < K; k++) {
                    sum = fmaf(a[m * g.a_row + k * g.a_k], b[n / 16 * MOST_K * 16 + k * 16 + n % 16], sum);
                }
                want[m * C_ROW + n] = sum;
            }
        }
        for (int table = 0; table < tables->n; table++) {
            memcpy(c, start, sizeof c);
            tiles[table](&g);
            assert_same_bits(c, want, MOST_M * C_ROW, tables->ops[table]->name);
        }
    }
    free(a);
    free(b);
    free(start);
}

static void transposes_turn(void **state)
{
    const struct tables *tables = *state;
    float from[256], to[256];
    for (int i = 0; i < 256; i++) {
        from[i] = (float)i;
    }
    for (int table = 0; table < tables->n; table++) {
        transposes[table](to, from);
        for (int i = 0; i < 256; i++) {
            assert_same_bits(&to[i], &from[i % 16 * 16 + i / 16], 1, tables->ops[table]->name);
        }
    }
}

/* Units in the last place between a float and the right number. */
static double ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

static void exp_and_log_keep_their_promise(void **state)
{
    (void)state;
    for (float x = -87.25f; x < 88.25f; x += 0.0037f) {
        assert_true(ulps(vec_exp_1(x), exp((double)x)) <= 2);
    }
    assert_true(vec_exp_1(0) == 1.0f);
    assert_true(vec_exp_1(-87.5f) == 0 && vec_exp_1(-1e30f) == 0 && vec_exp_1(-INFINITY) == 0);
    assert_true(isfinite(vec_exp_1(1000)) && ulps(vec_exp_1(1000), exp((double)88.3f)) <= 2);
    for (float x = 1.2e-38f; x < 3e38f; x *= 1.0037f) {
        assert_true(ulps(vec_log_1(x), log((double)x)) <= 2);
    }
    for (float x = 0.9f; x < 1.1f; x += 1e-5f) {
        assert_true(ulps(vec_log_1(x), log((double)x)) <= 2);
    }
    assert_true(vec_log_1(1) == 0);
}

static void sums_go_by_halves(void **state)
{
    (void)state;
    float *x = random_floats(16, 1, 1), y[16];
    memcpy(y, x, sizeof y);
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            y[i] += y[i + half];
        }
    }
    float sum = vec_sum(vec_load(x)), most = vec_largest(vec_load(x)), want = x[0];
    for (int i = 1; i < 16; i++) {
        want = fmaxf(want, x[i]);
    }
    assert_same_bits(&sum, y, 1, "sum");
    assert_same_bits(&most, &want, 1, "largest");
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_chains),
        cmocka_unit_test(transposes_turn),
        cmocka_unit_test(exp_and_log_keep_their_promise),
        cmocka_unit_test(sums_go_by_halves),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
