/* rl/recipe/recipe_table.c - every key: its type, default, range, unit, aliases and meaning.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/recipe_table.h"

#include <limits.h>
#include <string.h>

#define AT(member)   offsetof(struct recipe, member)
#define MAX_COUNT    1e9
#define ALL          METHODS_ALL
#define GRPO         METHOD_BIT(METHOD_GRPO)
#define SFT          METHOD_BIT(METHOD_SFT)
#define VERL_ACTOR   "actor_rollout_ref.actor."
#define VERL_ROLLOUT "actor_rollout_ref.rollout."

const char *const recipe_group_names[] = {"what",      "data", "rollout",    "reward", "loss",
                                          "optimiser", "run",  "evaluation", NULL};

/* Laid out as a table on purpose: one row per key. */
/* clang-format off */
const struct recipe_field recipe_fields[] = {
    /* ---- what ---- */
    {"method", GROUP_WHAT, FIELD_CHOICE, AT(method), "grpo", 0, 0, "grpo|sft", "", NULL,
     "grpo: reinforcement learning on rewards; sft: next-token training on the completions or texts of the data set", ALL},
    {"model_name_or_path", GROUP_WHAT, FIELD_TEXT, AT(model.model_name_or_path), "", 0, 0, NULL, "",
     "actor_rollout_ref.model.path actor.model_name_or_path",
     "the model to train: a Hugging Face directory or a GGUF file", ALL},
    {"init_weights", GROUP_WHAT, FIELD_CHOICE, AT(model.init_weights), "checkpoint", 0, 0, "checkpoint|random", "", NULL,
     "where weights come from: the model's checkpoint, or random numbers of its shape (for training from nothing)", ALL},
    {"output_dir", GROUP_WHAT, FIELD_TEXT, AT(run.output_dir), "", 0, 0, NULL, "",
     "trainer.default_local_dir ckpt.output_dir",
     "folder of the run, made if it is missing; empty: runs/ and the recipe's name", ALL},
    {"seed", GROUP_WHAT, FIELD_LONG, AT(run.seed), "42", 0, 9e15, NULL, "", "train.seed",
     "all randomness of the run follows from it", ALL},
    {"device", GROUP_WHAT, FIELD_TEXT, AT(model.device), "auto", 0, 0, NULL, "", "trainer.device",
     "auto (a GPU if there is one), cuda, cuda:N (GPU N), cpu, or one instruction set: cpu/scalar, cpu/avx2, cpu/avx512", ALL},
    {"num_threads", GROUP_WHAT, FIELD_INT, AT(model.num_threads), "0", 0, 1024, NULL, "threads", NULL,
     "processor threads, 0 for one per core; results never depend on it", ALL},

    /* ---- data ---- */
    {"dataset_name", GROUP_DATA, FIELD_TEXT, AT(data.dataset_name), "", 0, 0, NULL, "",
     "data.train_files data.prompt_dataset",
     "what to train on: a JSONL file, or a built-in generator with options, such as countdown:split=rl", ALL},
    {"prompt_field", GROUP_DATA, FIELD_TEXT, AT(data.prompt_field), "prompt", 0, 0, NULL, "",
     "data.prompt_key data.input_key", "the field of a row that holds the prompt: text or chat messages", ALL},
    {"completion_field", GROUP_DATA, FIELD_TEXT, AT(data.completion_field), "completion", 0, 0, NULL, "",
     "data.response_key data.output_key", "sft: the field that holds what is learnt after the prompt", ALL},
    {"text_field", GROUP_DATA, FIELD_TEXT, AT(data.text_field), "", 0, 0, NULL, "", "dataset_text_field",
     "sft: the field whose whole text is learnt; empty: prompt and completion are used", ALL},
    {"template", GROUP_DATA, FIELD_TEXT, AT(data.template_name), "chat", 0, 0, NULL, "", NULL,
     "what surrounds a prompt: r1-zero (plain text), chat (the model's own format), none, or the path of a text file "
     "with {prompt} in it", ALL},
    {"system_prompt", GROUP_DATA, FIELD_TEXT, AT(data.system_prompt), "", 0, 0, NULL, "", NULL,
     "system message before each prompt, with template chat", ALL},
    {"chat_template_kwargs", GROUP_DATA, FIELD_VARIABLES, AT(data.chat_template_kwargs), "", 0, 0, NULL, "",
     "data.apply_chat_template_kwargs",
     "variables for the model's chat template, such as {enable_thinking: false} or {date_string: 1 May 2025}", ALL},
    {"max_prompt_length", GROUP_DATA, FIELD_INT, AT(data.max_prompt_length), "512", 1, 1e6, NULL, "tokens",
     "data.max_prompt_length rollout.max_prompt_length",
     "longest prompt after the template", ALL},
    {"max_length", GROUP_DATA, FIELD_INT, AT(data.max_length), "512", 1, 1e6, NULL, "tokens", "data.max_length",
     "sft: longest text, prompt and completion together (max_prompt_length is understood)", SFT},
    {"long_prompts", GROUP_DATA, FIELD_CHOICE, AT(data.long_prompts), "error", 0, 0, "error|skip", "", NULL,
     "what to do with a longer one: stop with an error that names its line, or skip and count it", ALL},
    {"shuffle", GROUP_DATA, FIELD_BOOL, AT(data.shuffle), "true", 0, 0, NULL, "", "data.shuffle shuffle_dataset",
     "take the rows of a file in an order that the seed decides, another one in each epoch", ALL},
    {"pack_length", GROUP_DATA, FIELD_INT, AT(data.pack_length), "0", 0, 1e6, NULL, "tokens", NULL,
     "sft: join whole texts into rows of at most this many tokens; 0: each text is a row", ALL},

    /* ---- rollout ---- */
    {"num_generations", GROUP_ROLLOUT, FIELD_INT, AT(rollout.num_generations), "8", 1, 4096, NULL, "completions",
     VERL_ROLLOUT "n rollout.n_samples_per_prompt n_samples_per_prompt", "completions per prompt: the group size G", GRPO},
    {"prompts_per_step", GROUP_ROLLOUT, FIELD_INT, AT(rollout.prompts_per_step), "8", 1, 65536, NULL, "prompts",
     VERL_ACTOR "ppo_mini_batch_size", "prompts per update", ALL},
    {"max_completion_length", GROUP_ROLLOUT, FIELD_SCHEDULE, AT(rollout.max_completion_length), "512", 1, 1e6, NULL, "tokens",
     "data.max_response_length rollout.max_new_tokens max_new_tokens",
     "longest completion; a list step:value changes it on the way, such as [0:512, 200:1024]", GRPO},
    {"temperature", GROUP_ROLLOUT, FIELD_NUMBER, AT(rollout.temperature), "1.0", 0.01, 100, NULL, "",
     VERL_ROLLOUT "temperature rollout.temperature", "divides the logits when sampling, and in the loss", GRPO},
    {"top_p", GROUP_ROLLOUT, FIELD_NUMBER, AT(rollout.top_p), "1.0", 1e-6, 1, NULL, "",
     VERL_ROLLOUT "top_p rollout.top_p", "sample from the likeliest tokens that make up this share; 1: off", GRPO},
    {"top_k", GROUP_ROLLOUT, FIELD_INT, AT(rollout.top_k), "0", 0, 1e6, NULL, "tokens",
     VERL_ROLLOUT "top_k", "sample from this many of the likeliest tokens; 0: off", GRPO},
    {"min_p", GROUP_ROLLOUT, FIELD_NUMBER, AT(rollout.min_p), "0.0", 0, 1, NULL, "", NULL,
     "drop tokens less likely than this share of the likeliest one; 0: off", GRPO},
    {"repetition_penalty", GROUP_ROLLOUT, FIELD_NUMBER, AT(rollout.repetition_penalty), "1.0", 0.1, 10, NULL, "", NULL,
     "divides positive logits of tokens seen before and multiplies negative ones; 1: off", GRPO},
    {"stop", GROUP_ROLLOUT, FIELD_LIST, AT(rollout.stop), NULL, 0, 0, NULL, "", NULL,
     "texts that end a completion, in addition to the model's end tokens", GRPO},
    {"max_sequences", GROUP_ROLLOUT, FIELD_INT, AT(rollout.max_sequences), "256", 1, 65536, NULL, "sequences",
     VERL_ROLLOUT "max_num_seqs", "completions that are drawn at the same time", GRPO},
    {"max_batch_tokens", GROUP_ROLLOUT, FIELD_INT, AT(rollout.max_batch_tokens), "0", 0, 1e6, NULL, "tokens",
     VERL_ROLLOUT "max_num_batched_tokens", "rows of one forward pass, a longer prompt is cut into chunks; 0: as many as max_sequences, at least 512", GRPO},
    {"kv_pages", GROUP_ROLLOUT, FIELD_INT, AT(rollout.kv_pages), "0", 0, MAX_COUNT, NULL, "pages", NULL,
     "pages of the key/value cache; 0: enough for max_sequences at full length, within memory", GRPO},

    /* ---- reward ---- */
    {"reward_funcs", GROUP_REWARD, FIELD_REWARDS, AT(reward.reward_funcs), NULL, 0, 0, NULL, "", NULL,
     "the rewards that are summed: names, name:key=value,... or mappings {name: ..., weight: ...}", GRPO},
    {"on_reward_error", GROUP_REWARD, FIELD_CHOICE, AT(reward.on_reward_error), "drop", 0, 0, "drop|zero|abort", "", NULL,
     "when a reward fails to judge: drop the completion, count it as zero, or stop the run", GRPO},
    {"max_error_rate", GROUP_REWARD, FIELD_NUMBER, AT(reward.max_error_rate), "0.2", 0, 1, NULL, "", NULL,
     "stop the run when rewards fail on a larger share of the completions, three rollouts in a row, or on all of one; 1: never", GRPO},
    {"reward_timeout", GROUP_REWARD, FIELD_NUMBER, AT(reward.reward_timeout), "10.0", 0.001, 86400, NULL, "seconds", NULL,
     "longest judgement of one completion by one reward; code: or its tests' walls, if they are longer", GRPO},
    {"reward_threads", GROUP_REWARD, FIELD_INT, AT(reward.reward_threads), "0", 0, 1024, NULL, "threads", NULL,
     "threads that judge; 0: as num_threads", GRPO},
    {"scale_rewards", GROUP_REWARD, FIELD_CHOICE, AT(advantage.scale), "group", 0, 0, "group=true|batch|none=false", "",
     "algorithm.norm_adv_by_std_in_grpo", "divide advantages by the deviation of the group, of the batch, or not at all", GRPO},
    {"advantage_baseline", GROUP_REWARD, FIELD_CHOICE, AT(advantage.baseline), "mean", 0, 0, "mean|leave_one_out|none", "",
     NULL, "subtract from a reward: its group's mean, the mean of the others in the group, or nothing", GRPO},
    {"multi_objective_aggregation", GROUP_REWARD, FIELD_CHOICE, AT(advantage.aggregation), "sum_then_normalize", 0, 0,
     "sum_then_normalize|normalize_then_sum", "", NULL,
     "sum the rewards, then take advantages; or scale each reward within its group, sum, and scale within the batch", GRPO},
    {"mask_truncated_completions", GROUP_REWARD, FIELD_BOOL, AT(reward.mask_truncated_completions), "false", 0, 0, NULL, "",
     NULL, "do not train on completions that were cut off by max_completion_length; their rewards still count in the baseline", GRPO},
    {"dynamic_sampling", GROUP_REWARD, FIELD_BOOL, AT(reward.dynamic_sampling), "false", 0, 0, NULL, "",
     "algorithm.filter_groups.enable algo.dynamic_filtering_enable",
     "replace groups whose rewards are all equal by groups of other prompts", GRPO},
    {"dynamic_sampling_max_rounds", GROUP_REWARD, FIELD_INT, AT(reward.dynamic_sampling_max_rounds), "4", 1, 1000, NULL,
     "rollouts", "algorithm.filter_groups.max_num_gen_batches",
     "at most this many rollouts per iteration; then it continues with the groups it has", GRPO},

    /* ---- loss ---- */
    {"loss_type", GROUP_LOSS, FIELD_CHOICE, AT(loss.loss_type), "dapo", 0, 0,
     "dapo|grpo|dr_grpo|bnpo|gspo|cispo|sapo|luspo|vespo|reinforce", "", VERL_ACTOR "policy_loss.loss_mode",
     "the surrogate, and how token losses are averaged: over all tokens of a step (dapo, cispo, vespo) or of a micro-batch (bnpo), "
     "over completions (grpo, gspo, sapo; luspo sums their tokens), or over the longest possible completions (dr_grpo)", GRPO},
    {"importance_sampling_level", GROUP_LOSS, FIELD_CHOICE, AT(loss.importance_sampling_level), "token", 0, 0, "token|sequence",
     "", NULL, "the probability ratio of each token, or one of the whole completion", GRPO},
    {"epsilon", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.epsilon), "0.2", 0, 1, NULL, "",
     VERL_ACTOR "clip_ratio_low " VERL_ACTOR "clip_ratio actor.eps_clip", "ratios are clipped below 1 - epsilon", GRPO},
    {"epsilon_high", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.epsilon_high), "null", 0, 1000, NULL, "",
     VERL_ACTOR "clip_ratio_high actor.eps_clip_high",
     "ratios are clipped above 1 + epsilon_high (cispo: above epsilon_high); null: as epsilon (cispo: 5)", GRPO},
    {"delta", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.delta), "0.0", 0, 1000, NULL, "",
     VERL_ACTOR "clip_ratio_c actor.dual_clip", "upper bound of the ratio where clipping leaves it free; 0: none", GRPO},
    {"sapo_temperature_pos", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.sapo_temperature_pos), "1.0", 1e-3, 1000, NULL, "",
     NULL, "sapo: steepness of the gate for positive advantages", GRPO},
    {"sapo_temperature_neg", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.sapo_temperature_neg), "1.05", 1e-3, 1000, NULL, "",
     NULL, "sapo: steepness of the gate for negative advantages", GRPO},
    {"vespo_k_pos", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.vespo_k_pos), "2.0", -1000, 1000, NULL, "", NULL,
     "vespo: power of the completion's ratio, which weighs down ratios below 1, for advantages of 0 and above", GRPO},
    {"vespo_lambda_pos", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.vespo_lambda_pos), "3.0", -1000, 1000, NULL, "", NULL,
     "vespo: decay by the completion's ratio, which weighs down ratios above 1, for advantages of 0 and above", GRPO},
    {"vespo_k_neg", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.vespo_k_neg), "3.0", -1000, 1000, NULL, "", NULL,
     "vespo: the power for negative advantages", GRPO},
    {"vespo_lambda_neg", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.vespo_lambda_neg), "2.0", -1000, 1000, NULL, "", NULL,
     "vespo: the decay for negative advantages", GRPO},
    {"beta", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.beta), "0.0", 0, 100, NULL, "",
     VERL_ACTOR "kl_loss_coef algo.kl.init_coef", "weight of the divergence from the reference model; 0: no reference", GRPO},
    {"kl_estimator", GROUP_LOSS, FIELD_CHOICE, AT(loss.policy.kl_estimator), "k3_unbiased", 0, 0,
     "k1=kl|k2=mse|k3=low_var_kl|k3_unbiased", "", VERL_ACTOR "kl_loss_type algo.kl.estimator",
     "how the divergence is estimated from the drawn tokens; k3_unbiased: k3 times the probability ratio, as TRL does by default",
     GRPO},
    {"use_bias_correction_kl", GROUP_LOSS, FIELD_BOOL, AT(loss.use_bias_correction_kl), "true", 0, 0, NULL, "", NULL,
     "TRL's name for the choice between kl_estimator k3_unbiased (true) and k3 (false)", GRPO},
    {"sync_ref_model", GROUP_LOSS, FIELD_BOOL, AT(loss.sync_ref_model), "false", 0, 0, NULL, "", NULL,
     "move the reference model after the policy", GRPO},
    {"ref_model_sync_steps", GROUP_LOSS, FIELD_INT, AT(loss.ref_model_sync_steps), "512", 1, MAX_COUNT, NULL, "steps", NULL,
     "steps between two moves of the reference model", GRPO},
    {"ref_model_mixup_alpha", GROUP_LOSS, FIELD_NUMBER, AT(loss.ref_model_mixup_alpha), "0.6", 0, 1, NULL, "", NULL,
     "share of the policy in the moved reference model; 1: a copy", GRPO},
    {"entropy_coef", GROUP_LOSS, FIELD_NUMBER, AT(loss.entropy_coef), "0.0", -100, 100, NULL, "",
     VERL_ACTOR "entropy_coeff actor.entropy_coef", "weight of the mean entropy, which is subtracted from the loss", GRPO},
    {"routing_replay", GROUP_LOSS, FIELD_CHOICE, AT(loss.routing_replay), "none", 0, 0, "none|R2|R3", "", NULL,
     "mixtures: steps off policy take the experts that the rollout chose (R3), or the policy at the start of the iteration (R2; the same experts here), kept in run.db; on policy the choice is the rollout's in any case", GRPO},
    {"router_aux_loss_coef", GROUP_LOSS, FIELD_NUMBER, AT(loss.router_aux_loss_coef), "0.0", 0, 100, NULL, "", NULL,
     "mixtures: weight of E x sum over experts of (assignments / rows) x (mean share), pooled over the layers and rows of a micro-batch, whose prompts count once per group; the mean over micro-batches, as in TRL", GRPO},
    {"router_seq_loss_coef", GROUP_LOSS, FIELD_NUMBER, AT(loss.router_seq_loss_coef), "0.0", 0, 100, NULL, "", NULL,
     "mixtures: weight of DeepSeek-V3's sequence-wise balance loss (eq. 17), the sum over layers; a prompt that a group shares is a sequence of its own", GRPO},
    {"router_bias_update_rate", GROUP_LOSS, FIELD_NUMBER, AT(loss.router_bias_update_rate), "0.0", 0, 1, NULL, "", NULL,
     "deepseek_v3: after each step, added to the correction bias of experts with less than the mean load, and subtracted from those with more; 0: off", GRPO},
    {"top_entropy_quantile", GROUP_LOSS, FIELD_NUMBER, AT(loss.top_entropy_quantile), "1.0", 0, 1, NULL, "", NULL,
     "share of the step's tokens, the most uncertain ones, that have a policy and an entropy term; 1: all", GRPO},
    {"off_policy_mask_threshold", GROUP_LOSS, FIELD_NUMBER, AT(loss.policy.off_policy_mask_threshold), "0.0", 0, 1000, NULL,
     "nats", NULL, "leave out completions of negative advantage whose mean log-probability fell by more; 0: off", GRPO},
    {"num_iterations", GROUP_LOSS, FIELD_INT, AT(loss.num_iterations), "1", 1, 1000, NULL, "",
     VERL_ACTOR "ppo_epochs train.max_epochs", "times that each rollout is trained on", GRPO},
    {"steps_per_generation", GROUP_LOSS, FIELD_INT, AT(loss.steps_per_generation), "1", 1, 4096, NULL, "steps", NULL,
     "parts that a rollout is cut into, one update each; a rollout has this many times prompts_per_step prompts", GRPO},
    {"bits_check", GROUP_LOSS, FIELD_CHOICE, AT(run.bits_check), "on", 0, 0, "on|warn", "", NULL,
     "when training computes other bits than the rollout did: stop the run, or only warn", GRPO},

    /* ---- optimiser ---- */
    {"optim", GROUP_OPTIM, FIELD_CHOICE, AT(optim.kind), "adamw", 0, 0,
     "adamw=AdamW=adamw_torch=adamw_torch_fused|adamw_bf16_sr", "", VERL_ACTOR "optim.optimizer",
     "adamw: fp32 moments and master weights; adamw_bf16_sr: moments in bf16, and on a GPU no master weights, everything "
     "rounded stochastically: 10 bytes per parameter instead of 18", ALL},
    {"learning_rate", GROUP_OPTIM, FIELD_NUMBER, AT(optim.learning_rate), "1e-6", 0, 10, NULL, "",
     VERL_ACTOR "optim.lr actor.adam.lr actor.learning_rate", "AdamW's step size at its highest", ALL},
    {"lr_scheduler_type", GROUP_OPTIM, FIELD_CHOICE, AT(optim.schedule), "constant_with_warmup", 0, 0,
     "constant_with_warmup|constant|linear|cosine=cosine_with_min_lr", "", VERL_ACTOR "optim.warmup_style actor.lr_scheduler",
     "course of the learning rate after the warm-up; constant has no warm-up, as in transformers", ALL},
    {"min_lr_ratio", GROUP_OPTIM, FIELD_NUMBER, AT(optim.min_lr_ratio), "0.0", 0, 1, NULL, "",
     VERL_ACTOR "optim.min_lr_ratio actor.min_lr_ratio", "where linear and cosine end, as a share of learning_rate", ALL},
    {"warmup_steps", GROUP_OPTIM, FIELD_INT, AT(optim.warmup_steps), "0", 0, MAX_COUNT, NULL, "steps",
     VERL_ACTOR "optim.lr_warmup_steps", "the learning rate rises linearly over this many first steps: step s of W has s / W of it", ALL},
    {"adam_beta1", GROUP_OPTIM, FIELD_NUMBER, AT(optim.beta1), "0.9", 0, 0.999999, NULL, "", NULL,
     "decay of AdamW's mean of gradients", ALL},
    {"adam_beta2", GROUP_OPTIM, FIELD_NUMBER, AT(optim.beta2), "0.999", 0, 0.999999999, NULL, "", NULL,
     "decay of AdamW's mean of squared gradients", ALL},
    {"adam_epsilon", GROUP_OPTIM, FIELD_NUMBER, AT(optim.epsilon), "1e-8", 1e-30, 1, NULL, "", NULL,
     "added to the root of the mean square", ALL},
    {"weight_decay", GROUP_OPTIM, FIELD_NUMBER, AT(optim.weight_decay), "0.0", 0, 10, NULL, "",
     VERL_ACTOR "optim.weight_decay", "decoupled decay of matrices; norms and biases do not decay", ALL},
    {"max_grad_norm", GROUP_OPTIM, FIELD_NUMBER, AT(optim.max_grad_norm), "1.0", 0, 1e9, NULL, "",
     VERL_ACTOR "grad_clip actor.max_norm", "longer gradients are scaled down to this norm; 0: never", ALL},

    {"lora_r", GROUP_OPTIM, FIELD_INT, AT(lora.r), "0", 0, 1024, NULL, "",
     "actor_rollout_ref.model.lora_rank actor.lora_rank lora_rank",
     "rank of a LoRA adapter, which alone is trained while the model stays as it is, in its own precision; checkpoints are the "
     "adapter, in PEFT's files; 0: all weights are trained", ALL},
    {"lora_alpha", GROUP_OPTIM, FIELD_NUMBER, AT(lora.alpha), "32", 1e-6, 1e6, NULL, "",
     "actor_rollout_ref.model.lora_alpha actor.lora_alpha", "what an adapter adds is multiplied by lora_alpha / lora_r", ALL},
    {"lora_target_modules", GROUP_OPTIM, FIELD_LIST, AT(lora.target_modules), "all-linear", 0, 0,
     "all-linear|q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj", "",
     "actor_rollout_ref.model.target_modules actor.target_modules target_modules",
     "matrices of each layer that get an adapter, by PEFT's names; all-linear: all of them", ALL},
    {"use_rslora", GROUP_OPTIM, FIELD_BOOL, AT(lora.use_rslora), "false", 0, 0, NULL, "", NULL,
     "rank-stabilised LoRA: lora_alpha / sqrt(lora_r) instead", ALL},

    /* ---- run ---- */
    {"max_steps", GROUP_RUN, FIELD_LONG, AT(run.max_steps), "0", 0, 1e12, NULL, "steps", "trainer.total_training_steps",
     "updates of the policy; 0: num_train_epochs decides", ALL},
    {"num_train_epochs", GROUP_RUN, FIELD_NUMBER, AT(run.num_train_epochs), "1.0", 0, 1e9, NULL, "epochs",
     "trainer.total_epochs", "passes over a data file when max_steps is 0", ALL},
    {"texts_per_step", GROUP_RUN, FIELD_INT, AT(run.texts_per_step), "8", 1, 65536, NULL, "texts", NULL,
     "sft: texts or packed rows per update (prompts_per_step is understood)", SFT},
    {"tokens_per_micro_batch", GROUP_RUN, FIELD_INT, AT(run.tokens_per_micro_batch), "4096", 16, 1e7, NULL, "tokens",
     VERL_ACTOR "ppo_max_token_len_per_gpu train.max_tokens_per_gpu token_budget",
     "rows of one packed training batch: more is faster and takes more memory; gradients are equal up to rounding", ALL},
    {"gradient_shards", GROUP_RUN, FIELD_INT, AT(run.gradient_shards), "0", 0, 1024, NULL, "shards", NULL,
     "parts that each minibatch is cut into, a power of two and at least as many as ranks: their gradients are added in one fixed "
     "order, so that 1, 2, 4 ... ranks make the same bits; 0: as many as the run begins with ranks", ALL},
    {"gradient_checkpointing", GROUP_RUN, FIELD_BOOL, AT(run.gradient_checkpointing), "false", 0, 0, NULL, "",
     "actor_rollout_ref.model.enable_gradient_checkpointing",
     "keep only the input of each layer for the backward pass and compute the rest again: far less memory per token, one more "
     "forward pass per step; results never depend on it", ALL},
    {"save_steps", GROUP_RUN, FIELD_INT, AT(run.save_steps), "500", 0, MAX_COUNT, NULL, "steps",
     "trainer.save_freq ckpt.save_steps", "steps between two checkpoints; 0: at the end only", ALL},
    {"save_total_limit", GROUP_RUN, FIELD_INT, AT(run.save_total_limit), "2", 1, MAX_COUNT, NULL, "checkpoints",
     "trainer.max_actor_ckpt_to_keep ckpt.max_num", "checkpoints that are kept, the newest ones", ALL},
    {"save_dtype", GROUP_RUN, FIELD_WORD, AT(run.save_dtype), "float32", 0, 0, "float32|bfloat16", "", NULL,
     "number format of the weights in a checkpoint for others; resuming is exact with either", ALL},
    {"resume_from_checkpoint", GROUP_RUN, FIELD_TEXT, AT(run.resume_from_checkpoint), "auto", 0, 0, NULL, "", NULL,
     "auto: continue from the newest checkpoint in output_dir; none: refuse a used one; or a path", ALL},
    {"report_to", GROUP_RUN, FIELD_LIST, AT(run.report_to), "jsonl", 0, 0, "jsonl|tensorboard|none", "", NULL,
     "what is written in addition to run.db: metrics.jsonl (always), TensorBoard files", ALL},
    {"num_completions_to_print", GROUP_RUN, FIELD_INT, AT(run.num_completions_to_print), "1", 0, 1000, NULL, "completions",
     NULL, "completions that are shown with their rewards at each evaluation", GRPO},

    /* ---- evaluation ---- */
    {"eval_dataset_name", GROUP_EVAL, FIELD_TEXT, AT(data.eval_dataset_name), "", 0, 0, NULL, "",
     "data.val_files eval.dataset", "what to measure on: like dataset_name; empty: no evaluation", ALL},
    {"eval_steps", GROUP_EVAL, FIELD_INT, AT(eval.eval_steps), "0", 0, MAX_COUNT, NULL, "steps",
     "trainer.test_freq eval.steps", "steps between two evaluations; 0: none on the way", ALL},
    {"eval_on_start", GROUP_EVAL, FIELD_BOOL, AT(eval.eval_on_start), "true", 0, 0, NULL, "", "trainer.val_before_train",
     "evaluate before the first step", ALL},
    {"eval_on_end", GROUP_EVAL, FIELD_BOOL, AT(eval.eval_on_end), "true", 0, 0, NULL, "", NULL,
     "evaluate after the last step", ALL},
    {"eval_num_prompts", GROUP_EVAL, FIELD_INT, AT(eval.eval_num_prompts), "256", 0, MAX_COUNT, NULL, "prompts", NULL,
     "prompts of an evaluation, always the same ones; 0: all of a file", ALL},
    {"eval_num_generations", GROUP_EVAL, FIELD_INT, AT(eval.eval_num_generations), "1", 1, 4096, NULL, "completions",
     VERL_ROLLOUT "val_kwargs.n eval.n_samples_per_prompt", "completions per prompt: the k of pass@k and cons@k", GRPO},
    {"eval_temperature", GROUP_EVAL, FIELD_NUMBER, AT(eval.eval_temperature), "null", 0, 100, NULL, "",
     VERL_ROLLOUT "val_kwargs.temperature eval.temperature",
     "temperature of an evaluation; 0: the likeliest token; null: as temperature", GRPO},
};
/* clang-format on */

const int recipe_n_fields = (int)(sizeof recipe_fields / sizeof *recipe_fields);
_Static_assert(sizeof recipe_fields / sizeof *recipe_fields <= RECIPE_KEYS_MAX,
               "struct recipe has a mark for each key");

static bool recipe_has_alias(const struct recipe_field *field, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = field->aliases; at && *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, name, length) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

const struct recipe_field *recipe_find(const char *key)
{
    for (int i = 0; i < recipe_n_fields; i++) {
        if (strcmp(recipe_fields[i].key, key) == 0) {
            return &recipe_fields[i];
        }
    }
    for (int i = 0; i < recipe_n_fields; i++) {
        if (recipe_has_alias(&recipe_fields[i], key)) {
            return &recipe_fields[i];
        }
    }
    return NULL;
}

const char *recipe_nearest(const char *key)
{
    const char *nearest = NULL;
    int length = strlen(key) > 64 ? 64 : (int)strlen(key);
    int best = 2 + length / 3; /* farther away is no misspelling */
    if (strlen(key) > 128) {
        return NULL;
    }
    for (int i = 0; i < recipe_n_fields; i++) {
        int distance = str_distance(recipe_fields[i].key, key);
        if (distance < best) {
            best = distance;
            nearest = recipe_fields[i].key;
        }
    }
    for (int i = 0; i < recipe_n_fields; i++) {
        char alias[96];
        for (const char *at = recipe_fields[i].aliases; at && *at; at += strspn(at, " ")) {
            size_t word = strcspn(at, " ");
            BUG_ON(word >= sizeof alias);
            memcpy(alias, at, word);
            alias[word] = '\0';
            at += word;
            int distance = str_distance(alias, key);
            if (distance < best) {
                best = distance;
                nearest = recipe_fields[i].key;
            }
        }
    }
    return nearest;
}
