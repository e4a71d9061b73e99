/* tests/model/shards_test.c - experts in stacks or one by one, weights of 8 bits, layers that are not read, very many tensors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/shards.h"

#include "base/log.h"
#include "tests/model/fixture.h"

/* ---- folders made here ---- */

#define EXPERTS "model.layers.0.mlp.experts."
enum { E = 3, F = 16, WIDTH = 48 }; /* of the experts made here */

struct maker {
    char path[32];
    struct strbuf header, data;
};

static void maker_open(struct maker *m)
{
    *m = (struct maker){.path = "/tmp/strop_shards_XXXXXX"};
    assert_non_null(mkdtemp(m->path));
}

static void maker_close(struct maker *m)
{
    FIXTURE_ASSERT(file_remove_folder(m->path));
    strbuf_release(&m->header);
    strbuf_release(&m->data);
}

/* A tensor whose shape is a text, "3, 32, 24". */
static void put(struct maker *m, const char *name, const char *dtype, const char *shape, const void *data, size_t size)
{
    size_t at = m->data.length;
    strbuf_add(&m->data, data, size);
    strbuf_printf(&m->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                  m->header.length ? "," : "{", name, dtype, shape, at, m->data.length);
}

static void write_file(struct maker *m, const char *name)
{
    char path[64];
    struct strbuf all = STRBUF_INIT;
    strbuf_putc(&m->header, '}');
    for (int i = 0; i < 8; i++) {
        strbuf_putc(&all, (char)(m->header.length >> (8 * i) & 255));
    }
    strbuf_add(&all, m->header.data, m->header.length);
    strbuf_add(&all, m->data.data, m->data.length);
    snprintf(path, sizeof path, "%s/%s", m->path, name);
    FIXTURE_ASSERT(file_write_atomic(path, all.data, all.length));
    strbuf_release(&all);
    m->header.length = m->data.length = 0;
}

/* The numbers of row `row` of matrix 0 (gate), 1 (up) or 2 (down) of an expert. */
static void row_of(int matrix, int expert, int row, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = (float)(1 + ((matrix * 7 + expert) * 131 + row) * 67 + i) / 4096;
    }
}

static void put_expert(struct maker *m, int matrix, int expert)
{
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
    float values[F * WIDTH];
    int rows = matrix == 2 ? WIDTH : F, cols = matrix == 2 ? F : WIDTH;
    char name[96], shape[32];
    for (int row = 0; row < rows; row++) {
        row_of(matrix, expert, row, cols, values + (size_t)row * (size_t)cols);
    }
    snprintf(name, sizeof name, EXPERTS "%d.%s.weight", expert, names[matrix]);
    snprintf(shape, sizeof shape, "%d,%d", rows, cols);
    put(m, name, "F32", shape, values, sizeof values);
}

/* The rows of the named matrices of all experts, expert by expert. */
static void put_stack(struct maker *m, const char *name, int first, int n, const char *shape)
{
    float values[E * 2 * F * WIDTH], *at = values;
    for (int expert = 0; expert < E; expert++) {
        for (int matrix = first; matrix < first + n; matrix++) {
            int rows = matrix == 2 ? WIDTH : F, cols = matrix == 2 ? F : WIDTH;
            for (int row = 0; row < rows; row++, at += cols) {
                row_of(matrix, expert, row, cols, at);
            }
        }
    }
    put(m, name, "F32", shape, values, (size_t)(at - values) * sizeof *at);
}

/* ---- parameters as a model with these experts has them ---- */

static struct model_config config_of(int n_experts)
{
    struct model_config config = {.n_layers = 1};
    config.moe.router.E = n_experts;
    return config;
}

/* [gate of 0|up of 0|gate of 1 ...] [E 2F, d] and [down of 0|down of 1 ...] [E d, F]. */
static void add_experts(struct params *params, const struct device *device, int n, int width, int d)
{
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
    static const enum tensor_role roles[] = {TENSOR_EXPERT_GATE, TENSOR_EXPERT_UP, TENSOR_EXPERT_DOWN};
    for (int down = 0; down < 2; down++) {
        char text[16][96];
        struct param_part parts[16];
        int n_parts = 0;
        for (int expert = 0; expert < n; expert++) {
            for (int matrix = 2 * down; matrix < 2 + down; matrix++) {
                snprintf(text[n_parts], sizeof text[0], EXPERTS "%d.%s.weight", expert, names[matrix]);
                parts[n_parts] = (struct param_part){.name = text[n_parts],
                                                     .rows = down ? d : width,
                                                     .role = (int)roles[matrix],
                                                     .layer = 0,
                                                     .expert = expert};
                n_parts++;
            }
        }
        params_add(params, device, down ? width : d, PARAM_ELEMENT, PARAM_NORMAL, parts, n_parts);
    }
}

/* All rows of a part, as the checkpoint has them; caller frees. */
static float *read_part(const struct shards *shards, const struct model_config *config, const struct params *params,
                        const struct param_part *part)
{
    struct shard_rows rows;
    FIXTURE_ASSERT(shards_find_rows(&rows, shards, config, params, part));
    float *values = mem_alloc((size_t)part->rows * (size_t)rows.cols * sizeof *values);
    int half = part->rows / 2;
    shard_rows_read(&rows, 0, half, values);
    shard_rows_read(&rows, half, part->rows - half, values + (size_t)half * (size_t)rows.cols);
    assert_int_equal(shard_rows_bad(&rows, 0, part->rows, values), 0);
    shard_rows_forget(&rows, part->rows);
    return values;
}

/* Both layouts, and one of each in a folder. */
static void stacks_and_single_experts_are_the_same(void **state)
{
    for (int stacked = 0; stacked < 4; stacked++) {
        struct maker m;
        struct shards shards;
        struct params params = {0};
        struct model_config config = config_of(E);
        maker_open(&m);
        for (int matrix = 0; matrix < 3; matrix++) {
            for (int expert = 0; expert < E && !(stacked & (matrix < 2 ? 1 : 2)); expert++) {
                put_expert(&m, matrix, expert);
            }
        }
        if (stacked & 1) {
            put_stack(&m, EXPERTS "gate_up_proj", 0, 2, "3,32,48");
        }
        if (stacked & 2) {
            put_stack(&m, EXPERTS "down_proj", 2, 1, "3,48,16");
        }
        write_file(&m, "model.safetensors");
        FIXTURE_ASSERT(shards_open(&shards, m.path));
        add_experts(&params, *state, E, F, WIDTH);
        FIXTURE_ASSERT(shards_check_unused(&shards, &config, &params));
        assert_int_equal(params.n_parts, 3 * E);
        for (int i = 0; i < params.n_parts; i++) {
            const struct param_part *part = &params.parts[i];
            float want[F * WIDTH], *values = read_part(&shards, &config, &params, part);
            int cols = part->role == TENSOR_EXPERT_DOWN ? F : WIDTH;
            for (int row = 0; row < part->rows; row++) {
                row_of(part->role - TENSOR_EXPERT_GATE, part->expert, row, cols, want + (size_t)row * (size_t)cols);
            }
            assert_memory_equal(values, want, sizeof want);
            free(values);
        }
        params_release(&params, *state);
        shards_close(&shards);
        maker_close(&m);
    }
}

#define FP8 "tests/golden/fp8"

static void blocks_of_8_bits_are_scaled(void **state)
{
    struct shards shards;
    struct safetensors want;
    struct params params = {0};
    struct model_config config = config_of(2);
    struct param_part o = {.name = "model.layers.0.self_attn.o_proj.weight", .rows = 136, .role = TENSOR_O};
    FIXTURE_ASSERT(shards_open(&shards, FP8));
    FIXTURE_ASSERT(safetensors_open(&want, FP8 "/values.safetensors"));
    add_experts(&params, *state, 2, 80, 32);
    params_add(&params, *state, 144, PARAM_ELEMENT, PARAM_NORMAL, &o, 1);
    assert_int_equal(params.n_parts, 7);
    for (int i = 0; i < params.n_parts; i++) {
        const struct param_part *part = &params.parts[i];
        const char *names[] = {EXPERTS "gate_up_proj", EXPERTS "gate_up_proj", EXPERTS "down_proj"};
        int matrix = part->role - TENSOR_EXPERT_GATE;
        const struct tensor_view *t = safetensors_find(&want, i == 6 ? o.name : names[matrix]);
        size_t first = i == 6 ? 0 : (size_t)part->expert * (matrix == 2 ? 32 * 80 : 160 * 32);
        float *values = read_part(&shards, &config, &params, part);
        first += matrix == 1 ? 80 * 32 : 0;
        assert_memory_equal(values, t->data + first * 4, (i == 6 ? 136 * 144 : 80 * 32) * sizeof *values);
        free(values);
    }
    const struct tensor_view *codes = shards_find(&shards, "codes"), *floats = safetensors_find(&want, "codes");
    for (uint64_t i = 0; i < 256; i++) {
        float is, wanted;
        tensor_to_float(codes, i, 1, &is);
        tensor_to_float(floats, i, 1, &wanted);
        assert_true(isnan(wanted) ? isnan(is) : memcmp(&is, &wanted, sizeof is) == 0);
        assert_int_equal(isnan(is), (i & 127) == 127);
    }
    params_release(&params, *state);
    safetensors_close(&want);
    shards_close(&shards);
}

/* ---- what does not fit ---- */

static void assert_refused(struct maker *m, struct device *device, const char *error, const char *file)
{
    struct shards shards;
    struct params params = {0};
    struct model_config config = config_of(E);
    write_file(m, "model.safetensors");
    FIXTURE_ASSERT(shards_open(&shards, m->path));
    add_experts(&params, device, E, F, WIDTH);
    enum err result = shards_check_unused(&shards, &config, &params);
    if (result != ERR_FORMAT || !strstr(err_text(), error) || !strstr(err_text(), file) ||
        !strstr(err_text(), m->path)) {
        fail_msg("code %d, '%s'; wanted '%s'", result, err_text(), error);
    }
    params_release(&params, device);
    shards_close(&shards);
}

static void put_all(struct maker *m)
{
    put_stack(m, EXPERTS "gate_up_proj", 0, 2, "3,32,48");
    put_stack(m, EXPERTS "down_proj", 2, 1, "3,48,16");
}

static void experts_must_be_those_of_the_config(void **state)
{
    static const char file[] = "/model.safetensors";
    struct maker m;
    maker_open(&m);
    for (int i = 0; i < 3 * E - 1; i++) {
        put_expert(&m, i % 3, i / 3);
    }
    assert_refused(&m, *state, "'" EXPERTS "2.down_proj.weight' is missing", file);
    put_stack(&m, EXPERTS "gate_up_proj", 0, 2, "3,32,48");
    assert_refused(&m, *state, "'" EXPERTS "0.down_proj.weight' is missing", file);
    put_all(&m);
    put_expert(&m, 0, 3);
    assert_refused(&m, *state, "'" EXPERTS "3.gate_proj.weight' has no place", "");
    put_all(&m);
    put_expert(&m, 0, 0);
    put_expert(&m, 1, 0);
    put_expert(&m, 2, 0);
    put_expert(&m, 0, 1);
    put_expert(&m, 1, 1);
    put_expert(&m, 2, 1);
    put_expert(&m, 0, 2);
    put_expert(&m, 1, 2);
    put_expert(&m, 2, 2);
    assert_refused(&m, *state, "'" EXPERTS "gate_up_proj' has no place", "");
    put_stack(&m, EXPERTS "gate_up_proj", 0, 2, "3,48,32");
    put_stack(&m, EXPERTS "down_proj", 2, 1, "3,48,16");
    assert_refused(&m, *state, "gate_up_proj' has the shape (3, 48, 32), but config.json asks for (3, 32, 48)", file);
    put_stack(&m, EXPERTS "gate_up_proj", 0, 2, "4608");
    assert_refused(&m, *state, "gate_up_proj' has the shape (4608)", file);
    put_stack(&m, EXPERTS "gate_up_proj", 0, 2, "1,32,48,3");
    assert_refused(&m, *state, "gate_up_proj' has the shape (1, 32, 48, 3)", file);
    maker_close(&m);
}

static void scales_must_be_those_of_the_tensor(void **state)
{
    static const char name[] = EXPERTS "gate_up_proj";
    static const struct {
        const char *dtype, *scales, *scales_dtype, *shape, *error;
        size_t bytes;
    } cases[] = {
        {"F8_E4M3", NULL, NULL, NULL, "its scales '" EXPERTS "gate_up_proj_scale_inv' are missing", 0},
        {"F8_E4M3", EXPERTS "gate_up_proj_scale_inv", "F32", "3,2,1",
         "gate_up_proj_scale_inv' has the shape (3, 2, 1), but its tensor, in blocks of 128 x 128, asks for (3, 1, 1)",
         24},
        {"F8_E4M3", EXPERTS "gate_up_proj_scale_inv", "F32", "3", "has the shape (3)", 12},
        {"F8_E4M3", EXPERTS "gate_up_proj_scale_inv", "F8_E8M0", "3,1,1", "is of dtype F8_E8M0", 3},
        {"F8_E5M2", NULL, NULL, NULL, "is of dtype F8_E5M2", 0},
        {"I8", NULL, NULL, NULL, "is of dtype I8", 0},
    };
    static const uint8_t zeros[E * 2 * F * WIDTH];
    struct maker m;
    maker_open(&m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(&m, name, cases[i].dtype, "3,32,48", zeros, sizeof zeros);
        put_stack(&m, EXPERTS "down_proj", 2, 1, "3,48,16");
        if (cases[i].scales) {
            put(&m, cases[i].scales, cases[i].scales_dtype, cases[i].shape, zeros, cases[i].bytes);
        }
        assert_refused(&m, *state, cases[i].error, "/model.safetensors");
    }
    put_all(&m);
    put(&m, EXPERTS "gate_up_proj_scale_inv", "F32", "3,1,1", zeros, 12);
    assert_refused(&m, *state, "gate_up_proj_scale_inv' has no place", "");
    maker_close(&m);
}

/* The layer after the last, with a projection that ordinary layers have not; not a layer too many. */
static void a_layer_that_predicts_more_is_skipped(void **state)
{
    static const struct {
        const char *name;
        int kv_rank, layer;
        bool skipped;
    } cases[] = {{"eh_proj.weight", 16, 1, true},
                 {"enorm.weight", 16, 61, true},
                 {"eh_proj.weight", 0, 1, false},
                 {"eh_proj.weight", 16, 0, false},
                 {"input_layernorm.weight", 16, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct maker m;
        struct shards shards;
        struct params params = {0};
        struct model_config config = config_of(E);
        char name[2][64], text[1000] = "";
        FILE *kept = stderr;
        config.mla.kv_rank = cases[i].kv_rank;
        maker_open(&m);
        put_all(&m);
        snprintf(name[0], sizeof name[0], "model.layers.%d.%s", cases[i].layer, cases[i].name);
        snprintf(name[1], sizeof name[1], "model.layers.%d.mlp.up_proj.weight", cases[i].layer);
        put(&m, name[0], "F32", "1", "abcd", 4);
        put(&m, name[1], "F32", "1", "abcd", 4);
        write_file(&m, "model.safetensors");
        FIXTURE_ASSERT(shards_open(&shards, m.path));
        add_experts(&params, *state, E, F, WIDTH);
        stderr = fmemopen(text, sizeof text, "w");
        enum err result = shards_check_unused(&shards, &config, &params);
        fclose(stderr);
        stderr = kept;
        assert_int_equal(result, cases[i].skipped ? ERR_NONE : ERR_FORMAT);
        const char *said = strstr(text, "is not read: it predicts one token more");
        assert_true(!!said == cases[i].skipped && !(said && strstr(said + 1, "is not read")));
        params_release(&params, *state);
        shards_close(&shards);
        maker_close(&m);
    }
}

static enum err check_index(struct maker *m, const char *names, struct device *device, struct shard_index *counts)
{
    char path[64];
    struct strbuf text = STRBUF_INIT;
    struct params params = {0};
    struct model_config config = config_of(E);
    config.mla.kv_rank = 16;
    strbuf_puts(&text, "{\"metadata\": {\"total_size\": 1500000000}, \"weight_map\": {");
    for (const char *at = names, *end; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, " ");
        strbuf_printf(&text, "%s\"model.layers.%.*s\": \"absent.safetensors\"", at == names ? "" : ", ",
                      (int)(end - at), at);
    }
    strbuf_puts(&text, "}}");
    snprintf(path, sizeof path, "%s/index.json", m->path);
    FIXTURE_ASSERT(file_write_atomic(path, text.data, text.length));
    add_experts(&params, device, E, F, WIDTH);
    enum err result = shards_check_index(counts, path, &config, &params);
    params_release(&params, device);
    strbuf_release(&text);
    return result;
}

/* None of the files is there. */
static void an_index_is_checked_alone(void **state)
{
#define DOWN "0.mlp.experts.down_proj 0.mlp.experts.down_proj_scale_inv "
#define UP   "0.mlp.experts.gate_up_proj "
    static const struct {
        const char *names, *error;
        int n;
    } cases[] = {
        {UP DOWN "1.eh_proj.weight 1.mlp.up_proj.weight", NULL, 5},
        {UP "0.mlp.experts.0.down_proj.weight 0.mlp.experts.0.down_proj.weight_scale_inv "
            "0.mlp.experts.1.down_proj.weight 0.mlp.experts.2.down_proj.weight",
         NULL, 5},
        {UP "0.mlp.experts.0.down_proj.weight 0.mlp.experts.2.down_proj.weight",
         "index.json: the tensor 'model.layers.0.mlp.experts.1.down_proj.weight' is missing", 0},
        {UP DOWN "0.mlp.gate.weight", "the tensor 'model.layers.0.mlp.gate.weight' has no place", 0},
        {UP DOWN "1.mlp.up_proj.weight", "the tensor 'model.layers.1.mlp.up_proj.weight' has no place", 0},
    };
    struct maker m;
    maker_open(&m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct shard_index counts;
        enum err result = check_index(&m, cases[i].names, *state, &counts);
        if (cases[i].error ? result != ERR_FORMAT || !strstr(err_text(), cases[i].error) : result != ERR_NONE) {
            fail_msg("case %zu: code %d, '%s'", i, result, err_text());
        }
        assert_true(cases[i].error || (counts.n_tensors == cases[i].n && fabs(counts.bytes - 1.5e9) < 1));
    }
    maker_close(&m);
}

/* As many tensors as the largest public model has. */
/* Which of the two is meant cannot be known. */
static void a_tensor_in_two_files_is_refused(void **state)
{
    (void)state;
    struct maker m;
    struct shards shards;
    char path[64];
    const char index[] = "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}";
    maker_open(&m);
    put(&m, "a", "F32", "1", &(float){1}, 4);
    write_file(&m, "1.safetensors");
    put(&m, "b", "F32", "1", &(float){2}, 4);
    put(&m, "a", "F32", "1", &(float){3}, 4);
    write_file(&m, "2.safetensors");
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", m.path);
    FIXTURE_ASSERT(file_write_atomic(path, index, strlen(index)));
    assert_int_equal(shards_open(&shards, m.path), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "2.safetensors: tensor 'a' is in another file"));
    shards_close(&shards);
    maker_close(&m);
}

static void very_many_tensors_are_found(void **state)
{
    (void)state;
    enum { FILES = 163, EACH = 277 };
    struct maker m;
    struct shards shards;
    struct strbuf index = STRBUF_INIT;
    maker_open(&m);
    strbuf_puts(&index, "{\"weight_map\":{");
    for (int i = 0; i < FILES; i++) {
        char file[64], name[96];
        snprintf(file, sizeof file, "model-%05d-of-00163.safetensors", i + 1);
        for (int k = 0; k < EACH; k++) {
            uint16_t number = (uint16_t)(i * EACH + k);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.gate_proj.weight", i, k);
            put(&m, name, "BF16", "1", &number, sizeof number);
            strbuf_printf(&index, "%s\"%s\":\"%s\"", i + k > 0 ? "," : "", name, file);
        }
        write_file(&m, file);
    }
    strbuf_puts(&index, "}}");
    char path[64];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", m.path);
    FIXTURE_ASSERT(file_write_atomic(path, index.data, index.length));
    FIXTURE_ASSERT(shards_open(&shards, m.path));
    assert_int_equal(shards.names.n, FILES * EACH);
    for (int i = 0; i < FILES * EACH; i++) {
        char name[96];
        uint16_t number;
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.gate_proj.weight", i / EACH, i % EACH);
        const struct tensor_view *t = shards_find(&shards, name);
        assert_non_null(t);
        memcpy(&number, t->data, sizeof number);
        assert_int_equal(number, i & 0xFFFF);
    }
    assert_null(shards_find(&shards, "model.layers.0.mlp.experts.277.gate_proj.weight"));
    shards_close(&shards);
    strbuf_release(&index);
    maker_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stacks_and_single_experts_are_the_same, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(blocks_of_8_bits_are_scaled, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(experts_must_be_those_of_the_config, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(scales_must_be_those_of_the_tensor, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_layer_that_predicts_more_is_skipped, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(an_index_is_checked_alone, fixture_open, fixture_close),
        cmocka_unit_test(a_tensor_in_two_files_is_refused),
        cmocka_unit_test(very_many_tensors_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
