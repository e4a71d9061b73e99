/* rl/recipe/yaml.h - the part of YAML 1.2 that a recipe needs, as a tree with line and column of every value.
 *
 * Mappings, lists (block and flow) and scalars with the types of YAML 1.2's core schema: null, true and false, integers
 * (decimal, 0o17, 0x1f), numbers (1e-6 is one), and text; quoted scalars are always text, and so are yes, no and on.
 * Refused, with file:line:column: duplicate keys, anchors, aliases, tags, several documents, keys that are not scalars,
 * NUL bytes, and what is larger or deeper than the limits below. Nothing is ever executed or opened.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RECIPE_YAML_H
#define RL_RECIPE_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define YAML_MAX_BYTES  (1 << 20)
#define YAML_MAX_VALUES 4096
#define YAML_MAX_DEPTH  4

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_INT, YAML_NUMBER, YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_value {
    enum yaml_kind kind;
    const char *key;                        /* in a mapping; else NULL */
    const char *text;                       /* a scalar as written, without quotes; NULL for lists and mappings */
    bool boolean;                           /* YAML_BOOL */
    int64_t integer;                        /* YAML_INT */
    double number;                          /* YAML_INT and YAML_NUMBER */
    int n;                                  /* values in a list or mapping */
    int key_line, key_column, line, column; /* from 1 */
    struct yaml_value *first, *next;        /* values in a list or mapping; the next of this one's siblings */
};

/* One document; `name` opens the sentence of an error. An empty document is YAML_NULL. All memory is the arena's. */
enum err yaml_parse(struct yaml_value **out, struct str text, const char *name, struct arena *arena);
/* The value of a plain scalar. `text` outlives the value. */
struct yaml_value yaml_plain(const char *text);
/* Appends `text` so that it reads back as that text: in double quotes, or plain where that does. */
void yaml_write_quoted(struct strbuf *out, const char *text);
void yaml_write_text(struct strbuf *out, const char *text);

const char *yaml_kind_name(enum yaml_kind kind); /* "a list" */

#endif
