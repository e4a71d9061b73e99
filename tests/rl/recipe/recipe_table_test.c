/* tests/rl/recipe/recipe_table_test.c - every key does what its help says: a run with another value is another run, or it is refused.
 *
 * For each key of the table there is a row here (a key without one fails the test). Two runs of three steps are made: both
 * with the row's context, the second with the key changed as well. What they leave behind must differ, or must not where the
 * key is one that results never depend on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/recipe_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/rl/run_fixture.h"

enum effect {
    CHANGES,  /* other results */
    SAME,     /* the same results, by contract */
    REFUSED,  /* an error, which the first run is not */
    ELSEWHERE /* `change` names the test */
};

#define TWICE   "num_iterations=2 "
#define KL      "beta=0.1 "
#define SYNC    KL "sync_ref_model=true ref_model_sync_steps=1 "
#define ROWS    "dataset_name=rows.jsonl max_error_rate=1 " /* rows have no numbers to count with */
#define SFT     "method=sft dataset_name=rows.jsonl "
#define MIXTURE "model_name_or_path=mixture "
#define EVAL    "eval_dataset_name=countdown:split=eval eval_num_prompts=2 "
#define LORA    "lora_r=4 "

static const struct row {
    const char *key, *context, *change;
    enum effect effect;
} rows[] = {
    {"method", ROWS, "sft", CHANGES},
    {"model_name_or_path", "", "other", CHANGES},
    {"init_weights", "", "random", CHANGES},
    {"output_dir", "", "tests/bad_input.sh", ELSEWHERE},
    {"seed", "", "43", CHANGES},
    {"device", "", "cpu/scalar", SAME},
    {"num_threads", "", "2", SAME},
    {"dataset_name", "", "countdown:number_most=20", CHANGES},
    {"prompt_field", ROWS, "question", CHANGES},
    {"completion_field", SFT, "question", CHANGES},
    {"text_field", SFT, "question", CHANGES},
    {"template", "max_prompt_length=500 ", "r1-zero", CHANGES},
    {"system_prompt", "", "tests/rl/data/template_test.c", ELSEWHERE},
    {"chat_template_kwargs", "", "tests/rl/data/template_test.c", ELSEWHERE},
    {"max_prompt_length", "long_prompts=skip ", "54", CHANGES},
    {"max_length", SFT "long_prompts=skip max_length=40 ", "19", CHANGES},
    {"long_prompts", "max_prompt_length=54 ", "skip", CHANGES}, /* the first run is an error */
    {"shuffle", ROWS, "false", CHANGES},
    {"pack_length", SFT "text_field=question ", "64", CHANGES},
    {"num_generations", "", "5", CHANGES},
    {"prompts_per_step", "", "2", CHANGES},
    {"max_completion_length", "", "[0:8,2:5]", CHANGES},
    {"temperature", "", "0.5", CHANGES},
    {"top_p", "", "0.5", CHANGES},
    {"top_k", "", "9", CHANGES},
    {"min_p", "", "0.9", CHANGES},
    {"repetition_penalty", "", "2", CHANGES},
    {"stop", "", "[a,b,c,d,e,f,g,h]", CHANGES},
    {"max_sequences", "", "3", SAME},
    {"max_batch_tokens", "", "16", SAME},
    {"kv_pages", "", "4", SAME},
    {"reward_funcs", "", "[format]", CHANGES},
    {"on_reward_error", ROWS "reward_funcs=[countdown] ", "abort", REFUSED},
    {"max_error_rate", ROWS "reward_funcs=[countdown] ", "0.5", REFUSED},
    {"reward_timeout", "", "tests/reward/pool_test.c", ELSEWHERE},
    {"reward_threads", "", "2", SAME},
    {"scale_rewards", "", "none", CHANGES},
    {"advantage_baseline", "", "leave_one_out", CHANGES},
    {"multi_objective_aggregation", "", "normalize_then_sum", CHANGES},
    {"mask_truncated_completions", "", "true", CHANGES},
    {"dynamic_sampling", "", "true", CHANGES},
    {"dynamic_sampling_max_rounds", "dynamic_sampling=true ", "2", CHANGES},
    {"loss_type", "", "dr_grpo", CHANGES},
    {"importance_sampling_level", TWICE, "sequence", CHANGES},
    {"epsilon", TWICE, "1e-6", CHANGES},
    {"epsilon_high", TWICE, "1e-6", CHANGES},
    {"delta", "steps_per_generation=4 max_steps=4 epsilon=1e-4 ", "1.0002", CHANGES},
    {"sapo_temperature_pos", "loss_type=sapo ", "3", CHANGES},
    {"sapo_temperature_neg", "loss_type=sapo " TWICE, "3", CHANGES},
    {"vespo_k_pos", "loss_type=vespo " TWICE, "1", CHANGES},
    {"vespo_lambda_pos", "loss_type=vespo " TWICE, "1", CHANGES},
    {"vespo_k_neg", "loss_type=vespo " TWICE, "1", CHANGES},
    {"vespo_lambda_neg", "loss_type=vespo " TWICE, "1", CHANGES},
    {"beta", "", "0.1", CHANGES},
    {"kl_estimator", KL, "k1", CHANGES},
    {"use_bias_correction_kl", KL, "false", CHANGES},
    {"sync_ref_model", KL "ref_model_sync_steps=1 ", "true", CHANGES},
    {"ref_model_sync_steps", SYNC, "2", CHANGES},
    {"ref_model_mixup_alpha", SYNC, "0.3", CHANGES},
    {"entropy_coef", "", "0.01", CHANGES},
    {"routing_replay", MIXTURE TWICE "steps_per_generation=2 ", "R3", CHANGES},
    {"router_aux_loss_coef", MIXTURE, "0.1", CHANGES},
    {"router_seq_loss_coef", MIXTURE, "0.1", CHANGES},
    {"router_bias_update_rate", MIXTURE, "0.01", CHANGES},
    {"top_entropy_quantile", "", "0.5", CHANGES},
    {"off_policy_mask_threshold", TWICE, "1e-9", CHANGES},
    {"num_iterations", "", "2", CHANGES},
    {"steps_per_generation", "", "2", CHANGES},
    {"bits_check", "", "warn", SAME},
    {"optim", "", "adamw_bf16_sr", CHANGES},
    {"learning_rate", "", "1e-3", CHANGES},
    {"lr_scheduler_type", "", "constant_with_warmup", CHANGES},
    {"min_lr_ratio", "", "0.5", CHANGES},
    {"warmup_steps", "", "0", CHANGES},
    {"adam_beta1", "", "0.5", CHANGES},
    {"adam_beta2", "", "0.5", CHANGES},
    {"adam_epsilon", "", "0.01", CHANGES},
    {"weight_decay", "", "0.5", CHANGES},
    {"max_grad_norm", "", "0.001", CHANGES},
    {"lora_r", "", "2", CHANGES},
    {"lora_alpha", LORA, "5", CHANGES},
    {"lora_target_modules", LORA, "[q_proj,up_proj]", CHANGES},
    {"use_rslora", LORA, "true", CHANGES},
    {"max_steps", "", "2", CHANGES},
    {"num_train_epochs", ROWS "max_steps=0 num_train_epochs=0.5 ", "0.25", CHANGES},
    {"texts_per_step", SFT, "5", CHANGES},
    {"tokens_per_micro_batch", "", "tests/rl/loss_test.c", ELSEWHERE}, /* other rounding of the gradient */
    {"gradient_shards", "", "2", CHANGES},                             /* the order of a sum */
    {"gradient_checkpointing", KL, "true", SAME},                      /* its memory: tests/model/activations_test.c */
    {"save_steps", "", "tests/rl/train_test.c", ELSEWHERE},
    {"save_total_limit", "", "tests/rl/run/checkpoint_test.c", ELSEWHERE},
    {"save_dtype", "", "bfloat16", CHANGES},
    {"resume_from_checkpoint", "", "tests/bad_input.sh", ELSEWHERE},
    {"report_to", "", "tests/rl/run/tensorboard_test.c", ELSEWHERE},
    {"num_completions_to_print", EVAL, "2", SAME},
    {"eval_dataset_name", "", "countdown:split=eval", CHANGES},
    {"eval_steps", EVAL, "1", CHANGES},
    {"eval_on_start", EVAL, "false", CHANGES},
    {"eval_on_end", EVAL, "false", CHANGES},
    {"eval_num_prompts", EVAL, "3", CHANGES},
    {"eval_num_generations", EVAL, "2", CHANGES},
    {"eval_temperature", EVAL, "0", CHANGES},
};

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    char path[128];
    struct strbuf lines = STRBUF_INIT;
    snprintf(folder, sizeof folder, "%s/strop_keys_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model", folder);
    run_make_model(path, 5);
    snprintf(path, sizeof path, "%s/other", folder);
    run_make_model(path, 6);
    snprintf(path, sizeof path, "%s/mixture", folder);
    struct model_config mixture = run_mixture_config();
    run_save_model(path, &mixture, 5);
    for (int i = 0; i < 40; i++) {
        strbuf_printf(&lines, "{\"prompt\": \"What is %d?\", \"question\": \"Say %d\", \"completion\": \"It is %d\"}\n",
                      i, i + 1, i);
    }
    run_write_text(folder, "rows.jsonl", lines.data);
    strbuf_release(&lines);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    MUST(file_remove_folder(folder));
    return 0;
}

/* "key=value key=value": values have no spaces. */
static enum err override(struct recipe *recipe, const char *words)
{
    char word[200];
    for (int n; sscanf(words, " %199s%n", word, &n) == 1; words += n) {
        TRY(recipe_override(recipe, word));
    }
    return ERR_NONE;
}

/* What a run leaves, as one number; 0 if it was refused. */
static uint64_t outcome(const char *context, const struct row *row)
{
    struct recipe recipe;
    char yaml[128], out[128], change[256] = "";
    snprintf(yaml, sizeof yaml, "%s/r.yaml", folder);
    snprintf(out, sizeof out, "output_dir=%s/run", folder);
    if (row) {
        snprintf(change, sizeof change, "%s=%s", row->key, row->change);
    }
    MUST(recipe_parse(&recipe, str_of(RUN_GRPO), yaml));
    MUST(override(&recipe, "max_prompt_length=96 max_completion_length=8 max_steps=3 warmup_steps=1"));
    MUST(override(&recipe, out));
    MUST(override(&recipe, context));
    enum err result = override(&recipe, change);
    result = result == ERR_NONE ? recipe_finish(&recipe) : result;
    result = result == ERR_NONE ? train_run(&recipe, "test") : result;
    recipe_release(&recipe);
    uint64_t hash = 0;
    snprintf(out, sizeof out, "%s/run", folder);
    if (result == ERR_NONE) {
        char latest[160];
        struct strbuf all = STRBUF_INIT;
        snprintf(latest, sizeof latest, "%s/checkpoints/latest", out);
        run_metrics_text(out, &all);
        run_db_text(out, &all);
        strbuf_printf(&all, "%llx %llx", (unsigned long long)run_hash_file(latest, "model.safetensors"),
                      (unsigned long long)run_hash_file(latest, "state/optimizer.bin"));
        hash = XXH3_64bits(all.data, all.length);
        strbuf_release(&all);
    }
    MUST(file_remove_folder(out));
    return hash;
}

/* Runs with a context alone are made once. */
static uint64_t outcome_of_context(const char *context)
{
    static struct {
        const char *context;
        uint64_t hash;
    } known[64];
    int i = 0;
    for (; known[i].context; i++) {
        if (strcmp(known[i].context, context) == 0) {
            return known[i].hash;
        }
    }
    known[i].context = context;
    return known[i].hash = outcome(context, NULL);
}

static void every_key_has_an_effect(void **state)
{
    (void)state;
    int n_bad = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (row->effect == ELSEWHERE) {
            assert_true(file_exists(row->change));
            continue;
        }
        uint64_t before = outcome_of_context(row->context), after = outcome(row->context, row);
        bool right = row->effect == CHANGES   ? after != 0 && after != before
                     : row->effect == REFUSED ? before != 0 && after == 0
                                              : before != 0 && after == before;
        if (!right) {
            print_error("%s%s=%s: %s\n", row->context, row->key, row->change,
                        after == 0        ? err_text()
                        : after == before ? "nothing changes"
                                          : "the results change");
            n_bad++;
        }
    }
    assert_int_equal(n_bad, 0);
}

static void every_key_is_here(void **state)
{
    (void)state;
    for (int i = 0; i < recipe_n_fields; i++) {
        bool here = false;
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            here = here || strcmp(rows[k].key, recipe_fields[i].key) == 0;
        }
        if (!here) {
            fail_msg("'%s' has no row here: what does it do?", recipe_fields[i].key);
        }
    }
    assert_int_equal(recipe_n_fields, sizeof rows / sizeof *rows);
}

/* What people bring along from TRL, verl and OpenRLHF: each key gets a sentence of its own. */
static void keys_of_others_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *key, *want;
    } cases[] = {
        {"per_device_train_batch_size", "prompts_per_step"},
        {"gradient_accumulation_steps", "prompts_per_step"},
        {"data.train_batch_size", "prompts_per_step"},
        {"rollout_batch_size", "prompts_per_step"},
        {"micro_train_batch_size", "tokens_per_micro_batch"},
        {"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", "tokens_per_micro_batch"},
        {"actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu", "tokens_per_micro_batch"},
        {"use_vllm", "strop itself"},
        {"vllm_gpu_memory_utilization", "strop itself"},
        {"actor_rollout_ref.rollout.name", "strop itself"},
        {"actor_rollout_ref.rollout.gpu_memory_utilization", "strop check"},
        {"attn_implementation", "kernels"},
        {"bf16", "bf16"},
        {"use_peft", "lora_r"},
        {"lora_dropout", "no dropout"},
        {"use_dora", "lora_target_modules"},
        {"load_in_4bit", "not quantised"},
        {"deepspeed", "strop launch"},
        {"fsdp_config", "strop launch"},
        {"trainer.n_gpus_per_node", "strop launch"},
        {"vllm_num_engines", "strop itself"},
        {"actor_num_nodes", "strop launch"},
        {"lr", "learning_rate"},
        {"warmup_ratio", "warmup_steps"},
        {"reward_weights", "weight: W"},
        {"remote_rm_url", "http"},
        {"critic.optim.lr", "no critic"},
        {"algorithm.adv_estimator", "advantage_baseline"},
        {"init_kl_coef", "beta"},
        {"kl_coef", "beta"},
        {"clip_ratio", "epsilon_high"},
        {"prompt_data", "dataset_name"},
        {"pretrain", "model_name_or_path"},
        {"generate_max_len", "max_completion_length"},
        {"logging_steps", "metrics.jsonl"},
        {"log_completions", "num_completions_to_print"},
        {"trainer.project_name", "output_dir"},
        {"eval_strategy", "eval_steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe r;
        char text[128];
        snprintf(text, sizeof text, "beta: 0\n%s: 1\n", cases[i].key);
        assert_null(recipe_find(cases[i].key)); /* else no answer would be needed */
        assert_int_equal(recipe_parse(&r, str_of(text), "r.yaml"), ERR_USAGE);
        if (!strstr(err_text(), cases[i].want) || !strstr(err_text(), "r.yaml:2:1: unknown key '")) {
            fail_msg("%s: %s", cases[i].key, err_text());
        }
    }
    for (int i = 0; i < recipe_n_fields; i++) {
        assert_null(recipe_foreign(recipe_fields[i].key));
    }
    assert_null(recipe_foreign("learning_rat"));
    assert_null(recipe_foreign(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_here),
        cmocka_unit_test(keys_of_others_are_answered),
        cmocka_unit_test_setup_teardown(every_key_has_an_effect, make_folder, remove_folder),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
