/* tests/rl/loss_test.c - the number that is minimised, written out again; its gradient as its slope; and what must not matter.
 *
 * The losses of one completion are held against TRL's in tests/kernels/grpo_loss_test.c, those of a rollout in objective_test.c; here
 * is what rl/loss.c adds: which log-probabilities they are taken of, and the model's gradient.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/loss.h"

#include "rl/batch.h"
#include "tests/model/fixture.h"
#include "tests/rl/iteration_fixture.h"

enum { PROMPTS = 3, G = 4, LONGEST = 7, VOCABULARY = 203 };

#define TEMPERATURE 0.8

static void read_recipe(struct recipe *recipe, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "model_name_or_path: m\ndataset_name: countdown\nreward_funcs: [format]\ntemperature: %g\n"
             "max_completion_length: %d\n%s",
             TEMPERATURE, LONGEST, more);
    ASSERT_OK(recipe_parse(recipe, str_of(text), "r.yaml"));
    ASSERT_OK(recipe_finish(recipe));
}

/* A policy, a reference that differs from it, and samples that the policy has drawn: one group is flat and has an unjudged sample,
 * and those that are as long as can be are truncated and masked. */
struct bench {
    struct device *device;
    struct model *policy, *reference;
    struct recipe recipe;
    struct iteration it;
    struct loss loss;
    float *grads;
    size_t bytes;
};

static void pack(struct bench *b, int budget, bool keep_all)
{
    struct batch_options options = {.prompts_per_step = PROMPTS,
                                    .num_iterations = 1,
                                    .max_tokens = budget,
                                    .keep_all = keep_all,
                                    .mask_truncated = true,
                                    .seed = 1};
    batch_pack(&options, &b->it);
    assert_int_equal(b->it.n_minibatches, 1);
}

/* The policy's own log-probabilities, as a rollout records them. */
static void record(struct bench *b)
{
    pack(b, 10000, true);
    const struct micro_batch *mb = &b->it.minibatches[0].micro_batches[0];
    model_forward(b->policy, &mb->batch, b->loss.acts);
    model_target_logprobs(b->policy, &mb->batch, b->loss.acts, (float)(1 / TEMPERATURE), b->loss.logprob, b->loss.lse,
                          b->loss.entropy);
    for (int i = 0; i < mb->batch.n_targets; i++) {
        const struct sample *s = &b->it.samples[mb->sample[i]];
        s->completion->logprob[mb->index[i]] = b->loss.logprob[i];
        s->completion->lse[mb->index[i]] = b->loss.lse[i];
        s->completion->entropy[mb->index[i]] = b->loss.entropy[i];
    }
}

static void bench_open(struct bench *b, const char *recipe)
{
    *b = (struct bench){0};
    ASSERT_OK(device_open(&b->device, "auto"));
    b->policy = fixture_model(FAMILY_QWEN2, b->device);
    read_recipe(&b->recipe, recipe);
    if (b->recipe.loss.policy.beta != 0) {
        ASSERT_OK(model_clone(&b->reference, b->policy));
        float *w = b->reference->params.data;
        for (size_t i = 0; i < b->reference->params.n; i++) {
            w[i] *= 1 + 0.1f * (float)sin((double)i);
        }
    }
    b->bytes = b->policy->params.n * sizeof(float);
    b->grads = device_alloc(b->device, b->bytes, "gradients");
    memset(b->grads, 0, b->bytes);
    b->policy->params.grads = b->grads;
    make_iteration(&b->it, PROMPTS, G, LONGEST, VOCABULARY);
    loss_init(&b->loss, &(struct loss_options){.recipe = &b->recipe,
                                               .policy = b->policy,
                                               .reference = b->reference,
                                               .max_tokens = 512,
                                               .max_targets = 512,
                                               .max_contexts = 64,
                                               .max_length = 64});
    for (int i = 0; i < b->it.n_samples; i++) {
        b->it.samples[i].advantage = i / G == 1 ? 0 : sin(1.0 + 2.7 * i);
        b->it.samples[i].dropped = i == 5;
    }
    record(b);
    assert_in_range(b->it.minibatches[0].n_unmasked, 8, 11);
}

static void bench_close(struct bench *b)
{
    loss_release(&b->loss);
    device_free(b->device, b->grads);
    if (b->reference) {
        model_close(b->reference);
    }
    model_close(b->policy);
    iteration_release(&b->it);
    recipe_release(&b->recipe);
    assert_int_equal(device_bytes(b->device), 0);
    device_close(b->device);
}

/* As if another policy had drawn them. */
static void move_old(struct bench *b)
{
    for (int i = 0; i < b->it.n_samples; i++) {
        const struct completion *c = b->it.samples[i].completion;
        for (int t = 0; t < c->n_tokens; t++) {
            c->logprob[t] += 0.3f * (float)sin(3.1 * i + 1.3 * t);
        }
    }
}

static struct loss_stats backward(struct bench *b, int budget, bool on_policy)
{
    struct loss_stats stats;
    pack(b, budget, loss_needs_all(&b->recipe));
    memset(b->grads, 0, b->bytes);
    loss_backward(&b->loss, &b->it, &b->it.minibatches[0], on_policy, &stats);
    return stats;
}

/* ---- the number ---- */

/* Log-probabilities of all targets of a whole minibatch under a model. */
static int logprobs_of(struct bench *b, struct model *model, float *logprob, float *entropy)
{
    float lse[512];
    pack(b, 10000, true);
    const struct train_batch *batch = &b->it.minibatches[0].micro_batches[0].batch;
    model_forward(model, batch, b->loss.acts);
    model_target_logprobs(model, batch, b->loss.acts, (float)(1 / TEMPERATURE), logprob, lse, entropy);
    return batch->n_targets;
}

/* The clipped loss with k3, times the ratio where it is so wished, term by term. weights: of a token in a completion of n tokens. */
static double written_out(struct bench *b, double (*weight)(int n, int n_tokens, int n_samples))
{
    static float logprob[512], ref[512], entropy[512];
    int n = logprobs_of(b, b->policy, logprob, entropy);
    if (b->reference) {
        logprobs_of(b, b->reference, ref, NULL);
    }
    const struct micro_batch *mb = &b->it.minibatches[0].micro_batches[0];
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const struct sample *s = &b->it.samples[mb->sample[i]];
        double ratio = exp((double)logprob[i] - (double)s->completion->logprob[mb->index[i]]);
        double held = fmin(fmax(ratio, 0.8), 1.2), k = b->reference ? (double)ref[i] - (double)logprob[i] : 0;
        double times = b->recipe.loss.use_bias_correction_kl ? ratio : 1;
        double kl = b->recipe.loss.policy.beta * (exp(k) - k - 1) * times;
        double loss = kl - fmin(ratio * s->advantage, held * s->advantage);
        sum += loss * weight(s->completion->n_tokens, n, b->it.n_samples);
        sum -= b->recipe.loss.entropy_coef * (double)entropy[i] / n;
    }
    return sum;
}

static double by_token(int n, int n_tokens, int n_samples)
{
    (void)n;
    (void)n_samples;
    return 1.0 / n_tokens;
}

static double by_completion(int n, int n_tokens, int n_samples)
{
    (void)n_tokens;
    return 1.0 / n / n_samples;
}

static double by_sample(int n, int n_tokens, int n_samples)
{
    (void)n;
    (void)n_tokens;
    return 1.0 / n_samples;
}

static double by_longest(int n, int n_tokens, int n_samples)
{
    (void)n;
    (void)n_tokens;
    return 1.0 / LONGEST / n_samples;
}

static void the_loss_is_its_definition(void **state)
{
    (void)state;
    static const struct {
        const char *recipe;
        double (*weight)(int n, int n_tokens, int n_samples);
    } cases[] = {
        {"loss_type: dapo\n", by_token},
        {"loss_type: bnpo\n", by_token}, /* one micro-batch */
        {"loss_type: grpo\n", by_completion},
        {"loss_type: dr_grpo\n", by_longest},
        {"loss_type: dapo\nbeta: 0.3\nentropy_coef: 0.02\n", by_token},
        {"loss_type: grpo\nbeta: 0.3\nkl_estimator: k3\n", by_completion},
        {"loss_type: luspo\n", by_sample},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        bench_open(&b, cases[i].recipe);
        move_old(&b);
        double want = written_out(&b, cases[i].weight);
        struct loss_stats stats = backward(&b, 10000, false);
        ASSERT_NEAR(stats.loss, want, 1e-5);
        assert_true(stats.sums.clipped_low + stats.sums.clipped_high > 0);
        bench_close(&b);
    }
}

/* ---- its slope ---- */

static void step_along(struct bench *b, const float *from, const float *direction, double by)
{
    float *w = b->policy->params.data;
    for (size_t i = 0; i < b->policy->params.n; i++) {
        w[i] = from[i] + (float)(by * (double)direction[i]);
    }
}

/* Along the gradient g, the loss rises by |g|^2 a unit. */
static void the_gradient_is_the_slope(void **state)
{
    (void)state;
    static const char *const recipes[] = {
        "loss_type: dapo\n",
        "loss_type: dr_grpo\nbeta: 0.3\nentropy_coef: 0.05\n",
        "loss_type: gspo\n",
        "loss_type: luspo\nimportance_sampling_level: sequence\nbeta: 0.2\n",
        "loss_type: bnpo\n",
        "loss_type: sapo\nbeta: 0.1\nkl_estimator: k2\n",
        "loss_type: grpo\nbeta: 0.5\nkl_estimator: k3_unbiased\ndelta: 1.4\n",
        "loss_type: reinforce\nentropy_coef: -0.1\n",
    };
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        struct bench b;
        bench_open(&b, recipes[i]);
        move_old(&b);
        backward(&b, 10000, false);
        float *gradient = mem_alloc(b.bytes), *weights = mem_alloc(b.bytes);
        memcpy(gradient, b.grads, b.bytes);
        memcpy(weights, b.policy->params.data, b.bytes);
        double squares = 0;
        for (size_t k = 0; k < b.policy->params.n; k++) {
            squares += (double)gradient[k] * (double)gradient[k];
        }
        double by = 5e-4 / sqrt(squares), up, down;
        step_along(&b, weights, gradient, by);
        up = backward(&b, 10000, false).loss;
        step_along(&b, weights, gradient, -by);
        down = backward(&b, 10000, false).loss;
        double slope = (up - down) / (2 * by);
        if (fabs(slope - squares) > 0.02 * squares) {
            fail_msg("%s: the slope is %g, but the gradient says %g", recipes[i], slope, squares);
        }
        free(gradient);
        free(weights);
        bench_close(&b);
    }
}

/* ---- what must not matter ---- */

static void recorded_numbers_stand_for_computed_ones(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "beta: 0.2\nentropy_coef: 0.01\n");
    struct loss_stats on = backward(&b, 40, true);
    float *gradient = mem_alloc(b.bytes);
    memcpy(gradient, b.grads, b.bytes);
    struct loss_stats off = backward(&b, 40, false);
    assert_memory_equal(gradient, b.grads, b.bytes);
    assert_true(on.loss == off.loss);
    assert_true(on.sums.kl == off.sums.kl && on.sums.kl > 0);
    assert_true(on.bits_compared > 0 && on.bits_different == 0);
    assert_true(off.bits_compared == 0);
    free(gradient);
    bench_close(&b);
}

static void other_bits_are_counted(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "");
    const int32_t *in_loss = b.it.minibatches[0].samples;
    const struct completion *c = b.it.samples[in_loss[0]].completion, *d = b.it.samples[in_loss[1]].completion;
    c->logprob[0] = nextafterf(c->logprob[0], -100.0f);
    d->lse[0] = nextafterf(d->lse[0], 100.0f);
    struct loss_stats stats = backward(&b, 10000, true);
    assert_int_equal(stats.bits_different, 2);
    assert_int_equal(stats.bits_compared, stats.sums.n_tokens);
    bench_close(&b);
}

/* |a - b|^2 / |a|^2 */
static double relative_squares(const float *a, const float *b, size_t n)
{
    double difference = 0, squares = 0;
    for (size_t k = 0; k < n; k++) {
        difference += pow((double)a[k] - (double)b[k], 2);
        squares += (double)a[k] * (double)a[k];
    }
    assert_true(squares > 0);
    return difference / squares;
}

/* The gradient of one packing, and of as many as there can be, up to the order of its sums. */
static void assert_cut_invariant(const char *recipe, bool on_policy)
{
    struct bench b;
    bench_open(&b, recipe);
    if (!on_policy) {
        move_old(&b);
    }
    struct loss_stats whole = backward(&b, 10000, on_policy);
    assert_int_equal(b.it.minibatches[0].n_micro_batches, 1);
    float *gradient = mem_alloc(b.bytes);
    memcpy(gradient, b.grads, b.bytes);
    static const int budgets[] = {5, 9, 12};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        struct loss_stats cut = backward(&b, budgets[i], on_policy);
        assert_true(b.it.minibatches[0].n_micro_batches > 1);
        ASSERT_NEAR(cut.loss, whole.loss, 1e-6);
        ASSERT_NEAR(cut.clip_low + cut.clip_high + 1, whole.clip_low + whole.clip_high + 1, 1e-12);
        assert_int_equal(cut.n_tokens, whole.n_tokens);
        double difference = relative_squares(gradient, b.grads, b.policy->params.n);
        if (!(difference < 1e-11)) {
            fail_msg("%s, budget %d, %s policy: %g", recipe, budgets[i], on_policy ? "on" : "off", sqrt(difference));
        }
    }
    free(gradient);
    bench_close(&b);
}

/* bnpo is the exception: it divides by the tokens of a micro-batch. */
static void the_cut_into_micro_batches_does_not_matter(void **state)
{
    (void)state;
    static const char *const recipes[] = {
        "loss_type: dapo\nentropy_coef: 0.02\n",
        "loss_type: grpo\nbeta: 0.1\n",
        "loss_type: dr_grpo\n",
        "loss_type: cispo\n",
        "loss_type: gspo\n",
        "loss_type: sapo\n",
        "loss_type: luspo\nimportance_sampling_level: sequence\nbeta: 0.1\n",
        "loss_type: vespo\n",
        "loss_type: reinforce\n",
        "loss_type: dapo\nnum_iterations: 2\ntop_entropy_quantile: 0.4\nentropy_coef: 0.02\n",
    };
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        assert_cut_invariant(recipes[i], false);
        assert_cut_invariant(recipes[i], true);
    }
    assert_cut_invariant("loss_type: dapo\ntop_entropy_quantile: 0.4\n", true);
}

/* Half of the tokens, the most uncertain ones, have a policy and an entropy term; those of flat groups are among the tokens. */
static void only_uncertain_tokens_may_count(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "loss_type: reinforce\ntop_entropy_quantile: 0.5\nentropy_coef: 0.1\n");
    backward(&b, 10000, true);
    const struct micro_batch *mb = &b.it.minibatches[0].micro_batches[0];
    int n = mb->batch.n_targets, kept = 0;
    float least_kept = INFINITY, most_left = -INFINITY;
    assert_int_equal(n, b.it.minibatches[0].n_tokens);
    for (int i = 0; i < n; i++) {
        const struct sample *s = &b.it.samples[mb->sample[i]];
        float entropy = s->completion->entropy[mb->index[i]];
        bool has_term = b.loss.d_entropy[i] != 0;
        kept += has_term;
        least_kept = has_term ? fminf(least_kept, entropy) : least_kept;
        most_left = has_term ? most_left : fmaxf(most_left, entropy);
        assert_int_equal(b.loss.d_logprob[i] != 0, has_term && s->advantage != 0);
    }
    assert_in_range(kept, n / 2, n / 2 + 1);
    assert_true(least_kept > most_left);
    for (int i = 0; i < n; i++) {
        assert_true(b.loss.d_entropy[i] == 0 || b.loss.d_entropy[i] == (float)(-0.1 / kept));
    }
    bench_close(&b);
}

/* On policy the quantile is of the recorded entropies, also of samples that are not computed. */
static void what_is_not_computed_is_in_the_quantile(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "top_entropy_quantile: 0.3\n");
    assert_false(loss_needs_all(&b.recipe));
    struct loss_stats some = backward(&b, 10000, true), all;
    float *gradient = mem_alloc(b.bytes);
    memcpy(gradient, b.grads, b.bytes);
    pack(&b, 10000, true);
    memset(b.grads, 0, b.bytes);
    loss_backward(&b.loss, &b.it, &b.it.minibatches[0], true, &all);
    assert_true(all.bits_compared > some.bits_compared);
    assert_true(relative_squares(gradient, b.grads, b.policy->params.n) < 1e-11);
    free(gradient);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_its_definition),
        cmocka_unit_test(the_gradient_is_the_slope),
        cmocka_unit_test(recorded_numbers_stand_for_computed_ones),
        cmocka_unit_test(other_bits_are_counted),
        cmocka_unit_test(the_cut_into_micro_batches_does_not_matter),
        cmocka_unit_test(only_uncertain_tokens_may_count),
        cmocka_unit_test(what_is_not_computed_is_in_the_quantile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
