/* rl/shard_plan.c - counts, shares, rates.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/shard_plan.h"

#include <math.h>
#include <string.h>

#include "base/num.h"
#include "rl/method.h"
#include "rollout/kvcache.h"

#define MARGIN    16 /* 1/16 of a GPU stays free, as in rl/train_plan.c */
#define MOST_GPUS 4096

const struct shard_setting shard_settings[SHARD_SETTINGS] = {
    {"data", false, 0},   {"ZeRO-1", false, 1},         {"ZeRO-2", false, 2},         {"ZeRO-3", false, 3},
    {"experts", true, 0}, {"experts, ZeRO-1", true, 1}, {"experts, ZeRO-2", true, 2},
};

/* ---- counts ---- */

static bool is_expert(const struct param_part *part)
{
    return part->role == TENSOR_EXPERT_GATE || part->role == TENSOR_EXPERT_UP || part->role == TENSOR_EXPERT_DOWN;
}

static void count(struct shard_plan *plan)
{
    const struct model *model = plan->plan.made.policy;
    const struct params *params = &model->params;
    const struct router *router = &model->config.moe.router;
    struct model_counts *c = &plan->counts;
    double *layers = mem_zero((size_t)model->config.n_layers * sizeof *layers), expert_elements = 0, looked_up = 0;
    for (int i = 0; i < params->n_parts; i++) {
        const struct param_part *part = &params->parts[i];
        const struct param *p = &params->table[part->param];
        double n = (double)part->rows * param_width(p);
        c->total += n;
        c->experts += is_expert(part) ? n : 0;
        looked_up += part->role == TENSOR_EMBEDDING && !model->config.tied ? n : 0;
        if (part->layer >= 0) {
            layers[part->layer] += n * (double)model->device->element_bytes;
        }
    }
    for (int i = 0; i < params->n_params; i++) {
        const struct param *p = &params->table[i];
        expert_elements += is_expert(&params->parts[p->first_part]) ? (double)p->n : 0;
    }
    for (int i = 0; i < model->config.n_layers; i++) {
        plan->layer_bytes = layers[i] > plan->layer_bytes ? layers[i] : plan->layer_bytes;
    }
    c->active = c->total - (router->E > 0 ? c->experts * (router->E - router->k) / router->E : 0);
    c->multiplied = c->active - looked_up;
    plan->expert_share = expert_elements / (double)params->n;
    free(layers);
}

enum err shard_plan_make(struct shard_plan *plan, struct recipe *recipe, const struct model_config *config,
                         const char *source)
{
    *plan = (struct shard_plan){0};
    TRY(train_plan_make_config(&plan->plan, recipe, config, source, "gpu",
                               1)); /* of memory: no page beyond the fewest */
    plan->page_bytes = (double)kv_page_bytes(plan->plan.made.policy);
    plan->counts.page_bytes = plan->page_bytes / OPS_PAGE;
    plan->sequence_bytes = kvcache_pages(method_of(recipe)->max_length(recipe)) * plan->page_bytes;
    count(plan);
    return ERR_NONE;
}

void shard_plan_release(struct shard_plan *plan)
{
    train_plan_release(&plan->plan);
}

/* ---- shares ---- */

/* Of bytes per parameter that are divided by ZeRO from `stage` on. */
static double share(const struct shard_plan *plan, const struct shard_setting *s, int n_gpus, double bytes, int stage)
{
    int E = plan->plan.made.policy->config.moe.router.E;
    double dense = s->zero >= stage ? 1.0 / n_gpus : 1;
    int n_experts = s->experts ? div_up(E, n_gpus) : E;
    double experts = s->experts ? (double)n_experts / E : dense;
    return bytes * ((1 - plan->expert_share) * dense + plan->expert_share * experts);
}

bool shard_plan_bytes(const struct shard_plan *plan, const struct shard_setting *s, int n_gpus, struct shard_bytes *out)
{
    const struct train *t = &plan->plan.made;
    const struct params *params = &t->policy->params;
    int E = t->policy->config.moe.router.E;
    double n = (double)params->n, weights = (double)params->bytes * (t->reference ? 2 : 1), gradients = 4 * n;
    double masters = params->master ? 4 * n : 0, moments = 2 * n * (double)optim_moment_bytes(t->optim.options.kind);
    const size_t *cut = t->device->cut;
    if (s->experts && (E == 0 || E % n_gpus != 0)) {
        return false;
    }
    *out = (struct shard_bytes){
        .weights = share(plan, s, n_gpus, weights, 3) + (s->zero == 3 && n_gpus > 1 ? plan->layer_bytes : 0),
        .masters = share(plan, s, n_gpus, masters, 1),
        .moments = share(plan, s, n_gpus, moments, 1),
        .gradients = share(plan, s, n_gpus, gradients, 2),
        .training = (double)cut[DEVICE_TRAINING] - gradients,
        .sampling = (double)cut[DEVICE_ROLLOUT] - plan->plan.kv_pages * plan->page_bytes,
        .always = (double)cut[DEVICE_ALWAYS] - weights - masters - moments,
    };
    out->sampling += plan->plan.kv_pages > 0 ? plan->sequence_bytes : 0;
    double training = out->gradients + out->training, larger = training > out->sampling ? training : out->sampling;
    out->total = out->always + out->weights + out->masters + out->moments + larger;
    return true;
}

static double usable(double memory)
{
    return memory - memory / MARGIN;
}

int shard_plan_smallest(const struct shard_plan *plan, const struct shard_setting *setting, double memory)
{
    for (int n = 1; n <= MOST_GPUS; n = n < 8 ? 2 * n : n + 8) {
        struct shard_bytes bytes;
        if (shard_plan_bytes(plan, setting, n, &bytes) && bytes.total <= usable(memory)) {
            return n;
        }
    }
    return 0;
}

/* ---- rates ---- */

int shard_plan_sequences(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus, double memory)
{
    struct shard_bytes b;
    if (!(plan->sequence_bytes > 0) || !shard_plan_bytes(plan, setting, n_gpus, &b)) {
        return 0;
    }
    double lasting = b.always + b.weights + b.masters + b.moments;
    double n = floor((usable(memory) - lasting - b.sampling) / plan->sequence_bytes) + 1;
    double most = plan->plan.made.recipe->rollout.max_sequences;
    return n < 1 ? 0 : (int)(n < most ? n : most);
}

/* The mean of a sequence while it grows. */
static double mean_length(const struct shard_plan *plan)
{
    const struct recipe *r = plan->plan.made.recipe;
    return r->data.max_prompt_length + recipe_schedule_max(&r->rollout.max_completion_length) / 2.0;
}

/* Bytes of weights that a GPU reads to compute a token of n sequences each on n_gpus: of experts, those that are chosen by at least
 * one of them, when each is as likely as any other. */
static double weights_read(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus, double n)
{
    const struct router *router = &plan->plan.made.policy->config.moe.router;
    double bytes = (double)plan->plan.made.device->element_bytes, rows = setting->experts ? n * n_gpus : n;
    double there = setting->experts ? plan->counts.experts / n_gpus : plan->counts.experts;
    double unused = router->E > 0 ? pow(1 - (double)router->k / router->E, rows) : 0;
    double looked_up = plan->counts.active - plan->counts.multiplied;
    return bytes * (plan->counts.total - plan->counts.experts - looked_up + there * (1 - unused));
}

double shard_plan_sampling_rate(const struct shard_plan *plan, const struct shard_setting *setting, int n_gpus,
                                const struct gpu_kind *gpu)
{
    double n = shard_plan_sequences(plan, setting, n_gpus, gpu->gib * (1 << 30)), length = mean_length(plan);
    double bytes = weights_read(plan, setting, n_gpus, n) + n * length * plan->counts.page_bytes;
    double operations = n * model_flops(&plan->plan.made.policy->config, 1, length);
    double reading = bytes / gpu->bandwidth, computing = operations / gpu->operations;
    return n > 0 ? n / (reading > computing ? reading : computing) : 0;
}

double shard_plan_training_rate(const struct shard_plan *plan, const struct gpu_kind *gpu)
{
    double passes = plan->plan.made.recipe->run.gradient_checkpointing ? 4 : 3;
    return gpu->operations / (passes * model_flops(&plan->plan.made.policy->config, 1, mean_length(plan)));
}
