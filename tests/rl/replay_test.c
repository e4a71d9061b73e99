/* tests/rl/replay_test.c - whole runs of a mixture: replayed experts, balance, and resuming with both.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/balance.h"

#include "tests/rl/resume_fixture.h"

#define MIXTURE RUN_GRPO "max_prompt_length: 96\n"
#define INSIDE  "num_iterations: 2\nsteps_per_generation: 2\n"

/* The weights that a run ends with. */
static uint64_t weights_of(const char *text, const char *more)
{
    char all[4096], path[128];
    snprintf(all, sizeof all, "%s%s", text, more);
    go("run", all, 0);
    snprintf(path, sizeof path, "%s/run/checkpoints/latest", folder);
    uint64_t hash = run_hash_file(path, "model.safetensors");
    forget("run");
    return hash;
}

static void replay_is_for_steps_off_policy(void **state)
{
    (void)state;
    uint64_t on = weights_of(MIXTURE, ""), off = weights_of(MIXTURE INSIDE, "");
    assert_true(weights_of(MIXTURE, "routing_replay: R3\n") == on);
    uint64_t replayed = weights_of(MIXTURE INSIDE, "routing_replay: R3\n");
    assert_true(replayed != off);
    assert_true(weights_of(MIXTURE INSIDE, "routing_replay: R2\n") == replayed);
}

/* The bits are compared in each iteration; GSPO and CISPO as well. */
static void resuming_keeps_experts_and_bias(void **state)
{
    (void)state;
    assert_resumes(MIXTURE INSIDE, "routing_replay: R3\nloss_type: gspo\nrouter_aux_loss_coef: 0.01\n"
                                   "router_seq_loss_coef: 0.02\nrouter_bias_update_rate: 0.01\n"
                                   "beta: 0.05\nsync_ref_model: true\nref_model_sync_steps: 3\n");
}

static void checkpointing_changes_nothing(void **state)
{
    (void)state;
    assert_ends_alike(MIXTURE INSIDE "routing_replay: R2\nloss_type: cispo\nrouter_aux_loss_coef: 0.01\n",
                      "gradient_checkpointing: true\n");
}

/* What a run keeps: experts of every computed token, and metrics of the layer that has experts. */
static void experts_are_in_the_file(void **state)
{
    (void)state;
    char path[128];
    sqlite3 *db;
    struct strbuf rows = STRBUF_INIT, metrics = STRBUF_INIT;
    go("run", MIXTURE "routing_replay: R3\n", 0);
    snprintf(path, sizeof path, "%s/run", folder);
    MUST(store_open_reader(&db, path));
    run_db_rows(db,
                "SELECT count(*), sum(length(experts) = CASE sample WHEN -1 THEN "
                "(SELECT length(tokens) / 4 FROM prompts p WHERE p.iteration = r.iteration AND p.prompt = r.prompt) "
                "ELSE (SELECT length(tokens) / 4 - 1 FROM completions c WHERE c.iteration = r.iteration AND "
                "c.prompt = r.prompt AND c.sample = r.sample) END * 2) FROM routes r",
                &rows);
    assert_non_null(strstr(rows.data, "180|180|")); /* 12 iterations of 3 prompts with 4 completions each */
    sqlite3_close(db);
    run_metrics_text(path, &metrics);
    static const char *const names[] = {"router/load_max/1", "router/entropy/1", "router/unused/1", "router/changed/1"};
    for (int i = 0; i < 4; i++) {
        assert_non_null(strstr(metrics.data, names[i]));
    }
    assert_null(strstr(metrics.data, "router/changed/0"));
    strbuf_release(&rows);
    strbuf_release(&metrics);
    forget("run");
}

static void other_experts_are_refused(void **state)
{
    (void)state;
    struct model_config config = run_mixture_config();
    uint8_t own[] = {0, 3}, prompt[] = {1, 7, 2, 4};
    int32_t tokens[2] = {0};
    struct prompt of = {.tokens = tokens, .n_tokens = 2};
    struct completion c = {
        .n_tokens = 2, .experts = own, .prompt_experts = prompt, .prompt_bytes = 4, .expert_bytes = 2};
    struct sample sample = {.prompt = &of, .completion = &c};
    struct iteration it = {.n_samples = 1, .G = 1, .samples = &sample};
    assert_int_equal(balance_check_replay(&it, &config), ERR_NONE);
    own[1] = 8; /* there are 0 to 7 */
    assert_int_equal(balance_check_replay(&it, &config), ERR_STATE);
    own[1] = 0; /* twice the same */
    assert_int_equal(balance_check_replay(&it, &config), ERR_STATE);
    own[1] = 3;
    c.prompt_bytes = 2;
    assert_int_equal(balance_check_replay(&it, &config), ERR_STATE);
    c = (struct completion){.n_tokens = 2};
    assert_int_equal(balance_check_replay(&it, &config), ERR_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_is_for_steps_off_policy), cmocka_unit_test(resuming_keeps_experts_and_bias),
        cmocka_unit_test(checkpointing_changes_nothing),  cmocka_unit_test(experts_are_in_the_file),
        cmocka_unit_test(other_experts_are_refused),
    };
    char model[128];
    struct model_config config = run_mixture_config();
    resume_begin();
    snprintf(model, sizeof model, "%s/model", folder);
    MUST(file_remove_folder(model));
    run_save_model(model, &config, 5);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resume_end();
    return failed;
}
