/* rl/recipe/recipe_check.c - combinations of keys that cannot be, and those that are doubtful.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "rl/method.h"
#include "rl/recipe/recipe_table.h"

bool recipe_given(const struct recipe *recipe, const char *key)
{
    const struct recipe_field *field = recipe_find(key);
    BUG_ON(!field);
    return recipe->marks[field - recipe_fields].line != 0;
}

/* The sentence opens with the place of the first key. */
static enum err recipe_refuse(struct recipe *recipe, const char *key, const char *what)
{
    return err_set(ERR_USAGE, "%s: %s", recipe_where(recipe, key), what);
}

static void recipe_warn(struct recipe *recipe, const char *key, const char *what)
{
    log_warning("%s: %s", recipe_where(recipe, key), what);
}

static enum err recipe_check_needed(struct recipe *recipe)
{
    if (recipe->model.model_name_or_path[0] == '\0') {
        return recipe_refuse(recipe, "model_name_or_path",
                             "'model_name_or_path' is missing; name a Hugging Face directory or a GGUF file");
    }
    if (recipe->data.dataset_name[0] == '\0') {
        return recipe_refuse(recipe, "dataset_name",
                             "'dataset_name' is missing; name a JSONL file or a generator such as countdown:split=rl");
    }
    if (recipe->run.max_steps == 0 && recipe->run.num_train_epochs == 0) {
        return recipe_refuse(recipe, "max_steps", "'max_steps' and 'num_train_epochs' are both 0; set one of them");
    }
    if (recipe->eval.eval_steps > 0 && recipe->data.eval_dataset_name[0] == '\0') {
        return recipe_refuse(recipe, "eval_steps", "'eval_steps' needs 'eval_dataset_name'; name what to measure on");
    }
    return ERR_NONE;
}

static enum err recipe_check_groups(struct recipe *recipe)
{
    if (recipe->rollout.num_generations > 1) {
        return ERR_NONE;
    }
    if (recipe->advantage.baseline != BASELINE_NONE) {
        return recipe_refuse(
            recipe, "num_generations",
            "'num_generations' is 1, but the baseline is taken from the other completions of a prompt; "
            "use 2 or more, or advantage_baseline: none");
    }
    if (recipe->advantage.scale == SCALE_GROUP) {
        return recipe_refuse(
            recipe, "num_generations",
            "'num_generations' is 1, but scale_rewards: group needs the deviation of several; use 2 or "
            "more, or scale_rewards: batch or none");
    }
    if (recipe->reward.dynamic_sampling) {
        return recipe_refuse(recipe, "dynamic_sampling",
                             "'dynamic_sampling' would replace every group, since a group of 1 has equal rewards; use "
                             "num_generations of 2 or more");
    }
    return ERR_NONE;
}

static enum err recipe_check_kl(struct recipe *recipe)
{
    const struct loss_recipe *loss = &recipe->loss;
    enum kl_estimator estimator = loss->policy.kl_estimator;
    bool corrected = loss->use_bias_correction_kl;
    if (recipe_given(recipe, "kl_estimator") && recipe_given(recipe, "use_bias_correction_kl") && estimator != KL_K3 &&
        corrected != (estimator == KL_K3_UNBIASED)) {
        return recipe_refuse(recipe, "use_bias_correction_kl",
                             "'use_bias_correction_kl' and 'kl_estimator' say different things; take one of them out");
    }
    return ERR_NONE;
}

static enum err recipe_check_loss(struct recipe *recipe)
{
    const struct loss_recipe *loss = &recipe->loss;
    const struct grpo_loss_options *policy = &loss->policy;
    bool clips = loss->loss_type != LOSS_CISPO && loss->loss_type != LOSS_SAPO && loss->loss_type != LOSS_VESPO &&
                 loss->loss_type != LOSS_REINFORCE;
    bool sequence = loss->importance_sampling_level == IMPORTANCE_SEQUENCE;
    if (loss->loss_type == LOSS_GSPO && recipe_given(recipe, "importance_sampling_level") && !sequence) {
        return recipe_refuse(recipe, "importance_sampling_level",
                             "loss_type gspo has one ratio a completion; take 'importance_sampling_level' out, or use "
                             "loss_type grpo");
    }
    if (loss->loss_type == LOSS_REINFORCE && sequence) {
        return recipe_refuse(recipe, "importance_sampling_level",
                             "loss_type reinforce has no probability ratio; take 'importance_sampling_level' out");
    }
    if (policy->delta > 0 && !clips) {
        return recipe_refuse(recipe, "delta",
                             "'delta' belongs to the clipped losses (dapo, grpo, dr_grpo, bnpo, gspo, luspo); "
                             "set it to 0");
    }
    if (policy->delta > 0 && policy->delta <= 1 + policy->epsilon) {
        return recipe_refuse(recipe, "delta", "'delta' must be above 1 + epsilon, or 0 for none");
    }
    if (policy->epsilon >= 1 && clips) {
        return recipe_refuse(recipe, "epsilon", "'epsilon' of 1 never clips from below; use less than 1");
    }
    return recipe_check_kl(recipe);
}

static enum err recipe_check_aggregation(struct recipe *recipe)
{
    if (recipe->advantage.aggregation != AGGREGATE_NORMALIZED) {
        return ERR_NONE;
    }
    if (recipe->advantage.baseline != BASELINE_GROUP) {
        return recipe_refuse(recipe, "advantage_baseline",
                             "'advantage_baseline' must be mean with multi_objective_aggregation: normalize_then_sum");
    }
    if (recipe_given(recipe, "scale_rewards") && recipe->advantage.scale != SCALE_GROUP) {
        recipe_warn(recipe, "scale_rewards",
                    "'scale_rewards' has no effect with multi_objective_aggregation: normalize_then_sum");
    }
    return ERR_NONE;
}

/* TRL's warnings. */
static void recipe_warn_level(struct recipe *recipe)
{
    const struct loss_recipe *loss = &recipe->loss;
    bool sequence = loss->importance_sampling_level == IMPORTANCE_SEQUENCE;
    if (loss->loss_type == LOSS_LUSPO && !sequence) {
        recipe_warn(recipe, "loss_type", "loss_type luspo is meant with importance_sampling_level: sequence");
    }
    if (loss->loss_type == LOSS_VESPO && sequence) {
        recipe_warn(recipe, "importance_sampling_level",
                    "loss_type vespo takes the completion's ratio by itself; it is meant with "
                    "importance_sampling_level: token");
    }
    if (sequence && (loss->loss_type == LOSS_DAPO || loss->loss_type == LOSS_BNPO || loss->loss_type == LOSS_DR_GRPO ||
                     loss->loss_type == LOSS_CISPO)) {
        recipe_warn(
            recipe, "importance_sampling_level",
            "with one ratio a completion this loss_type weighs completions by their length; GSPO is loss_type gspo");
    }
}

static void recipe_warn_loss(struct recipe *recipe)
{
    const struct loss_recipe *loss = &recipe->loss;
    if (loss->loss_type == LOSS_DR_GRPO && recipe->advantage.scale == SCALE_GROUP) {
        recipe_warn(recipe, "scale_rewards", "loss_type dr_grpo is meant with scale_rewards: none");
    }
    recipe_warn_level(recipe);
    if (loss->sync_ref_model && loss->policy.beta == 0) {
        recipe_warn(recipe, "sync_ref_model", "'sync_ref_model' has no effect while beta is 0: there is no reference");
    }
    if (loss->loss_type == LOSS_REINFORCE && loss->num_iterations * loss->steps_per_generation > 1) {
        recipe_warn(recipe, "loss_type", "loss_type reinforce does not correct for several steps on one rollout");
    }
    if (loss->routing_replay != REPLAY_NONE && loss->num_iterations * loss->steps_per_generation == 1) {
        recipe_warn(recipe, "routing_replay", "'routing_replay' has no effect while each rollout feeds one step");
    }
    const struct rollout_recipe *rollout = &recipe->rollout;
    if (rollout->top_p < 1 || rollout->top_k > 0 || rollout->min_p > 0 || rollout->repetition_penalty != 1) {
        recipe_warn(recipe, "top_p",
                    "top_p, top_k, min_p and repetition_penalty change what is drawn but not the log-probabilities of "
                    "the loss: training is slightly off policy");
    }
}

/* A run's own recipe.yaml has all keys: those at their defaults are no request. */
static bool recipe_differs(const struct recipe *recipe, const struct recipe_field *field)
{
    struct recipe plain;
    struct strbuf value = STRBUF_INIT, fallback = STRBUF_INIT;
    recipe_init(&plain);
    recipe_value_text(recipe, field, &value);
    recipe_value_text(&plain, field, &fallback);
    bool differs = !str_equal(strbuf_view(&value), strbuf_view(&fallback));
    strbuf_release(&value);
    strbuf_release(&fallback);
    recipe_release(&plain);
    return differs;
}

static enum err recipe_check_lora(struct recipe *recipe)
{
    static const char *const others[] = {"lora_alpha", "lora_target_modules", "use_rslora"};
    if (recipe->lora.r == 0) {
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            if (recipe_given(recipe, others[i]) && recipe_differs(recipe, recipe_find(others[i]))) {
                log_warning("%s: '%s' has no effect while lora_r is 0", recipe_where(recipe, others[i]), others[i]);
            }
        }
        return ERR_NONE;
    }
    if (recipe->lora.target_modules.n == 0) {
        return recipe_refuse(recipe, "lora_target_modules",
                             "'lora_target_modules' is empty; name matrices, such as [q_proj, v_proj], or all-linear");
    }
    if (recipe->model.init_weights == INIT_RANDOM) {
        return recipe_refuse(recipe, "lora_r",
                             "'lora_r' adapts a model that is there, but init_weights is random; set lora_r to 0");
    }
    if (recipe->loss.sync_ref_model) {
        return recipe_refuse(
            recipe, "sync_ref_model",
            "'sync_ref_model' would move the reference model, which with lora_r is the policy with its "
            "adapter off; set it to false, or lora_r to 0");
    }
    return ERR_NONE;
}

static void recipe_warn_run(struct recipe *recipe)
{
    if (recipe->optim.schedule == LR_CONSTANT && recipe->optim.warmup_steps > 0) {
        recipe_warn(
            recipe, "warmup_steps",
            "'warmup_steps' has no effect with lr_scheduler_type: constant, as in transformers; for a warm-up use "
            "constant_with_warmup");
    } else if (recipe->run.max_steps > 0 && recipe->optim.warmup_steps >= recipe->run.max_steps) {
        recipe_warn(recipe, "warmup_steps", "the warm-up lasts as long as the run");
    }
    if (recipe->data.system_prompt[0] && strcmp(recipe->data.template_name, "chat") != 0) {
        recipe_warn(recipe, "system_prompt", "'system_prompt' has no effect without template: chat");
    }
    if (recipe->data.chat_template_kwargs[0] && strcmp(recipe->data.template_name, "chat") != 0) {
        recipe_warn(recipe, "chat_template_kwargs", "'chat_template_kwargs' has no effect without template: chat");
    }
    if (recipe->eval.eval_num_generations > 1 && recipe->eval.eval_temperature == 0) {
        recipe_warn(recipe, "eval_num_generations", "all completions of a prompt are the same at eval_temperature 0");
    }
}

/* Keys that somebody set and that the method does not read. */
static void recipe_warn_unused(struct recipe *recipe)
{
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        bool set = recipe->marks[i].line != 0 && recipe_differs(recipe, field);
        if (set && !(field->methods & METHOD_BIT(recipe->method))) {
            log_warning("%s: '%s' has no effect with method %s", recipe_where(recipe, field->key), field->key,
                        method_of(recipe)->name);
        }
    }
}

enum err recipe_check_sft(struct recipe *recipe)
{
    if (recipe->data.text_field[0] && recipe_differs(recipe, recipe_find("completion_field"))) {
        return recipe_refuse(recipe, "text_field",
                             "'text_field' and 'completion_field' exclude each other; take one out");
    }
    return ERR_NONE;
}

enum err recipe_check_grpo(struct recipe *recipe)
{
    if (recipe->reward.reward_funcs.n == 0) {
        return recipe_refuse(recipe, "reward_funcs",
                             "'reward_funcs' is missing; method grpo needs a reward, such as [countdown]");
    }
    if (recipe->data.text_field[0]) {
        return recipe_refuse(recipe, "text_field", "'text_field' is for method sft; grpo reads 'prompt_field'");
    }
    if (recipe->data.pack_length > 0) {
        return recipe_refuse(recipe, "pack_length", "'pack_length' is for method sft; take it out");
    }
    if (recipe->model.init_weights == INIT_RANDOM) {
        recipe_warn(recipe, "init_weights", "method grpo on random weights: there is nothing yet to reinforce");
    }
    TRY(recipe_check_groups(recipe));
    TRY(recipe_check_loss(recipe));
    TRY(recipe_check_aggregation(recipe));
    recipe_warn_loss(recipe);
    return ERR_NONE;
}

enum err recipe_check_ranks(struct recipe *recipe)
{
    char text[256];
    int n = recipe->run.n_ranks, shards = recipe->run.gradient_shards;
    if ((n & (n - 1)) != 0) {
        return err_set(ERR_USAGE,
                       "%d ranks cannot share a gradient evenly: their number must be a power of two (2, 4, 8 ...)", n);
    }
    if (shards > 0 && shards < n) {
        snprintf(text, sizeof text,
                 "'gradient_shards' is %d, fewer than the %d ranks; start at most %d, or set it to %d (which makes "
                 "other bits)",
                 shards, n, shards, n);
        return recipe_refuse(recipe, "gradient_shards", text);
    }
    return ERR_NONE;
}

static enum err recipe_check_shards(struct recipe *recipe)
{
    int n = recipe->run.gradient_shards;
    return (n & (n - 1)) == 0
               ? ERR_NONE
               : recipe_refuse(recipe, "gradient_shards",
                               "'gradient_shards' must be a power of two: 1, 2, 4, 8 ... (0: as many as ranks)");
}

enum err recipe_check(struct recipe *recipe)
{
    TRY(recipe_check_needed(recipe));
    TRY(recipe_check_shards(recipe));
    recipe_warn_unused(recipe);
    TRY(recipe_check_lora(recipe));
    TRY(method_of(recipe)->check(recipe));
    recipe_warn_run(recipe);
    return ERR_NONE;
}
