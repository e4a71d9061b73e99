/* rl/train_memory.c - what takes memory of the device, in a run and in the plan of one (rl/train_plan.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/method.h"
#include "rl/train_internal.h"

bool train_has_reference(const struct recipe *r)
{
    return method_of(r)->samples && r->loss.policy.beta != 0;
}

bool train_has_masters(const struct recipe *r)
{
    return r->optim.kind == OPTIM_ADAMW;
}

enum err train_make_reference(struct train *t)
{
    if (t->policy->adapter) {
        t->reference = model_without_adapter(t->policy);
        return ERR_NONE;
    }
    return model_clone(&t->reference, t->policy);
}

const char *train_model_path(struct recipe *r, const char *files)
{
    return files && r->lora.r == 0 ? files : recipe_path(r, r->model.model_name_or_path);
}

enum err train_open_rollout(struct train *t, int kv_pages)
{
    const struct rollout_recipe *r = &t->recipe->rollout;
    return rollout_open(&t->rollout, t->policy,
                        &(struct rollout_options){
                            .temperature = (float)r->temperature,
                            .top_p = (float)r->top_p,
                            .min_p = (float)r->min_p,
                            .repetition_penalty = (float)r->repetition_penalty,
                            .top_k = r->top_k,
                            .seed = t->recipe->run.seed,
                            .stop = r->stop.items,
                            .n_stop = device_plans(t->device) ? 0 : r->stop.n, /* it may have no tokenizer */
                            .max_batch_tokens = r->max_batch_tokens,
                            .n_pages = kv_pages,
                            .max_sequences = r->max_sequences,
                            .keep_experts = t->recipe->loss.routing_replay != REPLAY_NONE,
                        });
}

/* The largest training batch: rows, completions. */
static int tokens_max(const struct recipe *r)
{
    int longest = method_of(r)->max_length(r), rows = r->run.tokens_per_micro_batch;
    return rows > longest ? rows : longest;
}

struct device_limits train_limits(const struct train *t)
{
    const struct recipe *r = t->recipe;
    const struct rollout_recipe *o = &r->rollout;
    const struct model_config *c = &t->policy->config;
    bool samples_drawn = method_of(r)->samples;
    int tokens = tokens_max(r), samples = method_of(r)->batch_sequences(r);
    struct device_limits limits = {
        .d = c->d,
        .V = c->V,
        .n_weights = model_trained(t->policy)->n_trained,
        .rollout_rows = samples_drawn ? rollout_rows(o->max_batch_tokens, o->max_sequences) : 0,
        .rollout_sequences = samples_drawn ? o->max_sequences : 0,
        .filtered = o->top_k > 0 || o->top_p < 1 || o->min_p > 0 || o->repetition_penalty != 1,
        .max_length = t->policy->max_positions,
        .tokens = tokens,
        .targets = tokens + samples,
        .contexts = 2 * samples + 1,
        .groups = samples_drawn ? o->prompts_per_step : 0,
        .group_size = samples_drawn ? o->num_generations : 0,
        .max_prefix = samples_drawn ? r->data.max_prompt_length : method_of(r)->max_length(r),
    };
    model_shapes(t->policy, &limits.shapes);
    return limits;
}

enum err train_alloc(struct train *t, int kv_pages)
{
    const struct recipe *r = t->recipe;
    int tokens = tokens_max(r), samples = method_of(r)->batch_sequences(r);
    TRY(balance_check(&r->loss, &t->policy->config));
    optim_init(&t->optim, &r->optim, t->policy);
    loss_init(&t->loss, &(struct loss_options){.recipe = r,
                                               .policy = t->policy,
                                               .reference = t->reference,
                                               .max_tokens = tokens,
                                               .max_targets = tokens + samples,
                                               .max_contexts = 2 * samples + 1,
                                               .max_length = method_of(r)->max_length(r),
                                               .n_shards = r->run.gradient_shards,
                                               .rank = dist_rank(t->dist),
                                               .n_ranks = r->run.n_ranks,
                                               .dist = t->dist});
    return kv_pages > 0 ? train_open_rollout(t, kv_pages) : ERR_NONE;
}

void train_close(struct train *t)
{
    iteration_release(&t->iteration);
    iteration_release(&t->evaluation);
    loss_release(&t->loss);
    if (t->policy && model_trained(t->policy)->grads) {
        optim_release(&t->optim, t->policy);
    }
    if (t->rollout) {
        rollout_close(t->rollout);
    }
    reward_set_close(t->rewards);
    dataset_close(t->dataset);
    dataset_close(t->eval_dataset);
    model_close(t->reference);
    model_close(t->policy);
    device_close(t->device);
    record_close(&t->record);
}
