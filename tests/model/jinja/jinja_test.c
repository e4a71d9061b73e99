/* tests/model/jinja/jinja_test.c - templates as jinja2 renders them (tests/golden/make_jinja.py), and those that must end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "model/jinja/jinja.h"

static enum err render(struct str source, const json_t *variables, double now, struct strbuf *out)
{
    struct jinja *jinja = NULL;
    TRY(jinja_open(&jinja, source));
    enum err err = jinja_render(jinja, variables, now, out);
    jinja_close(jinja);
    return err;
}

/* Renders without variables; the text or the sentence of the error. */
static const char *result_of(const char *source, struct strbuf *out)
{
    json_t *nothing = json_object();
    strbuf_clear(out);
    strbuf_puts(out, "");
    enum err err = render(str_of(source), nothing, 0, out);
    json_decref(nothing);
    return err == ERR_NONE ? out->data : err_text();
}

static void texts_are_those_of_jinja2(void **state)
{
    (void)state;
    json_t *file = NULL, *one;
    size_t i;
    setenv("TZ", "UTC", 1);
    assert_int_equal(json_parse_file(&file, "tests/golden/jinja_cases.json", 1 << 20), ERR_NONE);
    json_t *cases = json_object_get(file, "cases"), *variables = json_object_get(file, "variables");
    double now = json_number_value(json_object_get(file, "now"));
    assert_true(json_array_size(cases) > 180);
    json_array_foreach(cases, i, one)
    {
        struct strbuf out = STRBUF_INIT;
        const json_t *source = json_array_get(one, 0), *want = json_array_get(one, 1);
        struct str text = {json_string_value(source), json_string_length(source)};
        strbuf_puts(&out, "kept:");
        enum err err = render(text, variables, now, &out);
        if (json_is_null(want) ? err == ERR_NONE : err != ERR_NONE) {
            fail_msg("%s: %s", text.data, err == ERR_NONE ? "an error is wanted" : err_text());
        }
        struct str got = str_slice(strbuf_view(&out), 5, out.length);
        struct str wanted = {json_string_value(want), json_string_length(want)};
        if (!str_equal(got, wanted)) {
            fail_msg("%s: '%s', not '%s'", text.data, out.data + 5, wanted.data);
        }
        strbuf_release(&out);
    }
    json_decref(file);
}

/* Whatever is not known is said when the template is opened, with its line, even where it would never be reached. */
static void unknown_constructs_are_refused_by_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\n{% if x %}\n{{ d | xmlattr }}{% endif %}", "chat template line 3: filter 'xmlattr' is not known to strop"},
        {"{{ x is filter }}", "chat template line 1: test 'filter' is not known to strop"},
        {"\n{% include 'a' %}", "chat template line 2: the tag 'include' is not known to strop"},
        {"{% if x %}\na", "chat template line 1: the block that begins here has no end 'endif'"},
        {"{{ 'a'\n.encode() }}", "chat template line 2: 'encode' of a str is not known to strop"},
        {"{{ 'ß'.upper() }}", "chat template line 1: the case of U+00DF is not known to strop"},
        {"{{ 2 ** 64 }}", "chat template line 1: an integer grows beyond 64 bits"},
        {"{{ cycler }}", "chat template line 1: a function has no text of its own that could be printed"},
        {"\n\n{{ raise_exception('Roles must alternate!') }}", "chat template line 3: Roles must alternate!"},
        {"{{ messages[0].content }}", "chat template line 1: 'messages' is undefined"},
    };
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(result_of(cases[i][0], &out), cases[i][1]);
    }
    strbuf_release(&out);
}

/* Each would take for ever, or all memory, or all of the stack. */
static void hostile_templates_end(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 'aaaaaaaaaa' * 999999999 }}",
        "{{ [1] * 9999999999 }}",
        "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor "
        "%}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s | tojson "
        "}}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% set ns.b = [ns.b] %}"
        "{% endfor %}{{ ns.a == ns.b }}",
        "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 'a'.ljust(999999999) }}{{ 'a' | center(999999999) }}",
        "{{ 'a' | indent(999999999, true) }}",
        "{{ [1] | tojson(indent=999999999) }}",
        "{{ 'aaaaaaaa' * 1000000 | replace('', 'aaaaaaaaaaaaaaaa') }}",
        "{{ [1, 2] | batch(19999999, 0) | list }}{{ [1] | slice(19999999) | list }}",
        "{% set s = 'a' * 9999999 %}{% for i in range(99999) %}{{ s.find('b') }}{% endfor %}",
        "{% set s = 'a' * 9999999 %}{% for i in range(99999) %}{{ s[-1] }}{% endfor %}",
        "{% set s = 'a' * 9999999 %}{% for i in range(99999) %}{% if s is upper or 'b' in s %}{% endif %}{% endfor %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ range(99999) | map('string') | join(',') | list | sort | unique | list | length ** 99 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
    };
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double start = clock_seconds();
        if (!str_starts(str_of(result_of(cases[i], &out)), STR("chat template line 1: "))) {
            fail_msg("%s has a result", cases[i]);
        }
        assert_int_equal(out.length, 0);
        assert_true(clock_seconds() - start < 60); /* two at most on a machine that does nothing else */
    }
    strbuf_release(&out);
}

/* Brackets, operators, blocks: deep in the source instead of in the run. */
static void deep_sources_end(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "(", "[", "{1:", "-", "not ", "a[", "a(", "a|e+", "1if 2 else ", "{% if a %}", "{% for a in b %}"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct strbuf source = STRBUF_INIT, out = STRBUF_INIT;
        strbuf_puts(&source, pieces[i][1] == '%' ? "" : "{{ ");
        for (int k = 0; k < 100000; k++) {
            strbuf_puts(&source, pieces[i]);
        }
        assert_true(str_starts(str_of(result_of(source.data, &out)), STR("chat template line 1: ")));
        strbuf_release(&source);
        strbuf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_those_of_jinja2),
        cmocka_unit_test(unknown_constructs_are_refused_by_line),
        cmocka_unit_test(hostile_templates_end),
        cmocka_unit_test(deep_sources_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
