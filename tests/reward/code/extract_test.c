/* tests/reward/code/extract_test.c - which code block of a completion is the program.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "reward/code/extract.h"

static void check_wanted(struct code_wanted wanted, const char *completion, const char *code,
                         enum code_language language)
{
    struct arena arena = ARENA_INIT;
    struct code_block block = {0};
    bool found = code_extract(str_of(completion), &wanted, &arena, &block);
    if (found != (code != NULL) || (code && !str_equal(block.code, str_of(code)))) {
        fail_msg("%s\n-> %.*s", completion, found ? (int)block.code.length : 7, found ? block.code.data : "nothing");
    }
    assert_true(!code || block.language == language);
    arena_release(&arena);
}

/* Of a program that reads and writes, in any language. */
static void check(const char *completion, const char *code, enum code_language language)
{
    check_wanted((struct code_wanted){.language = CODE_UNKNOWN}, completion, code, language);
}

static void check_python(const char *completion, const char *code)
{
    check_wanted((struct code_wanted){.language = CODE_PYTHON}, completion, code, code ? CODE_PYTHON : CODE_UNKNOWN);
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
    check("```\n```", "", CODE_UNKNOWN);
    check("", NULL, CODE_UNKNOWN);
}

static void thoughts_do_not_count(void **state)
{
    (void)state;
    check("<think>\n```python\nx\n```\n</think>\nI am done.", NULL, CODE_UNKNOWN);
    check("<think>\n```python\nx\n```\n</think>\n```python\ny\n```", "y\n", CODE_PYTHON);
}

static void a_block_in_another_language_is_no_program(void **state)
{
    (void)state;
    static const char *const others[] = {"bash", "sh",   "text",   "output", "json", "console", "plaintext", "markdown",
                                         "java", "rust", "stdout", "diff",   "yaml", "pycon",   "Output:"};
    char text[200];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(text, sizeof text, "```python\nx\n```\nThen:\n```%s\n5\n```", others[i]);
        check_python(text, "x\n");
        check(text, "x\n", CODE_PYTHON);
        snprintf(text, sizeof text, "```%s\n5\n```", others[i]);
        check(text, NULL, CODE_UNKNOWN);
    }
    static const char *const labels[] = {"py",           "python3",  "Python",      "PYTHON", "python3.11", "pypy3",
                                         "{.python #a}", "{python}", "python:a.py", "a.py",   "python,ok"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        snprintf(text, sizeof text, "```%s\nx\n```\n```\n5\n```\n```sh\nls\n```", labels[i]);
        check_python(text, "x\n");
    }
    check_wanted((struct code_wanted){.language = CODE_PYTHON}, "```\n2 3\n```\n```\nx\n```", "x\n", CODE_UNKNOWN);
    check_wanted((struct code_wanted){.language = CODE_PYTHON}, "```code\nx\n```\n```txt\n5\n```", "x\n", CODE_UNKNOWN);
    check_wanted((struct code_wanted){.language = CODE_CPP}, "```c++17\nx\n```\n```python\ny\n```", "x\n", CODE_CPP);
    check_python("```c\nx\n```", NULL);
    check_python("```python\nx\n```\n```python\n>>> f(1)\n1\n```", "x\n");
    check_python("```python\nx\n```\n```python\ny\n```", "y\n");
}

static void where_functions_are_called_one_must_be_defined(void **state)
{
    (void)state;
    const struct code_wanted f = {.language = CODE_PYTHON, .function = true, .entry = STR("f")};
    const struct code_wanted any = {.language = CODE_PYTHON, .function = true};
    check_wanted(f, "```python\ndef f(a):\n    return a\n```\nUsage:\n```python\nprint(f(3))\n```",
                 "def f(a):\n    return a\n", CODE_PYTHON);
    check_wanted(f, "```python\nclass Solution:\n    def f(self): pass\n```\n```python\nx = Solution().f()\n```",
                 "class Solution:\n    def f(self): pass\n", CODE_PYTHON);
    check_wanted(f, "```python\ndef f(): pass\n```\n```python\ndef f(): return 1\n```", "def f(): return 1\n",
                 CODE_PYTHON);
    check_wanted(f, "```\nf = abs\n```\n```python\nf == f2; df(1)\n```", "f = abs\n", CODE_UNKNOWN);
    check_wanted(f, "```python\ndef ff(): pass\n```\n```python\nx\n```", "x\n", CODE_PYTHON);
    check_wanted(any, "```python\nasync def g(): pass\n```\n```python\nprint(g())\n```", "async def g(): pass\n",
                 CODE_PYTHON);
}

static void fences_are_read_where_they_are(void **state)
{
    (void)state;
    check_python("- so:\n\n  ```python\n  if a:\n      b\n  ```", "if a:\n    b\n");
    check_python("1. so:\n\n   ```python\n   if a:\n       b\n   ```\n2. done", "if a:\n    b\n");
    check_python("- - so:\n\n      ```python\n      if a:\n          b\n      ```\n", "if a:\n    b\n");
    check_python("- ```python\n  if a:\n      b\n  ```", "if a:\n    b\n");
    check_python("    ```python\nif a:\n    b\n    ```", "if a:\n    b\n");
    check_python(" ```python\n a\nb\n ```", "a\nb\n");
    check_python("  ~~~~ python\n\tx\n  ~~~~~", "  x\n");
    check_python("> ```python\n> if a:\n>     b\n> ```\n> so.", "if a:\n    b\n");
    check_python(">> ```python\n> > a\n>>b\n>> ```", "a\nb\n");
    check_python("> ```python\n> a\nno more", "a\n");
    check_python("<answer>\n```python\na\n```</answer>", "a\n");
    check_python("<answer>```python\na\n``` </answer>", "a\n");
    check_python("```python\na\n```<|im_end|>", "a\n");
    check_python("```python\na\n```</s>\n", "a\n");
    check_python("```python\ns = (\n    ```\n)\n```", "s = (\n    ```\n)\n");
    check_python("```python\na\n``` x\n```", "a\n``` x\n");
    check_python("```python\na\n~~~\n```", "a\n~~~\n");
    check_python("> ```python\r\n> a\r\n> ```\r\n", "a\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_closed_block_counts),
        cmocka_unit_test(thoughts_do_not_count),
        cmocka_unit_test(a_block_in_another_language_is_no_program),
        cmocka_unit_test(where_functions_are_called_one_must_be_defined),
        cmocka_unit_test(fences_are_read_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
