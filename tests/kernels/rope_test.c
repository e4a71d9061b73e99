/* tests/kernels/rope_test.c - rotary embedding against its written order and fp64, both pairings, and its inverse.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ops.h"

#include "tests/kernels/fixture.h"

enum { T = 90, HEADS = 3, POSITIONS = 50, GAP = 5 };

static void angles(float *cosines, float *sines, int half)
{
    for (int p = 0; p < POSITIONS; p++) {
        for (int i = 0; i < half; i++) {
            double angle = p * pow(10000, -(double)i / half);
            cosines[p * half + i] = (float)cos(angle);
            sines[p * half + i] = (float)sin(angle);
        }
    }
}

static void rope(const struct ops *ops, int D, float *x, const float *cosines, const float *sines, bool interleaved,
                 bool inverse)
{
    int32_t positions[T];
    for (int t = 0; t < T; t++) {
        positions[t] = t * 7 % POSITIONS;
    }
    ops->rope(&(struct rope_args){.T = T,
                                  .n_heads = HEADS,
                                  .D = D,
                                  .x = x,
                                  .x_stride = HEADS * D + GAP,
                                  .positions = positions,
                                  .cos = cosines,
                                  .sin = sines,
                                  .interleaved = interleaved,
                                  .inverse = inverse});
}

/* (a, b) -> (a cos - b sin, b cos + a sin): the product with sin rounded, then one fma */
static void turn(float *x, int D, bool interleaved, bool inverse, const float *cosines, const float *sines)
{
    for (int i = 0; i < D / 2; i++) {
        float *a = interleaved ? &x[2 * i] : &x[i], *b = interleaved ? &x[2 * i + 1] : &x[i + D / 2];
        float c = cosines[i], s = inverse ? -sines[i] : sines[i], was = *a;
        double exact_a = (double)was * (double)c - (double)*b * (double)s;
        double exact_b = (double)*b * (double)c + (double)was * (double)s;
        float bs = *b * s, as = was * s;
        *a = fmaf(was, c, -bs);
        *b = fmaf(*b, c, as);
        assert_near((double)*a, exact_a, 1e-6, "a", (size_t)i);
        assert_near((double)*b, exact_b, 1e-6, "b", (size_t)i);
    }
}

static void heads_turn_by_the_written_order(void **state)
{
    const struct tables *tables = *state;
    static const int widths[] = {2, 6, 16, 32, 40, 64, 128};
    for (int c = 0; c < 4 * (int)(sizeof widths / sizeof *widths); c++) {
        int D = widths[c / 4], half = D / 2;
        bool interleaved = c & 1, inverse = c & 2;
        size_t n = (size_t)T * (size_t)(HEADS * D + GAP);
        float *cosines = zero_floats((size_t)(POSITIONS * half)), *sines = zero_floats((size_t)(POSITIONS * half));
        angles(cosines, sines, half);
        float *x = random_floats(n, 1, 1), *want = copy_floats(x, n);
        for (int t = 0; t < T; t++) {
            for (int h = 0; h < HEADS; h++) {
                ptrdiff_t at = (ptrdiff_t)(t * 7 % POSITIONS) * half;
                turn(want + (ptrdiff_t)t * (HEADS * D + GAP) + (ptrdiff_t)h * D, D, interleaved, inverse, cosines + at,
                     sines + at);
            }
        }
        for (int table = 0; table < tables->n; table++) {
            float *got = copy_floats(x, n);
            device_set_threads(1 + (table + c) % 3);
            rope(tables->ops[table], D, got, cosines, sines, interleaved, inverse);
            assert_same_bits(got, want, n, tables->ops[table]->name);
            free(got);
        }
        free(cosines);
        free(sines);
        free(x);
        free(want);
    }
}

/* Parts of wider heads, into heads of yet another width, and nothing else is written. */
static void a_part_of_each_head_goes_elsewhere(void **state)
{
    const struct tables *tables = *state;
    enum { D = 16, FROM = 40, TO = 56, X_STRIDE = HEADS * FROM + GAP, Y_STRIDE = HEADS * TO };
    float cosines[POSITIONS * D / 2], sines[POSITIONS * D / 2];
    int32_t positions[T];
    angles(cosines, sines, D / 2);
    for (int t = 0; t < T; t++) {
        positions[t] = t * 7 % POSITIONS;
    }
    for (int c = 0; c < 4 * tables->n; c++) {
        const struct ops *ops = tables->ops[c / 4];
        float *x = random_floats((size_t)T * X_STRIDE, 1, 1), *y = random_floats((size_t)T * Y_STRIDE, 1, 2);
        float *want = copy_floats(y, (size_t)T * Y_STRIDE);
        for (int i = 0; i < T * HEADS; i++) {
            int t = i / HEADS, h = i % HEADS, at = positions[t] * D / 2;
            float *to = want + (ptrdiff_t)t * Y_STRIDE + (ptrdiff_t)h * TO + 32;
            memcpy(to, x + (ptrdiff_t)t * X_STRIDE + (ptrdiff_t)h * FROM + 24, D * sizeof *to);
            turn(to, D, c & 1, c & 2, cosines + at, sines + at);
        }
        ops->rope(&(struct rope_args){.T = T,
                                      .n_heads = HEADS,
                                      .D = D,
                                      .x = x + 24,
                                      .x_stride = X_STRIDE,
                                      .x_head = FROM,
                                      .y = y + 32,
                                      .y_stride = Y_STRIDE,
                                      .y_head = TO,
                                      .positions = positions,
                                      .cos = cosines,
                                      .sin = sines,
                                      .interleaved = c & 1,
                                      .inverse = c & 2});
        assert_same_bits(y, want, (size_t)T * Y_STRIDE, ops->name);
        free(x);
        free(y);
        free(want);
    }
}

static void the_inverse_turns_back(void **state)
{
    const struct tables *tables = *state;
    enum { D = 24 };
    float cosines[POSITIONS * D / 2], sines[POSITIONS * D / 2];
    angles(cosines, sines, D / 2);
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        size_t n = (size_t)T * (HEADS * D + GAP);
        float *x = random_floats(n, 1, 1), *y = copy_floats(x, n);
        rope(tables->ops[0], D, y, cosines, sines, interleaved, false);
        rope(tables->ops[0], D, y, cosines, sines, interleaved, true);
        for (size_t i = 0; i < n; i++) {
            assert_near((double)y[i], (double)x[i], 1e-6, "back", i);
        }
        free(x);
        free(y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_turn_by_the_written_order),
        cmocka_unit_test(a_part_of_each_head_goes_elsewhere),
        cmocka_unit_test(the_inverse_turns_back),
    };
    return cmocka_run_group_tests(tests, tables_open, tables_close);
}
