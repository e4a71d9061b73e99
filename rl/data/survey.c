/* rl/data/survey.c - one pass over the rows with the check of the caller.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/survey.h"

#include <stdio.h>

enum err survey_rows(struct dataset *dataset, survey_look *look, void *context, struct survey *out)
{
    struct arena arena = ARENA_INIT;
    int64_t size = dataset_size(dataset), n = size > 0 ? size : 1;
    enum err result = ERR_NONE;
    *out = (struct survey){0};
    for (int64_t i = 0; i < n && result == ERR_NONE; i++) {
        char where[sizeof out->where];
        json_t *row = NULL;
        result = dataset_row(dataset, i, &row, where, sizeof where);
        const char *why = result == ERR_NONE ? look(context, row, &arena) : NULL;
        if (why && out->n_wrong++ == 0) {
            snprintf(out->where, sizeof out->where, "%s", where);
            snprintf(out->why, sizeof out->why, "%s", why);
        }
        out->n += result == ERR_NONE;
        json_decref(row);
        arena_reset(&arena);
    }
    arena_release(&arena);
    return result;
}
