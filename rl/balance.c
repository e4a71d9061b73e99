/* rl/balance.c - counts and shares of each layer, read after a forward pass.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_SHOWN 128 /* whose metrics are written */
#define CHANGE_ROWS  256 /* that are routed again after a step */

/* balance.numbers of a shard; then [layers] sums of entropies, [layers, E] assignments. MEASURED: micro-batches whose shares were
 * read, for the losses and entropies; all are counted. */
enum { ROWS, MEASURED, MEASURED_ROWS, AUX, SEQ, HEAD };

static const struct router *router_of(const struct balance *b)
{
    return &b->model->config.moe.router;
}

/* ---- set up ---- */

static bool has_loss(const struct loss_recipe *r)
{
    return r->router_aux_loss_coef > 0 || r->router_seq_loss_coef > 0;
}

void balance_init(struct balance *b, const struct loss_recipe *recipe, struct model *model, struct activations *acts,
                  int max_tokens, int max_contexts, int n_shards)
{
    *b = (struct balance){.recipe = recipe, .n_shards = n_shards};
    b->n_layers = model_expert_layers(&model->config);
    if (b->n_layers == 0) {
        return;
    }
    b->model = model;
    size_t E = (size_t)router_of(b)->E, T = (size_t)max_tokens, of_layers = (size_t)b->n_layers * E;
    int max_sets = recipe->router_seq_loss_coef > 0 ? max_contexts : 1;
    b->n_numbers = HEAD + b->n_layers + b->n_layers * router_of(b)->E;
    b->numbers = mem_zero((size_t)n_shards * (size_t)b->n_numbers * sizeof *b->numbers);
    b->experts = mem_zero(T * (size_t)router_of(b)->k * sizeof *b->experts);
    b->logits = mem_zero(T * E * sizeof *b->logits);
    b->sums = mem_zero(of_layers * sizeof *b->sums);
    b->counts = mem_zero(of_layers * sizeof *b->counts);
    if (router_of(b)->E <= MODEL_MOST_BYTE_EXPERTS) {
        size_t bytes = T * (size_t)model_expert_bytes(&model->config);
        b->before = mem_zero(bytes);
        b->after = mem_zero(bytes);
    }
    if (has_loss(recipe)) {
        activations_add_balance(acts, model, max_sets);
        b->dshares = mem_zero((size_t)model->config.n_layers * (size_t)max_sets * E * sizeof *b->dshares);
        b->sets = mem_zero(T * sizeof *b->sets);
    }
}

void balance_release(struct balance *b)
{
    void *arrays[] = {b->numbers, b->experts, b->logits, b->dshares, b->sets, b->sums, b->counts, b->before, b->after};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        free(arrays[i]);
    }
    *b = (struct balance){0};
}

enum err balance_check(const struct loss_recipe *r, const struct model_config *config)
{
    bool replay = r->routing_replay != REPLAY_NONE;
    const char *key = r->router_aux_loss_coef > 0   ? "router_aux_loss_coef"
                      : r->router_seq_loss_coef > 0 ? "router_seq_loss_coef"
                      : replay                      ? "routing_replay"
                                                    : "router_bias_update_rate";
    if ((has_loss(r) || replay || r->router_bias_update_rate > 0) && model_expert_layers(config) == 0) {
        return err_set(ERR_USAGE, "%s is set, but the model has no experts; leave it out", key);
    }
    if (replay && config->moe.router.E > MODEL_MOST_BYTE_EXPERTS) {
        return err_set(ERR_USAGE, "routing_replay keeps a byte per expert, and the model has %d experts; leave it out",
                       config->moe.router.E);
    }
    if (r->router_bias_update_rate > 0 && !config->moe.has_bias) {
        return err_set(ERR_USAGE,
                       "router_bias_update_rate is set, but a %s has no correction bias; set router_aux_loss_coef or "
                       "leave it out",
                       config->family->name);
    }
    return ERR_NONE;
}

/* Ascending ids of experts, k for each of n layers. */
static bool are_experts(const uint8_t *ids, int n, const struct router *r)
{
    bool valid = true;
    for (int i = 0; valid && i < n; i++) {
        valid = ids[i] < r->E && (i % r->k == 0 || ids[i] > ids[i - 1]);
    }
    return valid;
}

enum err balance_check_replay(const struct iteration *it, const struct model_config *config)
{
    int bytes = model_expert_bytes(config);
    for (int i = 0; i < it->n_samples; i++) {
        const struct completion *c = it->samples[i].completion;
        int n_prompt = it->samples[i].prompt->n_tokens, n_own = c->n_tokens > 0 ? c->n_tokens - 1 : 0;
        if (c->expert_bytes != bytes || c->prompt_bytes != n_prompt * bytes ||
            !are_experts(c->prompt_experts, c->prompt_bytes, &config->moe.router) ||
            !are_experts(c->experts, n_own * bytes, &config->moe.router)) {
            return err_set(ERR_STATE,
                           "run.db: the experts of iteration %lld, prompt %d, sample %d are none of this model's",
                           (long long)it->number, i / it->G, i % it->G);
        }
    }
    return ERR_NONE;
}

void balance_clear(struct balance *b)
{
    if (b->model) {
        memset(b->numbers, 0, (size_t)b->n_shards * (size_t)b->n_numbers * sizeof *b->numbers);
    }
}

/* ---- a micro-batch ---- */

/* The shares of a row, in place of its logits, and their entropy. */
static double make_shares(const struct router *r, float *row)
{
    double sum = 0, entropy = 0, largest = (double)row[0];
    for (int e = 1; e < r->E; e++) {
        largest = fmax(largest, (double)row[e]);
    }
    for (int e = 0; e < r->E; e++) {
        double x = (double)row[e], score = r->sigmoid ? 1 / (1 + exp(-x)) : exp(x - largest);
        row[e] = (float)score;
        sum += score;
    }
    for (int e = 0; e < r->E; e++) {
        double share = (double)row[e] / sum;
        row[e] = (float)share;
        entropy -= share > 0 ? share * log(share) : 0;
    }
    return entropy;
}

/* Shares of the rows of a layer, in place of their logits; their sums, and their entropies. */
static double add_shares(const struct balance *b, int T, double *sums)
{
    const struct router *r = router_of(b);
    double entropy = 0;
    memset(sums, 0, (size_t)r->E * sizeof *sums);
    for (int t = 0; t < T; t++) {
        float *row = b->logits + (ptrdiff_t)t * r->E;
        entropy += make_shares(r, row);
        for (int e = 0; e < r->E; e++) {
            sums[e] += (double)row[e];
        }
    }
    return entropy;
}

/* Rows of the layer with experts number i. */
static void add_rows(const struct balance *b, const struct activations *acts, int T, int layer, int i, bool measure,
                     double *numbers)
{
    const struct router *r = router_of(b);
    double *counts = b->counts + (ptrdiff_t)i * r->E;
    model_packed_routes(b->model, acts, layer, b->experts, measure ? b->logits : NULL);
    memset(counts, 0, (size_t)r->E * sizeof *counts);
    for (int p = 0; p < T * r->k; p++) {
        counts[b->experts[p]]++;
    }
    for (int e = 0; e < r->E; e++) {
        numbers[HEAD + b->n_layers + i * r->E + e] += counts[e];
    }
    if (measure) {
        numbers[HEAD + i] += add_shares(b, T, b->sums + (ptrdiff_t)i * r->E);
    }
}

/* The sequence-wise loss of one context in a layer, whose rows' experts and, measured, shares are in the scratch. */
static double add_sequence(const struct balance *b, const struct context *c, bool measure, double weight,
                           float *dshares)
{
    const struct router *r = router_of(b);
    const int32_t *experts = b->experts + (ptrdiff_t)c->row * r->k;
    double loss = 0;
    memset(dshares, 0, (size_t)r->E * sizeof *dshares);
    for (int i = 0; i < c->n_rows * r->k; i++) {
        dshares[experts[i]]++; /* at first the count of choices */
    }
    for (int e = 0; e < r->E; e++) {
        double sum = 0;
        for (int t = c->row; measure && t < c->row + c->n_rows; t++) {
            sum += (double)b->logits[t * r->E + e];
        }
        double f = r->E * (double)dshares[e] / ((double)r->k * c->n_rows);
        loss += f * sum / c->n_rows;
        dshares[e] = (float)(weight * f / c->n_rows);
    }
    return loss;
}

static double add_sequences(const struct balance *b, const struct train_batch *batch, int layer, bool measure,
                            double weight)
{
    double sum = 0;
    float *of_layer = b->dshares + (ptrdiff_t)layer * batch->n_contexts * router_of(b)->E;
    for (int c = 0; c < batch->n_contexts; c++) {
        sum += add_sequence(b, &batch->contexts[c], measure, weight / batch->n_contexts,
                            of_layer + (ptrdiff_t)c * router_of(b)->E);
    }
    return sum / batch->n_contexts;
}

/* The pooled loss, from counts and sums of all layers; its gradient goes to every set of every layer. */
static double add_aux(const struct balance *b, int T, int n_sets, double weight)
{
    const struct router *r = router_of(b);
    double rows = (double)T * b->n_layers, loss = 0;
    for (int e = 0; e < r->E; e++) {
        double count = 0, sum = 0;
        for (int i = 0; i < b->n_layers; i++) {
            count += b->counts[i * r->E + e];
            sum += b->sums[i * r->E + e];
        }
        loss += r->E * (count / rows) * (sum / rows);
        for (int set = 0; set < n_sets * b->model->config.n_layers; set++) {
            b->dshares[set * r->E + e] += (float)(weight * r->E * (count / rows) / rows);
        }
    }
    return loss;
}

static void set_rows(const struct balance *b, const struct train_batch *batch, int n_sets)
{
    for (int c = 0; c < batch->n_contexts; c++) {
        for (int t = 0; t < batch->contexts[c].n_rows; t++) {
            b->sets[batch->contexts[c].row + t] = n_sets > 1 ? c : 0;
        }
    }
}

void balance_add(struct balance *b, struct activations *acts, const struct train_batch *batch, int shard, int n)
{
    if (!b->model) {
        return;
    }
    const struct model_config *config = &b->model->config;
    const struct loss_recipe *r = b->recipe;
    double *numbers = b->numbers + (ptrdiff_t)shard * b->n_numbers;
    int n_sets = r->router_seq_loss_coef > 0 ? batch->n_contexts : 1;
    bool measure = numbers[MEASURED] < 1; /* the first of its shard */
    if (has_loss(r)) {
        memset(b->dshares, 0, (size_t)config->n_layers * (size_t)n_sets * (size_t)config->moe.router.E * sizeof(float));
    }
    for (int layer = 0, i = 0; layer < config->n_layers; layer++) {
        if (!model_layer_is_dense(config, layer)) {
            add_rows(b, acts, batch->T, layer, i++, measure, numbers);
            if (r->router_seq_loss_coef > 0) {
                double seq = add_sequences(b, batch, layer, measure, r->router_seq_loss_coef / n);
                numbers[SEQ] += measure ? seq : 0;
            }
        }
    }
    if (has_loss(r)) {
        set_rows(b, batch, n_sets);
        double aux = add_aux(b, batch->T, n_sets, r->router_aux_loss_coef / n);
        numbers[AUX] += measure ? aux : 0;
        model_balance(b->model, acts, b->dshares, b->sets, n_sets);
    }
    if (measure && shard == 0 && b->before) {
        model_packed_experts(b->model, acts, b->before);
    }
    numbers[ROWS] += batch->T;
    numbers[MEASURED] += measure;
    numbers[MEASURED_ROWS] += measure ? batch->T : 0;
}

/* ---- a step ---- */

enum err balance_gather(struct balance *b, struct grad_shards *shards)
{
    if (!b->model) {
        return ERR_NONE;
    }
    TRY(grad_shards_gather(shards, b->numbers, (size_t)b->n_numbers * sizeof *b->numbers));
    for (int shard = 1; shard < b->n_shards; shard++) {
        for (int i = 0; i < b->n_numbers; i++) {
            b->numbers[i] += b->numbers[(ptrdiff_t)shard * b->n_numbers + i];
        }
    }
    return ERR_NONE;
}

/* The contexts at the head of a batch that have about CHANGE_ROWS rows, and nothing that is predicted. */
static struct train_batch head_of(const struct train_batch *batch)
{
    struct train_batch head = *batch;
    head.n_targets = head.T = head.n_contexts = 0;
    head.experts = NULL;
    while (head.n_contexts < batch->n_contexts && head.T < CHANGE_ROWS) {
        head.T += batch->contexts[head.n_contexts++].n_rows;
    }
    return head;
}

void balance_measure_change(struct balance *b, struct activations *acts, const struct minibatch *minibatch,
                            struct metrics *metrics)
{
    if (!b->model || !b->before || minibatch->shards[1] == 0) { /* the first shard is empty */
        return;
    }
    const struct model_config *config = &b->model->config;
    struct train_batch head = head_of(&minibatch->micro_batches[0].batch);
    int k = config->moe.router.k;
    device_use(b->model->device, DEVICE_TRAINING);
    model_forward(b->model, &head, acts);
    model_packed_experts(b->model, acts, b->after);
    for (int layer = 0, i = 0; layer < config->n_layers && i < LAYERS_SHOWN; layer++) {
        double changed = 0;
        if (model_layer_is_dense(config, layer)) {
            continue;
        }
        for (int t = 0; t < head.T; t++) {
            ptrdiff_t at = ((ptrdiff_t)t * b->n_layers + i) * k;
            changed += memcmp(b->before + at, b->after + at, (size_t)k) != 0;
        }
        metrics_set(metrics, changed / head.T, "router/changed/%d", layer);
        i++;
    }
}

/* The assignments of each expert of the layer with experts number i. */
static const double *loads_of(const struct balance *b, int i)
{
    return b->numbers + HEAD + b->n_layers + (ptrdiff_t)i * router_of(b)->E;
}

static void update_layer(const struct balance *b, const struct param_part *part, int i)
{
    const struct params *params = &b->model->params;
    const double *loads = loads_of(b, i);
    int E = router_of(b)->E;
    double mean = b->numbers[ROWS] * router_of(b)->k / E;
    float *bias = mem_alloc((size_t)E * sizeof *bias);
    params_export(params, b->model->device, &params->table[part->param], bias, 0, E);
    for (int e = 0; e < E; e++) {
        bias[e] += (float)(b->recipe->router_bias_update_rate * (double)((loads[e] < mean) - (loads[e] > mean)));
    }
    params_import(params, b->model->device, &params->table[part->param], bias, 0, E);
    free(bias);
}

void balance_update_bias(const struct balance *b)
{
    if (!b->model || !(b->recipe->router_bias_update_rate > 0) || !(b->numbers[ROWS] > 0)) {
        return;
    }
    for (int k = 0, i = 0; k < b->model->params.n_parts; k++) {
        if (b->model->params.parts[k].role == TENSOR_ROUTER_BIAS) {
            update_layer(b, &b->model->params.parts[k], i++);
        }
    }
}

static void layer_metrics(const struct balance *b, int layer, int i, struct metrics *metrics)
{
    const double *loads = loads_of(b, i);
    int E = router_of(b)->E, unused = 0;
    double most = 0, rows = b->numbers[ROWS];
    for (int e = 0; e < E; e++) {
        most = fmax(most, loads[e]);
        unused += !(loads[e] > 0);
    }
    metrics_set(metrics, most * E / (rows * router_of(b)->k), "router/load_max/%d", layer);
    metrics_set(metrics, b->numbers[HEAD + i] / b->numbers[MEASURED_ROWS], "router/entropy/%d", layer);
    metrics_set(metrics, unused, "router/unused/%d", layer);
}

void balance_metrics(const struct balance *b, struct metrics *metrics)
{
    if (!b->model || !(b->numbers[ROWS] > 0)) {
        return;
    }
    if (b->recipe->router_aux_loss_coef > 0) {
        metrics_set(metrics, b->numbers[AUX] / b->numbers[MEASURED], "aux_loss");
    }
    if (b->recipe->router_seq_loss_coef > 0) {
        metrics_set(metrics, b->numbers[SEQ] / b->numbers[MEASURED], "router/seq_loss");
    }
    for (int layer = 0, i = 0; layer < b->model->config.n_layers && i < LAYERS_SHOWN; layer++) {
        if (!model_layer_is_dense(&b->model->config, layer)) {
            layer_metrics(b, layer, i++, metrics);
        }
    }
}
