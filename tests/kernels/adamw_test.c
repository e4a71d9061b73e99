/* tests/kernels/adamw_test.c - the update and the sum of squares: fp64, and the same bits everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "kernels/rng.h"
#include "tests/kernels/fixture.h"

static void three_updates_are_right(void **state)
{
    const struct tables *tables = *state;
    static const size_t sizes[] = {1, 15, 16, 17, 4095, 4096, 4097, 30000};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        size_t n = sizes[c];
        float *first = NULL;
        for (int run = 0; run < 3 * tables->n; run++) {
            const struct ops *ops = tables->ops[run / 3];
            device_set_threads(1 + run % 3);
            float *param = random_floats(n, 1, 1), *m = zero_floats(n), *v = zero_floats(n);
            double *param64 = zero_doubles(n), *m64 = zero_doubles(n), *v64 = zero_doubles(n);
            for (size_t i = 0; i < n; i++) {
                param64[i] = (double)param[i];
            }
            for (int step = 1; step <= 3; step++) {
                double b1 = 0.9, b2 = 0.95, lr = 0.01, eps = 1e-6, decay = 0.1, scale = 0.5;
                double c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);
                float *grad = random_floats(n, 1, (uint64_t)(10 + step));
                ops->adamw(&(struct adamw_args){
                    .n = n,
                    .param = param,
                    .grad = grad,
                    .m = m,
                    .v = v,
                    .grad_scale = (float)scale,
                    .lr = (float)lr,
                    .beta1 = (float)b1,
                    .beta2 = (float)b2,
                    .eps = (float)eps,
                    .weight_decay = (float)decay,
                    .correction1 = (float)c1,
                    .correction2 = (float)c2,
                });
                for (size_t i = 0; i < n; i++) {
                    double g = scale * (double)grad[i];
                    m64[i] = b1 * m64[i] + (1 - b1) * g;
                    v64[i] = b2 * v64[i] + (1 - b2) * g * g;
                    param64[i] -= lr * (m64[i] / c1 / (sqrt(v64[i] / c2) + eps) + decay * param64[i]);
                }
                free(grad);
            }
            assert_all_near(param, param64, n, 1e-6, "param");
            assert_all_near(m, m64, n, 1e-6, "m");
            assert_all_near(v, v64, n, 1e-6, "v");
            first = first ? first : copy_floats(param, n);
            assert_same_bits(param, first, n, ops->name);
            free(param);
            free(m);
            free(v);
            free(param64);
            free(m64);
            free(v64);
        }
        free(first);
    }
}

/* ---- moments in bf16 ---- */

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float wide(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Of the three arrays an update has: bf16 numbers, both signs in m. */
static void fill_moments(uint16_t *m, uint16_t *v, size_t n)
{
    float *x = random_floats(n, 0.1f, 5), *y = random_floats(n, 0.01f, 6);
    for (size_t i = 0; i < n; i++) {
        m[i] = (uint16_t)(bits_of(x[i]) >> 16);
        v[i] = (uint16_t)(bits_of(fabsf(y[i])) >> 16);
    }
    free(x);
    free(y);
}

static struct adamw_args stochastic_args(size_t n, float *param, const float *grad, void *m, void *v)
{
    return (struct adamw_args){
        .n = n,
        .param = param,
        .grad = grad,
        .m = m,
        .v = v,
        .grad_scale = 0.5f,
        .lr = 0.01f,
        .beta1 = 0.9f,
        .beta2 = 0.999f,
        .eps = 1e-8f,
        .weight_decay = 0.1f,
        .correction1 = 0.3f,
        .correction2 = 0.01f,
        .stochastic = true,
        .key = 0x123456789ABCDEFu,
        .step = ((uint64_t)1 << 32) + 7,
        .first = ((size_t)1 << 34) - 32, /* its pairs' upper words differ */
    };
}

/* The rule of kernels/ops.h and kernels/rng.h, written down once more. */
static uint16_t rounded(float x, const struct adamw_args *a, size_t i, int shift)
{
    uint64_t at = a->first + i;
    uint32_t out[4],
        counter[4] = {(uint32_t)(at / 2), (uint32_t)(at / 2 >> 32), (uint32_t)a->step, (uint32_t)(a->step >> 32)};
    uint32_t key[2] = {(uint32_t)a->key, (uint32_t)(a->key >> 32)};
    rng_philox(out, counter, key);
    return (uint16_t)((bits_of(x) + (out[2 * (at % 2)] >> shift & 0xFFFFu)) >> 16);
}

/* The fp32 update of the widened moments, whose results then land on one of their two neighbours. */
static void bf16_moments_are_the_rounding_of_fp32_ones(void **state)
{
    const struct tables *tables = *state;
    static const size_t sizes[] = {2, 16, 62, 64, 66, 4096, 4098, 30000};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        size_t n = sizes[c];
        float *grad = random_floats(n, 1, 2), *want = random_floats(n, 1, 1), *m32 = zero_floats(n);
        float *v32 = zero_floats(n);
        uint16_t *m = mem_zero(n * sizeof *m), *v = mem_zero(n * sizeof *v);
        fill_moments(m, v, n);
        for (size_t i = 0; i < n; i++) {
            m32[i] = wide(m[i]), v32[i] = wide(v[i]);
        }
        struct adamw_args plain = stochastic_args(n, want, grad, m32, v32);
        plain.stochastic = false;
        tables->ops[0]->adamw(&plain);
        for (int run = 0; run < 4 * tables->n; run++) {
            float *param = random_floats(n, 1, 1);
            fill_moments(m, v, n);
            device_set_threads(1 + run % 4);
            struct adamw_args a = stochastic_args(n, param, grad, m, v);
            if (run % 4 == 3) { /* in two calls */
                struct adamw_args head = a;
                head.n = n / 4 * 2;
                tables->ops[run / 4]->adamw(&head);
                a = stochastic_args(n - head.n, param + head.n, grad + head.n, m + head.n, v + head.n);
                a.first += head.n;
            }
            tables->ops[run / 4]->adamw(&a);
            a = stochastic_args(n, param, grad, m, v);
            assert_same_bits(param, want, n, tables->ops[run / 4]->name);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(m[i], rounded(m32[i], &a, i, 0));
                assert_int_equal(v[i], rounded(v32[i], &a, i, 16));
                uint32_t below = bits_of(m32[i]) >> 16;
                assert_true(m[i] == below || (m[i] == below + 1 && (bits_of(m32[i]) & 0xFFFF) != 0));
            }
            free(param);
        }
        free(grad), free(want), free(m32), free(v32), free(m), free(v);
    }
}

/* The mean of many roundings of one number is the number: within five deviations. */
static void rounding_is_unbiased(void **state)
{
    const struct tables *tables = *state;
    enum { N = 64, DRAWS = 20000 };
    float *grad = random_floats(N, 1, 3), param[N] = {0};
    double sum_m[N] = {0}, sum_v[N] = {0};
    for (uint64_t step = 1; step <= DRAWS; step++) {
        uint16_t m[N] = {0}, v[N] = {0};
        struct adamw_args a = stochastic_args(N, param, grad, m, v);
        a.grad_scale = 1, a.beta1 = 0, a.beta2 = 0, a.lr = 0, a.step = step; /* m = g, v = g^2 */
        tables->ops[tables->n - 1]->adamw(&a);
        for (int i = 0; i < N; i++) {
            sum_m[i] += (double)wide(m[i]);
            sum_v[i] += (double)wide(v[i]);
        }
    }
    for (int i = 0; i < 2 * N; i++) {
        float x = i < N ? grad[i] : grad[i - N] * grad[i - N];
        double mean = (i < N ? sum_m[i] : sum_v[i - N]) / DRAWS;
        double unit = (double)wide((uint16_t)((bits_of(x) >> 16) + 1)) - (double)wide((uint16_t)(bits_of(x) >> 16));
        double share = (double)(bits_of(x) & 0xFFFF) / 65536;
        assert_true(fabs(mean - (double)x) <= 5 * fabs(unit) * sqrt(share * (1 - share) / DRAWS) + 1e-12);
    }
    free(grad);
}

static void squares_have_one_sum(void **state)
{
    const struct tables *tables = *state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100001, 1024 * 4096 + 5};
    float *x = random_floats(sizes[6], 1, 1);
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        long double exact = 0;
        for (size_t i = 0; i < sizes[c]; i++) {
            exact += (long double)x[i] * (long double)x[i];
        }
        device_set_threads(1);
        double first = tables->ops[0]->sum_squares(x, sizes[c]);
        assert_near(first / (exact > 0 ? (double)exact : 1), exact > 0 ? 1 : 0, 1e-13, "relative", c);
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                double again = tables->ops[table]->sum_squares(x, sizes[c]);
                assert_memory_equal(&again, &first, sizeof first);
            }
        }
    }
    free(x);
}

static void arrays_are_added(void **state)
{
    const struct tables *tables = *state;
    static const size_t sizes[] = {0, 1, 17, 100001};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        float *x = random_floats(sizes[c], 1, 1), *y = random_floats(sizes[c], 1, 2);
        for (int table = 0; table < tables->n; table++) {
            float *got = mem_alloc((sizes[c] + 1) * sizeof *got);
            memcpy(got, x, sizes[c] * sizeof *got);
            device_set_threads(1 + table % 2);
            tables->ops[table]->add(got, y, sizes[c]);
            for (size_t i = 0; i < sizes[c]; i++) {
                float want = x[i] + y[i];
                assert_memory_equal(&got[i], &want, sizeof want);
            }
            free(got);
        }
        free(x);
        free(y);
    }
}

/* One product per element, everywhere. */
static void scaling_is_a_product(void **state)
{
    const struct tables *tables = *state;
    static const size_t sizes[] = {1, 17, 4097, 300001};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        float *x = random_floats(sizes[c], 1, 1), *want = copy_floats(x, sizes[c]);
        for (size_t i = 0; i < sizes[c]; i++) {
            want[i] *= 2.3f;
        }
        for (int run = 0; run < 3 * tables->n; run++) {
            float *scaled = copy_floats(x, sizes[c]);
            device_set_threads(1 + run % 3);
            tables->ops[run / 3]->scale(scaled, sizes[c], 2.3f);
            assert_same_bits(scaled, want, sizes[c], tables->ops[run / 3]->name);
            free(scaled);
        }
        free(want);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_updates_are_right), cmocka_unit_test(bf16_moments_are_the_rounding_of_fp32_ones),
        cmocka_unit_test(rounding_is_unbiased),    cmocka_unit_test(squares_have_one_sum),
        cmocka_unit_test(arrays_are_added),        cmocka_unit_test(scaling_is_a_product),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
