/* model/activations.c - one table of buffers: what each is for and how large, from which the sizes, the labels, the allocation
 * and the release all come.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/activations.h"

/* The pages that contexts may need: each its own full ones, one that it begins and one that it ends in. */
static int pages_needed(int max_tokens, int max_contexts, int pages_per_context)
{
    int64_t by_rows = max_tokens / OPS_PAGE + 2 * (int64_t)max_contexts;
    int64_t by_length = (int64_t)max_contexts * pages_per_context;
    return (int)(by_rows < by_length ? by_rows : by_length);
}

struct buffer {
    void **at;
    size_t n, bytes; /* elements, and the bytes of one */
    const char *label;
};

#define MAX_BUFFERS 32

/* Lists the device buffers of `a`, whose limits are set; returns how many. */
static int list_buffers(struct activations *a, const struct model *model, struct buffer *list)
{
    const struct model_config *c = &model->config;
    size_t L = (size_t)c->n_layers, K = a->checkpointing ? 1 : L, T = (size_t)a->max_tokens, N = (size_t)a->max_targets;
    size_t d = (size_t)c->d, F = (size_t)c->F, heads = (size_t)c->H, q = heads * (size_t)c->D;
    size_t qkv = (size_t)layer_qkv_width(c), pool = (size_t)a->n_pages * ops_page_elements(c->J, c->D);
    size_t element = model->device->element_bytes;
    const struct buffer buffers[] = {
        {&a->x, (L + 1) * T * d, element, "kept: layer inputs"},
        {&a->qkv, K * T * qkv, element, "kept: q, k, v"},
        {&a->attended, K * T * q, element, "kept: attention"},
        {(void **)&a->lse, K * T * heads, sizeof(float), "kept: attention log-sum-exp"},
        {&a->mid, K * T * d, element, "kept: between attention and feed-forward"},
        {&a->gate_up, K * T * 2 * F, element, "kept: gate, up"},
        {&a->hidden, T * d, element, "kept: hidden"},
        {&a->normed, T * d, element, "training: after a norm"},
        {&a->qk, c->qk_norm ? T * qkv : 0, element, "training: normed q, k"},
        {&a->act, T * F, element, "training: swiglu"},
        {&a->dx, T * d, element, "gradient: residual stream"},
        {&a->dqkv, T * qkv, element, "gradient: q, k, v"},
        {&a->dattended, T * q, element, "gradient: attention"},
        {&a->dgate_up, a->checkpointing ? 0 : T * 2 * F, element, "gradient: gate, up"},
        {&a->k_pool, pool, element, "training: key pages"},
        {&a->v_pool, pool, element, "training: value pages"},
        {(void **)&a->tokens, T, sizeof(int32_t), "training: tokens"},
        {(void **)&a->positions, T, sizeof(int32_t), "training: positions"},
        {(void **)&a->target_rows, N, sizeof(int32_t), "training: target rows"},
        {(void **)&a->targets, N, sizeof(int32_t), "training: targets"},
        {&a->target_x, N * d, element, "training: hidden of targets"},
        {&a->dtarget_x, N * d, element, "gradient: hidden of targets"},
        {(void **)&a->logprob, N, sizeof(float), "training: log-probabilities"},
        {(void **)&a->target_lse, N, sizeof(float), "training: log-sum-exp"},
        {(void **)&a->entropy, N, sizeof(float), "training: entropy"},
        {(void **)&a->d_logprob, N, sizeof(float), "gradient: log-probabilities"},
        {(void **)&a->d_entropy, N, sizeof(float), "gradient: entropy"},
    };
    _Static_assert(sizeof buffers / sizeof *buffers <= MAX_BUFFERS, "the list must hold all");
    memcpy(list, buffers, sizeof buffers);
    return (int)(sizeof buffers / sizeof *buffers);
}

static void set_limits(struct activations *a, int max_tokens, int max_targets, int max_contexts, int max_length,
                       bool checkpointing)
{
    BUG_ON(max_tokens < 1 || max_targets < 1 || max_contexts < 1 || max_length < 1);
    a->max_tokens = max_tokens;
    a->max_targets = max_targets;
    a->max_contexts = max_contexts;
    a->checkpointing = checkpointing;
    a->held = -1;
    a->pages_per_context = (max_length + OPS_PAGE - 1) / OPS_PAGE;
    a->n_pages = pages_needed(max_tokens, max_contexts, a->pages_per_context);
}

size_t activations_bytes(const struct model *model, int max_tokens, int max_targets, int max_contexts, int max_length,
                         bool checkpointing)
{
    struct activations a = {0};
    struct buffer list[MAX_BUFFERS];
    set_limits(&a, max_tokens, max_targets, max_contexts, max_length, checkpointing);
    size_t bytes = 0;
    for (int i = 0, n = list_buffers(&a, model, list); i < n; i++) {
        bytes += list[i].n * list[i].bytes;
    }
    return bytes;
}

struct activations *activations_new(const struct model *model, int max_tokens, int max_targets, int max_contexts,
                                    int max_length, bool checkpointing)
{
    struct activations *a = mem_zero(sizeof *a);
    struct buffer list[MAX_BUFFERS];
    set_limits(a, max_tokens, max_targets, max_contexts, max_length, checkpointing);
    for (int i = 0, n = list_buffers(a, model, list); i < n; i++) {
        if (list[i].n) {
            *list[i].at = device_alloc_in(model->device, DEVICE_TRAINING, list[i].n * list[i].bytes, list[i].label);
        }
    }
    a->stores = mem_zero(2 * (size_t)max_contexts * sizeof *a->stores);
    a->spans = mem_zero((size_t)max_contexts * sizeof *a->spans);
    a->pages = mem_zero((size_t)max_contexts * (size_t)a->pages_per_context * sizeof *a->pages);
    return a;
}

void activations_free(struct activations *acts, const struct model *model)
{
    struct buffer list[MAX_BUFFERS];
    if (!acts) {
        return;
    }
    for (int i = 0, n = list_buffers(acts, model, list); i < n; i++) {
        device_free(model->device, *list[i].at);
    }
    free(acts->stores);
    free(acts->spans);
    free(acts->pages);
    free(acts);
}

struct layer_io activations_layer(const struct activations *acts, const struct model *model, int layer)
{
    const struct model_config *config = &model->config;
    size_t T = (size_t)acts->max_tokens, row = acts->checkpointing ? 0 : (size_t)layer * T; /* of this layer's part */
    size_t in = (size_t)layer * T;
    size_t d = (size_t)config->d, F = (size_t)config->F, H = (size_t)config->H, D = (size_t)config->D;
    void *qkv = linear_element(model, acts->qkv, row * (size_t)layer_qkv_width(config));
    return (struct layer_io){
        .T = acts->T,
        .positions = acts->positions,
        .n_stores = acts->n_stores,
        .n_spans = acts->n_spans,
        .stores = acts->stores,
        .spans = acts->spans,
        .k_pool = acts->k_pool,
        .v_pool = acts->v_pool,
        .x = linear_element(model, acts->x, in * d),
        .normed = acts->normed,
        .qkv = qkv,
        .qk = config->qk_norm ? acts->qk : qkv,
        .attended = linear_element(model, acts->attended, row * H * D),
        .lse = acts->lse + row * H,
        .mid = linear_element(model, acts->mid, row * d),
        .gate_up = linear_element(model, acts->gate_up, row * 2 * F),
        .act = acts->act,
        .out = linear_element(model, acts->x, (in + T) * d),
        .dx = acts->dx,
        .dqkv = acts->dqkv,
        .dattended = acts->dattended,
        .dgate_up = acts->checkpointing ? linear_element(model, acts->gate_up, row * 2 * F) : acts->dgate_up,
    };
}
