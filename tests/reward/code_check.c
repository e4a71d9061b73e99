/* tests/reward/code_check.c - make code-check DATA=FOLDER: HumanEval and MBPP through the code reward.
 *
 *   code_check FILE.jsonl ...
 *
 * Each row's own solution must earn 1, and five wrong programs made from it 0: one that returns nothing, one that returns an
 * object equal to everything, one that leaves when loaded, one that leaves when called, one that hides the right value in a
 * list. The last line is "N passed, N failed", of completions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "reward/rewards.h"

/* Appended to a solution; each changes every function that it defines. */
static const char *const mutants[] = {
    "",
    "for _n, _f in list(globals().items()):\n"
    "    if type(_f) is type(lambda: 0): globals()[_n] = lambda *a, **k: None\n",
    "class _Same:\n"
    "    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\n"
    "    def __hash__(self): return 0\n"
    "for _n, _f in list(globals().items()):\n"
    "    if type(_f) is type(lambda: 0): globals()[_n] = lambda *a, **k: _Same()\n",
    "import os\n"
    "os._exit(0)\n",
    "def _leave(*a, **k):\n"
    "    raise SystemExit(0)\n"
    "for _n, _f in list(globals().items()):\n"
    "    if type(_f) is type(lambda: 0): globals()[_n] = _leave\n",
    "for _n, _f in list(globals().items()):\n"
    "    if type(_f) is type(lambda: 0): globals()[_n] = (lambda f: lambda *a, **k: [f(*a, **k)])(_f)\n",
};
enum { N_KINDS = sizeof mutants / sizeof *mutants };
static const char *const kind_names[N_KINDS] = {"solution",           "returns nothing",    "equals everything",
                                                "leaves when loaded", "leaves when called", "right value in a list"};

struct counts {
    int passed[N_KINDS], failed[N_KINDS];
};

static struct str completion_of(const json_t *row, int kind, struct arena *arena)
{
    const char *solution = json_string_value(json_object_get(row, "solution"));
    bool body = json_object_get(row, "entry_point") != NULL; /* HumanEval: the body of the function in the prompt */
    const char *prompt = body ? json_string_value(json_object_get(row, "problem")) : "";
    return str_of(arena_printf(arena, "Here it is:\n```python\n%s%s\n%s```\n", prompt, solution, mutants[kind]));
}

static enum err check_file(struct reward_set *set, const char *path, struct counts *counts)
{
    struct strbuf text = STRBUF_INIT;
    struct arena arena = ARENA_INIT;
    TRY(file_read(&text, path, 256 << 20));
    struct str all = strbuf_view(&text);
    enum { MOST = 4096 };
    json_t **rows = ARENA_NEW(&arena, json_t *, MOST);
    struct reward_item *items = ARENA_NEW(&arena, struct reward_item, MOST * N_KINDS);
    struct judgement *judgements = ARENA_NEW(&arena, struct judgement, MOST * N_KINDS);
    int n = 0;
    for (size_t at = 0; at < all.length && n < MOST; n++) {
        ptrdiff_t end = str_find(all, STR("\n"), at);
        size_t to = end < 0 ? all.length : (size_t)end;
        TRY(json_parse(&rows[n], str_slice(all, at, to), path));
        for (int kind = 0; kind < N_KINDS; kind++) {
            items[n * N_KINDS + kind] = (struct reward_item){
                .fields = rows[n], .completion = completion_of(rows[n], kind, &arena), .n_tokens = -1};
        }
        at = to + 1;
    }
    TRY(reward_judge(set, items, n * N_KINDS, &arena, judgements));
    for (int i = 0; i < n * N_KINDS; i++) {
        const struct verdict *v = &judgements[i].parts[0];
        bool good = v->kind == VERDICT_OK && v->score == (i % N_KINDS == 0 ? 1 : 0);
        counts->passed[i % N_KINDS] += good;
        counts->failed[i % N_KINDS] += !good;
        if (!good) {
            printf("FAILED %s, %s: %s %g %s\n", json_string_value(json_object_get(rows[i / N_KINDS], "id")),
                   kind_names[i % N_KINDS], v->kind == VERDICT_OK ? "score" : "error", v->score, v->reason);
        }
    }
    for (int i = 0; i < n; i++) {
        json_decref(rows[i]);
    }
    arena_release(&arena);
    strbuf_release(&text);
    return ERR_NONE;
}

int main(int argc, char **argv)
{
    struct reward_set *set;
    struct reward_spec spec = {"code:cpu=20,wall=30"}; /* a solution of MBPP computes for 4 s and more */
    int passed = 0, failed = 0, threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    enum err result = reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 120, threads);
    for (int i = 1; i < argc && result == ERR_NONE; i++) {
        struct counts counts = {{0}, {0}};
        double start = clock_seconds();
        result = check_file(set, argv[i], &counts);
        for (int kind = 0; kind < N_KINDS; kind++) {
            printf("%s: %s: %d as it should, %d not\n", argv[i], kind_names[kind], counts.passed[kind],
                   counts.failed[kind]);
            passed += counts.passed[kind];
            failed += counts.failed[kind];
        }
        printf("%s: %.1f s\n", argv[i], clock_seconds() - start);
    }
    if (result != ERR_NONE) {
        printf("code-check: %s\n", err_text());
        failed++;
    } else {
        reward_set_close(set);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
