/* reward/code/run.c - each test becomes a sandbox job (assertions become two, joined by a socket) and its end a
 * verdict.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/run.h"

#include <errno.h>
#include <math.h>
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
    const struct code_program *program;
    const struct reward_call *call;
    int file;        /* the executable; -1 for Python */
    double deadline; /* for all tests together */
    struct arena *arena;
    struct code_outcome *outcome;
};

/* One test's end. */
struct ending {
    enum code_verdict verdict;
    double share; /* 1 for AC */
    const char *detail;
    bool starved; /* the clock ended it while it waited for a processor */
};

static struct ending ending_error(const struct judging *j)
{
    return (struct ending){CODE_IE, 0, arena_strdup(j->arena, err_text()), false};
}

static struct ending ending_late(void)
{
    return (struct ending){CODE_IE, 0, "the time of the item was over before all tests had run; raise reward_timeout",
                           false};
}

/* How the program ended, apart from what it wrote. */
static struct ending ending_of(const struct judging *j, const struct sandbox_result *result)
{
    switch (result->stop) {
    case SANDBOX_WALL: return (struct ending){CODE_TLE, 0, "wall clock", false};
    case SANDBOX_CPU: return (struct ending){CODE_TLE, 0, "processor time", false};
    case SANDBOX_MEMORY: return (struct ending){CODE_MLE, 0, "memory", false};
    case SANDBOX_OUTPUT: return (struct ending){CODE_OLE, 0, "output", false};
    case SANDBOX_ENDED: break;
    }
    if (result->signal) {
        return (struct ending){CODE_RE, 0, arena_printf(j->arena, "signal %d", result->signal), false};
    }
    if (result->exit_code) {
        return (struct ending){CODE_RE, 0, arena_printf(j->arena, "exit code %d", result->exit_code), false};
    }
    return (struct ending){CODE_AC, 1, "right", false};
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

/* The limits of a run, which ends with the item at the latest. */
static struct sandbox_limits limits_now(const struct judging *j)
{
    struct sandbox_limits limits = j->tests->limits;
    limits.wall_s = fmin(limits.wall_s, fmax(0.01, j->deadline - clock_seconds()));
    return limits;
}

static struct sandbox_job program_job(const struct judging *j, const struct code_test *test)
{
    static const enum sandbox_what whats[] = {SANDBOX_SCRIPT, SANDBOX_FUNCTION, SANDBOX_SERVE};
    return (struct sandbox_job){.what = j->file >= 0 ? SANDBOX_BINARY : whats[j->tests->mode],
                                .source = j->program->text,
                                .input = j->tests->mode == CODE_ASSERTS ? j->tests->setup : test->input,
                                .file = j->file,
                                .prelude = j->program->prelude,
                                .channel = -1,
                                .limits = limits_now(j),
                                .stop = j->call->stop};
}

/* Its own wall clock did not end it, but the item's. */
static bool was_cut(const struct judging *j, const struct sandbox_job *job, const struct sandbox_result *result)
{
    return result->stop == SANDBOX_WALL && job->limits.wall_s < j->tests->limits.wall_s;
}

static bool was_starved(const struct sandbox_job *job, const struct sandbox_result *result)
{
    return result->stop == SANDBOX_WALL && result->starved_s > 0.25 * job->limits.wall_s;
}

/* What an expected value may be wrapped in. */
static bool equals(const struct judging *j, const struct plain *got, const struct plain *want)
{
    const struct compare *compare = &j->tests->compare;
    return plain_equal(got, want, compare->absolute, compare->relative) ||
           (j->tests->pairs && want->type == PLAIN_LIST && want->n == 1 &&
            plain_equal(got, &want->items[0], compare->absolute, compare->relative));
}

static struct ending judge_output(const struct judging *j, const struct code_test *test,
                                  const struct sandbox_result *result)
{
    struct ending ending = ending_of(j, result);
    struct str text;
    if (ending.verdict != CODE_AC) {
        return ending;
    }
    if (j->tests->mode == CODE_STDIO) {
        return compare_texts(&j->tests->compare, strbuf_view(&result->out), test->expected)
                   ? ending
                   : (struct ending){CODE_WA, 0, "another output", false};
    }
    const struct plain *want = plain_parse(test->expected, j->arena);
    const struct plain *got = frame_read(strbuf_view(&result->answer), &text) ? plain_parse(text, j->arena) : NULL;
    if (!want) {
        return (struct ending){CODE_IE, 0, "the expected value is not JSON", false};
    }
    if (!got) {
        return (struct ending){CODE_RE, 0, "no answer", false};
    }
    return equals(j, got, want) ? ending : (struct ending){CODE_WA, 0, "another value", false};
}

static struct ending run_program(const struct judging *j, const struct code_test *test)
{
    struct sandbox_job job = program_job(j, test);
    struct sandbox_result result;
    if (sandbox_run(j->runner->sandbox, &job, j->deadline, &result) != ERR_NONE) {
        return ending_error(j);
    }
    outcome_add(j, &result);
    struct ending ending = was_cut(j, &job, &result) ? ending_late() : judge_output(j, test, &result);
    ending.starved = was_starved(&job, &result);
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
                   ? (struct ending){CODE_TLE, 0, "time, in the tests", false}
                   : (struct ending){CODE_RE, 0, "its values broke the tests", false};
    }
    if (said.fault) {
        ending = (struct ending){CODE_IE, 0, arena_printf(j->arena, "the tests are broken: %s", said.fault), false};
    } else if (said.done && !said.gone && said.all) {
        ending = (struct ending){CODE_AC, 1, "right", false}; /* however the program ends afterwards */
    } else if (ending.verdict == CODE_AC) {
        ending = (struct ending){said.gone ? CODE_RE : CODE_WA, 0,
                                 said.gone ? "it left before the tests" : "an assertion fails", false};
    }
    ending.share = ending.verdict == CODE_AC ? 1 : said.share;
    return ending;
}

static struct ending run_pair(const struct judging *j, const struct code_test *test, const int pair[2])
{
    struct sandbox *sandbox = j->runner->sandbox;
    struct sandbox_job program = program_job(j, test),
                       tests = {.what = SANDBOX_TEST, .input = test->input, .file = -1, .stop = j->call->stop};
    struct sandbox_slot *program_slot, *tests_slot;
    struct sandbox_result program_result, report;
    program.channel = pair[0];
    tests.channel = pair[1];
    tests.limits = SANDBOX_LIMITS;
    tests.limits.wall_s = program.limits.wall_s + 2; /* so that the program's own clock rings first */
    tests.limits.cpu_s += program.limits.cpu_s;
    if (sandbox_start(sandbox, &program, j->deadline, &program_slot) != ERR_NONE) {
        close(pair[0]);
        close(pair[1]);
        return ending_error(j);
    }
    enum err failure = sandbox_start(sandbox, &tests, j->deadline, &tests_slot);
    close(pair[0]); /* so that each side sees the other's end close */
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
        if (ending.verdict == CODE_TLE && was_cut(j, &program, &program_result)) {
            ending = ending_late();
        }
        ending.starved = ending.verdict != CODE_AC && was_starved(&program, &program_result);
        sandbox_result_release(&report);
    }
    sandbox_result_release(&program_result);
    return ending;
}

static struct ending run_asserts(const struct judging *j, const struct code_test *test)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return (struct ending){CODE_IE, 0, arena_printf(j->arena, "cannot make a socket pair: %s", strerror(errno)),
                               false};
    }
    return run_pair(j, test, pair);
}

/* ---- all tests ---- */

static struct ending run_once(const struct judging *j, const struct code_test *test)
{
    return j->tests->mode == CODE_ASSERTS ? run_asserts(j, test) : run_program(j, test);
}

/* Waits until no other run is active; false: the item's time is over before that, or judging is stopped. */
static bool lock_alone(const struct judging *j)
{
    int failure = ETIMEDOUT;
    while (failure == ETIMEDOUT && clock_seconds() < j->deadline && !reward_stopped(j->call)) {
        double moment = fmin(j->deadline, clock_seconds() + REWARD_LOOK_SECONDS), whole = floor(moment);
        struct timespec until = {.tv_sec = (time_t)whole, .tv_nsec = (long)((moment - whole) * 1e9)};
        failure = pthread_rwlock_clockwrlock(&j->runner->alone, CLOCK_MONOTONIC, &until);
    }
    return failure == 0;
}

static struct ending run_test(const struct judging *j, const struct code_test *test)
{
    pthread_rwlock_rdlock(&j->runner->alone);
    struct ending ending = run_once(j, test);
    pthread_rwlock_unlock(&j->runner->alone);
    if (!ending.starved) {
        return ending;
    }
    if (!lock_alone(j)) {
        return (struct ending){CODE_IE, 0, "it got too little of the processors; use fewer slots or reward_threads",
                               false};
    }
    ending = run_once(j, test);
    pthread_rwlock_unlock(&j->runner->alone);
    return ending;
}

static bool prepare(struct judging *j)
{
    const char *message = "";
    if (j->program->language == CODE_PYTHON) {
        return true;
    }
    if (j->tests->mode != CODE_STDIO) {
        j->outcome->verdict = CODE_IE;
        j->outcome->detail = "function and assert tests are for Python";
        return false;
    }
    if (compiler_run(j->runner->compiler, j->program->language, j->program->text, j->call, &j->file, &message) !=
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

void code_run(struct code_runner *runner, const struct code_program *program, const struct code_tests *tests,
              bool all_tests, const struct reward_call *call, struct code_outcome *outcome)
{
    struct judging j = {.runner = runner,
                        .tests = tests,
                        .program = program,
                        .call = call,
                        .file = -1,
                        .arena = call->arena,
                        .outcome = outcome};
    double weight = 0, passed = 0;
    *outcome = (struct code_outcome){.verdict = CODE_AC, .test = -1, .detail = "right", .output = outcome->output};
    bool going = prepare(&j);
    j.deadline = fmax(call->deadline, clock_seconds() + (tests->n + 1) * tests->limits.wall_s);
    for (int i = 0; i < tests->n; i++) {
        weight += tests->tests[i].weight;
        if (!going) {
            continue;
        }
        struct ending ending = clock_seconds() < j.deadline ? run_test(&j, &tests->tests[i]) : ending_late();
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
