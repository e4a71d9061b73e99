/* reward/math/amount.c - parses unit words into a kind, a factor and a power, and compares in base units.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/amount.h"

#include <string.h>
#include <strings.h>

#include "reward/math/units.h"

/* A unit and its power; kind 0: unknown, or without a conversion. */
struct measure {
    char kind;
    int power;
    int64_t num, den;
};

static struct str next_word(struct str *text)
{
    *text = str_trim(*text);
    size_t n = 0;
    while (n < text->length && text->data[n] != ' ') {
        n++;
    }
    struct str word = str_slice(*text, 0, n);
    *text = str_slice(*text, n, text->length);
    return word;
}

static int power_word(struct str word)
{
    return str_equal(word, STR("square")) || str_equal(word, STR("sq")) || str_equal(word, STR("squared")) ? 2
           : str_equal(word, STR("cubic")) || str_equal(word, STR("cubed"))                                ? 3
                                                                                                           : 1;
}

/* "miles per hour", after "miles": `m` is made a speed, or nothing. */
static struct measure per_time(struct measure m, struct str text)
{
    const struct math_unit *time = math_units_find(next_word(&text));
    if (!time || time->kind != 't' || m.kind != 'l' || m.power != 1 || str_trim(text).length) {
        return (struct measure){0};
    }
    return (struct measure){'m', 1, m.num * time->den, m.den * time->num};
}

/* "cm", "square feet", "inches^2", "km per hour"; anything with more words has no conversion. */
static struct measure measure_of(struct str text)
{
    struct measure m = {.power = 1};
    int units = 0;
    while (text.length) {
        struct str word = next_word(&text);
        if (str_equal(word, STR("per"))) {
            return per_time(m, text);
        }
        int power = power_word(word);
        m.power *= power;
        if (power > 1 || !word.length) {
            continue;
        }
        bool raised = word.length > 2 && word.data[word.length - 2] == '^';
        m.power *= raised ? word.data[word.length - 1] - '0' : 1;
        const struct math_unit *unit = math_units_find(raised ? str_slice(word, 0, word.length - 2) : word);
        if (++units > 1 || !unit || m.power < 1 || m.power > 3) {
            return (struct measure){0};
        }
        m.kind = unit->kind;
        m.num = unit->num;
        m.den = unit->den;
    }
    return m;
}

static struct math_node *whole(struct math_check *check, int64_t value)
{
    struct math_node *node = math_node_new(&check->work, OP_NUMBER, 0);
    if (node) {
        node->text = str_of(arena_printf(check->work.arena, "%lld", (long long)value));
    }
    return node;
}

/* The value in base units. */
static struct math_node *in_base_units(struct math_check *check, struct math_node *value, struct measure m)
{
    for (int i = 0; i < m.power && value; i++) {
        struct math_node *num = whole(check, m.num), *den = whole(check, m.den);
        struct math_node *scaled = num ? math_node_2(&check->work, OP_MUL, value, num) : NULL;
        value = scaled && den ? math_node_2(&check->work, OP_DIV, scaled, den) : NULL;
    }
    return value;
}

static bool is_one_of(struct str name, const char *letters)
{
    return name.length == 1 && strchr(letters, name.data[0]);
}

/* The letter after a number ("10m", "10 m^2"); its power in *power. Empty: it is no such product. */
static struct str letter_of(const struct math_node *node, int64_t *power)
{
    bool product = node->op == OP_MUL && node->n == 2 && node->kids[0]->op == OP_NUMBER;
    const struct math_node *letter = product ? node->kids[1] : node;
    *power = 1;
    if (product && letter->op == OP_POW && math_node_small(letter->kids[1], power) && (*power == 2 || *power == 3)) {
        letter = letter->kids[0];
    }
    return product && letter->op == OP_SYMBOL ? letter->text : (struct str){0};
}

/* The number in front of a letter that is a unit; the node itself if there is none. */
static struct math_node *without_letter(struct math_node *node, const struct math_node *other, bool gold)
{
    int64_t power;
    struct str letter = letter_of(node, &power);
    if (!letter.length || !math_node_constant(other) || (power > 1 && !is_one_of(letter, "m"))) {
        return node;
    }
    bool decimal = memchr(node->kids[0]->text.data, '.', node->kids[0]->text.length) != NULL;
    bool unit = gold ? decimal && is_one_of(letter, "NJWVKTHF") : is_one_of(letter, "msghlLNJWVKT");
    return unit ? node->kids[0] : node;
}

/* 0: no half of the day. */
static char half_day(const struct math_node *node)
{
    bool half = node->op == OP_UNIT && node->text.length == 2 &&
                (strncasecmp(node->text.data, "am", 2) == 0 || strncasecmp(node->text.data, "pm", 2) == 0);
    return !half ? 0 : strchr("aA", node->text.data[0]) ? 'a' : 'p';
}

/* 9:30 before am or pm as 9 + 30/60. */
static struct math_node *hours(struct math_check *check, struct math_node *time)
{
    if (time->op != OP_RATIO || time->n != 2) {
        return time;
    }
    struct math_node *sixty = whole(check, 60);
    struct math_node *part = sixty ? math_node_2(&check->work, OP_DIV, time->kids[1], sixty) : NULL;
    struct math_node *sum = part ? math_node_2(&check->work, OP_ADD, time->kids[0], part) : NULL;
    return sum ? sum : time;
}

/* Units of which no side converts: are both made of known words, and not of the same? */
static bool differ(struct str a, struct str b)
{
    while (a.length && b.length) {
        struct str x = next_word(&a), y = next_word(&b);
        if (x.length == y.length && x.length > 2 && x.data[x.length - 2] == '^' &&
            str_equal(str_slice(x, 0, x.length - 1), str_slice(y, 0, y.length - 1)) && !str_equal(x, y)) {
            return true; /* units^2 and units^3 */
        }
        const struct math_unit *u = math_units_find(x), *v = math_units_find(y);
        if (!u || !v || (!u->kind && !str_equal(x, y)) || (!v->kind && !str_equal(x, y))) {
            return false; /* who knows */
        }
        if (u != v) {
            return true;
        }
    }
    return false;
}

static bool is_pound(struct str text)
{
    return str_equal(text, STR("pounds")) || str_equal(text, STR("pound"));
}

/* Both have units: 1 equal, 0 not, -1 the units do not decide. */
static int units_equal(struct math_check *check, struct math_node *gold, struct math_node *said)
{
    struct measure g = measure_of(gold->text), s = measure_of(said->text);
    if ((g.kind == 'p' && s.kind == 'w') || (g.kind == 'w' && s.kind == 'p')) {
        return is_pound(g.kind == 'w' ? gold->text : said->text) ? -1 : 0; /* "12 pounds" may be money */
    }
    bool converts = g.kind && g.kind == s.kind && g.power == s.power;
    if ((g.kind && s.kind && !converts) || (!converts && differ(gold->text, said->text))) {
        return 0;
    }
    if (!converts || (g.num == s.num && g.den == s.den)) {
        return -1;
    }
    struct math_node *a = in_base_units(check, gold->kids[0], g), *b = in_base_units(check, said->kids[0], s);
    return a && b && math_value_equal(check, a, b);
}

static struct math_node *amount_of(struct math_node *node)
{
    return node->op == OP_UNIT ? node->kids[0] : node;
}

/* 20% is no 20 cm. */
static bool percent_and_measure(const struct math_node *a, const struct math_node *b)
{
    return a->op == OP_PERCENT && b->op == OP_UNIT && measure_of(b->text).kind;
}

static bool radians_and_degrees(const struct math_node *a, const struct math_node *b)
{
    return a->op == OP_UNIT && measure_of(a->text).kind == 'r' && math_node_has(b, OP_DEGREE);
}

/* "3 g" as an amount of grams, where the other side has a unit; else the node itself. */
static struct math_node *lettered(struct math_check *check, struct math_node *node, const struct math_node *other)
{
    int64_t power;
    struct str letter = letter_of(node, &power);
    if (!letter.length || other->op != OP_UNIT || !is_one_of(letter, power > 1 ? "m" : "msghlLNJWVKT")) {
        return node;
    }
    struct math_node *unit = math_node_1(&check->work, OP_UNIT, node->kids[0]);
    if (unit) {
        unit->text = power == 1 ? letter : power == 2 ? STR("m^2") : STR("m^3");
    }
    return unit ? unit : node;
}

bool math_amount_equal(struct math_check *check, struct math_node *gold, struct math_node *said)
{
    char g_half = half_day(gold), s_half = half_day(said);
    if (g_half && s_half) {
        return g_half == s_half && math_value_equal(check, hours(check, gold->kids[0]), hours(check, said->kids[0]));
    }
    if (percent_and_measure(gold, said) || percent_and_measure(said, gold)) {
        return false;
    }
    if (radians_and_degrees(gold, said) || radians_and_degrees(said, gold)) {
        return math_value_zero(check, amount_of(gold), amount_of(said)) == ZERO_YES;
    }
    struct math_node *g_unit = lettered(check, gold, said), *s_unit = lettered(check, said, gold);
    int units = g_unit->op == OP_UNIT && s_unit->op == OP_UNIT ? units_equal(check, g_unit, s_unit) : -1;
    if (units >= 0) {
        return units;
    }
    gold = gold->op == OP_UNIT ? gold->kids[0] : gold;
    said = said->op == OP_UNIT ? said->kids[0] : said;
    struct math_node *g = without_letter(gold, said, true), *s = without_letter(said, gold, false);
    return math_value_equal(check, gold, said) || ((g != gold || s != said) && math_value_equal(check, g, s));
}
