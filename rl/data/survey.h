/* rl/data/survey.h - what is wrong with the rows of a data set, before anything is made of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_SURVEY_H
#define RL_DATA_SURVEY_H

#include "rl/data/dataset.h"

struct survey {
    int64_t n, n_wrong; /* rows looked at, and those with something wrong */
    char where[4200];   /* the first of these: path:line */
    char why[512];      /* and what it is */
};

/* NULL, or what is wrong with a row, static or in the arena, which is emptied after each row. */
typedef const char *survey_look(void *context, const json_t *row, struct arena *arena);

/* Looks at each row of a file once, in its order; of a generator's, at the first. */
enum err survey_rows(struct dataset *dataset, survey_look *look, void *context, struct survey *out);

#endif
