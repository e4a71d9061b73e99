/* tests/bench/math.c - strop's half of tests/bench/peers/math_peers.py: judges what stdin hands over, and says how long it took.
 *
 * A question is a line "KIND GOLD-BYTES TEXT-BYTES", then the two texts and a line end. KIND is pair, response or choice. The
 * answer is a line "VERDICT SECONDS": 1 or 0, and processor time of this thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "reward/math/pair.h"
#include "reward/options.h"

struct judge {
    const struct reward_kind *kind;
    void *state;
};

static struct judge open_judge(const char *spec)
{
    struct reward_values values;
    BUG_ON(reward_values_parse(&values, spec) != ERR_NONE);
    struct judge judge = {values.kind, mem_zero(values.kind->state_bytes)};
    BUG_ON(judge.kind->open(judge.state, &values) != ERR_NONE); /* the values live as long as the state: to the end */
    return judge;
}

static bool pair_equal(struct str gold, struct str said, struct arena *arena)
{
    struct math_options options = {0};
    return math_pair_judge(&options, gold, said, arena).kind == MATH_EQUAL;
}

static bool response_right(const struct judge *judge, const json_t *row, struct str text, struct arena *arena)
{
    struct reward_item item = {.completion = text, .fields = row, .n_tokens = -1};
    struct verdict v = judge->kind->judge(judge->state, &item, &(struct reward_call){arena, INFINITY});
    return v.kind == VERDICT_OK && v.score == 1;
}

int main(void)
{
    struct judge math = open_judge("math:fallback=true"), choice = open_judge("choice:fallback=true");
    char kind[16];
    size_t n_gold, n_text;
    while (scanf("%15s %zu %zu", kind, &n_gold, &n_text) == 3 && getchar() == '\n') {
        char *gold = mem_alloc(n_gold + 1), *text = mem_alloc(n_text + 1);
        if (fread(gold, 1, n_gold, stdin) != n_gold || fread(text, 1, n_text, stdin) != n_text) {
            return 1;
        }
        json_t *row = json_pack("{ss%}", "answer", gold, n_gold);
        struct arena arena = ARENA_INIT;
        double start = clock_thread_seconds();
        bool right = strcmp(kind, "pair") == 0
                         ? pair_equal((struct str){gold, n_gold}, (struct str){text, n_text}, &arena)
                         : response_right(strcmp(kind, "choice") == 0 ? &choice : &math, row,
                                          (struct str){text, n_text}, &arena);
        printf("%d %.9f\n", right, clock_thread_seconds() - start);
        fflush(stdout);
        arena_release(&arena);
        json_decref(row);
        free(gold);
        free(text);
    }
    free(math.state);
    free(choice.state);
    return 0;
}
