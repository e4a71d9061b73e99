/* reward/math/parse.h - tokens to a tree.
 *
 *   list     = item { ("," | ";" | and | or | \quad) item }        "x=1, y=2 or x=3, y=4" nests
 *   item     = sets { relation sets } [ modulus ]                   a leading "=" is stepped over
 *   sets     = ratio { (union | intersection | set minus) ratio }
 *   ratio    = infix { ":" infix }
 *   infix    = sum [ (\over | \choose) sum ]
 *   sum      = term { (+ | - | ±) term }
 *   term     = factor { [ * | / ] factor } [ words ]                 words: a unit
 *   factor   = signs atom { ^ power | _ name | ! | % | ° | ' }
 *   atom     = number | name | name(list) | function | \frac ... | bracketed list | |list| | matrix | words
 *
 * "*", "/" and juxtaposition bind alike, from the left: 1/2x is x/2. A number followed by a fraction is a mixed
 * number when the fraction is proper. f, g, h, F, G, H with a bracket are calls, and so is any name whose bracket is
 * followed by "=" ("p(x) = ..."); other names are factors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_PARSE_H
#define REWARD_MATH_PARSE_H

#include "reward/math/node.h"

/* Why nothing was read, if `root` is NULL. prose: it holds words that are no unit, name or separator. */
struct math_tree {
    struct math_node *root;
    const char *wrong;
    bool prose;
};

void math_parse(struct math_work *work, const struct math_tokens *tokens, struct math_tree *out);

#endif
