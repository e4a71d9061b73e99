/* tests/model/forward_cached_test.c - the cached forward gives a row the same bits however the work is cut.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/fixture.h"

static int count_rows(const struct sequences *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        n += s->of[i].n_tokens;
    }
    return n;
}

/* Fails with the first sequence and position whose rows differ. */
static void same_rows(const char *what, const struct model *model, const struct sequences *s, const float *a,
                      const float *b)
{
    size_t d = (size_t)model->config.d, at = 0;
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k < s->of[i].n_tokens; k++, at += d) {
            if (memcmp(a + at, b + at, d * sizeof *a) != 0) {
                fail_msg("%s, %s: sequence %d, position %d differs", model->config.family->name, what, i, k);
            }
        }
    }
}

static void bits_do_not_depend_on_the_cut(void **state)
{
    struct device *device = *state;
    static const struct plan plans[] = {
        {"all in one call", 512, 512, true}, {"chunks of 1 to 60, mixed", 0, 60, true},
        {"odd chunks, alone", 7, 33, false}, {"token by token", 1, 1, true},
        {"blocks of 128", 128, 128, true},
    };
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        struct model *model = fixture_model((enum fixture_family)family, device);
        struct sequences *s = fixture_sequences(&arena);
        float *want = fixture_hidden(model, s, &fixture_whole, &arena);
        for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
            same_rows(plans[i].name, model, s, want, fixture_hidden(model, s, &plans[i], &arena));
        }
        model_close(model);
        arena_release(&arena);
    }
}

static void bits_do_not_depend_on_threads(void **state)
{
    struct device *device = *state;
    static const struct plan mixed = {"mixed", 0, 90, true};
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN2, device);
    struct sequences *s = fixture_sequences(&arena);
    device_set_threads(1);
    float *want = fixture_hidden(model, s, &fixture_whole, &arena);
    for (int threads = 2; threads <= 3; threads++) {
        device_set_threads(threads);
        same_rows("threads, whole", model, s, want, fixture_hidden(model, s, &fixture_whole, &arena));
        same_rows("threads, mixed", model, s, want, fixture_hidden(model, s, &mixed, &arena));
    }
    device_set_threads(0);
    model_close(model);
    arena_release(&arena);
}

/* The three builds of the CPU's operations agree. A build that the machine cannot run has no bits to compare; scalar always
 * runs, and so must AVX2 where the processor has it. */
static void bits_do_not_depend_on_the_instruction_set(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu/scalar", "cpu/avx2", "cpu/avx512"};
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct arena arena = ARENA_INIT;
        float *want = NULL;
        for (int i = 0; i < 3; i++) {
            struct device *device;
            bool must = i == 0;
#if defined(__x86_64__)
            must |= i == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
            if (device_open(&device, names[i]) != ERR_NONE) {
                assert_false(must);
                continue;
            }
            struct model *model = fixture_model((enum fixture_family)family, device);
            struct sequences *s = fixture_sequences(&arena);
            float *got = fixture_hidden(model, s, &fixture_whole, &arena);
            if (want) {
                same_rows(names[i], model, s, want, got);
            } else {
                want = got;
            }
            model_close(model);
            device_close(device);
        }
        arena_release(&arena);
    }
}

/* As rollout does it: a completion begins on its prompt's full pages and a copy of the prompt's last one. */
static void a_shared_prompt_gives_the_same_bits(void **state)
{
    struct device *device = *state;
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN3, device);
    struct sequences *s = fixture_sequences(&arena);
    float *want = fixture_hidden(model, s, &fixture_whole, &arena);
    float *got = ARENA_NEW(&arena, float, (size_t)count_rows(s) * (size_t)model->config.d);
    struct cached_run run;
    fixture_begin_run(&run, model, s, &arena);
    int n[FIXTURE_MAX_SEQUENCES];
    for (int i = 0; i < s->n; i++) {
        n[i] = s->of[i].parent < 0 ? s->of[i].n_tokens : 0;
    }
    fixture_step(&run, s, n, got);
    for (int i = 0; i < s->n; i++) {
        const struct sequence *q = &s->of[i];
        n[i] = q->n_tokens - q->n_prefix;
        if (q->parent < 0) {
            n[i] = 0;
            continue;
        }
        int shared = q->n_prefix / OPS_PAGE, tail = q->n_prefix % OPS_PAGE, n_pages = (q->n_tokens + 127) / OPS_PAGE;
        int32_t *pages = ARENA_NEW(&arena, int32_t, n_pages);
        for (int k = 0; k < n_pages; k++) {
            pages[k] = k < shared ? run.pages[q->parent][k] : run.pages[i][k];
        }
        if (tail > 0) {
            kv_pool_copy(&run.pool, model, run.pages[q->parent][shared], pages[shared], tail);
        }
        run.pages[i] = pages;
        run.done[i] = q->n_prefix;
        memcpy(got + (size_t)run.at[i] * (size_t)model->config.d, want + (size_t)run.at[i] * (size_t)model->config.d,
               (size_t)q->n_prefix * (size_t)model->config.d * sizeof *got); /* rows that were not computed */
    }
    fixture_step(&run, s, n, got);
    same_rows("shared prompt", model, s, want, got);
    fixture_end_run(&run);
    model_close(model);
    arena_release(&arena);
}

static void page_bytes_and_pool_agree(void **state)
{
    struct device *device = *state;
    struct model *model = fixture_model(FAMILY_LLAMA, device);
    struct kv_pool pool;
    size_t before = device_bytes(device);
    kv_pool_init(&pool, model, 5);
    assert_int_equal(device_bytes(device) - before, 5 * kv_page_bytes(model));
    assert_int_equal(kv_page_bytes(model), 2 * 2 * 2 * 16 * 128 * sizeof(float)); /* k and v, layers, J, D, positions */
    kv_pool_release(&pool, model);
    assert_int_equal(device_bytes(device), before);
    kv_pool_release(&pool, model); /* released already: nothing happens */
    model_close(model);
}

/* Reserving again keeps what is large enough; a forward pass takes no memory. */
static void a_pass_allocates_nothing(void **state)
{
    struct device *device = *state;
    struct model *model = fixture_model(FAMILY_QWEN2, device);
    struct kv_pool pool;
    kv_pool_init(&pool, model, 1);
    void *hidden = device_alloc(device, 8 * (size_t)model->config.d * sizeof(float), "hidden");
    model_reserve_cached(model, 8);
    size_t reserved = device_bytes(device);
    model_reserve_cached(model, 3);
    assert_int_equal(device_bytes(device), reserved);
    const int32_t tokens[3] = {5, 6, 7}, positions[3] = {0, 1, 2}, page = 0;
    const struct span span = {0, 3, 0, &page};
    model_forward_cached(model, &(struct cached_batch){3, tokens, positions, 1, &span}, &pool, hidden);
    assert_int_equal(device_bytes(device), reserved);
    model_reserve_cached(model, 16);
    assert_true(device_bytes(device) > reserved);
    device_free(device, hidden);
    kv_pool_release(&pool, model);
    model_close(model);
}

static int n_repeated;

static void repeat_on_the_cpu(const struct repeat_args *a)
{
    n_repeated++;
    assert_true(a->key_bytes > 0 && a->key_bytes <= OPS_REPEAT_KEY);
    assert_int_equal(a->n_spans % 16, 0);
    for (int i = 0; i < a->n_spans; i++) {
        assert_int_equal(a->spans[i].row, i);
        assert_int_equal(a->spans[i].n_rows, 1);
    }
    a->work(a->context);
}

/* Writes no more rows of hidden than the batch has. */
static void hidden_keeps_its_size(struct model *model)
{
    struct device *device = model->device;
    size_t d = (size_t)model->config.d;
    const int32_t tokens[] = {5, 6}, positions[] = {0, 0}, pages[] = {0, 1};
    const struct span spans[] = {{0, 1, 0, &pages[0]}, {1, 1, 0, &pages[1]}};
    struct kv_pool pool;
    kv_pool_init(&pool, model, 2);
    float *hidden = device_alloc(device, 3 * d * sizeof(float), "hidden"); /* zeros */
    model_forward_cached(model, &(struct cached_batch){2, tokens, positions, 2, spans}, &pool, hidden);
    assert_true(hidden[0] != 0 && hidden[d] != 0);
    for (size_t i = 0; i < d; i++) {
        assert_true(hidden[2 * d + i] == 0);
    }
    device_free(device, hidden);
    kv_pool_release(&pool, model);
}

/* A device that records passes of decoding gets them with rows added; nobody sees them. */
static void bits_do_not_depend_on_padding(void **state)
{
    struct device *device = *state;
    const struct ops *plain = device->ops;
    struct ops repeating = *plain;
    static const struct plan one_by_one = {"token by token", 1, 1, true};
    struct arena arena = ARENA_INIT;
    struct model *model = fixture_model(FAMILY_QWEN3, device);
    struct sequences *s = fixture_sequences(&arena);
    float *want = fixture_hidden(model, s, &fixture_whole, &arena);
    repeating.repeat = repeat_on_the_cpu;
    device->ops = &repeating;
    n_repeated = 0;
    same_rows("padded", model, s, want, fixture_hidden(model, s, &one_by_one, &arena));
    assert_true(n_repeated > 0);
    hidden_keeps_its_size(model);
    device->ops = plain;
    model_close(model);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_the_cut, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_threads, fixture_open, fixture_close),
        cmocka_unit_test(bits_do_not_depend_on_the_instruction_set),
        cmocka_unit_test_setup_teardown(bits_do_not_depend_on_padding, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_shared_prompt_gives_the_same_bits, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(page_bytes_and_pool_agree, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_pass_allocates_nothing, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
