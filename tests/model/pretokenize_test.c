/* tests/model/pretokenize_test.c - pieces of each pattern.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "model/pretokenize.h"

static void add_piece(void *joined, struct str piece)
{
    assert_true(piece.length > 0);
    strbuf_add_str(joined, piece);
    strbuf_putc(joined, '|');
}

static void pieces_are_cut_where_the_pattern_says(void **state)
{
    (void)state;
    static const struct {
        const char *patterns[2], *text, *want;
    } cases[] = {
        {{PATTERN_QWEN2}, "I'Ll go 12 miles!\n\n ok", "I|'Ll| go| |1|2| miles|!\n\n| ok|"},
        {{PATTERN_LLAMA3}, "12345 (x)", "123|45| (|x|)|"},
        {{PATTERN_GPT2}, "don't DON'T 123  x\n\ny", "don|'t| DON|'|T| 123| | x|\n|\n|y|"},
        {{PATTERN_DIGIT, PATTERN_GPT2}, "a 12b", "a| |1|2|b|"},
        {{PATTERN_DIGITS, PATTERN_GPT2}, "a 12b", "a| |12|b|"},
        {{"x*"}, "axxb", "a|xx|b|"},                                 /* empty matches cut nothing */
        {{"b"}, "abcb", "a|b|c|b|"},                                 /* what lies between stays */
        {{"\\s"}, "\xE1\xA0\x8E\xC2\x85", "\xE1\xA0\x8E|\xC2\x85|"}, /* U+180E is no space, U+0085 is */
        {{"[^\\s]+"}, "a\xE1\xA0\x8E b", "a\xE1\xA0\x8E| |b|"},
        {{"\\S+"},
         "a\xE1\xA0\x8E\xE3\x80\x80"
         "b",
         "a\xE1\xA0\x8E|\xE3\x80\x80|b|"},
        {{"[\\]\\s]\\\\s"}, "]\\s \\s", "]\\s| \\s|"}, /* escapes are read as escapes */
        /* U+1E030 is a letter and U+116D0 a digit since Unicode 15 and 16, U+11DE3 one of 17 for PATTERN_DIGIT only */
        {{PATTERN_QWEN2}, "a\xF0\x9E\x80\xB0-\xF0\x91\x9B\x90", "a\xF0\x9E\x80\xB0|-|\xF0\x91\x9B\x90|"},
        {{PATTERN_DIGIT, PATTERN_GPT2}, "!\xF0\x91\xB7\xA3!", "!|\xF0\x91\xB7\xA3|!|"},
        {{PATTERN_GPT2}, "!\xF0\x91\xB7\xA3!", "!\xF0\x91\xB7\xA3!|"},
        {{NULL}, "as it is", "as it is|"},
        {{PATTERN_GPT2}, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pretokenizer p = {0};
        struct strbuf joined = STRBUF_INIT;
        for (int k = 0; k < 2 && cases[i].patterns[k]; k++) {
            assert_int_equal(pretokenizer_add(&p, str_of(cases[i].patterns[k]), "test"), ERR_NONE);
        }
        assert_int_equal(pretokenizer_split(&p, str_of(cases[i].text), add_piece, &joined), ERR_NONE);
        assert_string_equal(joined.data ? joined.data : "", cases[i].want);
        strbuf_release(&joined);
        pretokenizer_release(&p);
    }
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    struct pretokenizer p = {0};
    assert_int_equal(pretokenizer_add(&p, STR("a(b"), "file.json"), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "file.json"));
    assert_non_null(strstr(err_text(), "'a(b'"));
    assert_int_equal(p.n_patterns, 0);
    for (int i = 0; i < PRETOKENIZE_MAX_PATTERNS; i++) {
        assert_int_equal(pretokenizer_add(&p, STR("a"), "x"), ERR_NONE);
    }
    assert_int_equal(pretokenizer_add(&p, STR("a"), "x"), ERR_LIMIT);
    pretokenizer_release(&p);
}

static void endless_patterns_give_up(void **state)
{
    (void)state;
    struct pretokenizer p = {0};
    struct strbuf joined = STRBUF_INIT;
    assert_int_equal(pretokenizer_add(&p, STR("(a|aa|a[ab])+$"), "x"), ERR_NONE);
    char text[121];
    memset(text, 'a', 120);
    text[120] = 'c';
    assert_int_equal(pretokenizer_split(&p, (struct str){text, sizeof text}, add_piece, &joined), ERR_LIMIT);
    assert_non_null(strstr(err_text(), "gave up"));
    strbuf_release(&joined);
    pretokenizer_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_cut_where_the_pattern_says),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(endless_patterns_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
