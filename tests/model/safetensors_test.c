/* tests/model/safetensors_test.c - the rules of the format one by one; numbers of 16 bits; what is written is read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors.h"

#include <math.h>

#include "tests/model/fixture.h"

/* A file in memory that ends where the file ends, so that a sanitizer sees a read beyond. `padding` spaces end the header;
 * `length` -1: the true one. */
static enum err parse(struct safetensors *out, const char *header, size_t padding, int64_t length, size_t data_bytes,
                      uint8_t **memory)
{
    size_t true_length = strlen(header) + padding, size = 8 + true_length + data_bytes;
    uint64_t stated = length < 0 ? true_length : (uint64_t)length;
    uint8_t *file = mem_zero(size);
    for (int i = 0; i < 8; i++) {
        file[i] = (uint8_t)(stated >> (8 * i));
    }
    memcpy(file + 8, header, strlen(header));
    memset(file + 8 + strlen(header), ' ', padding);
    for (size_t i = 0; i < data_bytes; i++) {
        file[8 + true_length + i] = (uint8_t)i;
    }
    *memory = file;
    return safetensors_parse(out, file, size, "x.safetensors");
}

#define TENSOR(name, dtype, shape, from, to)                                                                           \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void whole_files_are_read(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}," TENSOR("b", "BF16", "[2,3]", 4, 16) "," TENSOR(
            "a", "F32", "[]", 0, 4) "," TENSOR("none", "F32", "[0,7]", 16, 16) "," TENSOR("c", "I64", "[1]", 16,
                                                                                          24) "}";
    struct safetensors file;
    uint8_t *memory;
    FIXTURE_ASSERT(parse(&file, header, 5, -1, 24, &memory));
    assert_int_equal(file.n, 4);
    const struct tensor_view *a = safetensors_find(&file, "a"), *b = safetensors_find(&file, "b");
    assert_int_equal(a->n_dims, 0);
    assert_int_equal(a->bytes, 4);
    assert_int_equal(b->n_dims, 2);
    assert_true(b->shape[0] == 2 && b->shape[1] == 3 && b->bytes == 12 && b->data == a->data + 4 && b->data[0] == 4);
    assert_int_equal(safetensors_find(&file, "none")->bytes, 0);
    assert_int_equal(safetensors_find(&file, "c")->dtype, DTYPE_OTHER);
    assert_null(safetensors_find(&file, "d"));
    safetensors_close(&file);
    free(memory);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *error, *header;
        int64_t length;
        size_t data_bytes;
    } cases[] = {
        {"not a safetensors", "{}", 3, 0},
        {"not a safetensors", "{}", 100000001, 0},
        {"not a safetensors", "{}", INT64_MAX, 0},
        {"not a safetensors", " []", -1, 0},
        {"not a safetensors", "   ", -1, 0},
        {"not a safetensors", "[]", -1, 0},
        {"not a safetensors", "{", -1, 0},
        {"not valid JSON", "{\"", -1, 4},
        {"not valid JSON", "{\"a\xff\":1}", -1, 0},
        {"not valid JSON", "{} x", -1, 0},
        {"bytes are left over", "{}", -1, 1},
        {"__metadata__", "{\"__metadata__\":{\"a\":1}}", -1, 0},
        {"__metadata__", "{\"__metadata__\":7}", -1, 0},
        {"not valid JSON", "{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("a", "F32", "[1]", 4, 8) "}", -1, 8},
        {"data_offsets", "{\"a\":7}", -1, 0},
        {"data_offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", -1, 4},
        {"data_offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", -1, 4},
        {"unknown dtype", "{" TENSOR("a", "Q4", "[1]", 0, 4) "}", -1, 4},
        {"'dtype' is missing", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 4},
        {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", -1, 4},
        {"impossible shape", "{" TENSOR("a", "F32", "[-1]", 0, 4) "}", -1, 4},
        {"impossible shape", "{" TENSOR("a", "F32", "[4294967296,4294967296]", 0, 0) "}", -1, 0},
        {"impossible shape", "{" TENSOR("a", "F32", "[4611686018427387904]", 0, 0) "}", -1, 0},
        {"its shape needs", "{" TENSOR("a", "F32", "[2]", 0, 4) "}", -1, 4},
        {"outside the file", "{" TENSOR("a", "F32", "[2]", 0, 8) "}", -1, 4},
        {"outside the file", "{" TENSOR("a", "F32", "[1]", 4, 0) "}", -1, 4},
        {"outside the file", "{" TENSOR("a", "F32", "[1]", -4, 0) "}", -1, 4},
        {"leaves a hole", "{" TENSOR("a", "F32", "[1]", 4, 8) "}", -1, 8},
        {"leaves a hole", "{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 8, 12) "}", -1, 12},
        {"overlaps", "{" TENSOR("a", "F32", "[2]", 0, 8) "," TENSOR("b", "F32", "[2]", 4, 12) "}", -1, 12},
        {"overlaps", "{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 0, 4) "}", -1, 4},
        {"bytes are left over", "{" TENSOR("a", "F32", "[1]", 0, 4) "}", -1, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct safetensors file = {0};
        uint8_t *memory;
        enum err result = parse(&file, cases[i].header, 0, cases[i].length, cases[i].data_bytes, &memory);
        if (result != ERR_FORMAT || !strstr(err_text(), cases[i].error)) {
            fail_msg("%s: code %d, '%s'; wanted '%s'", cases[i].header, result, err_text(), cases[i].error);
        }
        assert_null(file.tensors);
        free(memory);
    }
    struct safetensors file = {0};
    uint8_t few[7] = {0};
    assert_int_equal(safetensors_parse(&file, few, 0, "x"), ERR_FORMAT);
    assert_int_equal(safetensors_parse(&file, few, 7, "x"), ERR_FORMAT);
}

/* Though the format's text does not have them all. */
static void what_its_library_opens_is_opened(void **state)
{
    (void)state;
    static const struct {
        const char *header, *dtype;
        size_t data_bytes;
    } cases[] = {{" {" TENSOR("a", "F32", "[1]", 0, 4) "}", "F32", 4},
                 {"\n\t\r {" TENSOR("a", "F32", "[1]", 0, 4) "}  ", "F32", 4},
                 {"{\"__metadata__\":null," TENSOR("a", "BF16", "[2]", 0, 4) "}", "BF16", 4},
                 {"{" TENSOR("a", "F4", "[8]", 0, 4) "}", "F4", 4},
                 {"{" TENSOR("a", "F6_E2M3", "[2,4]", 0, 6) "}", "F6_E2M3", 6},
                 {"{" TENSOR("a", "F6_E3M2", "[4]", 0, 3) "}", "F6_E3M2", 3},
                 {"{" TENSOR("a", "F8_E4M3FNUZ", "[3]", 0, 3) "}", "F8_E4M3FNUZ", 3},
                 {"{" TENSOR("a", "F8_E5M2FNUZ", "[3]", 0, 3) "}", "F8_E5M2FNUZ", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct safetensors file = {0};
        uint8_t *memory;
        enum err result = parse(&file, cases[i].header, 0, -1, cases[i].data_bytes, &memory);
        if (result != ERR_NONE) {
            fail_msg("%s: %s", cases[i].header, err_text());
        }
        assert_int_equal(file.n, 1);
        assert_string_equal(file.tensors[0].dtype_name, cases[i].dtype);
        safetensors_close(&file);
        free(memory);
    }
}

/* The value of a half by its definition: sign, 5 bits of exponent, 10 of mantissa. */
static double half_value(int bits)
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static void all_halves_have_their_value(void **state)
{
    (void)state;
    for (int bits = 0; bits < 65536; bits++) {
        float x = half_to_float((uint16_t)bits);
        if ((bits >> 10 & 31) == 31) {
            assert_true((bits & 1023) ? isnan(x) : isinf(x) && !signbit(x) == !(bits & 0x8000));
        } else if (fabs((double)x - half_value(bits)) > 0 || !signbit(x) != !(bits & 0x8000)) {
            fail_msg("half %04x is %a, not %a", (unsigned)bits, (double)x, half_value(bits));
        }
    }
}

static void brain_floats_round_to_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {{0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81}, {0x3F818000, 0x3F82},
                 {0x3F817FFF, 0x3F81}, {0x7F7FFFFF, 0x7F80}, {0xFF7FFFFF, 0xFF80}, {0x7F800000, 0x7F80},
                 {0x7F800001, 0x7FC0}, {0xFFC00000, 0xFFC0}, {0x00000001, 0x0000}, {0x80000000, 0x8000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x;
        memcpy(&x, &cases[i].from, sizeof x);
        assert_int_equal(float_to_bfloat16(x), cases[i].to);
    }
    for (int bits = 0; bits < 65536; bits++) { /* and back, but for signalling NaN */
        if (!isnan(bfloat16_to_float((uint16_t)bits))) {
            assert_int_equal(float_to_bfloat16(bfloat16_to_float((uint16_t)bits)), bits);
        }
    }
}

/* ---- writing ---- */

static float written_value(int tensor, uint64_t at)
{
    return ldexpf((float)at + 1.25f, tensor) * (at % 3 ? 1 : -1);
}

static void read_values(void *context, int tensor, uint64_t at, uint64_t n, float *out)
{
    uint64_t *next = context; /* [tensors]: must be asked for in order */
    assert_int_equal(next[tensor], at);
    next[tensor] += n;
    for (uint64_t i = 0; i < n; i++) {
        out[i] = written_value(tensor, at + i);
    }
}

static void written_files_are_read(void **state)
{
    (void)state;
    static const struct tensor_source sources[] = {
        {"z.weight", 2, {70001, 3}, false}, {"a", 1, {5, 0}, false}, {"m.0", 2, {1, 1}, false}, {"y", 1, {3, 0}, true}};
    char folder[] = "/tmp/strop_tensors_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    for (int whole = 0; whole < 2; whole++) {
        uint64_t next[4] = {0};
        struct safetensors file;
        FIXTURE_ASSERT(safetensors_write(path, sources, 4, whole ? DTYPE_F32 : DTYPE_BF16, read_values, next));
        FIXTURE_ASSERT(safetensors_open(&file, path));
        assert_true(strcmp(file.tensors[0].name, "y") == 0 && strcmp(file.tensors[1].name, "a") == 0);
        assert_true(strcmp(file.tensors[3].name, "z.weight") == 0);
        assert_int_equal(((uintptr_t)file.tensors[0].data - (uintptr_t)file.map.data) % 8, 0);
        assert_true(str_find((struct str){(const char *)file.map.data, file.map.size},
                             STR("\"__metadata__\":{\"format\":\"pt\"}"), 0) > 0);
        for (int t = 0; t < 4; t++) {
            const struct tensor_view *v = safetensors_find(&file, sources[t].name);
            bool wide = whole || sources[t].wide;
            uint64_t n = v->bytes / (wide ? 4 : 2);
            assert_int_equal(n, t == 0 ? 210003 : t == 1 ? 5 : t == 2 ? 1 : 3);
            float *got = mem_alloc(n * sizeof *got);
            tensor_to_float(v, 0, n, got);
            for (uint64_t i = 0; i < n; i++) {
                float want = written_value(t, i);
                want = wide ? want : bfloat16_to_float(float_to_bfloat16(want));
                assert_memory_equal(&got[i], &want, sizeof want);
            }
            free(got);
        }
        safetensors_close(&file);
    }
    assert_int_equal(safetensors_write("/tmp/no/such/folder/x", sources, 3, DTYPE_F32, read_values, NULL), ERR_IO);
    assert_int_equal(safetensors_write("/dev/full", sources, 3, DTYPE_F32, read_values, (uint64_t[3]){0}), ERR_IO);
    FIXTURE_ASSERT(file_remove_folder(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_its_library_opens_is_opened), cmocka_unit_test(whole_files_are_read),
        cmocka_unit_test(damaged_files_are_refused),        cmocka_unit_test(all_halves_have_their_value),
        cmocka_unit_test(brain_floats_round_to_even),       cmocka_unit_test(written_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
