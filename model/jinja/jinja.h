/* model/jinja/jinja.h - Jinja as chat templates use it: a template opened once, rendered often.
 *
 * Equal to jinja2 3.1 as transformers sets it up (ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls,
 * generation blocks, its own tojson, raise_exception, strftime_now). What this interpreter does not know is refused with its
 * line: tags, filters and tests when the template is opened, methods when they are called. Never is anything guessed.
 *
 * A template does not change once it is opened, and several threads may render it. Steps, depth, memory and texts are limited
 * (run.h), so that no template crashes the program or keeps it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_JINJA_H
#define MODEL_JINJA_JINJA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct jinja;

/* ERR_FORMAT: "chat template line 12: filter 'xmlattr' is not known to strop". */
enum err jinja_open(struct jinja **out, struct str source);
void jinja_close(struct jinja *jinja); /* NULL is allowed */

/* Appends the rendering with the variables of a JSON object. Integers, texts, lists and objects are Python's int, str, list and
 * dict. `now`: what strftime_now takes for the present, in seconds since 1970. ERR_FORMAT with the template's own sentence (raise_exception) or what is wrong, ERR_LIMIT for one that grows beyond
 * all measure; nothing is appended then. */
enum err jinja_render(const struct jinja *jinja, const json_t *variables, double now, struct strbuf *out);

#endif
