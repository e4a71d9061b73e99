/* tests/model/finite_test.c - every NaN and infinity is counted, and a model that has one is refused by the tensor's name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/finite.h"

#include <unistd.h>

#include "model/gguf.h"
#include "tests/model/fixture.h"

static void put_bits(uint8_t *at, int width, uint32_t bits)
{
    for (int i = 0; i < width; i++) {
        at[i] = (uint8_t)(bits >> (8 * i));
    }
}

/* At each place and alignment, among the largest finite numbers and the smallest. */
static void each_number_is_looked_at(void **state)
{
    (void)state;
    static const struct {
        enum tensor_dtype dtype;
        int width;
        uint32_t good[4], bad[4];
    } kinds[] = {
        {DTYPE_F32, 4, {0x7F7FFFFF, 0xFF7FFFFF, 1, 0x80000000}, {0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001}},
        {DTYPE_F16, 2, {0x7BFF, 0xFBFF, 1, 0x8000}, {0x7C00, 0xFC00, 0x7E00, 0xFC01}},
        {DTYPE_BF16, 2, {0x7F7F, 0xFF7F, 1, 0x8000}, {0x7F80, 0xFF80, 0x7FC0, 0xFF81}},
    };
    enum { N = 70001 }; /* three chunks, the last of them not whole */
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int width = kinds[k].width;
        uint8_t *data = mem_alloc(N * 4 + 1), *numbers = data + 1;
        for (int i = 0; i < N; i++) {
            put_bits(numbers + i * width, width, kinds[k].good[i % 4]);
        }
        assert_int_equal(not_finite_count(numbers, kinds[k].dtype, N), 0);
        for (int i = 0; i < N; i += i < 40 || i > N - 40 ? 1 : 997) {
            put_bits(numbers + i * width, width, kinds[k].bad[i % 4]);
            assert_int_equal(not_finite_count(numbers, kinds[k].dtype, N), 1);
            put_bits(numbers + i * width, width, kinds[k].good[i % 4]);
        }
        for (int i = 0; i < N; i++) {
            put_bits(numbers + i * width, width, kinds[k].bad[i % 4]);
        }
        assert_int_equal(not_finite_count(numbers, kinds[k].dtype, N), N);
        assert_int_equal(not_finite_count(numbers, kinds[k].dtype, 0), 0);
        free(data);
    }
}

/* No weight is as large as 2^100. */
static void huge_numbers_are_no_weights(void **state)
{
    (void)state;
    const float numbers[] = {1e38f, -1.3e30f, 1e30f, 0, -3, 1e-38f};
    const uint16_t bf16[] = {0x7F7F, 0x7180, 0xF17F, 0x3F80}; /* the largest, 2^100, just below it, 1 */
    assert_int_equal(not_weight_count(numbers, DTYPE_F32, 6), 2);
    assert_int_equal(not_finite_count(numbers, DTYPE_F32, 6), 0);
    assert_int_equal(not_weight_count(bf16, DTYPE_BF16, 4), 2);
    assert_int_equal(not_weight_count(bf16, DTYPE_BF16, 0), 0);
}

/* ---- models ---- */

/* Opened as a model is, and as `strop check` looks at it; both must name the tensor. */
static void assert_refused(const char *path, const char *tensor, struct device *device)
{
    struct device *plan;
    struct model *model = NULL;
    FIXTURE_ASSERT(device_open_planning(&plan, "cpu", 0));
    for (int i = 0; i < 2; i++) {
        enum err result = model_open(&model, path, i ? plan : device, 0);
        if (result != ERR_FORMAT || !strstr(err_text(), tensor) || !strstr(err_text(), "1 of the ")) {
            fail_msg("%s: code %d, '%s'", tensor, result, err_text());
        }
        assert_null(model);
    }
    device_close(plan);
}

static void make_copy(char *folder, const char *name)
{
    char from[128], to[128];
    snprintf(from, sizeof from, "tests/golden/models/qwen2/%s", name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    FIXTURE_ASSERT(file_copy(from, to));
}

static void write_at(const char *path, const struct strbuf *bytes)
{
    FIXTURE_ASSERT(file_write_atomic(path, bytes->data, bytes->length));
}

/* The last number of every tensor in turn. */
static void folders_with_one_bad_number_are_refused(void **state)
{
    char folder[] = "/tmp/strop_finite_XXXXXX", path[64];
    struct safetensors file;
    struct strbuf bytes = STRBUF_INIT;
    assert_non_null(mkdtemp(folder));
    make_copy(folder, "config.json");
    make_copy(folder, "model.safetensors");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FIXTURE_ASSERT(file_read(&bytes, path, 1 << 24));
    FIXTURE_ASSERT(safetensors_parse(&file, (const uint8_t *)bytes.data, bytes.length, path));
    for (int i = 0; i < file.n; i++) {
        const struct tensor_view *t = &file.tensors[i];
        assert_int_equal(t->dtype, DTYPE_BF16);
        uint8_t *last = (uint8_t *)(uintptr_t)(t->data + t->bytes - 2), kept[2] = {last[0], last[1]};
        put_bits(last, 2, i % 2 ? 0x7FC0 : 0xFF80);
        write_at(path, &bytes);
        assert_refused(folder, t->name, *state);
        memcpy(last, kept, 2);
    }
    safetensors_close(&file);
    strbuf_release(&bytes);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

static void gguf_files_with_one_bad_number_are_refused(void **state)
{
    char path[] = "/tmp/strop_finite_XXXXXX";
    struct gguf file;
    struct strbuf bytes = STRBUF_INIT;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FIXTURE_ASSERT(file_read(&bytes, "tests/golden/gguf/llama3.gguf", 1 << 24));
    FIXTURE_ASSERT(gguf_parse(&file, (const uint8_t *)bytes.data, bytes.length, path));
    static const struct {
        const char *in_file, *name;
    } tensors[] = {{"blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"},
                   {"output_norm.weight", "model.norm.weight"}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const struct gguf_tensor *t = gguf_find_tensor(&file, tensors[i].in_file);
        uint8_t *data = (uint8_t *)(uintptr_t)t->data, kept[4];
        int width = t->n_dims == 1 ? 4 : 2; /* F32 and BF16 */
        memcpy(kept, data, 4);
        put_bits(data, width, width == 4 ? 0x7FC00000 : 0x7FC0);
        write_at(path, &bytes);
        assert_refused(path, tensors[i].name, *state);
        memcpy(data, kept, 4);
    }
    gguf_close(&file);
    strbuf_release(&bytes);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_is_looked_at),
        cmocka_unit_test(huge_numbers_are_no_weights),
        cmocka_unit_test_setup_teardown(folders_with_one_bad_number_are_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(gguf_files_with_one_bad_number_are_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
