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

/* v_at: where values are after the keys of a row: J D, or 0 where they are the keys' first columns. */
struct problem {
    int H, J, D, Dv, v_at, qkv_stride, out_stride;
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
    int D = p->D, Dv = p->Dv, n_keys = c->n_prefix + r + 1, j = h / (p->H / p->J), row = c->row + r;
    ptrdiff_t at_q = (ptrdiff_t)row * p->qkv_stride + (ptrdiff_t)h * D;
    float *out = p->out + (ptrdiff_t)row * p->out_stride + (ptrdiff_t)h * Dv;
    const float *dout = p->dout + (ptrdiff_t)row * p->out_stride + (ptrdiff_t)h * Dv;
    double weight[MOST_KEYS], total = 0, sum[80] = {0}, delta = 0;
    for (int i = 0; i < n_keys; i++) {
        const float *k = p->qkv + (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)(p->H + j) * D;
        weight[i] = exp((double)scale * dot(p->qkv + at_q, k, D));
        total += weight[i];
    }
    for (int i = 0; i < n_keys; i++) {
        weight[i] /= total;
        for (int d = 0; d < Dv; d++) {
            ptrdiff_t at = (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)p->H * D + p->v_at + j * Dv + d;
            sum[d] += weight[i] * (double)p->qkv[at];
        }
    }
    for (int d = 0; d < Dv; d++) {
        delta += sum[d] * (double)dout[d];
        out[d] = (float)sum[d];
    }
    p->lse[row * p->H + h] = (float)log(total);
    for (int i = 0; i < n_keys; i++) {
        ptrdiff_t k = (ptrdiff_t)key_row(c, i) * p->qkv_stride + (ptrdiff_t)(p->H + j) * D;
        ptrdiff_t v = k - (ptrdiff_t)j * D + p->v_at + (ptrdiff_t)j * Dv;
        double ds = weight[i] * (dot(dout, p->qkv + v, Dv) - delta) * (double)scale;
        for (int d = 0; d < D; d++) {
            p->dqkv[at_q + d] += ds * (double)p->qkv[k + d];
            p->dqkv[k + d] += ds * (double)p->qkv[at_q + d];
        }
        for (int d = 0; d < Dv; d++) {
            p->dqkv[v + d] += weight[i] * (double)dout[d];
        }
    }
}

static struct problem problem_new(int H, int J, int D, int Dv)
{
    struct problem p = {.H = H, .J = J, .D = D, .Dv = Dv, .v_at = Dv < D ? 0 : J * D, .out_stride = H * Dv + GAP};
    p.qkv_stride = (H + J) * D + J * Dv + GAP;
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
    ptrdiff_t k = (ptrdiff_t)p->H * p->D, v = k + p->v_at;
    ops->attention_grad(&(struct attention_grad_args){.n_contexts = CONTEXTS,
                                                      .contexts = contexts,
                                                      .H = p->H,
                                                      .J = p->J,
                                                      .D = p->D,
                                                      .Dv = p->Dv == p->D ? 0 : p->Dv,
                                                      .scale = scale,
                                                      .q = p->qkv,
                                                      .k = p->qkv + k,
                                                      .v = p->qkv + v,
                                                      .qkv_stride = p->qkv_stride,
                                                      .out = p->out,
                                                      .dout = p->dout,
                                                      .out_stride = p->out_stride,
                                                      .lse = p->lse,
                                                      .dq = dqkv,
                                                      .dk = dqkv + k,
                                                      .dv = dqkv + v});
    return dqkv;
}

/* Rows of [k|v], or of keys alone, in arrays of their own: the gradient of rows of [q|k|v] in two pieces. */
static void keys_may_have_rows_of_their_own(void **state)
{
    const struct tables *tables = *state;
    struct problem p = problem_new(4, 1, 48, 32);
    ptrdiff_t q = (ptrdiff_t)p.H * p.D;
    float *whole = gradient(tables->ops[0], &p);
    float *keys = zero_floats(ROWS * 48), *dq = zero_floats((size_t)(ROWS * p.qkv_stride)),
          *dk = zero_floats(ROWS * 48);
    for (int row = 0; row < ROWS; row++) {
        memcpy(keys + (ptrdiff_t)row * 48, p.qkv + (ptrdiff_t)row * p.qkv_stride + q, 48 * sizeof *keys);
    }
    tables->ops[0]->attention_grad(&(struct attention_grad_args){.n_contexts = CONTEXTS,
                                                                 .contexts = contexts,
                                                                 .H = p.H,
                                                                 .J = p.J,
                                                                 .D = p.D,
                                                                 .Dv = p.Dv,
                                                                 .scale = scale,
                                                                 .q = p.qkv,
                                                                 .k = keys,
                                                                 .v = keys,
                                                                 .qkv_stride = p.qkv_stride,
                                                                 .kv_stride = 48,
                                                                 .out = p.out,
                                                                 .dout = p.dout,
                                                                 .out_stride = p.out_stride,
                                                                 .lse = p.lse,
                                                                 .dq = dq,
                                                                 .dk = dk,
                                                                 .dv = dk});
    for (int row = 0; row < ROWS; row++) {
        ptrdiff_t at = (ptrdiff_t)row * p.qkv_stride;
        assert_same_bits(dq + at, whole + at, (size_t)q, "dq");
        assert_same_bits(dk + (ptrdiff_t)row * 48, whole + at + q, 48, "dk");
    }
    free(whole);
    free(keys);
    free(dq);
    free(dk);
    problem_free(&p);
}

static void the_gradient_is_right_and_one_for_all(void **state)
{
    const struct tables *tables = *state;
    static const int heads[][4] = {{2, 2, 16, 16}, {4, 2, 32, 32}, {7, 1, 64, 64}, {4, 1, 48, 32},
                                   {3, 1, 80, 64}, {4, 2, 16, 32}, {97, 1, 16, 16}};
    for (int i = 0; i < (int)(sizeof heads / sizeof *heads); i++) {
        struct problem p = problem_new(heads[i][0], heads[i][1], heads[i][2], heads[i][3]);
        size_t n = (size_t)(ROWS * p.qkv_stride);
        device_set_threads(1);
        float *first = gradient(tables->ops[0], &p);
        assert_all_near(first, p.dqkv, n, p.H > 90 ? 3e-4 : 1e-5, "dq dk dv"); /* long sums over heads */
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
        cmocka_unit_test(keys_may_have_rows_of_their_own),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
