/* reward/countdown.c - the countdown game: an expression that uses each given number once and makes the target.
 *
 *   expression = term { ("+" | "-") term }        term = factor { ("*" | "/") factor }
 *   factor = number | "(" expression ")"          number = digits
 *
 * Values are exact fractions of 64-bit integers; a product that does not fit is a wrong answer. There is no sign in front of
 * a factor, no "**" and no "//".
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/rewards.h"
#include "reward/tags.h"

#define MOST_NUMBERS 32
#define MOST_DEPTH   64

__extension__ typedef __int128 wide; /* products of two 64-bit integers */

struct countdown {
    bool needs_format, prefilled, allow_equals;
};

static const struct reward_option countdown_options[] = {
    {"needs_format", OPTION_BOOL, "false", 0, 0, NULL, "score 0 unless the completion has the strict format"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, "the prompt already ends with <think>"},
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

/* Lowest terms, denominator > 0. */
struct fraction {
    int64_t top, bottom;
};

struct parser {
    struct str text;
    size_t at;
    int depth;
    int64_t numbers[MOST_NUMBERS];
    int n_numbers;
    const char *wrong; /* the first thing that was wrong */
};

static bool parse_expression(struct parser *p, struct fraction *out);

static bool parse_fail(struct parser *p, const char *wrong)
{
    p->wrong = p->wrong ? p->wrong : wrong;
    return false;
}

static char parse_peek(struct parser *p)
{
    while (p->at < p->text.length && strchr(" \t\r\n", p->text.data[p->at]) && p->text.data[p->at]) {
        p->at++;
    }
    return p->at < p->text.length ? p->text.data[p->at] : '\0';
}

static bool reduce(struct parser *p, wide top, wide bottom, struct fraction *out)
{
    if (bottom == 0) {
        return parse_fail(p, "division by zero");
    }
    wide a = top < 0 ? -top : top, b = bottom < 0 ? -bottom : bottom;
    while (b) {
        wide rest = a % b;
        a = b;
        b = rest;
    }
    top = bottom < 0 ? -top / a : top / a;
    bottom = bottom < 0 ? -bottom / a : bottom / a;
    if (top > INT64_MAX || top < -INT64_MAX || bottom > INT64_MAX) {
        return parse_fail(p, "a value is too large");
    }
    *out = (struct fraction){(int64_t)top, (int64_t)bottom};
    return true;
}

static bool combine(struct parser *p, char op, struct fraction a, struct fraction b, struct fraction *out)
{
    wide at = a.top, ab = a.bottom, bt = b.top, bb = b.bottom;
    wide sum;
    switch (op) {
    case '*': return reduce(p, at * bt, ab * bb, out);
    case '/': return reduce(p, at * bb, ab * bt, out);
    default: break;
    }
    bool overflow =
        op == '+' ? __builtin_add_overflow(at * bb, bt * ab, &sum) : __builtin_sub_overflow(at * bb, bt * ab, &sum);
    return overflow ? parse_fail(p, "a value is too large") : reduce(p, sum, ab * bb, out);
}

static bool parse_number(struct parser *p, struct fraction *out)
{
    int64_t value = 0;
    size_t start = p->at;
    while (p->at < p->text.length && p->text.data[p->at] >= '0' && p->text.data[p->at] <= '9') {
        if (p->at - start >= 17) {
            return parse_fail(p, "a number is too long");
        }
        value = value * 10 + (p->text.data[p->at++] - '0');
    }
    if (p->n_numbers == MOST_NUMBERS) {
        return parse_fail(p, "too many numbers");
    }
    p->numbers[p->n_numbers++] = value;
    *out = (struct fraction){value, 1};
    return true;
}

static bool parse_factor(struct parser *p, struct fraction *out)
{
    char c = parse_peek(p);
    if (c >= '0' && c <= '9') {
        return parse_number(p, out);
    }
    if (c != '(') {
        return parse_fail(p, "not an expression");
    }
    if (++p->depth > MOST_DEPTH) {
        return parse_fail(p, "too deep");
    }
    p->at++;
    if (!parse_expression(p, out)) {
        return false;
    }
    if (parse_peek(p) != ')') {
        return parse_fail(p, "a parenthesis is open");
    }
    p->at++;
    p->depth--;
    return true;
}

static bool parse_chain(struct parser *p, const char *operators, bool (*operand)(struct parser *, struct fraction *),
                        struct fraction *out)
{
    if (!operand(p, out)) {
        return false;
    }
    for (char c = parse_peek(p); c && strchr(operators, c); c = parse_peek(p)) {
        struct fraction right = {0, 1};
        p->at++;
        if (!operand(p, &right) || !combine(p, c, *out, right, out)) {
            return false;
        }
    }
    return true;
}

static bool parse_term(struct parser *p, struct fraction *out)
{
    return parse_chain(p, "*/", parse_factor, out);
}

static bool parse_expression(struct parser *p, struct fraction *out)
{
    return parse_chain(p, "+-", parse_term, out);
}

/* Each given number is used once, and no other. */
static bool same_numbers(const struct parser *p, const json_t *nums)
{
    bool used[MOST_NUMBERS] = {false};
    if ((size_t)p->n_numbers != json_array_size(nums)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(nums); i++) {
        int j = 0;
        while (j < p->n_numbers && (used[j] || p->numbers[j] != json_integer_value(json_array_get(nums, i)))) {
            j++;
        }
        if (j == p->n_numbers) {
            return false;
        }
        used[j] = true;
    }
    return true;
}

static const char *judge_expression(struct str text, const json_t *nums, int64_t target)
{
    struct parser p = {.text = text};
    struct fraction value = {0, 1};
    if (!parse_expression(&p, &value)) {
        return p.wrong;
    }
    if (parse_peek(&p) != '\0' || p.at != text.length) {
        return "not an expression";
    }
    if (!same_numbers(&p, nums)) {
        return "not the given numbers, each once";
    }
    return value.bottom == 1 && value.top == target ? "right" : "another value";
}

static bool valid_fields(const json_t *nums, const json_t *target)
{
    if (!json_is_array(nums) || json_array_size(nums) > MOST_NUMBERS || !json_is_integer(target)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(nums); i++) {
        if (!json_is_integer(json_array_get(nums, i))) {
            return false;
        }
    }
    return true;
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
    struct str answer;
    if (countdown->needs_format) {
        if (item->truncated || !tags_strict(item->completion, countdown->prefilled, NULL, &answer)) {
            return verdict_ok(0, "not in the format", (struct str){0});
        }
    } else if (!tags_answer(item->completion, &answer)) {
        return verdict_ok(0, "no answer tag", (struct str){0});
    }
    answer = str_trim(answer);
    struct str expression = answer;
    ptrdiff_t equals = str_find(answer, STR("="), 0);
    if (countdown->allow_equals && equals >= 0) {
        int64_t said;
        expression = str_trim(str_slice(answer, 0, (size_t)equals));
        if (!str_to_int(str_trim(str_slice(answer, (size_t)equals + 1, answer.length)), &said) ||
            said != json_integer_value(target)) {
            return verdict_ok(0, "another value", answer);
        }
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
