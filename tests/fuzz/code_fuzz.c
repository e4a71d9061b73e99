/* tests/fuzz/code_fuzz.c - what a program or a completion may hand to the judge: values, output, code blocks, includes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "reward/code/compare.h"
#include "reward/code/extract.h"
#include "reward/code/headers.h"
#include "reward/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena arena = ARENA_INIT;
    struct str text = {(const char *)data, size}, first = str_slice(text, 0, size / 2),
               second = str_slice(text, size / 2, size);
    const struct plain *whole = plain_parse(text, &arena), *a = plain_parse(first, &arena),
                       *b = plain_parse(second, &arena);
    if (whole) {
        plain_equal(whole, whole, 0, 0);
    }
    if (a && b) {
        BUG_ON(plain_equal(a, b, 0, 0) != plain_equal(b, a, 0, 0));
    }
    for (int type = COMPARE_LINES; type <= COMPARE_EXACT; type++) {
        struct compare compare = {(enum compare_type)type, 0, 0};
        BUG_ON(compare_texts(&compare, first, second) != compare_texts(&compare, second, first));
        BUG_ON(type != COMPARE_FLOAT && !compare_texts(&compare, text, text)); /* nan is not nan */
    }
    for (int language = CODE_PYTHON; language <= CODE_UNKNOWN; language++) {
        struct code_wanted wanted = {(enum code_language)language, size % 2 == 1, str_slice(text, 0, size % 8)};
        struct code_block block;
        if (code_extract(text, &wanted, &arena, &block)) {
            BUG_ON(block.code.length > 4 * size); /* what is left of a tab becomes blanks */
        }
    }
    struct header_names names;
    struct strbuf header = STRBUF_INIT;
    if (headers_scan(text, &names)) {
        headers_text(&names, &header);
        BUG_ON(header.length == 0);
    }
    strbuf_release(&header);
    arena_reset(&arena);
    return 0;
}
