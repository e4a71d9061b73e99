/* tests/reward/http_test.c - a reward server, each form, and everything that it can do wrong (tests/reward/http_server.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/reward/fixture.h"
#include "tests/reward/http_server.h"

/* A reward that asks the server; `options` behind "http:url=.../PATH". */
static const char *spec_of(const struct server *s, const char *options)
{
    static char text[512];
    snprintf(text, sizeof text, "http:url=http://127.0.0.1:%d/%s", s->port, options);
    return text;
}

static struct verdict ask(struct judge *judge, const char *completion)
{
    return judge_text(judge, str_of(completion), "{\"answer\": 42}");
}

/* The reason is the url, then `want` and perhaps more. */
static void assert_failed(struct verdict v, const struct server *s, const char *path, const char *want)
{
    char begin[256];
    snprintf(begin, sizeof begin, "http://127.0.0.1:%d/%s%s", s->port, path, want);
    if (v.kind != VERDICT_ERROR || !str_starts(str_of(v.reason), str_of(begin))) {
        print_error("wanted \"%s\", got %d \"%s\"\n", begin, (int)v.kind, v.reason);
    }
    assert_int_equal(v.kind, VERDICT_ERROR);
    assert_true(str_starts(str_of(v.reason), str_of(begin)));
}

/* A count that the server's threads keep. */
static int count_of(struct server *s, const int *count)
{
    pthread_mutex_lock(&s->lock);
    int n = *count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static int requests(struct server *s)
{
    return count_of(s, &s->n_requests);
}

static void it_scores(void **state)
{
    (void)state;
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native"));
    assert_reason(ask(&judge, "score 1"), VERDICT_OK, "half");
    assert_score(ask(&judge, "score -3e2"), -300);
    assert_score(ask(&judge, "score true"), 1);
    assert_reason(ask(&judge, "score null"), VERDICT_ABSTAIN, "half");
    assert_reason(ask(&judge, "error for good"), VERDICT_ERROR, "judge: for good");
    assert_reason(ask(&judge, "score NaN"), VERDICT_ERROR, "the score is not a finite number");
    assert_reason(ask(&judge, "score -Infinity"), VERDICT_ERROR, "the score is not a finite number");
    assert_reason(ask(&judge, "score \"1\""), VERDICT_ERROR, "the score is not a finite number");
    assert_score(judge_text(&judge, STR("\0\xff\n\"\\"), "{}"), 0.5);
    judge_close(&judge);
    assert_int_equal(count_of(s, &s->n_connections), 1); /* kept and used again */
    assert_int_equal(requests(s), 9);
    server_stop(s);
}

static json_t *last_body(struct server *s)
{
    json_t *body = NULL;
    pthread_mutex_lock(&s->lock);
    assert_int_equal(json_parse(&body, strbuf_view(&s->body), "body"), ERR_NONE);
    pthread_mutex_unlock(&s->lock);
    return body;
}

static void assert_header(struct server *s, const char *name, const char *want)
{
    pthread_mutex_lock(&s->lock);
    struct str got = server_header(str_of(s->head), name);
    assert_true(str_equal(got, str_of(want)));
    pthread_mutex_unlock(&s->lock);
}

static void it_is_told_the_item(void **state)
{
    (void)state;
    struct server *s = server_start();
    setenv("STROP_HTTP_TEST_TOKEN", "a-secret", 1);
    struct judge judge = judge_open(spec_of(s, "native?v=1,token_env=STROP_HTTP_TEST_TOKEN,field=gold"));
    json_t *row = json_loads("{\"answer\": 1, \"gold\": [2], \"data_source\": \"here\"}", 0, NULL);
    struct reward_item item = {.prompt = STR("\xc3\xa9\n"),
                               .completion = STR("score 1"),
                               .fields = row,
                               .n_tokens = 7,
                               .max_tokens = 9,
                               .truncated = true};
    assert_score(judge_item(&judge, &item), 1);
    json_t *body = last_body(s), *told = json_array_get(json_object_get(body, "items"), 0);
    json_t *want = json_pack("{s:O,s:s,s:s,s:[i],s:s,s:O,s:s,s:i,s:i}", "id", json_object_get(told, "id"), "prompt",
                             "\xc3\xa9\n", "completion", "score 1", "ground_truth", 2, "data_source", "here", "extra",
                             row, "finish", "length", "n_tokens", 7, "max_tokens", 9);
    assert_true(json_equal(told, want));
    double left = json_number_value(json_object_get(body, "deadline_ms"));
    assert_true(left > 50000 && left <= 60000);
    assert_header(s, "Authorization", "Bearer a-secret");
    assert_header(s, "Content-Type", "application/json");
    assert_header(s, "X-Strop-Protocol", "1");
    item.completion = STR("garbage"); /* neither the token nor what stands behind '?' is shown */
    assert_failed(judge_item(&judge, &item), s, "native broke the protocol", "");
    json_decref(body);
    json_decref(want);
    json_decref(row);
    judge_close(&judge);
    server_stop(s);
}

static void openrlhf_scores(void **state)
{
    (void)state;
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "openrlhf,form=openrlhf"));
    assert_score(ask(&judge, "score 2.5"), 2.5);
    assert_reason(ask(&judge, "score null"), VERDICT_ABSTAIN, "it has no opinion");
    assert_reason(ask(&judge, "score NaN"), VERDICT_ERROR, "the score is not a finite number");
    assert_reason(ask(&judge, "score [1]"), VERDICT_ERROR, "the score is not a finite number");
    assert_failed(ask(&judge, "other key"), s, "openrlhf", " broke the protocol: its answer has no list \"rewards\"");
    assert_failed(ask(&judge, "count"), s, "openrlhf", " broke the protocol: it gave 2 rewards for 1 item");
    assert_failed(ask(&judge, "garbage"), s, "openrlhf",
                  " broke the protocol: its answer is no JSON object: \"<html>\\u0000");
    json_t *row = json_loads("{\"label\": \"x\"}", 0, NULL);
    struct reward_item item = {.prompt = STR("sc"), .completion = STR("ore 3"), .fields = row};
    assert_score(judge_item(&judge, &item), 3);
    json_t *body = last_body(s),
           *want = json_loads("{\"query\": [\"score 3\"], \"prompts\": [\"sc\"], \"labels\": [\"x\"]}", 0, NULL);
    assert_true(json_equal(body, want));
    json_decref(body);
    json_decref(want);
    json_decref(row);
    judge_close(&judge);
    server_stop(s);
}

static struct verdict run_code(struct judge *judge, const char *code)
{
    char text[256];
    snprintf(text, sizeof text, "So:\n```python\n%s\n```\n", code);
    return judge_text(judge, str_of(text), "{\"inputs\": [\"1\\n\", \"4\\n\"], \"outputs\": [\"1\", \"4\"]}");
}

static void sandbox_fusion_judges_programs(void **state)
{
    (void)state;
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "run_code,form=sandbox_fusion,retries=1"));
    struct verdict v = run_code(&judge, "echo");
    assert_reason(v, VERDICT_OK, "right");
    assert_near(v.score, 1);
    assert_true(str_equal(v.extracted, STR("echo\n")));
    assert_int_equal(requests(s), 2); /* one for each test */
    json_t *body = last_body(s);
    assert_string_equal(json_string_value(json_object_get(body, "language")), "python");
    assert_string_equal(json_string_value(json_object_get(body, "stdin")), "4\n");
    assert_near(json_number_value(json_object_get(body, "run_timeout")), 10);
    assert_int_equal(json_object_size(body), 6); /* and no expected output */
    json_decref(body);
    static const struct {
        const char *code, *reason;
    } zeros[] = {{"say 1", "WA in test 2"},
                 {"say 4", "WA in test 1"},
                 {"raise", "RE in test 1"},
                 {"loop", "TLE in test 1"},
                 {"no compile", "CE"}};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        v = run_code(&judge, zeros[i].code);
        assert_reason(v, VERDICT_OK, zeros[i].reason);
        assert_near(v.score, 0);
    }
    int before = requests(s);
    assert_failed(run_code(&judge, "sandbox error"), s, "run_code", ": SandboxError: \"no room\"");
    assert_int_equal(requests(s) - before, 2); /* it was tried again */
    assert_failed(run_code(&judge, "no status"), s, "run_code", ": its status is none of");
    assert_failed(run_code(&judge, "no output"), s, "run_code", ": it says Success, and gives no run_result");
    assert_failed(run_code(&judge, "two minds"), s, "run_code", ": its status is not that of its");
    assert_failed(run_code(&judge, "cut"), s, "run_code", " gave no answer: ");
    before = requests(s);
    assert_reason(judge_text(&judge, STR("none"), "{\"inputs\": [\"\"], \"outputs\": [\"\"]}"), VERDICT_OK,
                  "no code block");
    assert_int_equal(ask(&judge, "```\nx\n```").kind, VERDICT_ERROR); /* no tests in the row */
    v = judge_text(&judge, STR("```\nx\n```"), "{\"test_list\": [\"assert f() == 1\"]}");
    assert_int_equal(v.kind, VERDICT_ERROR);
    assert_true(str_starts(str_of(v.reason), STR("the row's tests call functions or assert")));
    assert_int_equal(requests(s), before);
    judge_close(&judge);
    server_stop(s);
}

static const struct {
    const char *completion, *want;
} faults[] = {
    {"status 500 Oops", " answered 500 (tries: 2): \"out of \\\"order\\\"\""},
    {"status 503 Busy", " answered 503 (tries: 2): "},
    {"status 404 No", " answered 404 (tries: 1): "},
    {"status 204 Nothing", " answered 204 (tries: 1): \""},
    {"wait 60", " answered 429 (tries: 1), to be asked again in 60 s: \"busy\""},
    {"redirect", " answered 302, a redirect, which is not followed; if it is right, give "
                 "\"http://127.0.0.1:1/elsewhere\" as url"},
    {"garbage", " broke the protocol: its answer is no JSON object: \"<html>\\u0000"},
    {"count", " broke the protocol: it gave 2 results for 1 item"},
    {"id", " broke the protocol: result 1 of 1 is for an item that was not asked about"},
    {"nothing", " broke the protocol: a result has neither a score nor an error"},
    {"cut", " gave no answer: "},
    {"close", " gave no answer: "},
    {"no http", " gave no answer: "},
    {"huge", " answered with more than 8388608 bytes"},
    {"slow", " gave no answer in 1.5 s; give an item more time"},
    {"drip", " gave no answer in 1.5 s; give an item more time"},
};

enum { N_FAULTS = sizeof faults / sizeof *faults };

/* As a run does it: each fault costs its own sample, all others are judged, and in time. */
static void faults_drop_their_sample(void **state)
{
    (void)state;
    struct server *s = server_start();
    struct reward_spec specs[] = {{"format"}, {spec_of(s, "native,retries=1,concurrency=4")}};
    struct reward_set *set = NULL;
    struct arena arena = ARENA_INIT;
    struct reward_item items[2 * N_FAULTS];
    struct judgement judgements[2 * N_FAULTS];
    json_t *none = json_object();
    for (int i = 0; i < 2 * N_FAULTS; i++) {
        const char *text = i % 2 ? arena_printf(&arena, "score %d", i) : faults[i / 2].completion;
        items[i] = (struct reward_item){.completion = str_of(text), .fields = none, .n_tokens = -1};
    }
    assert_int_equal(reward_set_open(&set, specs, 2, ON_ERROR_DROP, 1.5, 2), ERR_NONE);
    double start = clock_seconds();
    assert_int_equal(reward_judge(set, items, 2 * N_FAULTS, &arena, judgements), ERR_NONE);
    assert_true(clock_seconds() - start < 15);
    for (int i = 0; i < 2 * N_FAULTS; i++) {
        assert_int_equal(judgements[i].dropped, i % 2 == 0);
        assert_int_equal(judgements[i].parts[0].kind, VERDICT_OK);
        if (i % 2) {
            assert_true(judgements[i].total == i);
        } else {
            assert_failed(judgements[i].parts[1], s, "native", faults[i / 2].want);
        }
    }
    assert_true(count_of(s, &s->peak) <= 4 && requests(s) < 50); /* each was asked once, or twice where that may help */
    reward_set_close(set);
    json_decref(none);
    arena_release(&arena);
    server_stop(s);
}

static void what_passes_is_tried_again(void **state)
{
    (void)state;
    static const char *const texts[] = {"once status 408 x", "once status 429 x", "once status 500 x",
                                        "once status 502 x", "once status 503 x", "once status 504 x",
                                        "once cut",          "once close"};
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native,retries=1"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double start = clock_seconds();
        assert_score(ask(&judge, texts[i]), 0.5);
        assert_int_equal(requests(s), 2 * (i + 1));
        bool at_once = strstr(texts[i], "close"); /* a kept connection that is closed is told from a failure */
        assert_true(at_once || clock_seconds() - start >= 0.37); /* the back-off, less its jitter */
    }
    double start = clock_seconds();
    assert_score(ask(&judge, "once wait 1"), 0.5);
    assert_true(clock_seconds() - start >= 0.99);
    int before = requests(s);
    assert_reason(ask(&judge, "error come again"), VERDICT_ERROR, "judge: come again");
    assert_int_equal(requests(s) - before, 2);
    judge_close(&judge);
    server_stop(s);
}

static void a_request_has_its_own_time(void **state)
{
    (void)state;
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native,timeout=0.3"));
    assert_failed(ask(&judge, "slow"), s, "native", " gave no answer in 0.3 s; give an item more time");
    assert_score(ask(&judge, "score 1"), 1);
    judge_close(&judge);
    server_stop(s);
}

static void a_batch_is_one_request(void **state)
{
    (void)state;
    enum { N = 10 };
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native,batch=4"));
    struct reward_item items[N];
    struct verdict verdicts[N];
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        const char *text = i == 4 ? "count" : i == 1 ? "score NaN" : arena_printf(&judge.arena, "score %d", i);
        items[i] = (struct reward_item){.completion = str_of(text), .fields = none, .n_tokens = -1};
    }
    reward_part_judge_all(&judge.part, items, N, 10, &(struct reward_call){.arena = &judge.arena}, verdicts);
    assert_int_equal(requests(s), 3);
    for (int i = 0; i < N; i++) {
        if (i == 1) { /* costs itself only */
            assert_reason(verdicts[i], VERDICT_ERROR, "the score is not a finite number");
        } else if (i >= 4 && i < 8) {
            assert_failed(verdicts[i], s, "native", " broke the protocol: it gave 5 results for 4 items");
        } else {
            assert_score(verdicts[i], i);
        }
    }
    json_decref(none);
    judge_close(&judge);
    server_stop(s);
}

/* One thread has many requests on their way, and no more than it may. */
static void requests_go_side_by_side(void **state)
{
    (void)state;
    enum { N = 40 };
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native,concurrency=8"));
    struct reward_item items[N];
    struct verdict verdicts[N];
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        items[i] = (struct reward_item){.completion = STR("sleep"), .fields = none, .n_tokens = -1};
    }
    double start = clock_seconds();
    reward_part_judge_all(&judge.part, items, N, 10, &(struct reward_call){.arena = &judge.arena}, verdicts);
    assert_true(clock_seconds() - start < 2.5); /* one after the other: 4 */
    assert_in_range(count_of(s, &s->peak), 2, 8);
    for (int i = 0; i < N; i++) {
        assert_score(verdicts[i], 0.5);
    }
    json_decref(none);
    judge_close(&judge);
    server_stop(s);
}

static double stop_at;

static bool stop_now(void)
{
    return clock_seconds() > stop_at;
}

/* Whether on their way, waiting for a new try, or not begun. */
static void asking_can_be_stopped(void **state)
{
    (void)state;
    enum { N = 40 };
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native,concurrency=4,retries=9"));
    struct reward_item items[N];
    struct verdict verdicts[N];
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        const char *text = i == 0 ? "score 1" : i % 2 ? "slow" : "status 503";
        items[i] = (struct reward_item){.completion = str_of(text), .fields = none, .n_tokens = -1};
    }
    double start = clock_seconds();
    stop_at = start + 0.5;
    struct reward_call call = {.arena = &judge.arena, .stop = stop_now};
    reward_part_judge_all(&judge.part, items, N, 300, &call, verdicts);
    assert_true(clock_seconds() - start < 3);
    assert_score(verdicts[0], 1);
    assert_reason(verdicts[1], VERDICT_ERROR, "judging was stopped");
    assert_reason(verdicts[2], VERDICT_ERROR, "judging was stopped");
    assert_reason(verdicts[N - 1], VERDICT_ERROR, "judging was stopped");
    assert_score(ask(&judge, "score 1"), 1);
    json_decref(none);
    judge_close(&judge);
    server_stop(s);
}

static void a_dead_server_costs_little_time(void **state)
{
    (void)state;
    enum { N = 400 };
    int port, fd = server_socket(&port); /* bound, not listening: refused */
    struct server down = {.port = port};
    struct judge judge = judge_open(spec_of(&down, "native,retries=1"));
    struct reward_item items[N];
    struct verdict verdicts[N];
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        items[i] = (struct reward_item){.completion = STR("score 1"), .fields = none, .n_tokens = -1};
    }
    reward_part_judge_all(&judge.part, items, N, 10, &(struct reward_call){.arena = &judge.arena}, verdicts);
    assert_failed(verdicts[0], &down, "native", " gave no answer: Failed to connect to 127.0.0.1 port ");
    assert_non_null(strstr(verdicts[0].reason, "(tries: 2); is the server up, and the url right?"));
    assert_int_equal(listen(fd, 64), 0); /* now it is accepted by nobody: silence */
    double start = clock_seconds();
    reward_part_judge_all(&judge.part, items, N, 0.4, &(struct reward_call){.arena = &judge.arena}, verdicts);
    assert_true(clock_seconds() - start < 5); /* all of them: 10 */
    assert_failed(verdicts[0], &down, "native", " gave no answer in 0.4 s");
    assert_true(
        str_starts(str_of(verdicts[N - 1].reason), STR("not asked, since 16 requests in a row came to nothing")));
    json_decref(none);
    judge_close(&judge);
    close(fd);
}

static void many_threads_ask_at_once(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct reward_item items[N];
    static struct judgement judgements[N];
    struct server *s = server_start();
    struct reward_set *set = NULL;
    struct arena arena = ARENA_INIT;
    const char *spec =
        arena_printf(&arena, "cosine_length:unit=characters,max_len=50,correct='%s'", spec_of(s, "native"));
    json_t *none = json_object();
    for (int i = 0; i < N; i++) {
        const char *text = i % 50 == 7 ? "garbage" : i % 2 ? "score 1" : "score 0";
        items[i] = (struct reward_item){.completion = str_of(text), .fields = none, .n_tokens = -1};
    }
    assert_int_equal(reward_set_open(&set, &(struct reward_spec){spec}, 1, ON_ERROR_DROP, 20, 8), ERR_NONE);
    assert_int_equal(reward_judge(set, items, N, &arena, judgements), ERR_NONE);
    for (int i = 0; i < N; i++) {
        assert_int_equal(judgements[i].dropped, i % 50 == 7);
        assert_true(judgements[i].dropped || (judgements[i].total > 0) == (i % 2 == 1));
    }
    reward_set_close(set);
    json_decref(none);
    arena_release(&arena);
    server_stop(s);
}

/* More than a socket holds. */
static void a_long_text_goes_through(void **state)
{
    (void)state;
    enum { LENGTH = 16 << 20 };
    struct server *s = server_start();
    struct judge judge = judge_open(spec_of(s, "native"));
    char *text = mem_alloc(LENGTH);
    memset(text, 'x', LENGTH);
    assert_score(judge_text(&judge, (struct str){text, LENGTH}, "{}"), 0.5);
    free(text);
    judge_close(&judge);
    server_stop(s);
}

static void bad_options_are_told(void **state)
{
    (void)state;
    setenv("STROP_HTTP_TEST_TOKEN", "two\r\nlines: 1", 1);
    refuses("http:url=localhost:5000/score",
            "reward http: 'localhost:5000/score' is no url of http or https; write url=http://HOST:PORT/PATH");
    refuses("http:url=file:///etc/passwd",
            "reward http: 'file:///etc/passwd' is no url of http or https; write url=http://HOST:PORT/PATH");
    refuses("http:url=http://me:secret@host/x",
            "reward http: the url holds a user or a password, which would be shown and stored; put a token into an "
            "environment variable and name that: token_env=NAME");
    refuses("http:url=http://h/x,token_env=STROP_NO_SUCH",
            "reward http: the environment variable STROP_NO_SUCH (token_env) is not set");
    refuses(
        "http:url=http://h/x,token_env=STROP_HTTP_TEST_TOKEN",
        "reward http: the environment variable STROP_HTTP_TEST_TOKEN (token_env) holds a character that no token has");
    refuses("http:url=http://h/x,form=sandbox_fusion,batch=2",
            "reward http: form=sandbox_fusion runs one program a request; leave out batch");
    refuses("http:form=native", "reward http needs the option url: where to POST to: http://HOST:PORT/PATH, or https");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_scores),
        cmocka_unit_test(it_is_told_the_item),
        cmocka_unit_test(openrlhf_scores),
        cmocka_unit_test(sandbox_fusion_judges_programs),
        cmocka_unit_test(faults_drop_their_sample),
        cmocka_unit_test(what_passes_is_tried_again),
        cmocka_unit_test(a_request_has_its_own_time),
        cmocka_unit_test(a_batch_is_one_request),
        cmocka_unit_test(requests_go_side_by_side),
        cmocka_unit_test(a_dead_server_costs_little_time),
        cmocka_unit_test(asking_can_be_stopped),
        cmocka_unit_test(many_threads_ask_at_once),
        cmocka_unit_test(a_long_text_goes_through),
        cmocka_unit_test(bad_options_are_told),
    };
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* what the environment says is not asked */
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
