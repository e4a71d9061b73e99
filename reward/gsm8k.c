/* reward/gsm8k.c - grade-school maths: the answer is one number.
 *
 * The reference is a number, or a solution that ends with "#### number". Numbers are compared exactly, digit by digit, with
 * thousands separators ("1,234", "1{,}234", "1,\!234"), a leading zero, zeros behind the point and a percent sign left out; a
 * currency in front and words behind are tolerated ("$18.00", "18 dollars", "x = 18", "18 cm^2"), another number is not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/answer.h"
#include "reward/gold.h"
#include "reward/rewards.h"
#include "reward/tags.h"

#define MOST_BYTES 4096

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

/* A number as its digits: no leading zeros, no zeros behind the last place. */
struct decimal {
    bool negative;
    struct str whole, places;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

static bool three_digits(struct str text, size_t at)
{
    return is_digit(at_or(text, at)) && is_digit(at_or(text, at + 1)) && is_digit(at_or(text, at + 2)) &&
           !is_digit(at_or(text, at + 3));
}

/* The length of a thousands separator at `at`; 0: none. */
static size_t separator(struct str text, size_t at)
{
    static const struct str forms[] = {{"{,}", 3}, {",\\!", 3}, {"\\,", 2}, {",", 1}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (str_starts(str_slice(text, at, text.length), forms[i])) {
            size_t end = at + forms[i].length;
            while (i == 1 && at_or(text, end) == ' ') {
                end++;
            }
            return three_digits(text, end) ? end - at : 0;
        }
    }
    return 0;
}

static size_t read_digits(struct str text, size_t at, char *digits, size_t *n)
{
    while (is_digit(at_or(text, at))) {
        digits[(*n)++] = text.data[at++];
        size_t gap = separator(text, at);
        at += gap;
    }
    return at;
}

/* The sign in front of `at`: "-", U+2212, with a currency in between. */
static bool negative(struct str text, size_t at)
{
    while (at > 0 && strchr("$\\ {", text.data[at - 1]) && text.data[at - 1]) {
        at--;
    }
    return (at >= 1 && text.data[at - 1] == '-') || str_ends(str_slice(text, 0, at), STR("\xe2\x88\x92"));
}

/* Behind powers of a unit ("cm^2", "cm^{2}") at `at`, whose digits are no number. */
static size_t skip_power(struct str text, size_t at)
{
    size_t i = at + 1 + (at_or(text, at + 1) == '{');
    return at_or(text, at) == '^' && is_digit(at_or(text, i)) ? i + 1 : at + 1;
}

/* Is there a number in what stands behind the number? */
static bool another_number(struct str text, size_t at)
{
    while (at < text.length) {
        if (is_digit(text.data[at]) || text.data[at] == '/') {
            return true;
        }
        at = skip_power(text, at);
    }
    return false;
}

static void decimal_trim(struct decimal *d)
{
    while (d->whole.length && d->whole.data[0] == '0') {
        d->whole = str_slice(d->whole, 1, d->whole.length);
    }
    while (d->places.length && d->places.data[d->places.length - 1] == '0') {
        d->places.length--;
    }
}

/* The one number of the text. False: none, or several. */
static bool decimal_read(struct str text, struct arena *arena, struct decimal *out)
{
    ptrdiff_t equals = str_find_last(text, STR("="));
    text = str_slice(text, equals >= 0 ? (size_t)equals + 1 : 0, text.length);
    if (text.length > MOST_BYTES) {
        return false;
    }
    char *digits = ARENA_NEW(arena, char, text.length + 1);
    size_t n = 0, first = 0;
    while (first < text.length && !is_digit(text.data[first]) &&
           !(text.data[first] == '.' && is_digit(at_or(text, first + 1)))) {
        first++;
    }
    size_t at = read_digits(text, first, digits, &n), whole = n;
    if (at_or(text, at) == '.') {
        for (at++; is_digit(at_or(text, at)); at++) {
            digits[n++] = text.data[at];
        }
    }
    if (n == 0 || another_number(text, at)) {
        return false;
    }
    *out = (struct decimal){.whole = {digits, whole}, .places = {digits + whole, n - whole}};
    decimal_trim(out);
    out->negative = negative(text, first) && (out->whole.length || out->places.length);
    return true;
}

static bool decimal_equal(const struct decimal *a, const struct decimal *b)
{
    return a->negative == b->negative && str_equal(a->whole, b->whole) && str_equal(a->places, b->places);
}

static struct verdict gsm8k_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct gsm8k *gsm8k = state;
    struct str golds[GOLD_MOST];
    int n_golds = 0;
    const char *wrong = gold_read(item->fields, gsm8k->field, call->arena, golds, &n_golds);
    if (wrong) {
        return verdict_error(wrong);
    }
    struct answer_options find = gsm8k->find;
    find.prefilled = tags_prefilled(find.prefilled, item->prompt);
    struct answer answer;
    const char *none = answer_find(item->completion, &find, &answer);
    struct decimal said, gold;
    bool number = !none && decimal_read(answer.text, call->arena, &said), right = false;
    for (int i = 0; i < n_golds; i++) {
        ptrdiff_t hashes = str_find_last(golds[i], STR("####"));
        struct str text = str_slice(golds[i], hashes >= 0 ? (size_t)hashes + 4 : 0, golds[i].length);
        if (!decimal_read(text, call->arena, &gold)) {
            return verdict_error("the reference cannot be read: it is not one number");
        }
        right |= number && decimal_equal(&said, &gold);
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
    .help = "1 if the number in the box, behind '####' or behind 'the answer is' is the reference's",
    .fields = "answer",
    .options = gsm8k_options,
    .open = gsm8k_open,
    .state_bytes = sizeof(struct gsm8k),
    .judge = gsm8k_judge,
};
