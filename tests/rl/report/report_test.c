/* tests/rl/report/report_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "rl/report/report.h"
#include "rl/report/report_data.h"
#include "rl/run/store.h"

#define GROUP 2

static char folder[] = "/tmp/report_test.XXXXXX";

static void must(enum err err)
{
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/report_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

/* ---- a run made by hand ---- */

/* One iteration of n_prompts groups whose completions all have the text; it feeds the step of its number plus 1. */
static void add_iteration(struct store *store, const struct reward_set *rewards, int64_t number, int n_prompts,
                          struct str text)
{
    struct iteration it = {.number = number, .n_prompts = n_prompts, .G = GROUP, .n_samples = n_prompts * GROUP};
    int32_t tokens[3] = {1, 2, 3};
    float numbers[3] = {-1, -2, -3};
    struct completion c = {
        .tokens = tokens, .logprob = numbers, .lse = numbers, .entropy = numbers, .n_tokens = 3, .finish = FINISH_EOS};
    struct verdict parts[2] = {verdict_ok(1, "right", text), verdict_abstain("does not apply")};
    double seconds[2] = {0, 0};
    c.text = text;
    it.prompts = ARENA_NEW(&it.arena, struct prompt, n_prompts);
    it.samples = ARENA_NEW(&it.arena, struct sample, it.n_samples);
    for (int p = 0; p < n_prompts; p++) {
        it.prompts[p] = (struct prompt){.text = text, .tokens = tokens, .n_tokens = 3, .fields = json_object()};
    }
    for (int i = 0; i < it.n_samples; i++) {
        it.samples[i] = (struct sample){.completion = &c,
                                        .judgement = {.parts = parts, .seconds = seconds},
                                        .reward = (double)number,
                                        .advantage = -0.5};
    }
    struct metrics metrics = {0};
    metrics_set(&metrics, (double)number, "reward");
    metrics_set(&metrics, 100, "sampling/bits_compared");
    if (number % 2) {
        metrics_set(&metrics, 7, "odd");
    }
    must(store_rollout(store, &it, rewards));
    must(store_step(store, number + 1, number, &metrics));
    iteration_release(&it);
}

static void make_run(int n_iterations, int n_prompts, struct str text)
{
    struct store *store;
    struct reward_set *rewards;
    const struct reward_spec specs[] = {{"countdown:label=accuracy"}, {"format"}};
    must(store_open(&store, folder));
    must(reward_set_open(&rewards, specs, 2, ON_ERROR_DROP, 1, 1));
    must(store_set_meta(store, "recipe", "seed: 9\nmodel_name_or_path: m\n"));
    must(store_set_meta(store, "max_steps", "9"));
    must(store_set_meta(store, "command", "strop train '</script>' --seed=1"));
    for (int i = 0; i < n_iterations; i++) {
        add_iteration(store, rewards, i, n_prompts, text);
    }
    reward_set_close(rewards);
    store_close(store);
}

static json_t *parse(struct str text)
{
    json_error_t error;
    json_t *json = json_loadb(text.data, text.length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        fail_msg("%s", error.text);
    }
    return json;
}

static json_t *data_of_run(const struct report_limits *limits)
{
    sqlite3 *db;
    struct strbuf out = STRBUF_INIT;
    must(store_open_reader(&db, folder));
    must(report_data(db, folder, limits, &out));
    sqlite3_close(db);
    assert_true(str_find(strbuf_view(&out), STR("<"), 0) < 0);
    json_t *json = parse(strbuf_view(&out));
    strbuf_release(&out);
    return json;
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int count(struct str text, struct str what)
{
    int n = 0;
    for (ptrdiff_t at = 0; (at = str_find(text, what, (size_t)at)) >= 0; at++) {
        n++;
    }
    return n;
}

/* ---- tests ---- */

/* A completion that tries to end the script element, to open a comment, and that is no UTF-8. */
static void hostile_texts_stay_texts(void **state)
{
    (void)state;
    static const char text[] =
        "</script><script>alert(1)</script><!--<script>\xff\xfe{{data}}]]>\"\\\r\n\t\x01\0end\xe2\x80\xa8\xed\xa0\x80";
    static const char want[] =
        "</script><script>alert(1)</script><!--<script>\xef\xbf\xbd\xef\xbf\xbd{{data}}]]>\"\\\r\n"
        "\t\x01\0end\xe2\x80\xa8\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
    make_run(2, 1, (struct str){text, sizeof text - 1});
    must(report_write(folder, NULL));

    char path[FILE_PATH_BYTES];
    struct strbuf page = STRBUF_INIT, empty = STRBUF_INIT;
    must(file_join(path, sizeof path, folder, "report.html"));
    must(file_read(&page, path, (size_t)64 << 20));
    report_page(STR("t"), STR("{}"), &empty);
    struct str html = strbuf_view(&page);
    assert_int_equal(count(html, STR("<script")), count(strbuf_view(&empty), STR("<script")));
    assert_int_equal(count(html, STR("</script")), count(strbuf_view(&empty), STR("</script")));
    assert_int_equal(count(html, STR("<!--")), count(strbuf_view(&empty), STR("<!--")));
    assert_int_equal(str_utf8_prefix(html), html.length);

    ptrdiff_t start = str_find(html, STR("id=\"data\">"), 0) + 10,
              end = str_find(html, STR("</script>"), (size_t)start);
    json_t *data = parse(str_slice(html, (size_t)start, (size_t)end));
    const json_t *row = json_array_get(json_object_get(data, "completions"), 0);
    const json_t *written = json_array_get(row, 8), *part = json_array_get(json_array_get(row, 9), 0);
    assert_int_equal(json_string_length(written), sizeof want - 1);
    assert_memory_equal(json_string_value(written), want, sizeof want - 1);
    assert_memory_equal(json_string_value(json_array_get(part, 4)), want, sizeof want - 1);
    assert_string_equal(json_string_value(json_object_get(data, "command")), "strop train '</script>' --seed=1");
    json_decref(data);
    strbuf_release(&page);
    strbuf_release(&empty);
}

static void the_title_is_escaped(void **state)
{
    (void)state;
    struct strbuf page = STRBUF_INIT;
    report_page(STR("a<b>&\"c\"{{x}}"), STR("{}"), &page);
    assert_true(str_find(strbuf_view(&page), STR("<title>a&lt;b&gt;&amp;&quot;c&quot;{{x}}</title>"), 0) > 0);
    strbuf_release(&page);
}

/* Nothing on the page is fetched: no address in an attribute, a style or a script of ours. */
static void the_page_stands_alone(void **state)
{
    (void)state;
    struct strbuf page = STRBUF_INIT;
    report_page(STR("t"), STR("{}"), &page);
    static const char *const never[] = {"src=\"", "src='", "href=\"http", "url(", "@import", "fetch(", "<link"};
    struct str html = strbuf_view(&page);
    ptrdiff_t chart = str_find(html, STR("/*!\n * Chart.js"), 0),
              after = str_find(html, STR("</script>"), (size_t)chart);
    assert_true(chart > 0 && after - chart > 100000);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        assert_true(str_find(str_slice(html, 0, (size_t)chart), str_of(never[i]), 0) < 0);
        assert_true(str_find(html, str_of(never[i]), (size_t)after) < 0);
    }
    assert_true(str_find(html, STR("default-src 'none'"), 0) > 0);
    strbuf_release(&page);
}

static void every_completion_goes_in_where_there_is_room(void **state)
{
    (void)state;
    make_run(5, 3, STR("text"));
    json_t *data = data_of_run(&report_limits);
    const json_t *of_run = json_object_get(data, "completions_of_run");
    assert_int_equal(number_of(of_run, "total"), 5 * 3 * GROUP);
    assert_int_equal(number_of(of_run, "embedded"), 5 * 3 * GROUP);
    assert_int_equal(number_of(of_run, "cut"), 0);
    assert_int_equal(json_array_size(json_object_get(data, "completions")), 5 * 3 * GROUP);
    assert_int_equal(json_array_size(json_object_get(data, "prompts")), 5 * 3);
    assert_int_equal(number_of(data, "max_steps"), 9);
    assert_int_equal(number_of(data, "steps"), 5);
    json_decref(data);
}

/* 20 iterations of 8 completions with room for 32: 8 of each end at most, and 16 spread over the others. */
static void the_first_and_the_last_step_always_go_in(void **state)
{
    (void)state;
    make_run(20, 4, STR("text"));
    struct report_limits limits = report_limits;
    limits.completions = 32;
    json_t *data = data_of_run(&limits), *row;
    int of_step[22] = {0}, n_between = 0, n_steps = 0, longest_gap = 0, before = 1;
    size_t i;
    json_array_foreach(json_object_get(data, "completions"), i, row)
    {
        of_step[json_integer_value(json_array_get(row, 1))]++;
    }
    assert_int_equal(of_step[1], 8);
    assert_int_equal(of_step[20], 8);
    for (int step = 2; step < 20; step++) {
        n_between += of_step[step];
        if (of_step[step]) {
            longest_gap = step - before > longest_gap ? step - before : longest_gap;
            before = step;
            n_steps++;
        }
    }
    assert_int_equal(n_between, 16);
    assert_int_equal(n_steps, 8);
    assert_true(longest_gap <= 3);
    assert_int_equal(number_of(json_object_get(data, "completions_of_run"), "total"), 160);
    assert_int_equal(number_of(json_object_get(data, "completions_of_run"), "embedded"), 32);
    json_decref(data);
}

/* The limit of bytes holds too, but for one group of each end. */
static void bytes_are_limited(void **state)
{
    (void)state;
    make_run(10, 4, STR("0123456789"));
    struct report_limits limits = report_limits;
    limits.bytes = 1;
    json_t *data = data_of_run(&limits);
    assert_int_equal(number_of(json_object_get(data, "completions_of_run"), "embedded"), 2 * GROUP);
    json_decref(data);
    limits.bytes = 400; /* a group is 10 + 2 + 2 * 10 bytes */
    data = data_of_run(&limits);
    json_int_t embedded = number_of(json_object_get(data, "completions_of_run"), "embedded");
    assert_in_range(embedded, 9 * GROUP, 14 * GROUP);
    json_decref(data);
}

static void long_texts_lose_their_middle(void **state)
{
    (void)state;
    make_run(1, 1,
             STR("aaaaaaaaa\xc3\xa4"
                 "bbbbbbbbbbbbbbbbbbbbb"
                 "\xc3\xa4"
                 "zzz"));
    struct report_limits limits = report_limits;
    limits.text_bytes = 16; /* 12 and 4, but whole characters: 11 and 3 */
    json_t *data = data_of_run(&limits);
    const json_t *row = json_array_get(json_object_get(data, "completions"), 0);
    assert_string_equal(json_string_value(json_array_get(row, 8)), "aaaaaaaaa\xc3\xa4"
                                                                   "b\n[22 bytes left out here]\nzzz");
    assert_int_equal(number_of(json_object_get(data, "completions_of_run"), "cut"), 1 + GROUP); /* the prompt too */
    json_decref(data);
}

/* Ten steps on four points: means of three, three, three and one, and nulls where a metric is missing. */
static void long_curves_become_means(void **state)
{
    (void)state;
    make_run(10, 1, STR("text"));
    struct report_limits limits = report_limits;
    limits.points = 4;
    json_t *data = data_of_run(&limits);
    const json_t *metrics = json_object_get(data, "metrics");
    char *text = json_dumps(metrics, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"series\":[[\"reward\",[1,4,7,9]],[\"sampling/bits_compared\",[100,100,100,100]],"
                              "[\"odd\",[7,7,7,7]]],\"steps\":[3,6,9,10],\"steps_per_point\":3}");
    free(text);
    assert_int_equal(json_number_value(json_object_get(json_object_get(data, "totals"), "bits_compared")), 1000);
    json_decref(data);
    limits.points = 100;
    data = data_of_run(&limits);
    text = json_dumps(json_array_get(json_object_get(json_object_get(data, "metrics"), "series"), 2), JSON_COMPACT);
    assert_string_equal(text, "[\"odd\",[null,7,null,7,null,7,null,7,null,7]]");
    free(text);
    json_decref(data);
}

/* The first and the last evaluation, prompt by prompt. */
static void evaluations_go_in(void **state)
{
    (void)state;
    struct store *store;
    must(store_open(&store, folder));
    struct completion c = {.n_tokens = 4, .text = STR("answer")};
    struct metrics metrics = {0};
    metrics_set(&metrics, 0.25, "eval/pass@1");
    for (int64_t step = 0; step <= 20; step += 10) {
        must(store_eval(store, step, &metrics));
        for (int i = 0; i < 4; i++) {
            must(store_eval_completion(store, step, i / 2, i % 2, STR("question"), &c, 1, "right"));
        }
    }
    store_close(store);
    json_t *data = data_of_run(&report_limits), *row;
    size_t i;
    assert_int_equal(json_array_size(json_object_get(data, "heldout")), 8);
    assert_int_equal(json_array_size(json_object_get(data, "prompts")), 4);
    json_array_foreach(json_object_get(data, "heldout"), i, row)
    {
        assert_int_equal(json_integer_value(json_array_get(row, 0)), i / 2);
        assert_int_equal(json_integer_value(json_array_get(row, 1)), i < 4 ? 0 : 20);
        assert_int_equal(json_integer_value(json_array_get(row, 2)), i % 2);
    }
    json_decref(data);
}

static void a_folder_without_a_run_is_refused(void **state)
{
    (void)state;
    assert_int_equal(report_write("/tmp/no such run", NULL), ERR_IO);
    assert_string_equal(err_text(), "/tmp/no such run: no run there (run.db is missing)");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hostile_texts_stay_texts),
        TEST(the_title_is_escaped),
        TEST(the_page_stands_alone),
        TEST(every_completion_goes_in_where_there_is_room),
        TEST(the_first_and_the_last_step_always_go_in),
        TEST(bytes_are_limited),
        TEST(long_texts_lose_their_middle),
        TEST(long_curves_become_means),
        TEST(evaluations_go_in),
        TEST(a_folder_without_a_run_is_refused),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
