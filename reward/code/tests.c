/* reward/code/tests.c - one reader per shape of row; all of them fill the same list of tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/tests.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reward/plain.h"

struct reading {
    struct code_tests *out;
    const json_t *fields;
    bool count_all;
    struct arena *arena;
};

static struct str text_of(const json_t *value)
{
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)} : (struct str){0};
}

/* The first of the fields that is there and not null. */
static const json_t *field(const json_t *object, const char *name, const char *other)
{
    const json_t *value = json_object_get(object, name);
    if ((!value || json_is_null(value)) && other) {
        value = json_object_get(object, other);
    }
    return json_is_null(value) ? NULL : value;
}

static struct str json_text(const json_t *value, struct arena *arena)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    struct str out = {0};
    if (text) {
        out = str_of(arena_strdup(arena, text));
        free(text);
    }
    return out;
}

enum code_language code_language_of(struct str name)
{
    static const struct {
        const char *name;
        enum code_language language;
    } names[] = {{"python", CODE_PYTHON},  {"py", CODE_PYTHON}, {"pypy", CODE_PYTHON},
                 {"ipython", CODE_PYTHON}, {"c", CODE_C},       {"cpp", CODE_CPP},
                 {"c++", CODE_CPP},        {"cc", CODE_CPP},    {"cxx", CODE_CPP}};
    while (name.length && strchr("0123456789.", name.data[name.length - 1])) { /* python3.11, c99, c++17 */
        name.length--;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) == name.length && strncasecmp(names[i].name, name.data, name.length) == 0) {
            return names[i].language;
        }
    }
    return CODE_UNKNOWN;
}

static struct code_test *tests_new(struct reading *r, enum code_mode mode, size_t n)
{
    r->out->mode = mode;
    r->out->n = (int)n;
    r->out->tests = ARENA_NEW(r->arena, struct code_test, n + 1);
    const json_t *weights = field(r->fields, "weights", NULL);
    for (size_t i = 0; i < n; i++) {
        const json_t *weight = json_array_get(weights, i);
        r->out->tests[i].weight = json_is_number(weight) ? json_number_value(weight) : 1;
    }
    return r->out->tests;
}

/* What the tests' own sandbox gets. `code` is never shown to the program. */
static struct str assert_request(const struct reading *r, struct str code, struct str setup)
{
    json_t *request = json_pack(
        "{s:s%, s:s%, s:s%, s:s%, s:b}", "test", code.data, code.length, "setup", setup.data ? setup.data : "",
        setup.length, "entry", r->out->entry.data ? r->out->entry.data : "", r->out->entry.length, "prelude",
        r->out->prelude.data ? r->out->prelude.data : "", r->out->prelude.length, "stop", !r->count_all);
    struct str text = request ? json_text(request, r->arena) : (struct str){0};
    json_decref(request);
    return text;
}

static const char *read_humaneval(struct reading *r, struct str test)
{
    struct str prompt = text_of(field(r->fields, "problem", "prompt"));
    const char *head = arena_printf(r->arena, "def %.*s(", (int)r->out->entry.length, r->out->entry.data);
    if (str_find(prompt, str_of(head), 0) >= 0) { /* else it is a sentence about the task, not code */
        r->out->prelude = prompt;
    }
    tests_new(r, CODE_ASSERTS, 1)->input = assert_request(r, test, (struct str){0});
    return NULL;
}

static const char *read_asserts(struct reading *r, const json_t *list)
{
    struct str setup = r->out->setup = text_of(field(r->fields, "setup", "test_setup_code"));
    struct code_test *tests = tests_new(r, CODE_ASSERTS, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *code = json_is_object(item) ? field(item, "code", NULL) : item;
        if (!json_is_string(code)) {
            return "a test is neither text nor an object with 'code'";
        }
        tests[i].input = assert_request(r, text_of(code), setup);
    }
    return NULL;
}

static struct str function_request(const struct reading *r, struct str args)
{
    return str_of(arena_printf(r->arena, "{\"entry\":\"%.*s\",\"args\":%.*s%s}", (int)r->out->entry.length,
                               r->out->entry.data, (int)args.length, args.data, r->out->pairs ? ",\"keys\":1" : ""));
}

/* tests: a list of objects. */
static const char *read_objects(struct reading *r, const json_t *list)
{
    const json_t *first = json_array_get(list, 0);
    if (field(first, "code", NULL)) {
        return read_asserts(r, list);
    }
    bool function = field(first, "args", NULL) != NULL;
    if (function && !r->out->entry.length) {
        return "tests with 'args' need the field 'entry'";
    }
    struct code_test *tests = tests_new(r, function ? CODE_FUNCTION : CODE_STDIO, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *input = function ? field(item, "args", NULL) : field(item, "stdin", "input");
        const json_t *expected = json_object_get(item, json_object_get(item, "expected") ? "expected" : "output");
        if (!input || !expected ||
            (function ? !json_is_array(input) : !json_is_string(input) || !json_is_string(expected))) {
            return arena_printf(r->arena, "test %zu lacks its input or 'expected', or they are of the wrong type",
                                i + 1);
        }
        tests[i].input = function ? function_request(r, json_text(input, r->arena)) : text_of(input);
        tests[i].expected = function ? json_text(expected, r->arena) : text_of(expected);
    }
    return NULL;
}

/* The arguments of a function in `inputs`: a list, or JSON texts, one per line. */
static struct str arguments_text(const struct reading *r, const json_t *input)
{
    if (!json_is_string(input)) {
        return json_text(input, r->arena);
    }
    struct strbuf list = STRBUF_INIT;
    struct str text = str_trim(text_of(input));
    strbuf_putc(&list, '[');
    for (size_t at = 0; at < text.length;) {
        ptrdiff_t end = str_find(text, STR("\n"), at);
        size_t to = end < 0 ? text.length : (size_t)end;
        if (at) {
            strbuf_putc(&list, ',');
        }
        strbuf_add_str(&list, str_slice(text, at, to));
        at = to + 1;
    }
    strbuf_putc(&list, ']');
    struct str out = {arena_copy(r->arena, list.data, list.length), list.length};
    strbuf_release(&list);
    return out;
}

/* Pairs up inputs and outputs. */
static const char *read_pairs(struct reading *r, const json_t *holder)
{
    const json_t *inputs = field(holder, "inputs", "input"), *outputs = field(holder, "outputs", "output");
    struct str function = text_of(field(holder, "fn_name", NULL));
    r->out->pairs = true;
    if (!json_is_array(inputs) || !json_is_array(outputs) || json_array_size(inputs) != json_array_size(outputs)) {
        return "'inputs' and 'outputs' must be lists of the same length";
    }
    if (function.length) {
        r->out->entry = function;
    }
    struct code_test *tests = tests_new(r, function.length ? CODE_FUNCTION : CODE_STDIO, json_array_size(inputs));
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const json_t *input = json_array_get(inputs, i), *output = json_array_get(outputs, i);
        if (function.length) {
            tests[i].input = function_request(r, arguments_text(r, input));
            tests[i].expected = json_is_string(output) && plain_parse(text_of(output), r->arena)
                                    ? text_of(output)
                                    : json_text(output, r->arena);
        } else if (json_is_string(input) && json_is_string(output)) {
            tests[i].input = text_of(input);
            tests[i].expected = text_of(output);
        } else {
            return "'inputs' and 'outputs' must be texts, or 'fn_name' must name a function";
        }
    }
    return NULL;
}

static const char *read_input_output(struct reading *r, const json_t *value)
{
    if (json_is_object(value)) {
        return read_pairs(r, value);
    }
    struct str text = text_of(value);
    json_t *parsed = json_loadb(text.data ? text.data : "", text.length, JSON_ALLOW_NUL, NULL);
    const char *wrong = "'input_output' is not JSON";
    if (json_is_object(parsed)) {
        wrong = read_pairs(r, parsed);
        for (int i = 0; !wrong && i < r->out->n; i++) { /* the texts outlive `parsed` */
            struct code_test *test = &r->out->tests[i];
            test->input = str_of(arena_strndup(r->arena, test->input.data, test->input.length));
            test->expected = str_of(arena_strndup(r->arena, test->expected.data, test->expected.length));
        }
        r->out->entry.data =
            arena_strndup(r->arena, r->out->entry.data ? r->out->entry.data : "", r->out->entry.length);
    }
    json_decref(parsed);
    return wrong;
}

static void limit_number(const json_t *limits, const char *name, double *out)
{
    const json_t *value = field(limits, name, NULL);
    if (json_is_number(value) && json_number_value(value) > 0) {
        *out = json_number_value(value);
    }
}

static void limit_whole(const json_t *limits, const char *name, int32_t *out)
{
    const json_t *value = field(limits, name, NULL);
    if (json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) < INT32_MAX) {
        *out = (int32_t)json_integer_value(value);
    }
}

static void read_limits(struct sandbox_limits *out, const json_t *limits)
{
    int32_t output = 0;
    limit_number(limits, "wall_s", &out->wall_s);
    limit_number(limits, "cpu_s", &out->cpu_s);
    limit_whole(limits, "memory_mb", &out->memory_mb);
    limit_whole(limits, "processes", &out->processes);
    limit_whole(limits, "fsize_mb", &out->fsize_mb);
    limit_whole(limits, "tmp_mb", &out->tmp_mb);
    limit_whole(limits, "output_bytes", &output);
    out->output_bytes = output ? output : out->output_bytes;
}

static const char *read_compare(struct reading *r)
{
    const json_t *compare = field(r->fields, "compare", NULL);
    struct str name = json_is_object(compare) ? text_of(field(compare, "type", NULL)) : text_of(compare);
    if (!compare) {
        return NULL;
    }
    if (!compare_type_of(name, &r->out->compare.type)) {
        return "'compare' must be lines, tokens, float, exact or json";
    }
    limit_number(compare, "abs_tol", &r->out->compare.absolute);
    limit_number(compare, "rel_tol", &r->out->compare.relative);
    return NULL;
}

static const char *read_tests(struct reading *r)
{
    const json_t *tests = field(r->fields, "tests", "test_list"), *test = field(r->fields, "test", NULL);
    const json_t *whole = field(r->fields, "input_output", NULL);
    if (json_is_array(tests) && json_array_size(tests) > 0) {
        return json_is_object(json_array_get(tests, 0)) ? read_objects(r, tests) : read_asserts(r, tests);
    }
    if (json_is_string(test) && r->out->entry.length) {
        return read_humaneval(r, text_of(test));
    }
    if (whole) {
        return read_input_output(r, whole);
    }
    if (field(r->fields, "inputs", NULL)) {
        return read_pairs(r, r->fields);
    }
    return "missing field: 'test' with 'entry_point', 'tests', 'test_list', 'inputs' with 'outputs', or 'input_output'";
}

const char *code_tests_read(struct code_tests *out, const json_t *fields, bool count_all, struct arena *arena)
{
    struct reading r = {.out = out, .fields = fields, .count_all = count_all, .arena = arena};
    out->entry = text_of(field(fields, "entry_point", "entry"));
    out->prelude = out->setup = (struct str){0};
    out->pairs = false;
    const json_t *language = field(fields, "language", NULL);
    out->language = language ? code_language_of(text_of(language)) : CODE_UNKNOWN;
    if (language && out->language == CODE_UNKNOWN) {
        return "'language' must be python, c or cpp";
    }
    read_limits(&out->limits, field(fields, "limits", NULL));
    const char *wrong = read_tests(&r);
    wrong = wrong ? wrong : read_compare(&r);
    if (!wrong && out->n == 0) {
        return "the row has no tests";
    }
    for (size_t i = 0; !wrong && i < out->entry.length; i++) { /* it is put into JSON text as it is */
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.", out->entry.data[i])) {
            return "the function's name is no name";
        }
    }
    return wrong;
}
