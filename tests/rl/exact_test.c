/* tests/rl/exact_test.c - the comparison covers what it says, finds nothing, and would find one bit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/exact.h"

#include <math.h>
#include <string.h>

#include "tests/rl/iteration_fixture.h"

/* The linker leads the trainer's log-probabilities through here (Makefile). */
static int64_t flip_call, calls; /* call 1, 2, ... in which a bit is flipped; 0: none */

void __real_model_target_logprobs(struct model *model, const struct train_batch *batch, struct activations *acts,
                                  float inv_temperature, float *logprob, float *lse, float *entropy);
void __wrap_model_target_logprobs(struct model *model, const struct train_batch *batch, struct activations *acts,
                                  float inv_temperature, float *logprob, float *lse, float *entropy);
void __wrap_model_target_logprobs(struct model *model, const struct train_batch *batch, struct activations *acts,
                                  float inv_temperature, float *logprob, float *lse, float *entropy)
{
    __real_model_target_logprobs(model, batch, acts, inv_temperature, logprob, lse, entropy);
    if (++calls == flip_call) {
        logprob[0] = nextafterf(logprob[0], -1e30f);
        lse[batch->n_targets - 1] = nextafterf(lse[batch->n_targets - 1], -1e30f);
    }
}

/* And the experts that it chose, of which one is another one in call 1, 2, ...; 0: in none. */
static int64_t other_call, expert_calls;

void __real_model_packed_experts(const struct model *model, const struct activations *acts, uint8_t *experts);
void __wrap_model_packed_experts(const struct model *model, const struct activations *acts, uint8_t *experts);
void __wrap_model_packed_experts(const struct model *model, const struct activations *acts, uint8_t *experts)
{
    __real_model_packed_experts(model, acts, experts);
    if (++expert_calls == other_call) {
        experts[0] ^= 1;
    }
}

static void run(const struct exact_options *options, struct arena *arena, struct exact_result *result)
{
    calls = expert_calls = 0;
    *result = (struct exact_result){0};
    ASSERT_OK(exact_run(options, arena, result));
}

static bool mentions(const struct exact_result *r, const char *word)
{
    for (int i = 0; i < r->n_rows; i++) {
        if (strstr(r->rows[i].model, word) || strstr(r->rows[i].setup, word)) {
            return true;
        }
    }
    return false;
}

static void all_is_compared_and_equal(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct exact_result r;
    int64_t compared = 0;
    bool mixed = false;
    run(&(struct exact_options){.tokens = 900, .device = "auto", .seed = 1}, &arena, &r);
    assert_true(r.compared >= 900);
    assert_int_equal(r.different, 0);
    assert_true(r.hidden_compared > 300);
    assert_int_equal(r.hidden_different, 0);
    for (int i = 0; i < r.n_rows; i++) {
        compared += r.rows[i].compared;
        mixed = mixed || strcmp(r.rows[i].rollout_device, r.rows[i].train_device) != 0;
        assert_true(r.rows[i].compared > 0);
    }
    assert_int_equal(compared, r.compared);
    assert_true(r.experts_compared > 900);
    assert_int_equal(r.experts_different, 0);
    assert_true(mentions(&r, "qwen2_moe") && mentions(&r, "qwen3_moe") && mentions(&r, "deepseek_v3"));
    assert_true(mentions(&r, "deepseek_v2"));
    assert_true(mentions(&r, "qwen2") && mentions(&r, "qwen3") && mentions(&r, "llama") && mentions(&r, "deepseek_v3"));
    assert_true(mentions(&r, "deepseek_v2"));
    assert_true(mentions(&r, "2 threads") && mentions(&r, "pre-empted") && mentions(&r, "1 row"));
#if defined(__x86_64__)
    assert_true(mixed); /* rollout on one instruction set, training on another */
#endif
    arena_release(&arena);
}

static void one_bit_is_found(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct exact_result r;
    flip_call = 2;
    run(&(struct exact_options){.tokens = 100, .device = "cpu/scalar", .seed = 1}, &arena, &r);
    flip_call = 0;
    assert_in_range(r.different, 1, 2); /* the first and the last target, which may be one */
    arena_release(&arena);
}

static void one_expert_is_found(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct exact_result r;
    other_call = 2;
    run(&(struct exact_options){.tokens = 100, .device = "cpu/scalar", .seed = 1}, &arena, &r);
    other_call = 0;
    assert_int_equal(r.different, 0);
    assert_int_equal(r.experts_different, 1);
    arena_release(&arena);
}

static void a_model_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct exact_result r = {0};
    assert_int_not_equal(
        exact_run(&(struct exact_options){.tokens = 1, .device = "auto", .model = "/no/such"}, &arena, &r), ERR_NONE);
    assert_non_null(strstr(err_text(), "/no/such"));
    assert_int_not_equal(exact_run(&(struct exact_options){.tokens = 1, .device = "cpu/abacus"}, &arena, &r), ERR_NONE);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_compared_and_equal),
        cmocka_unit_test(one_bit_is_found),
        cmocka_unit_test(one_expert_is_found),
        cmocka_unit_test(a_model_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
