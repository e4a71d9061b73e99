/* tests/reward/set_test.c - several rewards as one.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#include "tests/reward/fixture.h"

static const struct reward_spec two[] = {{"countdown:weight=2"}, {"format:mode=graded,weight=0.5,label=shape"}};

/* Judges one completion with `two`. The judgement lives in `arena`. */
static enum err judge_two(enum reward_on_error on_error, const char *completion, const char *fields,
                          struct arena *arena, struct judgement *out)
{
    struct reward_set *set;
    json_t *object = json_loads(fields, 0, NULL);
    struct reward_item item = {.completion = str_of(completion), .fields = object, .n_tokens = -1};
    assert_int_equal(reward_set_open(&set, two, 2, on_error, 10, 2), ERR_NONE);
    assert_int_equal(reward_set_count(set), 2);
    assert_string_equal(reward_set_label(set, 0), "countdown");
    assert_string_equal(reward_set_label(set, 1), "shape");
    assert_true(reward_set_weight(set, 0) == 2 && reward_set_weight(set, 1) == 0.5);
    enum err result = reward_judge(set, &item, 1, arena, out);
    reward_set_close(set);
    json_decref(object);
    return result;
}

#define RIGHT  "<think>x</think><answer>3*4</answer>"
#define FIELDS "{\"nums\": [3, 4], \"target\": 12}"

static void the_total_is_the_weighted_sum(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct judgement j;
    assert_int_equal(judge_two(ON_ERROR_DROP, RIGHT, FIELDS, &arena, &j), ERR_NONE);
    assert_false(j.dropped);
    assert_near(j.total, 2.5);
    assert_near(j.parts[0].score, 1);
    assert_true(str_equal(j.parts[0].extracted, STR("3*4"))); /* the set is closed: this is a copy */
    assert_string_equal(j.parts[1].reason, "share of tags");
    assert_true(j.seconds[0] >= 0 && j.seconds[0] < 5);
    assert_int_equal(judge_two(ON_ERROR_DROP, "<think>x</think>3+4", FIELDS, &arena, &j), ERR_NONE);
    assert_near(j.total, 0.25);
    arena_release(&arena);
}

static double total_of(const struct reward_spec *specs, int n, const char *completion)
{
    struct reward_set *set;
    struct arena arena = ARENA_INIT;
    struct judgement j;
    json_t *row = json_loads(FIELDS, 0, NULL);
    struct reward_item item = {.completion = str_of(completion), .fields = row, .n_tokens = -1};
    assert_int_equal(reward_set_open(&set, specs, n, ON_ERROR_DROP, 10, 1), ERR_NONE);
    assert_int_equal(reward_judge(set, &item, 1, &arena, &j), ERR_NONE);
    double total = j.total;
    reward_set_close(set);
    arena_release(&arena);
    json_decref(row);
    return total;
}

static void a_part_may_wait_for_the_right_answer(void **state)
{
    (void)state;
    const struct reward_spec specs[] = {{"format:weight=0.5,only_if_right"}, {"countdown"}};
    assert_near(total_of(specs, 2, RIGHT), 1.5);
    assert_near(total_of(specs, 2, "<think>x</think><answer>3+4</answer>"), 0);
    assert_near(total_of(specs, 2, "<answer>3*4</answer>"), 1);
    struct reward_set *set;
    assert_int_equal(reward_set_open(&set, specs, 1, ON_ERROR_DROP, 10, 1), ERR_USAGE);
    assert_string_equal(err_text(), "every reward has only_if_right; one of them must say what is right");
}

static void errors_drop_count_as_zero_or_abort(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct judgement j;
    assert_int_equal(judge_two(ON_ERROR_DROP, RIGHT, "{}", &arena, &j), ERR_NONE);
    assert_true(j.dropped);
    assert_reason(j.parts[0], VERDICT_ERROR, "missing field 'nums'");
    assert_int_equal(judge_two(ON_ERROR_ZERO, RIGHT, "{}", &arena, &j), ERR_NONE);
    assert_false(j.dropped);
    assert_near(j.total, 0.5);
    assert_int_equal(judge_two(ON_ERROR_ABORT, RIGHT, "{}", &arena, &j), ERR_STATE);
    assert_string_equal(err_text(), "the reward countdown failed on item 0: missing field 'nums'");
    arena_release(&arena);
}

static void labels_differ(void **state)
{
    (void)state;
    struct reward_set *set;
    static const struct reward_spec same[] = {{"format"}, {"countdown:label=format"}};
    assert_int_equal(reward_set_open(&set, same, 2, ON_ERROR_DROP, 1, 1), ERR_USAGE);
    assert_string_equal(err_text(), "two rewards are called 'format'; give one another label=NAME");
    static const struct reward_spec bad[] = {{"format"}, {"countdwn"}};
    assert_int_equal(reward_set_open(&set, bad, 2, ON_ERROR_DROP, 1, 1), ERR_USAGE);
}

/* ---- kinds of this test only ---- */

static int n_closed;

static struct verdict judge_infinite(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    (void)state, (void)item, (void)call;
    return verdict_ok((double)INFINITY, "large", (struct str){0});
}

static enum err open_fails(void *state, const struct reward_values *values)
{
    (void)values;
    *(int *)state = 5;
    return err_set(ERR_USAGE, "no");
}

static void count_close(void *state)
{
    n_closed += *(int *)state == 5;
}

static void a_score_is_finite(void **state)
{
    (void)state;
    static const struct reward_kind infinite = {.name = "infinite", .judge = judge_infinite};
    struct reward_part part = {.values = {.kind = &infinite}};
    struct reward_item item = {0};
    struct reward_call call = {0};
    assert_reason(reward_part_judge(&part, &item, &call), VERDICT_ERROR, "the score is not a finite number");
    static const struct reward_kind failing = {
        .name = "failing", .open = open_fails, .close = count_close, .state_bytes = sizeof(int)};
    struct reward_part opened = {.values = {.kind = &failing}, .state = mem_zero(sizeof(int))};
    assert_int_equal(failing.open(opened.state, &opened.values), ERR_USAGE);
    reward_part_close(&opened);
    assert_int_equal(n_closed, 1);
    assert_null(opened.state);
    reward_part_close(&opened);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; reward_kinds[i]; i++) {
        const struct reward_kind *kind = reward_kinds[i];
        assert_ptr_equal(reward_find(kind->name), kind);
        assert_non_null(kind->judge);
        assert_non_null(kind->fields);
        assert_true(kind->help && *kind->help && kind->help[strlen(kind->help) - 1] != '.');
        int n = 0;
        for (const struct reward_option *o = kind->options; o && o->name; o++, n++) {
            assert_true(o->help && *o->help);
            assert_true((o->type == OPTION_CHOICE) == (o->choices != NULL));
            assert_true(strcmp(o->name, "weight") != 0 && strcmp(o->name, "label") != 0);
        }
        assert_true(n <= OPTIONS_MAX);
    }
    assert_null(reward_find("no such"));
}

/* Options for kinds that cannot do without; the rest of the table is opened by name. */
static const char *const with_options[] = {
    "length:target=5",
    "soft_overlong:soft_punish_cache=5",
    "cosine_length:correct=exact",
    "command:processes=1,timeout=5,run='python3 tests/reward/plugins/judge.py'",
    "http:url=http://127.0.0.1:1/,retries=0", /* nobody is there */
    "plugin:path=tests/no/such.so",           /* left out here; plugin_test.c gives it any bytes */
    NULL,
};

static const char *text_for(const char *kind)
{
    for (int i = 0; with_options[i]; i++) {
        if (str_starts(str_of(with_options[i]), str_of(kind))) {
            return with_options[i];
        }
    }
    return kind;
}

static void every_kind_takes_any_bytes_and_no_fields(void **state)
{
    (void)state;
    static const struct str texts[] = {
        {NULL, 0},           {"", 0},         {"\0", 1},       {"\xff\xfe<answer>\xc3</answer>\xe4\xbb", 23},
        {"\xed\xa0\x80", 3}, {"<answer>", 8}, {"</think>", 8}, {"<think>\0</think>\0<answer>\0</answer>\0", 37},
    };
    for (int i = 0; reward_kinds[i]; i++) {
        struct judge judge = {0};
        enum err opened = reward_part_open(&judge.part, text_for(reward_kinds[i]->name));
        if (opened != ERR_NONE && opened != ERR_USAGE) { /* it needs what this machine lacks, such as namespaces */
            print_message("left out: %s\n", err_text());
            continue;
        }
        assert_int_equal(opened, ERR_NONE);
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            for (int n_tokens = -1; n_tokens < 2; n_tokens++) {
                json_t *none = json_object();
                struct reward_item item = {
                    .completion = texts[t], .fields = none, .n_tokens = n_tokens, .max_tokens = n_tokens == 1 ? 9 : 0};
                struct verdict v = judge_item(&judge, &item);
                assert_true(v.kind == VERDICT_OK || (v.reason && *v.reason));
                assert_true(v.kind != VERDICT_OK || isfinite(v.score));
                json_decref(none);
            }
        }
        judge_close(&judge);
    }
}

static void rows_are_checked_without_a_completion(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *row, *want; /* NULL: it can be judged */
    } cases[] = {
        {"gsm8k", "{\"answer\": \"#### 4\"}", NULL},
        {"gsm8k", "{\"x\": 1}", "gsm8k: missing field 'answer'"},
        {"gsm8k:label=right", "{\"answer\": \"no number\"}", "right: the reference cannot be read: "},
        {"countdown", "{\"nums\": [1, 2], \"target\": 3}", NULL},
        {"countdown", "{\"nums\": [1, 2]}", "countdown: missing field 'target'"},
        {"format", "{}", NULL},
        {"repetition", "{}", NULL},
        {"language:field=lang", "{\"lang\": \"fr\"}", NULL},
        {"language:field=lang", "{\"lang\": \"xx\"}", "language: there is no language 'xx'"},
        {"cosine_length:correct=math", "{\"answer\": 4}", NULL},
        {"cosine_length:correct=math", "{}", "cosine_length: missing field 'answer'"},
        {"ifeval", "{}", "ifeval: missing field 'instruction_id_list'"},
        {"http:url='http://127.0.0.1:1/',field=gold", "{\"gold\": 1}", NULL},
        {"http:url='http://127.0.0.1:1/',field=gold", "{\"answer\": 1}", "http: missing field 'gold'"},
        {"http:url='http://127.0.0.1:1/'", "{}", NULL},
        {"http:url='http://127.0.0.1:1/',form=sandbox_fusion", "{}", "http: missing field: 'test' with "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        struct reward_set *set;
        json_t *row = json_loads(cases[i].row, 0, NULL);
        if (reward_set_open(&set, &(struct reward_spec){cases[i].spec}, 1, ON_ERROR_DROP, 1, 1) != ERR_NONE) {
            fail_msg("%s: %s", cases[i].spec, err_text());
        }
        const char *wrong = reward_set_check(set, row, &arena);
        if (cases[i].want ? !wrong || !str_starts(str_of(wrong), str_of(cases[i].want)) : wrong != NULL) {
            fail_msg("%s on %s: %s", cases[i].spec, cases[i].row, wrong ? wrong : "can be judged");
        }
        assert_null(reward_set_dead(set, &arena));
        reward_set_close(set);
        json_decref(row);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_total_is_the_weighted_sum),
        cmocka_unit_test(a_part_may_wait_for_the_right_answer),
        cmocka_unit_test(errors_drop_count_as_zero_or_abort),
        cmocka_unit_test(labels_differ),
        cmocka_unit_test(a_score_is_finite),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(rows_are_checked_without_a_completion),
        cmocka_unit_test(every_kind_takes_any_bytes_and_no_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
