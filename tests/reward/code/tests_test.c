/* tests/reward/code/tests_test.c - the shapes of rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "reward/code/tests.h"

static const char *read_row(const char *text, struct code_tests *out, struct arena *arena)
{
    json_t *row = NULL;
    assert_int_equal(json_parse(&row, str_of(text), "row"), ERR_NONE);
    *out = (struct code_tests){.limits = SANDBOX_LIMITS};
    const char *wrong = code_tests_read(out, row, false, arena);
    for (int i = 0; !wrong && i < out->n; i++) { /* some are views of the row */
        out->tests[i].input.data = arena_strndup(arena, out->tests[i].input.data, out->tests[i].input.length);
        out->tests[i].expected.data = arena_strndup(
            arena, out->tests[i].expected.data ? out->tests[i].expected.data : "", out->tests[i].expected.length);
    }
    json_decref(row);
    return wrong;
}

static void every_shape_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        enum code_mode mode;
        int n;
        const char *input, *expected; /* of the last test; input may be a part */
    } cases[] = {
        {"{\"tests\":[{\"stdin\":\"1\\n\",\"expected\":\"2\"}]}", CODE_STDIO, 1, "1\n", "2"},
        {"{\"inputs\":[\"1\",\"2\"],\"outputs\":[\"3\",\"4\"]}", CODE_STDIO, 2, "2", "4"},
        {"{\"input_output\":\"{\\\"inputs\\\":[\\\"1\\\"],\\\"outputs\\\":[\\\"3\\\"]}\"}", CODE_STDIO, 1, "1", "3"},
        {"{\"input_output\":{\"inputs\":[[1,[2]]],\"outputs\":[[3]],\"fn_name\":\"f\"}}", CODE_FUNCTION, 1,
         "{\"entry\":\"f\",\"args\":[1,[2]],\"keys\":1}", "[3]"},
        {"{\"fn_name\":\"f\",\"inputs\":[\"[1]\\n\\\"x\\\"\"],\"outputs\":[\"7\"]}", CODE_FUNCTION, 1,
         "{\"entry\":\"f\",\"args\":[[1],\"x\"],\"keys\":1}", "7"},
        {"{\"entry\":\"f\",\"tests\":[{\"args\":[1],\"expected\":null}]}", CODE_FUNCTION, 1, "\"args\":[1]", "null"},
        {"{\"tests\":[\"assert f(1) == 1\",\"assert f(2) == 2\"],\"setup\":\"x = 1\"}", CODE_ASSERTS, 2,
         "\"test\":\"assert f(2) == 2\",\"setup\":\"x = 1\"", ""},
        {"{\"test_list\":[\"assert f(1)\"],\"test_setup_code\":\"y = 1\"}", CODE_ASSERTS, 1, "y = 1", ""},
        {"{\"tests\":[{\"code\":\"assert f(1)\"}],\"entry\":\"f\"}", CODE_ASSERTS, 1, "\"entry\":\"f\"", ""},
        {"{\"test\":\"def check(c): pass\",\"entry_point\":\"f\",\"prompt\":\"def f(x):\\n    'd'\\n\"}", CODE_ASSERTS,
         1, "\"prelude\":\"def f(x)", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        struct code_tests tests;
        const char *wrong = read_row(cases[i].row, &tests, &arena);
        if (wrong) {
            fail_msg("%s: %s", cases[i].row, wrong);
        }
        assert_int_equal(tests.mode, cases[i].mode);
        assert_int_equal(tests.n, cases[i].n);
        assert_non_null(strstr(tests.tests[tests.n - 1].input.data, cases[i].input));
        assert_string_equal(tests.tests[tests.n - 1].expected.data, cases[i].expected);
        arena_release(&arena);
    }
}

static void broken_rows_are_errors(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{}",
        "{\"tests\":[]}",
        "{\"tests\":[1]}",
        "{\"tests\":[{\"stdin\":\"1\"}]}",
        "{\"tests\":[{\"stdin\":1,\"expected\":\"2\"}]}",
        "{\"tests\":[{\"args\":[1],\"expected\":2}]}",
        "{\"test\":\"x\"}",
        "{\"inputs\":[\"1\"],\"outputs\":[]}",
        "{\"inputs\":[1],\"outputs\":[2]}",
        "{\"input_output\":\"{\"}",
        "{\"input_output\":\"[]\"}",
        "{\"inputs\":[],\"outputs\":[]}",
        "{\"language\":\"cobol\",\"inputs\":[\"1\"],\"outputs\":[\"2\"]}",
        "{\"compare\":\"maybe\",\"inputs\":[\"1\"],\"outputs\":[\"2\"]}",
        "{\"entry\":\"f\\\"\",\"tests\":[{\"args\":[1],\"expected\":2}]}",
        "{\"test\":\"x\",\"entry_point\":\"\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = ARENA_INIT;
        struct code_tests tests;
        if (!read_row(rows[i], &tests, &arena)) {
            fail_msg("%s should be refused", rows[i]);
        }
        arena_release(&arena);
    }
}

static void the_row_sets_limits(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct code_tests tests;
    assert_null(
        read_row("{\"language\":\"cpp\",\"limits\":{\"wall_s\":1.5,\"memory_mb\":64,\"cpu_s\":-1},\"weights\":[2],"
                 "\"compare\":{\"type\":\"float\",\"abs_tol\":0.5},\"inputs\":[\"1\"],\"outputs\":[\"2\"]}",
                 &tests, &arena));
    assert_int_equal(tests.language, CODE_CPP);
    assert_true(tests.limits.wall_s == 1.5 && tests.limits.memory_mb == 64 &&
                tests.limits.cpu_s == SANDBOX_LIMITS.cpu_s);
    assert_int_equal(tests.compare.type, COMPARE_FLOAT);
    assert_true(tests.compare.absolute == 0.5 && tests.tests[0].weight == 2);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_shape_is_read), cmocka_unit_test(broken_rows_are_errors),
                                       cmocka_unit_test(the_row_sets_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
