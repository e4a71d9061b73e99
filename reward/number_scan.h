/* reward/number_scan.h - the text around a number in pieces; number.c puts them together.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_NUMBER_SCAN_H
#define REWARD_NUMBER_SCAN_H

#include "base/arena.h"
#include "base/str.h"

#define NUMBER_MAX_PIECES   64
#define NUMBER_MAX_DIGITS   256
#define NUMBER_MAX_EXPONENT 999

struct number_piece {
    enum {
        NUMBER_PIECE_WORD,
        NUMBER_PIECE_NUMBER,
        NUMBER_PIECE_FRACTION,
        NUMBER_PIECE_CURRENCY,
        NUMBER_PIECE_ABOUT,
        NUMBER_PIECE_SIGN
    } kind;
    char sign;       /* NUMBER_PIECE_SIGN: - + / % , . : ; */
    bool spaced;     /* a blank, a command or a bracket comes before it */
    struct str text; /* NUMBER_PIECE_WORD; a number's whole digits, or a fraction's top */
    struct str more; /* a number's digits after the point, or a fraction's bottom */
    int exponent;
    size_t begin, end; /* in the text */
};

struct number_scan {
    struct str text;
    size_t at;
    struct arena *arena;
    struct number_piece pieces[NUMBER_MAX_PIECES];
    int n;
    size_t begin; /* of the piece at hand */
    bool spaced;
    bool plain; /* no quotes, square brackets or HTML are in it */
};

/* Cuts `text`, which math_text_clean wrote, into pieces. False: something in it is part of no plain number. */
bool number_scan(struct number_scan *s, struct str text, struct arena *arena);

#endif
