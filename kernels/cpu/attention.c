/* kernels/cpu/attention.c - causal attention over pages, with an online softmax.
 *
 * A task is a block of rows of one span and one key/value head: the query heads that share it are rows too, all of them or, where
 * they are many, a share. For each page of 128 keys: scores by one tile product (keys are stored transposed), softmax row by row,
 * and the weighted sum of values by another that continues from the running output. A row's keys beyond its own position get
 * weight 0 exactly, so rows of one block do not see each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"

#define MAX_ROWS 96 /* query rows times heads of a task */

struct task {
    const struct attention_args *args;
    const struct span *span;
    int Dv;
    int j, head, heads; /* key/value head; query heads that use it, from `head` on */
    int row, n_rows;    /* of the span */
    float *q, *s, *o;   /* [R, D], [R, 128], [R, Dv] */
    float m[MAX_ROWS], l[MAX_ROWS];
};

/* Of heads that are `width` wide. */
static float *query_row(const struct task *t, const void *base, int stride, int width, int r)
{
    ptrdiff_t row = t->span->row + t->row + r / t->heads, head = (ptrdiff_t)t->head + r % t->heads;
    return (float *)(uintptr_t)base + row * stride + head * width;
}

static void task_begin(struct task *t)
{
    int D = t->args->D, R = t->n_rows * t->heads;
    t->q = cpu_scratch(SCRATCH_ROWS, (size_t)MAX_ROWS * (size_t)(D + t->Dv));
    t->o = t->q + (ptrdiff_t)MAX_ROWS * D;
    t->s = cpu_scratch(SCRATCH_SCORES, (size_t)MAX_ROWS * OPS_PAGE);
    for (int r = 0; r < R; r++) {
        memcpy(t->q + (ptrdiff_t)r * D, query_row(t, t->args->q, t->args->q_stride, D, r), (size_t)D * sizeof *t->q);
        memset(t->o + (ptrdiff_t)r * t->Dv, 0, (size_t)t->Dv * sizeof *t->o);
        t->m[r] = -INFINITY;
        t->l[r] = 0;
    }
}

/* Scores of row r against `limit` keys become weights; the running maximum, sum and output are brought up to date.
 * Weights from limit to `width` are 0. */
static void softmax_row(struct task *t, int r, int limit, int width)
{
    float *s = t->s + (ptrdiff_t)r * OPS_PAGE, *o = t->o + (ptrdiff_t)r * t->Dv;
    vec scale = vec_set(t->args->scale), max = vec_set(-INFINITY);
    for (int j = 0; j < width; j += VEC_LANES) {
        int n = limit - j < VEC_LANES ? (limit > j ? limit - j : 0) : VEC_LANES;
        vec x = vec_mul(vec_load(s + j), scale);
        if (n < VEC_LANES) {
            vec_store(s + j, x);
            x = vec_load_n(s + j, n, -INFINITY);
        }
        vec_store(s + j, x);
        max = vec_max(x, max);
    }
    float block = vec_largest(max), m = t->m[r] > block ? t->m[r] : block;
    if (limit <= 0) {
        memset(s, 0, (size_t)width * sizeof *s);
        return;
    }
    float a = vec_exp_1(t->m[r] - m);
    vec sum = vec_zero(), shift = vec_set(m), shrink = vec_set(a);
    for (int j = 0; j < width; j += VEC_LANES) {
        vec p = vec_exp(vec_sub(vec_load(s + j), shift));
        vec_store(s + j, p);
        sum = vec_add(sum, p);
    }
    t->l[r] = t->l[r] * a + vec_sum(sum);
    t->m[r] = m;
    for (int i = 0; i < t->Dv; i += VEC_LANES) {
        vec_store(o + i, vec_mul(vec_load(o + i), shrink));
    }
}

static void task_page(struct task *t, int page)
{
    const struct attention_args *a = t->args;
    int R = t->n_rows * t->heads, first = t->span->position + t->row, start = page * OPS_PAGE;
    int n_keys = first + t->n_rows - start < OPS_PAGE ? first + t->n_rows - start : OPS_PAGE;
    int width = div_up(n_keys, VEC_LANES) * VEC_LANES;
    size_t at = ((size_t)t->span->pages[page] * (size_t)a->J + (size_t)t->j) * OPS_PAGE;
    ISA_NAME(gemm_tile)
    (&(struct gemm_tile){.M = R,
                         .n_panels = width / VEC_LANES,
                         .K = a->D,
                         .a = t->q,
                         .a_row = a->D,
                         .a_k = 1,
                         .b = (const float *)a->k_pool + at * (size_t)a->D,
                         .b_panel = VEC_LANES,
                         .b_k = OPS_PAGE,
                         .c = t->s,
                         .c_row = OPS_PAGE});
    for (int r = 0; r < R; r++) {
        int limit = first + r / t->heads + 1 - start;
        softmax_row(t, r, limit < OPS_PAGE ? limit : OPS_PAGE, width);
    }
    ISA_NAME(gemm_tile)
    (&(struct gemm_tile){.M = R,
                         .n_panels = t->Dv / VEC_LANES,
                         .K = n_keys,
                         .a = t->s,
                         .a_row = OPS_PAGE,
                         .a_k = 1,
                         .b = (const float *)a->v_pool + at * (size_t)t->Dv,
                         .b_panel = VEC_LANES,
                         .b_k = t->Dv,
                         .c = t->o,
                         .c_row = t->Dv,
                         .from_c = true});
}

static void task_end(struct task *t)
{
    const struct attention_args *a = t->args;
    for (int r = 0; r < t->n_rows * t->heads; r++) {
        float *out = query_row(t, a->out, a->out_stride, t->Dv, r);
        vec l = vec_set(t->l[r]);
        for (int i = 0; i < t->Dv; i += VEC_LANES) {
            vec_store(out + i, vec_div(vec_load(t->o + (ptrdiff_t)r * t->Dv + i), l));
        }
        if (a->lse) {
            ptrdiff_t row = t->span->row + t->row + r / t->heads;
            a->lse[row * a->H + t->head + r % t->heads] = t->m[r] + vec_log_1(t->l[r]);
        }
    }
}

static void run(struct task *t)
{
    task_begin(t);
    for (int page = 0; page * OPS_PAGE < t->span->position + t->row + t->n_rows; page++) {
        task_page(t, page);
    }
    task_end(t);
}

void ISA_NAME(attention)(const struct attention_args *a)
{
    int group = a->H / a->J, shares = div_up(group, MAX_ROWS), heads = div_up(group, shares);
    int rows = MAX_ROWS / heads, blocks = 1, columns = a->J * shares;
    double work = 0;
    for (int s = 0; s < a->n_spans; s++) {
        int n = div_up(a->spans[s].n_rows, rows);
        blocks = max_int(n, blocks);
        work += (double)a->spans[s].n_rows * (a->spans[s].position + a->spans[s].n_rows) * a->H * a->D;
    }
    int threads = cpu_threads_for(work);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int i = 0; i < a->n_spans * blocks * columns; i++) {
        const struct span *span = &a->spans[i / (blocks * columns)];
        int row = i / columns % blocks * rows, share = i % columns % shares * heads;
        if (row >= span->n_rows || share >= group) {
            continue;
        }
        struct task t = {.args = a, .span = span, .row = row, .j = i % columns / shares};
        t.Dv = a->Dv > 0 ? a->Dv : a->D;
        t.head = t.j * group + share;
        t.heads = min_int(group - share, heads);
        t.n_rows = min_int(span->n_rows - row, rows);
        run(&t);
    }
}
