/* tests/rl/data/tiny_text_test.c - 20,000 texts of either phase against the statistics of the definition
 * (tests/golden/make_generators.py). Draws are fixed by the seed, so the test is not a matter of luck.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/json.h"
#include "rl/data/countdown.h"
#include "rl/data/generator.h"

enum { TEXTS = 20000, MOST = 64, KINDS = 4 };
static const char *const kinds[KINDS] = {"guess", "search", "short", "arith"};

struct tally {
    int n, right;
    double sums[MOST];
};

static void count_text(struct tally *tally, const json_t *phrases, struct str text)
{
    size_t n_phrases = json_array_size(phrases);
    for (size_t i = 0; i < n_phrases; i++) {
        struct str phrase = str_of(json_string_value(json_array_get(phrases, i)));
        for (ptrdiff_t at = str_find(text, phrase, 0); at >= 0;
             at = str_find(text, phrase, (size_t)at + phrase.length)) {
            tally->sums[i]++;
        }
    }
    tally->sums[n_phrases] += (double)text.length;
}

static int kind_of(const json_t *fields)
{
    const char *name = json_string_value(json_object_get(fields, "kind"));
    for (int k = 0; k < KINDS; k++) {
        if (strcmp(kinds[k], name) == 0) {
            return k;
        }
    }
    fail_msg("unknown kind %s", name);
    return 0;
}

/* Both samples have errors; six standard deviations leave no room for chance over 500 comparisons. */
static void assert_near(double got, double want, double variance, double n, double n_golden, const char *what)
{
    double deviation = sqrt((variance + 1e-9) * (1 / n + 1 / n_golden));
    if (fabs(got - want) > 6 * deviation + 1e-5) {
        fail_msg("%s: got %g, want %g, %.1f standard deviations apart", what, got, want, fabs(got - want) / deviation);
    }
}

static void compare(const struct tally *tallies, const json_t *want, const json_t *phrases, double n_golden)
{
    size_t n_phrases = json_array_size(phrases);
    for (int k = 0; k < KINDS; k++) {
        const struct tally *t = &tallies[k];
        const json_t *kind = json_object_get(want, kinds[k]);
        double share = kind ? json_number_value(json_object_get(kind, "share")) : 0;
        double right = kind ? json_number_value(json_object_get(kind, "right")) : 0;
        assert_near((double)t->n / TEXTS, share, share * (1 - share), TEXTS, n_golden, kinds[k]);
        if (t->n == 0) {
            continue;
        }
        double n_kind = n_golden * share;
        assert_near((double)t->right / t->n, right, right * (1 - right), t->n, n_kind, "right");
        for (size_t i = 0; i <= n_phrases; i++) {
            char what[80];
            snprintf(what, sizeof what, "%s: '%s'", kinds[k],
                     i < n_phrases ? json_string_value(json_array_get(phrases, i)) : "length");
            assert_near(t->sums[i] / t->n, json_number_value(json_array_get(json_object_get(kind, "mean"), i)),
                        json_number_value(json_array_get(json_object_get(kind, "variance"), i)), t->n, n_kind, what);
        }
    }
}

static void texts_are_distributed_as_defined(void **state)
{
    (void)state;
    json_t *golden = NULL;
    if (json_parse_file(&golden, "tests/golden/generators.json", 1 << 20) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    const json_t *phrases = json_object_get(golden, "phrases");
    assert_true(json_array_size(phrases) > 30 && json_array_size(phrases) < MOST);
    struct arena arena = ARENA_INIT;
    static const char *const phases[] = {"mix", "skill"};
    for (int p = 0; p < 2; p++) {
        struct generator generator;
        struct tally tallies[KINDS] = {{0}};
        assert_int_equal(generator_open(&generator, p ? "tiny-text:phase=skill" : "tiny-text", 5), ERR_NONE);
        for (int i = 0; i < TEXTS; i++) {
            struct generator_item item;
            generator_make(&generator, i, &arena, &item);
            struct tally *tally = &tallies[kind_of(item.fields)];
            tally->n++;
            tally->right += json_is_true(json_object_get(item.fields, "right"));
            count_text(tally, phrases, item.text);
            json_decref(item.fields);
            arena_reset(&arena);
        }
        compare(tallies, json_object_get(golden, phases[p]), phrases,
                json_number_value(json_object_get(golden, "texts")));
    }
    arena_release(&arena);
    json_decref(golden);
}

/* No text has a set of numbers that reinforcement or evaluation uses. */
static void held_out_problems_are_not_in_the_texts(void **state)
{
    (void)state;
    struct generator generator;
    struct arena arena = ARENA_INIT;
    assert_int_equal(generator_open(&generator, "tiny-text:number_most=12", 1), ERR_NONE);
    int n_problems = 0;
    for (int i = 0; i < 5000; i++) {
        struct generator_item item;
        generator_make(&generator, i, &arena, &item);
        int n[3], target;
        if (sscanf(item.text.data, "User: %d, %d, %d make %d.", &n[0], &n[1], &n[2], &target) == 4) {
            n_problems++;
            assert_int_equal(countdown_split_of(n, 3), SPLIT_PRE);
        }
        json_decref(item.fields);
        arena_reset(&arena);
    }
    assert_true(n_problems > 4000);
    arena_release(&arena);
}

static void the_first_texts_may_be_of_the_other_phase(void **state)
{
    (void)state;
    struct generator first, skill, mix;
    struct arena arena = ARENA_INIT;
    assert_int_equal(generator_open(&first, "tiny-text:skill_first=50", 3), ERR_NONE);
    assert_int_equal(generator_open(&skill, "tiny-text:phase=skill", 3), ERR_NONE);
    assert_int_equal(generator_open(&mix, "tiny-text", 3), ERR_NONE);
    for (int i = 0; i < 100; i++) {
        struct generator_item got, want;
        generator_make(&first, i, &arena, &got);
        generator_make(i < 50 ? &skill : &mix, i, &arena, &want);
        assert_true(str_equal(got.text, want.text));
        json_decref(got.fields);
        json_decref(want.fields);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_distributed_as_defined),
        cmocka_unit_test(held_out_problems_are_not_in_the_texts),
        cmocka_unit_test(the_first_texts_may_be_of_the_other_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
