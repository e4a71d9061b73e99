/* base/json.c - each getter checks the type and names the document and the key in its error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"

void json_use_memory(void)
{
    json_set_alloc_funcs(mem_alloc, free);
}

static enum err parse(json_t **out, struct str text, const char *name, size_t flags)
{
    json_error_t error;
    json_t *document = json_loadb(text.length ? text.data : "", text.length,
                                  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &error);
    if (!document) {
        return err_set(ERR_FORMAT, "%s: not valid JSON (line %d, column %d): %s", name, error.line, error.column,
                       error.text);
    }
    *out = document;
    return ERR_NONE;
}

static enum err parse_file(json_t **out, const char *path, size_t limit, size_t flags)
{
    struct strbuf text = STRBUF_INIT;
    enum err result = file_read(&text, path, limit);
    if (result == ERR_NONE) {
        result = parse(out, strbuf_view(&text), path, flags);
    }
    strbuf_release(&text);
    return result;
}

enum err json_parse(json_t **out, struct str text, const char *name)
{
    return parse(out, text, name, 0);
}

enum err json_parse_file(json_t **out, const char *path, size_t limit)
{
    return parse_file(out, path, limit, 0);
}

enum err json_parse_file_of_reals(json_t **out, const char *path, size_t limit)
{
    return parse_file(out, path, limit, JSON_DECODE_INT_AS_REAL);
}

/* The field, NULL if missing or null. */
static const json_t *json_field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static enum err json_missing(const char *key, const char *name)
{
    return err_set(ERR_FORMAT, "%s: the field '%s' is missing", name, key);
}

static enum err json_wrong(const char *key, const char *name, const char *kind)
{
    return err_set(ERR_FORMAT, "%s: '%s' must be %s", name, key, kind);
}

enum err json_want_int(const json_t *object, const char *key, const char *name, int64_t *out)
{
    const json_t *value = json_field(object, key);
    if (!value) {
        return ERR_NONE;
    }
    if (!json_is_integer(value)) {
        return json_wrong(key, name, "an integer");
    }
    *out = json_integer_value(value);
    return ERR_NONE;
}

enum err json_want_double(const json_t *object, const char *key, const char *name, double *out)
{
    const json_t *value = json_field(object, key);
    if (!value) {
        return ERR_NONE;
    }
    if (!json_is_number(value)) {
        return json_wrong(key, name, "a number");
    }
    *out = json_number_value(value);
    return ERR_NONE;
}

enum err json_want_bool(const json_t *object, const char *key, const char *name, bool *out)
{
    const json_t *value = json_field(object, key);
    if (!value) {
        return ERR_NONE;
    }
    if (!json_is_boolean(value)) {
        return json_wrong(key, name, "true or false");
    }
    *out = json_is_true(value);
    return ERR_NONE;
}

enum err json_want_text(const json_t *object, const char *key, const char *name, struct str *out)
{
    const json_t *value = json_field(object, key);
    if (!value) {
        return ERR_NONE;
    }
    if (!json_is_string(value)) {
        return json_wrong(key, name, "a string");
    }
    *out = (struct str){json_string_value(value), json_string_length(value)};
    return ERR_NONE;
}

enum err json_get_int(const json_t *object, const char *key, const char *name, int64_t *out)
{
    return json_field(object, key) ? json_want_int(object, key, name, out) : json_missing(key, name);
}

enum err json_get_text(const json_t *object, const char *key, const char *name, struct str *out)
{
    return json_field(object, key) ? json_want_text(object, key, name, out) : json_missing(key, name);
}
