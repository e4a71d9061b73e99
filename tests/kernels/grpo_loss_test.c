/* tests/kernels/grpo_loss_test.c - the policy-gradient losses against TRL's own numbers (tests/golden/make_losses.py), against
 * the formulas written out, and their gradients by finite differences.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/grpo_loss.h"

#include "base/json.h"
#include "tests/kernels/fixture.h"

enum { MOST_TOKENS = 16 };

/* ---- TRL ---- */

static json_t *field(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value) {
        fail_msg("no '%s'", key);
    }
    return value;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = field(object, key);
    return json_is_number(value) ? json_number_value(value) : 0; /* null: off */
}

static int numbers(const json_t *list, float *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        out[i] = (float)json_number_value(json_array_get(list, i));
    }
    return (int)json_array_size(list);
}

static struct grpo_loss_options options_of(const json_t *settings)
{
    const char *type = json_string_value(field(settings, "loss_type"));
    struct grpo_loss_options o = {
        .surrogate = strcmp(type, "cispo") == 0  ? SURROGATE_CISPO
                     : strcmp(type, "sapo") == 0 ? SURROGATE_SAPO
                                                 : SURROGATE_CLIP,
        .sequence_level = strcmp(json_string_value(field(settings, "importance_sampling_level")), "sequence") == 0,
        .epsilon = number(settings, "epsilon"),
        .epsilon_high = number(settings, "epsilon_high"),
        .delta = number(settings, "delta"),
        .sapo_temperature_pos = number(settings, "sapo_temperature_pos"),
        .sapo_temperature_neg = number(settings, "sapo_temperature_neg"),
        .beta = number(settings, "beta"),
        .kl_estimator = json_is_true(field(settings, "use_bias_correction_kl")) ? KL_K3_UNBIASED : KL_K3,
        .off_policy_mask_threshold = number(settings, "off_policy_mask_threshold"),
    };
    return o;
}

/* The aggregation of each loss type, as a weight of a row's tokens. */
static double weight_of(const json_t *settings, int n, int n_rows, int n_all)
{
    const char *type = json_string_value(field(settings, "loss_type"));
    if (strcmp(type, "grpo") == 0 || strcmp(type, "sapo") == 0) {
        return 1.0 / n / n_rows;
    }
    return strcmp(type, "dr_grpo") == 0 ? 1.0 / n_rows / number(settings, "max_completion_length") : 1.0 / n_all;
}

/* The clip metrics of the losses that have them; TRL counts sequences at the sequence level, not their tokens. */
static void check_clips(const struct grpo_loss_sums *all, const json_t *c, int n_all, bool sequence_level, size_t index)
{
    if (sequence_level) {
        return;
    }
    if (json_is_number(field(c, "clip_low"))) {
        assert_near((double)all->clipped_low / n_all, number(c, "clip_low"), 1e-6, "clip_low of case", index);
    }
    if (json_is_number(field(c, "clip_high"))) {
        assert_near((double)all->clipped_high / n_all, number(c, "clip_high"), 1e-6, "clip_high of case", index);
    }
}

static void check_case(const json_t *golden, const json_t *c, int index)
{
    const json_t *settings = field(c, "settings"), *advantages = field(golden, "advantages");
    struct grpo_loss_options o = options_of(settings);
    int n_rows = (int)json_array_size(advantages), n_all = 0;
    for (int r = 0; r < n_rows; r++) {
        n_all += (int)json_array_size(json_array_get(field(golden, "logprob"), (size_t)r));
    }
    struct grpo_loss_sums all = {0};
    for (size_t r = 0; r < (size_t)n_rows; r++) {
        float logprob[MOST_TOKENS], old[MOST_TOKENS], ref[MOST_TOKENS], want[MOST_TOKENS], got[MOST_TOKENS];
        bool mask[MOST_TOKENS];
        int n = numbers(json_array_get(field(golden, "logprob"), r), logprob);
        assert_true(n > 0 && n <= MOST_TOKENS);
        numbers(json_array_get(field(golden, "old"), r), old);
        numbers(json_array_get(field(golden, "ref"), r), ref);
        numbers(json_array_get(field(c, "gradient"), r), want);
        for (int t = 0; t < n; t++) {
            mask[t] = json_is_true(json_array_get(json_array_get(field(c, "kept"), r), (size_t)t));
        }
        struct grpo_loss_input in = {n,
                                     json_number_value(json_array_get(advantages, r)),
                                     logprob,
                                     old,
                                     o.beta != 0 ? ref : NULL,
                                     mask,
                                     weight_of(settings, n, n_rows, n_all)};
        struct grpo_loss_sums sums = grpo_loss(&o, &in, got);
        for (int t = 0; t < n; t++) {
            char what[64];
            snprintf(what, sizeof what, "case %d, row %zu, gradient", index, r);
            assert_near((double)got[t], (double)want[t], 1e-7, what, (size_t)t);
        }
        all.loss += sums.loss;
        all.kl += sums.kl;
        all.clipped_low += sums.clipped_low;
        all.clipped_high += sums.clipped_high;
    }
    assert_near(all.loss, number(c, "loss"), 1e-9, "loss of case", (size_t)index);
    assert_near(all.kl / n_all, number(c, "kl"), 1e-7, "kl of case", (size_t)index);
    check_clips(&all, c, n_all, o.sequence_level, (size_t)index);
}

static void losses_are_those_of_trl(void **state)
{
    (void)state;
    json_t *golden = NULL;
    if (json_parse_file(&golden, "tests/golden/losses.json", 1 << 20) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    const json_t *cases = field(golden, "cases");
    assert_true(json_array_size(cases) >= 34);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        check_case(golden, json_array_get(cases, i), (int)i);
    }
    json_decref(golden);
}

/* ---- the formulas of the header ---- */

/* One completion's loss with every derivative's variable apart: `held` are the log-probabilities behind a stop-gradient. */
static double written_out(const struct grpo_loss_options *o, const struct grpo_loss_input *in, const double *logprob,
                          const double *held)
{
    double mean = 0, mean_held = 0, sum = 0;
    double k = in->advantage >= 0 ? o->vespo_k_pos : o->vespo_k_neg;
    double lambda = in->advantage >= 0 ? o->vespo_lambda_pos : o->vespo_lambda_neg;
    for (int t = 0; t < in->n_tokens; t++) {
        mean += (logprob[t] - (double)in->old[t]) / in->n_tokens;
        mean_held += (held[t] - (double)in->old[t]) / in->n_tokens;
    }
    double log_w = in->n_tokens * mean_held, phi = exp(lambda + k * log_w - lambda * exp(log_w));
    for (int t = 0; t < in->n_tokens; t++) {
        double A = in->advantage, w = exp(o->sequence_level ? mean : logprob[t] - (double)in->old[t]), loss = 0;
        double w_held = exp(o->sequence_level ? mean_held : held[t] - (double)in->old[t]);
        double tau = A > 0 ? o->sapo_temperature_pos : o->sapo_temperature_neg;
        if (o->surrogate == SURROGATE_CLIP) {
            double bounded = o->delta > 0 ? fmin(w, o->delta) : w;
            loss = -fmin(bounded * A, fmax(1 - o->epsilon, fmin(w, 1 + o->epsilon_high)) * A);
        } else if (o->surrogate == SURROGATE_CISPO) {
            loss = -fmin(w_held, o->epsilon_high) * A * logprob[t];
        } else if (o->surrogate == SURROGATE_SAPO) {
            loss = -4 / tau / (1 + exp(-tau * (w - 1))) * A;
        } else if (o->surrogate == SURROGATE_VESPO) {
            loss = -phi * A * logprob[t];
        } else {
            loss = -A * logprob[t];
        }
        bool dropped = o->off_policy_mask_threshold > 0 && A < 0 && -mean_held > o->off_policy_mask_threshold;
        loss = dropped || (in->mask && !in->mask[t]) ? 0 : loss;
        if (o->beta != 0) {
            double k1 = logprob[t] - (double)in->ref[t], k3 = exp(-k1) + k1 - 1;
            double kl[] = {k1, k1 * k1 / 2, k3, w * k3};
            loss += o->beta * kl[o->kl_estimator];
        }
        sum += in->weight * loss;
    }
    return sum;
}

static void check_formula(const struct grpo_loss_options *o, const struct grpo_loss_input *in)
{
    double logprob[MOST_TOKENS], held[MOST_TOKENS];
    float gradient[MOST_TOKENS];
    for (int t = 0; t < in->n_tokens; t++) {
        logprob[t] = held[t] = (double)in->logprob[t];
    }
    struct grpo_loss_sums sums = grpo_loss(o, in, gradient);
    assert_near(sums.loss, written_out(o, in, logprob, held), 1e-12, "loss", 0);
    for (int t = 0; t < in->n_tokens; t++) {
        const double step = 1e-6;
        logprob[t] += step;
        double high = written_out(o, in, logprob, held);
        logprob[t] -= 2 * step;
        double low = written_out(o, in, logprob, held);
        logprob[t] += step;
        char what[96];
        snprintf(what, sizeof what, "surrogate %d, sequence %d, kl %d, delta %g, off-policy %g, A %g", o->surrogate,
                 o->sequence_level, o->kl_estimator, o->delta, o->off_policy_mask_threshold, in->advantage);
        assert_near((double)gradient[t], (high - low) / (2 * step), 2e-7, what, (size_t)t);
    }
}

static const struct grpo_loss_options usual = {.epsilon = 0.2,
                                               .epsilon_high = 0.28,
                                               .sapo_temperature_pos = 1,
                                               .sapo_temperature_neg = 1.05,
                                               .vespo_k_pos = 2,
                                               .vespo_lambda_pos = 3,
                                               .vespo_k_neg = 3,
                                               .vespo_lambda_neg = 2};

/* All surrogates, levels, estimators, bounds and masks, for advantages of either sign, with ratios from 0.4 to 2.5. */
static void losses_and_gradients_are_the_formulas(void **state)
{
    (void)state;
    static const double advantages[] = {1.3, -0.7, 0};
    static const bool mask[] = {true, false, true, true, false, true, true, true, false, true, true};
    enum { N = 11, CASES = 5 * 2 * 4 * 2 * 2 * 2 * 3 * 2 };
    float *old = random_floats(N, 0.5f, 1), *ref = random_floats(N, 0.5f, 2), *logprob = random_floats(N, 0.5f, 3);
    for (int t = 0; t < N; t++) {
        logprob[t] -= 2;
        ref[t] += logprob[t];
        old[t] += logprob[t] + 0.05f;
    }
    for (int i = 0; i < CASES; i++) {
        int x = i;
        struct grpo_loss_options o = usual;
        o.surrogate = (enum surrogate)(x % 5);
        x /= 5;
        o.kl_estimator = (enum kl_estimator)(x % 4);
        x /= 4;
        o.sequence_level = x & 1;
        o.delta = x & 2 ? 1.4 : 0;
        o.off_policy_mask_threshold = x & 4 ? 0.01 : 0;
        o.beta = x & 8 ? 0.1 : 0;
        x /= 16;
        o.epsilon_high = o.surrogate == SURROGATE_CISPO ? 1.1 : 0.28;
        struct grpo_loss_input in = {
            N, advantages[x % 3], logprob, old, o.beta != 0 ? ref : NULL, x / 3 ? mask : NULL, 0.37};
        check_formula(&o, &in);
    }
    free(old);
    free(ref);
    free(logprob);
}

/* On policy the ratio is 1 to the last bit, nothing is clipped, and all surrogates have the gradient of REINFORCE. */
static void on_policy_all_are_reinforce(void **state)
{
    (void)state;
    const float logprob[] = {-0.5f, -3.25f, -1e-3f};
    for (int s = 0; s < 5; s++) {
        struct grpo_loss_options o = usual;
        o.surrogate = (enum surrogate)s;
        o.epsilon_high = o.surrogate == SURROGATE_CISPO ? 5 : 0.2;
        struct grpo_loss_input in = {3, -1.5, logprob, logprob, NULL, NULL, 0.5};
        float gradient[3];
        struct grpo_loss_sums sums = grpo_loss(&o, &in, gradient);
        for (size_t t = 0; t < 3; t++) {
            assert_near((double)gradient[t], 0.75, 1e-7, "gradient", t);
        }
        assert_true(sums.ratio == 3 && sums.ratio_min == 1 && sums.ratio_max == 1);
        assert_int_equal(sums.clipped_low + sums.clipped_high, 0);
        assert_int_equal(sums.n_tokens, 3);
    }
}

/* VESPO's weight of a completion whose ratio is out of bounds, or whose exponent is, is 0 and not infinite. */
static void vespo_weighs_nothing_that_is_far_away(void **state)
{
    (void)state;
    const float logprob[] = {-0.5f, -0.25f}, old[][2] = {{-99, -0.25f}, {-0.5f, -99}, {90, 90}, {-40, 40}};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        struct grpo_loss_options o = usual;
        o.surrogate = SURROGATE_VESPO;
        struct grpo_loss_input in = {2, 1, logprob, old[i], NULL, NULL, 1};
        float gradient[2];
        grpo_loss(&o, &in, gradient);
        double log_w = i < 2 ? 20 : i == 2 ? log(1e-8) : 0; /* each token within +-20, then the sum */
        double phi = exp(3 + 2 * log_w - 3 * exp(log_w));
        assert_near((double)gradient[0], -phi, 1e-7 * phi + 1e-30, "phi", i);
        assert_true(isfinite(gradient[0]) && gradient[0] == gradient[1]);
    }
}

/* A reference without beta: the KL is measured, and the gradient does not know it. */
static void a_reference_without_beta_is_only_measured(void **state)
{
    (void)state;
    const float logprob[] = {-1, -2}, ref[] = {-1.5f, -1};
    struct grpo_loss_options o = {.epsilon = 0.2, .epsilon_high = 0.2, .kl_estimator = KL_K3};
    struct grpo_loss_input in = {2, 0, logprob, logprob, ref, NULL, 1};
    float gradient[2];
    struct grpo_loss_sums sums = grpo_loss(&o, &in, gradient);
    assert_near(sums.kl, exp(-0.5) + 0.5 - 1 + exp(1) - 1 - 1, 1e-12, "kl", 0);
    assert_true(gradient[0] == 0 && gradient[1] == 0 && sums.loss == 0);
    in.n_tokens = 0;
    sums = grpo_loss(&o, &in, gradient);
    assert_true(sums.loss == 0 && sums.n_tokens == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_trl),
        cmocka_unit_test(losses_and_gradients_are_the_formulas),
        cmocka_unit_test(vespo_weighs_nothing_that_is_far_away),
        cmocka_unit_test(on_policy_all_are_reinforce),
        cmocka_unit_test(a_reference_without_beta_is_only_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
