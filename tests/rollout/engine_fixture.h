/* tests/rollout/engine_fixture.h - requests of unlike options, and what each comes to alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ROLLOUT_ENGINE_FIXTURE_H
#define TESTS_ROLLOUT_ENGINE_FIXTURE_H

#include "tests/rollout/fixture.h"

#include "rollout/engine.h"

#define N 6

static const struct engine_options roomy = {.n_pages = 60};

/* N requests of unlike lengths, groups and options. */
static inline void make_requests(struct engine_request requests[N], struct arena *arena)
{
    static const int lengths[N] = {1, 127, 40, 128, 129, 300}, samples[N] = {2, 3, 5, 2, 3, 1};
    static const struct sampling samplings[N] = {
        {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 5},
        {.temperature = 0.3f, .top_p = 1, .repetition_penalty = 1, .seed = 5},
        {.temperature = 1.4f, .top_p = 0.8f, .top_k = 50, .repetition_penalty = 1.2f, .seed = 9},
        {.temperature = 0, .top_p = 1, .repetition_penalty = 1, .seed = 5},
        {.temperature = 1, .top_p = 1, .min_p = 0.02f, .repetition_penalty = 1, .seed = 5},
        {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 6},
    };
    for (int i = 0; i < N; i++) {
        struct rng rng = rng_stream(21, (uint64_t)i);
        int32_t *tokens = ARENA_NEW(arena, int32_t, lengths[i]);
        for (int k = 0; k < lengths[i]; k++) {
            tokens[k] = (int32_t)rng_below(&rng, 203);
        }
        requests[i] = (struct engine_request){.tokens = tokens,
                                              .n_tokens = lengths[i],
                                              .n_samples = samples[i],
                                              .max_tokens = 30 + 7 * i,
                                              .sampling = samplings[i]};
        requests[i].sampling.sequence = 100 * (uint64_t)i;
    }
}

static inline struct engine *open_engine(struct model *model, const struct engine_options *options)
{
    struct engine *engine;
    FIXTURE_ASSERT(engine_open(&engine, model, options));
    return engine;
}

static inline int64_t submit(struct engine *engine, const struct engine_request *request)
{
    int64_t id;
    FIXTURE_ASSERT(engine_submit(engine, request, &id));
    return id;
}

static inline void run_out(struct engine *engine)
{
    while (engine_load(engine).n_requests > 0) {
        engine_step(engine);
    }
    assert_int_equal(engine_load(engine).pages_used, 0);
    assert_int_equal(engine_load(engine).n_running, 0);
}

static inline struct group alone(struct model *model, const struct engine_request *request, struct arena *arena)
{
    struct engine *engine = open_engine(model, &roomy);
    struct engine_request quiet = *request;
    struct finished finished;
    quiet.stream = NULL;
    int64_t id = submit(engine, &quiet);
    run_out(engine);
    assert_true(engine_take(engine, arena, &finished));
    assert_true(finished.id == id && finished.result == ERR_NONE && finished.group.n_completions == request->n_samples);
    assert_false(engine_take(engine, arena, &finished));
    engine_close(engine);
    return finished.group;
}

static inline void assert_same_tokens(const struct completion *a, const struct completion *b, int n)
{
    size_t bytes = (size_t)n * sizeof(float);
    assert_memory_equal(a->tokens, b->tokens, bytes);
    assert_memory_equal(a->logprob, b->logprob, bytes);
    assert_memory_equal(a->lse, b->lse, bytes);
    assert_memory_equal(a->entropy, b->entropy, bytes);
}

static inline void assert_same(const struct group *a, const struct group *b)
{
    assert_int_equal(a->n_completions, b->n_completions);
    for (int i = 0; i < a->n_completions; i++) {
        assert_int_equal(a->completions[i].n_tokens, b->completions[i].n_tokens);
        assert_int_equal(a->completions[i].finish, b->completions[i].finish);
        assert_same_tokens(&a->completions[i], &b->completions[i], a->completions[i].n_tokens);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

#endif
