/* model/weights.h - which parameter is what in the network: numbers of the table in model/params.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/config.h"
#include "model/family.h"
#include "model/params.h"

/* Numbers of parameters; -1: absent. */
struct layer_weights {
    int norm[BLOCKS_PER_LAYER];                     /* before each block */
    int block[BLOCKS_PER_LAYER][BLOCK_MAX_WEIGHTS]; /* by the block's own enum */
};

struct weights {
    int embedding, final_norm, head; /* head == embedding when tied */
    struct layer_weights *layers;    /* [n_layers] */
};

/* Fills the table of `params`, whose memory is left NULL. Released by weights_release and params_release. */
void weights_plan(struct weights *weights, struct params *params, const struct model_config *config,
                  const struct device *device);
void weights_release(struct weights *weights);

/* ---- for blocks ---- */

struct weights_plan {
    struct params *params;
    const struct device *device;
    const struct model_family *family;
    int layer; /* -1: outside the layers */
};

/* A tensor of a file: `rows` rows of the parameter. */
struct weight_part {
    enum tensor_role role;
    int rows;
    int expert; /* of a tensor of an expert */
};

/* Adds a parameter of n parts, in the device's element; -1 if the family has no such tensors. */
int weights_add(struct weights_plan *plan, int cols, enum param_init init, const struct weight_part *parts, int n);
/* A vector of zeros in fp32 that no gradient trains. */
int weights_add_frozen(struct weights_plan *plan, const struct weight_part *part);

#endif
