/* tests/kernels/experts_test.c - the choice of experts, the order of the pairs, sums over experts, and their gradients.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

static const struct router routers[] = {
    {.E = 8, .k = 2, .normalised = true, .scale = 1, .n_groups = 1},
    {.E = 5, .k = 3, .normalised = false, .scale = 1, .n_groups = 1},
    {.E = 1, .k = 1, .sigmoid = true, .scale = 1, .n_groups = 1},
    {.E = 37, .k = 37, .normalised = true, .scale = 1, .n_groups = 1},
    {.E = 128, .k = 8, .normalised = true, .scale = 1, .n_groups = 1},
    {.E = 16, .k = 4, .sigmoid = true, .normalised = true, .scale = 2.5f, .epsilon = 1e-20f, .n_groups = 1},
    {.E = 16,
     .k = 4,
     .sigmoid = true,
     .normalised = true,
     .scale = 2.5f,
     .epsilon = 1e-20f,
     .n_groups = 4,
     .top_groups = 2,
     .group_best = 2},
    {.E = 24, .k = 6, .normalised = false, .scale = 16, .n_groups = 4, .top_groups = 3, .group_best = 1},
    /* more experts than the groups kept have: the rest is filled from the lowest index on */
    {.E = 12, .k = 8, .sigmoid = true, .scale = 1, .n_groups = 4, .top_groups = 2, .group_best = 2},
};
enum { ROUTERS = sizeof routers / sizeof *routers, T = 70 };

/* ---- the choice, in plain C ---- */

static void plain_scores(const struct router *r, const float *logits, double *s)
{
    double sum = 0;
    for (int e = 0; e < r->E; e++) {
        s[e] = r->sigmoid ? 1 / (1 + exp(-(double)logits[e])) : exp((double)logits[e]);
        sum += s[e];
    }
    for (int e = 0; e < r->E && !r->sigmoid; e++) {
        s[e] /= sum;
    }
}

/* How many come before number i: larger ones, and equal ones of a lower index. */
static int rank_of(const double *c, int n, int i)
{
    int rank = 0;
    for (int j = 0; j < n; j++) {
        rank += c[j] > c[i] || (j < i && !(c[j] < c[i]));
    }
    return rank;
}

static void plain_choice(const struct router *r, const double *s, const float *bias, int32_t *experts)
{
    double c[128], groups[128] = {0};
    int size = r->E / r->n_groups, n = 0;
    for (int e = 0; e < r->E; e++) {
        c[e] = s[e] + (bias ? (double)bias[e] : 0);
    }
    for (int e = 0; e < r->E && r->n_groups > 1; e++) {
        groups[e / size] += rank_of(c + e / size * size, size, e % size) < r->group_best ? c[e] : 0;
    }
    for (int e = 0; e < r->E && r->n_groups > 1; e++) {
        c[e] = rank_of(groups, r->n_groups, e / size) < r->top_groups ? c[e] : -INFINITY;
    }
    for (int e = 0; e < r->E; e++) {
        if (rank_of(c, r->E, e) < r->k) {
            experts[n++] = e;
        }
    }
    assert_int_equal(n, r->k);
}

struct routed {
    int32_t *experts;
    float *weights;
};

static struct routed route(const struct ops *ops, const struct router *r, int rows, const float *logits,
                           const float *bias, const int32_t *forced)
{
    size_t n = (size_t)rows * (size_t)r->k;
    struct routed out = {mem_zero(n * sizeof *out.experts), zero_floats(n)};
    ops->route(&(struct route_args){.router = *r,
                                    .T = rows,
                                    .logits = logits,
                                    .bias = bias,
                                    .forced = forced,
                                    .experts = out.experts,
                                    .weights = out.weights});
    return out;
}

static void routed_free(struct routed *r)
{
    free(r->experts);
    free(r->weights);
}

static void check_row(const struct router *r, const float *logits, const float *bias, const int32_t *experts,
                      const float *weights)
{
    double s[128], sum = 0;
    int32_t want[128];
    plain_scores(r, logits, s);
    plain_choice(r, s, bias, want);
    assert_memory_equal(experts, want, (size_t)r->k * sizeof *want);
    for (int j = 0; j < r->k; j++) {
        sum += s[want[j]];
    }
    for (int j = 0; j < r->k; j++) {
        double weight = (double)r->scale * s[want[j]] / (r->normalised ? sum : 1);
        assert_near((double)weights[j], weight, 2e-6, "weight", (size_t)j);
    }
}

static void the_choice_is_right_and_the_same_everywhere(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < ROUTERS; i++) {
        const struct router *r = &routers[i];
        size_t E = (size_t)r->E, n = (size_t)T * (size_t)r->k;
        float *logits = random_floats(T * E, 2, 1), *bias = random_floats(E, 0.3f, 2);
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            const float *b = with_bias ? bias : NULL;
            struct routed first = route(tables->ops[0], r, T, logits, b, NULL);
            for (int t = 0; t < T; t++) {
                check_row(r, logits + t * r->E, b, first.experts + t * r->k, first.weights + t * r->k);
                struct routed alone = route(tables->ops[tables->n - 1], r, 1, logits + t * r->E, b, NULL);
                assert_memory_equal(alone.experts, first.experts + t * r->k, (size_t)r->k * sizeof(int32_t));
                assert_same_bits(alone.weights, first.weights + t * r->k, (size_t)r->k, "a row alone");
                routed_free(&alone);
            }
            for (int table = 0; table < tables->n; table++) {
                device_set_threads(1 + table);
                struct routed other = route(tables->ops[table], r, T, logits, b, NULL);
                assert_memory_equal(other.experts, first.experts, n * sizeof(int32_t));
                assert_same_bits(other.weights, first.weights, n, tables->ops[table]->name);
                routed_free(&other);
            }
            routed_free(&first);
        }
        free(logits);
        free(bias);
    }
    device_set_threads(0);
}

/* Equal scores: the lowest indices, of experts and of groups; numbers that are none still send a row to k experts. */
static void ties_take_the_lowest_index(void **state)
{
    const struct tables *tables = *state;
    static const float zeros[128], tied[8] = {0, 1, 1, 0, 1, 1, 0, 1};
    float broken[128];
    for (int i = 0; i < 128; i++) {
        broken[i] = NAN;
    }
    for (int table = 0; table < tables->n; table++) {
        for (int i = 0; i < ROUTERS; i++) {
            struct routed zero = route(tables->ops[table], &routers[i], 1, zeros, NULL, NULL);
            struct routed none = route(tables->ops[table], &routers[i], 1, broken, NULL, NULL);
            for (int j = 0; j < routers[i].k; j++) {
                assert_int_equal(zero.experts[j], j);
                assert_in_range(none.experts[j], j == 0 ? 0 : none.experts[j - 1] + 1, routers[i].E - 1);
            }
            routed_free(&zero);
            routed_free(&none);
        }
        struct routed two = route(tables->ops[table], &routers[0], 1, tied, NULL, NULL);
        assert_int_equal(two.experts[0], 1);
        assert_int_equal(two.experts[1], 2);
        routed_free(&two);
    }
}

/* Experts that are given are taken, and weighted by this call's logits. */
static void forced_experts_are_taken(void **state)
{
    const struct tables *tables = *state;
    const struct router *r = &routers[0];
    float logits[2 * 8];
    static const int32_t forced[] = {0, 7, 3, 4};
    for (int i = 0; i < 16; i++) {
        logits[i] = 0.25f * (float)(i % 8);
    }
    for (int table = 0; table < tables->n; table++) {
        struct routed out = route(tables->ops[table], r, 2, logits, NULL, forced);
        assert_memory_equal(out.experts, forced, sizeof forced);
        assert_near((double)out.weights[0], 1 / (1 + exp(1.75)), 1e-6, "weight", 0);
        assert_near((double)out.weights[3], 1 / (1 + exp(-0.25)), 1e-6, "weight", 3);
        routed_free(&out);
    }
}

/* ---- its gradient ---- */

/* sum of dweights w + sum of dshares s / (sum of s), in fp64, the choice as given */
static double plain_loss(const struct router *r, const double *logits, const int32_t *experts, const float *dweights,
                         const float *dshares)
{
    double s[128], sum = 0, all = 0, loss = 0;
    for (int e = 0; e < r->E; e++) {
        s[e] = r->sigmoid ? 1 / (1 + exp(-logits[e])) : exp(logits[e]);
        all += s[e];
    }
    for (int e = 0; e < r->E && !r->sigmoid; e++) {
        s[e] /= all;
    }
    all = r->sigmoid ? all : 1;
    for (int j = 0; j < r->k; j++) {
        sum += s[experts[j]];
    }
    for (int j = 0; j < r->k; j++) {
        loss += (double)dweights[j] * (double)r->scale * s[experts[j]] / (r->normalised ? sum : 1);
    }
    for (int e = 0; e < r->E; e++) {
        loss += (double)dshares[e] * s[e] / all;
    }
    return loss;
}

static void the_gradient_is_the_derivative(void **state)
{
    const struct tables *tables = *state;
    enum { ROWS = 9 };
    static const int32_t sets[ROWS] = {0, 2, 1, 1, 0, 2, 2, 0, 1};
    for (int i = 0; i < ROUTERS; i++) {
        const struct router *r = &routers[i];
        size_t E = (size_t)r->E;
        float *logits = random_floats(ROWS * E, 1, 1), *dshares = random_floats(3 * E, 1, 2), *first = NULL;
        float *dweights = random_floats((size_t)(ROWS * r->k), 1, 3);
        struct routed routed = route(tables->ops[0], r, ROWS, logits, NULL, NULL);
        for (int table = 0; table < tables->n; table++) {
            float *got = zero_floats(ROWS * E);
            device_set_threads(1 + table);
            tables->ops[table]->route_grad(&(struct route_grad_args){.router = *r,
                                                                     .T = ROWS,
                                                                     .logits = logits,
                                                                     .experts = routed.experts,
                                                                     .dweights = dweights,
                                                                     .dshares = dshares,
                                                                     .sets = sets,
                                                                     .dlogits = got});
            first = first ? first : copy_floats(got, ROWS * E);
            assert_same_bits(got, first, ROWS * E, tables->ops[table]->name);
            free(got);
        }
        for (int t = 0; t < ROWS; t++) {
            double at[128], step = 1e-5;
            for (int e = 0; e < r->E; e++) {
                at[e] = (double)logits[t * r->E + e];
            }
            for (int e = 0; e < r->E; e++) {
                double side[2];
                for (int k = 0; k < 2; k++) {
                    at[e] += k ? -2 * step : step;
                    side[k] =
                        plain_loss(r, at, routed.experts + t * r->k, dweights + t * r->k, dshares + sets[t] * r->E);
                }
                at[e] += step;
                assert_near((double)first[t * r->E + e], (side[0] - side[1]) / (2 * step), 5e-6, "dlogits", (size_t)e);
            }
        }
        routed_free(&routed);
        free(logits);
        free(dshares);
        free(dweights);
        free(first);
    }
    device_set_threads(0);
}

/* ---- the order of the pairs ---- */

static void pairs_are_sorted_by_expert_and_row(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < ROUTERS; i++) {
        const struct router *r = &routers[i];
        enum { MOST = T * 37 };
        int n = T * r->k;
        int32_t offsets[129], places[MOST], pairs[MOST], rows[MOST];
        float *logits = random_floats((size_t)T * (size_t)r->E, 2, 1);
        struct routed routed = route(tables->ops[0], r, T, logits, NULL, NULL);
        for (int table = 0; table < tables->n; table++) {
            tables->ops[table]->expert_order(&(struct expert_order_args){.T = T,
                                                                         .k = r->k,
                                                                         .E = r->E,
                                                                         .experts = routed.experts,
                                                                         .offsets = offsets,
                                                                         .places = places,
                                                                         .pairs = pairs,
                                                                         .rows = rows});
            assert_int_equal(offsets[0], 0);
            assert_int_equal(offsets[r->E], n);
            for (int e = 0; e < r->E; e++) {
                for (int place = offsets[e]; place < offsets[e + 1]; place++) {
                    assert_int_equal(routed.experts[pairs[place]], e);
                    assert_int_equal(places[pairs[place]], place);
                    assert_int_equal(rows[place], pairs[place] / r->k);
                    assert_true(place == offsets[e] || rows[place] > rows[place - 1]);
                }
            }
        }
        routed_free(&routed);
        free(logits);
    }
}

/* ---- sums ---- */

static void combine_is_the_chain(void **state)
{
    const struct tables *tables = *state;
    enum { ROWS = 33, D = 41, K = 3, N = ROWS * D };
    int32_t places[ROWS * K];
    float *x = random_floats(N * K, 1, 1), *weights = random_floats(ROWS * K, 1, 2), *shared = random_floats(N, 1, 3);
    float *gates = random_floats(ROWS, 1, 4), *residual = random_floats(N, 1, 5), *want = zero_floats(N);
    for (int i = 0; i < ROWS * K; i++) {
        places[i] = (i * 7 + 5) % (ROWS * K);
    }
    for (int options = 0; options < 16; options++) {
        bool w = options & 1, s = options & 2, g = options & 4, r = options & 8;
        for (int i = 0; i < N; i++) {
            int t = i / D;
            float acc = 0;
            for (int j = 0; j < K; j++) {
                acc = fmaf(w ? weights[t * K + j] : 1, x[places[t * K + j] * D + i % D], acc);
            }
            acc = !s ? acc : g ? fmaf(gates[t], shared[i], acc) : acc + shared[i];
            want[i] = r ? residual[i] + acc : acc;
        }
        for (int table = 0; table < tables->n; table++) {
            float *y = copy_floats(residual, N);
            device_set_threads(1 + table);
            tables->ops[table]->combine(&(struct combine_args){.T = ROWS,
                                                               .d = D,
                                                               .k = K,
                                                               .places = places,
                                                               .weights = w ? weights : NULL,
                                                               .x = x,
                                                               .shared = s ? shared : NULL,
                                                               .gates = g ? gates : NULL,
                                                               .residual = r ? y : NULL,
                                                               .y = y});
            assert_same_bits(y, want, N, tables->ops[table]->name);
            free(y);
        }
    }
    device_set_threads(0);
    free(x);
    free(weights);
    free(shared);
    free(gates);
    free(residual);
    free(want);
}

static double silu(double g)
{
    return g / (1 + exp(-g));
}

/* For weight silu(gate) up with the gradient dact: dgate and dup by finite differences, dweight and act outright. */
static void weighted_gradient_is_the_derivative(void **state)
{
    const struct tables *tables = *state;
    static const int shapes[][2] = {{1, 1}, {3, 15}, {70, 33}, {61, 96}};
    for (int i = 0; i < 4; i++) {
        int n = shapes[i][0], F = shapes[i][1];
        size_t size = (size_t)n * (size_t)F;
        float *x = random_floats(2 * size, 2, 1), *dact = random_floats(size, 1, 2), *first[3] = {NULL};
        float *weights = random_floats((size_t)n, 1, 3);
        int32_t *pairs = mem_alloc((size_t)n * sizeof *pairs);
        for (int p = 0; p < n; p++) {
            pairs[p] = n - 1 - p;
        }
        for (int table = 0; table < tables->n; table++) {
            float *got[3] = {copy_floats(x, 2 * size), copy_floats(dact, size), zero_floats((size_t)n)};
            device_set_threads(1 + table);
            tables->ops[table]->weighted_swiglu_grad(&(struct weighted_swiglu_grad_args){.n_rows = n,
                                                                                         .F = F,
                                                                                         .gate_up = got[0],
                                                                                         .dact = got[1],
                                                                                         .pairs = i % 2 ? pairs : NULL,
                                                                                         .weights = weights,
                                                                                         .dweights = got[2],
                                                                                         .dgate_up = got[0],
                                                                                         .act = got[1]});
            for (int k = 0; k < 3; k++) {
                size_t length = k == 0 ? 2 * size : k == 1 ? size : (size_t)n;
                first[k] = first[k] ? first[k] : copy_floats(got[k], length);
                assert_same_bits(got[k], first[k], length, tables->ops[table]->name);
                free(got[k]);
            }
        }
        for (int row = 0; row < n; row++) {
            int pair = i % 2 ? pairs[row] : row;
            double w = (double)weights[pair], dweight = 0, step = 1e-5;
            for (int f = 0; f < F; f++) {
                double g = (double)x[row * 2 * F + f], up = (double)x[row * 2 * F + F + f];
                double d = (double)dact[row * F + f], slope = (silu(g + step) - silu(g - step)) / (2 * step);
                dweight += d * silu(g) * up;
                assert_near((double)first[0][row * 2 * F + f], w * d * up * slope, 3e-6, "dgate", (size_t)f);
                assert_near((double)first[0][row * 2 * F + F + f], w * d * silu(g), 3e-6, "dup", (size_t)f);
                assert_near((double)first[1][row * F + f], w * silu(g) * up, 3e-6, "act", (size_t)f);
            }
            assert_near((double)first[2][pair], dweight, 2e-5, "dweight", (size_t)row);
        }
        for (int k = 0; k < 3; k++) {
            free(first[k]);
        }
        free(x);
        free(dact);
        free(weights);
        free(pairs);
    }
    device_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice_is_right_and_the_same_everywhere),
        cmocka_unit_test(ties_take_the_lowest_index),
        cmocka_unit_test(forced_experts_are_taken),
        cmocka_unit_test(the_gradient_is_the_derivative),
        cmocka_unit_test(pairs_are_sorted_by_expert_and_row),
        cmocka_unit_test(combine_is_the_chain),
        cmocka_unit_test(weighted_gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
