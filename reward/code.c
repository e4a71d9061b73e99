/* reward/code.c - does the program in the completion pass the tests of its row?
 *
 * The program is the completion's last code block of the language (code/extract.h). It runs in the sandbox (sandbox.h);
 * what its verdict is worth: a wrong, slow, crashing or refused program earns 0 or its share of the tests; where the
 * judge itself failed the result is an error, and the sample is dropped.
 *
 * A test that runs past its `wall` or uses up its `cpu` fails. All tests of a completion together have the sum of their
 * walls plus one more, or the recipe's reward_timeout where that is longer; what is not judged by then (the machine is
 * too busy, say) is an error, never a wrong answer.
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
    enum { PRELUDE_AUTO, PRELUDE_TRUE, PRELUDE_FALSE } prelude;
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
    {"max_tests", OPTION_INT, "0", 0, 1 << 20, NULL, "only the first N tests of a row; 0: all"},
    {"prelude", OPTION_CHOICE, "auto", 0, 0, "auto|true|false",
     "Python: what the harnesses of LiveCodeBench and APPS import before a program (List, math, defaultdict ...) needs "
     "no "
     "import; auto: where the row has inputs and outputs, as theirs, or the tests call a method of class Solution"},
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
    const char *prelude = reward_text(values, "prelude");
    code->prelude = prelude[0] == 'a' ? PRELUDE_AUTO : prelude[0] == 't' ? PRELUDE_TRUE : PRELUDE_FALSE;
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

/* CODE_UNKNOWN: the completion's block decides. */
static enum code_language wanted_language(const struct code *code, const struct code_tests *tests)
{
    return tests->mode != CODE_STDIO ? CODE_PYTHON : code->language != CODE_UNKNOWN ? code->language : tests->language;
}

static bool needs_prelude(const struct code *code, const struct code_tests *tests, struct str program)
{
    bool method = tests->mode == CODE_FUNCTION && str_find(program, STR("class Solution"), 0) >= 0;
    return code->prelude == PRELUDE_TRUE || (code->prelude == PRELUDE_AUTO && (tests->pairs || method));
}

/* HumanEval: the program comes after the prompt, or inside it where the completion is only the body. */
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
    struct code_wanted wanted = code_wanted(&tests, wanted_language(code, &tests));
    if (!code_extract(item->completion, &wanted, call->arena, &block)) {
        if (!code->bare) {
            return verdict_ok(0, wanted.language == CODE_PYTHON ? "no code block in Python" : "no code block",
                              (struct str){0});
        }
        block = (struct code_block){item->completion, CODE_UNKNOWN};
    }
    struct code_program program = {.text = whole_program(&tests, block.code, call->arena),
                                   .language = wanted.language != CODE_UNKNOWN  ? wanted.language
                                               : block.language != CODE_UNKNOWN ? block.language
                                                                                : CODE_PYTHON,
                                   .prelude = needs_prelude(code, &tests, block.code)};
    struct code_outcome outcome = {0};
    code_run(code->runner, &program, &tests, code->score != SCORE_ALL, call, &outcome);
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

static const char *code_check(const void *state, const json_t *row, struct arena *arena)
{
    const struct code *code = state;
    struct code_tests tests = {.compare = code->compare, .limits = code->limits};
    return code_tests_read(&tests, row, false, arena);
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
    .check = code_check,
};
