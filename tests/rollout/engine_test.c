/* tests/rollout/engine_test.c - requests that come, differ, are cancelled and break, each with the bits it has alone.
 *
 * The reference of a comparison is the request as the only one of an engine of its own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/fixture.h"

#include "rollout/engine.h"

#define N 6

static const struct engine_options roomy = {.n_pages = 60};

/* N requests of unlike lengths, groups and options. */
static void make_requests(struct engine_request requests[N], struct arena *arena)
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

static struct engine *open_engine(struct model *model, const struct engine_options *options)
{
    struct engine *engine;
    FIXTURE_ASSERT(engine_open(&engine, model, options));
    return engine;
}

static int64_t submit(struct engine *engine, const struct engine_request *request)
{
    int64_t id;
    FIXTURE_ASSERT(engine_submit(engine, request, &id));
    return id;
}

static void run_out(struct engine *engine)
{
    while (engine_load(engine).n_requests > 0) {
        engine_step(engine);
    }
    assert_int_equal(engine_load(engine).pages_used, 0);
    assert_int_equal(engine_load(engine).n_running, 0);
}

static struct group alone(struct model *model, const struct engine_request *request, struct arena *arena)
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

static void assert_same_tokens(const struct completion *a, const struct completion *b, int n)
{
    size_t bytes = (size_t)n * sizeof(float);
    assert_memory_equal(a->tokens, b->tokens, bytes);
    assert_memory_equal(a->logprob, b->logprob, bytes);
    assert_memory_equal(a->lse, b->lse, bytes);
    assert_memory_equal(a->entropy, b->entropy, bytes);
}

static void assert_same(const struct group *a, const struct group *b)
{
    assert_int_equal(a->n_completions, b->n_completions);
    for (int i = 0; i < a->n_completions; i++) {
        assert_int_equal(a->completions[i].n_tokens, b->completions[i].n_tokens);
        assert_int_equal(a->completions[i].finish, b->completions[i].finish);
        assert_same_tokens(&a->completions[i], &b->completions[i], a->completions[i].n_tokens);
    }
}

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

/* ---- streams ---- */

#define TEXT_SAMPLES 3

/* All tokens about equally likely; the vocabulary is padded beyond the tokenizer's. */
static struct model *text_model(struct device *device)
{
    struct model *model = NULL;
    struct model_config config = fixture_config(FAMILY_QWEN2);
    config.V = 272;
    FIXTURE_ASSERT(model_new(&model, &config, fixture_tokenizer(), device, 0, 3));
    return model;
}

/* What the stream of one request brought. */
struct heard {
    struct engine *engine;
    int64_t id;
    struct strbuf text[TEXT_SAMPLES];
    int32_t tokens[TEXT_SAMPLES][256];
    float logprob[TEXT_SAMPLES][256];
    int n[TEXT_SAMPLES], n_ended, cancel_at; /* 0: does not cancel */
    bool cancels_sample;
    const struct engine_request *then; /* submitted at the first piece */
};

static void hear(void *context, const struct engine_piece *piece)
{
    struct heard *heard = context;
    int s = piece->sample;
    assert_in_range(s, 0, TEXT_SAMPLES - 1);
    assert_int_equal(piece->id, heard->id);
    assert_int_equal(str_utf8_prefix(piece->text), piece->text.length);
    if (heard->then) {
        submit(heard->engine, heard->then);
        heard->then = NULL;
    }
    heard->tokens[s][heard->n[s]] = piece->token;
    heard->logprob[s][heard->n[s]++] = piece->logprob;
    strbuf_add_str(&heard->text[s], piece->text);
    heard->n_ended += piece->finish != FINISH_NONE;
    if (heard->cancel_at > 0) {
        assert_true(heard->n[s] <= heard->cancel_at);
        if (heard->n[s] == heard->cancel_at) {
            assert_true(heard->cancels_sample ? engine_cancel_sample(heard->engine, piece->id, s)
                                              : engine_cancel(heard->engine, piece->id));
        }
    }
}

static void heard_release(struct heard *heard)
{
    for (int s = 0; s < TEXT_SAMPLES; s++) {
        strbuf_release(&heard->text[s]);
    }
}

static struct engine_request text_request(int i, const int32_t *tokens, const char *const *stop)
{
    return (struct engine_request){
        .tokens = tokens,
        .n_tokens = 120 + i,
        .n_samples = TEXT_SAMPLES,
        .max_tokens = 100,
        .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 5, .sequence = 10 * (uint64_t)i},
        .stop = stop + i,
        .n_stop = i > 0 ? 1 : 0,
        .stream = hear};
}

/* The text of a completion may hold bytes that are no UTF-8; they are shown as U+FFFD. */
static void assert_shown(const struct model *model, struct str shown, struct str text)
{
    struct token_stream stream = {0};
    struct strbuf want = STRBUF_INIT;
    for (size_t i = 0; i < text.length; i++) {
        token_stream_push(&stream, model->tokenizer, (unsigned char)text.data[i], &want);
    }
    token_stream_flush(&stream, &want);
    assert_true(str_equal(shown, strbuf_view(&want)));
    token_stream_release(&stream);
    strbuf_release(&want);
}

static void every_request_may_stream(void **state)
{
    static const char *const stop[] = {"", "q", "e", "t"};
    struct model *model = text_model(*state);
    struct arena arena = ARENA_INIT;
    int32_t tokens[200];
    for (int i = 0; i < 200; i++) {
        tokens[i] = i;
    }
    for (int pages = 60; pages > 0; pages -= 55) {
        struct engine *engine = open_engine(model, &(struct engine_options){.n_pages = pages});
        struct heard heard[4] = {0};
        struct finished finished;
        int stopped = 0;
        for (int i = 0; i < 4; i++) {
            struct engine_request request = text_request(i, tokens, stop);
            request.stream_context = &heard[i];
            heard[i].id = i;
            submit(engine, &request);
        }
        run_out(engine);
        assert_int_equal(engine_stats(engine)->n_preempted > 0, pages < 60);
        while (engine_take(engine, &arena, &finished)) {
            const struct heard *h = &heard[finished.id];
            assert_int_equal(h->n_ended, TEXT_SAMPLES);
            for (int s = 0; s < TEXT_SAMPLES; s++) {
                const struct completion *c = &finished.group.completions[s];
                assert_int_equal(h->n[s], c->n_tokens);
                assert_memory_equal(h->tokens[s], c->tokens, (size_t)c->n_tokens * sizeof(int32_t));
                assert_memory_equal(h->logprob[s], c->logprob, (size_t)c->n_tokens * sizeof(float));
                assert_shown(model, strbuf_view(&h->text[s]), c->text);
                assert_true(c->text.length > 0 || c->n_tokens == 1);
                stopped += c->finish == FINISH_STOP;
                assert_true(c->finish == FINISH_LENGTH || finished.id > 0);
            }
        }
        assert_true(stopped > 0);
        for (int i = 0; i < 4; i++) {
            heard_release(&heard[i]);
        }
        engine_close(engine);
    }
    arena_release(&arena);
    model_close(model);
}

/* A stream that cancels its own request, or each sample in turn, and one that submits another. */
static void a_stream_may_submit_and_cancel(void **state)
{
    static const char *const stop[] = {""};
    struct model *model = text_model(*state);
    struct arena arena = ARENA_INIT;
    int32_t tokens[200] = {0};
    struct engine_request quiet = text_request(0, tokens, stop);
    quiet.stream = NULL;
    struct group want = alone(model, &quiet, &arena);
    for (int round = 0; round < 2; round++) {
        struct engine *engine = open_engine(model, &roomy);
        struct heard heard = {.engine = engine, .cancel_at = 5, .cancels_sample = round == 1, .then = &quiet};
        struct engine_request request = text_request(0, tokens, stop);
        struct finished finished;
        request.stream_context = &heard;
        heard.id = submit(engine, &request);
        run_out(engine);
        assert_int_equal(heard.n[0], 5);
        assert_int_equal(heard.n[2], round == 1 ? 5 : 4); /* no longer called after the request is cancelled */
        if (round == 1) {
            assert_true(engine_take(engine, &arena, &finished) && finished.id == heard.id);
            for (int s = 0; s < TEXT_SAMPLES; s++) {
                assert_int_equal(finished.group.completions[s].n_tokens, 5);
                assert_int_equal(finished.group.completions[s].finish, FINISH_CANCELLED);
                assert_same_tokens(&finished.group.completions[s], &want.completions[s], 5);
            }
        }
        assert_true(engine_take(engine, &arena, &finished));
        assert_same(&finished.group, &want);
        assert_false(engine_take(engine, &arena, &finished));
        heard_release(&heard);
        engine_close(engine);
    }
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

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
        TEST(every_request_may_stream),
        TEST(a_stream_may_submit_and_cancel),
        TEST(what_cannot_be_computed_is_refused),
        TEST(options_that_are_none_are_refused),
        TEST(numbers_that_are_not_finite_end_their_request),
        TEST(numbers_that_are_not_finite_end_a_rollout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
