/* tests/model/gguf_test.c - GGUF files of the gguf package (tests/golden/make_gguf.py) against the checkpoints they were made of;
 * damaged files.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf.h"

#include <math.h>

#include "model/gguf_model.h"
#include "tests/model/fixture.h"

#define GOLDEN "tests/golden/gguf/"

static float *rows_of(const struct model *model, const struct part *part)
{
    float *rows = mem_alloc(part->n * sizeof *rows);
    params_export(&model->params, model->device, part->param, rows, part->row, part->rows);
    return rows;
}

/* All tensors but those in `except`, a substring. */
static void assert_same_weights(const struct model *got, const struct model *want, const char *except)
{
    assert_int_equal(got->params.n_parts, want->params.n_parts);
    for (int i = 0; i < want->params.n_parts; i++) {
        struct part part = part_of(want, i), *w = &part;
        if (except && (strstr(w->name, "layers.0.self_attn.q_proj") || strstr(w->name, "layers.0.self_attn.k_proj"))) {
            continue;
        }
        float *a = rows_of(got, w), *b = rows_of(want, w);
        if (memcmp(a, b, w->n * sizeof *a) != 0) {
            fail_msg("%s differs", w->name);
        }
        free(a);
        free(b);
    }
}

static void models_equal_their_checkpoints(void **state)
{
    static const struct {
        const char *path, *golden, *except;
    } cases[] = {{GOLDEN "qwen2.gguf", "qwen2", NULL},
                 {GOLDEN "llama3.gguf", "llama3", NULL},
                 {GOLDEN "llama3-8.gguf", "llama3", "q and k of layer 0"},
                 {GOLDEN "qwen3-moe.gguf", "qwen3-moe", NULL},
                 {GOLDEN "deepseek-v3.gguf", "deepseek-v3", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *model = NULL, *want = fixture_golden_model(cases[i].golden, *state);
        FIXTURE_ASSERT(model_open(&model, cases[i].path, *state, 0));
        assert_null(model->tokenizer);
        struct model_config a = model->config, b = want->config;
        assert_ptr_equal(a.family, b.family);
        assert_int_equal(a.n_layers, b.n_layers);
        assert_int_equal(a.V, b.V);
        assert_int_equal(a.D, b.D);
        assert_int_equal(a.max_positions, b.max_positions);
        assert_int_equal(a.tied, b.tied);
        assert_int_equal(a.bos_id, b.bos_id);
        assert_int_equal(a.n_eos, b.n_eos);
        assert_int_equal(a.eos_ids[0], b.eos_ids[0]);
        assert_true(memcmp(&a.norm_eps, &b.norm_eps, sizeof a.norm_eps) == 0);
        assert_int_equal(a.rope.type, b.rope.type);
        assert_true(fabs(a.rope.factor - b.rope.factor) < 1e-9 && fabs(a.rope.theta - b.rope.theta) < 1e-9);
        assert_memory_equal(&a.moe.router, &b.moe.router, sizeof a.moe.router);
        assert_memory_equal(a.moe.is_dense, b.moe.is_dense, sizeof a.moe.is_dense);
        assert_true(a.moe.F == b.moe.F && a.moe.shared_F == b.moe.shared_F && a.moe.has_bias == b.moe.has_bias);
        assert_true(a.mla.q_rank == b.mla.q_rank && a.mla.kv_rank == b.mla.kv_rank && a.mla.nope == b.mla.nope);
        assert_true(a.mla.rope == b.mla.rope && a.mla.v == b.mla.v && a.mla.interleaved == b.mla.interleaved);
        assert_memory_equal(&a.mla.softmax_scale, &b.mla.softmax_scale, sizeof a.mla.softmax_scale);
        assert_same_weights(model, want, cases[i].except);
        model_close(model);
        model_close(want);
    }
}

/* Rows in another order, in blocks: dequantised as the package does it, then put back. */
static void quantised_rows_are_put_back(void **state)
{
    struct model *model = NULL;
    struct strbuf golden = STRBUF_INIT;
    FIXTURE_ASSERT(model_open(&model, GOLDEN "llama3-8.gguf", *state, 0));
    FIXTURE_ASSERT(file_read(&golden, GOLDEN "llama3-8.bin", 1 << 20));
    static const char *const names[] = {"model.layers.0.self_attn.q_proj.weight",
                                        "model.layers.0.self_attn.k_proj.weight"};
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        struct part w = part_named(model, names[i]);
        size_t bytes = w.n * sizeof(float);
        float *want = mem_alloc(bytes), *got = rows_of(model, &w);
        fixture_take(want, &golden, &at, bytes);
        assert_memory_equal(got, want, bytes);
        free(want);
        free(got);
    }
    assert_int_equal(at, golden.length);
    strbuf_release(&golden);
    model_close(model);
}

/* ---- tokenizer ---- */

static void assert_golden_ids(const struct tokenizer *tokenizer)
{
    struct strbuf file = STRBUF_INIT;
    struct arena arena = ARENA_INIT;
    FIXTURE_ASSERT(file_read(&file, GOLDEN "tokenizer.ids", 1 << 20));
    size_t at = 0;
    int32_t n_texts = 0;
    fixture_take(&n_texts, &file, &at, 4);
    for (int i = 0; i < n_texts; i++) {
        int32_t head[2], want[256], *got = NULL;
        char text[256];
        int n = 0;
        fixture_take(head, &file, &at, sizeof head);
        assert_true(head[0] < 256 && head[1] < 256);
        fixture_take(text, &file, &at, (size_t)head[0]);
        fixture_take(want, &file, &at, (size_t)head[1] * 4);
        FIXTURE_ASSERT(tokenizer_encode(tokenizer, (struct str){text, (size_t)head[0]}, true, &arena, &got, &n));
        assert_int_equal(n, head[1]);
        for (int k = 0; k < n; k++) {
            assert_int_equal(got[k], want[k]);
        }
    }
    assert_int_equal(at, file.length);
    strbuf_release(&file);
    arena_release(&arena);
}

/* Opened from the keys, and opened again from the tokenizer.json written from them. */
static void tokenizers_give_the_golden_ids(void **state)
{
    (void)state;
    struct gguf file;
    struct tokenizer *tokenizer = NULL, *again = NULL;
    char folder[] = "/tmp/strop_gguf_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    FIXTURE_ASSERT(gguf_open(&file, GOLDEN "tokenizer.gguf"));
    FIXTURE_ASSERT(gguf_model_tokenizer(&file, &tokenizer));
    assert_golden_ids(tokenizer);
    FIXTURE_ASSERT(gguf_model_save_tokenizer(&file, folder));
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    FIXTURE_ASSERT(tokenizer_open(&again, path));
    assert_golden_ids(again);
    assert_int_equal(tokenizer_size(again), 300);
    assert_true(tokenizer_is_special(again, 296) && !tokenizer_is_special(again, 299));
    assert_true(str_equal(tokenizer_chat_template(again), tokenizer_chat_template(tokenizer)));
    assert_true(tokenizer_chat_template(again).length > 20);
    tokenizer_free(tokenizer);
    tokenizer_free(again);
    gguf_close(&file);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

/* ---- damaged files ---- */

static void put(struct strbuf *b, int width, uint64_t value)
{
    for (int i = 0; i < width; i++) {
        strbuf_putc(b, (char)(value >> (8 * i) & 255));
    }
}

static void put_text(struct strbuf *b, const char *text)
{
    put(b, 8, strlen(text));
    strbuf_puts(b, text);
}

/* What a small file is made of: numbers, each of which may be wrong, and three texts. */
enum field {
    VERSION,
    N_TENSORS,
    N_KEYS,
    ALIGNMENT,
    ARRAY_OF,
    ARRAY_N,
    N_DIMS,
    COLS,
    ROWS,
    TYPE,
    OFFSET,
    CUT, /* bytes left out at the end */
    FIELDS
};

struct parts_of_file {
    const char *magic, *key, *name;
    uint64_t of[FIELDS];
};

static const struct parts_of_file good = {"GGUF", "list", "b", {3, 2, 2, 64, GGUF_I16, 3, 2, 32, 2, 8, 64, 0}};

static void put_tensor(struct strbuf *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put(b, 4, n_dims);
    for (uint32_t i = 0; i < n_dims && i < 2; i++) {
        put(b, 8, ne[i]);
    }
    put(b, 4, type);
    put(b, 8, offset);
}

static void make_file(struct strbuf *b, const struct parts_of_file *p)
{
    strbuf_puts(b, p->magic);
    put(b, 4, p->of[VERSION]);
    put(b, 8, p->of[N_TENSORS]);
    put(b, 8, p->of[N_KEYS]);
    put_text(b, "general.alignment");
    put(b, 4, GGUF_U32);
    put(b, 4, p->of[ALIGNMENT]);
    put_text(b, p->key);
    put(b, 4, GGUF_ARRAY);
    put(b, 4, p->of[ARRAY_OF]);
    put(b, 8, p->of[ARRAY_N]);
    put(b, 6, 0x0003FFFF0001);
    put_tensor(b, "a", 1, (uint64_t[]){5, 0}, 0, 0);
    put_tensor(b, p->name, (uint32_t)p->of[N_DIMS], &p->of[COLS], (uint32_t)p->of[TYPE], p->of[OFFSET]);
    while (b->length % 64) {
        strbuf_putc(b, 0);
    }
    for (int i = 0; i < 64 + 68; i++) {
        strbuf_putc(b, (char)i);
    }
    b->length -= p->of[CUT];
}

static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";

static const struct {
    const char *error; /* part of the sentence */
    enum field field;
    uint64_t value;
    enum field second; /* FIELDS: none */
    uint64_t second_value;
} damages[] = {
    {"version 1", VERSION, 1, FIELDS, 0},
    {"big-endian", VERSION, 3u << 24, FIELDS, 0},
    {"cut off", N_KEYS, 1ull << 40, FIELDS, 0},
    {"cut off", N_TENSORS, UINT64_MAX, FIELDS, 0},
    {"", N_TENSORS, 3, FIELDS, 0},
    {"alignment", ALIGNMENT, 48, FIELDS, 0},
    {"alignment", ALIGNMENT, 0, FIELDS, 0},
    {"cannot be read", ARRAY_OF, GGUF_ARRAY, FIELDS, 0},
    {"cannot be read", ARRAY_OF, 13, FIELDS, 0},
    {"cut off", ARRAY_N, 1000, FIELDS, 0},
    {"cut off", ARRAY_N, (1ull << 63) + 3, FIELDS, 0},
    {"cut off", ARRAY_OF, GGUF_STRING, FIELDS, 0},
    {"dimensions", N_DIMS, 0, FIELDS, 0},
    {"dimensions", N_DIMS, 5, FIELDS, 0},
    {"impossible", ROWS, UINT64_MAX, FIELDS, 0},
    {"impossible", COLS, 1ull << 32, ROWS, 1ull << 32},
    {"outside", COLS, 1ull << 40, ROWS, 1ull << 22},
    {"impossible", COLS, 1ull << 61, TYPE, 0},
    {"whole number", COLS, 33, FIELDS, 0},
    {"number format 39", TYPE, 39, FIELDS, 0},
    {"does not follow", OFFSET, 128, FIELDS, 0},
    {"does not follow", OFFSET, 0, FIELDS, 0},
    {"outside", ROWS, 3, FIELDS, 0},
    {"outside", CUT, 1, FIELDS, 0},
    {"cut off", CUT, 64 + 68 + 64, FIELDS, 0},
};

/* In memory that ends where the file ends, so that a sanitizer sees a read beyond. */
static enum err parse_exact(struct gguf *file, uint8_t **data, size_t *size, const struct parts_of_file *parts)
{
    struct strbuf b = STRBUF_INIT;
    make_file(&b, parts);
    *data = mem_alloc(b.length);
    *size = b.length;
    memcpy(*data, b.data, b.length);
    strbuf_release(&b);
    return gguf_parse(file, *data, *size, "x.gguf");
}

static void assert_refused(const struct parts_of_file *parts, const char *error, int i)
{
    struct gguf file = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    enum err result = parse_exact(&file, &data, &size, parts);
    if (result != ERR_FORMAT || !strstr(err_text(), error)) {
        fail_msg("case %d: code %d, '%s'; wanted '%s'", i, result, err_text(), error);
    }
    assert_null(file.keys);
    free(data);
}

static void whole_files_are_read(void **state)
{
    (void)state;
    struct gguf file = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    FIXTURE_ASSERT(parse_exact(&file, &data, &size, &good));
    assert_int_equal(file.n_keys, 2);
    assert_int_equal(file.n_tensors, 2);
    assert_true(str_equal(file.tensors[1].name, STR("b")) && file.tensors[1].bytes == 68);
    assert_true(file.tensors[1].data == data + size - 68);
    assert_true(gguf_find_tensor(&file, "a") == &file.tensors[0] && !gguf_find_tensor(&file, "c"));
    gguf_close(&file);
    free(data);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *error;
        struct parts_of_file parts;
    } texts[] = {{"not a GGUF", {"GGML", "list", "b", {3}}},
                 {"twice", {"GGUF", "general.alignment", "b", {3}}},
                 {"no name", {"GGUF", "", "b", {3}}},
                 {"twice", {"GGUF", "list", "a", {3}}},
                 {"name has", {"GGUF", "list", long_name, {3}}}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct parts_of_file parts = good;
        parts.of[damages[i].field] = damages[i].value;
        if (damages[i].second != FIELDS) {
            parts.of[damages[i].second] = damages[i].second_value;
        }
        assert_refused(&parts, damages[i].error, (int)i);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct parts_of_file parts = texts[i].parts;
        memcpy(parts.of, good.of, sizeof parts.of);
        assert_refused(&parts, texts[i].error, 100 + (int)i);
    }
}

static void keys_are_answered_by_kind(void **state)
{
    (void)state;
    struct strbuf b = STRBUF_INIT;
    struct gguf file;
    strbuf_puts(&b, "GGUF");
    put(&b, 4, 3);
    put(&b, 8, 0);
    put(&b, 8, 6);
    put_text(&b, "minus");
    put(&b, 4, GGUF_I8);
    put(&b, 1, 0xFE);
    put_text(&b, "huge");
    put(&b, 4, GGUF_U64);
    put(&b, 8, UINT64_MAX);
    put_text(&b, "half");
    put(&b, 4, GGUF_F32);
    put(&b, 4, 0x3F000000);
    put_text(&b, "text");
    put(&b, 4, GGUF_STRING);
    put_text(&b, "abc");
    put_text(&b, "texts");
    put(&b, 4, GGUF_ARRAY);
    put(&b, 4, GGUF_STRING);
    put(&b, 8, 2);
    put_text(&b, "");
    put_text(&b, "xy");
    put_text(&b, "ints");
    put(&b, 4, GGUF_ARRAY);
    put(&b, 4, GGUF_I32);
    put(&b, 8, 1);
    put(&b, 4, 0xFFFFFFFF);
    FIXTURE_ASSERT(gguf_parse(&file, (const uint8_t *)b.data, b.length, "x.gguf"));
    int64_t integer = 7;
    double number = 7;
    struct str text = STR("seven"), *texts = NULL;
    int32_t *ints = NULL;
    int n = 0;
    FIXTURE_ASSERT(gguf_want_int(&file, "absent", &integer));
    assert_int_equal(integer, 7);
    assert_int_equal(gguf_want_int(&file, "huge", &integer), ERR_FORMAT);
    assert_int_equal(gguf_want_int(&file, "half", &integer), ERR_FORMAT);
    assert_int_equal(gguf_want_text(&file, "half", &text), ERR_FORMAT);
    assert_int_equal(gguf_want_double(&file, "text", &number), ERR_FORMAT);
    assert_int_equal(gguf_want_texts(&file, "ints", &texts, &n), ERR_FORMAT);
    assert_int_equal(gguf_want_ints(&file, "text", &ints, &n), ERR_FORMAT);
    assert_int_equal(integer, 7);
    FIXTURE_ASSERT(gguf_want_int(&file, "minus", &integer));
    assert_int_equal(integer, -2);
    FIXTURE_ASSERT(gguf_want_double(&file, "half", &number));
    assert_true(number > 0.49 && number < 0.51);
    FIXTURE_ASSERT(gguf_want_text(&file, "text", &text));
    assert_true(str_equal(text, STR("abc")));
    FIXTURE_ASSERT(gguf_want_texts(&file, "texts", &texts, &n));
    assert_true(n == 2 && texts[0].length == 0 && str_equal(texts[1], STR("xy")));
    FIXTURE_ASSERT(gguf_want_ints(&file, "ints", &ints, &n));
    assert_true(n == 1 && ints[0] == -1);
    free(texts);
    free(ints);
    gguf_close(&file);
    strbuf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(models_equal_their_checkpoints, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(quantised_rows_are_put_back, fixture_open, fixture_close),
        cmocka_unit_test(tokenizers_give_the_golden_ids),
        cmocka_unit_test(whole_files_are_read),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(keys_are_answered_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
