/* reward/math/parser.h - the state of the parser, shared by parse.c and the parse_*.c of its lower levels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_PARSER_H
#define REWARD_MATH_PARSER_H

#include "reward/math/parse.h"

struct math_parser {
    struct math_work *work;
    struct math_token *list; /* a copy: a number may be taken apart ("\frac12") */
    int at;
    int depth;
    int bars;        /* open | | */
    bool divider;    /* a bar divides: the head of a set-builder */
    bool index_i;    /* i counts; it is not the imaginary unit */
    bool congruence; /* "mod" is no operation: a modulus follows */
    const char *wrong;
};

static inline struct math_token *math_parser_token(struct math_parser *p)
{
    return &p->list[p->at];
}
static inline bool math_parser_is(const struct math_parser *p, enum math_token_kind kind, char code)
{
    return p->list[p->at].kind == (uint8_t)kind && p->list[p->at].code == (uint8_t)code;
}

/* Each returns NULL after setting `wrong`. */
struct math_node *math_parser_fail(struct math_parser *p, const char *wrong);
struct math_node *math_parser_list(struct math_parser *p); /* up to a token that cannot continue a list */
struct math_node *math_parser_item(struct math_parser *p);
struct math_node *math_parser_sum(struct math_parser *p);
struct math_node *math_parser_term(struct math_parser *p);
struct math_node *math_parser_factor(struct math_parser *p);
struct math_node *math_parser_atom(struct math_parser *p);
struct math_node *math_parser_argument(struct math_parser *p); /* of a command: braces, one digit, or an atom */
struct math_node *math_parser_braces(struct math_parser *p);   /* from an open brace on */
struct math_node *math_parser_open(struct math_parser *p);     /* from an open bracket of any form on */
struct math_node *math_parser_bars(struct math_parser *p, bool lvert);
struct math_node *math_parser_matrix(struct math_parser *p);
struct math_node *math_parser_function(struct math_parser *p);
struct math_node *math_parser_number(struct math_parser *p);
struct math_node *math_parser_based(struct math_parser *p, const struct math_node *number); /* at "_" */
struct math_node *math_parser_choose(struct math_parser *p, struct math_node *n);           /* from k on */
struct math_node *math_parser_before_choose(struct math_parser *p);                         /* _n C_k */
/* `inside` after stepping over its closing token. */
struct math_node *math_parser_close(struct math_parser *p, struct math_node *inside, enum math_token_kind kind,
                                    char code);
struct math_node *math_parser_number_node(struct math_parser *p, struct str digits, int exponent);
struct math_node *math_parser_named(struct math_parser *p, struct str name); /* a symbol, or pi, e, i, infinity */
struct str math_parser_keep(struct math_parser *p, struct strbuf *name);     /* in the arena; releases the buffer */
bool math_parser_starts_factor(const struct math_parser *p);                 /* so that juxtaposition is a product */

/* A growing list of kids. */
struct math_kids {
    struct math_node **list;
    int n, max;
};
bool math_parser_push(struct math_parser *p, struct math_kids *kids,
                      struct math_node *node); /* false: NULL, or too many */
struct math_node *math_parser_node(struct math_parser *p, enum math_op op, const struct math_kids *kids);

#endif
