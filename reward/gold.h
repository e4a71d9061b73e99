/* reward/gold.h - the reference of an item, as texts.
 *
 * A field is a string, a number, or a list of them (several right answers). Texts are views of the row or in the arena.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_GOLD_H
#define REWARD_GOLD_H

#include <jansson.h>

#include "base/arena.h"
#include "base/str.h"

#define GOLD_MAX 32

/* Fills texts[0 .. *n) from the field `name`. NULL, or what is wrong: "missing field 'answer'"; in the arena or
 * static. */
const char *gold_read(const json_t *fields, const char *name, struct arena *arena, struct str texts[GOLD_MAX], int *n);

#endif
