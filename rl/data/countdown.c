/* rl/data/countdown.c - what numbers can make, by trying every pair and operation; problems by rejection.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/countdown.h"

#include <string.h>

#include "base/err.h"
#include "rl/data/md5.h"

enum countdown_split countdown_split_of(const int *numbers, int n)
{
    int sorted[COUNTDOWN_MAX_NUMBERS];
    BUG_ON(n < 1 || n > COUNTDOWN_MAX_NUMBERS);
    for (int i = 0; i < n; i++) { /* insertion */
        int at = i;
        for (; at > 0 && sorted[at - 1] > numbers[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = numbers[i];
    }
    char text[64] = "s";
    int length = 1;
    for (int i = 0; i < n; i++) {
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%d", i ? "-" : "", sorted[i]);
    }
    uint8_t digest[16];
    md5(digest, (struct str){text, (size_t)length});
    double u = (digest[0] * 256 + digest[1]) / 65536.0;
    return u < 0.15 ? SPLIT_EVAL : u < 0.40 ? SPLIT_RL : SPLIT_PRE;
}

bool countdown_in_split(const int *numbers, int n, enum countdown_split split)
{
    if (split == SPLIT_ALL) {
        return true;
    }
    enum countdown_split actual = countdown_split_of(numbers, n);
    return split == SPLIT_TRAIN ? actual != SPLIT_EVAL : actual == split;
}

/* ---- what can be reached ---- */

/* The values of one operation on two numbers; at most 4. */
static int countdown_combine(int a, int b, int value_max, int out[4])
{
    int x = a > b ? a : b, y = a > b ? b : a, n = 0;
    if (x + y <= value_max) {
        out[n++] = x + y;
    }
    if ((int64_t)x * y <= value_max) {
        out[n++] = x * y;
    }
    if (x > y) {
        out[n++] = x - y;
    }
    if (y > 1 && x % y == 0) {
        out[n++] = x / y;
    }
    return n;
}

/* Replaces each pair by each of its values, until one number is left. */
static void countdown_reach(const int *numbers, int n, int value_max, bool *reachable) /* NOLINT(misc-no-recursion) */
{
    if (n == 1) {
        if (numbers[0] >= 1 && numbers[0] <= value_max) {
            reachable[numbers[0]] = true;
        }
        return;
    }
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
            int rest[COUNTDOWN_MAX_NUMBERS], n_rest = 0, values[4];
            for (int k = 0; k < n; k++) {
                if (k != i && k != j) {
                    rest[n_rest++] = numbers[k];
                }
            }
            int n_values = countdown_combine(numbers[i], numbers[j], value_max, values);
            for (int v = 0; v < n_values; v++) {
                rest[n_rest] = values[v];
                countdown_reach(rest, n_rest + 1, value_max, reachable);
            }
        }
    }
}

void countdown_reachable(const int *numbers, int n, int value_max, bool reachable[COUNTDOWN_MAX_VALUE + 1])
{
    BUG_ON(n < 1 || n > COUNTDOWN_MAX_NUMBERS || value_max > COUNTDOWN_MAX_VALUE);
    memset(reachable, 0, (COUNTDOWN_MAX_VALUE + 1) * sizeof *reachable);
    countdown_reach(numbers, n, value_max, reachable);
}

/* ---- problems ---- */

bool countdown_try(const struct countdown_family *family, struct rng *rng, struct countdown_problem *out)
{
    struct countdown_problem problem = {.n = family->n};
    uint32_t span = (uint32_t)(family->number_most - family->number_least + 1);
    for (int i = 0; i < family->n; i++) {
        problem.numbers[i] = family->number_least + (int)rng_below(rng, span);
    }
    if (!countdown_in_split(problem.numbers, problem.n, family->split)) {
        return false;
    }
    bool reachable[COUNTDOWN_MAX_VALUE + 1];
    countdown_reachable(problem.numbers, problem.n, family->value_max, reachable);
    uint32_t n_targets = 0;
    for (int v = family->target_least; v <= family->target_most; v++) {
        n_targets += reachable[v];
    }
    if (n_targets == 0) {
        return false;
    }
    uint32_t chosen = rng_below(rng, n_targets);
    for (int v = family->target_least; v <= family->target_most; v++) {
        if (reachable[v] && chosen-- == 0) {
            problem.target = v;
        }
    }
    *out = problem;
    return true;
}

void countdown_draw(const struct countdown_family *family, struct rng *rng, struct countdown_problem *out)
{
    while (!countdown_try(family, rng, out)) {
    }
}

bool countdown_exists(const struct countdown_family *family)
{
    struct rng rng = rng_stream(0, 0);
    struct countdown_problem problem;
    for (int i = 0; i < 20000; i++) {
        if (countdown_try(family, &rng, &problem)) {
            return true;
        }
    }
    return false;
}

void countdown_ask(const struct countdown_problem *problem, struct strbuf *out)
{
    for (int i = 0; i < problem->n; i++) {
        strbuf_printf(out, "%s%d", i ? ", " : "", problem->numbers[i]);
    }
    strbuf_printf(out, " make %d.", problem->target);
}

void countdown_prompt(const struct countdown_problem *problem, bool with_tags, struct strbuf *out)
{
    strbuf_puts(out, "User: ");
    countdown_ask(problem, out);
    strbuf_puts(out, with_tags ? " Reply with <think> </think> <answer> </answer>." : "");
    strbuf_puts(out, "\nAssistant:");
}

/* ---- attempts at three numbers ---- */

struct attempts {
    struct countdown_attempt *items;
    int n;
    bool has_sum; /* a + b + c is listed already, in whatever order */
};

/* x op y in the middle of building an attempt. */
struct attempt_step {
    int x, y, value;
    char op;
    int z; /* the number that is left */
};

/* Adds "<x op y> outer z" or, reversed, "z outer <x op y>"; the step is in parentheses where it binds weaker. */
static void attempts_add(struct attempts *all, const struct attempt_step *s, char outer, bool reversed, int value)
{
    bool weak = s->op == '+' || s->op == '-';
    bool sum = s->op == '+' && outer == '+';
    bool parentheses = reversed ? weak || outer == '/' : weak && (outer == '*' || outer == '/');
    if (sum && all->has_sum) {
        return;
    }
    struct countdown_attempt a = {.first = s->value, .value = value};
    char inner[20];
    snprintf(inner, sizeof inner, parentheses ? "(%d%c%d)" : "%d%c%d", s->x, s->op, s->y);
    if (reversed) {
        snprintf(a.text, sizeof a.text, "%d%c%.14s", s->z, outer, inner);
        snprintf(a.reduced, sizeof a.reduced, "%d%c%d", s->z, outer, s->value);
    } else {
        snprintf(a.text, sizeof a.text, "%.14s%c%d", inner, outer, s->z);
        snprintf(a.reduced, sizeof a.reduced, "%d%c%d", s->value, outer, s->z);
    }
    snprintf(a.step, sizeof a.step, "%d%c%d=%d", s->x, s->op, s->y, s->value);
    for (int i = 0; i < all->n; i++) {
        if (strcmp(all->items[i].text, a.text) == 0) {
            return;
        }
    }
    all->has_sum |= sum;
    BUG_ON(all->n == COUNTDOWN_MAX_ATTEMPTS);
    all->items[all->n++] = a;
}

static void attempts_of_step(struct attempts *all, const struct attempt_step *s, int value_max)
{
    int e = s->value, z = s->z;
    if (e + z <= value_max) {
        attempts_add(all, s, '+', false, e + z);
    }
    if (e > z) {
        attempts_add(all, s, '-', false, e - z);
    }
    if (z > e) {
        attempts_add(all, s, '-', true, z - e);
    }
    if (e * z <= value_max) {
        attempts_add(all, s, '*', false, e * z);
    }
    if (z > 1 && e % z == 0) {
        attempts_add(all, s, '/', false, e / z);
    }
    if (e > 1 && z % e == 0) {
        attempts_add(all, s, '/', true, z / e);
    }
}

int countdown_attempts(const int numbers[3], int value_max, struct countdown_attempt out[COUNTDOWN_MAX_ATTEMPTS])
{
    BUG_ON(value_max > COUNTDOWN_MAX_VALUE);
    struct attempts all = {.items = out};
    for (int k = 0; k < 3; k++) {
        int a = numbers[(k + 1) % 3], b = numbers[(k + 2) % 3];
        int x = a > b ? a : b, y = a > b ? b : a;
        const struct attempt_step steps[4] = {
            {x, y, x + y, '+', numbers[k]},
            {x, y, x * y, '*', numbers[k]},
            {x, y, x - y, '-', numbers[k]},
            {x, y, y > 1 && x % y == 0 ? x / y : 0, '/', numbers[k]},
        };
        for (int i = 0; i < 4; i++) {
            if (steps[i].value >= 1 && steps[i].value <= value_max) {
                attempts_of_step(&all, &steps[i], value_max);
            }
        }
    }
    return all.n;
}
