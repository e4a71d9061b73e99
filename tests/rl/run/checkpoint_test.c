/* tests/rl/run/checkpoint_test.c - whole or not at all: what is saved comes back in every bit, damage is seen, crashes are settled,
 * and nothing is removed that is still needed. With rl/run/manifest.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>

#include "rl/run/manifest.h"
#include "tests/rl/run_fixture.h"

static char folder[64], run[128];
static struct device *device;
static struct model *model;
static struct optim optim;

static const struct optim_options options = {.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8};

static void fill(float *data, float first)
{
    for (size_t i = 0; i < model->params.n; i++) {
        data[i] = first + (float)i * 1e-3f;
    }
}

static int open_all(void **state)
{
    (void)state;
    char base[128];
    snprintf(folder, sizeof folder, "%s/strop_checkpoint_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(base, sizeof base, "%s/base", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    run_make_model(base, 5);
    MUST(device_open(&device, "auto"));
    MUST(model_open(&model, base, device, 0));
    optim_init(&optim, &options, model);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    optim_release(&optim, model);
    model_close(model);
    size_t left = device_bytes(device);
    device_close(device);
    MUST(file_remove_folder(folder));
    return left == 0 ? 0 : -1;
}

static int forget_run(void **state)
{
    (void)state;
    MUST(file_remove_folder(run));
    return 0;
}

static enum err save(int64_t step, int limit)
{
    struct checkpoint_state state = {.step = step, .cursor = 7 * step, .sequence = 5, .optim_step = step};
    return checkpoint_save(run, &state, model, &optim, NULL, "float32", limit);
}

static const char *path_of(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/checkpoints/%s", run, name);
    return path;
}

/* "step-000012", or "" for none. */
static const char *found(void)
{
    static char path[FILE_PATH_BYTES];
    bool is_there = false;
    MUST(checkpoint_find(run, path, sizeof path, &is_there, NULL, NULL));
    return is_there ? strrchr(path, '/') + 1 : "";
}

static const char *latest(void)
{
    static char name[64];
    ssize_t n = readlink(path_of("latest"), name, sizeof name - 1);
    name[n > 0 ? n : 0] = '\0';
    return name;
}

static void write_file(const char *path, const char *text)
{
    MUST(file_write_atomic(path, text, strlen(text)));
}

/* ---- what is saved comes back ---- */

/* Of the weights as rows: the padding between tensors is nobody's. */
static uint64_t hash_weights(const struct model *m)
{
    char path[300];
    snprintf(path, sizeof path, "%s/rows", folder);
    MUST(file_make_folders(path));
    MUST(model_save(m, path, "float32"));
    uint64_t hash = run_hash_file(path, "model.safetensors");
    MUST(file_remove_folder(path));
    return hash;
}

/* Reads step 3, saves what was read as step 4, and compares. */
static void check_round_trip(const struct checkpoint_state *in, const char *dtype)
{
    struct checkpoint_state out = {0}, next = *in;
    struct model *again = NULL, *reference = NULL;
    struct optim other;
    char path[300];
    snprintf(path, sizeof path, "%s", path_of("step-000003"));
    MUST(checkpoint_read_state(path, &out));
    assert_memory_equal(in, &out, sizeof *in);
    MUST(model_open(&again, path, device, 0));
    MUST(model_clone(&reference, again));
    optim_init(&other, &options, again);
    MUST(checkpoint_read_optim(path, &other, again)); /* bfloat16: all bits of the weights too */
    assert_true(hash_weights(again) == hash_weights(model));
    assert_true(checkpoint_has_reference(path));
    MUST(checkpoint_read_reference(path, reference));
    next.step = 4;
    MUST(checkpoint_save(run, &next, again, &other, reference, dtype, 2));
    static const char *const files[] = {"state/optimizer.bin", "state/reference.bin", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        assert_true(run_hash_file(path, files[i]) == run_hash_file(path_of("step-000004"), files[i]));
    }
    assert_true(run_hash_file(path, "state/optimizer.bin") != run_hash_file(path, "state/reference.bin"));
    optim_release(&other, again);
    model_close(reference);
    model_close(again);
}

static void every_bit_comes_back(void **state)
{
    (void)state;
    const struct checkpoint_state in = {3, 2, 1, 99, 4, (uint64_t)1 << 40, 12345, 3, 1, -77};
    uint64_t before = hash_weights(model);
    struct model *reference = NULL;
    MUST(model_clone(&reference, model));
    fill(reference->params.data, 3);
    fill(model->params.m, 1);
    fill(model->params.v, 2);
    for (int i = 0; i < 2; i++) {
        const char *dtype = i ? "bfloat16" : "float32";
        MUST(checkpoint_save(run, &in, model, &optim, reference, dtype, 1));
        check_round_trip(&in, dtype);
        MUST(file_remove_folder(run));
    }
    assert_true(hash_weights(model) == before); /* saving changes nothing */
    model_close(reference);
}

static void bf16_moments_come_back(void **state)
{
    (void)state;
    const struct checkpoint_state at = {.step = 3};
    struct optim_options narrow = options;
    struct optim saved, other;
    struct model *first = NULL, *second = NULL;
    char path[300];
    narrow.kind = OPTIM_ADAMW_BF16_SR;
    MUST(model_clone(&first, model));
    MUST(model_clone(&second, model));
    optim_init(&saved, &narrow, first);
    optim_init(&other, &narrow, second);
    for (size_t i = 0; i < 2 * model->params.n; i++) {
        uint16_t *moment = i % 2 ? first->params.m : first->params.v;
        uint16_t bits = (uint16_t)(i * 40503); /* all bits in use, but for numbers that are not finite */
        moment[i / 2] = (bits & 0x7F80) == 0x7F80 ? (uint16_t)(bits ^ 0x0080) : bits;
    }
    MUST(checkpoint_save(run, &at, first, &saved, NULL, "float32", 2));
    snprintf(path, sizeof path, "%s", path_of("step-000003"));
    MUST(checkpoint_read_optim(path, &other, second));
    for (int i = 0; i < model->params.n_params; i++) {
        const struct param *w = &model->params.table[i];
        size_t bytes = (w->cols ? w->n : (size_t)w->rows) * sizeof(uint16_t);
        if (w->cols == 0 || w->rows % 16 == 0) { /* else there is padding in between; the files tell */
            assert_memory_equal((uint16_t *)first->params.m + w->offset, (uint16_t *)second->params.m + w->offset,
                                bytes);
            assert_memory_equal((uint16_t *)first->params.v + w->offset, (uint16_t *)second->params.v + w->offset,
                                bytes);
        }
    }
    const struct checkpoint_state next = {.step = 4};
    MUST(checkpoint_save(run, &next, second, &other, NULL, "float32", 2));
    assert_true(run_hash_file(path, "state/optimizer_bf16.bin") ==
                run_hash_file(path_of("step-000004"), "state/optimizer_bf16.bin"));
    optim_release(&saved, first);
    optim_release(&other, second);
    model_close(first);
    model_close(second);
}

/* Of a policy, its moments or its reference: the checkpoint before it stays the last. */
static void numbers_that_are_not_finite_are_not_saved(void **state)
{
    (void)state;
    const struct checkpoint_state at = {.step = 3}, next = {.step = 4};
    float *arrays[] = {model->params.data, model->params.m, model->params.v};
    MUST(checkpoint_save(run, &at, model, &optim, NULL, "bfloat16", 1));
    for (int i = 0; i < 3; i++) {
        float kept = arrays[i][5];
        arrays[i][5] = i == 1 ? (float)INFINITY : (float)NAN;
        assert_int_equal(checkpoint_save(run, &next, model, &optim, NULL, "bfloat16", 1), ERR_NUMBERS);
        assert_non_null(strstr(err_text(), "model.embed_tokens.weight"));
        assert_true(file_exists(path_of("step-000003")) && !file_exists(path_of("step-000004")));
        MUST(checkpoint_verify(path_of("step-000003")));
        arrays[i][5] = kept;
    }
    MUST(checkpoint_save(run, &next, model, &optim, NULL, "bfloat16", 1));
}

/* Neither kind of moments is read as the other. */
static void moments_of_another_kind_are_refused(void **state)
{
    (void)state;
    const struct checkpoint_state at = {.step = 3};
    struct optim_options narrow = options;
    struct optim other;
    struct model *twin = NULL;
    narrow.kind = OPTIM_ADAMW_BF16_SR;
    MUST(model_clone(&twin, model));
    optim_init(&other, &narrow, twin);
    MUST(checkpoint_save(run, &at, model, &optim, NULL, "float32", 1));
    assert_int_equal(checkpoint_read_optim(path_of("step-000003"), &other, twin), ERR_USAGE);
    assert_non_null(strstr(err_text(), "saved with optim: adamw, but the recipe has optim: adamw_bf16_sr"));
    MUST(file_remove_folder(run));
    MUST(checkpoint_save(run, &at, twin, &other, NULL, "float32", 1));
    assert_int_equal(checkpoint_read_optim(path_of("step-000003"), &optim, model), ERR_USAGE);
    assert_non_null(strstr(err_text(), "saved with optim: adamw_bf16_sr, but the recipe has optim: adamw,"));
    optim_release(&other, twin);
    model_close(twin);
}

/* ---- damage ---- */

static void flip(const char *path, long at, int bit)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 1 << bit, file);
    fclose(file);
}

/* Each byte of the small files and some of the large ones, a bit at a time. */
static void every_flipped_byte_is_seen(void **state)
{
    (void)state;
    static const char *const names[] = {"MANIFEST.json",     "state/train.json",    "config.json",
                                        "model.safetensors", "state/optimizer.bin", "tokenizer.json"};
    MUST(save(1, 2));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[400];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", path_of("step-000001"), names[i]);
        assert_int_equal(stat(path, &info), 0);
        uint64_t size = (uint64_t)info.st_size;
        uint64_t stride = size > 2000 ? size / 40 : 1;
        for (uint64_t at = 0; at < size; at += stride) {
            flip(path, (long)at, (int)(at % 8));
            if (checkpoint_verify(path_of("step-000001")) == ERR_NONE) {
                fail_msg("%s: byte %llu is flipped, and nobody sees it", names[i], (unsigned long long)at);
            }
            flip(path, (long)at, (int)(at % 8));
        }
        MUST(checkpoint_verify(path_of("step-000001")));
        assert_int_equal(truncate(path, (off_t)size - 1), 0);
        assert_int_not_equal(checkpoint_verify(path_of("step-000001")), ERR_NONE);
        MUST(file_remove_folder(run));
        MUST(save(1, 2));
    }
}

static void a_missing_file_is_seen(void **state)
{
    (void)state;
    char path[400];
    MUST(save(1, 2));
    snprintf(path, sizeof path, "%s/state/optimizer.bin", path_of("step-000001"));
    assert_int_equal(unlink(path), 0);
    assert_int_not_equal(checkpoint_verify(path_of("step-000001")), ERR_NONE);
    assert_non_null(strstr(err_text(), "optimizer.bin"));
}

/* Beside the manifest there is nothing; and what it must list, it lists. */
static void only_the_list_is_believed(void **state)
{
    (void)state;
    char path[400], manifest[400], files[FILE_PATH_BYTES];
    MUST(save(1, 2));
    snprintf(path, sizeof path, "%s/state/reference.bin", path_of("step-000001"));
    write_file(path, "x");
    snprintf(path, sizeof path, "%s/chat_template.jinja", path_of("step-000001"));
    write_file(path, "x");
    MUST(checkpoint_verify(path_of("step-000001")));
    assert_false(checkpoint_has_reference(path_of("step-000001")));
    MUST(checkpoint_stage(run, path_of("step-000001"), files));
    assert_false(file_exists(path_of("files/chat_template.jinja")));
    assert_true(file_exists(path_of("files/tokenizer.json")));
    static const char *const needed[] = {"config.json", "model.safetensors", "state/train.json", "state/optimizer.bin"};
    snprintf(manifest, sizeof manifest, "%s", path_of("step-000001/MANIFEST.json"));
    for (int format = 1; format <= 2; format++) { /* format 1 has no hash of the list */
        for (int i = 0; i < 4; i++) {
            json_t *document;
            MUST(json_parse_file(&document, manifest, 1 << 20));
            json_object_del(json_object_get(document, "files"), needed[i]);
            json_object_set_new(document, "format", json_integer(format));
            struct strbuf before = STRBUF_INIT;
            MUST(file_read(&before, manifest, 1 << 20));
            char *text = json_dumps(document, 0);
            write_file(manifest, text);
            assert_int_equal(checkpoint_verify(path_of("step-000001")), ERR_STATE);
            MUST(file_write_atomic(manifest, before.data, before.length));
            strbuf_release(&before);
            json_decref(document);
            free(text);
        }
    }
    MUST(checkpoint_verify(path_of("step-000001")));
}

/* It is there, whatever becomes of the link. */
static void a_link_that_cannot_be_made_loses_nothing(void **state)
{
    (void)state;
    MUST(file_make_folders(path_of("latest/x")));
    MUST(save(1, 2));
    MUST(checkpoint_verify(path_of("step-000001")));
}

static void a_copy_under_another_number_is_passed_over(void **state)
{
    (void)state;
    char from[400];
    MUST(save(1, 0));
    MUST(save(2, 0));
    snprintf(from, sizeof from, "%s", path_of("step-000001"));
    assert_int_equal(rename(from, path_of("step-000009")), 0);
    assert_string_equal(found(), "step-000002");
}

static void the_newest_whole_one_is_found(void **state)
{
    (void)state;
    char path[400];
    assert_string_equal(found(), "");
    MUST(save(2, 0));
    MUST(save(10, 0));
    MUST(save(9, 0)); /* by number, not by time */
    assert_string_equal(found(), "step-000010");
    snprintf(path, sizeof path, "%s/model.safetensors", path_of("step-000010"));
    flip(path, 1000, 0);
    assert_string_equal(found(), "step-000009");
    assert_string_equal(latest(), "step-000009");
    snprintf(path, sizeof path, "%s/MANIFEST.json", path_of("step-000009"));
    assert_int_equal(unlink(path), 0);
    assert_string_equal(found(), "step-000002");
    snprintf(path, sizeof path, "%s/state/train.json", path_of("step-000002"));
    flip(path, 3, 1);
    bool is_there = true;
    assert_int_equal(checkpoint_find(run, path, sizeof path, &is_there, NULL, NULL), ERR_STATE);
    assert_false(is_there);
    assert_non_null(strstr(err_text(), "none of its 3 checkpoints is whole"));
}

/* ---- crashes ---- */

static void remains_of_a_crash_are_settled(void **state)
{
    (void)state;
    char from[400], to[400];
    MUST(save(1, 2));
    MUST(save(2, 2));
    /* killed when all was written, but before it had its name */
    snprintf(from, sizeof from, "%s", path_of("step-000002"));
    snprintf(to, sizeof to, "%s", path_of("unfinished"));
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(unlink(path_of("latest")), 0);
    assert_int_equal(symlink("step-000001", path_of("latest")), 0);
    assert_string_equal(found(), "step-000002");
    assert_string_equal(latest(), "step-000002");
    assert_false(file_exists(path_of("unfinished")));
    /* killed when the same step was saved again, while the old folder was being removed */
    assert_int_equal(rename(from, to), 0);
    MUST(file_make_folders(from));
    assert_string_equal(found(), "step-000002");
    /* killed in the middle of writing */
    MUST(file_make_folders(to));
    write_file(path_of("unfinished/config.json"), "{");
    assert_string_equal(found(), "step-000002");
    assert_false(file_exists(to));
    /* killed between the two halves of replacing the symlink */
    assert_int_equal(symlink("step-000001", path_of("latest.tmp")), 0);
    MUST(save(3, 2));
    assert_string_equal(latest(), "step-000003");
    assert_false(file_exists(path_of("latest.tmp")));
}

/* ---- what is kept ---- */

static void only_so_many_are_kept(void **state)
{
    (void)state;
    for (int step = 1; step <= 5; step++) {
        MUST(save(step, 2));
        assert_true(file_exists(path_of("latest/config.json")));
    }
    assert_false(file_exists(path_of("step-000003")));
    assert_true(file_exists(path_of("step-000004")));
    assert_string_equal(latest(), "step-000005");
}

/* The folder that config and tokenizer are copied from stays, whatever the limit. */
static void the_base_is_never_removed(void **state)
{
    (void)state;
    MUST(save(1, 1));
    char *source = model->source;
    model->source = mem_strdup(path_of("step-000001"));
    for (int step = 2; step <= 4; step++) {
        MUST(save(step, 1));
    }
    assert_true(file_exists(path_of("step-000001/config.json")));
    assert_false(file_exists(path_of("step-000003")));
    assert_true(file_exists(path_of("step-000004/tokenizer.json")));
    free(model->source);
    model->source = source;
}

static void another_course_is_set_aside(void **state)
{
    (void)state;
    MUST(save(1, 0));
    MUST(save(2, 0));
    MUST(save(3, 0));
    MUST(checkpoint_set_aside(run, 1));
    assert_string_equal(found(), "step-000001");
    assert_true(file_exists(path_of("aside-step-000003/config.json")));
    MUST(save(2, 2)); /* would be removed, were step 3 still there */
    assert_string_equal(found(), "step-000002");
    assert_true(file_exists(path_of("step-000001")));
    assert_false(file_exists(path_of("aside-step-000002")));
    assert_false(file_exists(path_of("aside-step-000003")));
}

static void a_failed_save_leaves_what_was_there(void **state)
{
    (void)state;
    MUST(save(1, 1));
    char *source = model->source;
    model->source = folder; /* without config.json */
    assert_int_not_equal(save(2, 1), ERR_NONE);
    model->source = source;
    assert_string_equal(latest(), "step-000001");
    assert_false(file_exists(path_of("unfinished")));
    assert_false(file_exists(path_of("step-000002")));
    MUST(checkpoint_verify(path_of("step-000001")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_bit_comes_back, forget_run),
        cmocka_unit_test_teardown(bf16_moments_come_back, forget_run),
        cmocka_unit_test_teardown(numbers_that_are_not_finite_are_not_saved, forget_run),
        cmocka_unit_test_teardown(moments_of_another_kind_are_refused, forget_run),
        cmocka_unit_test_teardown(every_flipped_byte_is_seen, forget_run),
        cmocka_unit_test_teardown(a_missing_file_is_seen, forget_run),
        cmocka_unit_test_teardown(only_the_list_is_believed, forget_run),
        cmocka_unit_test_teardown(a_link_that_cannot_be_made_loses_nothing, forget_run),
        cmocka_unit_test_teardown(a_copy_under_another_number_is_passed_over, forget_run),
        cmocka_unit_test_teardown(the_newest_whole_one_is_found, forget_run),
        cmocka_unit_test_teardown(remains_of_a_crash_are_settled, forget_run),
        cmocka_unit_test_teardown(only_so_many_are_kept, forget_run),
        cmocka_unit_test_teardown(the_base_is_never_removed, forget_run),
        cmocka_unit_test_teardown(another_course_is_set_aside, forget_run),
        cmocka_unit_test_teardown(a_failed_save_leaves_what_was_there, forget_run),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
