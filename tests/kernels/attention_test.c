/* tests/kernels/attention_test.c - a row of attention has the same bits however its sequence came, and the right numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

enum { MOST_PAGES = 9, GAP = 4 };

/* A sequence of n tokens with its queries, keys and values, in rows of one array each; or values that are the first columns of the
 * keys of one head, as in latent attention. */
struct sequence {
    int n, H, J, D, Dv;
    int kv_stride;
    float *q, *k, *v; /* [n, H D + GAP], [n, J D + GAP], [n, J Dv + GAP] */
};

/* H, J, D, Dv: groups of 1, 2, 7, and of more heads than a task has rows */
struct heads {
    int H, J, D, Dv;
};
static const struct heads heads[] = {{2, 2, 16, 16}, {4, 2, 16, 16}, {7, 1, 32, 32}, {4, 1, 48, 32},
                                     {3, 1, 80, 64}, {4, 2, 32, 48}, {97, 1, 32, 16}};

static struct sequence sequence_new(int n, struct heads h)
{
    int width = h.D > h.Dv ? h.D : h.Dv;
    struct sequence s = {.n = n, .H = h.H, .J = h.J, .D = h.D, .Dv = h.Dv, .kv_stride = h.J * width + GAP};
    s.q = random_floats((size_t)n * (size_t)(h.H * h.D + GAP), 1.5f, 1);
    s.k = random_floats((size_t)n * (size_t)s.kv_stride, 1.5f, 2);
    s.v = h.J == 1 && h.Dv < h.D ? s.k : random_floats((size_t)n * (size_t)s.kv_stride, 1, 3);
    return s;
}

static void sequence_free(struct sequence *s)
{
    free(s->q);
    free(s->k);
    if (s->v != s->k) {
        free(s->v);
    }
}

static float *nan_floats(size_t n)
{
    float *x = mem_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = NAN;
    }
    return x;
}

struct result {
    float *out, *lse; /* [n, H Dv + GAP], [n, H] */
};

static size_t out_size(const struct sequence *s)
{
    return (size_t)s->n * (size_t)(s->H * s->Dv + GAP);
}

static void result_free(struct result *r)
{
    free(r->out);
    free(r->lse);
}

/* In calls of `chunk` tokens each; the pools are full of NaN where nothing was stored. Pages lie in any order. */
static struct result attend(const struct ops *ops, const struct sequence *s, int chunk)
{
    static const int32_t pages[MOST_PAGES] = {5, 2, 8, 0, 3, 7, 1, 6, 4};
    float *k_pool = nan_floats(MOST_PAGES * ops_page_elements(s->J, s->D));
    float *v_pool = nan_floats(MOST_PAGES * ops_page_elements(s->J, s->Dv));
    struct result r = {zero_floats(out_size(s)), zero_floats((size_t)(s->n * s->H))};
    int q_stride = s->H * s->D + GAP, Dv = s->Dv == s->D ? 0 : s->Dv;
    for (int at = 0; at < s->n; at += chunk) {
        int n = s->n - at < chunk ? s->n - at : chunk;
        struct span span = {at, n, at, pages};
        ops->kv_store(&(struct kv_store_args){1, &span, s->J, s->D, Dv, s->k, s->v, s->kv_stride, k_pool, v_pool});
        ops->attention(&(struct attention_args){.n_spans = 1,
                                                .spans = &span,
                                                .H = s->H,
                                                .J = s->J,
                                                .D = s->D,
                                                .Dv = Dv,
                                                .scale = 0.25f,
                                                .q = s->q,
                                                .q_stride = q_stride,
                                                .k_pool = k_pool,
                                                .v_pool = v_pool,
                                                .out = r.out,
                                                .out_stride = s->H * s->Dv + GAP,
                                                .lse = r.lse});
    }
    free(k_pool);
    free(v_pool);
    return r;
}

static void assert_same_result(const struct sequence *s, const struct result *got, const struct result *want,
                               const char *what)
{
    assert_same_bits(got->out, want->out, out_size(s), what);
    assert_same_bits(got->lse, want->lse, (size_t)(s->n * s->H), what);
}

static const int lengths[] = {1, 2, 17, 127, 128, 129, 300};
enum { HEADS = sizeof heads / sizeof *heads, LENGTHS = sizeof lengths / sizeof *lengths };

static void the_numbers_are_right(void **state)
{
    const struct tables *tables = *state;
    for (int c = 0; c < LENGTHS * HEADS; c++) {
        if (heads[c % HEADS].H > 90 && lengths[c / HEADS] > 17) {
            continue; /* slow */
        }
        struct sequence s = sequence_new(lengths[c / HEADS], heads[c % HEADS]);
        struct result got = attend(tables->ops[tables->n - 1], &s, s.n);
        double p[300], *out = zero_doubles((size_t)s.Dv);
        int q_stride = s.H * s.D + GAP, kv_stride = s.kv_stride;
        for (int i = 0; i < s.n * s.H; i++) {
            int t = i / s.H, h = i % s.H, j = h / (s.H / s.J);
            double most = -INFINITY, total = 0;
            for (int key = 0; key <= t; key++) {
                p[key] = 0;
                for (int d = 0; d < s.D; d++) {
                    p[key] +=
                        0.25 * (double)s.q[t * q_stride + h * s.D + d] * (double)s.k[key * kv_stride + j * s.D + d];
                }
                most = fmax(most, p[key]);
            }
            memset(out, 0, (size_t)s.Dv * sizeof *out);
            for (int key = 0; key <= t; key++) {
                p[key] = exp(p[key] - most);
                total += p[key];
                for (int d = 0; d < s.Dv; d++) {
                    out[d] += p[key] * (double)s.v[key * kv_stride + j * s.Dv + d];
                }
            }
            for (int d = 0; d < s.Dv; d++) {
                out[d] /= total;
            }
            const float *row = got.out + (ptrdiff_t)t * (s.H * s.Dv + GAP) + (ptrdiff_t)h * s.Dv;
            assert_all_near(row, out, (size_t)s.Dv, 2e-5, "out");
            assert_near((double)got.lse[i], most + log(total), 2e-6, "lse", (size_t)i);
        }
        result_free(&got);
        free(out);
        sequence_free(&s);
    }
}

/* Whole; cut at and around page ends; one token at a time. All instruction sets, 1 to 3 threads. */
static void cuts_tables_and_threads_change_no_bit(void **state)
{
    const struct tables *tables = *state;
    static const int chunks[] = {1, 5, 127, 128, 130};
    for (int c = 0; c < HEADS; c++) {
        struct sequence s = sequence_new(heads[c].H > 90 ? 135 : 300, heads[c]);
        device_set_threads(1);
        struct result whole = attend(tables->ops[0], &s, s.n);
        for (int table = 0; table < tables->n; table++) {
            for (int i = 0; i < 5; i++) {
                device_set_threads(1 + (i + table) % 3);
                struct result again = attend(tables->ops[table], &s, chunks[i]);
                assert_same_result(&s, &again, &whole, tables->ops[table]->name);
                result_free(&again);
            }
            for (int threads = 1; threads <= 3; threads++) {
                device_set_threads(threads);
                struct result again = attend(tables->ops[table], &s, s.n);
                assert_same_result(&s, &again, &whole, tables->ops[table]->name);
                result_free(&again);
            }
        }
        result_free(&whole);
        sequence_free(&s);
    }
    device_set_threads(0);
}

/* The last rows of four sequences of different lengths in one call: each as if it were alone. The first two share their
 * first page, as members of a group share a prompt. */
static void sequences_do_not_see_each_other(void **state)
{
    const struct tables *tables = *state;
    static const int32_t pages[4][3] = {{2, 5, 0}, {2, 1, 0}, {6, 3, 4}, {7, 0, 0}};
    const struct span spans[] = {
        {0, 72, 128, pages[0]}, {72, 1, 199, pages[1]}, {73, 20, 270, pages[2]}, {93, 3, 0, pages[3]}};
    enum { H = 6, J = 2, D = 16, ROWS = 96 };
    for (int table = 0; table < tables->n; table++) {
        size_t pool = MOST_PAGES * ops_page_elements(J, D), n = (size_t)ROWS * H * D;
        float *k_pool = random_floats(pool, 1, 1), *v_pool = random_floats(pool, 1, 2), *q = random_floats(n, 1, 3);
        float *together = zero_floats(n), *alone = zero_floats(n);
        struct attention_args args = {.n_spans = 4,
                                      .spans = spans,
                                      .H = H,
                                      .J = J,
                                      .D = D,
                                      .scale = 0.3f,
                                      .q = q,
                                      .q_stride = H * D,
                                      .k_pool = k_pool,
                                      .v_pool = v_pool,
                                      .out = together,
                                      .out_stride = H * D};
        tables->ops[table]->attention(&args);
        args.out = alone;
        args.n_spans = 1;
        for (int s = 0; s < 4; s++) {
            for (int r = 0; r < spans[s].n_rows; r++) {
                struct span one = {spans[s].row + r, 1, spans[s].position + r, spans[s].pages};
                args.spans = &one;
                tables->ops[table]->attention(&args);
            }
        }
        assert_same_bits(together, alone, n, tables->ops[table]->name);
        free(k_pool);
        free(v_pool);
        free(q);
        free(together);
        free(alone);
    }
}

/* Scores hundreds apart, in both directions over two pages: the running maximum must hold. */
static void large_scores_do_not_overflow(void **state)
{
    const struct tables *tables = *state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct sequence s = sequence_new(200, (struct heads){1, 1, 16, 16});
        for (int t = 0; t < s.n; t++) {
            for (int d = 0; d < 16; d++) {
                s.q[t * (16 + GAP) + d] = d == 0 ? 8.0f : 0.0f;
                s.k[t * (16 + GAP) + d] = d == 0 ? (float)(sign * t) * 10.0f : 0.0f;
            }
        }
        for (int table = 0; table < tables->n; table++) {
            struct result r = attend(tables->ops[table], &s, 200);
            for (int t = 0; t < s.n; t++) { /* steps of 20: one key has all the weight, up to e^-20 */
                int key = sign > 0 ? t : 0;
                assert_near((double)r.out[t * (16 + GAP)], (double)s.v[key * (16 + GAP)], 1e-6, "out", (size_t)t);
                assert_near((double)r.lse[t], sign > 0 ? 20.0 * t : 0, 1e-6, "lse", (size_t)t);
            }
            result_free(&r);
        }
        sequence_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_right),
        cmocka_unit_test(cuts_tables_and_threads_change_no_bit),
        cmocka_unit_test(sequences_do_not_see_each_other),
        cmocka_unit_test(large_scores_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
