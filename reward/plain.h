/* reward/plain.h - plain data as JSON text with tags (reward/python/calls.py), parsed and compared.
 *
 * Made for text that a hostile program wrote: nesting is capped, integers are compared as decimal text and so have any
 * size, NaN and infinities equal nothing. What equals what:
 *   a list and a tuple with equal items; an integer and a float of the same value; a bool only a bool; a set only a
 *   set; dicts by key, where an integer key equals its decimal text (JSON has no other way to write it).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_PLAIN_H
#define REWARD_PLAIN_H

#include "base/arena.h"
#include "base/str.h"

#define PLAIN_MAX_DEPTH 512

enum plain_type {
    PLAIN_NULL,
    PLAIN_BOOL,
    PLAIN_INT,
    PLAIN_FLOAT,
    PLAIN_TEXT,
    PLAIN_LIST,
    PLAIN_SET,
    PLAIN_DICT,
    PLAIN_OTHER
};

struct plain {
    enum plain_type type;
    bool truth;
    struct str text;     /* PLAIN_INT: digits; PLAIN_TEXT: bytes; PLAIN_OTHER: the value's own text */
    double number;       /* PLAIN_FLOAT */
    struct plain *items; /* a dict: key, value, key, value ..., ordered by key */
    size_t n;
};

/* The value in the arena; NULL if the text is not one value of that form. */
const struct plain *plain_parse(struct str text, struct arena *arena);

/* absolute, relative: how far two numbers may be apart if one of them is a float; 0 and 0: not at all. */
bool plain_equal(const struct plain *got, const struct plain *want, double absolute, double relative);

#endif
