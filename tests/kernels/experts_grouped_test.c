/* tests/kernels/experts_grouped_test.c - products with a matrix per expert: each row's bits are the dense product's, gradients are
 * dense products of an expert's rows, an expert without rows is left alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

enum { MAX_E = 9 };

/* Rows of each expert: none, one, a few, around tiles and blocks, all. */
static const struct load {
    int E, N, K, rows[MAX_E];
} loads[] = {
    {1, 16, 1, {1}},
    {3, 32, 17, {0, 0, 1}},
    {4, 48, 33, {0, 5, 0, 0}},
    {8, 64, 40, {1, 2, 3, 4, 5, 6, 7, 8}},
    {5, 96, 130, {0, 24, 25, 12, 0}},
    {3, 528, 50, {100, 0, 97}},
    {9, 16, 1030, {0, 1, 0, 13, 0, 0, 193, 1, 0}},
    {4, 560, 20, {0, 0, 530, 0}},
};
enum { LOADS = sizeof loads / sizeof *loads };

struct problem {
    const struct load *load;
    int n; /* places */
    int32_t offsets[MAX_E + 1];
    float *x, *dy, *rows; /* [n, K], [n, N], [E N, K] */
};

static struct problem problem_new(const struct load *load)
{
    struct problem p = {.load = load};
    for (int e = 0; e < load->E; e++) {
        p.offsets[e + 1] = p.offsets[e] + load->rows[e];
    }
    p.n = p.offsets[load->E];
    p.x = random_floats((size_t)p.n * (size_t)load->K, 1, 1);
    p.dy = random_floats((size_t)p.n * (size_t)load->N, 1, 2);
    p.rows = random_floats((size_t)load->E * (size_t)load->N * (size_t)load->K, 1, 3);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->x);
    free(p->dy);
    free(p->rows);
}

/* All experts as one matrix [E N, K], as the parameters have them. */
static float *weights_of(const struct ops *ops, const struct problem *p)
{
    return matrix_of(ops, p->rows, p->load->E * p->load->N, p->load->K);
}

static float *forward(const struct ops *ops, const struct problem *p)
{
    float *w = weights_of(ops, p), *y = zero_floats((size_t)p->n * (size_t)p->load->N);
    ops->grouped_matmul(&(struct grouped_matmul_args){.E = p->load->E,
                                                      .N = p->load->N,
                                                      .K = p->load->K,
                                                      .n_places = p->n,
                                                      .offsets = p->offsets,
                                                      .x = p->x,
                                                      .w = w,
                                                      .y = y});
    free(w);
    return y;
}

static float *input_grad(const struct ops *ops, const struct problem *p)
{
    float *w = weights_of(ops, p), *dx = random_floats((size_t)p->n * (size_t)p->load->K, 1, 9);
    ops->grouped_input_grad(&(struct grouped_grad_args){.E = p->load->E,
                                                        .N = p->load->N,
                                                        .K = p->load->K,
                                                        .n_places = p->n,
                                                        .offsets = p->offsets,
                                                        .dy = p->dy,
                                                        .w = w,
                                                        .dx = dx});
    free(w);
    return dx;
}

/* Added to the weights themselves, as rows. */
static float *weight_grad(const struct ops *ops, const struct problem *p)
{
    float *dw = weights_of(ops, p);
    ops->grouped_weight_grad(&(struct grouped_grad_args){.E = p->load->E,
                                                         .N = p->load->N,
                                                         .K = p->load->K,
                                                         .n_places = p->n,
                                                         .offsets = p->offsets,
                                                         .dy = p->dy,
                                                         .x = p->x,
                                                         .dw = dw});
    float *rows = rows_of(ops, dw, p->load->E * p->load->N, p->load->K);
    free(dw);
    return rows;
}

static int expert_of_place(const struct problem *p, int place)
{
    int e = 0;
    while (p->offsets[e + 1] <= place) {
        e++;
    }
    return e;
}

/* The contract, written out: a chain of fmaf over k for every row, whatever the load of its expert. */
static void forward_is_the_chain(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < LOADS; i++) {
        struct problem p = problem_new(&loads[i]);
        int N = p.load->N, K = p.load->K;
        size_t n = (size_t)p.n * (size_t)N;
        float *want = zero_floats(n);
        for (int place = 0; place < p.n; place++) {
            const float *w = p.rows + (size_t)expert_of_place(&p, place) * (size_t)N * (size_t)K;
            for (int row = 0; row < N; row++) {
                float sum = 0;
                for (int k = 0; k < K; k++) {
                    sum = fmaf(p.x[place * K + k], w[row * K + k], sum);
                }
                want[place * N + row] = sum;
            }
        }
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads += 2) {
                device_set_threads(threads);
                float *got = forward(tables->ops[table], &p);
                assert_same_bits(got, want, n, tables->ops[table]->name);
                free(got);
            }
        }
        free(want);
        problem_free(&p);
    }
    device_set_threads(0);
}

/* In fp64; and what belongs to experts without rows is the same bits as before. */
static void gradients_are_right(void **state)
{
    const struct tables *tables = *state;
    const struct ops *ops = tables->ops[tables->n - 1];
    for (int i = 0; i < LOADS; i++) {
        struct problem p = problem_new(&loads[i]);
        int N = p.load->N, K = p.load->K;
        size_t n_x = (size_t)p.n * (size_t)K, of_expert = (size_t)N * (size_t)K, n_w = (size_t)p.load->E * of_expert;
        double *dx = zero_doubles(n_x), *dw = zero_doubles(n_w);
        for (size_t at = 0; at < n_w; at++) {
            dw[at] = (double)p.rows[at];
        }
        for (int place = 0; place < p.n; place++) {
            size_t first = (size_t)expert_of_place(&p, place) * of_expert;
            for (int row = 0; row < N; row++) {
                double d = (double)p.dy[place * N + row];
                for (int k = 0; k < K; k++) {
                    size_t at = first + (size_t)(row * K + k);
                    dx[place * K + k] += d * (double)p.rows[at];
                    dw[at] += d * (double)p.x[place * K + k];
                }
            }
        }
        float *got_x = input_grad(ops, &p), *got_w = weight_grad(ops, &p);
        assert_all_near(got_x, dx, n_x, 3e-5, "dx");
        assert_all_near(got_w, dw, n_w, 3e-5, "dW");
        for (int e = 0; e < p.load->E; e++) {
            if (p.load->rows[e] == 0) {
                size_t at = (size_t)e * of_expert;
                assert_same_bits(got_w + at, p.rows + at, of_expert, "an expert without rows");
            }
        }
        free(got_x);
        free(got_w);
        free(dx);
        free(dw);
        problem_free(&p);
    }
}

static void instruction_sets_and_threads_agree(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < LOADS; i++) {
        struct problem p = problem_new(&loads[i]);
        size_t n_x = (size_t)p.n * (size_t)p.load->K;
        size_t n_w = (size_t)(p.load->E * p.load->N) * (size_t)p.load->K;
        device_set_threads(1);
        float *dx = input_grad(tables->ops[0], &p), *dw = weight_grad(tables->ops[0], &p);
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads += 2) {
                device_set_threads(threads);
                float *dx2 = input_grad(tables->ops[table], &p), *dw2 = weight_grad(tables->ops[table], &p);
                assert_same_bits(dx2, dx, n_x, tables->ops[table]->name);
                assert_same_bits(dw2, dw, n_w, tables->ops[table]->name);
                free(dx2);
                free(dw2);
            }
        }
        free(dx);
        free(dw);
        problem_free(&p);
    }
    device_set_threads(0);
}

/* A row of an expert that has many has the bits that it has alone. */
static void rows_do_not_see_their_batch(void **state)
{
    const struct tables *tables = *state;
    struct problem p = problem_new(&loads[5]);
    int N = p.load->N, K = p.load->K, E = p.load->E;
    for (int table = 0; table < tables->n; table++) {
        const struct ops *ops = tables->ops[table];
        float *batch = forward(ops, &p), *w = weights_of(ops, &p), *y = zero_floats((size_t)N);
        for (int place = 0; place < p.n; place += 7) {
            int32_t offsets[MAX_E + 1];
            for (int e = 0; e <= E; e++) {
                offsets[e] = e > expert_of_place(&p, place);
            }
            ops->grouped_matmul(&(struct grouped_matmul_args){.E = E,
                                                              .N = N,
                                                              .K = K,
                                                              .n_places = 1,
                                                              .offsets = offsets,
                                                              .x = p.x + (ptrdiff_t)place * K,
                                                              .w = w,
                                                              .y = y});
            assert_same_bits(y, batch + (ptrdiff_t)place * N, (size_t)N, "the row");
        }
        free(batch);
        free(w);
        free(y);
    }
    problem_free(&p);
}

/* dw NULL: not computed. */
static void frozen_weights_have_no_gradient(void **state)
{
    const struct tables *tables = *state;
    struct problem p = problem_new(&loads[3]);
    for (int table = 0; table < tables->n; table++) {
        tables->ops[table]->grouped_weight_grad(&(struct grouped_grad_args){.E = p.load->E,
                                                                            .N = p.load->N,
                                                                            .K = p.load->K,
                                                                            .n_places = p.n,
                                                                            .offsets = p.offsets,
                                                                            .dy = p.dy,
                                                                            .x = p.x});
    }
    problem_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_chain),
        cmocka_unit_test(gradients_are_right),
        cmocka_unit_test(instruction_sets_and_threads_agree),
        cmocka_unit_test(rows_do_not_see_their_batch),
        cmocka_unit_test(frozen_weights_have_no_gradient),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
