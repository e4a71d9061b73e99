/* tests/model_parts.h - for tests of models: the families by name, and parameters as files have them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_PARTS_H
#define TESTS_MODEL_PARTS_H

#include "model/model.h"

/* The first three are rows of model_families. */
enum fixture_family {
    FAMILY_QWEN2,
    FAMILY_QWEN3,
    FAMILY_LLAMA,
    FAMILY_QWEN2_MOE,
    FAMILY_QWEN3_MOE,
    FAMILY_DEEPSEEK,     /* its layers dense */
    FAMILY_DEEPSEEK_MOE, /* with experts */
    FIXTURE_FAMILIES
};

/* Part i of a set of parameters; offset and n: in arrays with the layout of the set. */
struct part {
    const char *name;
    const struct param *param;
    int row, rows, cols, width; /* cols 0, width 1: a vector */
    size_t offset, n;
    bool is_norm;
};

static inline struct part part_in(const struct params *params, int i)
{
    const struct param_part *part = &params->parts[i];
    const struct param *p = &params->table[part->param];
    size_t width = (size_t)param_width(p);
    return (struct part){
        .name = part->name,
        .param = p,
        .row = part->row,
        .rows = part->rows,
        .cols = p->cols,
        .width = (int)width,
        .offset = p->offset + (size_t)part->row * width,
        .n = (size_t)part->rows * width,
        .is_norm = p->init == PARAM_ONE,
    };
}

static inline struct part part_of(const struct model *model, int i)
{
    return part_in(&model->params, i);
}

/* The part of that name; a bug if there is none. */
static inline struct part part_named(const struct model *model, const char *name)
{
    const struct param_part *part = params_find(&model->params, name);
    BUG_ON(!part);
    return part_of(model, (int)(part - model->params.parts));
}

static inline void part_import(const struct model *model, const struct part *part, const float *rows)
{
    params_import(&model->params, model->device, part->param, rows, part->row, part->rows);
}

#endif
