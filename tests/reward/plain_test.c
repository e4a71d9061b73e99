/* tests/reward/plain_test.c - plain data: what parses, what equals what.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "reward/plain.h"

static bool equal(const char *got, const char *want, double tolerance)
{
    struct arena arena = ARENA_INIT;
    const struct plain *a = plain_parse(str_of(got), &arena), *b = plain_parse(str_of(want), &arena);
    bool same = a && b && plain_equal(a, b, tolerance, tolerance);
    arena_release(&arena);
    return same;
}

static bool parses(const char *text, size_t length)
{
    struct arena arena = ARENA_INIT;
    bool ok = plain_parse((struct str){text, length}, &arena) != NULL;
    arena_release(&arena);
    return ok;
}

static void equal_values_are_equal(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"5", "5"},
        {"5", "5.0"},
        {"-0", "0"},
        {"-0.0", "0"},
        {"null", " null "},
        {"true", "true"},
        {"[1, [2, \"x\"]]", "{\"$t\":[1,{\"$t\":[2,\"x\"]}]}"},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"},
        {"{\"$d\":[[2,\"y\"],[1,\"x\"]]}", "{\"1\":\"x\",\"2\":\"y\"}"},
        {"{\"$s\":[3,1,2]}", "{\"$s\":[1,2,3]}"},
        {"\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"1606938044258990275541962092341162602522202993782792835301376",
         "{\"$i\":\"1606938044258990275541962092341162602522202993782792835301376\"}"},
        {"1e3", "1000"},
        {"9007199254740992.0", "9007199254740992"},
        {"{\"$c\":[1.0,2.0]}", "{\"$c\":[1.0,2.0]}"},
        {"{\"$price\":1}", "{\"$price\":1}"},
        {"[]", "[ ]"},
        {"{}", "{ }"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!equal(cases[i][0], cases[i][1], 0)) {
            fail_msg("%s should equal %s", cases[i][0], cases[i][1]);
        }
    }
}

static void other_values_are_not(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"true", "1"},
        {"0", "false"},
        {"null", "0"},
        {"\"5\"", "5"},
        {"NaN", "NaN"},
        {"{\"$f\":\"nan\"}", "1"},
        {"{\"$f\":\"inf\"}", "{\"$f\":\"inf\"}"},
        {"[1,2]", "[2,1]"},
        {"[1]", "[1,1]"},
        {"{\"$s\":[1,2]}", "[1,2]"},
        {"{\"$s\":[1,1,2]}", "{\"$s\":[1,2,2]}"},
        {"9007199254740993", "9007199254740992.0"},
        {"1606938044258990275541962092341162602522202993782792835301377",
         "1606938044258990275541962092341162602522202993782792835301376"},
        {"0.1", "0.2"},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
        {"{\"a\":1}", "{\"b\":1}"},
        {"{\"$b\":\"00\"}", "\"00\""},
        {"{\"$x\":[\"Decimal\",\"1\"]}", "[\"Decimal\",\"1\"]"},
        {"\"a\\u0000b\"", "\"a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (equal(cases[i][0], cases[i][1], 0) || equal(cases[i][1], cases[i][0], 0)) {
            fail_msg("%s should not equal %s", cases[i][0], cases[i][1]);
        }
    }
}

static void a_tolerance_is_for_floats(void **state)
{
    (void)state;
    assert_true(equal("0.1000001", "0.1", 1e-6));
    assert_true(equal("[1000000.5]", "[1000000]", 1e-6));
    assert_false(equal("0.101", "0.1", 1e-6));
    assert_false(equal("1000001", "1000000", 1e-3)); /* integers are exact */
    assert_false(equal("NaN", "0.5", 1));
}

static void broken_text_does_not_parse(void **state)
{
    (void)state;
    static const char *const cases[] = {"",     "[",  "[1,]", "{\"a\"}",    "01",  "1 2",      "\"\\x\"", "\"\\ud8\"",
                                        "nul",  "+1", "--1",  "1e",         "'a'", "[1}",      "\"abc",   "{1:2}",
                                        "\x01", "-",  "[[]",  "{\"a\":1,}", "tru", "Infinity", "1__2",    "1.2.3"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parses(cases[i], strlen(cases[i]))) {
            fail_msg("'%s' should not parse", cases[i]);
        }
    }
    assert_false(parses("1\0", 2));
}

static void nesting_is_capped(void **state)
{
    (void)state;
    static char deep[400001];
    memset(deep, '[', 200000);
    memset(deep + 200000, ']', 200000);
    assert_false(parses(deep, 400000));
    assert_true(parses(deep + 200000 - PLAIN_MAX_DEPTH, (size_t)2 * PLAIN_MAX_DEPTH));
    assert_false(parses(deep + 200000 - PLAIN_MAX_DEPTH - 1, (size_t)2 * PLAIN_MAX_DEPTH + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_are_equal),    cmocka_unit_test(other_values_are_not),
        cmocka_unit_test(a_tolerance_is_for_floats), cmocka_unit_test(broken_text_does_not_parse),
        cmocka_unit_test(nesting_is_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
