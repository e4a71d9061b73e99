/* tests/kernels/matmul_test.c - products forward and backward: the same bits everywhere, and the right numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

struct shape {
    int T, N, K;
};

/* Rows, outputs and inputs around every block size: 6 rows, 16 columns, 48, 96, 512 and 1024. */
static const struct shape shapes[] = {{1, 1, 1},     {1, 16, 16},  {2, 17, 15},   {3, 33, 31},    {4, 64, 48},
                                      {5, 80, 7},    {6, 16, 128}, {7, 48, 129},  {11, 100, 65},  {12, 31, 33},
                                      {13, 129, 50}, {96, 40, 24}, {97, 70, 47},  {200, 130, 49}, {1, 513, 520},
                                      {3, 40, 1030}, {7, 530, 17}, {515, 33, 49}, {19, 260, 260}, {530, 17, 100}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct problem {
    struct shape s;
    float *x, *rows, *bias, *residual, *dy; /* [T, K], [N, K], [N], [T, N] twice */
};

static struct problem problem_new(struct shape s)
{
    size_t T = (size_t)s.T, N = (size_t)s.N, K = (size_t)s.K;
    return (struct problem){s,
                            random_floats(T * K, 1, 1),
                            random_floats(N * K, 1, 2),
                            random_floats(N, 1, 3),
                            random_floats(T * N, 1, 4),
                            random_floats(T * N, 1, 5)};
}

static void problem_free(struct problem *p)
{
    free(p->x);
    free(p->rows);
    free(p->bias);
    free(p->residual);
    free(p->dy);
}

static size_t n_y(const struct problem *p)
{
    return (size_t)p->s.T * (size_t)p->s.N;
}

static size_t n_x(const struct problem *p)
{
    return (size_t)p->s.T * (size_t)p->s.K;
}

static size_t n_w(const struct problem *p)
{
    return (size_t)p->s.N * (size_t)p->s.K;
}

static float *forward(const struct ops *ops, const struct problem *p, bool bias, bool residual)
{
    float *w = matrix_of(ops, p->rows, p->s.N, p->s.K), *y = zero_floats(n_y(p));
    ops->matmul(&(struct matmul_args){.T = p->s.T,
                                      .N = p->s.N,
                                      .K = p->s.K,
                                      .x = p->x,
                                      .x_stride = p->s.K,
                                      .w = w,
                                      .bias = bias ? p->bias : NULL,
                                      .residual = residual ? p->residual : NULL,
                                      .y = y,
                                      .y_stride = p->s.N});
    free(w);
    return y;
}

static float *input_grad(const struct ops *ops, const struct problem *p, bool accumulate)
{
    float *w = matrix_of(ops, p->rows, p->s.N, p->s.K), *dx = copy_floats(p->x, n_x(p));
    ops->matmul_input_grad(&(struct matmul_input_grad_args){.T = p->s.T,
                                                            .N = p->s.N,
                                                            .K = p->s.K,
                                                            .dy = p->dy,
                                                            .dy_stride = p->s.N,
                                                            .w = w,
                                                            .dx = dx,
                                                            .dx_stride = p->s.K,
                                                            .accumulate = accumulate});
    free(w);
    return dx;
}

/* dW as rows, from the weights as they are; dbias [N] after them, from bias. */
static float *weight_grad(const struct ops *ops, const struct problem *p)
{
    float *dw = matrix_of(ops, p->rows, p->s.N, p->s.K), *dbias = copy_floats(p->bias, (size_t)p->s.N);
    ops->matmul_weight_grad(&(struct matmul_weight_grad_args){.T = p->s.T,
                                                              .N = p->s.N,
                                                              .K = p->s.K,
                                                              .dy = p->dy,
                                                              .dy_stride = p->s.N,
                                                              .x = p->x,
                                                              .x_stride = p->s.K,
                                                              .dw = dw,
                                                              .dbias = dbias});
    float *rows = rows_of(ops, dw, p->s.N, p->s.K);
    rows = mem_grow(rows, (n_w(p) + (size_t)p->s.N) * sizeof *rows);
    memcpy(rows + n_w(p), dbias, (size_t)p->s.N * sizeof *rows);
    free(dw);
    free(dbias);
    return rows;
}

static void matrices_keep_their_rows(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < tables->n; i++) {
        const struct ops *ops = tables->ops[i];
        enum { N = 37, K = 19 };
        float *rows = random_floats(N * K, 1, 1), *w = zero_floats(ops->matrix_elements(N, K)), back[3 * K];
        assert_int_equal(ops->matrix_elements(N, K), 48 * K);
        ops->matrix_import(w, rows, 0, 20, N, K);
        ops->matrix_import(w, rows + 20 * K, 20, N - 20, N, K);
        ops->matrix_export(back, w, 15, 3, N, K);
        assert_same_bits(back, rows + 15 * K, 3 * K, "rows 15 to 17");
        for (int n = 0; n < 48; n++) {
            for (int k = 0; k < K; k++) { /* the layout is the contract's: gradients and files count on it */
                float want = n < N ? rows[n * K + k] : 0;
                assert_same_bits(&w[n / 16 * 16 * K + k * 16 + n % 16], &want, 1, "panel element");
            }
        }
        free(rows);
        free(w);
    }
}

/* The contract, written out: a chain of fmaf over k, then the bias, then the residual. */
static void forward_is_the_chain(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        float *want = zero_floats(n_y(&p));
        for (int options = 0; options < 4; options++) {
            bool bias = options & 1, residual = options & 2;
            for (int t = 0; t < p.s.T; t++) {
                for (int n = 0; n < p.s.N; n++) {
                    float sum = 0;
                    for (int k = 0; k < p.s.K; k++) {
                        sum = fmaf(p.x[t * p.s.K + k], p.rows[n * p.s.K + k], sum);
                    }
                    sum = bias ? sum + p.bias[n] : sum;
                    want[t * p.s.N + n] = residual ? p.residual[t * p.s.N + n] + sum : sum;
                }
            }
            for (int table = 0; table < tables->n; table++) {
                float *got = forward(tables->ops[table], &p, bias, residual);
                assert_same_bits(got, want, n_y(&p), tables->ops[table]->name);
                free(got);
            }
        }
        free(want);
        problem_free(&p);
    }
}

/* A row alone, with strides, in place on its residual, has the bits that it has in the batch. */
static void rows_do_not_see_their_batch(void **state)
{
    const struct tables *tables = *state;
    for (int table = 0; table < tables->n; table++) {
        const struct ops *ops = tables->ops[table];
        struct problem p = problem_new((struct shape){203, 90, 70});
        float *batch = forward(ops, &p, true, true), *w = matrix_of(ops, p.rows, 90, 70), y[2 * 97], x[2 * 81];
        for (int t = 0; t + 1 < 203; t += 13) {
            memset(y, 0xFF, sizeof y);
            for (int i = 0; i < 2; i++) {
                memcpy(x + (ptrdiff_t)i * 81, p.x + (ptrdiff_t)(t + i) * 70, 70 * sizeof *x);
                memcpy(y + (ptrdiff_t)i * 97, p.residual + (ptrdiff_t)(t + i) * 90, 90 * sizeof *y);
            }
            ops->matmul(&(struct matmul_args){.T = 1 + t % 2,
                                              .N = 90,
                                              .K = 70,
                                              .x = x,
                                              .x_stride = 81,
                                              .w = w,
                                              .bias = p.bias,
                                              .residual = y,
                                              .y = y,
                                              .y_stride = 97});
            assert_same_bits(y, batch + (ptrdiff_t)t * 90, 90, "the row");
            if (t % 2) {
                assert_same_bits(y + 97, batch + (ptrdiff_t)(t + 1) * 90, 90, "the row after it");
            }
            uint32_t gap[7];
            memcpy(gap, y + 90, sizeof gap);
            for (int i = 0; i < 7; i++) {
                assert_int_equal(gap[i], ~0u); /* what is beside the row stays */
            }
        }
        free(batch);
        free(w);
        problem_free(&p);
    }
}

static void instruction_sets_and_threads_agree(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        device_set_threads(1);
        float *y = forward(tables->ops[0], &p, true, false), *dx = input_grad(tables->ops[0], &p, true);
        float *set = input_grad(tables->ops[0], &p, false), *dw = weight_grad(tables->ops[0], &p);
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                const char *name = tables->ops[table]->name;
                float *y2 = forward(tables->ops[table], &p, true, false);
                float *dx2 = input_grad(tables->ops[table], &p, true);
                float *set2 = input_grad(tables->ops[table], &p, false), *dw2 = weight_grad(tables->ops[table], &p);
                assert_same_bits(y2, y, n_y(&p), name);
                assert_same_bits(dx2, dx, n_x(&p), name);
                assert_same_bits(set2, set, n_x(&p), name);
                assert_same_bits(dw2, dw, n_w(&p) + (size_t)p.s.N, name);
                free(y2);
                free(dx2);
                free(set2);
                free(dw2);
            }
        }
        free(y);
        free(dx);
        free(set);
        free(dw);
        problem_free(&p);
    }
    device_set_threads(0);
}

/* In fp64: y, dx and dW with dbias, each within what a chain of that length may lose. */
static void gradients_are_right(void **state)
{
    const struct tables *tables = *state;
    const struct ops *ops = tables->ops[tables->n - 1];
    for (int i = 0; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        int T = p.s.T, N = p.s.N, K = p.s.K;
        double *dx = zero_doubles(n_x(&p)), *dw = zero_doubles(n_w(&p) + (size_t)N);
        for (int n = 0; n < N; n++) {
            dw[N * K + n] = (double)p.bias[n];
        }
        for (int t = 0; t < T; t++) {
            for (int n = 0; n < N; n++) {
                double d = (double)p.dy[t * N + n];
                dw[N * K + n] += d;
                for (int k = 0; k < K; k++) {
                    dx[t * K + k] += d * (double)p.rows[n * K + k];
                    dw[n * K + k] += d * (double)p.x[t * K + k];
                }
            }
        }
        float *set = input_grad(ops, &p, false), *add = input_grad(ops, &p, true), *grad = weight_grad(ops, &p);
        assert_all_near(set, dx, n_x(&p), 3e-5, "dx");
        for (size_t k = 0; k < n_x(&p); k++) {
            dx[k] += (double)p.x[k];
        }
        for (size_t k = 0; k < n_w(&p); k++) {
            dw[k] += (double)p.rows[k];
        }
        assert_all_near(add, dx, n_x(&p), 3e-5, "dx +=");
        assert_all_near(grad, dw, n_w(&p) + (size_t)N, 3e-5, "dW");
        free(set);
        free(add);
        free(grad);
        free(dx);
        free(dw);
        problem_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_keep_their_rows),    cmocka_unit_test(forward_is_the_chain),
        cmocka_unit_test(rows_do_not_see_their_batch), cmocka_unit_test(instruction_sets_and_threads_agree),
        cmocka_unit_test(gradients_are_right),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
