/* reward/code.c - does the program in the completion pass the tests of its row?
 *
 * The program is the completion's last fenced code block. It runs in the sandbox (sandbox.h); what its verdict is worth:
 * a wrong, slow, crashing or refused program earns 0 or its share of the tests; where the judge itself failed the result is
 * an error, and the sample is dropped. The recipe's reward_timeout holds for all tests of a completion together: a program
 * that uses it up before its last test earns 0 as a slow one, so set it for the number of tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "reward/code/extract.h"
#include "reward/code/run.h"
#include "reward/rewards.h"

enum code_score { SCORE_ALL, SCORE_RATE, SCORE_WEIGHTED };

struct code {
    struct code_runner *runner;
    enum code_score score;
    enum code_language language; /* CODE_UNKNOWN: auto */
    struct compare compare;
    struct sandbox_limits limits;
    int max_tests;
    bool bare, landlock;
};

static const struct reward_option code_options[] = {
    {"score", OPTION_CHOICE, "all", 0, 0, "all|rate|weighted",
     "all: 1 if every test passes, else 0; rate: the share of tests; weighted: the same by the row's weights"},
    {"language", OPTION_CHOICE, "auto", 0, 0, "auto|python|c|cpp",
     "auto: the row's language, else the code block's, else python"},
    {"compare", OPTION_CHOICE, "lines", 0, 0, "lines|tokens|float|exact",
     "how output is compared, if the row does not say"},
    {"tolerance", OPTION_NUMBER, "0", 0, 1, NULL,
     "how far numbers may be apart, absolute or relative (float compare: 1e-6 where this is 0)"},
    {"wall", OPTION_NUMBER, "10", 0.1, 3600, NULL, "seconds a test may take"},
    {"cpu", OPTION_NUMBER, "4", 0.1, 3600, NULL, "seconds of processor time a test may use"},
    {"memory_mb", OPTION_INT, "512", 32, 1 << 20, NULL, "memory of a test"},
    {"max_tests", OPTION_INT, "0", 0, 1 << 20, NULL, "only so many tests of a row, the first ones; 0: all"},
    {"bare", OPTION_BOOL, "false", 0, 0, NULL, "without a code block, the whole completion is the program"},
    {"slots", OPTION_INT, "0", 0, 256, NULL, "programs that run at the same time; 0: one a processor"},
    {"sandbox", OPTION_CHOICE, "strict", 0, 0, "strict|landlock",
     "landlock: weaker, for machines that refuse namespaces; Python only"},
    {"python", OPTION_TEXT, "", 0, 0, NULL, "path of the interpreter; empty: the system's"},
    {0},
};

static enum err code_open(void *state, const struct reward_values *values)
{
    static const char *const scores[] = {"all", "rate", "weighted"};
    struct code *code = state;
    for (int i = 0; i < 3; i++) {
        code->score = strcmp(reward_text(values, "score"), scores[i]) == 0 ? (enum code_score)i : code->score;
    }
    code->language = code_language_of(str_of(reward_text(values, "language")));
    double tolerance = reward_number(values, "tolerance");
    compare_type_of(str_of(reward_text(values, "compare")), &code->compare.type);
    if (code->compare.type == COMPARE_FLOAT && tolerance == 0) {
        tolerance = 1e-6;
    }
    code->compare.absolute = code->compare.relative = tolerance;
    code->limits = SANDBOX_LIMITS;
    code->limits.wall_s = reward_number(values, "wall");
    code->limits.cpu_s = reward_number(values, "cpu");
    code->limits.memory_mb = (int32_t)reward_int(values, "memory_mb");
    code->max_tests = (int)reward_int(values, "max_tests");
    code->bare = reward_bool(values, "bare");
    code->landlock = strcmp(reward_text(values, "sandbox"), "landlock") == 0;
    TRY(code_runner_open(&code->runner, &(struct code_runner_options){.python = reward_text(values, "python"),
                                                                      .n_slots = (int)reward_int(values, "slots"),
                                                                      .landlock = code->landlock}));
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (code->landlock && !atomic_flag_test_and_set(&warned)) {
        log_warning("sandbox=landlock is weaker than the default. Programs cannot read or write your files, start "
                    "processes, send signals or use the network; but nothing keeps them from filling the disk of /tmp "
                    "during a run, from seeing names and sizes of files and numbers of processes, or (unless strop "
                    "is root) from starting many threads, and a hole in the kernel leads to the user they run as");
    }
    log_info("code runs in a sandbox: %s", code_runner_mode(code->runner));
    return ERR_NONE;
}

static void code_close(void *state)
{
    struct code *code = state;
    code_runner_close(code->runner);
}

static enum code_language pick_language(const struct code *code, const struct code_tests *tests,
                                        enum code_language block)
{
    if (tests->mode != CODE_STDIO) {
        return CODE_PYTHON;
    }
    if (code->language != CODE_UNKNOWN) {
        return code->language;
    }
    if (tests->language != CODE_UNKNOWN) {
        return tests->language;
    }
    return block != CODE_UNKNOWN ? block : CODE_PYTHON;
}

/* HumanEval: behind its prompt, or in it where the completion is only the body. */
static struct str whole_program(const struct code_tests *tests, struct str code, struct arena *arena)
{
    if (!tests->prelude.length) {
        return code;
    }
    const char *text = arena_printf(arena, "%.*s\n%.*s", (int)tests->prelude.length, tests->prelude.data,
                                    (int)code.length, code.data ? code.data : "");
    return memchr(code.data ? code.data : "", 0, code.length) ? code : str_of(text);
}

static struct verdict code_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct code *code = state;
    struct code_tests tests = {.compare = code->compare, .limits = code->limits};
    const char *wrong = code_tests_read(&tests, item->fields, code->score != SCORE_ALL, call->arena);
    if (wrong) {
        return verdict_error(wrong);
    }
    tests.n = code->max_tests && tests.n > code->max_tests ? code->max_tests : tests.n;
    for (int i = 0; i < tests.n && code->score != SCORE_WEIGHTED; i++) {
        tests.tests[i].weight = 1;
    }
    struct code_block block;
    if (!code_extract(item->completion, &block)) {
        if (!code->bare) {
            return verdict_ok(0, "no code block", (struct str){0});
        }
        block = (struct code_block){item->completion, CODE_UNKNOWN};
    }
    struct code_outcome outcome = {0};
    code_run(code->runner, pick_language(code, &tests, block.language), whole_program(&tests, block.code, call->arena),
             &tests, code->score != SCORE_ALL, call->deadline, call->arena, &outcome);
    if (outcome.verdict == CODE_IE) {
        return verdict_error(outcome.detail);
    }
    double score = code->score == SCORE_ALL ? outcome.verdict == CODE_AC : outcome.share;
    const char *reason =
        outcome.verdict == CODE_AC ? "right"
        : outcome.verdict == CODE_CE
            ? "CE"
            : arena_printf(call->arena, "%s in test %d", code_verdict_names[outcome.verdict], outcome.test + 1);
    struct verdict verdict = verdict_ok(score, reason, block.code);
    verdict.path = code->landlock ? "landlock" : NULL;
    return verdict;
}

const struct reward_kind reward_code = {
    .name = "code",
    .help = "1 if the program in the completion's last code block passes the tests, run in a sandbox",
    .fields = "test entry_point | tests | test_list | inputs outputs | input_output",
    .options = code_options,
    .open = code_open,
    .close = code_close,
    .state_bytes = sizeof(struct code),
    .judge = code_judge,
};
