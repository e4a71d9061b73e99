/* reward/code/run.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "reward/code/report.h"
#include "reward/plain.h"

const char *const code_verdict_names[] = {"AC", "WA", "TLE", "MLE", "OLE", "RE", "CE", "IE"};

struct code_runner {
    struct sandbox *sandbox;
    struct compiler *compiler;
    char headers[FILE_PATH_BYTES];
    pthread_rwlock_t alone; /* held for reading by every run, for writing by one that must not share the machine */
};

enum err code_runner_open(struct code_runner **out, const struct code_runner_options *options)
{
    struct code_runner *runner = mem_zero(sizeof *runner);
    bool headers = code_headers_folder(runner->headers, sizeof runner->headers);
    struct sandbox_options sandbox = {.python = options->python,
                                      .n_slots = options->n_slots,
                                      .headers = headers ? runner->headers : NULL,
                                      .landlock = options->landlock};
    enum err result = sandbox_open(&runner->sandbox, &sandbox);
    if (result != ERR_NONE) {
        free(runner);
        return result;
    }
    runner->compiler = compiler_new(runner->sandbox, sandbox.headers);
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair); /* or the readers of a busy pool never let a writer in */
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&runner->alone, &fair);
    pthread_rwlockattr_destroy(&fair);
    *out = runner;
    return ERR_NONE;
}

void code_runner_close(struct code_runner *runner)
{
    if (!runner) {
        return;
    }
    compiler_free(runner->compiler);
    sandbox_close(runner->sandbox);
    pthread_rwlock_destroy(&runner->alone);
    free(runner);
}

const char *code_runner_mode(const struct code_runner *runner)
{
    return sandbox_mode(runner->sandbox);
}

/* One program, while its tests run. */
struct judging {
    struct code_runner *runner;
    const struct code_tests *tests;
    enum code_language language;
    struct str program;
    int file; /* the executable; -1 for Python */
    double deadline;
    struct arena *arena;
    struct code_outcome *outcome;
};

/* One test's end. */
struct ending {
    enum code_verdict verdict;
    double share; /* 1 for AC */
    const char *detail;
};

static struct ending ending_error(const struct judging *j)
{
    return (struct ending){CODE_IE, 0, arena_strdup(j->arena, err_text())};
}

/* How the program ended, apart from what it wrote. */
static struct ending ending_of(const struct judging *j, const struct sandbox_result *result)
{
    switch (result->stop) {
    case SANDBOX_WALL: return (struct ending){CODE_TLE, 0, "wall clock"};
    case SANDBOX_CPU: return (struct ending){CODE_TLE, 0, "processor time"};
    case SANDBOX_MEMORY: return (struct ending){CODE_MLE, 0, "memory"};
    case SANDBOX_OUTPUT: return (struct ending){CODE_OLE, 0, "output"};
    case SANDBOX_ENDED: break;
    }
    if (result->signal) {
        return (struct ending){CODE_RE, 0, arena_printf(j->arena, "signal %d", result->signal)};
    }
    if (result->exit_code) {
        return (struct ending){CODE_RE, 0, arena_printf(j->arena, "exit code %d", result->exit_code)};
    }
    return (struct ending){CODE_AC, 1, "right"};
}

static void outcome_add(const struct judging *j, const struct sandbox_result *result)
{
    j->outcome->seconds += result->wall_s;
    j->outcome->slowest = result->wall_s > j->outcome->slowest ? result->wall_s : j->outcome->slowest;
    if (j->outcome->output) {
        strbuf_add_str(j->outcome->output, strbuf_view(&result->out));
        strbuf_add_str(j->outcome->output, strbuf_view(&result->err));
        strbuf_add_str(j->outcome->output, strbuf_view(&result->answer));
    }
}

/* ---- programs that read and write, and functions ---- */

static struct sandbox_job program_job(const struct judging *j, const struct code_test *test)
{
    static const enum sandbox_what whats[] = {SANDBOX_SCRIPT, SANDBOX_FUNCTION, SANDBOX_SERVE};
    return (struct sandbox_job){.what = j->file >= 0 ? SANDBOX_BINARY : whats[j->tests->mode],
                                .source = j->program,
                                .input = j->tests->mode == CODE_ASSERTS ? str_of("") : test->input,
                                .file = j->file,
                                .channel = -1,
                                .limits = j->tests->limits};
}

static struct ending judge_output(const struct judging *j, const struct code_test *test,
                                  const struct sandbox_result *result)
{
    struct ending ending = ending_of(j, result);
    struct str text;
    if (ending.verdict != CODE_AC) {
        return ending;
    }
    const struct compare *compare = &j->tests->compare;
    if (j->tests->mode == CODE_STDIO) {
        return compare_texts(compare, strbuf_view(&result->out), test->expected)
                   ? ending
                   : (struct ending){CODE_WA, 0, "another output"};
    }
    const struct plain *want = plain_parse(test->expected, j->arena);
    const struct plain *got = frame_read(strbuf_view(&result->answer), &text) ? plain_parse(text, j->arena) : NULL;
    if (!want) {
        return (struct ending){CODE_IE, 0, "the expected value is not JSON"};
    }
    if (!got) {
        return (struct ending){CODE_RE, 0, "no answer"};
    }
    return plain_equal(got, want, compare->absolute, compare->relative) ? ending
                                                                        : (struct ending){CODE_WA, 0, "another value"};
}

static bool was_starved(const struct sandbox_result *result, const struct sandbox_limits *limits)
{
    return result->stop == SANDBOX_WALL && result->starved_s > 0.25 * limits->wall_s;
}

static struct ending run_program(const struct judging *j, const struct code_test *test)
{
    struct sandbox_job job = program_job(j, test);
    struct sandbox_result result;
    pthread_rwlock_rdlock(&j->runner->alone);
    enum err failure = sandbox_run(j->runner->sandbox, &job, j->deadline, &result);
    pthread_rwlock_unlock(&j->runner->alone);
    if (failure == ERR_NONE && was_starved(&result, &job.limits)) {
        sandbox_result_release(&result);
        pthread_rwlock_wrlock(&j->runner->alone);
        failure = sandbox_run(j->runner->sandbox, &job, j->deadline, &result);
        pthread_rwlock_unlock(&j->runner->alone);
    }
    if (failure != ERR_NONE) {
        return ending_error(j);
    }
    outcome_add(j, &result);
    struct ending ending = judge_output(j, test, &result);
    sandbox_result_release(&result);
    return ending;
}

/* ---- assertions: two sandboxes and a pipe ---- */

static struct ending judge_report(const struct judging *j, const struct sandbox_result *report,
                                  const struct sandbox_result *program)
{
    struct ending ending = ending_of(j, program);
    struct code_report said;
    if (!code_report_read(&said, strbuf_view(&report->answer), j->arena)) {
        /* the tests' own process broke; a value from the program may have done it (too large, say) */
        return ending.verdict != CODE_AC ? ending
               : report->stop == SANDBOX_WALL || report->stop == SANDBOX_CPU
                   ? (struct ending){CODE_TLE, 0, "time, in the tests"}
                   : (struct ending){CODE_RE, 0, "its values broke the tests"};
    }
    if (said.fault) {
        ending = (struct ending){CODE_IE, 0, arena_printf(j->arena, "the tests are broken: %s", said.fault)};
    } else if (said.done && !said.gone && said.all) {
        ending = (struct ending){CODE_AC, 1, "right"}; /* however the program ends afterwards */
    } else if (ending.verdict == CODE_AC) {
        ending = (struct ending){said.gone ? CODE_RE : CODE_WA, 0,
                                 said.gone ? "it left before the tests" : "an assertion fails"};
    }
    ending.share = ending.verdict == CODE_AC ? 1 : said.share;
    return ending;
}

static struct ending run_pair(const struct judging *j, const struct code_test *test, const int pair[2])
{
    struct sandbox *sandbox = j->runner->sandbox;
    struct sandbox_job program = program_job(j, test), tests = {.what = SANDBOX_TEST, .input = test->input, .file = -1};
    struct sandbox_slot *program_slot, *tests_slot;
    struct sandbox_result program_result, report;
    program.channel = pair[0];
    tests.channel = pair[1];
    tests.limits = SANDBOX_LIMITS;
    tests.limits.wall_s = program.limits.wall_s + 2; /* the program's own clock is to ring first */
    tests.limits.cpu_s += program.limits.cpu_s;
    if (sandbox_start(sandbox, &program, j->deadline, &program_slot) != ERR_NONE) {
        close(pair[0]);
        close(pair[1]);
        return ending_error(j);
    }
    enum err failure = sandbox_start(sandbox, &tests, j->deadline, &tests_slot);
    close(pair[0]); /* each side is to see the other's end close */
    close(pair[1]);
    struct ending ending = failure != ERR_NONE ? ending_error(j) : (struct ending){0};
    if (failure == ERR_NONE && sandbox_finish(sandbox, tests_slot, &report) != ERR_NONE) {
        failure = ERR_IO;
        ending = ending_error(j);
    }
    if (sandbox_finish(sandbox, program_slot, &program_result) != ERR_NONE) {
        ending = failure == ERR_NONE ? ending_error(j) : ending;
        if (failure == ERR_NONE) {
            sandbox_result_release(&report);
        }
        return ending;
    }
    outcome_add(j, &program_result);
    if (failure == ERR_NONE) {
        ending = judge_report(j, &report, &program_result);
        sandbox_result_release(&report);
    }
    sandbox_result_release(&program_result);
    return ending;
}

static struct ending run_asserts(const struct judging *j, const struct code_test *test)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return (struct ending){CODE_IE, 0, arena_printf(j->arena, "cannot make a socket pair: %s", strerror(errno))};
    }
    pthread_rwlock_rdlock(&j->runner->alone);
    struct ending ending = run_pair(j, test, pair);
    pthread_rwlock_unlock(&j->runner->alone);
    return ending;
}

/* ---- all tests ---- */

static bool prepare(struct judging *j)
{
    const char *message = "";
    if (j->language == CODE_PYTHON) {
        return true;
    }
    if (j->tests->mode != CODE_STDIO) {
        j->outcome->verdict = CODE_IE;
        j->outcome->detail = "function and assert tests are for Python";
        return false;
    }
    if (compiler_run(j->runner->compiler, j->language, j->program, j->deadline, j->arena, &j->file, &message) !=
        ERR_NONE) {
        j->outcome->verdict = CODE_IE;
        j->outcome->detail = arena_strdup(j->arena, err_text());
        return false;
    }
    if (j->file < 0) {
        j->outcome->verdict = CODE_CE;
        j->outcome->detail = message;
        return false;
    }
    return true;
}

void code_run(struct code_runner *runner, enum code_language language, struct str program,
              const struct code_tests *tests, bool all_tests, double deadline, struct arena *arena,
              struct code_outcome *outcome)
{
    struct judging j = {runner, tests, language, program, -1, deadline, arena, outcome};
    double start = clock_seconds(), weight = 0, passed = 0;
    *outcome = (struct code_outcome){.verdict = CODE_AC, .test = -1, .detail = "right", .output = outcome->output};
    bool going = prepare(&j);
    for (int i = 0; i < tests->n; i++) {
        weight += tests->tests[i].weight;
        if (!going) {
            continue;
        }
        struct ending ending = {CODE_IE, 0, "reward_timeout passed before all tests had run"};
        if (clock_seconds() < deadline) {
            ending =
                tests->mode == CODE_ASSERTS ? run_asserts(&j, &tests->tests[i]) : run_program(&j, &tests->tests[i]);
        }
        if (ending.verdict == CODE_IE && clock_seconds() > deadline &&
            outcome->seconds > 0.5 * (clock_seconds() - start)) {
            ending = (struct ending){CODE_TLE, 0, "all tests together"};
        }
        passed += ending.share * tests->tests[i].weight;
        bool first = outcome->verdict == CODE_AC && ending.verdict != CODE_AC;
        if (first || ending.verdict == CODE_IE) {
            outcome->verdict = ending.verdict;
            outcome->test = i;
            outcome->detail = ending.detail;
        }
        going = ending.verdict == CODE_AC || (all_tests && ending.verdict != CODE_IE);
    }
    outcome->share = weight > 0 ? passed / weight : 0;
    if (j.file >= 0) {
        close(j.file);
    }
}
