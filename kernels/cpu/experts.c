/* kernels/cpu/experts.c - which experts a row goes to, the order of the pairs, and how the experts' outputs are added up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "kernels/cpu/cpu.h"

/* ---- scores ---- */

static vec load_lanes(const float *x, int i, int n, float rest)
{
    return vec_load_n(x + i, min_int(n - i, VEC_LANES), rest);
}

static void store_lanes(float *x, int i, int n, vec value)
{
    vec_store_n(x + i, value, min_int(n - i, VEC_LANES));
}

static void softmax(const float *logits, int E, float *scores)
{
    vec largest = vec_set(-INFINITY), sum = vec_zero();
    for (int i = 0; i < E; i += VEC_LANES) {
        largest = vec_max(load_lanes(logits, i, E, -INFINITY), largest);
    }
    vec maximum = vec_set(vec_largest(largest));
    for (int i = 0; i < E; i += VEC_LANES) {
        vec power = vec_exp(vec_sub(load_lanes(logits, i, E, -INFINITY), maximum));
        sum = vec_add(sum, power);
        store_lanes(scores, i, E, power);
    }
    vec total = vec_set(vec_sum(sum));
    for (int i = 0; i < E; i += VEC_LANES) {
        store_lanes(scores, i, E, vec_div(load_lanes(scores, i, E, 0), total));
    }
}

static void sigmoid(const float *logits, int E, float *scores)
{
    const vec one = vec_set(1.0f);
    for (int i = 0; i < E; i += VEC_LANES) {
        vec power = vec_exp(vec_sub(vec_zero(), load_lanes(logits, i, E, 0)));
        store_lanes(scores, i, E, vec_div(one, vec_add(one, power)));
    }
}

static void make_scores(const struct router *r, const float *logits, float *scores)
{
    (r->sigmoid ? sigmoid : softmax)(logits, r->E, scores);
}

/* ---- the choice ---- */

/* The memory of a row, [E] each. */
struct row {
    float *scores, *choice; /* s, c */
    float *chosen;          /* 1: taken already */
};

static struct row row_memory(int E)
{
    float *memory = cpu_scratch(SCRATCH_ROWS, 3 * (size_t)E);
    return (struct row){memory, memory + E, memory + 2 * (ptrdiff_t)E};
}

/* Takes the largest of c[first .. first + n - 1] that is left, the first of equal ones. There is always one, whatever c holds. */
static int take_largest(const float *c, float *chosen, int first, int n)
{
    int best = -1;
    for (int i = first; i < first + n; i++) {
        if (chosen[i] < 1 && (best < 0 || c[i] > c[best])) {
            best = i;
        }
    }
    chosen[best] = 1;
    return best;
}

static void clear(float *x, int n)
{
    memset(x, 0, (size_t)n * sizeof *x);
}

/* c = -inf for all but the best groups. */
static void mask_groups(const struct router *r, const struct row *row)
{
    int size = r->E / r->n_groups;
    float *of_group = cpu_scratch(SCRATCH_STATS, 2 * (size_t)r->n_groups), *kept = of_group + r->n_groups;
    BUG_ON(size < r->group_best || size < 1);
    for (int g = 0; g < r->n_groups; g++) {
        of_group[g] = 0;
        for (int i = 0; i < r->group_best; i++) {
            of_group[g] += row->choice[take_largest(row->choice, row->chosen, g * size, size)];
        }
    }
    clear(row->chosen, r->E);
    clear(kept, r->n_groups);
    for (int i = 0; i < r->top_groups; i++) {
        (void)take_largest(of_group, kept, 0, r->n_groups);
    }
    for (int e = 0; e < r->E; e++) {
        row->choice[e] = kept[e / size] < 1 ? -INFINITY : row->choice[e];
    }
}

static void choose(const struct route_args *a, const struct row *row, int32_t *experts)
{
    const struct router *r = &a->router;
    for (int e = 0; e < r->E; e++) {
        row->choice[e] = a->bias ? row->scores[e] + a->bias[e] : row->scores[e];
    }
    clear(row->chosen, r->E);
    if (r->n_groups > 1) {
        mask_groups(r, row);
    }
    for (int j = 0; j < r->k; j++) {
        (void)take_largest(row->choice, row->chosen, 0, r->E);
    }
    for (int e = 0, j = 0; e < r->E; e++) {
        if (row->chosen[e] > 0) {
            experts[j++] = e;
        }
    }
}

/* sum of the chosen scores + epsilon, or 1 */
static float divisor(const struct router *r, const float *scores, const int32_t *experts)
{
    float sum = 0;
    for (int j = 0; j < r->k; j++) {
        sum += scores[experts[j]];
    }
    return r->normalised ? sum + r->epsilon : 1;
}

void ISA_NAME(route)(const struct route_args *a)
{
    int E = a->router.E, k = a->router.k, threads = cpu_threads_for((double)a->T * E * (8 + k));
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        struct row row = row_memory(E);
        int32_t *experts = a->experts + (ptrdiff_t)t * k;
        float *weights = a->weights + (ptrdiff_t)t * k;
        make_scores(&a->router, a->logits + (ptrdiff_t)t * E, row.scores);
        if (a->forced) {
            memmove(experts, a->forced + (ptrdiff_t)t * k, (size_t)k * sizeof *experts);
        } else {
            choose(a, &row, experts);
        }
        float sum = divisor(&a->router, row.scores, experts);
        for (int j = 0; j < k; j++) {
            weights[j] = a->router.scale * (row.scores[experts[j]] / sum);
        }
    }
}

/* ---- the gradient of the choice's weights ---- */

/* ds of one row: through the weights, then through the shares s / (sum of s). */
static void score_grad(const struct route_grad_args *a, int t, const float *scores, float *ds)
{
    const struct router *r = &a->router;
    const int32_t *experts = a->experts + (ptrdiff_t)t * r->k;
    const float *dweights = a->dweights + (ptrdiff_t)t * r->k;
    const float *dshares = a->dshares ? a->dshares + (ptrdiff_t)(a->sets ? a->sets[t] : 0) * r->E : NULL;
    float sum = divisor(r, scores, experts), mean = 0, all = 0, shared = 0;
    for (int j = 0; r->normalised && j < r->k; j++) {
        mean = fmaf(dweights[j], scores[experts[j]] / sum, mean);
    }
    clear(ds, r->E);
    for (int j = 0; j < r->k; j++) {
        ds[experts[j]] = r->scale * ((dweights[j] - mean) / sum);
    }
    for (int e = 0; dshares && e < r->E; e++) {
        all += scores[e];
        shared = fmaf(dshares[e], scores[e], shared);
    }
    for (int e = 0; dshares && e < r->E; e++) {
        ds[e] += (dshares[e] - shared / all) / all;
    }
}

void ISA_NAME(route_grad)(const struct route_grad_args *a)
{
    int E = a->router.E, threads = cpu_threads_for((double)a->T * E * 12);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        struct row row = row_memory(E);
        float *ds = row.choice, *dlogits = (float *)a->dlogits + (ptrdiff_t)t * E, mean = 0;
        make_scores(&a->router, a->logits + (ptrdiff_t)t * E, row.scores);
        score_grad(a, t, row.scores, ds);
        for (int e = 0; e < E; e++) {
            mean = fmaf(ds[e], row.scores[e], mean);
        }
        for (int e = 0; e < E; e++) {
            float s = row.scores[e];
            dlogits[e] = a->router.sigmoid ? ds[e] * s * (1 - s) : s * (ds[e] - mean);
        }
    }
}

/* ---- the order of the pairs ---- */

void ISA_NAME(expert_order)(const struct expert_order_args *a)
{
    int n = a->T * a->k;
    memset(a->offsets, 0, ((size_t)a->E + 1) * sizeof *a->offsets);
    for (int i = 0; i < n; i++) {
        a->offsets[a->experts[i] + 1]++;
    }
    for (int e = 0; e < a->E; e++) {
        a->offsets[e + 1] += a->offsets[e];
    }
    for (int i = 0; i < n; i++) { /* offsets[e] is the next place of expert e */
        int32_t place = a->offsets[a->experts[i]]++;
        a->places[i] = place;
        a->pairs[place] = i;
        a->rows[place] = i / a->k;
    }
    for (int e = a->E; e > 0; e--) {
        a->offsets[e] = a->offsets[e - 1];
    }
    a->offsets[0] = 0;
}

/* ---- sums over experts ---- */

static void combine_row(const struct combine_args *a, int t)
{
    const int32_t *places = a->places + (ptrdiff_t)t * a->k;
    const float *weights = a->weights ? a->weights + (ptrdiff_t)t * a->k : NULL;
    const float *shared = a->shared ? (const float *)a->shared + (ptrdiff_t)t * a->d : NULL;
    const float *residual = a->residual ? (const float *)a->residual + (ptrdiff_t)t * a->d : NULL;
    float *y = (float *)a->y + (ptrdiff_t)t * a->d;
    vec gate = vec_set(a->gates ? a->gates[t] : 1);
    for (int i = 0; i < a->d; i += VEC_LANES) {
        vec acc = vec_zero();
        for (int j = 0; j < a->k; j++) {
            const float *x = (const float *)a->x + (ptrdiff_t)places[j] * a->d;
            acc = vec_fma(vec_set(weights ? weights[j] : 1), load_lanes(x, i, a->d, 0), acc);
        }
        acc = shared ? vec_fma(gate, load_lanes(shared, i, a->d, 0), acc) : acc;
        acc = residual ? vec_add(load_lanes(residual, i, a->d, 0), acc) : acc;
        store_lanes(y, i, a->d, acc);
    }
}

void ISA_NAME(combine)(const struct combine_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->d * (a->k + 2));
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        combine_row(a, t);
    }
}

/* silu'(g) = s (1 + g (1 - s)), s = sigmoid(g), as in swiglu_grad; returns the gradient of the row's weight */
static float weighted_row(const struct weighted_swiglu_grad_args *a, int i, float weight)
{
    const float *gate = (const float *)a->gate_up + (ptrdiff_t)i * 2 * a->F, *up = gate + a->F;
    const float *dact = (const float *)a->dact + (ptrdiff_t)i * a->F;
    float *dgate = (float *)a->dgate_up + (ptrdiff_t)i * 2 * a->F, *dup = dgate + a->F;
    float *act = (float *)a->act + (ptrdiff_t)i * a->F;
    const vec one = vec_set(1.0f), w = vec_set(weight);
    vec dot = vec_zero();
    for (int f = 0; f < a->F; f += VEC_LANES) {
        vec g = load_lanes(gate, f, a->F, 0), u = load_lanes(up, f, a->F, 0), d = load_lanes(dact, f, a->F, 0);
        vec s = vec_div(one, vec_add(one, vec_exp(vec_sub(vec_zero(), g))));
        vec silu = vec_mul(g, s), value = vec_mul(silu, u), slope = vec_mul(s, vec_fma(g, vec_sub(one, s), one));
        dot = vec_fma(d, value, dot);
        d = vec_mul(w, d);
        store_lanes(dgate, f, a->F, vec_mul(vec_mul(d, u), slope));
        store_lanes(dup, f, a->F, vec_mul(d, silu));
        store_lanes(act, f, a->F, vec_mul(w, value));
    }
    return vec_sum(dot);
}

void ISA_NAME(weighted_swiglu_grad)(const struct weighted_swiglu_grad_args *a)
{
    int threads = cpu_threads_for((double)a->n_rows * a->F * 24);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int i = 0; i < a->n_rows; i++) {
        int pair = a->pairs ? a->pairs[i] : i;
        a->dweights[pair] = weighted_row(a, i, a->weights[pair]);
    }
}
