/* tests/reward/code/extract_test.c - which code block of a completion is the program.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reward/code/extract.h"

static void check(const char *completion, const char *code, enum code_language language)
{
    struct code_block block = {0};
    bool found = code_extract(str_of(completion), &block);
    if (!code) {
        assert_false(found);
        return;
    }
    assert_true(found);
    assert_int_equal(block.language, language);
    assert_int_equal(block.code.length, str_of(code).length);
    assert_memory_equal(block.code.data, code, block.code.length);
}

static void the_last_closed_block_counts(void **state)
{
    (void)state;
    check("no code", NULL, CODE_UNKNOWN);
    check("```python\nx\n```", "x\n", CODE_PYTHON);
    check("a\n```py\nx\n```\nb\n```cpp\ny\n```\nend", "y\n", CODE_CPP);
    check("```\nx\n```\n```c\nopen", "x\n", CODE_UNKNOWN);
    check("```c\nopen\nto the end", "open\nto the end", CODE_C);
    check("````python\n```\ninner\n```\n````\n", "```\ninner\n```\n", CODE_PYTHON);
    check("~~~python\n```\n~~~", "```\n", CODE_PYTHON);
    check("inline ```x``` only", NULL, CODE_UNKNOWN);
    check("```python\r\nx\r\n```\r\n", "x\r\n", CODE_PYTHON);
    check("```python {.x}\nx\n```", "x\n", CODE_PYTHON);
    check("```rust\nx\n```", "x\n", CODE_UNKNOWN);
    check("```\n```", "", CODE_UNKNOWN);
    check("", NULL, CODE_UNKNOWN);
}

static void thoughts_do_not_count(void **state)
{
    (void)state;
    check("<think>\n```python\nx\n```\n</think>\nI am done.", NULL, CODE_UNKNOWN);
    check("<think>\n```python\nx\n```\n</think>\n```python\ny\n```", "y\n", CODE_PYTHON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_last_closed_block_counts),
                                       cmocka_unit_test(thoughts_do_not_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
