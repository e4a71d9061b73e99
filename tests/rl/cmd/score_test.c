/* tests/rl/cmd/score_test.c - strop score, from the command line to what it prints.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "reward/reward.h"
#include "rl/cmd/commands.h"

const struct command *const all_commands[] = {&command_score, NULL};

static char folder[] = "/tmp/strop_score_XXXXXX";
static char input[64], output[64], notes[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return 1;
    }
    snprintf(input, sizeof input, "%s/in.jsonl", folder);
    snprintf(output, sizeof output, "%s/out", folder);
    snprintf(notes, sizeof notes, "%s/err", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) != ERR_NONE;
}

/* Runs "strop score ARGS" with `text` as the file, or as standard input where ARGS names "-"; stdout and stderr go to files. */
static int run(const char *text, const char *const *args)
{
    const char *argv[16] = {"strop", "score"};
    int argc = 2;
    for (; args[argc - 2]; argc++) {
        argv[argc] = args[argc - 2];
    }
    assert_int_equal(file_write_atomic(input, text, strlen(text)), ERR_NONE);
    fflush(NULL);
    int kept[3] = {dup(0), dup(1), dup(2)};
    assert_true(freopen(input, "r", stdin) && freopen(output, "w", stdout) && freopen(notes, "w", stderr));
    int code = cmd_main(all_commands, argc, (char **)(uintptr_t)argv);
    fflush(NULL);
    for (int i = 0; i < 3; i++) {
        dup2(kept[i], i);
        close(kept[i]);
    }
    return code;
}

#define RUN(text, ...) run(text, (const char *const[]){__VA_ARGS__, NULL})

static char *read_text(const char *path)
{
    struct strbuf text = STRBUF_INIT;
    assert_int_equal(file_read(&text, path, 1 << 24), ERR_NONE);
    strbuf_putc(&text, '\0');
    return text.data;
}

/* Line i of the output as JSON; NULL past the last. */
static json_t *read_line(int i)
{
    char *text = read_text(output), *line = text;
    for (; i > 0 && line; i--) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    json_t *row = line && *line ? json_loads(line, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL) : NULL;
    free(text);
    return row;
}

static void check_line(int i, const char *want)
{
    json_t *row = read_line(i), *wanted = json_loads(want, 0, NULL);
    assert_non_null(row);
    assert_true(json_number_value(json_object_get(row, "ms")) >= 0);
    json_object_del(row, "ms");
    const json_t *part;
    size_t k;
    json_array_foreach(json_object_get(row, "parts"), k, part)
    {
        assert_int_equal(json_object_del((json_t *)(uintptr_t)part, "ms"), 0);
    }
    if (!json_equal(row, wanted)) {
        fail_msg("line %d is %s", i, json_dumps(row, 0));
    }
    json_decref(row);
    json_decref(wanted);
}

static void check_notes(const char *want)
{
    char *text = read_text(notes);
    if (!strstr(text, want)) {
        fail_msg("stderr lacks \"%s\": %s", want, text);
    }
    free(text);
}

#define LINES                                                                                                          \
    "{\"completion\": \"<answer>3*4</answer>\", \"nums\": [3, 4], \"target\": 12}\n"                                   \
    "\n"                                                                                                               \
    "{\"completion\": \"<answer>\\u0000\\u00e9\\\"</answer>\", \"nums\": [3, 4], \"target\": 12}\n"                    \
    "{\"completion\": \"\"}"

static void one_line_in_one_line_out(void **state)
{
    (void)state;
    assert_int_equal(RUN(LINES, "--reward", "countdown", input), 0);
    check_line(0, "{\"score\": 1, \"verdict\": \"ok\", \"reason\": \"right\", \"extracted\": \"3*4\", \"path\": null}");
    json_t *row = read_line(1);
    assert_int_equal(json_string_length(json_object_get(row, "extracted")), 4);
    json_decref(row);
    check_line(2, "{\"score\": null, \"verdict\": \"error\", \"reason\": \"missing field 'nums'\", \"extracted\": \"\","
                  " \"path\": null}");
    assert_null(read_line(3));
    check_notes("countdown                mean 0.5        2 ok, 0 abstained, 1 errors\n3 items in ");
}

static void nothing_but_errors_is_one(void **state)
{
    (void)state;
    assert_int_equal(RUN("{\"completion\": \"4\"}\n{\"completion\": \"5\"}", "--reward", "gsm8k", input), 1);
    check_line(1, "{\"score\": null, \"verdict\": \"error\", \"reason\": \"missing field 'answer'\", \"extracted\": "
                  "\"\", \"path\": null}");
    check_notes("none of 2 items could be judged; the first error: gsm8k: missing field 'answer'");
}

static void several_rewards_add_up(void **state)
{
    (void)state;
    assert_int_equal(RUN(LINES, "--reward=countdown", "--reward=format:mode=graded,weight=0.1,label=f", "--reward",
                         "language:part=answer", "-"),
                     0);
    check_line(0,
               "{\"score\": 1, \"verdict\": \"ok\", \"parts\": ["
               "{\"label\": \"countdown\", \"weight\": 1, \"score\": 1, \"verdict\": \"ok\", \"reason\": \"right\","
               " \"extracted\": \"3*4\", \"path\": null},"
               "{\"label\": \"f\", \"weight\": 0.1, \"score\": 0, \"verdict\": \"ok\", \"reason\": \"share of "
               "tags\", \"extracted\": \"\", \"path\": null},"
               "{\"label\": \"language\", \"weight\": 1, \"score\": null, \"verdict\": \"abstain\", \"reason\": \"no "
               "words\", \"extracted\": \"\", \"path\": null}]}");
    json_t *row = read_line(2);
    assert_true(json_is_null(json_object_get(row, "score")));
    assert_string_equal(json_string_value(json_object_get(row, "verdict")), "error");
    json_decref(row);
    check_notes("total ");
}

static void messages_and_lengths_are_read(void **state)
{
    (void)state;
    static const char lines[] =
        "{\"completion\": [{\"role\": \"assistant\", \"content\": \"a b\"}, {\"role\": \"tool\", \"content\": "
        "\"x\"}]}\n"
        "{\"completion\": [{\"content\": [{\"type\": \"text\", \"text\": \"a \"}, {\"text\": \"b c\"}]}]}\n"
        "{\"completion\": \"a\"}\n";
    assert_int_equal(RUN(lines, "--reward", "length:target=2,unit=words,margin=2", input), 0);
    check_line(0, "{\"score\": 1, \"verdict\": \"ok\", \"reason\": \"right\", \"extracted\": \"2\", \"path\": null}");
    check_line(1,
               "{\"score\": 0.5, \"verdict\": \"ok\", \"reason\": \"too long\", \"extracted\": \"3\", \"path\": null}");
    assert_int_equal(RUN("{\"text\": \"<think></think><answer></answer>\", \"finish_reason\": \"length\"}\n"
                         "{\"text\": \"\", \"completion_ids\": [1, 2, 3], \"max_tokens\": 4}\n"
                         "{\"text\": \"\", \"n_tokens\": 5, \"max_tokens\": 4, \"truncated\": true}\n",
                         "--reward", "format", "--reward", "soft_overlong:soft_punish_cache=2", "--field=text", input),
                     0);
    static const struct {
        double score;
        const char *reason;
    } want[] = {{0, "cut off"}, {-0.5, "long"}, {-1, "too long"}};
    for (int i = 0; i < 3; i++) {
        json_t *row = read_line(i);
        const json_t *part = json_array_get(json_object_get(row, "parts"), i > 0);
        assert_true(json_number_value(json_object_get(part, "score")) == want[i].score);
        assert_string_equal(json_string_value(json_object_get(part, "reason")), want[i].reason);
        json_decref(row);
    }
}

static void a_wrong_line_is_named_after_those_before(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"{\"completion\": 3}", ":2: 'completion' must be text, or messages"},
        {"{\"completion\": []}", ":2: 'completion' must be text, or messages"},
        {"{\"completion\": [{\"role\": \"assistant\"}]}", ":2: 'completion' must be text, or messages"},
        {"{\"answer\": 3}", ":2: the field 'completion' is missing"},
        {"[1]", ":2: must be a JSON object: {\"completion\": ...}"},
        {"{\"completion\": \"", ":2: not valid JSON"},
        {"{\"completion\": \"\", \"n_tokens\": \"3\"}", ":2: 'n_tokens' must be an integer"},
        {"{\"completion\": \"\", \"n_tokens\": 3000000000}", ":2: n_tokens and max_tokens must be from 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"completion\": \"4\", \"answer\": 4}\n%s\n", cases[i].line);
        assert_int_equal(RUN(text, "--reward", "exact", input), 1);
        check_line(0, "{\"score\": 1, \"verdict\": \"ok\", \"reason\": \"right\", \"extracted\": \"4\", \"path\": "
                      "\"after thinking\"}");
        assert_null(read_line(1));
        check_notes(cases[i].want);
        check_notes(input);
    }
}

static void order_is_kept_on_threads(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    enum { N = 1500 }; /* several batches */
    for (int i = 0; i < N; i++) {
        strbuf_printf(&text, "{\"completion\": \"%d\", \"answer\": %d}\n", i, i % 3 ? i : -1);
    }
    assert_int_equal(RUN(text.data, "--reward=exact", "--threads=7", input), 0);
    strbuf_release(&text);
    char *out = read_text(output), *line = out;
    for (int i = 0; i < N; i++) {
        char want[64];
        snprintf(want, sizeof want, "\"extracted\": \"%d\"", i);
        char *end = strchr(line, '\n'), *found = strstr(line, want);
        assert_true(end && found && found < end);
        assert_true(strncmp(line, i % 3 ? "{\"score\": 1," : "{\"score\": 0,", 12) == 0);
        line = end + 1;
    }
    free(out);
    check_notes("exact                    mean 0.666667   1500 ok, 0 abstained, 0 errors");
}

static void usage_is_checked(void **state)
{
    (void)state;
    assert_int_equal(RUN("", "--reward", "exact"), 2);
    check_notes("usage: strop score");
    assert_int_equal(RUN("", input), 2);
    check_notes("needs from 1 to 64 rewards");
    assert_int_equal(RUN("", "--reward", "exat", input), 2);
    check_notes("did you mean 'exact'?");
    assert_int_equal(RUN("", "--reward", "exact", "--timeout=0", input), 2);
    assert_int_equal(RUN("", "--reward", "exact", "/no/such/file"), 1);
    assert_int_equal(RUN("", "--reward", "exact", input), 0);
    check_notes("exact                    mean none       0 ok, 0 abstained, 0 errors");
}

static void the_list_has_every_kind(void **state)
{
    (void)state;
    assert_int_equal(RUN("", "--list"), 0);
    char *text = read_text(output);
    for (int i = 0; reward_kinds[i]; i++) {
        char want[64];
        snprintf(want, sizeof want, "%s\n    ", reward_kinds[i]->name);
        char *at = strstr(text, want);
        assert_true(at && strstr(at, reward_kinds[i]->help));
    }
    assert_non_null(strstr(text, "    soft_punish_cache=N from 0 to 1e+09 (must be given)\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_in_one_line_out),      cmocka_unit_test(several_rewards_add_up),
        cmocka_unit_test(messages_and_lengths_are_read), cmocka_unit_test(a_wrong_line_is_named_after_those_before),
        cmocka_unit_test(order_is_kept_on_threads),      cmocka_unit_test(usage_is_checked),
        cmocka_unit_test(the_list_has_every_kind),       cmocka_unit_test(nothing_but_errors_is_one),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
