/* tests/kernels/rmsnorm_test.c - RMS norm against its written order, fp64, and finite differences.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

struct shape {
    int T, n_heads, width;
};
static const struct shape shapes[] = {{1, 1, 1}, {3, 1, 15}, {5, 2, 16}, {130, 1, 40}, {67, 3, 64}, {200, 1, 130}};
enum { SHAPES = sizeof shapes / sizeof *shapes, GAP = 3 };
static const float eps = 1e-3f;

static int columns(struct shape s)
{
    return s.n_heads * s.width;
}

static size_t elements(struct shape s)
{
    return (size_t)s.T * (size_t)(columns(s) + GAP);
}

static void forward(const struct ops *ops, struct shape s, const float *x, const float *weight, float *y)
{
    ops->rmsnorm(&(struct rmsnorm_args){.T = s.T,
                                        .n_heads = s.n_heads,
                                        .width = s.width,
                                        .eps = eps,
                                        .x = x,
                                        .x_stride = columns(s) + GAP,
                                        .weight = weight,
                                        .y = y,
                                        .y_stride = columns(s) + GAP});
}

static void backward(const struct ops *ops, struct shape s, const float *x, const float *weight, const float *dy,
                     float *dx, bool accumulate, float *dweight)
{
    ops->rmsnorm_grad(&(struct rmsnorm_grad_args){.T = s.T,
                                                  .n_heads = s.n_heads,
                                                  .width = s.width,
                                                  .eps = eps,
                                                  .x = x,
                                                  .x_stride = columns(s) + GAP,
                                                  .weight = weight,
                                                  .dy = dy,
                                                  .dy_stride = columns(s) + GAP,
                                                  .dx = dx,
                                                  .dx_stride = columns(s) + GAP,
                                                  .accumulate = accumulate,
                                                  .dweight = dweight});
}

/* The contract: sixteen lanes by fma, added in halves. */
static void written_order(const float *x, const float *weight, int n, float *y)
{
    float lanes[16] = {0};
    for (int j = 0; j < n; j++) {
        lanes[j % 16] = fmaf(x[j], x[j], lanes[j % 16]);
    }
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    float r = 1.0f / sqrtf(lanes[0] / (float)n + eps);
    for (int j = 0; j < n; j++) {
        y[j] = x[j] * r * weight[j];
    }
}

static void forward_has_the_written_bits(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct shape s = shapes[i];
        float *x = random_floats(elements(s), 1, 1), *weight = random_floats((size_t)s.width, 1, 2);
        float *want = copy_floats(x, elements(s)); /* in place: what lies between the rows stays */
        for (int t = 0; t < s.T; t++) {
            for (int h = 0; h < s.n_heads; h++) {
                ptrdiff_t at = (ptrdiff_t)t * (columns(s) + GAP) + (ptrdiff_t)h * s.width;
                written_order(x + at, weight, s.width, want + at);
            }
        }
        for (int table = 0; table < tables->n; table++) {
            float *y = copy_floats(x, elements(s));
            device_set_threads(1 + table);
            forward(tables->ops[table], s, y, weight, y);
            assert_same_bits(y, want, elements(s), tables->ops[table]->name);
            free(y);
        }
        free(x);
        free(weight);
        free(want);
    }
}

static void backward_is_one_for_all(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct shape s = shapes[i];
        size_t n = elements(s), width = (size_t)s.width;
        float *x = random_floats(n, 1, 1), *weight = random_floats(width, 1, 2), *dy = random_floats(n, 1, 3);
        float *want = zero_floats(n), *dweight = random_floats(width, 1, 4);
        device_set_threads(1);
        backward(tables->ops[0], s, x, weight, dy, want, true, dweight);
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                float *dx = zero_floats(n), *dw = random_floats(width, 1, 4), *over = copy_floats(dy, n);
                backward(tables->ops[table], s, x, weight, dy, dx, true, dw);
                assert_same_bits(dx, want, n, tables->ops[table]->name);
                assert_same_bits(dw, dweight, width, tables->ops[table]->name);
                backward(tables->ops[table], s, x, weight, over, over, false, dw); /* dx in dy's place */
                for (int t = 0; t < s.T; t++) {
                    ptrdiff_t at = (ptrdiff_t)t * (columns(s) + GAP);
                    assert_same_bits(over + at, want + at, (size_t)columns(s), "in place");
                }
                free(dx);
                free(dw);
                free(over);
            }
        }
        free(x);
        free(weight);
        free(dy);
        free(want);
        free(dweight);
    }
}

/* sum of dy y, in fp64 */
static double objective(struct shape s, const double *x, const double *weight, const float *dy)
{
    double sum = 0;
    for (int t = 0; t < s.T; t++) {
        for (int h = 0; h < s.n_heads; h++) {
            ptrdiff_t at = (ptrdiff_t)t * (columns(s) + GAP) + (ptrdiff_t)h * s.width;
            double square = 0;
            for (int j = 0; j < s.width; j++) {
                square += x[at + j] * x[at + j];
            }
            double r = 1 / sqrt(square / s.width + (double)eps);
            for (int j = 0; j < s.width; j++) {
                sum += (double)dy[at + j] * x[at + j] * r * weight[j];
            }
        }
    }
    return sum;
}

static double difference(struct shape s, double *x, double *weight, const float *dy, double *at)
{
    const double step = 1e-5;
    double old = *at, high, low;
    *at = old + step;
    high = objective(s, x, weight, dy);
    *at = old - step;
    low = objective(s, x, weight, dy);
    *at = old;
    return (high - low) / (2 * step);
}

static void backward_is_the_derivative(void **state)
{
    const struct tables *tables = *state;
    struct shape s = {3, 2, 21};
    size_t n = elements(s), width = (size_t)s.width;
    float *x = random_floats(n, 1, 1), *weight = random_floats(width, 1, 2), *dy = random_floats(n, 1, 3);
    float *dx = random_floats(n, 1, 5), *dweight = random_floats(width, 1, 4), *dx_was = copy_floats(dx, n);
    float *dweight_was = copy_floats(dweight, width);
    double *x64 = zero_doubles(n), *weight64 = zero_doubles(width);
    for (size_t i = 0; i < n; i++) {
        x64[i] = (double)x[i];
    }
    for (size_t i = 0; i < width; i++) {
        weight64[i] = (double)weight[i];
    }
    backward(tables->ops[tables->n - 1], s, x, weight, dy, dx, true, dweight);
    for (size_t i = 0; i < n; i++) {
        double slope =
            i % (size_t)(columns(s) + GAP) < (size_t)columns(s) ? difference(s, x64, weight64, dy, &x64[i]) : 0;
        assert_near((double)dx[i] - (double)dx_was[i], slope, 3e-6, "dx", i);
    }
    for (size_t i = 0; i < width; i++) {
        assert_near((double)dweight[i] - (double)dweight_was[i], difference(s, x64, weight64, dy, &weight64[i]), 3e-6,
                    "dweight", i);
    }
    free(x);
    free(weight);
    free(dy);
    free(dx);
    free(dweight);
    free(dx_was);
    free(dweight_was);
    free(x64);
    free(weight64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_has_the_written_bits),
        cmocka_unit_test(backward_is_one_for_all),
        cmocka_unit_test(backward_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
