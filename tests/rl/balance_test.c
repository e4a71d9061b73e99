/* tests/rl/balance_test.c - the balance of experts: the losses' values and gradients, the correction bias, metrics.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/balance.h"

#include "tests/model/fixture.h"

/* What transformers 5.17 computes (tests/golden/make_router_loss.py) for the first sequence of its models. */
static void the_auxiliary_loss_is_that_of_transformers(void **state)
{
    static const struct {
        const char *name;
        double loss;
    } cases[] = {{"qwen3-moe", 2.079316}, {"qwen3-moe-dense", 3.377585}, {"qwen2-moe", 2.053952}};
    for (int i = 0; i < 3; i++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_golden_model(cases[i].name, *state);
        struct golden golden = fixture_golden(cases[i].name, &arena);
        golden.sequences.n = 1;
        struct packed p = fixture_pack(&golden.sequences, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        struct loss_recipe recipe = {.router_aux_loss_coef = 0.001};
        struct balance balance;
        struct metrics metrics = {0};
        balance_init(&balance, &recipe, model, acts, p.batch.T, 1, 1);
        model_forward(model, &p.batch, acts);
        balance_add(&balance, acts, &p.batch, 0, 1);
        balance_metrics(&balance, &metrics);
        double got = metrics_get(&metrics, "aux_loss");
        if (fabs(got - cases[i].loss) > 2e-6 * cases[i].loss) {
            fail_msg("%s: %.8g, not %.8g", cases[i].name, got, cases[i].loss);
        }
        balance_release(&balance);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- gradients ---- */

struct bench {
    struct model *model;
    struct packed p;
    struct activations *acts;
    struct balance balance;
    struct loss_recipe recipe;
    struct arena arena;
};

static void bench_open(struct bench *b, enum fixture_family family, double aux, double seq, struct device *device)
{
    static const int lengths[] = {23, 9, 14};
    *b = (struct bench){.recipe = {.router_aux_loss_coef = aux, .router_seq_loss_coef = seq}};
    b->model = fixture_model_of(3, family, device);
    struct sequences *s = ARENA_NEW(&b->arena, struct sequences, 1);
    for (int i = 0; i < 3; i++) {
        fixture_add(s, &b->arena, lengths[i], i == 1 ? 0 : -1, i == 1 ? 23 : 0);
    }
    b->p = fixture_pack(s, &b->arena);
    memset(b->p.a, 0, (size_t)b->p.batch.n_targets * sizeof *b->p.a); /* no other loss */
    b->acts = fixture_activations(b->model, &b->p.batch);
    balance_init(&b->balance, &b->recipe, b->model, b->acts, b->p.batch.T, 3, 1);
    model_forward(b->model, &b->p.batch, b->acts);
    uint8_t *experts = ARENA_NEW(&b->arena, uint8_t, b->p.batch.T * model_expert_bytes(&b->model->config));
    model_packed_experts(b->model, b->acts, experts);
    b->p.batch.experts = experts; /* f stays as it is while weights move */
}

static void bench_close(struct bench *b)
{
    balance_release(&b->balance);
    activations_free(b->acts, b->model);
    model_close(b->model);
    arena_release(&b->arena);
}

static float *gradients(struct bench *b)
{
    size_t n = (size_t)b->p.batch.n_targets, bytes = b->model->params.n * sizeof(float);
    float *logprob = ARENA_NEW(&b->arena, float, n), *lse = ARENA_NEW(&b->arena, float, n);
    float *host = ARENA_NEW(&b->arena, float, b->model->params.n);
    b->model->params.grads = device_alloc(b->model->device, bytes, "gradients");
    model_forward(b->model, &b->p.batch, b->acts);
    model_target_logprobs(b->model, &b->p.batch, b->acts, 1, logprob, lse, NULL);
    balance_clear(&b->balance);
    balance_add(&b->balance, b->acts, &b->p.batch, 0, 1);
    model_backward(b->model, &b->p.batch, b->acts, 1, lse, NULL, b->p.a, NULL);
    device_read(b->model->device, host, b->model->params.grads, bytes);
    device_free(b->model->device, b->model->params.grads);
    b->model->params.grads = NULL;
    return host;
}

static void shares_of(const struct router *r, const float *logits, double *shares)
{
    double sum = 0;
    for (int e = 0; e < r->E; e++) {
        shares[e] = r->sigmoid ? 1 / (1 + exp(-(double)logits[e])) : exp((double)logits[e]);
        sum += shares[e];
    }
    for (int e = 0; e < r->E; e++) {
        shares[e] /= sum;
    }
}

/* E sum f P over the given rows of layers, with f times `scale`. */
static double plain_term(const struct router *r, const double *counts, const double *sums, double rows, double scale)
{
    double loss = 0;
    for (int e = 0; e < r->E; e++) {
        loss += r->E * (counts[e] / rows) * scale * (sums[e] / rows);
    }
    return loss;
}

/* Both losses, written out. */
static double plain_loss(struct bench *b)
{
    const struct router *r = &b->model->config.moe.router;
    int T = b->p.batch.T;
    double all_counts[8] = {0}, all_sums[8] = {0}, loss = 0, shares[8];
    int32_t *experts = mem_alloc((size_t)(T * r->k) * sizeof *experts);
    float *logits = mem_alloc((size_t)(T * r->E) * sizeof *logits);
    model_forward(b->model, &b->p.batch, b->acts);
    for (int layer = 0; layer < 3; layer += 2) {
        model_packed_routes(b->model, b->acts, layer, experts, logits);
        for (int c = 0; c < 3; c++) {
            const struct context *context = &b->p.batch.contexts[c];
            double counts[8] = {0}, sums[8] = {0};
            for (int t = context->row; t < context->row + context->n_rows; t++) {
                shares_of(r, logits + t * r->E, shares);
                for (int e = 0; e < r->E; e++) {
                    sums[e] += shares[e];
                    all_sums[e] += shares[e];
                }
                for (int j = 0; j < r->k; j++) {
                    counts[experts[t * r->k + j]]++;
                    all_counts[experts[t * r->k + j]]++;
                }
            }
            loss += b->recipe.router_seq_loss_coef / 3 * plain_term(r, counts, sums, context->n_rows, 1.0 / r->k);
        }
    }
    free(experts);
    free(logits);
    return loss + b->recipe.router_aux_loss_coef * plain_term(r, all_counts, all_sums, 2 * T, 1);
}

/* Along its gradient the loss must rise at the rate of the gradient's norm. */
static void check_slope(struct bench *b, const struct part *w, const float *grads)
{
    double squares = 0, step = 1e-2, side[2];
    float *data = (float *)b->model->params.data + w->offset, *saved = mem_alloc(w->n * sizeof *saved);
    memcpy(saved, data, w->n * sizeof *saved);
    for (size_t k = 0; k < w->n; k++) {
        squares += (double)grads[w->offset + k] * (double)grads[w->offset + k];
    }
    for (int sign = 0; sign < 2 && squares > 0; sign++) {
        for (size_t k = 0; k < w->n; k++) {
            double along = (double)grads[w->offset + k] / sqrt(squares);
            data[k] = saved[k] + (float)((sign ? -step : step) * along);
        }
        side[sign] = plain_loss(b);
        memcpy(data, saved, w->n * sizeof *saved);
    }
    free(saved);
    double slope = squares > 0 ? (side[0] - side[1]) / (2 * step) : 0;
    if (fabs(slope - sqrt(squares)) > 2e-2 * sqrt(squares) + 1e-4) {
        fail_msg("%s: %s: slope %.6g, gradient %.6g", b->model->config.family->name, w->name, slope, sqrt(squares));
    }
}

static void the_losses_rise_along_their_gradients(void **state)
{
    static const enum fixture_family families[] = {FAMILY_QWEN3_MOE, FAMILY_QWEN2_MOE, FAMILY_DEEPSEEK_MOE};
    for (int i = 0; i < 9; i++) {
        struct bench b;
        bench_open(&b, families[i % 3], i / 3 == 1 ? 0 : 0.7, i / 3 == 0 ? 0 : 0.9, *state);
        float *grads = gradients(&b);
        double size = 0;
        for (int k = 0; k < b.model->params.n_parts; k++) {
            struct part part = part_of(b.model, k);
            check_slope(&b, &part, grads);
            size += strstr(part.name, "mlp.gate.weight") ? fabs((double)grads[part.offset]) : 0;
        }
        assert_true(size > 0);
        bench_close(&b);
    }
}

/* ---- the bias, metrics ---- */

static void the_bias_follows_the_loads(void **state)
{
    struct bench b;
    struct metrics metrics = {0};
    bench_open(&b, FAMILY_DEEPSEEK_MOE, 0, 0, *state);
    const struct router *r = &b.model->config.moe.router;
    struct part bias = part_named(b.model, "model.layers.2.mlp.gate.e_score_correction_bias");
    float *data = (float *)b.model->params.data + bias.offset, before[8];
    int32_t experts[64 * 3];
    double counts[8] = {0}, most = 0;
    int unused = 0;
    memcpy(before, data, sizeof before);
    model_packed_routes(b.model, b.acts, 2, experts, NULL);
    for (int i = 0; i < b.p.batch.T * r->k; i++) {
        counts[experts[i]]++;
    }
    b.recipe.router_bias_update_rate = 0.125;
    balance_add(&b.balance, b.acts, &b.p.batch, 0, 1);
    balance_update_bias(&b.balance);
    for (int e = 0; e < r->E; e++) {
        double mean = (double)b.p.batch.T * r->k / r->E;
        double want = (double)before[e] + (counts[e] < mean ? 0.125 : counts[e] > mean ? -0.125 : 0);
        assert_true(fabs((double)data[e] - want) < 1e-6);
        most = fmax(most, counts[e] / mean);
        unused += !(counts[e] > 0);
    }
    balance_metrics(&b.balance, &metrics);
    assert_true(fabs(metrics_get(&metrics, "router/load_max/2") - most) < 1e-9);
    assert_int_equal((int)metrics_get(&metrics, "router/unused/2"), unused);
    assert_true(metrics_get(&metrics, "router/entropy/0") > 0 && metrics_get(&metrics, "router/entropy/0") <= log(8));
    assert_true(isnan(metrics_get(&metrics, "router/entropy/1"))); /* a dense layer */
    bench_close(&b);
}

static void keys_without_experts_are_refused(void **state)
{
    (void)state;
    struct model_config dense = fixture_config(FAMILY_QWEN3), qwen = fixture_config(FAMILY_QWEN3_MOE);
    struct loss_recipe off = {0}, aux = {.router_aux_loss_coef = 0.1}, rate = {.router_bias_update_rate = 0.1};
    assert_int_equal(balance_check(&off, &dense), ERR_NONE);
    assert_int_equal(balance_check(&aux, &qwen), ERR_NONE);
    assert_int_equal(balance_check(&aux, &dense), ERR_USAGE);
    assert_non_null(strstr(err_text(), "router_aux_loss_coef is set, but the model has no experts"));
    assert_int_equal(balance_check(&rate, &qwen), ERR_USAGE);
    assert_non_null(strstr(err_text(), "no correction bias"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_auxiliary_loss_is_that_of_transformers, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_losses_rise_along_their_gradients, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_bias_follows_the_loads, fixture_open, fixture_close),
        cmocka_unit_test(keys_without_experts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
