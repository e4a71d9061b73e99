/* model/params.h - a set of parameters: a table, and flat arrays of numbers in the table's layout: `data` of all of them, the
 * others of those that train.
 *
 * A model has a set; what trains, saves and loads parameters iterates over a set and knows nothing of networks. A parameter is
 * one matrix [rows, cols] in memory, in the layout of kernels/ops.h, or a vector. Files may have it in several tensors,
 * its parts, which follow each other by rows: [q|k|v] is one matrix of three parts. Each parameter starts at a multiple of 16
 * elements, and each part at a multiple of 16 rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_PARAMS_H
#define MODEL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/names.h"
#include "kernels/device.h"

enum param_init {
    PARAM_NORMAL,   /* normal, deviation 0.02 */
    PARAM_RESIDUAL, /* of a matrix whose product is added to the residual stream: smaller the deeper the model */
    PARAM_ONE,      /* of a norm */
    PARAM_ZERO,     /* of a bias */
};

/* What one element of `data` is. */
enum param_dtype {
    PARAM_ELEMENT, /* the device's element: fp32 on the CPU, bf16 on a GPU */
    PARAM_FP32,    /* fp32 everywhere */
};

struct param {
    int rows, cols; /* cols 0: a vector of `rows` */
    size_t offset,
        n;     /* elements, padding included; where they begin in master, grads and moments: none of a frozen one */
    size_t at; /* bytes in data */
    enum param_dtype dtype;
    enum param_init init;
    bool decays;             /* the optimiser's weight decay: matrices do, norms and biases do not, as in TRL */
    bool trains;             /* false: frozen (params_freeze): no gradient, no master, no moments */
    int first_part, n_parts; /* in params.parts */
};

/* A tensor of a file: rows row .. row + rows - 1 of a parameter. */
struct param_part {
    char *name; /* in a Hugging Face checkpoint: "model.layers.0.self_attn.q_proj.weight" */
    int param, row, rows;
    int role, layer; /* of the network (model/family.h); layer -1: outside the layers */
    int expert;      /* whose tensor it is, where the role is an expert's */
};

struct params {
    struct param *table;
    struct param_part *parts; /* of all parameters, in order */
    struct names names;       /* of parts, by the same number */
    int n_params, n_parts;
    size_t n, bytes;  /* elements; bytes of data */
    size_t n_trained; /* elements of the parameters that train */
    void *data;       /* device */
    float *master;    /* device, [n_trained]; NULL where elements are fp32. What is trained: data is its rounding */
    float *grads;     /* device, [n_trained]; NULL unless the set is trained: rl/optim.h allocates and frees it, */
    void *m, *v;      /* device, [n_trained]: and the optimiser's moments */
};

/* Adds a parameter whose n_parts parts have the names, rows, roles and layers given; returns its number. Trains; decays if it is a
 * matrix. */
int params_add(struct params *params, const struct device *device, int cols, enum param_dtype dtype,
               enum param_init init, const struct param_part *parts, int n_parts);
/* Parameter i trains no more. Before masters, gradients and moments are allocated: the others move up. */
void params_freeze(struct params *params, int i);
void params_release(struct params *params, struct device *device);

/* ERR_LIMIT if a part of that many rows cannot be followed by another: a key of the config, its value, whose config. */
enum err param_check_rows(const char *what, int rows, const char *source);
/* Where parameter i is in data; NULL for -1, a parameter that a model does not have. */
void *params_at(const struct params *params, int i);
/* The part of that name, or NULL. */
const struct param_part *params_find(const struct params *params, const char *name);
/* Columns, 1 of a vector. */
static inline int param_width(const struct param *p)
{
    return p->cols > 0 ? p->cols : 1;
}

/* Rows row .. row + n - 1 of a parameter, fp32 on the host, in and out: of the master weights where there are some, and into data
 * too. */
void params_import(const struct params *params, const struct device *device, const struct param *p, const float *rows,
                   int row, int n);
void params_export(const struct params *params, const struct device *device, const struct param *p, float *rows,
                   int row, int n);

#endif
