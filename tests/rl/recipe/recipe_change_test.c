/* tests/rl/recipe/recipe_change_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LEAST "model_name_or_path: base\ndataset_name: countdown\nreward_funcs: [countdown]\n"

static void open_text(struct recipe *recipe, const char *text)
{
    if (recipe_parse(recipe, str_of(text), "test") != ERR_NONE || recipe_finish(recipe) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
}

/* What of `kind` differs between the two texts. */
static void assert_changes(const char *before, const char *now, enum recipe_change kind, const char *want)
{
    struct recipe a, b;
    struct strbuf text = STRBUF_INIT;
    open_text(&a, before);
    open_text(&b, now);
    int n = recipe_compare(&a, &b, kind, &text);
    assert_string_equal(text.data ? text.data : "", want);
    assert_int_equal(n == 0, want[0] == '\0');
    strbuf_release(&text);
    recipe_release(&a);
    recipe_release(&b);
}

static void changes_are_named_by_kind(void **state)
{
    (void)state;
    static const char now[] = LEAST "learning_rate: 0.1\nbeta: 0.05\nnum_generations: 4\nmax_steps: 7\nmethod: sft\n";
    assert_changes(LEAST, now, CHANGE_SAID, "beta 0 -> 0.05; learning_rate 1e-06 -> 0.1");
    assert_changes(LEAST, now, CHANGE_BETWEEN, "num_generations 8 -> 4");
    assert_changes(LEAST, now, CHANGE_SILENT, "max_steps 0 -> 7");
    assert_changes(LEAST, now, CHANGE_REFUSED, "method grpo -> sft");
    assert_changes(LEAST, LEAST, CHANGE_SAID, "");
}

/* What is longer has room for a rollout that was made before. */
static void only_shorter_limits_belong_to_the_rollout(void **state)
{
    (void)state;
    static const char at[] = LEAST "max_completion_length: [\"0:64\", \"9:128\"]\nmax_prompt_length: 64\n";
    assert_changes(at, LEAST "max_completion_length: 128\nmax_prompt_length: 65\n", CHANGE_BETWEEN, "");
    assert_changes(at, LEAST "max_completion_length: 127\nmax_prompt_length: 64\n", CHANGE_BETWEEN,
                   "max_completion_length [\"0:64\", \"9:128\"] -> 127");
    assert_changes(at, LEAST "max_completion_length: 128\nmax_prompt_length: 63\n", CHANGE_BETWEEN,
                   "max_prompt_length 64 -> 63");
}

static void long_values_are_cut(void **state)
{
    (void)state;
    struct strbuf now = STRBUF_INIT;
    strbuf_puts(&now, LEAST "template: chat\nsystem_prompt: \"");
    for (int i = 0; i < 60; i++) {
        strbuf_puts(&now, "\xc3\xa4"); /* two bytes each: cut between two of them */
    }
    strbuf_puts(&now, "\"\n");
    struct recipe a, b;
    struct strbuf text = STRBUF_INIT;
    open_text(&a, LEAST);
    open_text(&b, now.data);
    assert_int_equal(recipe_compare(&a, &b, CHANGE_BETWEEN, &text), 1);
    assert_true(str_ends(strbuf_view(&text), STR("\xc3\xa4...")));
    assert_true(text.length < 120);
    strbuf_release(&text);
    strbuf_release(&now);
    recipe_release(&a);
    recipe_release(&b);
}

/* Written with a rollout and read back, its keys are what they were. */
static void a_rollouts_keys_come_back(void **state)
{
    (void)state;
    struct recipe a, b;
    struct strbuf keys = STRBUF_INIT, text = STRBUF_INIT;
    open_text(&a, "model_name_or_path: base\ndataset_name: countdown\nseed: 7\nstop: [\"a, b\", "
                  "x]\nmax_completion_length: [\"0:5\", \"3:9\"]\ntop_p: 0.9\n"
                  "reward_funcs: [{name: format, mode: graded}, {name: countdown, weight: 0.5}]\nlearning_rate: 1\n");
    recipe_write_between(&a, &keys);
    assert_null(strstr(keys.data, "learning_rate"));
    assert_non_null(strstr(keys.data, "num_generations: 8\n"));
    assert_int_equal(recipe_parse(&b, strbuf_view(&keys), "keys"), ERR_NONE);
    assert_int_equal(recipe_compare(&a, &b, CHANGE_BETWEEN, &text), 0);
    strbuf_release(&keys);
    strbuf_release(&text);
    recipe_release(&a);
    recipe_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_named_by_kind),
        cmocka_unit_test(only_shorter_limits_belong_to_the_rollout),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_rollouts_keys_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
