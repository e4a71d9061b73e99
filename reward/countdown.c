/* reward/countdown.c - the countdown game: an expression that uses each given number once and makes the target.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/expression.h"
#include "reward/rewards.h"
#include "reward/tags.h"

struct countdown {
    bool needs_format, prefilled, allow_equals;
};

static const struct reward_option countdown_options[] = {
    {"needs_format", OPTION_BOOL, "false", 0, 0, NULL, "score 0 unless the completion has the strict format"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
    {"allow_equals", OPTION_BOOL, "false", 0, 0, NULL, "the answer may be written 'expression = target'"},
    {0},
};

static enum err countdown_open(void *state, const struct reward_values *values)
{
    struct countdown *countdown = state;
    countdown->needs_format = reward_bool(values, "needs_format");
    countdown->prefilled = reward_bool(values, "prefilled");
    countdown->allow_equals = reward_bool(values, "allow_equals");
    return ERR_NONE;
}

/* Each given number is used once, and no other. */
static bool same_numbers(const struct expression *e, const json_t *nums)
{
    bool used[EXPRESSION_MAX_NUMBERS] = {false};
    if ((size_t)e->n != json_array_size(nums)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(nums); i++) {
        int j = 0;
        while (j < e->n && (used[j] || e->numbers[j] != json_integer_value(json_array_get(nums, i)))) {
            j++;
        }
        if (j == e->n) {
            return false;
        }
        used[j] = true;
    }
    return true;
}

static const char *judge_expression(struct str text, const json_t *nums, int64_t target)
{
    struct expression e;
    const char *fault = expression_evaluate(text, &e);
    if (fault) {
        return fault;
    }
    if (!same_numbers(&e, nums)) {
        return "not the given numbers, each once";
    }
    return e.value.den == 1 && e.value.num == target ? "right" : "another value";
}

static bool valid_fields(const json_t *nums, const json_t *target)
{
    if (!json_is_array(nums) || json_array_size(nums) > EXPRESSION_MAX_NUMBERS || !json_is_integer(target)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(nums); i++) {
        if (!json_is_integer(json_array_get(nums, i))) {
            return false;
        }
    }
    return true;
}

/* Takes "= target" off the end of an answer; false if another value is claimed. */
static bool cut_equals(struct str *expression, int64_t target)
{
    int64_t said;
    ptrdiff_t equals = str_find(*expression, STR("="), 0);
    if (equals < 0) {
        return true;
    }
    struct str right = str_trim(str_slice(*expression, (size_t)equals + 1, expression->length));
    *expression = str_trim(str_slice(*expression, 0, (size_t)equals));
    return str_to_int(right, &said) && said == target;
}

static struct verdict countdown_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    (void)call;
    const struct countdown *countdown = state;
    const json_t *nums = json_object_get(item->fields, "nums"), *target = json_object_get(item->fields, "target");
    if (!nums || !target) {
        return verdict_error(nums ? "missing field 'target'" : "missing field 'nums'");
    }
    if (!valid_fields(nums, target)) {
        return verdict_error("'nums' must be a list of integers and 'target' an integer");
    }
    bool prefilled = tags_prefilled(countdown->prefilled, item->prompt);
    struct str answer, turn = tags_turn(item->completion);
    if (countdown->needs_format) {
        if (item->truncated || !tags_strict(turn, prefilled, NULL, &answer)) {
            return verdict_ok(0, "not in the format", (struct str){0});
        }
    } else if (!tags_answer(turn, prefilled, &answer)) {
        return verdict_ok(0, "no answer tag", (struct str){0});
    }
    answer = str_trim(answer);
    struct str expression = answer;
    if (countdown->allow_equals && !cut_equals(&expression, json_integer_value(target))) {
        return verdict_ok(0, "another value", answer);
    }
    const char *reason = judge_expression(expression, nums, json_integer_value(target));
    return verdict_ok(strcmp(reason, "right") == 0, reason, answer);
}

const struct reward_kind reward_countdown = {
    .name = "countdown",
    .help = "1 if the answer makes the target, using each given number exactly once",
    .fields = "nums target",
    .options = countdown_options,
    .open = countdown_open,
    .state_bytes = sizeof(struct countdown),
    .judge = countdown_judge,
};
