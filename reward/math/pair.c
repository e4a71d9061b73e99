/* reward/math/pair.c - cheap tests first (plain numbers, text, letters), then trees, then the other readings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/pair.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reward/answer_phrase.h"
#include "reward/math/field.h"
#include "reward/math/match.h"
#include "reward/math/parse.h"
#include "reward/math/text.h"
#include "reward/math/units.h"
#include "reward/number.h"

struct side {
    struct str text; /* cleaned */
    struct math_tokens tokens;
    struct math_tree tree;
    struct str canonical; /* tokens written out in one way */
};

/* ---- the part of a text that counts ---- */

static struct str join_boxes(const struct answer *answer, struct arena *arena)
{
    if (answer->n_boxes == 1) {
        return answer->text;
    }
    size_t length = 0;
    for (int i = 0; i < answer->n_boxes; i++) {
        length += answer->boxes[i].length + 2;
    }
    char *data = arena_alloc(arena, length);
    length = 0;
    for (int i = 0; i < answer->n_boxes; i++) {
        memcpy(data + length, answer->boxes[i].data, answer->boxes[i].length);
        length += answer->boxes[i].length;
        data[length++] = ',';
        data[length++] = ' ';
    }
    return (struct str){data, length - 2};
}

/* "'5'", "*5*", "_5_", "`5`" */
static struct str without_quotes(struct str text)
{
    while (text.length > 2 && strchr("'\"`*_", text.data[0]) && text.data[0] == text.data[text.length - 1]) {
        text = str_trim(str_slice(text, 1, text.length - 1));
    }
    return text;
}

/* The answer of a whole solution: its box, or what its last phrase names. */
static struct str what_counts(struct str text, struct arena *arena)
{
    struct answer answer;
    text = without_quotes(str_trim(text));
    for (int depth = 0; depth < 4 && memmem(text.data ? text.data : "", text.length, "box", 3); depth++) {
        if (!answer_boxes(text, false, &answer)) {
            break;
        }
        text = join_boxes(&answer, arena);
    }
    bool phrase = memmem(text.data ? text.data : "", text.length, "nswer", 5) ||
                  memmem(text.data ? text.data : "", text.length, "####", 4);
    return phrase && answer_phrase_marked(text, &answer) ? answer.text : text;
}

/* ---- canonical text ---- */

static bool is_article(const struct math_token *t)
{
    bool a =
        t->kind == TOKEN_SYMBOL && (t->word || t[1].space) && str_equal(t->text, STR("a")) && t[1].kind == TOKEN_TEXT;
    return a || (t->kind == TOKEN_TEXT && (str_equal(t->text, STR("the")) || str_equal(t->text, STR("an")) ||
                                           str_equal(t->text, STR("The")) || str_equal(t->text, STR("An"))));
}

static void add_lower(struct strbuf *out, struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        strbuf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
}

static void add_token(struct strbuf *out, const struct math_token *t, const struct math_token *before, bool prose)
{
    switch (t->kind) {
    case TOKEN_NUMBER:
        if (before && before->kind == TOKEN_NUMBER) {
            strbuf_putc(out, ' ');
        }
        strbuf_add_str(out, t->text);
        if (t->exponent) {
            strbuf_printf(out, "e%d", t->exponent);
        }
        break;
    case TOKEN_TEXT: add_lower(out, t->text); break;
    case TOKEN_OPEN:
    case TOKEN_CLOSE:
    case TOKEN_OPERATOR:
    case TOKEN_RELATION:
    case TOKEN_SEPARATOR:
        strbuf_putc(out, (char)(1 + t->kind)); /* a control character, so that no letter is taken for a code */
        strbuf_putc(out, (char)t->code);
        break;
    case TOKEN_BAR:
    case TOKEN_CELL:
    case TOKEN_ROW:
    case TOKEN_DOTS:
    case TOKEN_GAP: strbuf_putc(out, (char)('0' + t->kind)); break;
    default:
        if (prose) {
            add_lower(out, t->text);
        } else {
            strbuf_add_str(out, t->text);
        }
        break;
    }
}

static struct str canonical(const struct math_tokens *tokens, struct arena *arena)
{
    struct strbuf out = STRBUF_INIT;
    bool prose = false;
    for (int i = 0; i < tokens->n; i++) {
        prose |= tokens->list[i].kind == TOKEN_TEXT;
    }
    for (int i = 0; i < tokens->n; i++) {
        const struct math_token *t = &tokens->list[i];
        bool comma = t->kind == TOKEN_SEPARATOR && t->code == ',' && prose;
        if (!is_article(t) && !comma && (t->kind != TOKEN_GAP)) {
            add_token(&out, t, i ? t - 1 : NULL, prose);
        }
    }
    struct str text = {arena_strndup(arena, out.data, out.length), out.length};
    strbuf_release(&out);
    return text;
}

/* ---- letters and truths ---- */

/* After the letter of an answer, "B: 12" or "B. 12", comes its value, and no other letter. */
static bool labels(const struct math_token *t, const struct math_token *end)
{
    bool colon = t[-1].kind == TOKEN_OPERATOR && t[-1].code == ':';
    bool value = t->kind == TOKEN_NUMBER || t->kind == TOKEN_COMMAND;
    if (!value || !(colon || t->space)) {
        return false;
    }
    for (; t < end; t++) {
        bool letter =
            t->kind == TOKEN_SYMBOL && t->text.length == 1 && t->text.data[0] >= 'A' && t->text.data[0] <= 'J';
        if (letter || (t->kind == TOKEN_SEPARATOR && t->code == '|')) {
            return false;
        }
    }
    return true;
}

/* The choice a text makes: "C", "(C)", "C) three", "(C) three". 0: none. */
static char choice(const struct math_tokens *tokens, bool said)
{
    const struct math_token *t = tokens->list, *end = t + tokens->n;
    t += t->kind == TOKEN_TEXT && t->text.length == 6 &&
         (strncasecmp(t->text.data, "option", 6) == 0 || strncasecmp(t->text.data, "choice", 6) == 0);
    bool opened = t->kind == TOKEN_OPEN && t->code == '(';
    t += opened;
    if (t >= end || t->kind != TOKEN_SYMBOL || t->text.length != 1) {
        return 0;
    }
    char letter = t->text.data[0] >= 'a' ? (char)(t->text.data[0] - ('a' - 'A')) : t->text.data[0];
    t++;
    bool closed = t < end && t->kind == TOKEN_CLOSE;
    if (letter < 'A' || letter > 'J' || (opened && !closed)) {
        return 0;
    }
    t += closed;
    t += t < end && t->kind == TOKEN_OPERATOR && t->code == ':';
    bool words = t == end || t->kind == TOKEN_TEXT; /* after a bare letter a name, no sentence about it */
    for (const struct math_token *w = t; w < end; w++) {
        bool small = w->kind == TOKEN_SYMBOL && w->text.data[0] >= 'a';
        words &= small || (w->kind == TOKEN_TEXT && !str_equal(w->text, STR("is")) && !str_equal(w->text, STR("are")));
    }
    return words || (closed && t->kind != TOKEN_OPERATOR) || (said && labels(t, end)) ? letter : 0;
}

static bool same_choice(const struct side *gold, const struct side *said)
{
    char g = choice(&gold->tokens, false), s = choice(&said->tokens, true);
    const struct math_token *first = &gold->tokens.list[gold->tokens.list->kind == TOKEN_OPEN];
    bool capital = g && first->text.data[0] <= 'Z'; /* a lower-case reference may be a variable */
    return g == s && capital;
}

static bool same_truth(const struct side *gold, const struct side *said)
{
    char g = math_units_truth(gold->canonical);
    return g && g == math_units_truth(said->canonical);
}

/* A number word that is the whole text becomes its number. */
static void read_number_word(struct side *side, struct arena *arena)
{
    int n = side->tokens.n == 1 && side->tokens.list[0].kind == TOKEN_TEXT
                ? math_units_number(side->tokens.list[0].text)
                : -1;
    if (n >= 0) {
        side->tokens.list[0].kind = TOKEN_NUMBER;
        side->tokens.list[0].text = str_of(arena_printf(arena, "%d", n));
    }
}

/* ---- one reading ---- */

static bool read_tokens(struct math_work *work, struct side *side, unsigned flags)
{
    if (!math_lex(work, side->text, flags, &side->tokens)) {
        side->tree.wrong = side->tokens.wrong;
        return false;
    }
    read_number_word(side, work->arena);
    side->canonical = canonical(&side->tokens, work->arena);
    return true;
}

/* "\$5" is an amount of dollars. */
static struct str currency_name(char currency)
{
    return currency == '$'   ? STR("dollars")
           : currency == 'p' ? STR("GBP")
           : currency == 'e' ? STR("euros")
                             : STR("yen");
}

static void add_currency(struct math_work *work, struct side *side)
{
    struct math_node *root = side->tree.root;
    if (side->tokens.currency && root && root->op < OP_UNIT) {
        struct math_node *unit = math_node_1(work, OP_UNIT, root);
        if (unit) {
            unit->text = currency_name(side->tokens.currency);
            side->tree.root = unit;
        }
    }
}

static void read_tree(struct math_work *work, struct side *side)
{
    work->n_nodes = 0;
    math_parse(work, &side->tokens, &side->tree);
    add_currency(work, side);
}

static uint64_t hash(uint64_t h, struct str text)
{
    for (size_t i = 0; i < text.length; i++) {
        h = (h ^ (unsigned char)text.data[i]) * 0x100000001B3u;
    }
    return math_field_mix(h);
}

/* Reads both with the flags given, and compares. */
static bool equal_as(struct math_check *check, struct side *gold, struct side *said, unsigned gold_flags,
                     unsigned said_flags)
{
    if (!read_tokens(&check->work, gold, gold_flags)) {
        return false;
    }
    if (!read_tokens(&check->work, said, said_flags)) {
        read_tree(&check->work, gold); /* to know whose fault it is */
        return false;
    }
    check->path = "text";
    bool money = gold->tokens.currency && said->tokens.currency && gold->tokens.currency != said->tokens.currency;
    if (gold->canonical.length && str_equal(gold->canonical, said->canonical) && !money) {
        return true;
    }
    check->path = "words";
    if (same_truth(gold, said) || same_choice(gold, said)) {
        return true;
    }
    read_tree(&check->work, gold);
    read_tree(&check->work, said);
    check->work.n_nodes = 0;
    return gold->tree.root && said->tree.root && math_match(check, gold->tree.root, said->tree.root);
}

/* May a comma of the answer be a decimal point: the reference has one, or is one value, and the answer begins with
 * "0,"? */
static bool wants_point(const struct side *gold, const struct side *said)
{
    const struct math_node *root = gold->tree.root;
    bool decimal = root && root->op == OP_NUMBER && memchr(root->text.data, '.', root->text.length);
    struct str text = str_trim(said->text);
    text = str_slice(text, str_starts(text, STR("-")), text.length);
    return decimal || (root && root->op < OP_BASED && str_starts(text, STR("0,")));
}

static bool equal_somehow(struct math_check *check, struct side *gold, struct side *said)
{
    if (equal_as(check, gold, said, 0, 0)) {
        return true;
    }
    struct side first[2] = {*gold, *said};
    const unsigned other = MATH_LEX_NO_GROUPS | MATH_LEX_NO_E;
    bool g = gold->tokens.ambiguous, s = said->tokens.ambiguous, comma = said->tokens.comma_point;
    bool equal = (g || s) && equal_as(check, gold, said, g ? other : 0, s ? other : 0);
    if (!equal && comma && wants_point(gold, said)) {
        equal = equal_as(check, gold, said, 0, MATH_LEX_COMMA_POINT);
    }
    if (!equal) {
        *gold = first[0];
        *said = first[1];
    }
    return equal;
}

/* Reads a reference alone. False: it has no tokens. */
static bool read_gold(struct math_work *work, struct str gold, struct side *side)
{
    *side = (struct side){.text = math_text_clean(gold, work->arena)};
    if (!read_tokens(work, side, 0)) {
        return false;
    }
    read_tree(work, side);
    return true;
}

/* NULL: a tree or words were read. */
static const char *wrong_with(const struct side *gold)
{
    bool words = gold->tokens.n > 0 && (gold->tree.prose || gold->tree.root);
    return words ? NULL : gold->tree.wrong ? gold->tree.wrong : "empty";
}

const char *math_pair_wrong(struct str gold, struct arena *arena)
{
    struct math_work work = {.arena = arena, .budget = MATH_BUDGET};
    struct side side;
    gold = what_counts(gold, arena);
    if (gold.length > MATH_MAX_BYTES || gold.length == 0) {
        return gold.length ? "too long" : "empty";
    }
    (void)read_gold(&work, gold, &side);
    return wrong_with(&side);
}

/* Could it be a plain number, by its ends and by signs that are in none? */
static bool looks_plain(struct str text)
{
    char first = text.data[0], last = text.data[text.length - 1];
    bool begins = (first >= '0' && first <= '9') || (unsigned char)first >= 0x80 || strchr("-+.\\${mn*", first),
         ends = (last >= '0' && last <= '9') || (unsigned char)last >= 0x80 || strchr("}$.*", last);
    for (size_t i = 0; i < text.length && begins && ends; i++) {
        char c = text.data[i];
        begins = (unsigned char)c >= 'a' || !strchr("^_=|&!<>()[];:%", c);
    }
    return begins && ends;
}

/* Digits, and a sign before them: two of these differ or are equal, and no rounding makes them so. */
static bool is_integer(struct str text)
{
    size_t i = str_starts(text, STR("-")) || str_starts(text, STR("+"));
    size_t first = i;
    while (i < text.length && text.data[i] >= '0' && text.data[i] <= '9') {
        i++;
    }
    return i == text.length && i > first;
}

/* Two plain numbers of one value, read by number.h. Those that differ may still be equal by rounding. */
static bool same_number(struct str gold, struct str said, struct arena *arena)
{
    struct number g, s;
    return looks_plain(said) && looks_plain(gold) && number_read(said, arena, &s) && s.bare &&
           number_read(gold, arena, &g) && g.bare && number_equal(&g, &s);
}

/* "9 x 2 = 18": an "x" between numbers, in an equation. */
static bool multiplies_with_x(struct str text)
{
    char before = ' ';
    bool equals = memchr(text.data, '=', text.length) != NULL;
    for (size_t i = 0; i + 1 < text.length && equals; i++) {
        size_t next = i + 1 + (text.data[i + 1] == ' ');
        bool digit = next < text.length && strchr("0123456789.$", text.data[next]);
        if ((text.data[i] == 'x' || text.data[i] == 'X') && digit && before && strchr("0123456789)%", before)) {
            return true;
        }
        before = text.data[i] == ' ' ? before : text.data[i];
    }
    return false;
}

/* The same, of an answer whose "x" is a sign of multiplication, which number.h knows. */
static bool same_product(struct str gold, struct str said, struct arena *arena)
{
    struct number g, s;
    return number_read(gold, arena, &g) && number_read_prose(said, arena, &s) && number_equal(&g, &s);
}

struct math_outcome math_pair_judge(const struct math_options *options, struct str gold, struct str said,
                                    struct arena *arena)
{
    struct str counts[2] = {what_counts(gold, arena), what_counts(said, arena)};
    if (counts[0].length && str_equal(counts[0], counts[1])) {
        return (struct math_outcome){MATH_EQUAL, "text"};
    }
    if (!options->same_form && counts[0].length && counts[1].length && same_number(counts[0], counts[1], arena)) {
        return (struct math_outcome){MATH_EQUAL, "number"};
    }
    if (!options->same_form && counts[1].length && multiplies_with_x(counts[1]) &&
        same_product(counts[0], counts[1], arena)) {
        return (struct math_outcome){MATH_EQUAL, "number"};
    }
    if (is_integer(counts[0]) && is_integer(counts[1]) && !options->same_form && options->rel_tol <= 0) {
        return (struct math_outcome){MATH_DIFFERENT, "number"};
    }
    if (counts[0].length > MATH_MAX_BYTES || counts[1].length > MATH_MAX_BYTES || !counts[0].length ||
        !counts[1].length) {
        const char *wrong = math_pair_wrong(counts[0], arena);
        return wrong ? (struct math_outcome){MATH_GOLD_UNREAD, wrong}
                     : (struct math_outcome){MATH_SAID_UNREAD, counts[1].length ? "too long" : "empty"};
    }
    struct math_check check = {.options = options, .work = {.arena = arena, .budget = MATH_BUDGET}, .path = "text"};
    check.seed = hash(hash(1, counts[0]), counts[1]);
    struct side g = {.text = math_text_clean(counts[0], arena)}, s = {.text = math_text_clean(counts[1], arena)};
    if (equal_somehow(&check, &g, &s)) {
        return (struct math_outcome){MATH_EQUAL, check.path};
    }
    if (wrong_with(&g)) {
        return (struct math_outcome){MATH_GOLD_UNREAD, wrong_with(&g)};
    }
    if (check.work.budget <= 0) {
        return (struct math_outcome){MATH_LIMIT, "too much work"};
    }
    if (!s.tree.root) {
        return (struct math_outcome){MATH_SAID_UNREAD, s.tree.wrong ? s.tree.wrong : "empty"};
    }
    return (struct math_outcome){MATH_DIFFERENT, check.path};
}

int math_pair_count(struct str gold, struct arena *arena)
{
    struct math_work work = {.arena = arena, .budget = MATH_BUDGET};
    struct side side;
    gold = what_counts(gold, arena);
    bool read = gold.length <= MATH_MAX_BYTES && gold.length && read_gold(&work, gold, &side);
    return read && side.tree.root ? math_match_count(side.tree.root) : 1;
}
