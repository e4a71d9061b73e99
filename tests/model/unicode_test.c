/* tests/model/unicode_test.c - normalisation as the reference does it, and stand-ins.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/unicode.h"

static void nfc_leaves_newer_marks_where_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"e\xCC\x81", "\xC3\xA9"},                                 /* e, U+0301 */
        {"a\xCC\x81\xCC\xA3", "\xE1\xBA\xA1\xCC\x81"},             /* U+0323 goes before U+0301 */
        {"a\xCC\x81\xDF\xBD\xCC\xA3", "\xC3\xA1\xDF\xBD\xCC\xA3"}, /* but not past U+07FD, of Unicode 11 */
        {"\xDF\xBD\xCC\x81\xCC\xA3", "\xDF\xBD\xCC\xA3\xCC\x81"},  /* marks after it are put in order */
        {"\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0", "\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0"}, /* U+11935 U+11930, of Unicode 13 */
        {"\xDF\xBD", "\xDF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf out = STRBUF_INIT;
        assert_int_equal(unicode_nfc(str_of(cases[i].text), &out), ERR_NONE);
        assert_true(str_equal(strbuf_view(&out), str_of(cases[i].want)));
        strbuf_release(&out);
    }
}

static void stand_ins_keep_places(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: there is nothing to replace */
    } cases[] = {
        {"", NULL},
        {"plain \xC3\xA9 \xE4\xB8\x80 \xF0\x9F\x98\x80", NULL},
        {"\xE1\xB2\x89", "\xE1\x82\xA0"}, /* U+1C89, Lu */
        {"a\xF0\xB1\x8D\x90"
         "b",
         "a\xF0\xA0\x80\x80"
         "b"},                                                                    /* U+31350, Han */
        {"\xF0\x90\xB5\x80\xF0\x90\xB5\x89", "\xF0\x90\x92\xA0\xF0\x90\x92\xA0"}, /* U+10D40, U+10D49, Nd */
        {"\xF0\x90\xB4\xBF\xF0\x90\xB6\x90", NULL},                               /* U+10D3F, U+10D90: beside ranges */
        {"\xE0\xA2\x97\xCC\x81", "\xE0\xA0\x96\xCC\x81"},                         /* U+0897, Mn: the lowest */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf out = STRBUF_INIT;
        assert_int_equal(unicode_stand_ins(str_of(cases[i].text), &out), cases[i].want != NULL);
        assert_true(str_equal(strbuf_view(&out), str_of(cases[i].want)));
        strbuf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nfc_leaves_newer_marks_where_they_are),
        cmocka_unit_test(stand_ins_keep_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
