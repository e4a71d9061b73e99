/* tests/reward/code/report_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "reward/code/report.h"

static void a_frame_is_all_there_is(void **state)
{
    (void)state;
    struct str text;
    assert_true(frame_read(STR("\0\0\0\3abc"), &text));
    assert_true(str_equal(text, STR("abc")));
    assert_true(frame_read(STR("\0\0\0\0"), &text));
    assert_int_equal(text.length, 0);
    assert_false(frame_read(STR(""), &text));
    assert_false(frame_read(STR("\0\0\0"), &text));
    assert_false(frame_read(STR("\0\0\0\3ab"), &text));
    assert_false(frame_read(STR("\0\0\0\3abc\0\0\0\1d"), &text)); /* two */
    assert_false(frame_read(STR("\xff\xff\xff\xff"), &text));
}

/* -1: no report. */
static double share_of(const char *json, struct code_report *report, struct arena *arena)
{
    struct str text = str_of(json);
    char *frame = arena_alloc(arena, text.length + 4);
    frame[0] = frame[1] = 0;
    frame[2] = (char)(text.length >> 8);
    frame[3] = (char)text.length;
    memcpy(frame + 4, text.data, text.length);
    return code_report_read(report, (struct str){frame, text.length + 4}, arena) ? report->share : -1;
}

static void reports_are_read(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct code_report report;
    assert_true(share_of("{\"passed\":3,\"failed\":1,\"planned\":4,\"done\":true,\"gone\":false,\"fault\":null}",
                         &report, &arena) == 0.75);
    assert_true(!report.all && report.done && !report.gone && !report.fault);
    assert_true(share_of("{\"passed\":2,\"failed\":0,\"planned\":1,\"done\":true}", &report, &arena) == 1);
    assert_true(report.all);
    assert_true(share_of("{\"passed\":1,\"failed\":0,\"planned\":4,\"gone\":true,\"fault\":\"E: x\"}", &report,
                         &arena) == 0.25);
    assert_true(report.gone && !report.done);
    assert_string_equal(report.fault, "E: x");
    assert_true(share_of("{\"passed\":0,\"failed\":0,\"planned\":0}", &report, &arena) == 0);
    assert_false(report.all);
    static const char *const none[] = {"",
                                       "1",
                                       "[]",
                                       "{}",
                                       "{\"passed\":1,\"failed\":0}",
                                       "{\"passed\":2,\"failed\":-1,\"planned\":1}",
                                       "{\"passed\":1e400,\"failed\":0,\"planned\":1}",
                                       "{\"passed\":true,\"failed\":0,\"planned\":1}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_true(share_of(none[i], &report, &arena) == -1);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_frame_is_all_there_is), cmocka_unit_test(reports_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
