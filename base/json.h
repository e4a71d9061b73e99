/* base/json.h - jansson with our sentences.
 *
 * Duplicate keys are refused. Getters take the name of the document for their errors ("config.json: 'hidden_size' must
 * be an integer"). Values are borrowed from the document, which the caller releases with json_decref.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* From here on jansson allocates as mem_alloc does: out of memory ends the program with a sentence. Without it jansson
 * calls such a document invalid. Once, before the first document. */
void json_use_memory(void);

/* `name` is the file's path, or "file:line"; it opens the sentence of an error. The document may be any value. */
enum err json_parse(json_t **out, struct str text, const char *name);
enum err json_parse_file(json_t **out, const char *path, size_t limit);
/* Integers of any size, read as reals: where a file may hold larger ones than 64 bits and none matters. */
enum err json_parse_file_of_reals(json_t **out, const char *path, size_t limit);

/* A field that must be there, of that type. */
enum err json_get_int(const json_t *object, const char *key, const char *name, int64_t *out);
enum err json_get_text(const json_t *object, const char *key, const char *name, struct str *out);
/* Like the getters above, but a missing field or null leaves *out as it was. */
enum err json_want_int(const json_t *object, const char *key, const char *name, int64_t *out);
enum err json_want_double(const json_t *object, const char *key, const char *name, double *out);
enum err json_want_bool(const json_t *object, const char *key, const char *name, bool *out);
enum err json_want_text(const json_t *object, const char *key, const char *name, struct str *out);

#endif
