/* tests/kernels/head_test.c - log-probabilities while training equal those while sampling, and the gradient of both terms.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

struct shape {
    int rows, d, V;
};
static const struct shape shapes[] = {{1, 16, 1},    {3, 40, 15},    {7, 24, 128},
                                      {50, 33, 203}, {1030, 8, 300}, {9, 64, 1100}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct problem {
    struct shape s;
    float *hidden, *rows; /* [rows, d], [V, d] */
    int32_t *targets;
};

struct result {
    float *logprob, *lse, *entropy;
};

static struct problem problem_new(struct shape s)
{
    struct problem p = {.s = s};
    p.hidden = random_floats((size_t)(s.rows * s.d), 1, 1);
    p.rows = random_floats((size_t)(s.V * s.d), 0.5f, 2);
    p.targets = mem_alloc((size_t)s.rows * sizeof *p.targets);
    struct rng rng = rng_stream(1, 1);
    for (int r = 0; r < s.rows; r++) {
        p.targets[r] = (int32_t)rng_below(&rng, (uint32_t)s.V);
    }
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->hidden);
    free(p->rows);
    free(p->targets);
}

static struct result result_new(int n)
{
    return (struct result){zero_floats((size_t)n), zero_floats((size_t)n), zero_floats((size_t)n)};
}

static void result_free(struct result *r)
{
    free(r->logprob);
    free(r->lse);
    free(r->entropy);
}

static void assert_same_result(const struct result *got, const struct result *want, int n, const char *what)
{
    assert_same_bits(got->lse, want->lse, (size_t)n, what);
    assert_same_bits(got->logprob, want->logprob, (size_t)n, what);
    assert_same_bits(got->entropy, want->entropy, (size_t)n, what);
}

/* In calls of `chunk` rows. */
static struct result head(const struct ops *ops, const struct problem *p, float temperature, int chunk)
{
    float *w = matrix_of(ops, p->rows, p->s.V, p->s.d);
    struct result r = result_new(p->s.rows);
    for (int at = 0; at < p->s.rows; at += chunk) {
        ops->head(&(struct head_args){.n_rows = p->s.rows - at < chunk ? p->s.rows - at : chunk,
                                      .d = p->s.d,
                                      .V = p->s.V,
                                      .hidden = p->hidden + (ptrdiff_t)at * p->s.d,
                                      .w = w,
                                      .inv_temperature = 1.0f / temperature,
                                      .targets = p->targets + at,
                                      .logprob = r.logprob + at,
                                      .lse = r.lse + at,
                                      .entropy = r.entropy + at});
    }
    free(w);
    return r;
}

static void the_numbers_are_right(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        struct result got = head(tables->ops[tables->n - 1], &p, 0.7f, p.s.rows);
        double *logits = zero_doubles((size_t)p.s.V);
        for (int r = 0; r < p.s.rows; r++) {
            double most = -INFINITY, total = 0, mean = 0;
            for (int v = 0; v < p.s.V; v++) {
                logits[v] = 0;
                for (int k = 0; k < p.s.d; k++) {
                    logits[v] += (double)p.hidden[r * p.s.d + k] * (double)p.rows[v * p.s.d + k];
                }
                logits[v] *= (double)(1.0f / 0.7f);
                most = fmax(most, logits[v]);
            }
            for (int v = 0; v < p.s.V; v++) {
                total += exp(logits[v] - most);
                mean += exp(logits[v] - most) * logits[v];
            }
            double lse = most + log(total);
            assert_near((double)got.lse[r], lse, 2e-6, "lse", (size_t)r);
            assert_near((double)got.logprob[r], logits[p.targets[r]] - lse, 4e-6, "logprob", (size_t)r);
            assert_near((double)got.entropy[r], lse - mean / total, 1e-5, "entropy", (size_t)r);
        }
        result_free(&got);
        free(logits);
        problem_free(&p);
    }
}

static void batches_tables_and_threads_change_no_bit(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        device_set_threads(1);
        struct result first = head(tables->ops[0], &p, 0.7f, p.s.rows);
        for (int table = 0; table < tables->n; table++) {
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                struct result again = head(tables->ops[table], &p, 0.7f,
                                           threads == 1   ? 1
                                           : threads == 2 ? 7
                                                          : p.s.rows);
                assert_same_result(&again, &first, p.s.rows, tables->ops[table]->name);
                result_free(&again);
            }
        }
        result_free(&first);
        problem_free(&p);
    }
    device_set_threads(0);
}

/* Draws with one kind of sampling or several mixed in a batch; then the trainer's pass over the tokens drawn. */
static void training_equals_sampling(void **state)
{
    const struct tables *tables = *state;
    for (int i = 0; i < SHAPES * tables->n; i++) {
        struct problem p = problem_new(shapes[i / tables->n]);
        const struct ops *ops = tables->ops[i % tables->n];
        float *w = matrix_of(ops, p.rows, p.s.V, p.s.d);
        struct sampling *sampling = mem_zero((size_t)p.s.rows * sizeof *sampling);
        struct result drawn = result_new(p.s.rows), trained[3];
        static const float temperatures[] = {1.0f, 0.7f, 0.0f};
        for (int r = 0; r < p.s.rows; r++) {
            sampling[r] = (struct sampling){.temperature = temperatures[r % 3],
                                            .top_p = 1,
                                            .repetition_penalty = 1,
                                            .seed = 3,
                                            .sequence = (uint64_t)r};
            sampling[r].top_k = r % 5 == 3 ? 4 : 0;
        }
        int n_valid = p.s.V > 20 ? p.s.V - 9 : p.s.V;
        ops->head_sample(&(struct head_sample_args){p.s.rows, p.s.d, p.s.V, n_valid, p.hidden, w, sampling, p.targets,
                                                    drawn.logprob, drawn.lse, drawn.entropy});
        for (int t = 0; t < 3; t++) {
            trained[t] = head(ops, &p, t < 2 ? temperatures[t] : 1.0f, p.s.rows);
        }
        for (int r = 0; r < p.s.rows; r++) {
            assert_in_range(p.targets[r], 0, n_valid - 1);
            const struct result *want = &trained[r % 3];
            assert_same_bits(&drawn.lse[r], &want->lse[r], 1, "lse");
            assert_same_bits(&drawn.logprob[r], &want->logprob[r], 1, "logprob");
            assert_same_bits(&drawn.entropy[r], &want->entropy[r], 1, "entropy");
        }
        result_free(&drawn);
        for (int t = 0; t < 3; t++) {
            result_free(&trained[t]);
        }
        free(w);
        free(sampling);
        problem_free(&p);
    }
}

/* sum over rows of a logprob + b entropy, in fp64 */
static double objective(const struct shape s, const double *hidden, const double *w, const int32_t *targets,
                        double inv_temperature, const float *a, const float *b)
{
    double sum = 0, logits[64];
    for (int r = 0; r < s.rows; r++) {
        double total = 0, mean = 0;
        for (int v = 0; v < s.V; v++) {
            logits[v] = 0;
            for (int k = 0; k < s.d; k++) {
                logits[v] += hidden[r * s.d + k] * w[v * s.d + k];
            }
            logits[v] *= inv_temperature;
            total += exp(logits[v]);
            mean += exp(logits[v]) * logits[v];
        }
        sum += (double)a[r] * (logits[targets[r]] - log(total));
        sum += b ? (double)b[r] * (log(total) - mean / total) : 0;
    }
    return sum;
}

static double *doubles_of(const float *x, size_t n)
{
    double *copy = zero_doubles(n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = (double)x[i];
    }
    return copy;
}

static void the_gradient_is_the_derivative(void **state)
{
    const struct tables *tables = *state;
    const struct ops *ops = tables->ops[tables->n - 1];
    const struct shape s = {4, 9, 37};
    for (int with_entropy = 0; with_entropy < 2; with_entropy++) {
        struct problem p = problem_new(s);
        size_t n_hidden = (size_t)(s.rows * s.d), n_w = (size_t)(s.V * s.d);
        struct result forward = head(ops, &p, 0.8f, s.rows);
        float *a = random_floats((size_t)s.rows, 1, 5), *b = with_entropy ? random_floats((size_t)s.rows, 1, 6) : NULL;
        float *w = matrix_of(ops, p.rows, s.V, s.d), *dw = matrix_of(ops, p.rows, s.V, s.d);
        float *dhidden = random_floats(n_hidden, 9, 7); /* overwritten */
        ops->head_grad(&(struct head_grad_args){s.rows, s.d, s.V, p.hidden, w, 1.0f / 0.8f, p.targets, forward.lse,
                                                forward.entropy, a, b, dhidden, dw});
        float *dw_rows = rows_of(ops, dw, s.V, s.d);
        double *hidden64 = doubles_of(p.hidden, n_hidden), *w64 = doubles_of(p.rows, n_w);
        for (size_t i = 0; i < n_hidden + n_w; i++) {
            double *at = i < n_hidden ? &hidden64[i] : &w64[i - n_hidden], was = *at, step = 1e-5;
            *at = was + step;
            double high = objective(s, hidden64, w64, p.targets, (double)(1.0f / 0.8f), a, b);
            *at = was - step;
            double low = objective(s, hidden64, w64, p.targets, (double)(1.0f / 0.8f), a, b);
            *at = was;
            double got = i < n_hidden ? (double)dhidden[i] : (double)dw_rows[i - n_hidden] - was;
            assert_near(got, (high - low) / (2 * step), 5e-6, i < n_hidden ? "dhidden" : "dw", i);
        }
        result_free(&forward);
        free(a);
        free(b);
        free(w);
        free(dw);
        free(dw_rows);
        free(dhidden);
        free(hidden64);
        free(w64);
        problem_free(&p);
    }
}

/* Past the block sizes of rows and vocabulary, in fp64 from the forward's own lse: the analytic formula of the header. */
static void large_gradients_are_right_and_one_for_all(void **state)
{
    const struct tables *tables = *state;
    for (int i = 3; i < SHAPES; i++) {
        struct problem p = problem_new(shapes[i]);
        int n = p.s.rows, d = p.s.d, V = p.s.V;
        device_set_threads(1);
        struct result forward = head(tables->ops[0], &p, 0.8f, n);
        float *a = random_floats((size_t)n, 1, 5), *b = random_floats((size_t)n, 1, 6), *first = NULL;
        double *dhidden = zero_doubles((size_t)(n * d)), *dw = zero_doubles((size_t)(V * d));
        for (int r = 0; r < n; r++) {
            for (int v = 0; v < V; v++) {
                double logit = 0;
                for (int k = 0; k < d; k++) {
                    logit += (double)p.hidden[r * d + k] * (double)p.rows[v * d + k];
                }
                double logprob = logit * 1.25 - (double)forward.lse[r], probability = exp(logprob);
                double slope = (double)a[r] * ((v == p.targets[r]) - probability);
                slope -= (double)b[r] * probability * (logprob + (double)forward.entropy[r]);
                for (int k = 0; k < d; k++) {
                    dhidden[r * d + k] += 1.25 * slope * (double)p.rows[v * d + k];
                    dw[v * d + k] += 1.25 * slope * (double)p.hidden[r * d + k];
                }
            }
        }
        for (int run = 0; run < 2 * tables->n; run++) {
            const struct ops *ops = tables->ops[run / 2];
            device_set_threads(1 + run % 2 * 2);
            float *w = matrix_of(ops, p.rows, V, d), *panels = zero_floats(ops->matrix_elements(V, d));
            float *got = zero_floats((size_t)((n + V) * d));
            ops->head_grad(&(struct head_grad_args){n, d, V, p.hidden, w, 1.25f, p.targets, forward.lse,
                                                    forward.entropy, a, b, got, panels});
            ops->matrix_export(got + (ptrdiff_t)n * d, panels, 0, V, V, d);
            assert_all_near(got, dhidden, (size_t)(n * d), 1e-5, "dhidden");
            assert_all_near(got + (ptrdiff_t)n * d, dw, (size_t)(V * d), 3e-5, "dw");
            first = first ? first : copy_floats(got, (size_t)((n + V) * d));
            assert_same_bits(got, first, (size_t)((n + V) * d), ops->name);
            free(w);
            free(panels);
            free(got);
        }
        result_free(&forward);
        free(a);
        free(b);
        free(first);
        free(dhidden);
        free(dw);
        problem_free(&p);
    }
    device_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_right),
        cmocka_unit_test(batches_tables_and_threads_change_no_bit),
        cmocka_unit_test(training_equals_sampling),
        cmocka_unit_test(the_gradient_is_the_derivative),
        cmocka_unit_test(large_gradients_are_right_and_one_for_all),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
