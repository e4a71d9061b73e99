/* reward/gold.c - strings are viewed in place; numbers are written into the arena.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/gold.h"

static bool read_one(const json_t *value, struct arena *arena, struct str *out)
{
    if (json_is_string(value)) {
        *out = (struct str){json_string_value(value), json_string_length(value)};
    } else if (json_is_integer(value)) {
        *out = str_of(arena_printf(arena, "%lld", (long long)json_integer_value(value)));
    } else if (json_is_real(value)) {
        *out = str_of(arena_printf(arena, "%.15g", json_real_value(value)));
    } else {
        return false;
    }
    return true;
}

const char *gold_read(const json_t *fields, const char *name, struct arena *arena, struct str texts[GOLD_MAX], int *n)
{
    const json_t *value = json_object_get(fields, name);
    if (!value || json_is_null(value)) {
        return arena_printf(arena, "missing field '%s'", name);
    }
    size_t size = json_is_array(value) ? json_array_size(value) : 1;
    if (size < 1 || size > GOLD_MAX) {
        return arena_printf(arena, "the list '%s' must have 1 to %d items", name, GOLD_MAX);
    }
    for (size_t i = 0; i < size; i++) {
        if (!read_one(json_is_array(value) ? json_array_get(value, i) : value, arena, &texts[i])) {
            return arena_printf(arena, "'%s' must be a string, a number, or a list of them", name);
        }
    }
    *n = (int)size;
    return NULL;
}
