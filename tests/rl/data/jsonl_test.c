/* tests/rl/data/jsonl_test.c
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

#include "base/arena.h"
#include "base/file.h"
#include "rl/data/jsonl.h"

static char path[] = "/tmp/jsonl_test.XXXXXX";

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

static void write_file(struct str text)
{
    assert_int_equal(file_write_atomic(path, text.data, text.length), ERR_NONE);
}

static void lines_are_read_in_any_order(void **state)
{
    (void)state;
    write_file(STR("\xef\xbb\xbf{\"a\": 0}\r\n\r\n  {\"a\": 1}\n   \n{\"a\": 2} \n{\"a\": 3}"));
    struct jsonl jsonl;
    struct strbuf scratch = STRBUF_INIT;
    assert_int_equal(jsonl_open(&jsonl, path), ERR_NONE);
    assert_int_equal(jsonl.n, 4);
    static const int order[] = {2, 0, 3, 1, 1}, numbers[] = {1, 3, 5, 6};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        json_t *row;
        char want[64], where[64];
        assert_int_equal(jsonl_read(&jsonl, order[k], &scratch, &row), ERR_NONE);
        assert_int_equal(json_integer_value(json_object_get(row, "a")), order[k]);
        jsonl_where(&jsonl, order[k], where, sizeof where);
        snprintf(want, sizeof want, "%s:%d", path, numbers[order[k]]);
        assert_string_equal(where, want);
        json_decref(row);
    }
    strbuf_release(&scratch);
    jsonl_close(&jsonl);
}

/* Lines that lie across the pieces in which the file is read. */
static void long_lines_are_read_whole(void **state)
{
    (void)state;
    enum { LINES = 40, WIDTH = 30001 };
    struct strbuf text = STRBUF_INIT, scratch = STRBUF_INIT;
    for (int i = 0; i < LINES; i++) {
        strbuf_printf(&text, "{\"a\": %d, \"text\": \"%*s\"}\n", i, WIDTH, "x");
    }
    write_file(strbuf_view(&text));
    struct jsonl jsonl;
    assert_int_equal(jsonl_open(&jsonl, path), ERR_NONE);
    assert_int_equal(jsonl.n, LINES);
    for (int i = LINES; i-- > 0;) {
        json_t *row;
        assert_int_equal(jsonl_read(&jsonl, i, &scratch, &row), ERR_NONE);
        assert_int_equal(json_integer_value(json_object_get(row, "a")), i);
        assert_int_equal(json_string_length(json_object_get(row, "text")), WIDTH);
        json_decref(row);
    }
    jsonl_close(&jsonl);
    strbuf_release(&text);
    strbuf_release(&scratch);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        int bad_row; /* -1: refused when it is opened */
        const char *want;
    } cases[] = {
        {{"", 0}, -1, ": has no lines; write one JSON object a line"},
        {{"\n\n \n", 4}, -1, ": has no lines; write one JSON object a line"},
        {{"{}\n{\"a\0\": 1}\n", 14}, -1, ":2: a NUL byte; the file is not text, or is damaged"},
        {{"{}\n\n{\"a\": }\n", 12}, 1, ":3: not valid JSON"},
        {{"{}\n[1]\n", 7}, 1, ":2: must be a JSON object: {\"prompt\": ...}"},
        {{"{\"a\": 1, \"a\": 2}\n", 17}, 0, ":1: not valid JSON"},
        {{"{} {}\n", 6}, 0, ":1: not valid JSON"},
        {{"{\"a\": \"\xff\"}\n", 11}, 0, ":1: not valid JSON"},
    };
    struct strbuf scratch = STRBUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jsonl jsonl = {.n = -5};
        json_t *row = NULL;
        char want[128];
        write_file(cases[i].text);
        enum err err = jsonl_open(&jsonl, path);
        assert_int_equal(err == ERR_NONE, cases[i].bad_row >= 0);
        if (err == ERR_NONE) {
            err = jsonl_read(&jsonl, cases[i].bad_row, &scratch, &row);
            jsonl_close(&jsonl);
        } else {
            assert_int_equal(jsonl.n, -5);
        }
        assert_int_equal(err, ERR_FORMAT);
        assert_null(row);
        snprintf(want, sizeof want, "%s%s", path, cases[i].want);
        assert_non_null(strstr(err_text(), want));
    }
    strbuf_release(&scratch);
}

static void a_line_may_have_16_megabytes(void **state)
{
    (void)state;
    char *text = mem_alloc(JSONL_MAX_LINE + 100), want[128];
    memset(text, 'x', JSONL_MAX_LINE + 100);
    memcpy(text, "{}\n", 3);
    struct jsonl jsonl;
    write_file((struct str){text, JSONL_MAX_LINE + 3});
    assert_int_equal(jsonl_open(&jsonl, path), ERR_NONE);
    assert_int_equal(jsonl.n, 2);
    jsonl_close(&jsonl);
    write_file((struct str){text, JSONL_MAX_LINE + 4});
    assert_int_equal(jsonl_open(&jsonl, path), ERR_LIMIT);
    snprintf(want, sizeof want, "%s:2: the line has more than 16 MB", path);
    assert_non_null(strstr(err_text(), want));
    free(text);
}

static void missing_files_and_changes_are_errors(void **state)
{
    (void)state;
    struct jsonl jsonl, same;
    json_t *row;
    struct strbuf scratch = STRBUF_INIT;
    assert_int_equal(jsonl_open(&jsonl, "/nowhere/data.jsonl"), ERR_IO);
    assert_string_equal(err_text(), "cannot open /nowhere/data.jsonl: No such file or directory");
    assert_int_equal(jsonl_open(&jsonl, "/tmp"), ERR_USAGE);
    assert_int_equal(jsonl_open(&jsonl, "/dev/zero"), ERR_IO);
    assert_non_null(strstr(err_text(), "a device"));
    write_file(STR("{}\n{\"a\": 1}\n"));
    assert_int_equal(jsonl_open(&jsonl, path), ERR_NONE);
    assert_int_equal(jsonl_open(&same, path), ERR_NONE);
    assert_true(jsonl.hash == same.hash);
    jsonl_close(&same);
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(jsonl_read(&jsonl, 1, &scratch, &row), ERR_IO);
    assert_non_null(strstr(err_text(), ":2: cannot be read: the file became shorter while in use"));
    jsonl_close(&jsonl);
    assert_int_equal(jsonl_open(&same, path), ERR_NONE);
    assert_true(jsonl.hash != same.hash);
    jsonl_close(&same);
    strbuf_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_in_any_order),          cmocka_unit_test(long_lines_are_read_whole),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line), cmocka_unit_test(a_line_may_have_16_megabytes),
        cmocka_unit_test(missing_files_and_changes_are_errors),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
