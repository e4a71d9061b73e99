/* tests/reward/strop_reward_test.c - reward/python/strop_reward.py: functions written for others, unchanged.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/plugins/path.h"

#define SERVE(function)                                                                                                \
    "command:processes=1,run='python3 reward/python/strop_reward.py tests/reward/plugins/" function "'"

static struct verdict ask(const char *spec, struct arena *arena, const char *prompt, const char *completion,
                          const char *fields)
{
    struct judge judge = judge_open(spec);
    json_t *row = json_loads(fields, 0, NULL);
    struct reward_item item = {
        .prompt = str_of(prompt), .completion = str_of(completion), .fields = row, .n_tokens = -1};
    struct verdict v = judge_item(&judge, &item);
    v.reason = arena_strdup(arena, v.reason);
    v.extracted.data = arena_strndup(arena, v.extracted.data, v.extracted.length);
    json_decref(row);
    judge_close(&judge);
    return v;
}

static void trl(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    static const char row[] = "{\"prompt\": \"p\", \"answer\": \"42\"}";
    assert_score(ask(SERVE("trl_style.py:accuracy_reward"), &arena, "p", "it is 42", row), 1);
    assert_score(ask(SERVE("trl_style.py:accuracy_reward"), &arena, "p", "it is 41", row), 0);
    static const char chat[] = "{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}]}";
    assert_score(ask(SERVE("trl_style.py:chat_reward"), &arena, "p", "12345", chat), 5);
    assert_score(ask(SERVE("trl_style.py:slow_reward"), &arena, "p", "go", row), 0.25);
    assert_int_equal(ask(SERVE("trl_style.py:slow_reward"), &arena, "p", "skip", row).kind, VERDICT_ABSTAIN);
    arena_release(&arena);
}

static void what_can_be_called_is(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    assert_score(ask(SERVE("trl_style.py:longer_than_3"), &arena, "p", "abcd", "{}"), 1);
    assert_score(ask(SERVE("trl_style.py:longer_than_3"), &arena, "p", "abc", "{}"), 0);
    assert_score(ask(SERVE("trl_style.py:an_object"), &arena, "p", "abc", "{}"), 3);
    arena_release(&arena);
}

static void verl(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    static const char row[] = "{\"data_source\": \"openai/gsm8k\", \"reward_model\": {\"style\": \"rule\","
                              "\"ground_truth\": \"7\"}, \"extra_info\": {\"split\": \"train\"}}";
    struct verdict v = ask(SERVE("verl_style.py"), &arena, "p", "3+4\n#### 7", row);
    assert_score(v, 1);
    assert_true(str_equal(v.extracted, STR("7")));
    assert_score(ask(SERVE("verl_style.py"), &arena, "p", "#### 8", row), 0);
    assert_score(ask(SERVE("verl_style.py:bare_score"), &arena, "p", "abc", "{}"), 1.5);
    arena_release(&arena);
}

static void openrlhf(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    assert_score(ask(SERVE("openrlhf_style.py"), &arena, "1+1=", " 2", "{\"label\": \"2\"}"), 1);
    assert_score(ask(SERVE("openrlhf_style.py"), &arena, "1+1=", " 3", "{\"answer\": 2}"), 0);
    assert_score(ask(SERVE("openrlhf_style.py:only_tensor --form openrlhf"), &arena, "p", "c", "{}"), 0.75);
    arena_release(&arena);
}

static void failures_are_errors(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    static const struct {
        const char *spec, *want;
    } cases[] = {
        {SERVE("trl_style.py:raises"), "ZeroDivisionError: division by zero (trl_style.py:32)"},
        {SERVE("trl_style.py:leaves"), "SystemExit: 3 (trl_style.py:36)"},
        {SERVE("trl_style.py:nan"), "the score is not a finite number"},
        {SERVE("trl_style.py:two_scores"), "ValueError: two_scores gave 2 scores for 1 completion (strop_reward.py:"},
        {SERVE("trl_style.py:needs_ids"), "TypeError: needs_ids needs completion_ids, which the row does not have ("},
        {SERVE("verl_style.py"), "AssertionError:  (verl_style.py:11); the row has no ground_truth, "
                                 "reward_model.ground_truth, answer, solution or label; field=NAME names another"},
        {SERVE("trl_style.py:raises_partly"), "ZeroDivisionError: division by zero (trl_style.py:32)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verdict v = ask(cases[i].spec, &arena, "p", "c", "{}");
        assert_int_equal(v.kind, VERDICT_ERROR);
        if (!str_starts(str_of(v.reason), str_of(cases[i].want))) {
            fail_msg("%s", v.reason);
        }
    }
    arena_release(&arena);
}

static void a_bad_start_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *want;
    } cases[] = {
        {SERVE("trl_style.py"), "name one: tests/reward/plugins/trl_style.py:FUNCTION"},
        {SERVE("trl_style.py:none"), "tests/reward/plugins/trl_style.py has no function none"},
        {SERVE("trl_style.py:A_NUMBER"), "A_NUMBER of tests/reward/plugins/trl_style.py is no function: int"},
        {SERVE("no.py"), "there is no Python file tests/reward/plugins/no.py"},
        {SERVE("trl_style.py:nameless"),
         "the parameters of nameless are of no known form; give --form trl|verl|openrlhf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reward_part part;
        assert_int_equal(reward_part_open(&part, cases[i].spec), ERR_STATE);
        if (!str_ends(str_of(err_text()), str_of(cases[i].want))) {
            fail_msg("%s", err_text());
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trl),      cmocka_unit_test(what_can_be_called_is), cmocka_unit_test(verl),
        cmocka_unit_test(openrlhf), cmocka_unit_test(failures_are_errors),   cmocka_unit_test(a_bad_start_is_told),
    };
    system_python_first();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
