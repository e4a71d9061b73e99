/* reward/math/parse.c - from lists down to products; the lower levels are in parse_atom.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/parse.h"

#include <string.h>
#include <strings.h>

#include "reward/math/parser.h"
#include "reward/math/units.h"
#include "reward/number_words.h"

struct math_node *math_parser_fail(struct math_parser *p, const char *wrong)
{
    p->wrong = p->wrong ? p->wrong : wrong;
    return NULL;
}

bool math_parser_push(struct math_parser *p, struct math_kids *kids, struct math_node *node)
{
    if (!node) {
        math_parser_fail(p, "too many parts");
        return false;
    }
    if (kids->n == MATH_MAX_ITEMS * 2) {
        math_parser_fail(p, "too many items");
        return false;
    }
    if (kids->n == kids->max) {
        int max = kids->max ? kids->max * 4 : 8;
        struct math_node **list = ARENA_NEW(p->work->arena, struct math_node *, max);
        if (kids->n) {
            memcpy(list, kids->list, (size_t)kids->n * sizeof *list);
        }
        kids->list = list;
        kids->max = max;
    }
    kids->list[kids->n++] = node;
    return true;
}

struct math_node *math_parser_node(struct math_parser *p, enum math_op op, const struct math_kids *kids)
{
    struct math_node *node = math_node_new(p->work, op, kids->n);
    if (!node) {
        return math_parser_fail(p, "too many parts");
    }
    memcpy(node->kids, kids->list, (size_t)kids->n * sizeof *node->kids);
    return node;
}

/* ---- products and sums ---- */

bool math_parser_starts_factor(const struct math_parser *p)
{
    const struct math_token *t = &p->list[p->at];
    switch (t->kind) {
    case TOKEN_NUMBER:
    case TOKEN_SYMBOL:
    case TOKEN_BEGIN:
    case TOKEN_DOTS: return true;
    case TOKEN_OPEN: return t[1].kind != TOKEN_FUNCTION || t[1].code != FUNCTION_MOD; /* "(mod 5)" */
    case TOKEN_FUNCTION: return t->code != FUNCTION_MOD;
    case TOKEN_COMMAND: return t->code != 'm' && t->code != 'c' && t->code != 'v';
    case TOKEN_BAR: return p->bars == 0 && !p->divider;
    default: return false;
    }
}

static bool is_unit(struct str word)
{
    static const char *const allowed[] = {"squared", "cubed", "more", "less", "fewer", "times", "over"};
    size_t length;
    for (size_t i = 0; i < word.length; i += length) {
        char code = number_word_code(str_utf8_next(word, i, &length));
        if (code == '-' || code == '*') {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (word.length == strlen(allowed[i]) && strncasecmp(word.data, allowed[i], word.length) == 0) {
            return true;
        }
    }
    enum number_word kind = math_units_find(word) ? NUMBER_WORD_OTHER : number_word(word);
    return kind != NUMBER_WORD_NEGATION && kind != NUMBER_WORD_CHANGES && kind != NUMBER_WORD_MINUS;
}

/* Words after a value are its unit: "cm", "square feet", "miles per hour", "cm^2", "m/s", or what is counted. */
static struct math_node *parse_unit(struct math_parser *p, struct math_node *value)
{
    struct strbuf words = STRBUF_INIT;
    bool known = true, sane = true;
    while (math_parser_token(p)->kind == TOKEN_TEXT) {
        known &= math_units_find(math_parser_token(p)->text) != NULL;
        sane &= is_unit(math_parser_token(p)->text);
        if (words.length) {
            strbuf_putc(&words, ' ');
        }
        strbuf_add_str(&words, math_parser_token(p)->text);
        p->at++;
        while (math_parser_is(p, TOKEN_OPERATOR, '^')) {
            bool braced = p->list[p->at + 1].kind == TOKEN_OPEN && p->list[p->at + 1].code == '{';
            const struct math_token *power = &p->list[p->at + (braced ? 2 : 1)];
            bool minus = power->kind == TOKEN_OPERATOR && power->code == '-';
            power += minus;
            if (power->kind != TOKEN_NUMBER || (braced && power[1].kind != TOKEN_CLOSE)) {
                break;
            }
            strbuf_puts(&words, minus ? "^-" : "^");
            strbuf_add_str(&words, power->text);
            p->at = (int)(power - p->list) + 1 + braced;
        }
        if (math_parser_is(p, TOKEN_OPERATOR, '/') && p->list[p->at + 1].kind == TOKEN_TEXT) {
            strbuf_puts(&words, " per");
            p->at++;
        }
    }
    if (str_equal(strbuf_view(&words), STR("squared")) || str_equal(strbuf_view(&words), STR("cubed"))) {
        struct math_node *power = math_node_number(p->work, words.data[0] == 's' ? "2" : "3");
        strbuf_release(&words);
        return power ? math_node_2(p->work, OP_POW, value, power) : math_parser_fail(p, "too many parts");
    }
    struct math_node *unit = math_node_1(p->work, OP_UNIT, value);
    if (unit) {
        unit->text = (struct str){arena_strndup(p->work->arena, words.data, words.length), words.length};
    }
    strbuf_release(&words);
    bool numeric = math_node_constant(value) && value->op != OP_TEXT;
    return !unit || !sane || (!known && !numeric) ? math_parser_fail(p, "words") : unit;
}

/* Two adjacent numbers are no product ("2^6 3^5" is one). */
static bool numbers_collide(const struct math_parser *p, const struct math_node *left)
{
    const struct math_node *last = left->op == OP_MUL ? left->kids[left->n - 1] : left;
    return last->op == OP_NUMBER && p->list[p->at].kind == TOKEN_NUMBER;
}

static struct math_node *product_of(struct math_parser *p, struct math_node *left, char sign, struct math_node *right)
{
    if (sign == '/') {
        return math_node_2(p->work, OP_DIV, left, right);
    }
    if (right->op == OP_RELATION && !sign) { /* "(k in Z)" after a value */
        return left;
    }
    if (right->op == OP_TEXT && !sign && math_node_constant(left)) { /* "3.14 (approx)" */
        struct math_node *unit = math_node_1(p->work, OP_UNIT, left);
        if (unit) {
            unit->text = right->text;
        }
        return unit;
    }
    if (sign == 'm') {
        return math_node_function(p->work, FUNCTION_MOD, left, right);
    }
    return math_node_2(p->work, OP_MUL, left, right);
}

struct math_node *math_parser_term(struct math_parser *p)
{
    struct math_node *left = math_parser_factor(p);
    while (left) {
        char sign = 0;
        if (math_parser_is(p, TOKEN_OPERATOR, '*') || math_parser_is(p, TOKEN_OPERATOR, '/')) {
            sign = (char)math_parser_token(p)->code;
            p->at++;
        } else if (math_parser_is(p, TOKEN_FUNCTION, FUNCTION_MOD) && !p->congruence) {
            sign = 'm';
            p->at++;
        } else if (math_parser_token(p)->kind == TOKEN_TEXT && left->op != OP_TEXT) {
            left = parse_unit(p, left);
            continue;
        } else if (numbers_collide(p, left)) {
            return math_parser_fail(p, "two numbers side by side");
        } else if (!math_parser_starts_factor(p)) {
            break;
        }
        struct math_node *right = math_parser_factor(p);
        left = right ? product_of(p, left, sign, right) : NULL;
    }
    return left ? left : math_parser_fail(p, "not an expression");
}

struct math_node *math_parser_sum(struct math_parser *p)
{
    struct math_kids kids = {0};
    do {
        char sign = '+';
        if (kids.n) {
            sign = (char)math_parser_token(p)->code;
            p->at++;
        }
        struct math_node *term = math_parser_term(p);
        if (term && sign == '-') {
            term = math_node_1(p->work, OP_NEG, term);
        } else if (term && (sign == 'P' || sign == 'M')) {
            term = math_node_1(p->work, sign == 'P' ? OP_PLUS_MINUS : OP_MINUS_PLUS, term);
        }
        if (!math_parser_push(p, &kids, term)) {
            return NULL;
        }
    } while (math_parser_token(p)->kind == TOKEN_OPERATOR && strchr("+-PM", math_parser_token(p)->code) &&
             math_parser_token(p)->code);
    return kids.n == 1 ? kids.list[0] : math_parser_node(p, OP_ADD, &kids);
}

/* ---- ratios, sets, relations ---- */

/* A sum, or two with \over or \choose between them: these take all that is in their braces. */
static struct math_node *parse_infix(struct math_parser *p)
{
    struct math_node *top = math_parser_sum(p);
    bool over = math_parser_is(p, TOKEN_COMMAND, 'v'), choose = math_parser_is(p, TOKEN_COMMAND, 'c');
    if (!top || (!over && !choose)) {
        return top;
    }
    p->at++;
    struct math_node *bottom = math_parser_sum(p);
    if (!bottom) {
        return NULL;
    }
    return over ? math_node_2(p->work, OP_DIV, top, bottom)
                : math_node_function(p->work, FUNCTION_BINOMIAL, top, bottom);
}

static struct math_node *parse_ratio(struct math_parser *p)
{
    struct math_kids kids = {0};
    for (;;) {
        if (!math_parser_push(p, &kids, parse_infix(p))) {
            return NULL;
        }
        if (!math_parser_is(p, TOKEN_OPERATOR, ':') || p->divider) {
            break;
        }
        p->at++;
    }
    if (kids.n == 1) {
        return kids.list[0];
    }
    struct math_node *unit = kids.list[kids.n - 1]->op == OP_UNIT ? kids.list[kids.n - 1] : NULL;
    if (unit) { /* 9:30 am */
        kids.list[kids.n - 1] = unit->kids[0];
    }
    struct math_node *ratio = math_parser_node(p, OP_RATIO, &kids);
    struct math_node *amount = ratio && unit ? math_node_1(p->work, OP_UNIT, ratio) : ratio;
    if (amount && unit) {
        amount->text = unit->text;
    }
    return amount;
}

static struct math_node *parse_sets(struct math_parser *p)
{
    struct math_node *left = parse_ratio(p);
    while (left && math_parser_token(p)->kind == TOKEN_OPERATOR) {
        char code = (char)math_parser_token(p)->code;
        if (code != 'U' && code != 'N' && code != 'D') {
            break;
        }
        p->at++;
        enum math_op op = code == 'U' ? OP_UNION : code == 'N' ? OP_INTERSECTION : OP_DIFFERENCE;
        struct math_node *right = parse_ratio(p);
        left = right ? math_node_2(p->work, op, left, right) : NULL;
    }
    return left;
}

/* "(mod 5)" or \pmod 5: the modulus; NULL if there is none. */
static struct math_node *parse_modulus(struct math_parser *p)
{
    if (math_parser_is(p, TOKEN_COMMAND, 'm') || math_parser_is(p, TOKEN_FUNCTION, FUNCTION_MOD)) {
        p->at++;
        return math_parser_factor(p);
    }
    if (math_parser_is(p, TOKEN_OPEN, '(') && p->list[p->at + 1].kind == TOKEN_FUNCTION &&
        p->list[p->at + 1].code == FUNCTION_MOD) {
        p->at += 2;
        struct math_node *modulus = math_parser_sum(p);
        if (!math_parser_is(p, TOKEN_CLOSE, ')')) {
            return math_parser_fail(p, "a bracket is open");
        }
        p->at++;
        return modulus;
    }
    return NULL;
}

struct math_node *math_parser_item(struct math_parser *p)
{
    struct math_kids kids = {0};
    char codes[MATH_MAX_ITEMS * 2 + 1];
    while (math_parser_is(p, TOKEN_RELATION, '=') || math_parser_is(p, TOKEN_RELATION, 'A')) {
        p->at++;
    }
    for (;;) {
        if (!math_parser_push(p, &kids, parse_sets(p))) {
            return NULL;
        }
        if (math_parser_token(p)->kind != TOKEN_RELATION) {
            break;
        }
        codes[kids.n - 1] = (char)math_parser_token(p)->code;
        p->congruence |= codes[kids.n - 1] == 'Q';
        p->at++;
    }
    p->congruence = false;
    struct math_node *modulus = parse_modulus(p);
    if (p->wrong) {
        return NULL;
    }
    if (modulus) {
        codes[kids.n - 1] = 'M';
        if (!math_parser_push(p, &kids, modulus)) {
            return NULL;
        }
    }
    if (kids.n == 1) {
        return kids.list[0];
    }
    struct math_node *relation = math_parser_node(p, OP_RELATION, &kids);
    if (relation) {
        relation->text = (struct str){arena_strndup(p->work->arena, codes, (size_t)kids.n - 1), (size_t)kids.n - 1};
    }
    return relation;
}

/* ---- lists ---- */

static int strength(char separator)
{
    return separator == '|' ? 3 : separator == ';' ? 2 : 1;
}

/* The strongest of the separators present; 0: none. */
static char parse_separators(struct math_parser *p)
{
    char found = 0;
    while (math_parser_token(p)->kind == TOKEN_SEPARATOR || math_parser_token(p)->kind == TOKEN_GAP) {
        char code = math_parser_token(p)->kind == TOKEN_GAP ? ',' : (char)math_parser_token(p)->code;
        found = !found || strength(code) > strength(found) || (found == ',' && code == '&') ? code : found;
        p->at++;
    }
    return found;
}

static bool list_ends(const struct math_parser *p)
{
    enum math_token_kind kind = (enum math_token_kind)p->list[p->at].kind;
    return kind == TOKEN_END || kind == TOKEN_CLOSE || kind == TOKEN_CELL || kind == TOKEN_ROW ||
           kind == TOKEN_FINISH || kind == TOKEN_BAR;
}

/* Items divided by a strong separator into groups of one size, two and more, are lists in a list. */
static struct math_node *nest(struct math_parser *p, const struct math_kids *items, const char *separators, int level)
{
    int size = 0, begin = 0;
    struct math_kids groups = {0};
    for (int i = 0; i < items->n; i++) {
        if (i + 1 < items->n && strength(separators[i]) < level) {
            continue;
        }
        int n = i + 1 - begin;
        if (n < 2 || (size && n != size)) {
            return NULL;
        }
        size = n;
        struct math_kids group = {items->list + begin, n, n};
        if (!math_parser_push(p, &groups, math_parser_node(p, OP_LIST, &group))) {
            return NULL;
        }
        groups.list[groups.n - 1]->code = ',';
        begin = i + 1;
    }
    return groups.n > 1 ? math_parser_node(p, OP_LIST, &groups) : NULL;
}

struct math_node *math_parser_list(struct math_parser *p)
{
    struct math_kids items = {0};
    char separators[MATH_MAX_ITEMS * 2 + 1];
    char strongest = 0;
    parse_separators(p);
    for (;;) {
        if (!math_parser_push(p, &items, math_parser_item(p))) {
            return NULL;
        }
        char separator = parse_separators(p);
        if (!separator || list_ends(p)) {
            break;
        }
        separators[items.n - 1] = separator;
        bool stronger =
            strength(separator) > strength(strongest) || !strongest || (strongest == ',' && separator == '&');
        strongest = stronger ? separator : strongest;
    }
    if (items.n == 1) {
        return items.list[0];
    }
    struct math_node *list = strength(strongest) > 1 ? nest(p, &items, separators, strength(strongest)) : NULL;
    list = list || p->wrong ? list : math_parser_node(p, OP_LIST, &items);
    if (list) {
        list->code = (uint8_t)strongest;
    }
    return list;
}

/* ---- the whole ---- */

static bool word_is(const struct math_token *t, const char *word)
{
    return t->kind == TOKEN_TEXT && t->text.length == strlen(word) &&
           strncasecmp(t->text.data, word, t->text.length) == 0;
}

static bool word_in(const struct math_token *t, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (word_is(t, words[i])) {
            return true;
        }
    }
    return false;
}

/* Where the one condition begins ("for all n", "where k is an integer"); 0: there is none, or it may tell cases
 * apart. */
static int find_condition(const struct math_token *list, int n)
{
    static const char *const opens[] = {"for", "where", "with", NULL}, *const cases[] = {"if",   "when",      "odd",
                                                                                         "even", "otherwise", NULL};
    int cut = 0, brackets = 0;
    for (int i = 1; i < n; i++) {
        bool begins = word_in(&list[i], opens);
        if ((begins && cut) || word_in(&list[i], cases) || list[i].kind == TOKEN_BEGIN) {
            return 0;
        }
        cut = begins ? i : cut;
        brackets += cut && list[i].kind == TOKEN_OPEN ? 1 : cut && list[i].kind == TOKEN_CLOSE ? -1 : 0;
        bool divides = list[i].kind == TOKEN_SEPARATOR && (list[i].code == '|' || list[i].code == ';');
        if (cut && (divides || brackets < 0)) {
            return 0;
        }
    }
    return cut;
}

/* Where "\quad (n \ge 1)" begins at the end of the tokens; 0: there is none. */
static int find_bracketed_condition(const struct math_token *list, int n)
{
    bool relates = false;
    if (n < 6 || list[n - 1].kind != TOKEN_CLOSE || list[n - 1].code != ')') {
        return 0;
    }
    for (int i = n - 2; i > 1; i--) {
        relates |= list[i].kind == TOKEN_RELATION && list[i].code != '=';
        if (list[i].kind == TOKEN_OPEN && list[i].match == n - 1) {
            return relates && list[i - 1].kind == TOKEN_GAP ? i : 0;
        }
    }
    return 0;
}

/* A condition after the answer is left out. */
static void cut_condition(struct math_token *list, int *n)
{
    int cut = find_condition(list, *n);
    cut = cut ? cut : find_bracketed_condition(list, *n);
    while (cut > 1 && (list[cut - 1].kind == TOKEN_SEPARATOR || list[cut - 1].kind == TOKEN_GAP)) {
        cut--;
    }
    if (cut > 0) {
        list[cut] = list[*n];
        *n = cut;
    }
}

/* Words in front that do not matter: "answer", "about". */
static int skip_words(const struct math_token *list, int n)
{
    static const char *const words[] = {"the",     "final",  "answer", "is",        "about",   "approximately",
                                        "exactly", "thus",   "hence",  "therefore", "roughly", "around",
                                        "equals",  "indeed", "simply", "just",      NULL};
    int at = 0;
    while (at + 1 < n && word_in(&list[at], words)) {
        at += 1 + (list[at + 1].kind == TOKEN_OPERATOR && list[at + 1].code == ':');
    }
    return at < n ? at : 0;
}

void math_parse(struct math_work *work, const struct math_tokens *tokens, struct math_tree *out)
{
    *out = (struct math_tree){0};
    int n = tokens->n;
    if (n == 0) {
        out->wrong = "empty";
        return;
    }
    struct math_parser p = {.work = work};
    p.list = ARENA_NEW(work->arena, struct math_token, n + 4); /* some ends, to look ahead */
    memcpy(p.list, tokens->list, (size_t)n * sizeof *p.list);
    for (int i = n; i < n + 4; i++) {
        p.list[i] = tokens->list[n];
    }
    cut_condition(p.list, &n);
    while (n > 1 && (p.list[n - 1].kind == TOKEN_SEPARATOR || p.list[n - 1].kind == TOKEN_GAP)) {
        p.list[--n] = tokens->list[tokens->n];
    }
    p.at = skip_words(p.list, n);
    for (int i = 0; i < n; i++) {
        out->prose |= p.list[i].kind == TOKEN_TEXT;
    }
    struct math_node *root = math_parser_list(&p);
    if (root && math_parser_is(&p, TOKEN_CLOSE, '}')) { /* the box's own, or stray */
        p.at++;
    }
    if (root && p.at < n) {
        root = math_parser_fail(&p, "not an expression");
    }
    out->root = root;
    out->wrong = root ? NULL : p.wrong;
}
