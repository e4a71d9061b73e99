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

/* ---- experts ---- */

/* Those of one layer, [T, k], between the host's bytes and the device. */
static void move_experts(const struct model *model, const struct routes *routes, int T, int n_before, uint8_t *experts,
                         bool write)
{
    int k = model->config.moe.router.k, stride = model_expert_layers(&model->config) * k;
    size_t bytes = (size_t)T * (size_t)k * sizeof(int32_t);
    int32_t *ids = mem_alloc(bytes);
    if (!write) {
        device_read(model->device, ids, routes->experts, bytes);
    }
    for (int t = 0; t < T; t++) {
        uint8_t *row = experts + (ptrdiff_t)t * stride + (ptrdiff_t)n_before * k;
        for (int j = 0; j < k; j++) {
            if (write) {
                BUG_ON(row[j] >= model->config.moe.router.E || (j > 0 && row[j] <= row[j - 1]));
                ids[t * k + j] = row[j];
            } else {
                row[j] = (uint8_t)ids[t * k + j];
            }
        }
    }
    if (write) {
        device_write(model->device, routes->experts, ids, bytes);
    }
    free(ids);
}

static void move_all(const struct model *model, const struct buffers *buffers, int T, uint8_t *experts, bool write)
{
    BUG_ON(model->config.moe.router.E > MODEL_MOST_BYTE_EXPERTS);
    for (int layer = 0, n = 0; layer < model->config.n_layers; layer++) {
        if (!model_layer_is_dense(&model->config, layer)) {
            struct routes routes = block_moe_routes(buffers->layers[layer].at[BLOCK_FEED_FORWARD]);
            move_experts(model, &routes, T, n++, experts, write);
        }
    }
}

void model_read_experts(const struct model *model, const struct buffers *buffers, int T, uint8_t *experts)
{
    move_all(model, buffers, T, experts, false);
}

void model_write_experts(const struct model *model, const struct buffers *buffers, int T, const uint8_t *experts)
{
    move_all(model, buffers, T, (uint8_t *)(uintptr_t)experts, true);
}

void model_final_norm(const struct model *model, int T, const void *x, void *hidden)
{
    struct norm norm = norm_of_rows(model, model->weights.final_norm);
    norm_forward(model, &norm, T, x, hidden);
}
