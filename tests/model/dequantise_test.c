/* tests/model/dequantise_test.c - every number format against the gguf package (tests/golden/make_gguf.py), bit for bit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/dequantise.h"

#include "tests/model/fixture.h"

static void formats_give_the_golden_bits(void **state)
{
    (void)state;
    struct strbuf file = STRBUF_INIT;
    FIXTURE_ASSERT(file_read(&file, "tests/golden/gguf/blocks.bin", 1 << 20));
    int n_formats = 0;
    for (size_t at = 0; at < file.length; n_formats++) {
        char name[9] = "";
        int32_t head[3];
        fixture_take(name, &file, &at, 8);
        fixture_take(head, &file, &at, sizeof head);
        const struct quant_type *type = quant_type_find((uint32_t)head[0]);
        assert_non_null(type);
        assert_string_equal(type->name, name);
        assert_int_equal(head[2] % (int)type->block, 0);
        assert_int_equal(head[1], head[2] / (int)type->block * (int)type->bytes);
        float *want = mem_alloc((size_t)head[2] * 4), *got = mem_alloc((size_t)head[2] * 4);
        uint8_t *blocks = mem_alloc((size_t)head[1]); /* exactly as large, so that ASan sees a read past the end */
        fixture_take(blocks, &file, &at, (size_t)head[1]);
        fixture_take(want, &file, &at, (size_t)head[2] * 4);
        dequantise(type, blocks, (uint64_t)head[2], got);
        for (int i = 0; i < head[2]; i++) {
            if (memcmp(&got[i], &want[i], 4) != 0) {
                fail_msg("%s: value %d is %a, not %a", name, i, (double)got[i], (double)want[i]);
            }
        }
        free(want);
        free(got);
        free(blocks);
    }
    assert_int_equal(n_formats, 13);
    strbuf_release(&file);
}

static void other_formats_are_unknown(void **state)
{
    (void)state;
    static const uint32_t ids[] = {4, 5, 9, 15, 16, 24, 28, 29, 31, 39, 40, 41, 42, UINT32_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_null(quant_type_find(ids[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_give_the_golden_bits),
        cmocka_unit_test(other_formats_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
