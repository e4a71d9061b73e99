/* model/weights.c - the order of the parameters: embedding; norm, attention, norm, feed-forward of each layer; norm, head.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include <stdlib.h>

#include "base/arena.h"

static int add(struct weights_plan *plan, int cols, enum param_dtype dtype, enum param_init init,
               const struct weight_part *parts, int n)
{
    BUG_ON(n < 1);
    for (int i = 0; i < n; i++) {
        if (!model_family_has(plan->family, parts[i].role)) {
            return -1;
        }
    }
    struct param_part *list = mem_alloc((size_t)n * sizeof *list);
    char *names = mem_alloc((size_t)n * TENSOR_NAME_BYTES);
    for (int i = 0; i < n; i++) {
        char *name = names + (size_t)i * TENSOR_NAME_BYTES;
        model_family_tensor(plan->family, parts[i].role, plan->layer, parts[i].expert, NAMING_HF, name,
                            TENSOR_NAME_BYTES);
        list[i] = (struct param_part){.name = name,
                                      .rows = parts[i].rows,
                                      .role = (int)parts[i].role,
                                      .layer = plan->layer,
                                      .expert = parts[i].expert};
    }
    int param = params_add(plan->params, plan->device, cols, dtype, init, list, n);
    free(names);
    free(list);
    return param;
}

int weights_add(struct weights_plan *plan, int cols, enum param_init init, const struct weight_part *parts, int n)
{
    return add(plan, cols, PARAM_ELEMENT, init, parts, n);
}

int weights_add_frozen(struct weights_plan *plan, const struct weight_part *part)
{
    int param = add(plan, 0, PARAM_FP32, PARAM_ZERO, part, 1);
    if (param >= 0) {
        plan->params->table[param].trains = false;
    }
    return param;
}

static int add_one(struct weights_plan *plan, int rows, int cols, enum param_init init, enum tensor_role role)
{
    return weights_add(plan, cols, init, &(struct weight_part){role, rows, 0}, 1);
}

static void plan_layer(struct weights_plan *plan, struct layer_weights *layer, const struct model_config *config)
{
    static const enum tensor_role norms[] = {TENSOR_INPUT_NORM, TENSOR_POST_NORM};
    for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
        layer->norm[half] = add_one(plan, config->d, 0, PARAM_ONE, norms[half]);
        model_block(config, plan->layer, half)->plan_weights(plan, config, layer->block[half]);
    }
}

void weights_plan(struct weights *weights, struct params *params, const struct model_config *config,
                  const struct device *device)
{
    struct weights_plan plan = {params, device, config->family, -1};
    *params = (struct params){0};
    *weights = (struct weights){.layers = mem_zero((size_t)config->n_layers * sizeof *weights->layers)};
    weights->embedding = add_one(&plan, config->V, config->d, PARAM_NORMAL, TENSOR_EMBEDDING);
    for (plan.layer = 0; plan.layer < config->n_layers; plan.layer++) {
        plan_layer(&plan, &weights->layers[plan.layer], config);
    }
    plan.layer = -1;
    weights->final_norm = add_one(&plan, config->d, 0, PARAM_ONE, TENSOR_FINAL_NORM);
    weights->head = config->tied ? weights->embedding : add_one(&plan, config->V, config->d, PARAM_NORMAL, TENSOR_HEAD);
}

void weights_release(struct weights *weights)
{
    free(weights->layers);
    *weights = (struct weights){0};
}
