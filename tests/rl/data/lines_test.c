/* tests/rl/data/lines_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "rl/data/jsonl.h"
#include "rl/data/lines.h"

static char path[] = "/tmp/strop_lines_XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int file = mkstemp(path);
    return file < 0 || close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct lines *open_text(struct str text)
{
    struct lines *lines;
    assert_int_equal(file_write_atomic(path, text.data, text.length), ERR_NONE);
    assert_int_equal(lines_open(&lines, path), ERR_NONE);
    return lines;
}

static void check_next(struct lines *lines, const char *want, int number)
{
    struct str line;
    char where[200], want_where[200];
    assert_int_equal(lines_next(lines, &line), ERR_NONE);
    assert_true(str_equal(line, str_of(want)));
    assert_true((line.data == NULL) == (want == NULL));
    lines_where(lines, where, sizeof where);
    snprintf(want_where, sizeof want_where, "%s:%d", path, number);
    assert_true(!want || strcmp(where, want_where) == 0);
}

static void lines_are_given_with_their_numbers(void **state)
{
    (void)state;
    struct lines *lines = open_text(STR("\xef\xbb\xbf"
                                        "a\n\n \t\r\nb\r\n\nlast"));
    check_next(lines, "a", 1);
    assert_true(lines_ready(lines));
    check_next(lines, "b\r", 4);
    check_next(lines, "last", 6);
    check_next(lines, NULL, 6);
    check_next(lines, NULL, 6);
    assert_true(lines_ready(lines));
    lines_close(lines);
    lines = open_text(STR(""));
    check_next(lines, NULL, 0);
    lines_close(lines);
    lines = open_text(STR("\n\n"));
    check_next(lines, NULL, 0);
    lines_close(lines);
    lines_close(NULL);
}

static void long_lines_cross_reads(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    enum { LENGTHS = 6 };
    static const size_t lengths[LENGTHS] = {1, 262142, 262144, 3, 900000, 262145};
    for (int i = 0; i < LENGTHS; i++) {
        for (size_t k = 0; k < lengths[i]; k++) {
            strbuf_putc(&text, (char)('a' + i));
        }
        strbuf_putc(&text, '\n');
    }
    struct lines *lines = open_text(strbuf_view(&text));
    for (int i = 0; i < LENGTHS; i++) {
        struct str line;
        assert_int_equal(lines_next(lines, &line), ERR_NONE);
        assert_int_equal(line.length, lengths[i]);
        assert_true(line.data[0] == 'a' + i && line.data[line.length - 1] == 'a' + i);
    }
    check_next(lines, NULL, LENGTHS);
    lines_close(lines);
    strbuf_release(&text);
}

static void too_long_a_line_is_refused(void **state)
{
    (void)state;
    size_t size = JSONL_MAX_LINE + (1 << 20);
    char *text = mem_alloc(size), want[200];
    memset(text, 'x', size);
    text[1] = '\n';
    struct lines *lines = open_text((struct str){text, size});
    struct str line;
    check_next(lines, "x", 1);
    assert_int_equal(lines_next(lines, &line), ERR_LIMIT);
    snprintf(want, sizeof want, "%s:2: the line has more than 16 MB; is this one JSON object a line?", path);
    assert_string_equal(err_text(), want);
    lines_close(lines);
    free(text);
}

static void what_cannot_be_opened_is_named(void **state)
{
    (void)state;
    struct lines *lines;
    assert_int_equal(lines_open(&lines, "/tmp"), ERR_USAGE);
    assert_string_equal(err_text(), "/tmp is a folder; name a JSONL file");
    assert_int_equal(lines_open(&lines, "/no/such/file"), ERR_IO);
    assert_string_equal(err_text(), "cannot open /no/such/file: No such file or directory");
}

/* Nobody writes to it: opening it would wait for ever. */
static void a_named_pipe_is_refused(void **state)
{
    (void)state;
    struct lines *lines;
    char name[80];
    snprintf(name, sizeof name, "%s.pipe", path);
    assert_int_equal(mkfifo(name, 0600), 0);
    alarm(10);
    assert_int_equal(lines_open(&lines, name), ERR_IO);
    assert_non_null(strstr(err_text(), "a named pipe"));
    alarm(0);
    unlink(name);
}

static void a_pipe_is_read_as_it_comes(void **state)
{
    (void)state;
    int ends[2];
    char name[64];
    struct lines *lines;
    struct str line;
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    assert_int_equal(lines_open(&lines, name), ERR_NONE);
    assert_false(lines_ready(lines));
    assert_int_equal(write(ends[1], "a\nb\nc", 5), 5);
    assert_true(lines_ready(lines));
    assert_int_equal(lines_next(lines, &line), ERR_NONE);
    assert_true(str_equal(line, STR("a")));
    assert_true(lines_ready(lines));
    assert_int_equal(lines_next(lines, &line), ERR_NONE);
    assert_false(lines_ready(lines)); /* c has no end yet */
    close(ends[1]);
    assert_int_equal(lines_next(lines, &line), ERR_NONE);
    assert_true(str_equal(line, STR("c")));
    lines_close(lines);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_given_with_their_numbers), cmocka_unit_test(long_lines_cross_reads),
        cmocka_unit_test(too_long_a_line_is_refused),         cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(a_pipe_is_read_as_it_comes),         cmocka_unit_test(a_named_pipe_is_refused),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
