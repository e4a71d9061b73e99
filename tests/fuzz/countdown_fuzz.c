/* tests/fuzz/countdown_fuzz.c - any bytes as an expression; one that is accepted keeps the rules of the game.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "reward/expression.h"
#include "reward/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The numbers written in a text, and nothing but what an expression may hold. */
static int count_numbers(struct str text)
{
    int n = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        BUG_ON(text.data[i] == '\0' || !strchr("0123456789+-*/() \t\r\n\v\f", text.data[i]));
        n += digit && (i == 0 || text.data[i - 1] < '0' || text.data[i - 1] > '9');
    }
    return n;
}

/* The reward's score for the expression with these numbers and this target. */
static double score(const struct reward_part *part, struct str text, const struct expression *e, int64_t target,
                    int64_t off)
{
    struct arena arena = ARENA_INIT;
    json_t *nums = json_array();
    for (int i = e->n; i-- > 0;) { /* the order does not matter */
        json_array_append_new(nums, json_integer(e->numbers[i] + (i == 0 ? off : 0)));
    }
    json_t *fields = json_pack("{s:o,s:I}", "nums", nums, "target", (json_int_t)target);
    struct strbuf completion = STRBUF_INIT;
    strbuf_puts(&completion, "<answer>");
    strbuf_add_str(&completion, text);
    strbuf_puts(&completion, "</answer>");
    struct reward_item item = {.completion = strbuf_view(&completion), .fields = fields, .n_tokens = -1};
    struct reward_call call = {.arena = &arena, .deadline = clock_seconds() + 10};
    struct verdict v = reward_part_judge(part, &item, &call);
    BUG_ON(v.kind != VERDICT_OK || (v.score != 0 && v.score != 1));
    strbuf_release(&completion);
    json_decref(fields);
    arena_release(&arena);
    return v.score;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reward_part part;
    if (!part.values.kind) {
        BUG_ON(reward_part_open(&part, "countdown") != ERR_NONE);
    }
    struct str text = {(const char *)data, size};
    struct expression e = {.n = -1}, again;
    const char *fault = expression_evaluate(text, &e);
    if (fault) {
        BUG_ON(*fault == '\0' || e.n != -1);
        return 0;
    }
    BUG_ON(e.n != count_numbers(text) || e.value.den < 1);
    struct strbuf inside = STRBUF_INIT;
    strbuf_printf(&inside, "0 + (");
    strbuf_add_str(&inside, text);
    strbuf_puts(&inside, ")");
    fault = expression_evaluate(strbuf_view(&inside), &again);
    BUG_ON(!fault && (again.value.num != e.value.num || again.value.den != e.value.den || again.n != e.n + 1));
    strbuf_release(&inside);
    bool whole = e.value.den == 1;
    BUG_ON(score(&part, text, &e, e.value.num, 0) != whole);
    BUG_ON(e.value.num < INT64_MAX && score(&part, text, &e, e.value.num + 1, 0) != 0);
    BUG_ON(e.numbers[0] < INT64_MAX && score(&part, text, &e, e.value.num, 1) != 0);
    return 0;
}
