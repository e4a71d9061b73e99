/* reward/library.h - a reward in a shared object (reward/strop_plugin.h), loaded into this process.
 *
 * It is not contained here: when it crashes, so does the process, and a call that hangs is not ended. By default,
 * reward/plugin.c therefore loads it in a process of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_LIBRARY_H
#define REWARD_LIBRARY_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "reward/strop_plugin.h"

struct library;

/* `config`: a JSON object as text, which outlives the library. ERR_STATE: not found, no ABI or another one, or create()
 * failed. */
enum err library_open(struct library **out, const char *path, const char *config);
void library_close(struct library *library); /* NULL is fine */
/* Judges one item; one call at a time unless the plug-in says it is thread-safe. What the result holds is checked: the
 * texts end, the status is known; else it is STROP_ERROR with a message. */
void library_score(struct library *library, struct strop_item *item, double deadline, struct strop_result *result);
/* A value of the row for an item: a text as it is, none or null as nothing, any other value as JSON in the arena. */
struct strop_text library_text(const json_t *value, struct arena *arena);

#endif
