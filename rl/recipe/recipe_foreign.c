/* rl/recipe/recipe_foreign.c - keys that people know from TRL, verl and OpenRLHF and that strop has not: what to
 * write instead.
 *
 * A name that ends in '*' covers all that begin like it. The first row that fits counts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/recipe/recipe_table.h"

struct foreign_key {
    const char *names;  /* separated by blanks */
    const char *answer; /* completes "unknown key 'NAME': " */
};

static const struct foreign_key foreign_keys[] = {
    /* the size of an update */
    {"per_device_train_batch_size train_batch_size gradient_accumulation_steps generation_batch_size "
     "data.train_batch_size rollout_batch_size rollout.batch_size data.gen_batch_size",
     "an update is counted in prompts: set prompts_per_step (TRL's per_device_train_batch_size x "
     "gradient_accumulation_steps x processes / num_generations); tokens_per_micro_batch bounds the memory"},
    {"micro_train_batch_size micro_rollout_batch_size auto_find_batch_size "
     "actor_rollout_ref.actor.ppo_micro_batch_size* "
     "actor_rollout_ref.actor.use_dynamic_bsz actor_rollout_ref.*.log_prob_micro_batch_size* "
     "actor_rollout_ref.*.log_prob_use_dynamic_bsz use_dynamic_batch",
     "micro-batches are packed by tokens: set tokens_per_micro_batch"},
    {"per_device_eval_batch_size", "an evaluation runs as many completions at a time as max_sequences allows"},
    /* the engine of the rollout */
    {"use_vllm vllm_* use_transformers_paged cache_implementation actor_rollout_ref.rollout.name "
     "actor_rollout_ref.rollout.mode actor_rollout_ref.rollout.engine_kwargs* vllm.* rollout.vllm*",
     "rollouts run in strop itself, on the weights that are trained; remove the key"},
    {"actor_rollout_ref.rollout.gpu_memory_utilization actor_rollout_ref.rollout.free_cache_engine "
     "actor_rollout_ref.rollout.enforce_eager ds3_gather_for_generation",
     "memory is laid out from one table before the first step (strop check prints it); remove the key"},
    {"use_liger_kernel use_liger_loss attn_implementation flash_attn* actor_rollout_ref.model.use_remove_padding "
     "actor_rollout_ref.model.use_fused_kernels packing_samples padding_free torch_compile* use_cuda_graph",
     "the program's own kernels are always used, with packed rows; remove the key"},
    /* numbers */
    {"bf16 fp16 tf32 half_precision* torch_dtype dtype model_dtype actor_rollout_ref.rollout.dtype param_dtype",
     "a GPU computes in bf16 with fp32 sums, a CPU in fp32; optim chooses how weights are kept"},
    {"model_init_kwargs* model_revision revision trust_remote_code",
     "model_name_or_path is a folder or a .gguf file on this machine; remove the key"},
    /* adapters and quantised training */
    {"use_peft peft_config*", "write lora_r, the rank of the adapter"},
    {"lora_dropout actor.lora_dropout actor_rollout_ref.model.lora_dropout",
     "adapters have no dropout: training would not compute what the rollout does; remove the key"},
    {"use_dora modules_to_save lora_task_type lora_target_parameters actor_rollout_ref.model.lora_* "
     "actor_rollout_ref.model.exclude_modules",
     "an adapter is LoRA on linear layers: lora_r, lora_alpha, lora_target_modules, use_rslora; remove the key"},
    {"load_in_4bit load_in_8bit use_bnb* bnb_*",
     "weights are not quantised; lora_r, optim: adamw_bf16_sr and gradient_checkpointing: true take less memory"},
    /* several GPUs */
    {"deepspeed* fsdp* ddp_* accelerator_config* zero_stage ds.* parallelism_config* trainer.n_gpus_per_node "
     "trainer.nnodes "
     "actor_rollout_ref.*.fsdp_config* actor_rollout_ref.actor.strategy "
     "actor_rollout_ref.rollout.tensor_model_parallel_size actor_rollout_ref.actor.ulysses_sequence_parallel_size "
     "actor_num_* ref_num_* reward_num_* critic_num_* colocate_* ray.* ray_* train.colocate* adam_offload",
     "a run is one process on one GPU, or several on processors, started by strop launch -n N; remove the key"},
    /* the optimiser */
    {"lr actor_learning_rate", "write learning_rate"},
    {"warmup_ratio actor_rollout_ref.actor.optim.lr_warmup_steps_ratio lr_warmup_ratio",
     "write warmup_steps, a number of steps"},
    {"lr_scheduler_kwargs* min_lr min_lr_rate", "write min_lr_ratio, a share of learning_rate"},
    {"adam_betas", "write adam_beta1 and adam_beta2"},
    {"max_norm clip_grad", "write max_grad_norm"},
    /* rewards */
    {"reward_weights", "a weight belongs to its reward: reward_funcs: [{name: NAME, weight: W}]"},
    {"reward_model* reward_pretrain custom_reward_function*",
     "rewards are listed in reward_funcs: http:url=... calls a server, and a Python function is called through "
     "strop_reward.py (reward/README.md)"},
    {"remote_rm_url reward.remote_url", "write reward_funcs: [{name: http, url: http://HOST:PORT/PATH}]"},
    {"critic.* critic_* value_clip gamma lambd vf_coef algorithm.gamma algorithm.lam",
     "there is no critic; remove the key"},
    {"algorithm.adv_estimator advantage_estimator algo.advantage.*",
     "group-relative advantages are built in: scale_rewards and advantage_baseline choose their form"},
    {"init_kl_coef kl_coef kl_loss_coef algorithm.use_kl_in_reward algorithm.kl_ctrl* kl_target use_kl_loss "
     "actor_rollout_ref.actor.use_kl_loss",
     "write beta, the weight of the divergence in the loss; 0: no reference model"},
    {"clip_ratio cliprange clip_range clip_eps eps_clip ppo_clip",
     "write epsilon, and epsilon_high where the upper bound is another"},
    {"reward_clip_range overlong_buffer* reward_model.overlong_buffer*",
     "write the reward soft_overlong in reward_funcs"},
    /* data */
    {"dataset_config dataset_train_split dataset_test_split dataset_num_proc dataset_kwargs* data.num_workers "
     "dataloader_* remove_unused_columns input_template",
     "dataset_name is a JSONL file or a built-in generator, and all fields of a row reach the rewards; remove the key"},
    {"label_key data.reward_fn_key data.label_key",
     "rewards find their reference by its usual names (answer, solution, ground_truth ...); see reward/README.md"},
    {"apply_chat_template data.apply_chat_template", "write template: chat"},
    {"chat_template chat_template_path data.chat_template",
     "write template: chat, the model's own; another one goes into the model's folder as chat_template.jinja"},
    {"prompt_data", "write dataset_name, a JSONL file"},
    {"pretrain", "write model_name_or_path"},
    {"prompt_max_len", "write max_prompt_length"},
    {"generate_max_len max_new_tokens max_tokens", "write max_completion_length"},
    {"max_seq_length max_len", "write max_prompt_length and max_completion_length (sft: max_length)"},
    {"packing", "write pack_length, the length of a packed row"},
    /* logs */
    {"logging_steps logging_strategy logging_first_step disable_tqdm",
     "every step is written to metrics.jsonl and run.db; remove the key"},
    {"log_completions log_completions_hub_repo* wandb_log_unique_prompts trainer.log_val_generations",
     "all completions are in run.db and report.html; num_completions_to_print shows some in the terminal"},
    {"logging_dir run_name trainer.project_name trainer.experiment_name wandb* use_wandb use_tensorboard "
     "trainer.logger "
     "hub_* push_to_hub",
     "a run is its folder, output_dir; report_to: [jsonl, tensorboard] says what else is written"},
    /* when */
    {"do_train do_eval do_predict", "strop train trains and strop eval evaluates; remove the key"},
    {"eval_strategy evaluation_strategy save_strategy save_only_model save_safetensors load_best_model_at_end "
     "metric_for_best_model overwrite_output_dir",
     "eval_steps and save_steps say when (0: at the end only); remove the key"},
    {"max_epochs num_episodes", "write num_train_epochs or max_steps"},
};

/* Does the key match a name of the list, where '*' matches any text? */
static bool name_fits(const char *name, size_t length, const char *key)
{
    const char *star = memchr(name, '*', length);
    if (!star) {
        return strlen(key) == length && memcmp(key, name, length) == 0;
    }
    size_t head = (size_t)(star - name), tail = length - head - 1;
    if (strncmp(key, name, head) != 0) {
        return false;
    }
    const char *rest = star + 1;
    for (const char *at = key + head;; at++) {
        if (name_fits(rest, tail, at)) {
            return true;
        }
        if (*at == '\0') {
            return tail == 0;
        }
    }
}

const char *recipe_foreign(const char *key)
{
    for (size_t i = 0; i < sizeof foreign_keys / sizeof *foreign_keys; i++) {
        for (const char *at = foreign_keys[i].names; *at; at += strspn(at, " ")) {
            size_t length = strcspn(at, " ");
            if (name_fits(at, length, key)) {
                return foreign_keys[i].answer;
            }
            at += length;
        }
    }
    return NULL;
}
