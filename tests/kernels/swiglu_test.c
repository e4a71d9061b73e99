/* tests/kernels/swiglu_test.c - the gated activation in fp64, its gradient by finite differences, the same bits everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

static const int shapes[][2] = {{1, 1}, {3, 15}, {4, 16}, {70, 33}, {61, 96}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double silu(double g)
{
    return g / (1 + exp(-g));
}

/* Gates from -100 to 100, zero among them, besides the usual ones. */
static float *gates(int T, int F)
{
    float *x = random_floats((size_t)T * 2 * (size_t)F, 3, 1);
    static const float special[] = {0, -100, 100, -87.5f, 88.5f, -20, 20};
    for (int i = 0; i < 7 && i < F; i++) {
        x[i] = special[i];
    }
    return x;
}

static void forward_is_right(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        int T = shapes[i][0], F = shapes[i][1];
        size_t n = (size_t)T * (size_t)F;
        float *x = gates(T, F), *first = zero_floats(n);
        for (int table = 0; table < tables->n; table++) {
            float *act = zero_floats(n);
            device_set_threads(1 + table);
            tables->ops[table]->swiglu(&(struct swiglu_args){.T = T, .F = F, .gate_up = x, .act = act});
            for (int t = 0; t < T; t++) {
                for (int k = 0; k < F; k++) {
                    double want = silu((double)x[t * 2 * F + k]) * (double)x[t * 2 * F + F + k];
                    assert_near((double)act[t * F + k], want, 1e-6, "act", (size_t)k);
                }
            }
            if (table == 0) {
                memcpy(first, act, n * sizeof *act);
            }
            assert_same_bits(act, first, n, tables->ops[table]->name);
            free(act);
        }
        free(x);
        free(first);
    }
}

static void gradient_is_the_derivative(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        int T = shapes[i][0], F = shapes[i][1];
        size_t n = (size_t)T * (size_t)F;
        float *x = gates(T, F), *dact = random_floats(n, 1, 2), *first = zero_floats(2 * n);
        for (int table = 0; table < tables->n; table++) {
            float *grad = copy_floats(x, 2 * n); /* in place */
            device_set_threads(1 + table);
            tables->ops[table]->swiglu_grad(
                &(struct swiglu_args){.T = T, .F = F, .gate_up = grad, .dact = dact, .dgate_up = grad});
            for (int t = 0; t < T; t++) {
                for (int k = 0; k < F; k++) {
                    double g = (double)x[t * 2 * F + k], up = (double)x[t * 2 * F + F + k], step = 1e-5;
                    double slope = (silu(g + step) - silu(g - step)) / (2 * step), d = (double)dact[t * F + k];
                    assert_near((double)grad[t * 2 * F + k], d * up * slope, 2e-6, "dgate", (size_t)k);
                    assert_near((double)grad[t * 2 * F + F + k], d * silu(g), 2e-6, "dup", (size_t)k);
                }
            }
            if (table == 0) {
                memcpy(first, grad, 2 * n * sizeof *grad);
            }
            assert_same_bits(grad, first, 2 * n, tables->ops[table]->name);
            free(grad);
        }
        free(x);
        free(dact);
        free(first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_right),
        cmocka_unit_test(gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
