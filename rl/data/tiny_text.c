/* rl/data/tiny_text.c - the data set `tiny-text`: what the tiny base reads before it is ever rewarded.
 *
 * Countdown problems of the split `pre` with answers of uneven quality, and lines of arithmetic:
 *
 *   kind    mix   skill
 *   guess   55 %  10 %   one expression, answered unchecked
 *   search  20 %  65 %   several attempts; some slip, some give up, some accept a wrong value, some check
 *   short   15 %   0 %   broken or no format
 *   arith   10 %  25 %   lines such as 7*5=35
 *
 * So every skill that reinforcement can use is there - trying again, checking, saying "Wait" - but mostly unused and
 * often wrong. The phase `skill` goes first in pre-training and `mix` second (recipes/README.md).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "rl/data/countdown.h"
#include "rl/data/generator.h"

enum { PHASE, SKILL_FIRST, NUMBER_MOST };
enum { PHASE_MIX, PHASE_SKILL };
enum { VALUE_MAX = 99, ATTEMPTS_MAX = 8 };

static const struct generator_option tiny_text_options[] = {
    [PHASE] = {"phase", PHASE_MIX, 0, 0, "mix|skill", "which mixture"},
    [SKILL_FIRST] = {"skill_first", 0, 0, INT64_MAX, NULL,
                     "this many first texts are of the mixture skill in any case"},
    [NUMBER_MOST] = {"number_most", 9, 3, 20, NULL, "largest number of a problem"},
    {0},
};

enum kind { GUESS, SEARCH, SHORT, ARITH, KINDS };
static const char *const kind_names[KINDS] = {"guess", "search", "short", "arith"};

/* All are shares of 1. */
struct mixture {
    double kinds[KINDS];
    double give_up; /* after a wrong attempt: stop and answer it */
    double slip;    /* an attempt whose arithmetic is wrong */
};

static const struct mixture mixtures[] = {
    [PHASE_MIX] = {{0.55, 0.20, 0.15, 0.10}, 0.45, 0.06},
    [PHASE_SKILL] = {{0.10, 0.65, 0.00, 0.25}, 0.12, 0.02},
};
static const double aimed_guess = 0.15;  /* guesses that look at the target */
static const double aimed_search = 0.40; /* attempts of a search that do */
static const double aim_width = 6;       /* their distance from the target, exponentially */
static const double misused = 0.15;      /* guesses that use other numbers than the given */
static const double blind = 0.05;        /* a wrong value that is taken for right */
static const double checked = 0.35;      /* a match that is checked before it is answered */

struct writer {
    struct rng *rng;
    const struct mixture *mixture;
    int number_most;
    struct countdown_problem problem;
    struct countdown_attempt attempts[COUNTDOWN_MAX_ATTEMPTS];
    int n_attempts;
    struct strbuf text;
};

static bool chance(struct writer *w, double share)
{
    return rng_double(w->rng) < share;
}

static int between(struct writer *w, int min, int max)
{
    return min + (int)rng_below(w->rng, (uint32_t)(max - min + 1));
}

#define PICK(w, words) ((words)[rng_below((w)->rng, sizeof(words) / sizeof *(words))])

static void draw_problem(struct writer *w)
{
    const struct countdown_family family = {SPLIT_PRE, 3, 1, w->number_most, 10, VALUE_MAX, VALUE_MAX};
    countdown_draw(&family, w->rng, &w->problem);
    w->n_attempts = countdown_attempts(w->problem.numbers, VALUE_MAX, w->attempts);
}

/* An attempt that was not tried yet, if there is one; `aimed` is how often nearness to the target counts. */
static int propose(struct writer *w, const bool *tried, double aimed)
{
    double weights[COUNTDOWN_MAX_ATTEMPTS] = {0}, total = 0;
    bool all_tried = true, near = chance(w, aimed);
    for (int i = 0; i < w->n_attempts; i++) {
        all_tried &= tried[i];
    }
    for (int i = 0; i < w->n_attempts; i++) {
        double distance = fabs((double)(w->attempts[i].value - w->problem.target));
        weights[i] = tried[i] && !all_tried ? 0 : near ? exp(-distance / aim_width) + 1e-9 : 1;
        total += weights[i];
    }
    double point = rng_double(w->rng) * total;
    int last = 0; /* rounding may leave the point past the end */
    for (int i = 0; i < w->n_attempts; i++) {
        if (weights[i] > 0) {
            last = i;
            point -= weights[i];
            if (point < 0) {
                break;
            }
        }
    }
    return last;
}

static int slipped(struct writer *w, int value)
{
    static const int errors[] = {-10, -2, -1, 1, 2, 10};
    int wrong = value + PICK(w, errors);
    return wrong > 1 ? wrong : 1;
}

/* `text` with the first place of number `from` replaced by `to`. */
static void replace_number(char *out, size_t capacity, const char *text, int from, int to)
{
    char digits[12];
    snprintf(digits, sizeof digits, "%d", from);
    const char *at = strstr(text, digits);
    BUG_ON(!at);
    snprintf(out, capacity, "%.*s%d%s", (int)(at - text), text, to, at + strlen(digits));
}

/* ---- guesses ---- */

/* An expression, sometimes with the wrong numbers; whether it is right. */
static bool guess_expression(struct writer *w, char expression[32])
{
    static const bool none[COUNTDOWN_MAX_ATTEMPTS];
    const struct countdown_attempt *a = &w->attempts[propose(w, none, aimed_guess)];
    const int *n = w->problem.numbers;
    snprintf(expression, 32, "%s", a->text);
    if (chance(w, misused)) {
        if (chance(w, 0.4)) {
            int max = n[0], min = n[0];
            for (int i = 1; i < 3; i++) {
                max = n[i] > max ? n[i] : max;
                min = n[i] < min ? n[i] : min;
            }
            snprintf(expression, 32, "%d%c%d", max, "+-*"[rng_below(w->rng, 3)], min);
        } else {
            int from = n[rng_below(w->rng, 3)];
            uint32_t to = rng_below(w->rng, 4);
            replace_number(expression, 32, a->text, from, to < 3 ? n[to] : between(w, 1, w->number_most));
        }
    }
    return a->value == w->problem.target && strcmp(expression, a->text) == 0;
}

static void write_guess(struct writer *w, const char *e)
{
    int t = w->problem.target;
    switch (rng_below(w->rng, 6)) {
    case 0: strbuf_printf(&w->text, "I think %s=%d.", e, t); break;
    case 1: strbuf_printf(&w->text, "Maybe %s.", e); break;
    case 2: strbuf_printf(&w->text, "I guess %s.", e); break;
    case 3: strbuf_printf(&w->text, "%s=%d.", e, t); break;
    case 4: strbuf_printf(&w->text, "It should be %s.", e); break;
    default: strbuf_printf(&w->text, "Let me use %s.", e); break;
    }
}

static bool make_guess(struct writer *w)
{
    char e[32];
    draw_problem(w);
    countdown_prompt(&w->problem, chance(w, 0.85), &w->text);
    bool right = guess_expression(w, e);
    strbuf_puts(&w->text, "<think>");
    write_guess(w, e);
    strbuf_printf(&w->text, "</think><answer>%s</answer>", e);
    return right;
}

static bool make_short(struct writer *w)
{
    char e[32];
    draw_problem(w);
    bool right = guess_expression(w, e);
    countdown_prompt(&w->problem, chance(w, 0.5), &w->text);
    switch (rng_below(w->rng, 5)) {
    case 0: strbuf_printf(&w->text, " The answer is %s.", e); break;
    case 1: strbuf_printf(&w->text, " %s", e); break;
    case 2: strbuf_printf(&w->text, " %s=%d", e, w->problem.target); break;
    case 3: strbuf_printf(&w->text, "<answer>%s</answer>", e); break;
    default: strbuf_printf(&w->text, "<think>%s=%d<answer>%s</answer>", e, w->problem.target, e); break;
    }
    return right;
}

/* ---- searches ---- */

static const char *const openings[] = {"", "", "Try ", "Let me try ", "Maybe ", "What about "};
static const char *const next_openings[] = {"", "Try ", "Let me try ", "Maybe ", "What about ", "Now "};
static const char *const acceptances[] = {"That works.", "Yes.", "Good.", "That is right.", "It matches."};
static const char *const surrenders[] = {"I give up.", "Close enough.", "I will answer this.", "Fine."};
static const char *const confirmations[] = {"Correct.", "Right."};

static void write_refusal(struct writer *w, int value)
{
    double r = rng_double(w->rng);
    int t = w->problem.target;
    if (r < 0.30) {
        strbuf_printf(&w->text, "Wait, %d is not %d.", value, t);
    } else if (r < 0.45) {
        strbuf_puts(&w->text, "Wait, that is wrong.");
    } else if (r < 0.60) {
        strbuf_printf(&w->text, "Too %s.", value > t ? "big" : "small");
    } else if (r < 0.75) {
        strbuf_printf(&w->text, "No, not %d.", t);
    } else if (r < 0.90) {
        strbuf_puts(&w->text, "Wrong.");
    } else {
        strbuf_printf(&w->text, "Wait, %d is not %d. Let me try again.", value, t);
    }
}

/* The value of "a op b", towards zero. */
static int reduced_value(const char *text)
{
    char *rest;
    long a = strtol(text, &rest, 10), b = strtol(rest + 1, NULL, 10);
    switch (*rest) {
    case '+': return (int)(a + b);
    case '-': return (int)(a - b);
    case '*': return (int)(a * b);
    default: return (int)(a / b);
    }
}

/* "expression=reduced=value." with a slip now and then; returns the value that is said. */
static int write_attempt(struct writer *w, const struct countdown_attempt *a)
{
    char reduced[32];
    int said = a->value;
    snprintf(reduced, sizeof reduced, "%s", a->reduced);
    if (chance(w, w->mixture->slip)) {
        if (chance(w, 0.5)) {
            said = slipped(w, a->value);
        } else {
            replace_number(reduced, sizeof reduced, a->reduced, a->first, slipped(w, a->first));
            said = reduced_value(reduced);
        }
    }
    strbuf_printf(&w->text, "%s=%s=%d.", a->text, reduced, said);
    return said;
}

/* What is said after an attempt; true if the search ends with it. */
static bool write_conclusion(struct writer *w, const struct countdown_attempt *a, int said, bool last)
{
    strbuf_putc(&w->text, ' ');
    if (said == w->problem.target) {
        if (!chance(w, checked)) {
            strbuf_puts(&w->text, PICK(w, acceptances));
            return true;
        }
        strbuf_printf(&w->text, "Check: %s, %s=%d. ", a->step, a->reduced, a->value);
        bool right = a->value == w->problem.target;
        strbuf_puts(&w->text, right ? PICK(w, confirmations) : "Wait, that is wrong.");
        return right || last;
    }
    if (chance(w, blind)) {
        strbuf_puts(&w->text, PICK(w, acceptances));
        return true;
    }
    if (last || chance(w, w->mixture->give_up)) {
        strbuf_puts(&w->text, PICK(w, surrenders));
        return true;
    }
    write_refusal(w, said);
    return false;
}

static bool make_search(struct writer *w)
{
    bool tried[COUNTDOWN_MAX_ATTEMPTS] = {false};
    const struct countdown_attempt *a = NULL;
    draw_problem(w);
    countdown_prompt(&w->problem, chance(w, 0.85), &w->text);
    strbuf_puts(&w->text, "<think>");
    bool done = false;
    for (int line = 1; !done; line++) {
        int i = propose(w, tried, aimed_search);
        tried[i] = true;
        a = &w->attempts[i];
        strbuf_puts(&w->text, line == 1 ? PICK(w, openings) : PICK(w, next_openings));
        int said = write_attempt(w, a);
        done = write_conclusion(w, a, said, line == ATTEMPTS_MAX);
        strbuf_puts(&w->text, done ? "" : "\n");
    }
    strbuf_printf(&w->text, "</think><answer>%s</answer>", a->text);
    return a->value == w->problem.target;
}

/* ---- lines of arithmetic ---- */

/* Draws x, y and an operation whose value is from 1 to 99; 0 if this draw has none. */
static int arith_draw(struct writer *w, int *x, int *y, char *operation)
{
    int a = between(w, 1, VALUE_MAX), b = between(w, 1, chance(w, 0.5) ? VALUE_MAX : w->number_most);
    char o = "++--**/"[rng_below(w->rng, 7)];
    *x = a > b ? a : b;
    *y = a > b ? b : a;
    *operation = o;
    if (o == '*') {
        bool swap = chance(w, 0.5);
        *x = between(w, 1, swap ? 20 : 40);
        *y = between(w, 1, swap ? 40 : 20);
    } else if (o == '/') {
        *y = between(w, 2, 20);
        *x = *y * between(w, 1, VALUE_MAX / *y);
    }
    int value = o == '+' ? *x + *y : o == '-' ? *x - *y : o == '*' ? *x * *y : *x / *y;
    return value <= VALUE_MAX ? value : 0;
}

static void make_arith(struct writer *w)
{
    int n = between(w, 3, 10);
    for (int i = 0; i < n; i++) {
        int x, y, value;
        char operation;
        do {
            value = arith_draw(w, &x, &y, &operation);
        } while (value < 1);
        strbuf_printf(&w->text, "%s%d%c%d=%d", i ? "\n" : "", x, operation, y, value);
    }
}

static enum kind draw_kind(struct writer *w)
{
    double point = rng_double(w->rng);
    for (int k = 0; k < KINDS - 1; k++) {
        point -= w->mixture->kinds[k];
        if (point < 0) {
            return (enum kind)k;
        }
    }
    return ARITH;
}

static void tiny_text_make(const int64_t *values, struct rng *rng, int64_t index, struct arena *arena,
                           struct generator_item *out)
{
    bool skill = values[PHASE] == PHASE_SKILL || index < values[SKILL_FIRST];
    struct writer w = {.rng = rng, .mixture = &mixtures[skill ? PHASE_SKILL : PHASE_MIX]};
    w.number_most = (int)values[NUMBER_MOST];
    enum kind kind = draw_kind(&w);
    bool right = false;
    if (kind == ARITH) {
        make_arith(&w);
    } else {
        right = kind == GUESS ? make_guess(&w) : kind == SEARCH ? make_search(&w) : make_short(&w);
    }
    out->fields = kind == ARITH ? json_pack("{s:s}", "kind", kind_names[kind])
                                : json_pack("{s:s, s:b}", "kind", kind_names[kind], "right", (int)right);
    out->text = (struct str){arena_strndup(arena, w.text.data, w.text.length), w.text.length};
    strbuf_release(&w.text);
}

const struct generator_kind tiny_text = {
    .name = "tiny-text",
    .help = "the texts that the tiny base is trained on before reinforcement",
    .fields = "kind right",
    .makes_texts = true,
    .options = tiny_text_options,
    .make = tiny_text_make,
};
