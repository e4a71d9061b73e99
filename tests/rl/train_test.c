/* tests/rl/train_test.c - a run that is stopped after any step and taken up again ends as the run that was not.
 *
 * Twelve steps of a tiny random model. For each k the run gets SIGTERM as step k ends, is started again by the same recipe,
 * and must leave the same weights, optimiser, reference, state, metrics.jsonl and run.db as the straight run, bit by bit
 * (what is left out, and why, is in run_fixture.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train.h"

#include "tests/rl/resume_fixture.h"

/* And rollouts here, so that one can be broken off as two interrupts break it off. */
static int rollouts, broken_rollout; /* 0: none */

enum err __real_sample_groups(struct rollout *rollout, struct iteration *it);
enum err __wrap_sample_groups(struct rollout *rollout, struct iteration *it);
enum err __wrap_sample_groups(struct rollout *rollout, struct iteration *it)
{
    enum err result = __real_sample_groups(rollout, it);
    if (++rollouts == broken_rollout) {
        raise(SIGTERM);
        raise(SIGTERM);
        return it->progress(it->progress_context, 0, 0, 1) ? err_set(ERR_STOPPED, "stopped")
                                                           : err_set(ERR_STATE, "nobody stopped it");
    }
    return result;
}

/* Four steps on each rollout, so that three of four stops fall inside an iteration. */
#define INSIDE "num_iterations: 2\nsteps_per_generation: 2\n"
#define SHORT  "max_prompt_length: 96\n"

static void one_step_a_rollout(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO SHORT, "");
}

static void inside_an_iteration(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO SHORT INSIDE, "beta: 0.05\nsync_ref_model: true\nref_model_sync_steps: 3\n");
}

/* The cursor is then elsewhere than the number of prompts says. */
static void prompts_that_were_passed_over(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO INSIDE, "dynamic_sampling: true\nmax_prompt_length: 56\nlong_prompts: skip\n");
}

/* The steps that are finished are saved; the rollout is drawn again. */
static void broken_off_in_a_rollout(void **state)
{
    (void)state;
    static const int at[] = {1, 2, 5};
    static const char text[] = RUN_GRPO INSIDE SHORT "dynamic_sampling: true\n";
    go("straight", text, 0);
    struct run_digest want = digest("straight");
    for (int i = 0; i < 3; i++) {
        rollouts = 0;
        broken_rollout = at[i];
        go("stopped", text, 0);
        broken_rollout = 0;
        go("stopped", text, 0);
        struct run_digest got = digest("stopped");
        const char *difference = run_difference(&got, &want);
        if (difference) {
            fail_msg("broken off in rollout %d and resumed: %s differ", at[i], difference);
        }
        forget("stopped");
    }
    forget("straight");
}

/* Numbers of the rounding belong to the step: what is taken up again draws them again. */
static void moments_in_bf16(void **state)
{
    (void)state;
    assert_resumes(RUN_GRPO SHORT INSIDE, "optim: adamw_bf16_sr\nsave_dtype: bfloat16\nadam_beta2: 0.99\n");
}

/* With a reference model, whose forward pass fills the same buffers, and steps that are off policy. */
static void checkpointing_changes_nothing(void **state)
{
    (void)state;
    assert_ends_alike(RUN_GRPO SHORT INSIDE "beta: 0.05\nentropy_coef: 0.01\n", "gradient_checkpointing: true\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_a_rollout),
        cmocka_unit_test(inside_an_iteration),
        cmocka_unit_test(prompts_that_were_passed_over),
        cmocka_unit_test(broken_off_in_a_rollout),
        cmocka_unit_test(moments_in_bf16),
        cmocka_unit_test(checkpointing_changes_nothing),
    };
    resume_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resume_end();
    return failed;
}
