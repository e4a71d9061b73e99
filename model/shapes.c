/* model/shapes.c - the shapes of all layers, and the floating-point operations that follow from them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/shapes.h"

#include "model/adapter.h"
#include "model/model.h"

void shapes_add_product(struct device_shapes *shapes, int N, int K, bool bias)
{
    BUG_ON(shapes->n_products == DEVICE_MAX_SHAPES);
    shapes->products[shapes->n_products++] = (struct device_product){N, K, bias};
}

void shapes_add_norm(struct device_shapes *shapes, int n_heads, int width)
{
    BUG_ON(shapes->n_norms == DEVICE_MAX_SHAPES);
    shapes->norms[shapes->n_norms++] = (struct device_norm){n_heads, width};
}

void shapes_add_attention(struct device_shapes *shapes, int H, int J, int D, int Dv)
{
    BUG_ON(shapes->n_attentions == DEVICE_MAX_SHAPES);
    shapes->attentions[shapes->n_attentions++] = (struct device_attention){H, J, D, Dv};
}

void shapes_add_experts(struct device_shapes *shapes, int E, int k, int d, int F)
{
    BUG_ON(shapes->n_experts == DEVICE_MAX_SHAPES);
    shapes->experts[shapes->n_experts++] = (struct device_experts){E, k, d, F};
}

void model_shapes(const struct model *model, struct device_shapes *out)
{
    const struct model_config *config = &model->config;
    *out = (struct device_shapes){0};
    shapes_add_norm(out, 1, config->d);
    for (int layer = 0; layer < config->n_layers; layer++) {
        for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
            if (model_block_is_first(config, layer, half)) {
                model_block(config, layer, half)->list_shapes(config, out);
            }
        }
    }
    if (model->adapter) {
        adapter_shapes(model->adapter, &model->params, out);
    }
}

double model_flops(const struct model_config *config, double n_tokens, double n_context)
{
    double weights = (double)config->d * config->V, of_pair = 0;
    for (int layer = 0; layer < config->n_layers; layer++) {
        for (int half = 0; half < BLOCKS_PER_LAYER; half++) {
            struct device_shapes shapes = {0};
            model_block(config, layer, half)->list_shapes(config, &shapes);
            for (int i = 0; i < shapes.n_products; i++) {
                weights += (double)shapes.products[i].N * shapes.products[i].K;
            }
            for (int i = 0; i < shapes.n_experts; i++) {
                weights += 3.0 * shapes.experts[i].k * shapes.experts[i].d * shapes.experts[i].F;
            }
            for (int i = 0; i < shapes.n_attentions; i++) {
                of_pair += 2.0 * shapes.attentions[i].H * (shapes.attentions[i].D + shapes.attentions[i].Dv);
            }
        }
    }
    double pairs = n_tokens * n_context + n_tokens * (n_tokens + 1) / 2;
    return 2 * n_tokens * weights + of_pair * pairs;
}
