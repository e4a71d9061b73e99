/* tests/kernels/embedding_test.c - rows of a table, rows of an array, and their gradients.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

enum { V = 37, MOST_T = 700 };

static void tokens_of(int32_t *tokens, int T)
{
    struct rng rng = rng_stream(3, 0);
    for (int t = 0; t < T; t++) {
        tokens[t] = t < 2 ? (V - 1) * t : (int32_t)rng_below(&rng, V); /* the first and the last row too */
    }
}

static void rows_are_looked_up(void **state)
{
    const struct tables *tables = *state;
    int32_t tokens[MOST_T];
    tokens_of(tokens, MOST_T);
    for (int table = 0; table < tables->n; table++) {
        for (int d = 1; d < 150; d += 37) {
            const struct ops *ops = tables->ops[table];
            float *rows = random_floats((size_t)V * (size_t)d, 1, 1), *w = matrix_of(ops, rows, V, d);
            float *y = zero_floats((size_t)MOST_T * (size_t)d);
            device_set_threads(1 + d % 3);
            ops->embedding(&(struct embedding_args){.T = MOST_T, .d = d, .V = V, .tokens = tokens, .table = w, .y = y});
            for (int t = 0; t < MOST_T; t++) {
                assert_same_bits(y + (ptrdiff_t)t * d, rows + (ptrdiff_t)tokens[t] * d, (size_t)d, ops->name);
            }
            free(rows);
            free(w);
            free(y);
        }
    }
}

/* dtable row += dy, t ascending, so the sums are fixed to the bit. */
static void gradients_are_added_in_order(void **state)
{
    const struct tables *tables = *state;
    int32_t tokens[MOST_T];
    tokens_of(tokens, MOST_T);
    for (int table = 0; table < tables->n; table++) {
        for (int d = 1; d < 150; d += 37) {
            const struct ops *ops = tables->ops[table];
            float *want = random_floats((size_t)V * (size_t)d, 1, 1), *dtable = matrix_of(ops, want, V, d);
            float *dy = random_floats((size_t)MOST_T * (size_t)d, 1, 2);
            for (int t = 0; t < MOST_T; t++) {
                for (int k = 0; k < d; k++) {
                    want[tokens[t] * d + k] += dy[t * d + k];
                }
            }
            device_set_threads(1 + d % 3);
            ops->embedding_grad(
                &(struct embedding_args){.T = MOST_T, .d = d, .V = V, .tokens = tokens, .dy = dy, .dtable = dtable});
            float *got = rows_of(ops, dtable, V, d);
            assert_same_bits(got, want, (size_t)V * (size_t)d, ops->name);
            free(want);
            free(dtable);
            free(dy);
            free(got);
        }
    }
}

static void rows_are_gathered_and_scattered(void **state)
{
    const struct tables *tables = *state;
    enum { N = 5, WIDTH = 19, M = 7 };
    const int32_t rows[N] = {6, 0, 3, 3, 6};
    for (int table = 0; table < tables->n; table++) {
        const struct ops *ops = tables->ops[table];
        float *x = random_floats(M * WIDTH, 1, 1), *y = zero_floats(N * WIDTH);
        ops->gather_rows(&(struct rows_args){.n_rows = N, .width = WIDTH, .rows = rows, .x = x, .y = y});
        float *want = copy_floats(x, M * WIDTH);
        for (int i = 0; i < N; i++) {
            assert_same_bits(y + (ptrdiff_t)i * WIDTH, x + (ptrdiff_t)rows[i] * WIDTH, WIDTH, "gathered");
            for (int k = 0; k < WIDTH; k++) {
                want[rows[i] * WIDTH + k] += y[i * WIDTH + k];
            }
        }
        ops->scatter_add_rows(&(struct rows_args){.n_rows = N, .width = WIDTH, .rows = rows, .x = y, .y = x});
        assert_same_bits(x, want, M * WIDTH, "scattered");
        free(x);
        free(y);
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_looked_up),
        cmocka_unit_test(gradients_are_added_in_order),
        cmocka_unit_test(rows_are_gathered_and_scattered),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
