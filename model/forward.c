/* model/forward.c - what the cached and the packed forward pass share: checks, the embedding, the final norm.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/forward.h"

#include "model/linear.h"

void model_check_rows(const struct model *model, int T, const int32_t *tokens, const int32_t *positions)
{
    for (int t = 0; t < T; t++) {
        BUG_ON(tokens[t] < 0 || tokens[t] >= model->config.V);
        BUG_ON(positions[t] < 0 || positions[t] >= model->max_positions);
    }
}

void model_show_layer(const struct model *model, int layer, int T, const int32_t *positions, const void *x)
{
    if (model->watch.see) {
        model->watch.see(model->watch.context, model, layer, T, positions, x);
    }
}

void model_embed(const struct model *model, int T, const int32_t *tokens, void *x)
{
    model->device->ops->embedding(&(struct embedding_args){
        .T = T,
        .d = model->config.d,
        .V = model->config.V,
        .tokens = tokens,
        .table = params_at(&model->params, model->weights.embedding),
        .y = x,
    });
}

void model_final_norm(const struct model *model, int T, const void *x, void *hidden)
{
    struct norm norm = norm_of_rows(model, model->weights.final_norm);
    norm_forward(model, &norm, T, x, hidden);
}
