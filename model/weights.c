/* model/weights.c - the order of the parameters: embedding; norm, attention, norm, feed-forward of each layer; norm, head.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include <stdlib.h>

#include "base/arena.h"

#define MAX_PARTS 8

int weights_add(struct weights_plan *plan, int cols, enum param_init init, const struct weight_part *parts, int n)
{
    struct param_part list[MAX_PARTS];
    char names[MAX_PARTS][80];
    BUG_ON(n < 1 || n > MAX_PARTS);
    for (int i = 0; i < n; i++) {
        if (!model_family_has(plan->family, parts[i].role)) {
            return -1;
        }
        model_family_tensor(plan->family, parts[i].role, plan->layer, NAMING_HF, names[i], sizeof names[i]);
        list[i] = (struct param_part){
            .name = names[i], .rows = parts[i].rows, .role = (int)parts[i].role, .layer = plan->layer};
    }
    return params_add(plan->params, plan->device, cols, PARAM_ELEMENT, init, list, n);
}

static int add_one(struct weights_plan *plan, int rows, int cols, enum param_init init, enum tensor_role role)
{
    return weights_add(plan, cols, init, &(struct weight_part){role, rows}, 1);
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
