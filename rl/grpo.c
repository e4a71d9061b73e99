/* rl/grpo.c - the method grpo: what an iteration begins with, and its row of the table of methods. The iteration
 * itself is train_iteration in rl/train.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/clock.h"
#include "base/log.h"
#include "rl/dist.h"
#include "rl/exchange.h"
#include "rl/method.h"
#include "rl/train_internal.h"

/* ---- the beginning of an iteration ---- */

static bool on_rollout(void *context, int64_t tokens, int finished, int total)
{
    struct train *t = context;
    (void)tokens;
    if (finished == total) { /* what follows is judging */
        progress_phase(&t->record.progress, "reward");
    } else {
        progress_phase(&t->record.progress, "rollout %d%%", 100 * finished / total);
    }
    return train_stops_now() || dist_check(t->dist) != ERR_NONE;
}

/* Notes the keys that shape the iteration, for a run that continues inside it. */
static const char *keys_between(struct train *t, struct iteration *it)
{
    struct strbuf keys = STRBUF_INIT;
    recipe_write_between(t->recipe, &keys);
    const char *text = arena_strdup(&it->arena, keys.data);
    strbuf_release(&keys);
    return text;
}

void iteration_begin(struct train *t, struct iteration *it)
{
    const struct recipe *r = t->recipe;
    iteration_clear(it);
    it->number = t->state.iteration;
    it->first_step = t->state.first_step;
    it->first_sequence = t->state.sequence;
    it->n_prompts = recipe_prompts_per_iteration(r);
    it->G = r->rollout.num_generations;
    it->n_steps = recipe_steps_per_iteration(r);
    it->max_tokens = recipe_schedule_at(&r->rollout.max_completion_length, it->first_step);
    it->temperature = (float)r->rollout.temperature;
    it->dist = t->dist;
    it->progress = on_rollout;
    it->progress_context = t;
    it->keys = keys_between(t, it);
    dataset_seek(t->dataset, t->state.cursor);
}

/* ---- an iteration that a checkpoint cut ---- */

/* The log-probabilities that the step after a checkpoint begins with, computed before it was saved and again after
 * it was read: rows, weights and arithmetic are the same, or the run stops. Other keys may make other micro-batches,
 * so then they are not compared. */
static enum err check_resumed_bits(struct train *t, const struct iteration *it)
{
    if (t->state.bits == 0 || t->record.changed.length > 0) {
        return ERR_NONE;
    }
    if (loss_bits(&t->loss, &it->minibatches[t->state.minibatch]) == t->state.bits) {
        return ERR_NONE;
    }
    if (t->recipe->run.bits_check == BITS_CHECK_WARN) {
        log_warning("step %lld: log-probabilities differ from those before the run was stopped",
                    (long long)t->state.step + 1);
        return ERR_NONE;
    }
    return err_set(ERR_STATE,
                   "step %lld: log-probabilities differ from those before the run was stopped; is this another machine "
                   "or device? (bits_check: warn continues regardless)",
                   (long long)t->state.step + 1);
}

/* Continues inside an iteration that a checkpoint cut: its rollouts are in run.db. */
enum err iteration_resume(struct train *t, struct iteration *it)
{
    TRY(t->record.store ? store_load_rollout(t->record.store, it, t->policy->config.V) : ERR_NONE);
    TRY(exchange_rollout(it));
    TRY(t->batch.expert_bytes > 0 ? balance_check_replay(it, &t->policy->config) : ERR_NONE);
    batch_pack(&t->batch, it);
    if (t->state.minibatch >= it->n_minibatches) {
        return err_set(ERR_STATE, "%s: iteration %lld has %d steps, and the checkpoint says that %lld of them are done",
                       t->recipe->run.output_dir, (long long)it->number, it->n_minibatches,
                       (long long)t->state.minibatch);
    }
    return check_resumed_bits(t, it);
}

/* ---- the row ---- */

static int max_length(const struct recipe *r)
{
    return r->data.max_prompt_length + recipe_schedule_max(&r->rollout.max_completion_length);
}

static int batch_sequences(const struct recipe *r)
{
    return r->rollout.prompts_per_step * r->rollout.num_generations;
}

static int64_t steps(const struct recipe *r, double rows)
{
    return (int64_t)ceil(rows / r->rollout.prompts_per_step) * r->loss.num_iterations;
}

static double temperature(const struct recipe *r)
{
    return r->rollout.temperature;
}

static void describe(struct recipe *r, struct strbuf *out)
{
    strbuf_printf(out, "%d prompts per step, %d completions each, loss %s, learning rate %g",
                  r->rollout.prompts_per_step, r->rollout.num_generations, recipe_text(r, "loss_type"),
                  r->optim.learning_rate);
}

static void describe_step(const struct recipe *r, struct strbuf *out)
{
    int n = recipe_steps_per_iteration(r);
    strbuf_printf(out, "%d prompts x %d completions of at most %d tokens; a rollout feeds %d step%s",
                  r->rollout.prompts_per_step, r->rollout.num_generations,
                  recipe_schedule_max(&r->rollout.max_completion_length), n, n == 1 ? "" : "s");
}

const struct method method_grpo = {
    .name = "grpo",
    .title = "GRPO",
    .samples = true,
    .max_length = max_length,
    .batch_sequences = batch_sequences,
    .steps = steps,
    .temperature = temperature,
    .check = recipe_check_grpo,
    .step = train_iteration,
    .describe = describe,
    .describe_step = describe_step,
};
