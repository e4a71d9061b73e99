/* tests/reward/code_test.c - the code reward, from a completion to a score.
 *
 * Where the kernel refuses the sandbox, or Python or a compiler is missing, what needs it is skipped, with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "reward/code/run.h"
#include "reward/reward.h"
#include "reward/sandbox/host.h"

static bool usable;

static void need(bool there)
{
    if (!usable || !there) {
        skip();
    }
}

/* Sets are kept: starting a sandbox takes longer than most cases. */
static struct {
    const char *text;
    struct reward_set *set;
} opened[8];
static int n_opened;

static struct reward_set *set_for(const char *text)
{
    for (int i = 0; i < n_opened; i++) {
        if (strcmp(opened[i].text, text) == 0) {
            return opened[i].set;
        }
    }
    struct reward_spec spec = {text};
    if (reward_set_open(&opened[n_opened].set, &spec, 1, ON_ERROR_DROP, 120, 1) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    opened[n_opened].text = text;
    return opened[n_opened++].set;
}

/* The judgement of one completion; the reason goes to `reason`. */
static double judge(const char *spec_text, const char *row, const char *completion, char reason[200])
{
    struct reward_set *set = set_for(spec_text);
    struct arena arena = ARENA_INIT;
    json_t *fields = NULL;
    assert_int_equal(json_parse(&fields, str_of(row), "row"), ERR_NONE);
    struct reward_item item = {.fields = fields, .completion = str_of(completion), .n_tokens = -1};
    struct judgement judgement;
    assert_int_equal(reward_judge(set, &item, 1, &arena, &judgement), ERR_NONE);
    const struct verdict *v = &judgement.parts[0];
    snprintf(reason, 200, "%s", v->reason);
    double score = v->kind == VERDICT_OK ? v->score : -1; /* -1: an error */
    assert_int_equal(judgement.dropped, v->kind != VERDICT_OK);
    json_decref(fields);
    arena_release(&arena);
    return score;
}

struct judgement_case {
    const char *spec, *row, *completion;
    double score;
    const char *reason;
};

static void check(const struct judgement_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char reason[200];
        double score = judge(cases[i].spec, cases[i].row, cases[i].completion, reason);
        if (score != cases[i].score || !strstr(reason, cases[i].reason)) {
            fail_msg("%s\n%s\n-> %g, %s", cases[i].row, cases[i].completion, score, reason);
        }
    }
}
#define CHECK(cases) check(cases, sizeof(cases) / sizeof *(cases))

static const char adds[] =
    "{\"inputs\":[\"1 2\",\"3 4\",\"-1 1\",\"0 0\"],\"outputs\":[\"3\",\"7\",\"0\",\"0\"],\"weights\":[1,1,1,5]}";

static void programs_read_and_write(void **state)
{
    (void)state;
    need(true);
    static const struct judgement_case cases[] = {
        {"code", adds, "```python\na, b = map(int, input().split())\nprint(a + b)\n```", 1, "right"},
        {"code", adds, "```python\nprint(3)\n```", 0, "WA in test 2"},
        {"code", adds, "```python\nprint(input())\nexit(1)\n```", 0, "RE in test 1"},
        {"code", adds, "I do not know.", 0, "no code block"},
        {"code:bare=true", adds, "a, b = map(int, input().split())\nprint(a + b)", 1, "right"},
        {"code:score=rate", adds, "```\na, b = map(int, input().split())\nprint(abs(a) + b)\n```", 0.75,
         "WA in test 3"},
        {"code:score=weighted", adds, "```\na, b = map(int, input().split())\nprint(a + b if a else 1)\n```", 0.375,
         "WA in test 4"},
        {"code:max_tests=1", adds, "```python\nprint(3)\n```", 1, "right"},
        {"code:cpu=1", adds, "```python\nwhile True: pass\n```", 0, "TLE in test 1"},
        {"code", "{\"answer\":\"4\"}", "```python\nprint(3)\n```", -1, "missing field"},
        {"code", adds, "```python\nimport sys\nsys.exit(0)\n```", 0, "WA in test 1"},
    };
    CHECK(cases);
}

static const char square[] =
    "{\"entry\":\"square\",\"tests\":[{\"args\":[3],\"expected\":9},{\"args\":[-2],\"expected\":4}]}";

static void functions_return_plain_data(void **state)
{
    (void)state;
    need(true);
    static const struct judgement_case cases[] = {
        {"code", square, "```python\ndef square(x):\n    print('noise')\n    return x * x\n```", 1, "right"},
        {"code", square, "```python\nclass Solution:\n    def square(self, x):\n        return float(x * x)\n```", 1,
         "right"},
        {"code", square,
         "```python\nclass Same:\n    def __eq__(self, o): return True\ndef square(x):\n    return Same()\n```", 0,
         "RE in test 1"},
        {"code", square,
         "```python\nclass Int(int):\n    def __eq__(self, o): return True\ndef square(x):\n    return Int(1)\n```", 0,
         "WA in test 1"},
        {"code", square, "```python\ndef cube(x):\n    return x\n```", 0, "RE in test 1"},
        {"code", square, "```python\nimport os\nos.write(3, b'\\0\\0\\0\\0019')\nos._exit(0)\n```", 0, "WA in test 2"},
    };
    CHECK(cases);
}

static const char humaneval[] =
    "{\"entry_point\":\"double\",\"problem\":\"from typing import List\\n\\ndef half(x):\\n    return x / 2\\n\\ndef "
    "double(x: "
    "int) -> int:\\n    \\\"\\\"\\\"Twice x.\\\"\\\"\\\"\\n\",\"test\":\"def check(candidate):\\n    assert "
    "candidate(2) == 4\\n    "
    "assert half(candidate(3)) == 3\\n    assert candidate([1]) == [1, 1]\\n    assert candidate(0) == 0\\n\"}";
static const char mbpp[] =
    "{\"tests\":[\"assert pair(1) == (1, 1)\",\"assert set(pair(2)) == {2}\",\"assert math.isclose(sum(pair(1.5)), "
    "3)\"],\"setup\":\"\"}";
static const char nodes[] =
    "{\"tests\":[\"assert depth(root) == 2\"],\"setup\":\"root = Node(1)\\nroot.left = Node(2)\"}";
static const char broken[] = "{\"tests\":[\"assert (\"],\"setup\":\"\"}";

static void assertions_run_elsewhere(void **state)
{
    (void)state;
    need(true);
    static const struct judgement_case cases[] = {
        {"code", humaneval, "```python\ndef double(x):\n    return x * 2\n```", 1, "right"},
        {"code:bare=true", humaneval, "    return x * 2\n", 1, "right"},
        {"code:score=rate", humaneval, "```python\ndef double(x: List):\n    return x * 2 or 1\n```", 0.75, "WA"},
        {"code", humaneval,
         "```python\nclass S:\n    def __eq__(s, o): return True\n    def __truediv__(s, o): return s\ndef "
         "double(x):\n    return S()\n```",
         0, "WA"},
        {"code", humaneval, "```python\nimport os\nos._exit(0)\n```", 0, "RE"},
        {"code", humaneval, "```python\ndef double(x):\n    raise SystemExit(0)\n```", 0, "RE"},
        {"code", humaneval,
         "```python\ndef double(x):\n    import sys\n    f = sys._getframe()\n    while f.f_back:\n        f = "
         "f.f_back\n    return [v for v in f.f_locals.values()]\n```",
         0, "WA"},
        {"code", mbpp, "```python\ndef pair(x):\n    return (x, x)\n```", 1, "right"},
        {"code", mbpp, "```python\ndef pair(x):\n    return [x, x]\n```", 0, "WA in test 1"},
        {"code", mbpp, "```python\ndef pair(x):\n    return (1, 1)\ndef set(x):\n    return 0\n```", 0, "WA in test 2"},
        {"code", nodes,
         "```python\nclass Node:\n    def __init__(self, v):\n        self.v, self.left = v, None\ndef depth(n):\n    "
         "return 1 + "
         "depth(n.left) if n else 0\n```",
         1, "right"},
        {"code", broken, "```python\nx = 1\n```", -1, "the tests are broken"},
    };
    CHECK(cases);
}

static void c_is_compiled(void **state)
{
    (void)state;
    need(host_compiler(false) != NULL);
    static const struct judgement_case cases[] = {
        {"code", adds,
         "```c\n#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d%d\", &a, &b); printf(\"%d\", a + b); }\n```",
         1, "right"},
        {"code", adds, "```c\nint main(void) { return x; }\n```", 0, "CE"},
        {"code", adds, "```c\nint main(void) { volatile int *p = 0; return *p; }\n```", 0, "RE in test 1"},
        {"code", adds, "```c\n#include \"/etc/passwd\"\n```", 0, "CE"},
        {"code", square, "```c\nint square(int x) { return x * x; }\n```", 0, "RE"},
    };
    CHECK(cases);
}

static void cpp_is_compiled(void **state)
{
    (void)state;
    need(host_compiler(true) != NULL);
    static const struct judgement_case cases[] = {
        {"code:language=cpp", adds,
         "```\n#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }\n```", 1, "right"},
        /* a header that is missing is not made good by ours */
        {"code", adds, "```cpp\n#include <iostream>\nint main() { std::vector<int> v{1}; std::map<int, int> m; }\n```",
         0, "CE"},
    };
    CHECK(cases);
}

static int try_sandbox(void **state)
{
    (void)state;
    struct code_runner *runner;
    struct wire_setup setup;
    char text[WIRE_TEXT];
    if (code_runner_open(&runner, &(struct code_runner_options){.n_slots = 1}) != ERR_NONE) {
        print_message("skipped: %s\n", err_text());
        return 0;
    }
    code_runner_close(runner);
    usable = host_find_python(NULL, &setup, text);
    if (!usable) {
        print_message("skipped: %s\n", text);
    }
    return 0;
}

static int close_sets(void **state)
{
    (void)state;
    for (int i = 0; i < n_opened; i++) {
        reward_set_close(opened[i].set);
    }
    return 0;
}

static void what_is_asked_for_is_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = {"code:score=half", "code:wall=0", "code:python=/nonexistent",
                                        "code:max_test=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct reward_set *set;
        struct reward_spec spec = {wrong[i]};
        assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 10, 1), ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_is_checked),
        cmocka_unit_test(programs_read_and_write),
        cmocka_unit_test(functions_return_plain_data),
        cmocka_unit_test(assertions_run_elsewhere),
        cmocka_unit_test(c_is_compiled),
        cmocka_unit_test(cpp_is_compiled),
    };
    return cmocka_run_group_tests(tests, try_sandbox, close_sets);
}
