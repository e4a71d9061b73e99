/* rollout/rollout.c - the loop: plan, compute, draw, until every sequence has finished.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/tokenizer.h"
#include "rollout/sampler.h"
#include "rollout/scheduler.h"
#include "rollout/stop.h"
#include "rollout/stream.h"

#define LEAST_BATCH_TOKENS 512
#define DEFAULT_SEQUENCES  256
#define PROGRESS_SECONDS   0.1

struct rollout {
    struct model *model;            /* borrowed */
    struct rollout_options options; /* its arrays are copied into `stop` */
    struct stop stop;
    struct scheduler scheduler;
    struct sampler sampler;
    struct kv_pool pool;
    void *hidden;       /* device, [max_batch_tokens, d] */
    struct strbuf text; /* scratch */
    struct stream stream;
    rollout_stream *show;
    void *show_context;
    struct rollout_stats stats;

    struct arena arena; /* of one run: all below */
    struct sequence *sequences;
    struct draw_job *jobs; /* [n_sequences]; n_jobs of this step */
    struct draw *draws;
    int n_sequences, n_jobs;
};

/* ---- open and close ---- */

int rollout_rows(int max_batch_tokens, int max_sequences)
{
    int least = max_sequences > LEAST_BATCH_TOKENS ? max_sequences : LEAST_BATCH_TOKENS;
    return max_batch_tokens > 0 ? max_batch_tokens : least;
}

enum err rollout_open(struct rollout **out, struct model *model, const struct rollout_options *options)
{
    struct stop stop;
    TRY(stop_init(&stop, options, model));
    struct rollout *r = mem_zero(sizeof *r);
    r->model = model;
    r->options = *options;
    r->options.stop = NULL;
    r->options.stop_tokens = NULL;
    r->stop = stop;
    int rows = rollout_rows(options->max_batch_tokens, options->max_sequences);
    int most = options->max_sequences > 0 ? options->max_sequences : DEFAULT_SEQUENCES;
    int running = most < rows ? most : rows;
    int n_pages = options->n_pages > 0 ? options->n_pages : kvcache_plan(model, running, model->max_positions);
    int scheduled = device_plans(model->device) ? 1 : n_pages; /* there, nothing will be */
    scheduler_init(&r->scheduler, scheduled, most, rows, model->max_positions);
    sampler_init(&r->sampler, model, &r->options, running);
    kv_pool_init(&r->pool, model, n_pages);
    r->hidden =
        device_alloc_in(model->device, DEVICE_ROLLOUT,
                        (size_t)rows * (size_t)model->config.d * model->device->element_bytes, "rollout: hidden rows");
    model_reserve_cached(model, rows);
    *out = r;
    return ERR_NONE;
}

void rollout_close(struct rollout *r)
{
    if (!r) {
        return;
    }
    device_free(r->model->device, r->hidden);
    kv_pool_release(&r->pool, r->model);
    sampler_release(&r->sampler);
    scheduler_release(&r->scheduler);
    stop_release(&r->stop);
    stream_release(&r->stream);
    strbuf_release(&r->text);
    arena_release(&r->arena);
    free(r);
}

void rollout_set_temperature(struct rollout *r, float temperature)
{
    r->options.temperature = temperature;
}

void rollout_set_stream(struct rollout *r, rollout_stream *stream, void *context)
{
    r->show = stream;
    r->show_context = context;
}

const struct rollout_stats *rollout_stats(const struct rollout *r)
{
    return &r->stats;
}

/* ---- begin ---- */

static enum err check_prompt(const struct rollout *r, const struct rollout_prompt *prompt, int i)
{
    const struct model *model = r->model;
    BUG_ON(prompt->n_samples < 1 || prompt->max_tokens < 1);
    if (prompt->n_tokens < 1) {
        return err_set(ERR_FORMAT, "prompt %d is empty; give it at least one token", i);
    }
    if (prompt->n_tokens > model->max_positions - 1) {
        return err_set(ERR_LIMIT, "prompt %d has %d tokens, and the limit is %d; shorten it, or allow longer sequences",
                       i, prompt->n_tokens, model->max_positions - 1);
    }
    struct sequence longest[1];
    struct rollout_prompt one = *prompt;
    one.n_samples = 1;
    sequence_init_group(longest, &one, i, model->max_positions);
    int needed = kvcache_pages(longest->limit - 1);
    if (needed > r->scheduler.cache.n_pages) {
        return err_set(
            ERR_LIMIT,
            "prompt %d has %d tokens, and with %d more it needs %d pages of the key/value cache, where there "
            "are %d; shorten it or its completions, or allow more memory",
            i, prompt->n_tokens, longest->limit - prompt->n_tokens, needed, r->scheduler.cache.n_pages);
    }
    for (int k = 0; k < prompt->n_tokens; k++) {
        if (prompt->tokens[k] < 0 || prompt->tokens[k] >= model->config.V) {
            return err_set(ERR_FORMAT, "prompt %d: token %d is %d, and the model knows 0 to %d; use its own tokenizer",
                           i, k, prompt->tokens[k], model->config.V - 1);
        }
    }
    return ERR_NONE;
}

static void begin(struct rollout *r, const struct rollout_prompt *prompts, int n_prompts)
{
    int n = 0;
    for (int i = 0; i < n_prompts; i++) {
        n += prompts[i].n_samples;
    }
    arena_reset(&r->arena);
    r->stats = (struct rollout_stats){0};
    r->n_sequences = n;
    r->sequences = ARENA_NEW(&r->arena, struct sequence, n);
    r->jobs = ARENA_NEW(&r->arena, struct draw_job, n);
    r->draws = ARENA_NEW(&r->arena, struct draw, n);
    for (int i = 0, at = 0; i < n_prompts; at += prompts[i++].n_samples) {
        sequence_init_group(r->sequences + at, &prompts[i], i, r->model->max_positions);
        r->stats.prompt_tokens += prompts[i].n_tokens;
    }
    scheduler_begin(&r->scheduler, r->sequences, n);
}

/* ---- one step ---- */

static void compute(struct rollout *r, const struct plan *plan)
{
    for (int i = 0; i < plan->n_copies; i++) {
        kv_pool_copy(&r->pool, r->model, plan->copies[i].from, plan->copies[i].to, plan->copies[i].n);
    }
    struct cached_batch batch = {plan->T, plan->tokens, plan->positions, plan->n_spans, plan->spans};
    model_forward_cached(r->model, &batch, &r->pool, r->hidden);
    scheduler_advance(&r->scheduler);
}

/* Who has all rows computed draws; the end of a prompt draws for its whole group. */
static void find_jobs(struct rollout *r, const struct plan *plan)
{
    r->n_jobs = 0;
    for (int i = 0; i < plan->n_spans; i++) {
        struct sequence *q = plan->owners[i];
        if (q->n_cached < q->n_tokens) {
            continue;
        }
        int row = plan->spans[i].row + plan->spans[i].n_rows - 1;
        int n = sequence_drawn(q) == 0 ? q->n_samples : 1;
        for (int k = 0; k < n; k++) {
            r->jobs[r->n_jobs++] = (struct draw_job){row, q + k};
        }
    }
}

/* ---- what a drawn token means ---- */

/* Whether a stop string ends in the text of the token just drawn; keeps the end of the text for the next. */
static bool meets_stop_string(struct rollout *r, struct sequence *q, int32_t token)
{
    size_t kept = r->stop.longest - 1;
    strbuf_clear(&r->text);
    strbuf_add(&r->text, q->tail, q->tail_length);
    tokenizer_decode(r->model->tokenizer, &token, 1, false, &r->text);
    if (!q->tail) {
        q->tail = arena_alloc(&r->arena, kept);
    }
    q->tail_length = r->text.length < kept ? r->text.length : kept;
    memcpy(q->tail, r->text.data + r->text.length - q->tail_length, q->tail_length);
    return stop_find(&r->stop, strbuf_view(&r->text)) >= 0;
}

static enum finish_reason judge(struct rollout *r, struct sequence *q, int32_t token)
{
    enum finish_reason reason = stop_token(&r->stop, token);
    if (reason == FINISH_NONE && r->stop.longest > 0 && meets_stop_string(r, q, token)) {
        reason = FINISH_STOP;
    }
    return reason == FINISH_NONE && q->n_tokens == q->limit ? FINISH_LENGTH : reason;
}

static void show(struct rollout *r, const struct sequence *q, int32_t token)
{
    struct str piece;
    if (stop_token(&r->stop, token) == FINISH_NONE) {
        piece = stream_push(&r->stream, &r->stop, r->model->tokenizer, token);
        if (piece.length > 0) {
            r->show(r->show_context, piece);
        }
    }
    if (q->finish != FINISH_NONE) {
        piece = stream_end(&r->stream, &r->stop);
        if (piece.length > 0) {
            r->show(r->show_context, piece);
        }
    }
}

static void complete(struct rollout *r, struct sequence *q, struct arena *arena, struct completion *out)
{
    int n = sequence_drawn(q), shown = n;
    const int32_t *tokens = q->tokens + q->n_prompt;
    size_t count = (size_t)n;
    out->tokens = arena_copy(arena, tokens, count * sizeof *tokens);
    out->logprob = arena_copy(arena, q->logprob, count * sizeof *q->logprob);
    out->lse = arena_copy(arena, q->lse, count * sizeof *q->lse);
    out->entropy = arena_copy(arena, q->entropy, count * sizeof *q->entropy);
    out->n_tokens = n;
    out->finish = q->finish;
    if (stop_token(&r->stop, tokens[n - 1]) != FINISH_NONE) {
        shown--;
    }
    if (r->model->tokenizer) {
        strbuf_clear(&r->text);
        tokenizer_decode(r->model->tokenizer, tokens, shown, false, &r->text);
        struct str text = strbuf_view(&r->text);
        ptrdiff_t end = stop_find(&r->stop, text);
        text = str_slice(text, 0, end >= 0 ? (size_t)end : text.length);
        out->text = (struct str){arena_strndup(arena, text.data, text.length), text.length};
    }
}

/* Two passes, since a sequence that ends hands its pages to a sibling that must have its own token by then. */
static void accept_draws(struct rollout *r, struct arena *arena, struct completion *completions)
{
    for (int i = 0; i < r->n_jobs; i++) {
        struct sequence *q = r->jobs[i].sequence;
        int32_t token = r->draws[i].token;
        sequence_append(q, &r->draws[i], &r->arena);
        q->finish = judge(r, q, token);
        if (r->show && r->model->tokenizer && q == r->sequences) {
            show(r, q, token);
        }
    }
    for (int i = 0; i < r->n_jobs; i++) {
        struct sequence *q = r->jobs[i].sequence;
        if (q->finish != FINISH_NONE) {
            complete(r, q, arena, &completions[q - r->sequences]);
            scheduler_finish(&r->scheduler, q);
        }
    }
    r->stats.completion_tokens += r->n_jobs;
}

/* ---- the run ---- */

static void step(struct rollout *r, struct arena *arena, struct completion *completions)
{
    double start = clock_seconds();
    const struct plan *plan = scheduler_plan(&r->scheduler);
    compute(r, plan);
    find_jobs(r, plan);
    sampler_draw(&r->sampler, r->hidden, r->jobs, r->n_jobs, r->draws);
    accept_draws(r, arena, completions);
    r->stats.n_steps++;
    r->stats.computed_rows += plan->T;
    if (plan->n_decode == plan->T) {
        r->stats.decode_rows += plan->T;
        r->stats.decode_seconds += clock_seconds() - start;
    }
}

static void finish_stats(struct rollout *r, double start)
{
    const struct scheduler *s = &r->scheduler;
    r->stats.shared_tokens = s->shared_tokens;
    r->stats.n_preempted = s->n_preempted;
    r->stats.most_pages = s->cache.most_used;
    r->stats.most_sequences = s->most_running;
    r->stats.seconds = clock_seconds() - start;
}

static enum err run_steps(struct rollout *r, struct arena *arena, struct completion *completions,
                          rollout_progress *progress, void *context)
{
    double told = clock_seconds();
    while (!scheduler_done(&r->scheduler)) {
        step(r, arena, completions);
        if (progress && clock_seconds() - told >= PROGRESS_SECONDS) {
            told = clock_seconds();
            if (progress(context, r->stats.completion_tokens, r->scheduler.n_finished, r->n_sequences)) {
                return err_set(ERR_STOPPED, "the rollout was stopped");
            }
        }
    }
    return ERR_NONE;
}

enum err rollout_run(struct rollout *r, const struct rollout_prompt *prompts, int n_prompts, struct arena *arena,
                     struct group *groups, rollout_progress *progress, void *context)
{
    for (int i = 0; i < n_prompts; i++) {
        TRY(check_prompt(r, &prompts[i], i));
    }
    double start = clock_seconds();
    device_use(r->model->device, DEVICE_ROLLOUT);
    begin(r, prompts, n_prompts);
    struct completion *completions = ARENA_NEW(arena, struct completion, r->n_sequences);
    enum err result = run_steps(r, arena, completions, progress, context);
    scheduler_abandon(&r->scheduler); /* nothing is left but after a stop */
    stream_end(&r->stream, &r->stop);
    finish_stats(r, start);
    TRY(result);
    for (int i = 0; i < n_prompts; completions += prompts[i++].n_samples) {
        groups[i] = (struct group){completions, prompts[i].n_samples};
    }
    return ERR_NONE;
}
