/* tests/base/file_test.c - what is no regular file is refused at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"

static char folder[] = "/tmp/strop-file-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[FILE_PATH_BYTES];
    assert_int_equal(file_join(path, sizeof path, folder, name), ERR_NONE);
    return path;
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
    make_socket(in_folder("socket"));
    assert_int_equal(symlink("pipe", in_folder("link")), 0);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

static const struct {
    const char *name, *kind;
} special[] = {{"pipe", "a named pipe"}, {"folder", "a folder"}, {"socket", "a socket"}, {"link", "a named pipe"}};

/* A call that waits ends the test. */
static void reading_never_waits(void **state)
{
    (void)state;
    alarm(10);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        const char *path = in_folder(special[i].name);
        struct strbuf text = STRBUF_INIT;
        struct file_map map;
        json_t *document;
        int fd = -2;
        assert_int_equal(file_open(&fd, path), ERR_IO);
        assert_non_null(strstr(err_text(), special[i].kind));
        assert_non_null(strstr(err_text(), path));
        assert_int_equal(fd, -2);
        assert_int_equal(file_map_open(&map, path), ERR_IO);
        assert_int_equal(file_read(&text, path, 100), ERR_IO);
        assert_int_equal(json_parse_file(&document, path, 100), ERR_IO);
        assert_int_equal(file_check_regular(path), ERR_IO);
    }
    int fd;
    assert_int_equal(file_open(&fd, "/dev/zero"), ERR_IO);
    assert_non_null(strstr(err_text(), "a device"));
    assert_int_equal(file_open(&fd, in_folder("missing")), ERR_IO);
    assert_non_null(strstr(err_text(), "No such file"));
    assert_int_equal(file_check_regular(in_folder("missing")), ERR_NONE);
    alarm(0);
}

static void writing_never_waits(void **state)
{
    (void)state;
    alarm(10);
    char from[FILE_PATH_BYTES];
    assert_int_equal(file_join(from, sizeof from, folder, "file"), ERR_NONE);
    assert_int_equal(file_write_atomic(from, "text", 4), ERR_NONE);
    assert_int_equal(file_copy(from, in_folder("pipe")), ERR_IO);
    assert_int_equal(file_write_atomic(in_folder("pipe"), "text", 4), ERR_NONE); /* a file takes its place */
    struct strbuf text = STRBUF_INIT;
    assert_int_equal(file_read(&text, in_folder("pipe"), 4), ERR_NONE);
    assert_true(str_equal(strbuf_view(&text), STR("text")));
    strbuf_release(&text);
    alarm(0);
}

/* jansson calls a file invalid when it gets no memory; mem_alloc ends the program with the right sentence instead. */
static void jansson_allocates_like_everyone(void **state)
{
    (void)state;
    json_malloc_t alloc = NULL;
    json_free_t release = NULL;
    json_use_memory();
    json_get_alloc_funcs(&alloc, &release);
    assert_true(alloc == mem_alloc && release == free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_never_waits),
        cmocka_unit_test(writing_never_waits),
        cmocka_unit_test(jansson_allocates_like_everyone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
