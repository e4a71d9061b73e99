/* tests/rollout/engine_stream_test.c - any request may stream, and a stream may submit and cancel.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/engine_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_request_may_stream),
        TEST(a_stream_may_submit_and_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
