/* model/jinja/test.c - what may follow `is`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/jinja/text.h"

#define TEST(name) static struct jvalue name(struct jrun *run, const struct jvalue *args, const struct jcall *call)
#define TEST_OF_KIND(name, condition)                                                                                  \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        (void)run, (void)call;                                                                                         \
        struct jvalue v = args[0];                                                                                     \
        return jvalue_bool(condition);                                                                                 \
    }

TEST_OF_KIND(defined, v.kind != J_UNDEFINED)
TEST_OF_KIND(undefined, v.kind == J_UNDEFINED)
TEST_OF_KIND(none, v.kind == J_NONE)
TEST_OF_KIND(boolean, v.kind == J_BOOL)
TEST_OF_KIND(is_true, v.kind == J_BOOL && v.boolean)
TEST_OF_KIND(is_false, v.kind == J_BOOL && !v.boolean)
TEST_OF_KIND(integer, v.kind == J_INT)
TEST_OF_KIND(real, v.kind == J_FLOAT)
TEST_OF_KIND(number, jvalue_number(v))
TEST_OF_KIND(string, v.kind == J_STR)
TEST_OF_KIND(escaped, v.kind == J_STR && v.safe)
TEST_OF_KIND(mapping, v.kind == J_DICT)
TEST_OF_KIND(sequence, jvalue_has_length(v) && v.kind != J_VIEW)
TEST_OF_KIND(iterable, jvalue_iterable(v))
TEST_OF_KIND(callable, v.kind == J_FUNCTION || v.kind == J_METHOD || v.kind == J_MACRO || v.kind == J_LOOP ||
                           v.kind == J_JOINER || v.kind == J_UNDEFINED)

static struct jvalue rest_is(struct jrun *run, struct jvalue v, struct jvalue divisor, int64_t wanted)
{
    return jvalue_bool(jvalue_equal(run, joperate(run, "%", v, divisor), jvalue_int(wanted)));
}

TEST(odd)
{
    (void)call;
    return rest_is(run, args[0], jvalue_int(2), 1);
}

TEST(even)
{
    (void)call;
    return rest_is(run, args[0], jvalue_int(2), 0);
}

TEST(divisibleby)
{
    (void)call;
    return rest_is(run, args[0], args[1], 0);
}

TEST(is_lower)
{
    (void)call;
    return jvalue_bool(jtext_is_case(run, jvalue_text(run, args[0]), CASE_LOWER));
}

TEST(is_upper)
{
    (void)call;
    return jvalue_bool(jtext_is_case(run, jvalue_text(run, args[0]), CASE_UPPER));
}

/* The same object: certain for what there is one of, and for lists and dicts. */
TEST(sameas)
{
    (void)call;
    struct jvalue a = args[0], b = args[1];
    if (a.kind != b.kind) {
        return jvalue_bool(false);
    }
    if (a.kind == J_STR || a.kind == J_INT || a.kind == J_FLOAT || a.kind == J_UNDEFINED || a.kind == J_METHOD) {
        jrun_fail(run, "whether a %s is the same as another is not known to strop", jvalue_type(a));
    }
    return jvalue_bool(a.kind == J_BOOL ? a.boolean == b.boolean : a.kind == J_NONE || (void *)a.seq == (void *)b.seq);
}

TEST(in)
{
    (void)call;
    return jvalue_bool(jvalue_contains(run, args[1], args[0]));
}

TEST(equal)
{
    (void)call;
    return jvalue_bool(jvalue_equal(run, args[0], args[1]));
}

TEST(unequal)
{
    (void)call;
    return jvalue_bool(!jvalue_equal(run, args[0], args[1]));
}

TEST(less)
{
    (void)call;
    bool ordered;
    return jvalue_bool(jvalue_order(run, args[0], args[1], "<", &ordered) < 0 && ordered);
}

TEST(at_most)
{
    (void)call;
    bool ordered;
    return jvalue_bool(jvalue_order(run, args[0], args[1], "<=", &ordered) <= 0 && ordered);
}

TEST(greater)
{
    (void)call;
    bool ordered;
    return jvalue_bool(jvalue_order(run, args[0], args[1], ">", &ordered) > 0 && ordered);
}

TEST(at_least)
{
    (void)call;
    bool ordered;
    return jvalue_bool(jvalue_order(run, args[0], args[1], ">=", &ordered) >= 0 && ordered);
}

const struct jfunction *jtest_find(struct str name)
{
    static const struct jfunction tests[] = {
        {"defined", "", 0, defined},
        {"undefined", "", 0, undefined},
        {"none", "", 0, none},
        {"boolean", "", 0, boolean},
        {"true", "", 0, is_true},
        {"false", "", 0, is_false},
        {"integer", "", 0, integer},
        {"float", "", 0, real},
        {"number", "", 0, number},
        {"string", "", 0, string},
        {"escaped", "", 0, escaped},
        {"mapping", "", 0, mapping},
        {"sequence", "", 0, sequence},
        {"iterable", "", 0, iterable},
        {"callable", "", 0, callable},
        {"odd", "", 0, odd},
        {"even", "", 0, even},
        {"divisibleby", "num", 1, divisibleby},
        {"lower", "", 0, is_lower},
        {"upper", "", 0, is_upper},
        {"sameas", "other", 1, sameas},
        {"in", "seq", 1, in},
        {"==", "/b", 1, equal},
        {"eq", "/b", 1, equal},
        {"equalto", "/b", 1, equal},
        {"!=", "/b", 1, unequal},
        {"ne", "/b", 1, unequal},
        {"<", "/b", 1, less},
        {"lt", "/b", 1, less},
        {"lessthan", "/b", 1, less},
        {"<=", "/b", 1, at_most},
        {"le", "/b", 1, at_most},
        {">", "/b", 1, greater},
        {"gt", "/b", 1, greater},
        {"greaterthan", "/b", 1, greater},
        {">=", "/b", 1, at_least},
        {"ge", "/b", 1, at_least},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (str_equal(name, str_of(tests[i].name))) {
            return &tests[i];
        }
    }
    return NULL;
}
