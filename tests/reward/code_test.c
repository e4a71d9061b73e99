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
} opened[16];
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

/* A row of a function f with one test, as APPS and TACO have it. */
#define APPS(input, output) "{\"input_output\":{\"fn_name\":\"f\",\"inputs\":[" input "],\"outputs\":[" output "]}}"
#define RETURNS(value)      "```python\ndef f(*a):\n    return " value "\n```"

static void a_value_may_be_wrapped_in_a_list(void **state)
{
    (void)state;
    need(true);
    static const struct judgement_case cases[] = {
        {"code", APPS("[1]", "[5]"), RETURNS("5"), 1, "right"},
        {"code", APPS("[1]", "[5]"), RETURNS("[5]"), 1, "right"},
        {"code", APPS("[1]", "5"), RETURNS("5"), 1, "right"},
        {"code", APPS("[1]", "[\"ab\"]"), RETURNS("'ab'"), 1, "right"},
        {"code", APPS("[1]", "[true]"), RETURNS("True"), 1, "right"},
        {"code", APPS("[1]", "[null]"), RETURNS("None"), 1, "right"},
        {"code", APPS("[1]", "[0.5]"), RETURNS("0.5"), 1, "right"},
        {"code", APPS("[1]", "[[1, 2]]"), RETURNS("[1, 2]"), 1, "right"},
        {"code", APPS("[1]", "[[1, 2]]"), RETURNS("(1, 2)"), 1, "right"},
        {"code", APPS("[1]", "[[[1, 2], [3, 4]]]"), RETURNS("[(1, 2), (3, 4)]"), 1, "right"},
        {"code", APPS("[1]", "[{\"a\": [1]}]"), RETURNS("{'a': [1]}"), 1, "right"},
        {"code", APPS("[{\"1\": 2}]", "[{\"1\": 2}]"), RETURNS("{1: a[0][1]}"), 1, "right"},
        {"code", APPS("[1]", "[5]"), "```python\nclass Solution:\n    def f(self, a):\n        return 5\n```", 1,
         "right"},
        {"code", "{\"fn_name\":\"f\",\"inputs\":[\"1\"],\"outputs\":[\"[5]\"]}", RETURNS("5"), 1, "right"},
        {"code", APPS("[1]", "[5]"), RETURNS("6"), 0, "WA"},
        {"code", APPS("[1]", "[5]"), RETURNS("[[5]]"), 0, "WA"},
        {"code", APPS("[1]", "5"), RETURNS("[5]"), 0, "WA"},
        {"code", APPS("[1]", "[5, 6]"), RETURNS("5"), 0, "WA"},
        {"code", APPS("[1]", "[[5]]"), RETURNS("5"), 0, "WA"},
        {"code", APPS("[1]", "[]"), RETURNS("None"), 0, "WA"},
        {"code", "{\"entry\":\"f\",\"tests\":[{\"args\":[1],\"expected\":[5]}]}", RETURNS("5"), 0, "WA"},
    };
    CHECK(cases);
}

#define SOLUTION(annotation, body)                                                                                     \
    "```python\nclass Solution:\n    def f(self, a" annotation "):\n        " body "\n```"

static void what_a_harness_imports_is_imported(void **state)
{
    (void)state;
    need(true);
    static const char counts[] = "{\"inputs\":[\"aab\"],\"outputs\":[\"2\"]}";
    static const char main_does[] =
        "```python\ndef main():\n    print(max(Counter(stdin.readline().strip()).values()))\nmain()\n```";
    static const char entry[] = "{\"entry\":\"merge\",\"tests\":[{\"args\":[[3, 1]],\"expected\":1}]}";
    static const struct judgement_case cases[] = {
        {"code", APPS("[[2, 3]]", "5"), SOLUTION(": List[int]", "return sum(a)"), 1, "right"},
        {"code", APPS("[[3, 1]]", "1"), SOLUTION(": Optional[list]", "heapq.heapify(a); return a[0]"), 1, "right"},
        {"code", APPS("[8]", "2"), SOLUTION("", "return int(math.log2(a) - lru_cache(None)(sqrt)(1))"), 1, "right"},
        {"code", APPS("[8]", "8"), SOLUTION("", "return min(inf, a) + defaultdict(int)[0]"), 1, "right"},
        {"code", APPS("[8]", "4"), SOLUTION("", "return pow(a, 2, 6) + len([*permutations(range(0))]) - 1"), 1,
         "right"},
        {"code", APPS("[8]", "8"), SOLUTION("", "return nosuchname(a)"), 0, "RE"},
        {"code", counts, main_does, 1, "right"},
        {"code:prelude=false", counts, main_does, 0, "RE"},
        {"code", square, "```python\ndef square(x: List): return x * x\n```", 0, "RE"},
        {"code:prelude=true", square, "```python\ndef square(x: List): return x * x\n```", 1, "right"},
        /* merge is a name of heapq too */
        {"code", entry, "```python\nclass Solution:\n    def merge(self, a: List[int]): return min(a)\n```", 1,
         "right"},
        {"code", entry, "```python\nfrom __future__ import annotations\ndef merge(a): return min(a)\n```", 1, "right"},
    };
    CHECK(cases);
}

#define MBPP(setup, test) "{\"test_setup_code\":\"" setup "\",\"test_list\":[\"" test "\"]}"

static void a_setup_is_of_the_programs_module(void **state)
{
    (void)state;
    need(true);
    static const struct judgement_case cases[] = {
        {"code", MBPP("x0 = 3", "assert f() == 3"), "```python\ndef f():\n    return x0\n```", 1, "right"},
        {"code", MBPP("x0 = 3", "assert f() == x0"), "```python\ndef f():\n    return 4\n```", 0, "WA"},
        {"code", MBPP("def twice(x):\\n    return 2 * x", "assert f(2) == twice(2)"),
         "```python\nfour = twice(2)\ndef f(x):\n    return twice(x)\n```", 1, "right"},
        {"code", MBPP("class N:\\n    def __init__(s, v): s.v = v", "assert g(N(3)) == 3"),
         "```python\ndef g(n):\n    return n.v\n```", 1, "right"},
        {"code", MBPP("class N:\\n    def __init__(s, v): s.v = v", "assert g(N(3)).v == 4"),
         "```python\nclass M(N):\n    pass\ndef g(n):\n    return M(n.v + 1)\n```", 1, "right"},
        {"code", MBPP("class N:\\n    def __init__(s, v): s.v = v", "assert g(N(3)) == 3"),
         "```python\ndef g(n):\n    return 4\n```", 0, "WA"},
        {"code",
         MBPP("from dataclasses import dataclass\\n@dataclass\\nclass P:\\n    x: int", "assert next_of(P(1)) == P(2)"),
         "```python\ndef next_of(p):\n    return P(p.x + 1)\n```", 1, "right"},
        {"code",
         MBPP("from dataclasses import dataclass\\n@dataclass\\nclass P:\\n    x: int", "assert next_of(P(1)) == P(2)"),
         "```python\nclass P:\n    def __eq__(s, o): return True\ndef next_of(p):\n    return P()\n```", 0, "WA"},
        {"code",
         MBPP("from collections import namedtuple\\nP = namedtuple('P', 'x y')", "assert turn([P(1, 2)]) == [P(2, 1)]"),
         "```python\ndef turn(a):\n    return [P(p.y, p.x) for p in a]\n```", 1, "right"},
        {"code",
         MBPP("class E(Exception):\\n    pass\\ndef fails(f):\\n    try:\\n        f()\\n    except E:\\n        "
              "return True",
              "assert not fails(g)"),
         "```python\ndef g():\n    return 1\n```", 1, "right"},
        {"code", MBPP("root = Node(1)\\nroot.left = Node(2)", "assert depth(root) == 2"),
         "```python\nclass Node:\n    def __init__(self, v):\n        self.v, self.left = v, None\ndef depth(n):\n    "
         "return 1 + depth(n.left) if n else 0\n```",
         1, "right"},
        {"code", MBPP("def close(a, b):\\n    return abs(a - b) < 0.1", "assert close(f(), 3)"),
         "```python\ndef close(a, b):\n    return True\ndef f():\n    return 4\n```", 0, "WA"},
        {"code", MBPP("import math", "assert math.isclose(f(0.1 + 0.2), 0.3)"),
         "```python\ndef f(x):\n    return x\n```", 1, "right"},
    };
    CHECK(cases);
}

#define ONE_TEST(test) "{\"test_list\":[\"" test "\"]}"

static void nan_is_close_to_nothing(void **state)
{
    (void)state;
    need(true);
    static const char gives_nan[] =
        "```python\ndef f(x):\n    return float('nan')\ndef g(x):\n    return [0.0, f(x)]\n```";
    static const char gives_3[] = "```python\ndef f(x):\n    return 3.0\n```";
    static const struct judgement_case cases[] = {
        {"code", ONE_TEST("assert not abs(f(1) - 3) > 1e-6"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("assert not 1e-6 < abs(f(1) - 3)"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("import math\\nassert not math.fabs(f(1) - 3) >= 1e-6"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("assert max(0.0, abs(f(1) - 3)) < 1e-6"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("assert max(abs(a - b) for a, b in zip(g(1), [0, 0])) < 1e-6"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("def far(a, b):\\n    return abs(a - b) > 1e-6\\nassert not far(f(1), 3)"), gives_nan, 0,
         "WA"},
        {"code", ONE_TEST("assert not any(abs(x) > 1 for x in g(1))"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("assert abs(f(1) - 3) < 1e-6"), gives_nan, 0, "WA"},
        {"code", ONE_TEST("import math\\nassert math.isnan(f(1)) and f(1) != f(1)"), gives_nan, 1, "right"},
        {"code", ONE_TEST("assert not abs(f(1) - 3) > 1e-6 and 2 < f(1) <= 3.0 < 4"), gives_3, 1, "right"},
        {"code", ONE_TEST("assert not abs(float('inf') - float('inf') * f(1)) > 1"), gives_3, 1, "right"},
    };
    CHECK(cases);
}

static void a_program_has_its_time(void **state)
{
    (void)state;
    need(true);
    /* longer than an item may take by the set's clock, and each test within its own */
    static const char row[] = "{\"inputs\":[\"1\",\"2\",\"3\"],\"outputs\":[\"1\",\"2\",\"3\"]}";
    static const struct {
        const char *completion, *reason;
    } cases[] = {
        {"```python\nimport time\ntime.sleep(0.4)\nprint(input())\n```", "right"},
        {"```python\nimport time\ntime.sleep(50)\n```", "TLE in test 1"},
        {"```python\nimport os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n```", "TLE in test 1"},
    };
    struct reward_set *set;
    struct reward_spec spec = {"code:wall=1.5,cpu=1"};
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 0.2, 1), ERR_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        json_t *fields = json_loads(row, 0, NULL);
        struct reward_item item = {.fields = fields, .completion = str_of(cases[i].completion), .n_tokens = -1};
        struct judgement judgement;
        double start = clock_seconds();
        assert_int_equal(reward_judge(set, &item, 1, &arena, &judgement), ERR_NONE);
        assert_string_equal(judgement.parts[0].reason, cases[i].reason);
        assert_true(clock_seconds() - start < 20);
        json_decref(fields);
        arena_release(&arena);
    }
    reward_set_close(set);
}

static double stop_at;

static bool stop_now(void)
{
    return clock_seconds() > stop_at;
}

static void judging_can_be_stopped(void **state)
{
    (void)state;
    need(true);
    struct reward_set *set;
    struct reward_spec spec = {"code:wall=60"};
    struct arena arena = ARENA_INIT;
    json_t *fields = json_loads(adds, 0, NULL);
    struct reward_item items[3];
    struct judgement judgements[3];
    for (int i = 0; i < 3; i++) {
        items[i] = (struct reward_item){
            .fields = fields, .completion = STR("```python\nimport time\ntime.sleep(50)\n```"), .n_tokens = -1};
    }
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 10, 2), ERR_NONE);
    reward_set_stop(set, stop_now);
    stop_at = clock_seconds() + 0.5;
    double start = clock_seconds();
    assert_int_equal(reward_judge(set, items, 3, &arena, judgements), ERR_STOPPED);
    assert_true(clock_seconds() - start < 5);
    reward_set_stop(set, NULL);
    items[0].completion = STR("```python\na, b = map(int, input().split())\nprint(a + b)\n```");
    assert_int_equal(reward_judge(set, items, 1, &arena, judgements), ERR_NONE);
    assert_string_equal(judgements[0].parts[0].reason, "right");
    reward_set_close(set);
    json_decref(fields);
    arena_release(&arena);
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
        {"code", square, "```c\nint square(int x) { return x * x; }\n```", 0, "no code block in Python"},
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
        cmocka_unit_test(a_value_may_be_wrapped_in_a_list),
        cmocka_unit_test(what_a_harness_imports_is_imported),
        cmocka_unit_test(a_setup_is_of_the_programs_module),
        cmocka_unit_test(nan_is_close_to_nothing),
        cmocka_unit_test(a_program_has_its_time),
        cmocka_unit_test(judging_can_be_stopped),
        cmocka_unit_test(c_is_compiled),
        cmocka_unit_test(cpp_is_compiled),
    };
    return cmocka_run_group_tests(tests, try_sandbox, close_sets);
}
