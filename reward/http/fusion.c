/* reward/http/fusion.c - begin reads the row's tests; ask and read then move through them, one request per test.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/http/fusion.h"

#include <math.h>
#include <string.h>

#include "reward/code/extract.h"
#include "reward/dialog.h"

enum { MEMORY_MB = 1024 }; /* of address space, of which an interpreter with its modules takes a few hundred */

static const char *read_row(struct code_tests *tests, const json_t *row, struct arena *arena)
{
    *tests = (struct code_tests){.compare = {.type = COMPARE_LINES}, .limits = SANDBOX_LIMITS};
    tests->limits.memory_mb = MEMORY_MB;
    const char *wrong = code_tests_read(tests, row, false, arena);
    return wrong || tests->mode == CODE_STDIO
               ? wrong
               : "the row's tests call functions or assert, and form=sandbox_fusion runs tests of input and output "
                 "only; use the reward code";
}

const char *http_fusion_check(const json_t *row, struct arena *arena)
{
    struct code_tests tests;
    return read_row(&tests, row, arena);
}

bool http_fusion_begin(struct http_fusion *fusion, const struct reward_item *item, struct arena *arena,
                       struct verdict *verdict)
{
    struct code_block block;
    *fusion = (struct http_fusion){0};
    const char *wrong = read_row(&fusion->tests, item->fields, arena);
    struct code_wanted wanted = code_wanted(&fusion->tests, fusion->tests.language);
    if (wrong) {
        *verdict = verdict_error(wrong);
    } else if (!code_extract(item->completion, &wanted, arena, &block)) {
        *verdict = verdict_ok(0, "no code block", (struct str){0});
    } else {
        fusion->program = block.code;
        fusion->language = fusion->tests.language != CODE_UNKNOWN ? fusion->tests.language : block.language;
        return true;
    }
    return false;
}

void http_fusion_ask(struct strbuf *out, const struct http_fusion *fusion, double seconds)
{
    const struct sandbox_limits *limits = &fusion->tests.limits;
    /* less than what is left, so that a slow program is not taken for a slow server */
    double timeout = fmin(limits->wall_s, 0.8 * fmax(0, seconds));
    bool python = fusion->language == CODE_PYTHON || fusion->language == CODE_UNKNOWN;
    strbuf_puts(out, "{\"code\": \"");
    strbuf_add_json(out, fusion->program);
    strbuf_printf(out, "\", \"language\": \"%s\", \"stdin\": \"", python ? "python" : "cpp");
    strbuf_add_json(out, fusion->tests.tests[fusion->test].input);
    strbuf_printf(out, "\", \"run_timeout\": %.3f, \"compile_timeout\": %.3f, \"memory_limit_MB\": %d}", timeout,
                  timeout, (int)limits->memory_mb);
}

/* One command's result: NULL if it ended well, else "TLE" or "failed". Null: there was no such command. */
static const char *command_failed(const json_t *result)
{
    const char *status = json_string_value(json_object_get(result, "status"));
    const json_t *code = json_object_get(result, "return_code");
    if (status && strcmp(status, "TimeLimitExceeded") == 0) {
        return "TLE";
    }
    return json_is_integer(code) && json_integer_value(code) != 0 ? "failed" : NULL;
}

static struct verdict zero(const struct http_fusion *fusion, const char *what, struct arena *arena)
{
    return verdict_ok(0, arena_printf(arena, "%s in test %d", what, fusion->test + 1), fusion->program);
}

static enum http_fusion_said read_run(struct http_fusion *fusion, const json_t *answer, struct arena *arena,
                                      struct verdict *verdict)
{
    const json_t *compile = json_object_get(answer, "compile_result"), *run = json_object_get(answer, "run_result");
    const json_t *out = json_object_get(run, "stdout");
    const char *failed = command_failed(run);
    struct str text = {json_string_value(out), json_string_length(out)};
    if (command_failed(compile)) {
        *verdict = verdict_ok(0, "CE", fusion->program);
    } else if (failed) {
        *verdict = zero(fusion, strcmp(failed, "TLE") == 0 ? "TLE" : "RE", arena);
    } else if (!compare_texts(&fusion->tests.compare, text, fusion->tests.tests[fusion->test].expected)) {
        *verdict = zero(fusion, "WA", arena);
    } else if (++fusion->test < fusion->tests.n) {
        return FUSION_MORE;
    } else {
        *verdict = verdict_ok(1, "right", fusion->program);
    }
    return FUSION_JUDGED;
}

/* NULL, or what is wrong with an answer that is not SandboxError. */
static const char *check(const json_t *answer, const char *status)
{
    const json_t *run = json_object_get(answer, "run_result"), *compile = json_object_get(answer, "compile_result");
    bool success = status && strcmp(status, "Success") == 0;
    if (!success && !(status && strcmp(status, "Failed") == 0)) {
        return "its status is none of Success, Failed, SandboxError";
    }
    if (success && !json_is_string(json_object_get(run, "stdout"))) {
        return "it says Success, and gives no run_result with stdout";
    }
    bool failed = command_failed(run) || command_failed(compile);
    return success == failed ? "its status is not that of its compile_result and run_result" : NULL;
}

enum http_fusion_said http_fusion_read(struct http_fusion *fusion, struct str body, struct arena *arena,
                                       struct verdict *verdict)
{
    json_t *answer = dialog_parse(body);
    const json_t *message = json_object_get(answer, "message");
    const char *status = json_string_value(json_object_get(answer, "status"));
    enum http_fusion_said said = FUSION_JUDGED;
    const char *wrong = NULL;
    if (!json_is_object(answer)) {
        wrong = arena_printf(arena, "its answer is no JSON object: %s", dialog_shown(body, arena));
    } else if (status && strcmp(status, "SandboxError") == 0) {
        struct str text = {json_string_value(message), json_string_length(message)};
        *verdict = verdict_error(arena_printf(arena, "SandboxError: %s", dialog_shown(text, arena)));
        said = FUSION_FAILED;
    } else {
        wrong = check(answer, status);
    }
    if (wrong) {
        *verdict = verdict_error(wrong);
    } else if (said == FUSION_JUDGED) {
        said = read_run(fusion, answer, arena, verdict);
    }
    json_decref(answer);
    return said;
}
