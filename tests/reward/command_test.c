/* tests/reward/command_test.c - a reward program, and everything that it can do wrong (tests/reward/plugins/judge.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reward/workers.h"
#include "tests/reward/plugins/path.h"

#define JUDGE "command:processes=1,run='python3 tests/reward/plugins/judge.py'"

static struct verdict ask(struct judge *judge, const char *completion)
{
    return judge_text(judge, str_of(completion), "{\"answer\": 42}");
}

static void assert_works(struct judge *judge)
{
    assert_score(ask(judge, "score 2.5"), 2.5);
}

static void it_scores(void **state)
{
    (void)state;
    struct judge judge = judge_open(JUDGE);
    struct verdict v = ask(&judge, "score 1");
    assert_reason(v, VERDICT_OK, "half");
    assert_true(str_equal(v.extracted, STR("1")));
    assert_score(ask(&judge, "score -3e2"), -300);
    assert_score(ask(&judge, "score true"), 1);
    assert_score(ask(&judge, "score false"), 0);
    assert_reason(ask(&judge, "score null"), VERDICT_ABSTAIN, "half");
    assert_reason(ask(&judge, "error for good"), VERDICT_ERROR, "judge 503");
    assert_score(judge_text(&judge, STR("\0\xff\n\"\\"), "{}"), 0.5);
    judge_close(&judge);
}

static void it_is_told_the_item(void **state)
{
    (void)state;
    struct judge judge = judge_open(JUDGE);
    json_t *fields = json_loads("{\"answer\": 1, \"reward_model\": {\"ground_truth\": \"x\"}}", 0, NULL);
    struct reward_item item = {
        .prompt = STR("\xc3\xa9\n"), .completion = STR("truth"), .fields = fields, .n_tokens = 7, .truncated = true};
    struct verdict v = judge_item(&judge, &item);
    assert_true(str_equal(v.extracted, STR("[\"x\", \"\\u00e9\\n\", \"length\", 7]")));
    json_decref(fields);
    judge_close(&judge);
    judge = judge_open(JUDGE ",field=gold");
    v = judge_text(&judge, STR("truth"), "{\"answer\": 1, \"gold\": [2]}");
    assert_true(str_equal(v.extracted, STR("[[2], \"\", \"stop\", -1]")));
    v = judge_text(&judge, STR("truth"), "{\"answer\": 1}");
    assert_true(str_equal(v.extracted, STR("[null, \"\", \"stop\", -1]")));
    judge_close(&judge);
}

static void faults_are_errors_and_it_goes_on(void **state)
{
    (void)state;
    static const struct {
        const char *completion, *want;
    } faults[] = {
        {"die", "python3 ended: exit status 3; it said last: no more"},
        {"segfault", "python3 ended: signal 11, Segmentation fault"},
        {"hang", "python3 gave no answer in "},
        {"garbage", "python3 broke the protocol: its line is no JSON object: \"\\u0000"},
        {"flood_out", "python3 answered with more than 1048576 bytes in a line"},
        {"flood_log", "python3 gave no answer in "},
        {"score NaN", "the score is not a finite number"},
        {"score -Infinity", "the score is not a finite number"},
        {"score \"1\"", "the score is not a finite number"},
        {"score 1e999", "the score is not a finite number"},
        {"id", "python3 broke the protocol: its result is for another item than \""},
        {"seq", "python3 broke the protocol: it answered another request than "},
        {"none", "python3 broke the protocol: it gave 0 results for 1 item"},
        {"two", "python3 broke the protocol: it gave 2 results for 1 item"},
        {"no_score", "python3 broke the protocol: its result has neither a score nor an error"},
        {"close_out", "python3 ended: it closed its input or output"},
    };
    struct judge judge = judge_open(JUDGE ",timeout=0.3");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        double start = clock_seconds();
        struct verdict v = ask(&judge, faults[i].completion);
        if (v.kind != VERDICT_ERROR || !str_starts(str_of(v.reason), str_of(faults[i].want))) {
            print_error("%s: got %d \"%s\"\n", faults[i].completion, (int)v.kind, v.reason);
        }
        assert_int_equal(v.kind, VERDICT_ERROR);
        assert_true(str_starts(str_of(v.reason), str_of(faults[i].want)));
        assert_works(&judge);
        assert_true(clock_seconds() - start < 20);
    }
    judge_close(&judge);
}

/* More than a pipe holds; not in time that grows with the square. */
static void a_long_text_goes_through(void **state)
{
    (void)state;
    enum { LENGTH = 16 << 20 };
    struct judge judge = judge_open(JUDGE);
    char *text = mem_alloc(LENGTH);
    memset(text, 'x', LENGTH);
    assert_score(judge_text(&judge, (struct str){text, LENGTH}, "{}"), 0.5);
    free(text);
    judge_close(&judge);
}

static void what_can_be_mended_is(void **state)
{
    (void)state;
    char path[64], text[96];
    snprintf(path, sizeof path, "/tmp/strop_command_%d", (int)getpid());
    snprintf(text, sizeof text, "die_once %s", path);
    unlink(path);
    struct judge judge = judge_open(JUDGE);
    assert_score(ask(&judge, text), 0.5);
    unlink(path);
    assert_score(ask(&judge, "flood_err"), 0.5);
    assert_score(ask(&judge, "twice"), 0.5); /* the second answer meets the next request */
    assert_works(&judge);
    assert_score(ask(&judge, "close_in"), 0.5);
    assert_works(&judge);
    judge_close(&judge);
}

static void nothing_is_left_running(void **state)
{
    (void)state;
    struct judge judge = judge_open(JUDGE);
    struct verdict v = ask(&judge, "pid");
    assert_int_equal(v.kind, VERDICT_OK);
    assert_int_equal(kill((pid_t)v.score, 0), 0);
    judge_close(&judge);
    assert_int_equal(kill((pid_t)v.score, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void a_bad_start_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *want;
    } cases[] = {
        {"command:run='tests/no/such'", "reward command: cannot start 'tests/no/such': No such file or directory"},
        {"command:run='python3 tests/reward/plugins/judge.py dies'",
         "reward command: python3 ended: exit status 1; it said last: cannot import name x"},
        {"command:start_timeout=0.2,run='python3 tests/reward/plugins/judge.py hangs'",
         "reward command: python3 was not ready in 0.2 s (start_timeout)"},
        {"command:run='python3 tests/reward/plugins/judge.py newer'",
         "reward command: python3 broke the protocol: it speaks protocol 2, not 1"},
        {"command:run='python3 tests/reward/plugins/judge.py groups'",
         "reward command: python3 broke the protocol: it wants whole groups, and rewards are asked item by item"},
        {"command:run=' '", "reward command: run is empty; name a program: run='python3 judge.py'"},
        {"command:run='a \"b'", "reward command: a quote is not closed in run: a \"b"},
        {"command:run=a,config=[]", "reward command: config must be a JSON object on one line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reward_part part;
        assert_int_not_equal(reward_part_open(&part, cases[i].spec), ERR_NONE);
        assert_string_equal(err_text(), cases[i].want);
    }
}

static void words_and_shell(void **state)
{
    (void)state;
    struct judge judge = judge_open("command:processes=1,run='\"python\"3 ''tests/reward/plugins/judge.py'' a\\ b'");
    assert_works(&judge);
    judge_close(&judge);
    judge = judge_open("command:processes=1,shell,run='cd tests && exec python3 reward/plugins/judge.py'");
    assert_works(&judge);
    judge_close(&judge);
}

/* A start longer than an item may take is not begun again for each item. */
static void a_slow_start_goes_on(void **state)
{
    (void)state;
    struct judge judge = judge_open("command:processes=1,run='python3 tests/reward/plugins/judge.py slow'");
    json_t *none = json_object();
    struct reward_item item = {.completion = STR("die"), .fields = none, .n_tokens = -1};
    struct verdict v = {0};
    for (int i = 0; i < 100 && v.kind != VERDICT_OK; i++) {
        struct reward_call call = {.arena = &judge.arena, .deadline = clock_seconds() + (i ? 0.1 : 10)};
        v = reward_part_judge(&judge.part, &item, &call);
        item.completion = STR("score 1");
        assert_true(i > 0 || v.kind == VERDICT_ERROR);
        assert_true(i != 1 || strcmp(v.reason, "python3 is still starting") == 0 || v.kind == VERDICT_OK);
    }
    assert_int_equal(v.kind, VERDICT_OK);
    json_decref(none);
    judge_close(&judge);
}

static void many_threads_share_the_processes(void **state)
{
    (void)state;
    enum { N = 200 };
    static const struct reward_spec spec = {"command:processes=2,run='python3 tests/reward/plugins/judge.py'"};
    static struct reward_item items[N];
    static struct judgement judgements[N];
    struct arena arena = ARENA_INIT;
    struct reward_set *set = NULL;
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        const char *text = i % 50 == 7 ? "die" : arena_printf(&arena, "score %d", i);
        items[i] = (struct reward_item){.completion = str_of(text), .fields = none, .n_tokens = -1};
    }
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 20, 8), ERR_NONE);
    assert_int_equal(reward_judge(set, items, N, &arena, judgements), ERR_NONE);
    for (int i = 0; i < N; i++) {
        assert_int_equal(judgements[i].dropped, i % 50 == 7);
        assert_true(judgements[i].total == (i % 50 == 7 ? 0 : i));
    }
    reward_set_close(set);
    json_decref(none);
    arena_release(&arena);
}

/* One that only ever dies is given up after a few deaths, with its last words, and costs no more time. */
static void one_that_always_fails_is_given_up(void **state)
{
    (void)state;
    struct judge judge = judge_open(JUDGE);
    double start = clock_seconds();
    assert_works(&judge);
    for (int i = 0; i < WORKERS_LOST / 2; i++) {
        assert_null(reward_part_dead(&judge.part, &judge.arena));
        assert_reason(ask(&judge, "die"), VERDICT_ERROR, "python3 ended: exit status 3; it said last: no more");
    }
    const char *why = "python3 failed 6 times in a row and is not asked any more; the last time: python3 ended: exit "
                      "status 3; it said last: no more";
    assert_string_equal(reward_part_dead(&judge.part, &judge.arena), why);
    for (int i = 0; i < 1000; i++) {
        assert_reason(ask(&judge, "score 1"), VERDICT_ERROR, why);
    }
    assert_true(clock_seconds() - start < 20);
    judge_close(&judge);
}

static double stop_at;

static bool stop_now(void)
{
    return clock_seconds() > stop_at;
}

static void judging_can_be_stopped(void **state)
{
    (void)state;
    static const struct reward_spec spec = {JUDGE};
    struct reward_item items[3];
    struct judgement judgements[3];
    struct arena arena = ARENA_INIT;
    struct reward_set *set = NULL;
    json_t *none = json_object();
    for (int i = 0; i < 3; i++) {
        items[i] = (struct reward_item){.completion = STR("hang"), .fields = none, .n_tokens = -1};
    }
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 300, 3), ERR_NONE);
    reward_set_stop(set, stop_now);
    stop_at = clock_seconds() + 0.3;
    double start = clock_seconds();
    assert_int_equal(reward_judge(set, items, 3, &arena, judgements), ERR_STOPPED);
    assert_true(clock_seconds() - start < 5);
    assert_null(reward_set_dead(set, &arena));
    reward_set_close(set);
    json_decref(none);
    arena_release(&arena);
}

/* Gone, or dead and not yet collected by whoever has it now. */
static bool is_dead(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) {
        fclose(file);
    }
    const char *name_end = n ? strrchr(text, ')') : NULL;
    return !name_end || name_end[2] == 'Z' || name_end[2] == 'X';
}

/* In a process that is killed while its reward works. */
static void be_killed(int report)
{
    struct judge judge = judge_open("command:shell,processes=1,run='python3 tests/reward/plugins/judge.py; true'");
    pid_t pids[2] = {(pid_t)ask(&judge, "pid").score, (pid_t)ask(&judge, "spawn").score};
    (void)!write(report, pids, sizeof pids);
    ask(&judge, "hang");
    _exit(0);
}

static void it_dies_with_us(void **state)
{
    (void)state;
    int report[2];
    pid_t pids[2] = {0};
    assert_int_equal(pipe(report), 0);
    pid_t ours = fork();
    if (ours == 0) {
        be_killed(report[1]);
    }
    assert_int_equal(read(report[0], pids, sizeof pids), sizeof pids);
    assert_true(pids[0] > 0 && pids[1] > 0 && !is_dead(pids[0]) && !is_dead(pids[1]));
    kill(ours, SIGKILL);
    waitpid(ours, NULL, 0);
    double start = clock_seconds();
    while (clock_seconds() - start < 20 && !(is_dead(pids[0]) && is_dead(pids[1]))) {
        usleep(10000);
    }
    assert_true(is_dead(pids[0]) && is_dead(pids[1]));
    close(report[0]);
    close(report[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_scores),
        cmocka_unit_test(it_is_told_the_item),
        cmocka_unit_test(faults_are_errors_and_it_goes_on),
        cmocka_unit_test(a_long_text_goes_through),
        cmocka_unit_test(what_can_be_mended_is),
        cmocka_unit_test(nothing_is_left_running),
        cmocka_unit_test(a_bad_start_is_told),
        cmocka_unit_test(words_and_shell),
        cmocka_unit_test(a_slow_start_goes_on),
        cmocka_unit_test(many_threads_share_the_processes),
        cmocka_unit_test(one_that_always_fails_is_given_up),
        cmocka_unit_test(judging_can_be_stopped),
        cmocka_unit_test(it_dies_with_us),
    };
    system_python_first();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
