/* tests/rollout/rollout_test.c - whatever the batch, the chunks, the pages and the threads: the same bits.
 *
 * The reference of every comparison is the training forward pass, or each sequence sampled alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/fixture.h"

#define N_PROMPTS 6

struct load {
    struct rollout_prompt prompts[N_PROMPTS];
    struct group groups[N_PROMPTS];
    struct rollout_stats stats;
};

static const struct rollout_options plain = {
    .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 5, .n_pages = 60};

static void load_init(struct load *load, struct arena *arena)
{
    static const int lengths[N_PROMPTS] = {1, 127, 40, 128, 129, 300}, samples[N_PROMPTS] = {2, 3, 5, 2, 3, 1};
    for (int i = 0; i < N_PROMPTS; i++) {
        struct rng rng = rng_stream(21, (uint64_t)i);
        int32_t *tokens = ARENA_NEW(arena, int32_t, lengths[i]);
        for (int k = 0; k < lengths[i]; k++) {
            tokens[k] = (int32_t)rng_below(&rng, 203);
        }
        load->prompts[i] = (struct rollout_prompt){tokens, lengths[i], samples[i], 30 + 17 * i, 100 * (uint64_t)i};
    }
}

static void run_prompts(struct model *model, const struct rollout_options *options,
                        const struct rollout_prompt *prompts, int n, struct group *groups, struct rollout_stats *stats,
                        struct arena *arena)
{
    struct rollout *rollout;
    FIXTURE_ASSERT(rollout_open(&rollout, model, options));
    FIXTURE_ASSERT(rollout_run(rollout, prompts, n, arena, groups, NULL, NULL));
    if (stats) {
        *stats = *rollout_stats(rollout);
    }
    rollout_close(rollout);
}

static void load_run(struct load *load, struct model *model, const struct rollout_options *options, struct arena *arena)
{
    load_init(load, arena);
    run_prompts(model, options, load->prompts, N_PROMPTS, load->groups, &load->stats, arena);
}

static void assert_same(const char *what, const struct completion *a, const struct completion *b)
{
    size_t bytes = (size_t)a->n_tokens * sizeof(float);
    if (a->n_tokens != b->n_tokens || a->finish != b->finish || memcmp(a->tokens, b->tokens, bytes) != 0) {
        fail_msg("%s: other tokens", what);
    }
    if (memcmp(a->logprob, b->logprob, bytes) != 0 || memcmp(a->lse, b->lse, bytes) != 0 ||
        memcmp(a->entropy, b->entropy, bytes) != 0) {
        fail_msg("%s: other bits", what);
    }
}

static void assert_same_load(const char *what, const struct load *a, const struct load *b)
{
    for (int i = 0; i < N_PROMPTS; i++) {
        assert_int_equal(a->groups[i].n_completions, b->groups[i].n_completions);
        for (int k = 0; k < a->groups[i].n_completions; k++) {
            assert_same(what, &a->groups[i].completions[k], &b->groups[i].completions[k]);
        }
    }
}

/* A prompt and its completions as one training batch; a completion's last token predicts nothing and has no row. */
static struct train_batch pack(const struct rollout_prompt *prompt, const struct group *group, struct arena *arena)
{
    int most = prompt->n_tokens, at = prompt->n_tokens, n = 0, n_contexts = 1;
    for (int k = 0; k < group->n_completions; k++) {
        most += group->completions[k].n_tokens;
    }
    int32_t *tokens = ARENA_NEW(arena, int32_t, most), *positions = ARENA_NEW(arena, int32_t, most);
    int32_t *rows = ARENA_NEW(arena, int32_t, most), *targets = ARENA_NEW(arena, int32_t, most);
    struct context *contexts = ARENA_NEW(arena, struct context, group->n_completions + 1);
    contexts[0] = (struct context){0, 0, 0, prompt->n_tokens};
    for (int i = 0; i < prompt->n_tokens; i++) {
        tokens[i] = prompt->tokens[i];
        positions[i] = i;
    }
    for (int k = 0; k < group->n_completions; k++) {
        const struct completion *c = &group->completions[k];
        if (c->n_tokens > 1) {
            contexts[n_contexts++] = (struct context){0, prompt->n_tokens, at, c->n_tokens - 1};
        }
        for (int i = 0; i < c->n_tokens; i++, n++) {
            rows[n] = i == 0 ? prompt->n_tokens - 1 : at - 1;
            targets[n] = c->tokens[i];
            if (i < c->n_tokens - 1) {
                tokens[at] = c->tokens[i];
                positions[at++] = prompt->n_tokens + i;
            }
        }
    }
    return (struct train_batch){at, tokens, positions, n_contexts, contexts, n, rows, targets, NULL};
}

static void assert_trainer_agrees(struct model *model, const struct rollout_prompt *prompt, const struct group *group,
                                  float temperature, struct arena *arena)
{
    struct train_batch batch = pack(prompt, group, arena);
    size_t n = (size_t)batch.n_targets;
    float *logprob = ARENA_NEW(arena, float, n), *lse = ARENA_NEW(arena, float, n);
    float *entropy = ARENA_NEW(arena, float, n);
    struct activations *acts =
        activations_new(model, batch.T, batch.n_targets, batch.n_contexts, model->max_positions, false);
    model_forward(model, &batch, acts);
    model_target_logprobs(model, &batch, acts, temperature > 0 ? 1.0f / temperature : 1.0f, logprob, lse, entropy);
    activations_free(acts, model);
    for (int k = 0; k < group->n_completions; k++) {
        const struct completion *c = &group->completions[k];
        size_t bytes = (size_t)c->n_tokens * sizeof *logprob;
        assert_memory_equal(c->logprob, logprob, bytes);
        assert_memory_equal(c->lse, lse, bytes);
        assert_memory_equal(c->entropy, entropy, bytes);
        logprob += c->n_tokens;
        lse += c->n_tokens;
        entropy += c->n_tokens;
    }
}

static void every_sequence_has_a_row_unless_told_otherwise(void **state)
{
    (void)state;
    assert_int_equal(rollout_rows(0, 0), 512);
    assert_int_equal(rollout_rows(0, 256), 512);
    assert_int_equal(rollout_rows(0, 1024), 1024);
    assert_int_equal(rollout_rows(64, 1024), 64);
}

static void training_has_the_same_bits(void **state)
{
    static const float temperatures[] = {1.0f, 0.7f, 0.0f};
    for (int family = FAMILY_QWEN2; family < FIXTURE_FAMILIES; family++) {
        struct model *model = fixture_model((enum fixture_family)family, *state);
        struct rollout_options options = plain;
        options.max_batch_tokens = 100;
        options.temperature = temperatures[family % 3];
        struct arena arena = ARENA_INIT;
        struct load load;
        load_run(&load, model, &options, &arena);
        for (int i = 0; i < N_PROMPTS; i++) {
            assert_trainer_agrees(model, &load.prompts[i], &load.groups[i], options.temperature, &arena);
        }
        arena_release(&arena);
        model_close(model);
    }
}

static void scheduling_cannot_be_seen(void **state)
{
    static const struct {
        const char *name;
        int rows, sequences, pages, threads;
        bool preempts;
    } cases[] = {
        {"one row a step", 1, 0, 60, 1, false},
        {"7 rows", 7, 0, 60, 1, false},
        {"64 rows", 64, 0, 60, 1, false},
        {"one sequence", 512, 1, 60, 1, false},
        {"three sequences", 200, 3, 60, 1, false},
        {"8 pages", 512, 256, 8, 1, true},
        {"4 pages, 33 rows", 33, 16, 4, 1, true},
        {"two threads", 512, 0, 60, 2, false},
        {"two threads, 8 pages", 50, 0, 8, 2, true},
    };
    struct model *model = fixture_model(FAMILY_QWEN3, *state);
    struct arena arena = ARENA_INIT;
    struct load want, got;
    struct rollout_options options = plain;
    device_set_threads(1);
    load_run(&want, model, &options, &arena);
    assert_int_equal(want.stats.n_preempted, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options.max_batch_tokens = cases[i].rows;
        options.max_sequences = cases[i].sequences;
        options.n_pages = cases[i].pages;
        device_set_threads(cases[i].threads);
        load_run(&got, model, &options, &arena);
        assert_same_load(cases[i].name, &want, &got);
        assert_int_equal(got.stats.n_preempted > 0, cases[i].preempts);
        assert_true(got.stats.peak_pages <= cases[i].pages);
    }
    device_set_threads(0);
    arena_release(&arena);
    model_close(model);
}

/* Every sample as a prompt of its own, with the key that it has in its group; and the prompts in another order. */
static void groups_and_order_cannot_be_seen(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct load want;
    load_run(&want, model, &plain, &arena);
    struct rollout_prompt alone[32];
    const struct completion *wanted[32];
    struct group groups[32];
    int n = 0;
    for (int i = N_PROMPTS - 1; i >= 0; i--) {
        for (int k = want.prompts[i].n_samples - 1; k >= 0; k--) {
            alone[n] = want.prompts[i];
            alone[n].n_samples = 1;
            alone[n].sequence += (uint64_t)k;
            wanted[n++] = &want.groups[i].completions[k];
        }
    }
    run_prompts(model, &plain, alone, n, groups, NULL, &arena);
    for (int i = 0; i < n; i++) {
        assert_int_equal(groups[i].n_completions, 1);
        assert_same("alone", &groups[i].completions[0], wanted[i]);
    }
    arena_release(&arena);
    model_close(model);
}

static void filters_and_penalty_cannot_see_it_either(void **state)
{
    struct model *model = fixture_model(FAMILY_LLAMA, *state);
    struct arena arena = ARENA_INIT;
    struct load want, got;
    struct rollout_options options = {.temperature = 1.3f,
                                      .top_p = 0.9f,
                                      .min_p = 0.01f,
                                      .top_k = 50,
                                      .repetition_penalty = 1.2f,
                                      .seed = 77,
                                      .n_pages = 60};
    load_run(&want, model, &options, &arena);
    options.max_batch_tokens = 9;
    options.n_pages = 5;
    load_run(&got, model, &options, &arena);
    assert_true(got.stats.n_preempted > 0);
    assert_same_load("filters", &want, &got);
    arena_release(&arena);
    model_close(model);
}

/* A second run of the same rollout gives the same; another seed or key gives other tokens. */
static void runs_repeat_and_keys_matter(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct load a, b;
    struct rollout *rollout;
    load_init(&a, &arena);
    b = a;
    FIXTURE_ASSERT(rollout_open(&rollout, model, &plain));
    FIXTURE_ASSERT(rollout_run(rollout, a.prompts, N_PROMPTS, &arena, a.groups, NULL, NULL));
    FIXTURE_ASSERT(rollout_run(rollout, b.prompts, N_PROMPTS, &arena, b.groups, NULL, NULL));
    assert_same_load("second run", &a, &b);
    b.prompts[2].sequence += 50;
    FIXTURE_ASSERT(rollout_run(rollout, b.prompts, N_PROMPTS, &arena, b.groups, NULL, NULL));
    assert_memory_not_equal(a.groups[2].completions[0].tokens, b.groups[2].completions[0].tokens, 64 * 4);
    assert_memory_not_equal(a.groups[2].completions[0].tokens, a.groups[2].completions[1].tokens, 64 * 4);
    assert_memory_equal(a.groups[3].completions[0].tokens, b.groups[3].completions[0].tokens, 64 * 4);
    rollout_close(rollout);
    arena_release(&arena);
    model_close(model);
}

/* Temperature 0: all samples alike, each token the most probable. */
static void greedy_takes_the_largest(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct load load;
    struct rollout_options options = plain;
    options.temperature = 0;
    load_run(&load, model, &options, &arena);
    const struct completion *c = load.groups[2].completions;
    for (int k = 1; k < load.groups[2].n_completions; k++) {
        assert_same("greedy", c, c + k);
    }
    struct group other = {ARENA_NEW(&arena, struct completion, 203), 203}; /* every token that could have been third */
    for (int32_t v = 0; v < 203; v++) {
        other.completions[v] = (struct completion){.tokens = arena_copy(&arena, c->tokens, 12), .n_tokens = 3};
        other.completions[v].tokens[2] = v;
    }
    struct train_batch batch = pack(&load.prompts[2], &other, &arena);
    float logprob[609], lse[609];
    struct activations *acts = activations_new(model, batch.T, batch.n_targets, batch.n_contexts, 512, false);
    model_forward(model, &batch, acts);
    model_target_logprobs(model, &batch, acts, 1, logprob, lse, NULL);
    activations_free(acts, model);
    for (int v = 0; v < 203; v++) {
        assert_true(logprob[3 * v + 2] <= c->logprob[2]);
        assert_int_equal(logprob[3 * v + 2] == c->logprob[2], v == c->tokens[2]);
    }
    arena_release(&arena);
    model_close(model);
}

/* Any token that a run drew can end it: the same tokens up to there, and FINISH_EOS or FINISH_STOP. */
static void end_and_stop_tokens_end(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct load want, got;
    load_run(&want, model, &plain, &arena);
    int32_t end = want.groups[2].completions[0].tokens[20];
    for (int round = 0; round < 3; round++) { /* an end token, a stop token, an end token that is ignored */
        struct rollout_options options = plain;
        model->config.n_eos = round != 1;
        model->config.eos_ids[0] = end;
        options.stop_tokens = &end;
        options.n_stop_tokens = round == 1;
        options.ignore_eos = round == 2;
        load_run(&got, model, &options, &arena);
        if (round == 2) {
            assert_same_load("ignored", &want, &got);
            continue;
        }
        for (int i = 0, ended = 0; i < N_PROMPTS; i++) {
            for (int k = 0; k < got.groups[i].n_completions; k++) {
                const struct completion *a = &want.groups[i].completions[k], *b = &got.groups[i].completions[k];
                int n = 0;
                while (n < a->n_tokens && a->tokens[n] != end) {
                    n++;
                }
                bool met = n < a->n_tokens;
                assert_int_equal(b->n_tokens, met ? n + 1 : n);
                assert_int_equal(b->finish, !met ? FINISH_LENGTH : round == 1 ? FINISH_STOP : FINISH_EOS);
                assert_memory_equal(a->tokens, b->tokens, (size_t)b->n_tokens * 4);
                assert_memory_equal(a->logprob, b->logprob, (size_t)b->n_tokens * 4);
                ended += met;
            }
            assert_true(i < 2 || ended > 0);
        }
    }
    arena_release(&arena);
    model_close(model);
}

static void lengths_are_kept(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    int32_t tokens[511] = {0};
    for (int n = 509; n <= 511; n++) { /* a sequence ends at the model's 512 positions */
        struct rollout_prompt prompts[2] = {{tokens, n, 2, 100, 0}, {tokens, 5, 3, 1, 9}};
        struct group groups[2];
        struct rollout_stats stats;
        run_prompts(model, &plain, prompts, 2, groups, &stats, &arena);
        for (int k = 0; k < 5; k++) {
            const struct completion *c = k < 2 ? &groups[0].completions[k] : &groups[1].completions[k - 2];
            assert_int_equal(c->n_tokens, k < 2 ? 512 - n : 1);
            assert_int_equal(c->finish, FINISH_LENGTH);
            assert_int_equal(c->text.length, 0);
        }
        assert_int_equal(stats.completion_tokens, 2 * (512 - n) + 3);
        assert_int_equal(stats.prompt_tokens, n + 5);
        assert_int_equal(stats.computed_rows, n + 5 + 2 * (511 - n));
    }
    arena_release(&arena);
    model_close(model);
}

static void what_cannot_fit_is_refused(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    int32_t tokens[512] = {0}, foreign[3] = {1, 203, 2};
    const struct {
        struct rollout_prompt prompt;
        enum err err;
        const char *words[3];
    } cases[] = {
        {{tokens, 512, 1, 5, 0}, ERR_LIMIT, {"prompt 1", "512", "511"}},
        {{tokens, 200, 1, 300, 0}, ERR_LIMIT, {"prompt 1", "4 pages", "3"}},
        {{tokens, 0, 1, 5, 0}, ERR_FORMAT, {"prompt 1", "empty", ""}},
        {{foreign, 3, 1, 5, 0}, ERR_FORMAT, {"prompt 1", "203", "202"}},
    };
    struct rollout_options options = plain;
    options.n_pages = 3;
    struct rollout *rollout;
    FIXTURE_ASSERT(rollout_open(&rollout, model, &options));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rollout_prompt prompts[2] = {{tokens, 9, 1, 3, 0}, cases[i].prompt};
        struct group groups[2] = {{NULL, -7}, {NULL, -7}};
        assert_int_equal(rollout_run(rollout, prompts, 2, &arena, groups, NULL, NULL), cases[i].err);
        assert_int_equal(groups[0].n_completions, -7);
        for (int k = 0; k < 3; k++) {
            assert_non_null(strstr(err_text(), cases[i].words[k]));
        }
        FIXTURE_ASSERT(rollout_run(rollout, prompts, 1, &arena, groups, NULL, NULL)); /* and it still works */
    }
    rollout_close(rollout);
    arena_release(&arena);
    model_close(model);
}

/* ---- text ---- */

#define TEXT_TOKENS  150
#define TEXT_SAMPLES 6

/* All tokens about equally likely; the vocabulary is padded beyond the tokenizer's. */
static struct model *text_model(struct device *device)
{
    struct model *model = NULL;
    struct model_config config = fixture_config(FAMILY_QWEN2);
    config.V = 272;
    FIXTURE_ASSERT(model_new(&model, &config, fixture_tokenizer(), device, 0, 3));
    return model;
}

static void collect(void *context, struct str piece)
{
    assert_int_equal(str_utf8_prefix(piece), piece.length);
    strbuf_add_str(context, piece);
}

static struct group text_run(struct model *model, const char *const *stop, int n_stop, int pages, struct strbuf *shown,
                             struct arena *arena)
{
    int32_t tokens[200];
    for (int i = 0; i < 200; i++) {
        tokens[i] = i;
    }
    struct rollout_prompt prompt = {tokens, 200, TEXT_SAMPLES, TEXT_TOKENS, 0};
    struct rollout_options options = plain;
    struct rollout *rollout;
    struct group group;
    options.stop = stop;
    options.n_stop = n_stop;
    options.n_pages = pages;
    FIXTURE_ASSERT(rollout_open(&rollout, model, &options));
    rollout_set_stream(rollout, collect, shown);
    FIXTURE_ASSERT(rollout_run(rollout, &prompt, 1, arena, &group, NULL, NULL));
    rollout_close(rollout);
    return group;
}

/* Where the text of the first tokens holds one of the strings for the first time; *n is how many tokens that takes. */
static ptrdiff_t find_stop(const struct model *model, const struct completion *c, const char *const *stop, int n_stop,
                           int *n)
{
    struct strbuf text = STRBUF_INIT;
    ptrdiff_t found = -1;
    for (*n = 0; *n < c->n_tokens && found < 0; ++*n) {
        tokenizer_decode(model->tokenizer, &c->tokens[*n], 1, true, &text);
        for (int i = 0; i < n_stop; i++) {
            ptrdiff_t at = str_find(strbuf_view(&text), str_of(stop[i]), 0);
            found = at >= 0 && (found < 0 || at < found) ? at : found;
        }
    }
    strbuf_release(&text);
    return found;
}

/* Three characters that a sample drew, from the middle of its text; so the stop string lies across three tokens. */
static void pick_stop(const struct completion *c, char stop[4])
{
    for (int i = 30; i + 3 <= c->n_tokens; i++) {
        bool plain_text = true;
        for (int k = 0; k < 3; k++) {
            plain_text = plain_text && c->tokens[i + k] >= ' ' && c->tokens[i + k] <= '~';
            stop[k] = (char)c->tokens[i + k];
        }
        if (plain_text) {
            stop[3] = '\0';
            return;
        }
    }
    fail_msg("no three characters in a row");
}

static void stop_strings_end_across_tokens(void **state)
{
    struct model *model = text_model(*state);
    struct arena arena = ARENA_INIT;
    struct strbuf shown = STRBUF_INIT, whole = STRBUF_INIT;
    struct token_stream stream = {0};
    char first[4], last[4];
    struct group want = text_run(model, NULL, 0, 60, &shown, &arena);
    for (int i = 0; i < want.completions[0].n_tokens; i++) {
        assert_in_range(want.completions[0].tokens[i], 0, FIXTURE_SPECIAL);
        token_stream_push(&stream, model->tokenizer, want.completions[0].tokens[i], &whole);
    }
    token_stream_flush(&stream, &whole);
    assert_true(str_equal(strbuf_view(&shown), strbuf_view(&whole)));
    pick_stop(&want.completions[0], first);
    pick_stop(&want.completions[TEXT_SAMPLES - 1], last);
    const char *const stop[] = {last, "\xE2\x82\xAC", first};
    for (int pages = 60; pages > 0; pages -= 56) { /* then with pre-emption */
        strbuf_clear(&shown);
        struct group got = text_run(model, stop, 3, pages, &shown, &arena);
        for (int k = 0; k < TEXT_SAMPLES; k++) {
            const struct completion *a = &want.completions[k], *b = &got.completions[k];
            int n;
            ptrdiff_t at = find_stop(model, a, stop, 3, &n);
            assert_true(at >= 0 || (k != 0 && k != TEXT_SAMPLES - 1));
            assert_int_equal(b->n_tokens, n);
            assert_int_equal(b->finish, at >= 0 ? FINISH_STOP : FINISH_LENGTH);
            assert_memory_equal(a->logprob, b->logprob, (size_t)n * sizeof(float));
            assert_true(str_equal(b->text, str_slice(a->text, 0, at >= 0 ? (size_t)at : a->text.length)));
        }
        ptrdiff_t end = str_find(strbuf_view(&whole), str_of(first), 0);
        assert_true(str_starts(strbuf_view(&whole), strbuf_view(&shown)) && shown.length <= (size_t)end);
        assert_true(shown.length > 0 && got.completions[0].text.length > 0);
    }
    token_stream_release(&stream);
    strbuf_release(&shown);
    strbuf_release(&whole);
    arena_release(&arena);
    model_close(model);
}

/* ---- stopping, memory ---- */

struct watch {
    int calls, stop_at;
    int64_t tokens;
};

static bool watch(void *context, int64_t tokens, int finished, int total)
{
    struct watch *w = context;
    assert_true(tokens >= w->tokens && finished >= 0 && finished <= total);
    w->tokens = tokens;
    return ++w->calls == w->stop_at;
}

static void a_run_can_be_stopped(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    int32_t tokens[5] = {1, 2, 3, 4, 5};
    struct rollout_prompt prompt = {tokens, 5, 64, 100000, 0}, small = {tokens, 5, 2, 3, 0};
    struct group group = {NULL, -7};
    struct watch w = {.stop_at = 1};
    struct rollout_options options = plain;
    options.n_pages = 300;
    struct rollout *rollout;
    FIXTURE_ASSERT(rollout_open(&rollout, model, &options));
    struct rollout_prompt prompts[8] = {prompt, prompt, prompt, prompt, prompt, prompt, prompt, prompt};
    struct group groups[8];
    assert_int_equal(rollout_run(rollout, prompts, 8, &arena, groups, watch, &w), ERR_STOPPED);
    assert_true(w.calls == 1 && w.tokens > 0);
    FIXTURE_ASSERT(rollout_run(rollout, &small, 1, &arena, &group, NULL, NULL)); /* all pages are back */
    assert_int_equal(group.n_completions, 2);
    FIXTURE_ASSERT(rollout_run(rollout, &small, 0, &arena, &group, NULL, NULL));
    rollout_close(rollout);
    arena_release(&arena);
    model_close(model);
}

static void nothing_is_taken_of_the_device_after_opening(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct arena arena = ARENA_INIT;
    struct load load;
    struct rollout *rollout;
    load_init(&load, &arena);
    FIXTURE_ASSERT(rollout_open(&rollout, model, &plain));
    size_t bytes = device_bytes(*state);
    FIXTURE_ASSERT(rollout_run(rollout, load.prompts, N_PROMPTS, &arena, load.groups, NULL, NULL));
    assert_int_equal(device_bytes(*state), bytes);
    rollout_close(rollout);
    arena_release(&arena);
    model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_has_a_row_unless_told_otherwise),
        cmocka_unit_test_setup_teardown(training_has_the_same_bits, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(scheduling_cannot_be_seen, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(groups_and_order_cannot_be_seen, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(filters_and_penalty_cannot_see_it_either, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(runs_repeat_and_keys_matter, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(greedy_takes_the_largest, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(end_and_stop_tokens_end, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(lengths_are_kept, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(what_cannot_fit_is_refused, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(stop_strings_end_across_tokens, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(a_run_can_be_stopped, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(nothing_is_taken_of_the_device_after_opening, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
