/* tests/reward/plugin_test.c - shared objects as rewards, isolated and not (tests/reward/plugins, built beside this test).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "tests/reward/fixture.h"

/* "plugin:path=FOLDER/NAME.so,OPTIONS", the folder that of the plug-ins built with this test. */
static const char *spec(const char *name, const char *options)
{
    static char text[4096 + 256];
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    assert_true(n > 0);
    here[n] = '\0';
    *strrchr(here, '/') = '\0';
    snprintf(text, sizeof text, "plugin:processes=1,path=%s/plugins/%s.so%s", here, name, options);
    return text;
}

static struct verdict ask(struct judge *judge, const char *completion)
{
    return judge_text(judge, str_of(completion), "{\"answer\": \"42\"}");
}

static const char *const both[] = {"", ",isolate=false"};

static void it_scores(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct judge judge = judge_open(spec("judge", both[i]));
        assert_score(ask(&judge, "42"), 1);
        assert_reason(ask(&judge, "41"), VERDICT_OK, "compared");
        assert_score(judge_text(&judge, STR("[1,2]"), "{\"answer\": [1, 2]}"), 1);
        assert_score(judge_text(&judge, STR("\1a"), "{\"answer\": \"\\u0001a\"}"), 1);
        assert_score(judge_text(&judge, STR("\0\xff\xe4\xbb"), "{}"), 0);
        assert_score(judge_text(&judge, STR(""), "{}"), 0);
        json_t *fields = json_loads("{\"gold\": 7}", 0, NULL);
        struct reward_item item = {.prompt = STR("p\n"),
                                   .completion = STR("item"),
                                   .fields = fields,
                                   .n_tokens = 3,
                                   .max_tokens = 9,
                                   .truncated = true};
        struct verdict v = judge_item(&judge, &item);
        assert_score(v, 0);
        assert_true(str_equal(v.extracted, STR("p\n||{\"gold\":7}|1|3|9")));
        json_decref(fields);
        judge_close(&judge);
    }
    struct judge judge = judge_open(spec("judge", ",field=gold"));
    assert_score(judge_text(&judge, STR("7"), "{\"gold\": 7, \"answer\": 8}"), 1);
    judge_close(&judge);
}

static void what_it_says_is_checked(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct judge judge = judge_open(spec("judge", both[i]));
        assert_reason(ask(&judge, "nan"), VERDICT_ERROR, "the score is not a finite number");
        assert_reason(ask(&judge, "abstain"), VERDICT_ABSTAIN, "compared");
        assert_reason(ask(&judge, "error"), VERDICT_ERROR, "no judge at hand");
        assert_reason(ask(&judge, "mute"), VERDICT_ERROR, "score() failed without a message");
        assert_reason(ask(&judge, "status"), VERDICT_ERROR, "score() set no known status");
        assert_reason(ask(&judge, "all"), VERDICT_ERROR, "score() failed");
        struct verdict v = ask(&judge, "no end");
        assert_score(v, 0);
        assert_true(strlen(v.reason) == 199 && v.extracted.length == 0);
        judge_close(&judge);
    }
}

static void a_crash_and_a_hang_cost_one_item(void **state)
{
    (void)state;
    static const struct {
        const char *completion, *want;
    } faults[] = {{"crash", "/judge.so ended: signal 6, Aborted"},
                  {"exit", "/judge.so ended: exit status 5"},
                  {"hang", "/judge.so gave no answer in "}};
    struct judge judge = judge_open(spec("judge", ",timeout=0.5"));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct verdict v = ask(&judge, faults[i].completion);
        assert_int_equal(v.kind, VERDICT_ERROR);
        if (!strstr(v.reason, faults[i].want)) {
            fail_msg("%s", v.reason);
        }
        assert_score(ask(&judge, "42"), 1);
    }
    assert_score(ask(&judge, "print"), 0); /* its stdout is not the dialog's */
    assert_score(ask(&judge, "42"), 1);
    judge_close(&judge);
}

static void a_bad_plugin_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *options, *want;
    } cases[] = {
        {"none", "", "cannot open shared object file: No such file or directory"},
        {"no_symbol", "", "/no_symbol.so: it has no strop_plugin_v1()"},
        {"newer", "", "/newer.so: it has ABI 2, not 1; build it with this strop_plugin.h"},
        {"short", "", "bytes, and ABI 1 has "},
        {"no_score", "", "/no_score.so: it has no score()"},
        {"judge", ",config='{\"a\": 1}'", "/judge.so: create() failed: it takes no configuration, not "},
        {"judge", ",config=1", "reward plugin: config must be a JSON object on one line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int j = 0; j < 2; j++) {
            struct reward_part part;
            char options[128];
            snprintf(options, sizeof options, "%s%s", cases[i].options, both[j]);
            assert_int_not_equal(reward_part_open(&part, spec(cases[i].name, options)), ERR_NONE);
            if (!strstr(err_text(), cases[i].want) || strncmp(err_text(), "reward plugin: ", 15) != 0) {
                fail_msg("%s", err_text());
            }
        }
    }
}

/* In the current folder, not where the system keeps its libraries. */
static void a_bare_name_is_a_file(void **state)
{
    (void)state;
    static const char *const specs[] = {"plugin:path=none.so", "plugin:path=none.so,isolate=false"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct reward_part part;
        assert_int_not_equal(reward_part_open(&part, specs[i]), ERR_NONE);
        if (!strstr(err_text(), "./none.so: cannot open shared object file")) {
            fail_msg("%s", err_text());
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_scores),
        cmocka_unit_test(what_it_says_is_checked),
        cmocka_unit_test(a_crash_and_a_hang_cost_one_item),
        cmocka_unit_test(a_bare_name_is_a_file),
        cmocka_unit_test(a_bad_plugin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
