/* reward/math/value.c - several points in several fields, then floating point, then the digits as they are written.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reward/math/field.h"

#define ROUNDS          3  /* fields in which both must agree */
#define ROUNDS_COUNTING 8  /* where variables have few values */
#define ROUNDS_PIECES   20 /* where a minimum and the like hide one part at every point */
#define TRIES           60 /* for a field with the roots, and a point in the domain */

/* ---- exact ---- */

static bool certain(const struct math_mod *mod)
{
    return !mod->formal && !(mod->used_pi && mod->used_e);
}

static void next_field(struct math_mod *mod, uint64_t seed, int attempt)
{
    mod->p = math_field_primes[(seed + (uint64_t)attempt * 7) % MATH_FIELD_PRIMES];
    mod->seed = math_field_mix(seed);
    mod->point = math_field_mix(seed ^ math_field_mix((uint64_t)attempt));
    mod->n_bound = 0;
}

/* Does it hold a function that is made of pieces, of something that varies? */
static bool in_pieces(const struct math_node *node)
{
    bool pieces = node->op == OP_FUNCTION && node->code >= FUNCTION_ABS && node->code <= FUNCTION_MOD &&
                  node->code != FUNCTION_FACTORIAL && node->code != FUNCTION_BINOMIAL && !math_node_constant(node);
    for (int i = 0; i < node->n && !pieces; i++) {
        pieces = in_pieces(node->kids[i]);
    }
    return pieces;
}

static enum math_zero modular_zero(struct math_check *check, const struct math_node *a, const struct math_node *b,
                                   bool ln)
{
    struct math_mod mod = {.work = &check->work, .domain = math_mod_domain(a, b), .natural_log = ln};
    int rounds = in_pieces(a) || in_pieces(b)         ? ROUNDS_PIECES
                 : mod.domain == MATH_DOMAIN_COUNTING ? ROUNDS_COUNTING
                                                      : ROUNDS;
    int agree = 0;
    for (int attempt = 0; attempt < TRIES && agree < rounds; attempt++) {
        uint64_t x, y;
        next_field(&mod, check->seed, attempt);
        enum math_mod_state state = math_mod_eval(&mod, a, &x);
        state = state == MOD_VALUE ? math_mod_eval(&mod, b, &y) : state;
        if (state == MOD_UNABLE) {
            return ZERO_UNKNOWN;
        }
        if (state != MOD_VALUE) {
            continue;
        }
        if (x != y) {
            return certain(&mod) ? ZERO_NO : ZERO_UNKNOWN;
        }
        agree++;
    }
    return agree == rounds ? ZERO_YES : ZERO_UNKNOWN;
}

static bool has_bare_log(const struct math_node *node)
{
    bool has = node->op == OP_FUNCTION && node->code == FUNCTION_LOG && node->n == 1;
    for (int i = 0; i < node->n && !has; i++) {
        has = has_bare_log(node->kids[i]);
    }
    return has;
}

static enum math_zero zero_with(struct math_check *check, const struct math_node *a, const struct math_node *b, bool ln)
{
    enum math_zero zero = modular_zero(check, a, b, ln);
    if (zero != ZERO_UNKNOWN) {
        check->path = "exact";
        return zero;
    }
    check->path = "numeric";
    return math_num_equal(&check->work, a, b, check->seed, ln);
}

enum math_zero math_value_zero(struct math_check *check, const struct math_node *a, const struct math_node *b)
{
    enum math_zero zero = zero_with(check, a, b, false);
    if (zero != ZERO_YES && (has_bare_log(a) || has_bare_log(b))) {
        zero = zero_with(check, a, b, true);
    }
    return zero;
}

bool math_value_proportional(struct math_check *check, const struct math_node *a, const struct math_node *b, int *sign)
{
    struct math_mod mod = {.work = &check->work, .domain = math_mod_domain(a, b)};
    int agree = 0;
    bool able = true, zero = true;
    for (int attempt = 0; attempt < TRIES && agree < ROUNDS && able; attempt++) {
        uint64_t x[2], y[2];
        enum math_mod_state state = MOD_VALUE;
        for (int i = 0; i < 2 && state == MOD_VALUE; i++) { /* two points of one field */
            next_field(&mod, check->seed, attempt);
            mod.point ^= (uint64_t)i;
            state = math_mod_eval(&mod, a, &x[i]);
            state = state == MOD_VALUE ? math_mod_eval(&mod, b, &y[i]) : state;
        }
        if (state == MOD_UNABLE) {
            able = false;
        } else if (state == MOD_VALUE) {
            bool same = math_field_mul(x[0], y[1], mod.p) == math_field_mul(x[1], y[0], mod.p);
            if (!same && certain(&mod)) {
                return false;
            }
            able = same;
            zero &= x[0] == 0 || y[0] == 0;
            agree++;
        }
    }
    enum math_zero numeric = math_num_ratio(&check->work, a, b, check->seed, sign);
    check->path = able && agree == ROUNDS ? "exact" : "numeric";
    return able && agree == ROUNDS ? !zero && numeric != ZERO_NO : numeric == ZERO_YES;
}

/* ---- form ---- */

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A hash of the tree in which sums and products have no order, and a - b is a + -b. */
static uint64_t form(const struct math_node *node)
{
    uint64_t kids[MATH_MAX_ITEMS], h = math_field_mix(node->op + 1000u * node->code);
    int n = node->n < MATH_MAX_ITEMS ? node->n : MATH_MAX_ITEMS;
    for (size_t i = 0; i < node->text.length; i++) {
        h = math_field_mix(h ^ (unsigned char)node->text.data[i]);
    }
    for (int i = 0; i < n; i++) {
        kids[i] = form(node->kids[i]);
    }
    if (node->op == OP_ADD) {
        qsort(kids, (size_t)n, sizeof *kids, compare_hashes);
    } else if (node->op == OP_MUL) { /* products are trees of two: add up so that their order is nothing either */
        for (int i = 0; i < n; i++) {
            h = node->kids[i]->op == OP_MUL ? kids[i] + (i == 0 ? 0 : h)
                                            : (i == 0 ? 0 : h) + math_field_mix(kids[i] + 77);
        }
        return h;
    }
    for (int i = 0; i < n; i++) {
        h = math_field_mix(h ^ kids[i]) + (uint64_t)i;
    }
    return math_field_mix(h + (uint64_t)node->exponent);
}

/* ---- rounding ---- */

/* A number as it is written: its last place is 10^last; digits counts from the first that is not 0. */
struct written {
    bool decimal;
    int last, digits;
};

static bool read_written(const struct math_node *node, struct written *out)
{
    int64_t power;
    const struct math_node *kid = node->n > 0 ? node->kids[0] : NULL;
    switch ((enum math_op)node->op) {
    case OP_NUMBER: {
        const char *point = memchr(node->text.data, '.', node->text.length);
        int places = point ? (int)(node->text.length - (size_t)(point - node->text.data) - 1) : 0, digits = 0;
        for (size_t i = 0; i < node->text.length; i++) {
            digits += (digits || node->text.data[i] != '0') && node->text.data[i] != '.';
        }
        *out = (struct written){point || node->exponent, node->exponent - places, digits};
        return true;
    }
    case OP_NEG:
    case OP_UNIT: return kid && read_written(kid, out);
    case OP_PERCENT:
        if (!kid || !read_written(kid, out)) {
            return false;
        }
        out->last -= 2;
        return true;
    case OP_MUL: { /* 1.5 * 10^3 */
        const struct math_node *ten = node->n == 2 ? node->kids[1] : node, *exponent = node;
        if (ten->op != OP_POW || !math_node_small(ten->kids[0], &power) || power != 10 || !read_written(kid, out)) {
            return false;
        }
        exponent = ten->kids[1];
        bool minus = exponent->op == OP_NEG;
        if (!math_node_small(minus ? exponent->kids[0] : exponent, &power) || power > 9999) {
            return false;
        }
        out->last += (int)(minus ? -power : power);
        out->decimal = true;
        return true;
    }
    default: return false;
    }
}

static bool has_decimal(const struct math_node *node)
{
    bool has = node->op == OP_NUMBER && (memchr(node->text.data, '.', node->text.length) || node->exponent);
    for (int i = 0; i < node->n && !has; i++) {
        has = has_decimal(node->kids[i]);
    }
    return has;
}

static bool six_digits_agree(long double a, long double b)
{
    char x[40], y[40];
    snprintf(x, sizeof x, "%.5Le", a);
    snprintf(y, sizeof y, "%.5Le", b);
    return strcmp(x, y) == 0;
}

/* Is `said`, a decimal, the value g rounded or cut off at its last place, or what 64-bit arithmetic makes of it? */
static bool rounds_to(long double g, long double said, const struct written *w)
{
    long double unit = powl(10, w->last) * (1 + 1e-12L), difference = fabsl(g - said);
    if (w->digits >= 15) {
        return difference <= 1e-14L * fabsl(g);
    }
    return difference <= unit / 2 || (difference < unit && fabsl(said) < fabsl(g));
}

static bool rounding_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said)
{
    struct written g = {0}, s = {0};
    bool g_read = read_written(gold, &g), s_read = read_written(said, &s);
    bool g_decimal = has_decimal(gold), s_decimal = has_decimal(said);
    long double x, y;
    if ((!g_decimal && !s_decimal) || (g_decimal && !(g_read && g.decimal)) || (s_decimal && !(s_read && s.decimal)) ||
        !math_num_real(&check->work, gold, 0, &x) || !math_num_real(&check->work, said, 0, &y)) {
        return false;
    }
    if (!g_decimal) {
        bool integer = x == rintl(x) || fabsl(x - rintl(x)) < fabsl(x) * 1e-17L;
        return !integer && s.digits >= 3 && fabsl(x - y) <= 1.0001e-4L * fabsl(x) && rounds_to(x, y, &s);
    }
    if (!s_decimal) {
        long double unit = powl(10, g.last) * (1 + 1e-12L);
        bool whole = y == rintl(y) && g.last < 0; /* 100 is exact, and no rounding of it is 100.01 */
        return !whole && g.digits >= 2 && fabsl(x - y) <= (g.digits >= 4 && g.last < 0 ? unit : unit / 2);
    }
    long double off = fabsl(x - y) / powl(10, g.last);
    bool finer = s.last <= g.last - 3 && g.digits >= 2 && off <= 0.5L + 1e-12L && (off >= 0.01L || s.digits >= 12);
    bool six = g.digits >= 6 && s.digits >= 6 && g.last != s.last && x != rintl(x);
    return finer || (six && six_digits_agree(x, y));
}

static bool tolerance_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said)
{
    long double x, y;
    return math_num_real(&check->work, gold, 0, &x) && math_num_real(&check->work, said, 0, &y) &&
           fabsl(x - y) <= (long double)check->options->rel_tol * fabsl(x);
}

/* ---- signs that only one side has ---- */

/* The tree without its % or degree sign; NULL: it has none. */
static const struct math_node *without(struct math_check *check, const struct math_node *node, enum math_op op)
{
    if (node->op == (uint8_t)op) {
        return node->kids[0];
    }
    const struct math_node *inner =
        node->op == OP_NEG && node->kids[0]->op == (uint8_t)op ? node->kids[0]->kids[0] : NULL;
    return inner ? math_node_1(&check->work, OP_NEG, (struct math_node *)inner) : NULL;
}

static bool near(struct math_check *check, const struct math_node *gold, const struct math_node *said)
{
    if (math_value_zero(check, gold, said) == ZERO_YES) {
        return true;
    }
    if (!math_node_constant(gold) || !math_node_constant(said)) {
        return false;
    }
    if (check->options->rel_tol > 0 && tolerance_equal(check, gold, said)) {
        check->path = "tolerance";
        return true;
    }
    if (!check->options->exact_only && rounding_equal(check, gold, said)) {
        check->path = "rounding";
        return true;
    }
    return false;
}

bool math_value_equal(struct math_check *check, const struct math_node *gold, const struct math_node *said)
{
    if (math_node_same(gold, said)) {
        check->path = "text";
        return true;
    }
    if (check->options->same_form) {
        check->path = "form";
        return form(gold) == form(said);
    }
    if (near(check, gold, said)) {
        return true;
    }
    static const enum math_op signs[] = {OP_PERCENT, OP_DEGREE};
    for (int i = 0; i < 2 && !check->options->exact_only; i++) {
        const struct math_node *g = without(check, gold, signs[i]), *s = without(check, said, signs[i]);
        const struct math_node *other = g ? said : gold;
        bool angle = signs[i] == OP_DEGREE && (math_node_has(other, OP_PI) || math_node_has(other, OP_DEGREE));
        if (!g == !s || angle) {
            continue;
        }
        return near(check, g ? g : gold, s ? s : said);
    }
    return false;
}
