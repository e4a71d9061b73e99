/* model/jinja/operate.c - arithmetic, as Python has it, on integers of 64 bits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "model/jinja/text.h"

static void refuse(struct jrun *run, const char *op, struct jvalue a, struct jvalue b) __attribute__((noreturn));
static void refuse(struct jrun *run, const char *op, struct jvalue a, struct jvalue b)
{
    struct jvalue undefined = a.kind == J_UNDEFINED ? a : b;
    if (undefined.kind == J_UNDEFINED) {
        jrun_fail(run, "%.*s", (int)undefined.text.length, undefined.text.data);
    }
    jrun_fail(run, "a %s and a %s cannot be joined by '%s'", jvalue_type(a), jvalue_type(b), op);
}

static void overflow(struct jrun *run) __attribute__((noreturn));
static void overflow(struct jrun *run)
{
    jrun_limit(run, "an integer grows beyond 64 bits");
}

/* ---- numbers ---- */

/* Rounded towards minus infinity; the remainder has the divisor's sign. */
static int64_t floor_divide(struct jrun *run, int64_t a, int64_t b, int64_t *rest)
{
    if (b == 0) {
        jrun_fail(run, "division by zero");
    }
    if (b == -1) {
        *rest = 0;
        if (a == INT64_MIN) {
            overflow(run);
        }
        return -a;
    }
    int64_t quotient = a / b;
    *rest = a % b;
    if (*rest != 0 && (*rest < 0) != (b < 0)) {
        *rest += b;
        quotient--;
    }
    return quotient;
}

static struct jvalue power(struct jrun *run, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) {
            jrun_fail(run, "0 to a negative power");
        }
        return jvalue_float(pow((double)base, (double)exponent));
    }
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1 && __builtin_mul_overflow(result, base, &result)) {
            overflow(run);
        }
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) {
            overflow(run);
        }
    }
    return jvalue_int(result);
}

static struct jvalue operate_integers(struct jrun *run, const char *op, int64_t a, int64_t b)
{
    int64_t result = 0, rest = 0;
    bool over = false;
    switch (op[0]) {
    case '+': over = __builtin_add_overflow(a, b, &result); break;
    case '-': over = __builtin_sub_overflow(a, b, &result); break;
    case '%': floor_divide(run, a, b, &rest); return jvalue_int(rest);
    case '*':
        if (op[1]) {
            return power(run, a, b);
        }
        over = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        if (op[1]) {
            return jvalue_int(floor_divide(run, a, b, &rest));
        }
        if (b == 0) {
            jrun_fail(run, "division by zero");
        }
        return jvalue_float((double)((long double)a / (long double)b));
    }
    if (over) {
        overflow(run);
    }
    return jvalue_int(result);
}

static double float_rest(double a, double b)
{
    double rest = fmod(a, b);
    if (rest != 0 && (rest < 0) != (b < 0)) {
        return rest + b;
    }
    return rest == 0 ? copysign(0, b) : rest;
}

/* As CPython computes it, so that quotient and remainder fit each other. */
static double float_floor_divide(double a, double b)
{
    double quotient = (a - float_rest(a, b)) / b;
    if (quotient == 0) {
        return copysign(0, a / b);
    }
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static struct jvalue operate_floats(struct jrun *run, const char *op, double a, double b)
{
    if ((op[0] == '/' || op[0] == '%') && b == 0) {
        jrun_fail(run, "division by zero");
    }
    switch (op[0]) {
    case '+': return jvalue_float(a + b);
    case '-': return jvalue_float(a - b);
    case '%': return jvalue_float(float_rest(a, b));
    case '/': return jvalue_float(op[1] ? float_floor_divide(a, b) : a / b);
    default: break;
    }
    if (!op[1]) {
        return jvalue_float(a * b);
    }
    double result = pow(a, b);
    if ((a == 0 && b < 0) || (isfinite(a) && isfinite(b) && !isfinite(result))) {
        jrun_fail(run, "%g ** %g has no value that is a number", a, b);
    }
    return jvalue_float(result);
}

/* ---- texts and lists ---- */

static struct jvalue join_texts(struct jrun *run, struct jvalue a, struct jvalue b)
{
    struct jbuf out = {0};
    bool safe = a.safe || b.safe; /* then what is not is escaped */
    jbuf_add(run, &out, safe && !a.safe ? jtext_escape(run, a.text) : a.text);
    jbuf_add(run, &out, safe && !b.safe ? jtext_escape(run, b.text) : b.text);
    return (struct jvalue){.kind = J_STR, .safe = safe, .text = jbuf_view(&out)};
}

static struct jvalue join_lists(struct jrun *run, struct jvalue a, struct jvalue b)
{
    struct jvalue list = jlist_new(run, a.kind, a.seq->n + b.seq->n);
    for (int64_t i = 0; i < a.seq->n + b.seq->n; i++) {
        jlist_add(run, list, i < a.seq->n ? a.seq->items[i] : b.seq->items[i - a.seq->n]);
    }
    return list;
}

static struct jvalue repeat(struct jrun *run, struct jvalue of, int64_t times)
{
    if (of.kind == J_STR) {
        struct jbuf out = {0};
        jbuf_fill(run, &out, of.text, times);
        return (struct jvalue){.kind = J_STR, .safe = of.safe, .text = jbuf_view(&out)};
    }
    int64_t n = of.seq->n;
    if (n > 0 && times > JINJA_MOST_STEPS / n) {
        jrun_limit(run, "a list grows beyond %d items", JINJA_MOST_STEPS);
    }
    struct jvalue list = jlist_new(run, of.kind, times > 0 ? n * times : 0);
    for (int64_t i = 0; n > 0 && i < n * times; i++) {
        jlist_add(run, list, of.seq->items[i % n]);
    }
    return list;
}

static bool can_repeat(struct jvalue v)
{
    return v.kind == J_STR || v.kind == J_LIST || v.kind == J_TUPLE;
}

struct jvalue joperate(struct jrun *run, const char *op, struct jvalue a, struct jvalue b)
{
    int64_t x = 0, y = 0;
    bool x_whole = jvalue_integer(a, &x), y_whole = jvalue_integer(b, &y);
    if (x_whole && y_whole) {
        return operate_integers(run, op, x, y);
    }
    if (jvalue_number(a) && jvalue_number(b)) {
        return operate_floats(run, op, jvalue_real(a), jvalue_real(b));
    }
    if (op[0] == '+' && a.kind == J_STR && b.kind == J_STR) {
        return join_texts(run, a, b);
    }
    if (op[0] == '+' && a.kind == b.kind && (a.kind == J_LIST || a.kind == J_TUPLE)) {
        return join_lists(run, a, b);
    }
    if (op[0] == '%' && a.kind == J_STR) {
        if (a.safe) {
            jrun_fail(run, "'%%' on a text marked as safe is not known to strop");
        }
        return jformat_percent(run, a.text, b);
    }
    if (strcmp(op, "*") == 0 && can_repeat(a) && y_whole) {
        return repeat(run, a, y);
    }
    if (strcmp(op, "*") == 0 && can_repeat(b) && x_whole) {
        return repeat(run, b, x);
    }
    refuse(run, op, a, b);
}
