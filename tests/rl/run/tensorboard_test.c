/* tests/rl/run/tensorboard_test.c - event files as the tensorboard package writes them (tests/golden/make_tensorboard.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "rl/run/store.h"
#include "rl/run/tensorboard.h"

static char folder[] = "/tmp/tensorboard_test.XXXXXX";

static void must(enum err err)
{
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tensorboard_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_folder(folder) == ERR_NONE ? 0 : -1;
}

/* The check value of the polynomial, and its masked form in the first record of the golden file. */
static void the_checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(tensorboard_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(tensorboard_crc32c("", 0), 0);
}

static void records_are_those_of_the_package(void **state)
{
    (void)state;
    struct strbuf want = STRBUF_INIT, got = STRBUF_INIT;
    must(file_read(&want, "tests/golden/tensorboard.bin", 1 << 16));
    const struct metric first[] = {{"loss", 0.5}};
    const struct metric second[] = {
        {"reward", -1.25}, {"none", (double)NAN}, {"rewards/accuracy/mean", 0.1}, {"big", 1e300}, {"zero", 0}};
    struct metric third = {.value = 3e38};
    memset(third.name, 'a', sizeof third.name - 1);
    tensorboard_put_version(&got, 1.0);
    tensorboard_put_scalars(&got, 1.0, 1, first, 1);
    tensorboard_put_scalars(&got, 1795513688.25, 300, second, 5);
    tensorboard_put_scalars(&got, 2.0, 0, &third, 1);
    tensorboard_put_scalars(&got, 2.0, (int64_t)1 << 40, NULL, 0);
    assert_int_equal(got.length, want.length);
    assert_memory_equal(got.data, want.data, want.length);
    strbuf_release(&want);
    strbuf_release(&got);
}

/* ---- a run's file ---- */

static void add_steps(struct store *store, struct tensorboard *tensorboard, int first, int last)
{
    for (int step = first; step <= last; step++) {
        struct metrics metrics = {0};
        metrics_set(&metrics, step / 8.0, "reward");
        must(store_step(store, step, step - 1, &metrics));
        if (tensorboard) {
            must(tensorboard_add(tensorboard, step, &metrics));
        }
    }
}

static uint64_t read_fixed(const char *data, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) {
        value = value << 8 | (unsigned char)data[i];
    }
    return value;
}

/* The steps in the only file of FOLDER/tb as "1 2 3 ", each small enough for a byte, "v" for the version. */
static void read_file(struct strbuf *out)
{
    char tb[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
    struct strbuf file = STRBUF_INIT;
    int n = 0;
    must(file_join(tb, sizeof tb, folder, "tb"));
    DIR *dir = opendir(tb);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (str_starts(str_of(entry->d_name), STR("events.out.tfevents."))) {
            must(file_join(path, sizeof path, tb, entry->d_name));
            n++;
        }
    }
    closedir(dir);
    assert_int_equal(n, 1);
    must(file_read(&file, path, 1 << 20));
    strbuf_clear(out);
    for (size_t at = 0; at < file.length;) {
        size_t size = read_fixed(file.data + at, 8);
        const char *data = file.data + at + 12;
        assert_true(at + 16 + size <= file.length);
        if (data[9] == 0x1a) {
            strbuf_puts(out, "v ");
        } else if (data[9] == 0x10) {
            strbuf_printf(out, "%d ", data[10]);
        } else {
            strbuf_puts(out, "0 ");
        }
        at += 16 + size;
    }
    strbuf_release(&file);
}

/* Events of steps that a resumed run takes again are not there twice; a file of somebody else stays. */
static void resuming_writes_the_file_anew(void **state)
{
    (void)state;
    struct store *store;
    struct tensorboard *t;
    struct strbuf steps = STRBUF_INIT;
    struct metrics eval = {0};
    metrics_set(&eval, 0.5, "eval/pass@1");
    must(store_open(&store, folder));
    must(tensorboard_open(&t, folder));
    must(store_eval(store, 0, &eval));
    must(tensorboard_add(t, 0, &eval));
    add_steps(store, t, 1, 5);
    tensorboard_close(t);
    read_file(&steps);
    assert_string_equal(steps.data, "v 0 1 2 3 4 5 ");

    must(store_rewind(store, 3, 3));
    must(tensorboard_open(&t, folder));
    read_file(&steps);
    assert_string_equal(steps.data, "v 1 2 3 0 ");
    add_steps(store, t, 4, 6);
    tensorboard_close(t);
    read_file(&steps);
    assert_string_equal(steps.data, "v 1 2 3 0 4 5 6 ");
    store_close(store);
    strbuf_release(&steps);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(records_are_those_of_the_package),
        TEST(resuming_writes_the_file_anew),
    };
    return cmocka_run_group_tests_name("tensorboard", tests, NULL, NULL);
}
