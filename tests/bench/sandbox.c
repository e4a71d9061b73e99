/* tests/bench/sandbox.c - make sandbox-bench: the code reward's speed. Its baseline is tests/bench/peers/sandbox.sh.
 *
 * Every program of a part is different, as samples are, so that nothing is found again but what really would be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/code/run.h"
#include "reward/pool.h"
#include "reward/rewards.h"

enum { PYTHON_RUNS = 600, CPP_RUNS = 24, PROMPTS = 64, SAMPLES = 8, TESTS = 10 };

static const char python_head[] =
    "import math, collections, heapq, itertools, functools, bisect, re, json, typing, random, "
    "string, datetime, copy, operator\n";

struct bench {
    struct code_runner *runner;
    enum code_language language;
    int right[256];
};

static void one_run(void *context, int job, int thread)
{
    struct bench *bench = context;
    struct arena arena = ARENA_INIT;
    struct code_test test = {.input = STR("3 4\n"), .weight = 1};
    struct code_tests tests = {.limits = SANDBOX_LIMITS, .tests = &test, .n = 1};
    struct code_outcome outcome = {0};
    test.expected = str_of(arena_printf(&arena, "%d\n", 7 + job));
    const char *source =
        bench->language == CODE_PYTHON
            ? arena_printf(&arena, "%sa, b = map(int, input().split())\nprint(a + b + %d)\n", python_head, job)
            : arena_printf(
                  &arena,
                  "#include <bits/stdc++.h>\nusing namespace std;\nint main() {\n    int a, b;\n    cin >> a >> b;\n"
                  "    vector<int> v{a, b, %d};\n    sort(v.begin(), v.end());\n"
                  "    cout << accumulate(v.begin(), v.end(), 0) << endl;\n}\n",
                  job);
    struct code_program program = {.text = str_of(source), .language = bench->language};
    struct reward_call call = {.arena = &arena, .deadline = clock_seconds() + 300};
    code_run(bench->runner, &program, &tests, false, &call, &outcome);
    bench->right[thread] += outcome.verdict == CODE_AC;
    if (outcome.verdict != CODE_AC) {
        printf("run %d: %s %s\n", job, code_verdict_names[outcome.verdict], outcome.detail);
    }
    arena_release(&arena);
}

static void bench_runs(struct code_runner *runner, enum code_language language, int n, int threads, const char *what)
{
    struct bench bench = {.runner = runner, .language = language};
    struct pool *pool;
    if (pool_open(&pool, threads) != ERR_NONE) {
        return;
    }
    pool_run(pool, threads, one_run, &bench); /* slots start, headers are compiled */
    memset(bench.right, 0, sizeof bench.right);
    struct bench counted = {.runner = runner, .language = language};
    double start = clock_seconds();
    int right = 0;
    pool_run(pool, n, one_run, &counted);
    double seconds = clock_seconds() - start;
    for (int i = 0; i < threads; i++) {
        right += counted.right[i];
    }
    printf("%-44s %8.1f runs/s  (%d of %d right, %d at a time)\n", what, n / seconds, right, n, threads);
    pool_close(pool);
}

/* A step of training: groups of samples, ten tests each, through the reward. */
static void bench_step(int threads)
{
    struct reward_set *set;
    struct reward_spec spec = {"code"};
    struct arena arena = ARENA_INIT;
    enum { N = PROMPTS * SAMPLES };
    struct reward_item *items = ARENA_NEW(&arena, struct reward_item, N);
    struct judgement *judgements = ARENA_NEW(&arena, struct judgement, N);
    json_t *row = json_object(), *inputs = json_array(), *outputs = json_array();
    for (int i = 0; i < TESTS; i++) {
        json_array_append_new(inputs, json_string(arena_printf(&arena, "%d 4\n", i)));
        json_array_append_new(outputs, json_string(arena_printf(&arena, "%d\n", i + 4)));
    }
    json_object_set_new(row, "inputs", inputs);
    json_object_set_new(row, "outputs", outputs);
    for (int i = 0; i < N; i++) {
        items[i].fields = row;
        items[i].completion = str_of(
            arena_printf(&arena, "```python\n%sx = %d\na, b = map(int, input().split())\nprint(a + b + x - %d)\n```",
                         python_head, i, i));
    }
    if (reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 60, threads) != ERR_NONE) {
        printf("%s\n", err_text());
        return;
    }
    double start = clock_seconds();
    enum err result = reward_judge(set, items, N, &arena, judgements);
    double seconds = clock_seconds() - start;
    double right = 0;
    for (int i = 0; i < N && result == ERR_NONE; i++) {
        right += judgements[i].total;
    }
    printf("%d prompts x %d samples x %d tests               %6.1f s  (%.0f of %d right, %.0f runs/s)\n", PROMPTS,
           SAMPLES, TESTS, seconds, right, N, N * TESTS / seconds);
    reward_set_close(set);
    json_decref(row);
    arena_release(&arena);
}

int main(void)
{
    struct code_runner *runner;
    int threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (code_runner_open(&runner, &(struct code_runner_options){.n_slots = threads}) != ERR_NONE) {
        printf("%s\n", err_text());
        return 1;
    }
    printf("%s\n", code_runner_mode(runner));
    bench_runs(runner, CODE_PYTHON, PYTHON_RUNS, threads, "Python, 14 imports");
    bench_runs(runner, CODE_CPP, CPP_RUNS, threads, "C++, <bits/stdc++.h>, compiled and run");
    code_runner_close(runner);
    bench_step(threads);
    return 0;
}
