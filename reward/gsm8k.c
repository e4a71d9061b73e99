/* reward/gsm8k.c - grade-school maths: the answer is one number.
 *
 * The reference is a number, or a solution that ends with "#### number". Numbers are read by number.h and compared
 * exactly; a currency, a percent sign and units are left out. An answer that is not one plain number earns nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/answer.h"
#include "reward/gold.h"
#include "reward/number.h"
#include "reward/rewards.h"
#include "reward/tags.h"

struct gsm8k {
    struct answer_options find;
    const char *field;
};

static const struct reward_option gsm8k_options[] = {
    {"strict", OPTION_BOOL, "false", 0, 0, NULL, "only a box or '#### n', not 'the answer is n'"},
    {"answer_tags", OPTION_BOOL, "false", 0, 0, NULL, "only inside the one <answer> ... </answer> after the thinking"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
    {"last_number", OPTION_BOOL, "false", 0, 0, NULL, "failing all else, the last number of the completion"},
    {"field", OPTION_TEXT, "answer", 0, 0, NULL, "the field that holds the reference"},
    {0},
};

static enum err gsm8k_open(void *state, const struct reward_values *values)
{
    struct gsm8k *gsm8k = state;
    bool strict = reward_bool(values, "strict");
    gsm8k->find = (struct answer_options){.hashes = true,
                                          .phrases = !strict,
                                          .last_number = reward_bool(values, "last_number"),
                                          .answer_tags = reward_bool(values, "answer_tags"),
                                          .prefilled = reward_bool(values, "prefilled")};
    gsm8k->field = reward_text(values, "field");
    return ERR_NONE;
}

/* The one number of the answer. Boxes in a run must not hold different ones. */
static bool said_number(const struct answer *answer, struct arena *arena, struct number *out)
{
    struct number other;
    bool one = number_read_prose(answer->text, arena, out);
    for (int i = 0; i + 1 < answer->n_boxes && one; i++) {
        one = number_read(answer->boxes[i], arena, &other) && number_equal(&other, out);
    }
    return one;
}

static struct verdict gsm8k_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct gsm8k *gsm8k = state;
    struct str golds[GOLD_MAX];
    int n_golds = 0;
    const char *wrong = gold_read(item->fields, gsm8k->field, call->arena, golds, &n_golds);
    if (wrong) {
        return verdict_error(wrong);
    }
    struct answer_options find = gsm8k->find;
    find.prefilled = tags_prefilled(find.prefilled, item->prompt);
    struct answer answer;
    const char *none = answer_find(item->completion, &find, &answer);
    struct number said, gold;
    bool number = !none && said_number(&answer, call->arena, &said), right = false;
    for (int i = 0; i < n_golds; i++) {
        ptrdiff_t hashes = str_find_last(golds[i], STR("####"));
        struct str text = str_slice(golds[i], hashes >= 0 ? (size_t)hashes + 4 : 0, golds[i].length);
        if (!number_read(text, call->arena, &gold)) {
            return verdict_error("the reference cannot be read: it is not one number");
        }
        right |= number && number_equal(&said, &gold);
    }
    if (none) {
        return verdict_ok(0, none, (struct str){0});
    }
    struct verdict v = verdict_ok(right, right ? "right" : number ? "another number" : "not one number", answer.text);
    v.path = answer.path;
    return v;
}

const struct reward_kind reward_gsm8k = {
    .name = "gsm8k",
    .help = "1 if the number in the box, after '####' or after 'the answer is' is the reference's",
    .fields = "answer",
    .options = gsm8k_options,
    .open = gsm8k_open,
    .state_bytes = sizeof(struct gsm8k),
    .judge = gsm8k_judge,
};
