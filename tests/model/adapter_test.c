/* tests/model/adapter_test.c - LoRA: PEFT's numbers and gradients, finite differences, the same bits in rollout and training, and
 * nothing at all while B is 0.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"

#include "tests/model/fixture.h"

static const char *const adapters[][2] = {
    {"qwen2-all", "qwen2"}, {"qwen3-some", "qwen3"}, {"llama-rslora", "llama-tied"}};
#define ADAPTERS 3

static unsigned targets(const char *const *names)
{
    unsigned bits = 0;
    for (; *names; names++) {
        bits |= lora_target(*names);
    }
    return bits;
}

/* A model with an adapter, drawn anew if `filled`, B too. */
static struct model *adapted(enum fixture_family family, int r, const char *const *names, bool filled,
                             struct device *device)
{
    struct model *model = NULL;
    struct model_config config = fixture_config(family);
    config.lora = (struct lora){.r = r, .alpha = 3, .targets = targets(names)};
    FIXTURE_ASSERT(model_new(&model, &config, NULL, device, 0, 7));
    for (int i = 0; i < model->params.n_parts; i++) {
        struct part part = part_of(model, i);
        float *rows = mem_alloc(part.n * sizeof *rows);
        struct rng rng = rng_stream(99, (uint64_t)i);
        for (size_t k = 0; k < part.n; k++) {
            rows[k] = (float)(1.3 / sqrt((double)part.width)) * rng_normal(&rng) * (part.cols ? 1 : 0.2f) +
                      (part.is_norm ? 1.0f : 0.0f);
        }
        part_import(model, &part, rows);
        free(rows);
    }
    const struct params *set = &model->adapter->params;
    for (int i = 0; filled && i < set->n_parts; i++) {
        const struct param_part *part = &set->parts[i];
        const struct param *p = &set->table[part->param];
        bool is_a = part->param % 2 == 0;
        struct rng rng = rng_stream(98, (uint64_t)i);
        float *rows = mem_zero((size_t)part->rows * (size_t)p->cols * sizeof *rows);
        for (int row = 0; row < (is_a ? r : part->rows); row++) {
            for (int k = 0; k < (is_a ? p->cols : r); k++) {
                rows[(size_t)row * (size_t)p->cols + (size_t)k] = 0.3f * rng_normal(&rng);
            }
        }
        params_import(set, device, p, rows, part->row, part->rows);
        free(rows);
    }
    return model;
}

static const char *const all[] = {"all-linear", NULL}, *const some[] = {"q_proj", "v_proj", "self_attn.o_proj",
                                                                        "up_proj", NULL};

/* Gradients of sum(a logprob + b entropy) in the layout of the adapter; the caller frees. */
static float *gradients(struct model *model, const struct packed *p, struct activations *acts, float inv_temperature,
                        float *logprob)
{
    struct params *set = model_trained(model);
    size_t n = (size_t)p->batch.n_targets, bytes = set->n_trained * sizeof(float);
    float *lse = mem_alloc(n * sizeof(float)), *entropy = mem_alloc(n * sizeof(float)), *host = mem_alloc(bytes);
    set->grads = device_alloc(model->device, bytes, "gradients");
    model_forward(model, &p->batch, acts);
    model_target_logprobs(model, &p->batch, acts, inv_temperature, logprob, lse, entropy);
    model_backward(model, &p->batch, acts, inv_temperature, lse, entropy, p->a, p->b);
    device_read(model->device, host, set->grads, bytes);
    device_free(model->device, set->grads);
    set->grads = NULL;
    free(lse);
    free(entropy);
    return host;
}

/* ---- PEFT ---- */

/* Entry `index` of a tensor as the file has it. */
static float entry(const struct model *model, const struct param_part *part, const float *array, int index)
{
    const struct params *set = &model->adapter->params;
    const struct param *p = &set->table[part->param];
    int cols = part->param % 2 == 0 ? p->cols : model->adapter->lora.r;
    float *row = mem_alloc((size_t)p->cols * sizeof *row), value;
    model->device->ops->wide_export(row, array + p->offset, part->row + index / cols, 1, p->rows, p->cols);
    value = row[index % cols];
    free(row);
    return value;
}

static void check_grad(const struct model *model, const struct golden_grad *want, const float *grads)
{
    const struct param_part *part = params_find(&model->adapter->params, want->name);
    assert_non_null(part);
    double typical = (double)want->norm / sqrt((double)want->rows * want->cols);
    for (int i = 0; i < want->n; i++) {
        double got = (double)entry(model, part, grads, want->index[i]), value = (double)want->value[i];
        if (fabs(got - value) > 1e-4 * fmax(typical, fabs(value))) {
            fail_msg("%s[%d]: %.8g, want %.8g", want->name, want->index[i], got, value);
        }
    }
}

static void numbers_and_gradients_are_those_of_peft(void **state)
{
    struct device *device = *state;
    for (int i = 0; i < ADAPTERS; i++) {
        struct arena arena = ARENA_INIT;
        char path[128], golden_name[64];
        struct model *model = NULL;
        snprintf(path, sizeof path, "tests/golden/adapters/%s", adapters[i][0]);
        snprintf(golden_name, sizeof golden_name, "../adapters/%s", adapters[i][0]);
        FIXTURE_ASSERT(model_open(&model, path, device, 0));
        struct golden golden = fixture_golden(golden_name, &arena);
        struct packed p = fixture_pack(&golden.sequences, &arena);
        struct activations *acts = fixture_activations(model, &p.batch);
        float *logprob = mem_alloc((size_t)p.batch.n_targets * sizeof *logprob);
        float *grads = gradients(model, &p, acts, golden.inv_temperature, logprob);
        for (int s = 0, t = 0; s < golden.sequences.n; s++) {
            const struct sequence *q = &golden.sequences.of[s];
            for (int k = 0; k < q->n_tokens - q->first_target; k++, t++) {
                assert_true(fabs((double)logprob[t] - (double)q->logprob[k]) < 1e-4);
            }
        }
        assert_int_equal(golden.n_grads, model->adapter->params.n_parts);
        for (int g = 0; g < golden.n_grads; g++) {
            check_grad(model, &golden.grads[g], grads);
        }
        free(logprob);
        free(grads);
        activations_free(acts, model);
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- finite differences ---- */

static struct packed small_batch(struct arena *arena)
{
    struct sequences *s = ARENA_NEW(arena, struct sequences, 1);
    fixture_add(s, arena, 6, -1, 0);
    fixture_add(s, arena, 9, 0, 6);
    fixture_add(s, arena, 5, 0, 4);
    fixture_add(s, arena, 12, -1, 0);
    return fixture_pack(s, arena);
}

static double loss(struct model *model, const struct packed *p, struct activations *acts)
{
    size_t bytes = (size_t)p->batch.n_targets * sizeof(float);
    float *logprob = mem_alloc(bytes), *lse = mem_alloc(bytes), *entropy = mem_alloc(bytes);
    model_forward(model, &p->batch, acts);
    model_target_logprobs(model, &p->batch, acts, 1, logprob, lse, entropy);
    double sum = 0;
    for (int i = 0; i < p->batch.n_targets; i++) {
        sum += (double)p->a[i] * (double)logprob[i] + (double)p->b[i] * (double)entropy[i];
    }
    free(logprob);
    free(lse);
    free(entropy);
    return sum;
}

/* Along the gradient of A, and of B, the loss must rise at the rate of the gradient's norm; zeros that fill up r stay zeros. */
static void check_slopes(struct model *model, const struct packed *p, struct activations *acts, const float *grads)
{
    const struct params *set = &model->adapter->params;
    float *data = set->data, *saved = mem_alloc(set->n * sizeof *saved);
    memcpy(saved, data, set->n * sizeof *saved);
    for (int i = 0; i < set->n_params; i++) {
        const struct param *w = &set->table[i];
        double squares = 0, step = 2e-3, side[2];
        for (size_t k = w->offset; k < w->offset + w->n; k++) {
            squares += (double)grads[k] * (double)grads[k];
        }
        for (int sign = 0; sign < 2; sign++) {
            for (size_t k = w->offset; k < w->offset + w->n; k++) {
                data[k] = saved[k] + (float)((sign ? -step : step) * (double)grads[k] / sqrt(squares));
                assert_true(saved[k] != 0 || grads[k] == 0);
            }
            side[sign] = loss(model, p, acts);
        }
        memcpy(data, saved, set->n * sizeof *saved);
        double slope = (side[0] - side[1]) / (2 * step);
        if (fabs(slope - sqrt(squares)) > 1e-2 * sqrt(squares)) {
            fail_msg("%s: slope %.6g, gradient %.6g", set->parts[w->first_part].name, slope, sqrt(squares));
        }
    }
    free(saved);
}

static void the_loss_rises_along_each_gradient(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family <= FAMILY_LLAMA; family++) {
        for (int k = 0; k < 2; k++) {
            struct arena arena = ARENA_INIT;
            struct model *model = adapted((enum fixture_family)family, k ? 5 : 16, k ? some : all, true, device);
            struct packed p = small_batch(&arena);
            for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
                struct activations *acts =
                    activations_new(model, p.batch.T, p.batch.n_targets, p.batch.n_contexts, 512, checkpointing);
                float *logprob = mem_alloc((size_t)p.batch.n_targets * sizeof *logprob);
                float *grads = gradients(model, &p, acts, 1, logprob);
                check_slopes(model, &p, acts, grads);
                free(grads);
                free(logprob);
                activations_free(acts, model);
            }
            model_close(model);
            arena_release(&arena);
        }
    }
}

/* ---- bits ---- */

static float *training_hidden(struct model *model, const struct packed *p, struct arena *arena)
{
    size_t n = (size_t)p->batch.T * (size_t)model->config.d;
    struct activations *acts = fixture_activations(model, &p->batch);
    float *hidden = ARENA_NEW(arena, float, n);
    model_forward(model, &p->batch, acts);
    device_read(model->device, hidden, acts->hidden, n * sizeof *hidden);
    activations_free(acts, model);
    return hidden;
}

static void training_has_the_bits_of_rollout(void **state)
{
    struct device *device = *state;
    static const struct plan plans[] = {{"chunks", 0, 60, true}, {"token by token", 1, 1, true}};
    for (int family = FAMILY_QWEN2; family <= FAMILY_LLAMA; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model =
            adapted((enum fixture_family)family, 5, family == FAMILY_QWEN3 ? some : all, true, device);
        struct sequences *s = fixture_sequences(&arena);
        struct packed p = fixture_pack(s, &arena);
        size_t d = (size_t)model->config.d;
        float *training = training_hidden(model, &p, &arena);
        for (int i = 0; i < 2; i++) {
            const float *rollout = fixture_hidden(model, s, &plans[i], &arena);
            for (int q = 0; q < s->n; q++) {
                const struct context *c = &p.batch.contexts[q];
                for (int k = 0; k < s->of[q].n_tokens; k++, rollout += d) {
                    int row = k < c->n_prefix ? c->prefix_row + k : c->row + k - c->n_prefix;
                    assert_memory_equal(training + (size_t)row * d, rollout, d * sizeof *rollout);
                }
            }
        }
        model_close(model);
        arena_release(&arena);
    }
}

/* More rows than are multiplied at once. */
static void a_row_has_its_bits_in_any_batch(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = adapted(FAMILY_QWEN2, 4, all, true, device);
    struct sequences *s = ARENA_NEW(&arena, struct sequences, 1);
    for (int i = 0; i < 10; i++) {
        fixture_add(s, &arena, 450, -1, 0);
    }
    struct packed all_rows = fixture_pack(s, &arena);
    assert_true(all_rows.batch.T > ADAPTER_ROWS);
    float *together = training_hidden(model, &all_rows, &arena);
    s->of[0] = s->of[9];
    s->n = 1;
    struct packed last = fixture_pack(s, &arena);
    float *alone = training_hidden(model, &last, &arena);
    size_t n = 450 * (size_t)model->config.d;
    assert_memory_equal(together + 9 * n, alone, n * sizeof *alone);
    model_close(model);
    arena_release(&arena);
}

/* While B is 0, and with the adapter off, it is the base. */
static void a_new_adapter_changes_nothing(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family <= FAMILY_LLAMA; family++) {
        struct arena arena = ARENA_INIT;
        struct model *fresh = adapted((enum fixture_family)family, 4, all, false, device);
        struct model *filled = adapted((enum fixture_family)family, 4, some, true, device);
        size_t before = device_bytes(device);
        struct model *off = model_without_adapter(filled);
        assert_int_equal(device_bytes(device), before);
        struct packed p = small_batch(&arena);
        size_t n = (size_t)p.batch.T * (size_t)fresh->config.d;
        float *base = training_hidden(off, &p, &arena), *with_fresh = training_hidden(fresh, &p, &arena);
        for (size_t i = 0; i < n; i++) {
            assert_true(base[i] == with_fresh[i]);
        }
        assert_memory_not_equal(base, training_hidden(filled, &p, &arena), n * sizeof *base);
        model_close(off);
        model_close(filled);
        model_close(fresh);
        arena_release(&arena);
    }
}

static void merged_weights_are_the_same_model(void **state)
{
    struct device *device = *state;
    for (int family = FAMILY_QWEN2; family <= FAMILY_LLAMA; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = adapted((enum fixture_family)family, 5, family ? some : all, true, device);
        struct packed p = small_batch(&arena);
        size_t n = (size_t)p.batch.T * (size_t)model->config.d;
        float *apart = training_hidden(model, &p, &arena);
        model_merge(model);
        assert_null(model->adapter);
        float *merged = training_hidden(model, &p, &arena);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabsf(merged[i] - apart[i]) < 1e-4f);
        }
        model_close(model);
        arena_release(&arena);
    }
}

/* ---- the set ---- */

/* A uniform within 1 / sqrt(K), deviation 1 / sqrt(3 K); B 0; the same seed, the same numbers; r filled up with zeros. */
static void first_weights_are_drawn_as_peft_draws_them(void **state)
{
    struct device *device = *state;
    struct model *model = adapted(FAMILY_QWEN2, 12, all, false, device);
    const struct params *set = &model->adapter->params;
    float *first = mem_alloc(set->n * sizeof *first), rows[16 * 64];
    memcpy(first, set->data, set->n * sizeof *first);
    for (int i = 0; i < set->n_parts; i++) {
        const struct param_part *part = &set->parts[i];
        const struct param *p = &set->table[part->param];
        double squares = 0, bound = 1 / sqrt(p->cols);
        assert_true(part->rows * p->cols <= 16 * 64);
        params_export(set, device, p, rows, part->row, part->rows);
        for (int k = 0; k < part->rows * p->cols; k++) {
            bool drawn = part->param % 2 == 0 && k < 12 * p->cols;
            assert_true(drawn ? fabs((double)rows[k]) <= bound : rows[k] == 0);
            squares += (double)rows[k] * (double)rows[k];
        }
        if (part->param % 2 == 0) {
            double share = squares / (12 * p->cols) / (bound * bound / 3);
            assert_true(share > 0.8 && share < 1.2);
        }
    }
    adapter_init(model->adapter, device, 7);
    assert_memory_equal(first, set->data, set->n * sizeof *first);
    adapter_init(model->adapter, device, 8);
    assert_memory_not_equal(first, set->data, set->n * sizeof *first);
    free(first);
    model_close(model);
}

/* Nothing of the base has room in arrays of what is trained. */
static void the_base_is_frozen(void **state)
{
    struct device *device = *state, *gpu = NULL;
    FIXTURE_ASSERT(device_open_planning(&gpu, "cuda", 0));
    struct model_config config = fixture_config(FAMILY_LLAMA);
    config.lora = (struct lora){.r = 8, .alpha = 4, .targets = targets(all)};
    struct model *model = NULL;
    config.d = 64;
    FIXTURE_ASSERT(model_plan(&model, &config, "test", gpu, 0, true));
    assert_int_equal(model->params.n_trained, 0);
    assert_null(model->params.master);
    assert_ptr_equal(model_trained(model), &model->adapter->params);
    assert_non_null(model->adapter->params.master);
    assert_int_equal(model->adapter->params.n_trained, model->adapter->params.n);
    size_t want = 0; /* q, k, v, o; gate, up, down: r (K + N) each */
    for (int i = 0; i < config.n_layers; i++) {
        want += 8 * (size_t)((64 + 64) + 2 * (64 + 32) + (64 + 64) + 2 * (64 + config.F) + (config.F + 64));
    }
    assert_int_equal(adapter_size(model->adapter), want);
    model_close(model);
    device_close(gpu);
    (void)device;
}

static void names_are_those_of_peft(void **state)
{
    (void)state;
    unsigned bit, sum = 0;
    for (int i = 0; lora_target_name(i, &bit); i++) {
        assert_int_equal(lora_target(lora_target_name(i, &bit)), bit);
        sum |= bit;
    }
    assert_int_equal(lora_target("all-linear"), sum);
    assert_int_equal(lora_target("self_attn.q_proj"), lora_target("q_proj"));
    assert_int_equal(lora_target("model.layers.12.mlp.down_proj"), lora_target("down_proj"));
    static const char *const others[] = {"",
                                         "lm_head",
                                         "embed_tokens",
                                         "mlp.q_proj",
                                         "q_proj.weight",
                                         "proj",
                                         "model.layers.",
                                         "c_attn",
                                         "model.layers.x.q_proj",
                                         "layers.0.self_attn.q_proj"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(lora_target(others[i]), 0);
    }
    assert_true(lora_scale(&(struct lora){.r = 16, .alpha = 32}) == 2);
    assert_true(lora_scale(&(struct lora){.r = 16, .alpha = 32, .rslora = true}) == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_peft),
        cmocka_unit_test_setup_teardown(first_weights_are_drawn_as_peft_draws_them, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_base_is_frozen, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_new_adapter_changes_nothing, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(numbers_and_gradients_are_those_of_peft, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(the_loss_rises_along_each_gradient, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(training_has_the_bits_of_rollout, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_row_has_its_bits_in_any_batch, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(merged_weights_are_the_same_model, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
