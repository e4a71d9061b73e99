/* tests/rollout/engine_test.c - requests that come, differ, are cancelled and break, each with the bits it has alone.
 *
 * The reference of a comparison is the request as the only one of an engine of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/engine_fixture.h"

/* Takes all that have finished and compares them with `want` [N], whose ids begin at `first`. */
static int take_and_compare(struct engine *engine, int64_t first, const struct group *want, struct arena *arena)
{
    struct finished finished;
    int n = 0;
    for (; engine_take(engine, arena, &finished); n++) {
        assert_int_equal(finished.result, ERR_NONE);
        assert_same(&finished.group, &want[finished.id - first]);
    }
    return n;
}

struct fixture {
    struct model *model;
    struct arena arena;
    struct engine_request requests[N];
    struct group want[N]; /* each request alone */
};

static void fixture_begin(struct fixture *f, struct device *device)
{
    *f = (struct fixture){.model = fixture_model(FAMILY_QWEN3, device)};
    make_requests(f->requests, &f->arena);
    for (int i = 0; i < N; i++) {
        f->want[i] = alone(f->model, &f->requests[i], &f->arena);
    }
}

static void fixture_end(struct fixture *f)
{
    arena_release(&f->arena);
    model_close(f->model);
}

/* ---- together and in the middle ---- */

static void options_of_a_request_are_its_own(void **state)
{
    static const struct engine_options engines[] = {{.n_pages = 60}, {.n_pages = 5, .max_batch_tokens = 33}};
    struct fixture f;
    fixture_begin(&f, *state);
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        struct engine *engine = open_engine(f.model, &engines[i]);
        for (int k = 0; k < N; k++) {
            assert_int_equal(submit(engine, &f.requests[k]), k);
        }
        run_out(engine);
        assert_int_equal(engine_stats(engine)->n_preempted > 0, i == 1);
        assert_int_equal(take_and_compare(engine, 0, f.want, &f.arena), N);
        engine_close(engine);
    }
    fixture_end(&f);
}

/* The same prompt, key and seed at two temperatures in one batch. */
static void two_temperatures_share_a_batch(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N], two[2];
    struct group want[2];
    make_requests(requests, &arena);
    for (int i = 0; i < 2; i++) {
        two[i] = requests[1];
        two[i].sampling.temperature = i == 0 ? 1.0f : 0.6f;
        want[i] = alone(model, &two[i], &arena);
    }
    assert_memory_not_equal(want[0].completions[0].logprob, want[1].completions[0].logprob, 37 * sizeof(float));
    struct engine *engine = open_engine(model, &roomy);
    submit(engine, &two[0]);
    submit(engine, &two[1]);
    engine_step(engine); /* the prompts; then their siblings join */
    engine_step(engine);
    assert_int_equal(engine_load(engine).n_running, 6);
    run_out(engine);
    assert_int_equal(take_and_compare(engine, 0, want, &arena), 2);
    engine_close(engine);
    arena_release(&arena);
    model_close(model);
}

static void requests_come_while_others_run(void **state)
{
    struct fixture f;
    fixture_begin(&f, *state);
    struct engine_options options = {.n_pages = 8, .max_batch_tokens = 64};
    for (int every = 1; every <= 17; every += 8) {
        struct engine *engine = open_engine(f.model, &options);
        int taken = 0;
        for (int i = 0; i < N; i++) {
            struct engine_request copy = f.requests[i];
            int32_t *tokens = arena_copy(&f.arena, copy.tokens, (size_t)copy.n_tokens * sizeof *tokens);
            copy.tokens = tokens;
            submit(engine, &copy);
            memset(tokens, 0x7F, (size_t)copy.n_tokens * sizeof *tokens); /* the engine has its own copy */
            for (int k = 0; k < every; k++) {
                engine_step(engine);
            }
            taken += take_and_compare(engine, 0, f.want, &f.arena);
        }
        run_out(engine);
        taken += take_and_compare(engine, 0, f.want, &f.arena);
        assert_int_equal(taken, N);
        engine_step(engine); /* with nothing to do */
        engine_close(engine);
    }
    fixture_end(&f);
}

static void requests_are_taken_as_they_finish(void **state)
{
    static const int lengths[] = {20, 5, 12, 5}, order[] = {1, 3, 2, 0};
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N];
    struct finished finished;
    make_requests(requests, &arena);
    struct engine *engine = open_engine(model, &roomy);
    for (int i = 0; i < 4; i++) {
        requests[0].max_tokens = lengths[i];
        submit(engine, &requests[0]);
    }
    for (int step = 1, n = 0; step <= 20; step++) {
        engine_step(engine);
        for (; engine_take(engine, &arena, &finished); n++) {
            assert_int_equal(finished.id, order[n]);
            assert_int_equal(step, lengths[order[n]]);
        }
    }
    assert_int_equal(engine_load(engine).n_requests, 0);
    assert_int_equal(engine_stats(engine)->n_finished, 8);
    engine_close(engine);
    arena_release(&arena);
    model_close(model);
}

/* ---- cancel ---- */

/* In engines with much and little memory: request `victim` is cancelled after 0, 7, 14 ... steps, in whatever state it
 * is. */
static void a_cancelled_request_disturbs_no_other(void **state)
{
    static const struct engine_options engines[] = {{.n_pages = 60}, {.n_pages = 5, .max_batch_tokens = 40}};
    struct fixture f;
    int cancelled = 0, preempted = 0;
    fixture_begin(&f, *state);
    for (int i = 0; i < 2 * 3 * N; i++) {
        int victim = i % N, steps = i / N % 3 * 12;
        struct engine *engine = open_engine(f.model, &engines[i / (3 * N)]);
        for (int k = 0; k < N; k++) {
            submit(engine, &f.requests[k]);
        }
        for (int k = 0; k < steps; k++) {
            engine_step(engine);
        }
        preempted += engine_stats(engine)->n_preempted > 0;
        int taken = take_and_compare(engine, 0, f.want, &f.arena);
        bool there = engine_cancel(engine, victim);
        assert_false(engine_cancel(engine, victim));
        assert_false(engine_cancel_sample(engine, victim, 0));
        cancelled += there;
        run_out(engine);
        taken += take_and_compare(engine, 0, f.want, &f.arena);
        assert_int_equal(taken, there ? N - 1 : N);
        engine_close(engine);
    }
    assert_true(cancelled > 30 && preempted > 5);
    fixture_end(&f);
}

/* What a cancelled request held is free at once; finished and waiting ones can be cancelled too. */
static void cancelling_returns_the_pages(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N];
    struct finished finished;
    make_requests(requests, &arena);
    struct engine *engine = open_engine(model, &(struct engine_options){.n_pages = 60, .max_batch_tokens = 100});
    for (int steps = 0; steps < 12; steps++) { /* of 300 tokens in passes of 100; 30 tokens are drawn */
        int64_t id = submit(engine, &requests[5]);
        for (int k = 0; k < steps; k++) {
            engine_step(engine);
        }
        assert_int_equal(engine_load(engine).pages_used, steps > 0 ? 3 : 0);
        assert_true(engine_cancel(engine, id));
        assert_int_equal(engine_load(engine).pages_used, 0);
        assert_int_equal(engine_load(engine).n_requests, 0);
    }
    int64_t first = submit(engine, &requests[0]), second = submit(engine, &requests[1]);
    run_out(engine);
    assert_true(engine_cancel(engine, second)); /* finished, not yet taken */
    assert_true(engine_take(engine, &arena, &finished) && finished.id == first);
    assert_false(engine_take(engine, &arena, &finished));
    assert_false(engine_cancel(engine, first));
    assert_false(engine_cancel(engine, 12345));
    for (int i = 0; i < N; i++) {
        submit(engine, &requests[i]);
    }
    for (int k = 0; k < 40; k++) {
        engine_step(engine);
    }
    engine_cancel_all(engine);
    assert_int_equal(engine_load(engine).pages_used, 0);
    assert_false(engine_take(engine, &arena, &finished));
    submit(engine, &requests[2]); /* closed with requests in flight */
    engine_step(engine);
    engine_close(engine);
    arena_release(&arena);
    model_close(model);
}

/* Samples of a group of 5, also the one that computes the prompt, before and after it has. The others have the bits
 * they have alone, and so have the cancelled up to where they were. */
static void a_cancelled_sample_disturbs_no_sibling(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N];
    make_requests(requests, &arena);
    struct engine_request request = requests[2];
    request.tokens = requests[5].tokens;
    request.n_tokens = 300;
    request.max_tokens = 40;
    struct group want = alone(model, &request, &arena);
    for (int pages = 60; pages > 0; pages -= 56) {
        for (int i = 0; i < 30; i++) {
            int first = i % 5, steps = i / 5;
            struct engine_options options = {.n_pages = pages, .max_batch_tokens = 100};
            struct engine *engine = open_engine(model, &options);
            struct finished finished;
            int64_t id = submit(engine, &request);
            for (int k = 0; k < steps; k++) {
                engine_step(engine);
            }
            assert_true(engine_cancel_sample(engine, id, first));
            assert_true(engine_cancel_sample(engine, id, (first + 2) % 5));
            assert_false(engine_cancel_sample(engine, id, first));
            run_out(engine);
            assert_true(engine_take(engine, &arena, &finished));
            for (int k = 0; k < 5; k++) {
                const struct completion *a = &want.completions[k], *b = &finished.group.completions[k];
                bool gone = k == first || k == (first + 2) % 5;
                assert_int_equal(b->finish, gone ? FINISH_CANCELLED : a->finish);
                assert_int_equal(b->n_tokens, !gone || pages == 4 ? b->n_tokens : steps < 3 ? 0 : steps - 2);
                assert_int_equal(gone || b->n_tokens == a->n_tokens, true);
                assert_same_tokens(a, b, b->n_tokens);
            }
            engine_close(engine);
        }
    }
    arena_release(&arena);
    model_close(model);
}

static void a_request_ends_with_its_last_sample(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N];
    struct finished finished;
    make_requests(requests, &arena);
    struct engine *engine = open_engine(model, &roomy);
    int64_t id = submit(engine, &requests[1]);
    for (int i = 0; i < 3; i++) {
        assert_false(engine_take(engine, &arena, &finished));
        assert_true(engine_cancel_sample(engine, id, i));
    }
    assert_true(engine_take(engine, &arena, &finished));
    assert_int_equal(finished.group.n_completions, 3);
    assert_int_equal(finished.group.completions[2].n_tokens, 0);
    assert_int_equal(finished.group.completions[2].finish, FINISH_CANCELLED);
    run_out(engine);
    engine_close(engine);
    arena_release(&arena);
    model_close(model);
}

/* ---- what is refused, what breaks ---- */

static void what_cannot_be_computed_is_refused(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    static const char *const stop[] = {"x"};
    int32_t tokens[512] = {0}, foreign[3] = {1, -1, 2};
    const struct {
        struct engine_request request;
        enum err err;
        const char *words[2];
    } cases[] = {
        {{.tokens = tokens, .n_tokens = 512}, ERR_LIMIT, {"512", "511"}},
        {{.tokens = tokens, .n_tokens = 200, .max_tokens = 300}, ERR_LIMIT, {"4 pages", "3"}},
        {{.tokens = tokens}, ERR_FORMAT, {"empty", ""}},
        {{.tokens = foreign, .n_tokens = 3}, ERR_FORMAT, {"token 1", "-1"}},
        {{.tokens = tokens, .n_tokens = 3, .stop = stop, .n_stop = 1}, ERR_USAGE, {"tokenizer", "stop tokens"}},
    };
    struct engine *engine = open_engine(model, &(struct engine_options){.n_pages = 3});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine_request request = cases[i].request;
        int64_t id = -7;
        request.n_samples = 2;
        request.max_tokens = request.max_tokens > 0 ? request.max_tokens : 5;
        request.sampling = (struct sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
        assert_int_equal(engine_submit(engine, &request, &id), cases[i].err);
        assert_int_equal(id, -7);
        assert_non_null(strstr(err_text(), cases[i].words[0]));
        assert_non_null(strstr(err_text(), cases[i].words[1]));
        assert_int_equal(engine_load(engine).n_requests, 0);
    }
    engine_close(engine);
    model_close(model);
}

static void options_that_are_none_are_refused(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct engine_request requests[N];
    static const struct sampling right = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    make_requests(requests, &arena);
    struct engine *engine = open_engine(model, &roomy);
    for (int i = 0; i < 14; i++) {
        struct engine_request request = requests[0];
        struct sampling s = right;
        static const char *const words[14] = {"temperature",
                                              "temperature",
                                              "temperature",
                                              "top_p",
                                              "top_p",
                                              "top_p",
                                              "min_p",
                                              "min_p",
                                              "top_k",
                                              "repetition_penalty",
                                              "repetition_penalty",
                                              "repetition_penalty",
                                              "samples",
                                              "tokens"};
        const float bad[14] = {-1, NAN, INFINITY, 0, 1.5f, NAN, -0.1f, 2, -1, 0, NAN, INFINITY, 0, 0};
        float *numbers[14] = {&s.temperature,
                              &s.temperature,
                              &s.temperature,
                              &s.top_p,
                              &s.top_p,
                              &s.top_p,
                              &s.min_p,
                              &s.min_p,
                              NULL,
                              &s.repetition_penalty,
                              &s.repetition_penalty,
                              &s.repetition_penalty,
                              NULL,
                              NULL};
        if (numbers[i]) {
            *numbers[i] = bad[i];
        }
        s.top_k = i == 8 ? -1 : 0;
        request.n_samples = i == 12 ? 0 : 1;
        request.max_tokens = i == 13 ? 0 : 5;
        request.sampling = s;
        int64_t id;
        assert_int_equal(engine_submit(engine, &request, &id), ERR_USAGE);
        assert_non_null(strstr(err_text(), words[i]));
    }
    run_out(engine);
    engine_close(engine);
    arena_release(&arena);
    model_close(model);
}

/* A token that no completion of the group draws and no prompt holds. */
static int32_t unused_token(const struct group *group, const struct engine_request *request)
{
    bool used[203] = {false};
    for (int i = 0; i < request->n_tokens; i++) {
        used[request->tokens[i]] = true;
    }
    for (int i = 0; i < group->n_completions; i++) {
        for (int k = 0; k < group->completions[i].n_tokens; k++) {
            used[group->completions[i].tokens[k]] = true;
        }
    }
    int32_t token = 0;
    while (used[token]) {
        token++;
        assert_true(token < 203);
    }
    return token;
}

/* The embedding of `token` becomes NaN. */
static void break_embedding(struct model *model, int32_t token)
{
    const struct param *w = &model->params.table[model->weights.embedding];
    float row[40];
    for (int i = 0; i < 40; i++) {
        row[i] = NAN;
    }
    assert_int_equal(w->cols, 40);
    params_import(&model->params, model->device, w, row, token, 1);
}

/* Only a prompt that holds the broken token fails; the others have the bits they had, on the same pages too. */
static void numbers_that_are_not_finite_end_their_request(void **state)
{
    struct fixture f;
    fixture_begin(&f, *state); /* its head is not tied to the embedding */
    int32_t broken = unused_token(&f.want[0], &f.requests[0]), prompt[140];
    break_embedding(f.model, broken);
    for (int i = 0; i < 140; i++) {
        prompt[i] = broken;
    }
    struct engine_request bad = f.requests[1];
    bad.tokens = prompt;
    bad.n_tokens = 140;
    struct engine *engine = open_engine(f.model, &(struct engine_options){.n_pages = 4});
    struct finished finished;
    for (int round = 0; round < 3; round++) {
        int64_t bad_id = submit(engine, &bad), good = submit(engine, &f.requests[0]);
        run_out(engine);
        assert_true(engine_take(engine, &f.arena, &finished) && finished.id == bad_id);
        assert_int_equal(finished.result, ERR_NUMBERS);
        assert_int_equal(finished.group.n_completions, 0);
        assert_non_null(strstr(finished.error, "sample 0, token 0 (position 140"));
        assert_non_null(strstr(finished.error, "nan"));
        assert_non_null(strstr(finished.error, "weights"));
        assert_true(engine_take(engine, &f.arena, &finished) && finished.id == good);
        assert_same(&finished.group, &f.want[0]);
    }
    engine_close(engine);
    fixture_end(&f);
}

/* And the whole rollout, with the number of the prompt; then it works again. */
static void numbers_that_are_not_finite_end_a_rollout(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN3, *state);
    struct arena arena = ARENA_INIT;
    struct rollout_options options = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 5, .n_pages = 60};
    int32_t good[3] = {1, 2, 3}, bad[3] = {1, 202, 3};
    struct rollout_prompt prompts[2] = {{good, 3, 2, 1, 0}, {bad, 3, 2, 5, 50}};
    struct group groups[2] = {{NULL, -7}, {NULL, -7}};
    struct rollout *rollout;
    break_embedding(model, 202);
    FIXTURE_ASSERT(rollout_open(&rollout, model, &options));
    assert_int_equal(rollout_run(rollout, prompts, 2, &arena, groups, NULL, NULL), ERR_NUMBERS);
    assert_non_null(strstr(err_text(), "prompt 1, sample 0, token 0 (position 3"));
    assert_int_equal(groups[0].n_completions, -7);
    FIXTURE_ASSERT(rollout_run(rollout, prompts, 1, &arena, groups, NULL, NULL));
    assert_int_equal(groups[0].n_completions, 2);
    rollout_close(rollout);
    arena_release(&arena);
    model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_of_a_request_are_its_own),
        TEST(two_temperatures_share_a_batch),
        TEST(requests_come_while_others_run),
        TEST(requests_are_taken_as_they_finish),
        TEST(a_cancelled_request_disturbs_no_other),
        TEST(cancelling_returns_the_pages),
        TEST(a_cancelled_sample_disturbs_no_sibling),
        TEST(a_request_ends_with_its_last_sample),
        TEST(what_cannot_be_computed_is_refused),
        TEST(options_that_are_none_are_refused),
        TEST(numbers_that_are_not_finite_end_their_request),
        TEST(numbers_that_are_not_finite_end_a_rollout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
