/* reward/math/modular.h - shared by mod.c, mod_small.c and mod_function.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_MODULAR_H
#define REWARD_MATH_MODULAR_H

#include "reward/math/mod.h"
#include "reward/rational.h"

/* What a random element represents. */
enum math_mod_tag {
    TAG_PI = 100,
    TAG_E,
    TAG_NAME,
    TAG_POWER,
    TAG_ROOT,
    TAG_TURN,
    TAG_LN,
    TAG_CALL,
    TAG_SUM,
    TAG_FUNCTION = 200
};

struct math_factor {
    int64_t prime;
    int power;
    bool certain; /* it is a prime */
};
/* The prime factors of n > 0; a large cofactor is one factor, and `certain` is false for it. Returns how many. */
int math_mod_factor(struct math_mod *mod, int64_t n, struct math_factor *factors, int max);

uint64_t math_mod_hash(struct str text);
int64_t math_mod_variable(const struct math_mod *mod, struct str name);
bool math_mod_has_free(const struct math_node *node); /* has it variables? */
bool math_mod_rational(struct math_mod *mod, const struct math_node *node,
                       struct rational *out); /* as math_mod_small */
bool math_mod_integer(struct math_mod *mod, const struct math_node *node, int64_t *out);

/* A random element; a difference between two of them means nothing. */
uint64_t math_mod_opaque(struct math_mod *mod, uint64_t tag, uint64_t a, uint64_t b);
uint64_t math_mod_e(struct math_mod *mod);
enum math_mod_state math_mod_divide(struct math_mod *mod, uint64_t a, uint64_t b, uint64_t *out);
enum math_mod_state math_mod_power(struct math_mod *mod, uint64_t base, int64_t exponent, uint64_t *out);
/* value^exponent; `base` is the tree of the value, NULL: e. */
enum math_mod_state math_mod_raise(struct math_mod *mod, const struct math_node *base, uint64_t value,
                                   const struct math_node *exponent, uint64_t *out);
enum math_mod_state math_mod_function(struct math_mod *mod, const struct math_node *node, uint64_t *out);
/* A function by its name and the images of its arguments. */
enum math_mod_state math_mod_by_name(struct math_mod *mod, const struct math_node *node, uint64_t tag, uint64_t *out);

#endif
