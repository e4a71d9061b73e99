/* tests/kernels/attention_grad_test.c - attention backward in fp64, with prompts shared by several completions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

/* Two groups and a sequence alone. Prefix rows: the whole prompt, or its first part. */
static const struct context contexts[] = {{0, 0, 0, 130},    {0, 130, 130, 17}, {0, 130, 147, 40}, {0, 100, 187, 1},
                                          {188, 0, 188, 33}, {221, 0, 221, 5},  {221, 5, 226, 140}};
enum { CONTEXTS = sizeof contexts / sizeof *contexts, ROWS = 366, GAP = 6, MOST_KEYS = 190 };
static const float scale = 0.2f;

struct problem {
    int H, J, D, qkv_stride, out_stride;
    float *qkv, *out, *lse, *dout; /* q, k, v side by side in a row, as the model has them */
    double *dqkv;                  /* the right answer */
};

static int key_row(const struct context *c, int i)
{
    return i < c->n_prefix ? c->prefix_row + i : c->row + i - c->n_prefix;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* Forward and backward of one row and query head, in fp64. */
static void reference_row(struct problem *p, const struct context *c, int r, int h)
{
    int D = p->D, n_keys = c->n_prefix + r + 1, j = h / (p->H / p->J), row = c->row + r;
    ptrdiff_t at_q = (ptrdiff_t)row * p->qkv_stride + (ptrdiff_t)h * D;
    float *out = p->out + (ptrdiff_t)row * p->out_stride + (ptrdiff_t)h * D;
    const float *dout = p->dout + (ptrdiff_t)row * p->out_stride + (ptrdiff_t)h * D;
    double weight[MOST_KEYS], total = 0, sum[64] = {0}, delta = 0;
    for (int i = 0; i < n_keys; i++) {
        const float *k = p->qkv + (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)(p->H + j) * D;
        weight[i] = exp((double)scale * dot(p->qkv + at_q, k, D));
        total += weight[i];
    }
    for (int i = 0; i < n_keys; i++) {
        weight[i] /= total;
        for (int d = 0; d < D; d++) {
            ptrdiff_t at = (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)(p->H + p->J + j) * D + d;
            sum[d] += weight[i] * (double)p->qkv[at];
        }
    }
    for (int d = 0; d < D; d++) {
        delta += sum[d] * (double)dout[d];
        out[d] = (float)sum[d];
    }
    p->lse[row * p->H + h] = (float)log(total);
    for (int i = 0; i < n_keys; i++) {
        ptrdiff_t k = (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)(p->H + j) * D, v = k + (ptrdiff_t)p->J * D;
        double ds = weight[i] * (dot(dout, p->qkv + v, D) - delta) * (double)scale;
        for (int d = 0; d < D; d++) {
            p->dqkv[at_q + d] += ds * (double)p->qkv[k + d];
            p->dqkv[k + d] += ds * (double)p->qkv[at_q + d];
            p->dqkv[v + d] += weight[i] * (double)dout[d];
        }
    }
}

static struct problem problem_new(int H, int J, int D)
{
    struct problem p = {.H = H, .J = J, .D = D, .qkv_stride = (H + 2 * J) * D + GAP, .out_stride = H * D + GAP};
    p.qkv = random_floats((size_t)(ROWS * p.qkv_stride), 1, 1);
    p.out = zero_floats((size_t)(ROWS * p.out_stride));
    p.dout = random_floats((size_t)(ROWS * p.out_stride), 1, 2);
    p.lse = zero_floats((size_t)(ROWS * H));
    p.dqkv = zero_doubles((size_t)(ROWS * p.qkv_stride));
    for (int c = 0; c < CONTEXTS; c++) {
        for (int i = 0; i < contexts[c].n_rows * H; i++) {
            reference_row(&p, &contexts[c], i / H, i % H);
        }
    }
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->qkv);
    free(p->out);
    free(p->dout);
    free(p->lse);
    free(p->dqkv);
}

static float *gradient(const struct ops *ops, const struct problem *p)
{
    float *dqkv = zero_floats((size_t)(ROWS * p->qkv_stride));
    ops->attention_grad(&(struct attention_grad_args){.n_contexts = CONTEXTS,
                                                      .contexts = contexts,
                                                      .H = p->H,
                                                      .J = p->J,
                                                      .D = p->D,
                                                      .scale = scale,
                                                      .q = p->qkv,
                                                      .k = p->qkv + (ptrdiff_t)p->H * p->D,
                                                      .v = p->qkv + (ptrdiff_t)(p->H + p->J) * p->D,
                                                      .qkv_stride = p->qkv_stride,
                                                      .out = p->out,
                                                      .dout = p->dout,
                                                      .out_stride = p->out_stride,
                                                      .lse = p->lse,
                                                      .dq = dqkv,
                                                      .dk = dqkv + (ptrdiff_t)p->H * p->D,
                                                      .dv = dqkv + (ptrdiff_t)(p->H + p->J) * p->D});
    return dqkv;
}

static void the_gradient_is_right_and_one_for_all(void **state)
{
    const struct tables *tables = *state;
    static const int heads[][3] = {{2, 2, 16}, {4, 2, 32}, {7, 1, 64}};
    for (int i = 0; i < 3; i++) {
        struct problem p = problem_new(heads[i][0], heads[i][1], heads[i][2]);
        size_t n = (size_t)(ROWS * p.qkv_stride);
        device_set_threads(1);
        float *first = gradient(tables->ops[0], &p);
        assert_all_near(first, p.dqkv, n, 1e-5, "dq dk dv");
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                float *again = gradient(tables->ops[table], &p);
                assert_same_bits(again, first, n, tables->ops[table]->name);
                free(again);
            }
        }
        free(first);
        problem_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_right_and_one_for_all),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
