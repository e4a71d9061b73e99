/* model/params.c - the table grows by one parameter at a time; numbers go in and out by rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/params.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/num.h"

#define ALIGNMENT 16 /* elements, and rows of a part: a panel of a matrix (kernels/ops.h) */

static void add_parts(struct params *params, const struct param_part *parts, int n_parts, int *rows)
{
    for (int i = 0; i < n_parts; i++) {
        struct param_part *part = &params->parts[params->n_parts];
        BUG_ON(n_parts > 1 && parts[i].rows % ALIGNMENT != 0);
        *part = parts[i];
        part->name = mem_strdup(parts[i].name);
        part->param = params->n_params;
        part->row = *rows;
        BUG_ON(!names_add(&params->names, part->name));
        *rows += part->rows;
        params->n_parts++;
    }
}

int params_add(struct params *params, const struct device *device, int cols, enum param_dtype dtype,
               enum param_init init, const struct param_part *parts, int n_parts)
{
    int rows = 0;
    struct param p = {.cols = cols, .offset = params->n_trained, .at = params->bytes, .dtype = dtype, .init = init};
    params->table = mem_grow(params->table, (size_t)(params->n_params + 1) * sizeof *params->table);
    params->parts = mem_grow(params->parts, (size_t)(params->n_parts + n_parts) * sizeof *params->parts);
    p.first_part = params->n_parts;
    p.n_parts = n_parts;
    add_parts(params, parts, n_parts, &rows);
    p.rows = rows;
    p.n = cols > 0 ? device->ops->matrix_elements(rows, cols) : round_up((size_t)rows, ALIGNMENT);
    p.decays = cols > 0;
    p.trains = true;
    params->n += p.n;
    params->n_trained += p.n;
    params->bytes += p.n * (dtype == PARAM_FP32 ? sizeof(float) : device->element_bytes);
    params->table[params->n_params] = p;
    return params->n_params++;
}

void params_freeze(struct params *params, int i)
{
    BUG_ON(params->master || params->grads || params->m);
    params->table[i].trains = false;
    params->n_trained = 0;
    for (int k = 0; k < params->n_params; k++) {
        params->table[k].offset = params->n_trained;
        params->n_trained += params->table[k].trains ? params->table[k].n : 0;
    }
}

enum err param_check_rows(const char *what, int rows, const char *source)
{
    return rows % ALIGNMENT == 0 ? ERR_NONE
                                 : err_set(ERR_LIMIT, "%s: %s is %d, and only multiples of %d are supported", source,
                                           what, rows, ALIGNMENT);
}

void params_release(struct params *params, struct device *device)
{
    device_free(device, params->data);
    device_free(device, params->master);
    for (int i = 0; i < params->n_parts; i++) {
        free(params->parts[i].name);
    }
    names_release(&params->names);
    free(params->table);
    free(params->parts);
    *params = (struct params){0};
}

void *params_at(const struct params *params, int i)
{
    return i < 0 ? NULL : (char *)params->data + params->table[i].at;
}

const struct param_part *params_find(const struct params *params, const char *name)
{
    int i = names_find(&params->names, name);
    return i < 0 ? NULL : &params->parts[i];
}

void params_import(const struct params *params, const struct device *device, const struct param *p, const float *rows,
                   int row, int n)
{
    void *to = (char *)params->data + p->at;
    if (p->dtype == PARAM_FP32) {
        device->ops->wide_import(to, rows, row, n, p->rows, param_width(p));
    } else {
        device->ops->matrix_import(to, rows, row, n, p->rows, param_width(p));
    }
    if (params->master && p->trains) {
        device->ops->wide_import(params->master + p->offset, rows, row, n, p->rows, param_width(p));
    }
}

void params_export(const struct params *params, const struct device *device, const struct param *p, float *rows,
                   int row, int n)
{
    const void *from = (const char *)params->data + p->at;
    if (params->master && p->trains) {
        device->ops->wide_export(rows, params->master + p->offset, row, n, p->rows, param_width(p));
    } else if (p->dtype == PARAM_FP32) {
        device->ops->wide_export(rows, from, row, n, p->rows, param_width(p));
    } else {
        device->ops->matrix_export(rows, from, row, n, p->rows, param_width(p));
    }
}
