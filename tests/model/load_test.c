/* tests/model/load_test.c - folders written by transformers, whole and in shards; what does not fit together is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "tests/model/fixture.h"

static void folders_of_transformers_load(void **state)
{
    for (int i = 0; i < FIXTURE_GOLDENS; i++) {
        char path[256];
        struct model *model = NULL, *want = fixture_golden_model(fixture_golden_names[i], *state);
        snprintf(path, sizeof path, "tests/golden/models/%s", fixture_golden_names[i]);
        FIXTURE_ASSERT(model_open(&model, path, *state, 0));
        assert_int_equal(model->params.n, want->params.n);
        assert_memory_equal(model->params.data, want->params.data, want->params.n * sizeof(float));
        assert_string_equal(model->source, path);
        assert_null(model->tokenizer);
        model_close(model);
        model_close(want);
    }
}

/* ---- folders made here: the golden tensors, some left out, added, or of another shape ---- */

#define GOLDEN "tests/golden/models/qwen2"

struct folder {
    char path[32];
    struct safetensors golden;
    struct tensor_source sources[64];
    int n;
    enum {
        HEAD_ZERO,
        HEAD_COPY,
        HEAD_ALMOST
    } head; /* what lm_head.weight is: the embedding, but for its last number */
};

static void read_golden(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    const struct folder *f = context;
    bool copied = f->head != HEAD_ZERO && strcmp(f->sources[i].name, "lm_head.weight") == 0;
    const struct tensor_view *t =
        safetensors_find(&f->golden, copied ? "model.embed_tokens.weight" : f->sources[i].name);
    if (t) {
        tensor_to_float(t, at, n, out);
        if (copied && f->head == HEAD_ALMOST && at + n == (uint64_t)t->shape[0] * (uint64_t)t->shape[1]) {
            out[n - 1] += 1;
        }
    } else {
        memset(out, 0, n * sizeof *out);
    }
}

static void folder_open(struct folder *f)
{
    char config[64];
    *f = (struct folder){.path = "/tmp/strop_load_XXXXXX"};
    assert_non_null(mkdtemp(f->path));
    snprintf(config, sizeof config, "%s/config.json", f->path);
    FIXTURE_ASSERT(file_copy(GOLDEN "/config.json", config));
    FIXTURE_ASSERT(safetensors_open(&f->golden, GOLDEN "/model.safetensors"));
    for (int i = 0; i < f->golden.n; i++) {
        const struct tensor_view *t = &f->golden.tensors[i];
        f->sources[f->n++] =
            (struct tensor_source){t->name, t->n_dims, {t->shape[0], t->n_dims > 1 ? t->shape[1] : 0}, false};
    }
}

static void folder_close(struct folder *f)
{
    safetensors_close(&f->golden);
    FIXTURE_ASSERT(file_remove_folder(f->path));
}

static void write_text(const struct folder *f, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FIXTURE_ASSERT(file_write_atomic(path, text, strlen(text)));
}

static void write_tensors(struct folder *f, const char *name, int from, int to, enum tensor_dtype dtype)
{
    char path[64];
    struct folder part = *f;
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    part.n = to - from;
    memcpy(part.sources, f->sources + from, (size_t)part.n * sizeof *part.sources);
    FIXTURE_ASSERT(safetensors_write(path, part.sources, part.n, dtype, read_golden, &part));
}

static void shards_load_as_one(void **state)
{
    struct folder f;
    struct model *model = NULL, *want = fixture_golden_model("qwen2", *state);
    folder_open(&f);
    write_tensors(&f, "model-00001-of-00002.safetensors", 0, 7, DTYPE_F32);
    write_tensors(&f, "model-00002-of-00002.safetensors", 7, f.n, DTYPE_BF16);
    struct strbuf index = STRBUF_INIT;
    strbuf_puts(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int i = 0; i < f.n; i++) {
        strbuf_printf(&index, "%s\"%s\":\"model-0000%d-of-00002.safetensors\"", i ? "," : "", f.sources[i].name,
                      i < 7 ? 1 : 2);
    }
    strbuf_puts(&index, "}}");
    write_text(&f, "model.safetensors.index.json", index.data);
    FIXTURE_ASSERT(model_open(&model, f.path, *state, 0));
    assert_memory_equal(model->params.data, want->params.data, want->params.n * sizeof(float));
    strbuf_release(&index);
    model_close(model);
    model_close(want);
    folder_close(&f);
}

static void assert_refused(const char *path, struct device *device, enum err code, const char *error)
{
    struct model *model = NULL;
    enum err result = model_open(&model, path, device, 0);
    if (result != code || !strstr(err_text(), error)) {
        fail_msg("code %d, '%s'; wanted '%s'", result, err_text(), error);
    }
    assert_null(model);
}

static void indices_are_checked(void **state)
{
    static const struct {
        enum err code;
        const char *text, *error;
    } cases[] = {{ERR_FORMAT, "{}", "weight_map"},
                 {ERR_FORMAT, "{\"weight_map\":{\"a\":\"../x\"}}", "names no file"},
                 {ERR_FORMAT, "{\"weight_map\":{\"a\":7}}", "names no file"},
                 {ERR_FORMAT, "[", "not valid JSON"},
                 {ERR_IO, "{\"weight_map\":{\"a\":\"absent.safetensors\"}}", "absent.safetensors"}};
    struct folder f;
    folder_open(&f);
    assert_refused(f.path, *state, ERR_IO, "neither");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(&f, "model.safetensors.index.json", cases[i].text);
        assert_refused(f.path, *state, cases[i].code, cases[i].error);
    }
    folder_close(&f);
    assert_refused("/tmp/no/such/model", *state, ERR_IO, "no such model");
    assert_refused("tests/golden/make_models.py", *state, ERR_FORMAT, "not a GGUF");
    assert_refused("recipes/tiny/r1-zero.yaml", *state, ERR_USAGE, "is a recipe");
}

static void tensors_must_be_those_of_the_config(void **state)
{
    struct folder f;
    struct model *model = NULL;
    folder_open(&f);
    write_tensors(&f, "model.safetensors", 1, f.n, DTYPE_F32);
    assert_refused(f.path, *state, ERR_FORMAT, f.sources[0].name);
    f.sources[f.n] = (struct tensor_source){"model.layers.0.self_attn.q_norm.weight", 1, {16, 0}, false};
    write_tensors(&f, "model.safetensors", 0, f.n + 1, DTYPE_F32);
    assert_refused(f.path, *state, ERR_FORMAT, "q_norm.weight' has no place");
    f.sources[f.n] = (struct tensor_source){"model.layers.0.self_attn.rotary_emb.inv_freq", 1, {8, 0}, false};
    write_tensors(&f, "model.safetensors", 0, f.n + 1, DTYPE_F32);
    FIXTURE_ASSERT(model_open(&model, f.path, *state, 0));
    model_close(model);
    f.sources[0].shape[0]--;
    write_tensors(&f, "model.safetensors", 0, f.n, DTYPE_F32);
    assert_refused(f.path, *state, ERR_FORMAT, "but config.json asks for");
    folder_close(&f);
}

/* tie_word_embeddings is true in the config; only a head that differs from the embedding is one of its own. */
static void a_head_that_differs_is_kept(void **state)
{
    struct folder f;
    folder_open(&f);
    f.sources[f.n++] = (struct tensor_source){"lm_head.weight", 2, {203, 64}, false};
    for (int i = 0; i < 3; i++) {
        struct model *model = NULL, *again = NULL;
        struct model_config config;
        char saved[] = "/tmp/strop_load_XXXXXX";
        f.head = i == 0 ? HEAD_ZERO : i == 1 ? HEAD_COPY : HEAD_ALMOST;
        write_tensors(&f, "model.safetensors", 0, f.n, i == 1 ? DTYPE_BF16 : DTYPE_F32);
        FIXTURE_ASSERT(model_open(&model, f.path, *state, 0));
        assert_int_equal(model->config.tied, i == 1);
        assert_int_equal(model->weights.head == model->weights.embedding, i == 1);
        FIXTURE_ASSERT(model_open_config(&config, f.path)); /* what memory is planned by */
        assert_int_equal(config.tied, i == 1);
        assert_non_null(mkdtemp(saved));
        FIXTURE_ASSERT(model_save(model, saved, "float32"));
        FIXTURE_ASSERT(model_open(&again, saved, *state, 0));
        assert_int_equal(again->params.n, model->params.n);
        assert_memory_equal(again->params.data, model->params.data, model->params.n * sizeof(float));
        FIXTURE_ASSERT(model_config_open(&config, saved)); /* others must not tie it */
        assert_int_equal(config.tied, i == 1);
        model_close(again);
        model_close(model);
        FIXTURE_ASSERT(file_remove_folder(saved));
    }
    folder_close(&f);
}

/* Nobody writes into the pipe: whoever opens it waits for ever. */
static void pipes_in_place_of_files_are_refused(void **state)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "model.safetensors",
                                        "tokenizer.json",
                                        "model.safetensors.index.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja"};
    struct folder f;
    folder_open(&f);
    write_tensors(&f, "model.safetensors", 0, f.n, DTYPE_F32);
    alarm(30);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], kept[64], other[64];
        bool is_tokenizer = i >= 5; /* what is read with a tokenizer only */
        snprintf(path, sizeof path, "%s/%s", f.path, names[i]);
        snprintf(kept, sizeof kept, "%s/kept", f.path);
        snprintf(other, sizeof other, "%s/tokenizer.json", f.path);
        bool was = rename(path, kept) == 0, away = i == 4;
        if (away) {
            snprintf(kept, sizeof kept, "%s/model.safetensors", f.path);
            snprintf(other, sizeof other, "%s/kept", f.path);
            assert_int_equal(rename(kept, other), 0);
        } else if (is_tokenizer) {
            FIXTURE_ASSERT(file_copy("tests/golden/tiny_tokenizer/tokenizer.json", other));
        }
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_refused(f.path, *state, ERR_IO, "a named pipe");
        assert_non_null(strstr(err_text(), names[i]));
        unlink(path);
        if (away) {
            assert_int_equal(rename(other, kept), 0);
        } else if (is_tokenizer) {
            unlink(other);
        }
        if (was) {
            assert_int_equal(rename(kept, path), 0);
        }
    }
    alarm(0);
    folder_close(&f);
}

/* For drawn weights a folder with a config and a tokenizer is enough. */
static void a_shape_needs_no_weights(void **state)
{
    char folder[] = "/tmp/strop_shape_XXXXXX", from[128], to[128];
    static const char *const names[] = {"config.json", "tokenizer.json"};
    struct model *model = NULL, *again = NULL, *whole = NULL;
    struct model_config config;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        snprintf(from, sizeof from, "recipes/tiny/base/%s", names[i]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        FIXTURE_ASSERT(file_copy(from, to));
    }
    assert_int_equal(model_open(&model, folder, *state, 0), ERR_IO);
    FIXTURE_ASSERT(model_open_config(&config, folder));
    FIXTURE_ASSERT(model_open_random(&model, folder, *state, 64, true, 5));
    FIXTURE_ASSERT(model_new(&again, &config, NULL, *state, 64, 5));
    FIXTURE_ASSERT(model_open_random(&whole, "recipes/tiny/base", *state, 64, true, 5));
    assert_memory_equal(model->params.data, again->params.data, model->params.n * sizeof(float));
    assert_memory_equal(model->params.data, whole->params.data, model->params.n * sizeof(float));
    assert_non_null(model->tokenizer);
    assert_string_equal(model->source, folder);
    model_close(model);
    model_close(again);
    model_close(whole);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders_of_transformers_load, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(shards_load_as_one, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(indices_are_checked, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(tensors_must_be_those_of_the_config, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_head_that_differs_is_kept, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(pipes_in_place_of_files_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_shape_needs_no_weights, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
