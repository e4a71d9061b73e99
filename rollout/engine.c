/* rollout/engine.c - the step: plan, compute, draw, and what each drawn token means.
 *
 * A request is a struct sequence_group, first in the scheduler's list, then in the list of the finished. Callbacks may
 * submit and cancel in the middle of a step: a new group joins the next plan, and what is cancelled is only marked
 * until the step is over.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "model/tokenizer.h"
#include "rollout/sampler.h"
#include "rollout/scheduler.h"

#define MIN_BATCH_TOKENS  512
#define DEFAULT_SEQUENCES 256

struct engine {
    struct model *model; /* borrowed */
    struct scheduler scheduler;
    struct sampler sampler;
    struct kv_pool pool;
    void *hidden;                              /* device, [max_batch_tokens, d] */
    int expert_bytes;                          /* of a token; 0: experts are not kept */
    uint8_t *experts;                          /* scratch, [max_batch_tokens, expert_bytes] */
    struct sequence_group *finished, **newest; /* a list; where the next one is hooked in */
    struct strbuf text;                        /* scratch */
    struct draw_job *jobs;                     /* [n_jobs] of this step */
    struct draw *draws;                        /* [n_jobs] */
    int n_jobs, jobs_capacity;
    bool stepping, marked; /* within engine_step; some group or sequence is cancelled or has failed */
    int64_t next_id;
    struct rollout_stats stats;
};

/* ---- open and close ---- */

int engine_rows(int max_batch_tokens, int max_sequences)
{
    int min = max_sequences > MIN_BATCH_TOKENS ? max_sequences : MIN_BATCH_TOKENS;
    return max_batch_tokens > 0 ? max_batch_tokens : min;
}

enum err engine_open(struct engine **out, struct model *model, const struct engine_options *options)
{
    struct engine *e = mem_zero(sizeof *e);
    int rows = engine_rows(options->max_batch_tokens, options->max_sequences);
    int sequences = options->max_sequences > 0 ? options->max_sequences : DEFAULT_SEQUENCES;
    int running = sequences < rows ? sequences : rows;
    int n_pages = options->n_pages > 0 ? options->n_pages : kvcache_plan(model, running, model->max_positions);
    int scheduled = device_plans(model->device) ? 1 : n_pages; /* there nothing will be scheduled */
    e->model = model;
    e->newest = &e->finished;
    scheduler_init(&e->scheduler, scheduled, sequences, rows, model->max_positions);
    sampler_init(&e->sampler, model, running);
    kv_pool_init(&e->pool, model, n_pages);
    e->hidden =
        device_alloc_in(model->device, DEVICE_ROLLOUT,
                        (size_t)rows * (size_t)model->config.d * model->device->element_bytes, "rollout: hidden rows");
    model_reserve_cached(model, rows);
    e->expert_bytes = options->keep_experts ? model_expert_bytes(&model->config) : 0;
    e->experts = mem_zero((size_t)rows * (size_t)e->expert_bytes + 1);
    *out = e;
    return ERR_NONE;
}

void engine_close(struct engine *e)
{
    if (!e) {
        return;
    }
    engine_cancel_all(e);
    device_free(e->model->device, e->hidden);
    kv_pool_release(&e->pool, e->model);
    sampler_release(&e->sampler);
    scheduler_release(&e->scheduler);
    strbuf_release(&e->text);
    free(e->experts);
    free(e->jobs);
    free(e->draws);
    free(e);
}

struct engine_load engine_load(const struct engine *e)
{
    const struct scheduler *s = &e->scheduler;
    return (struct engine_load){s->n_groups, s->n_running, s->cache.n_pages, kvcache_used(&s->cache)};
}

const struct rollout_stats *engine_stats(const struct engine *e)
{
    return &e->stats;
}

void engine_clear_stats(struct engine *e)
{
    scheduler_clear_counters(&e->scheduler);
    e->stats = (struct rollout_stats){0};
}

/* ---- submit and take ---- */

static enum err check_tokens(const struct engine *e, const struct engine_request *request)
{
    for (int i = 0; i < request->n_tokens; i++) {
        if (request->tokens[i] < 0 || request->tokens[i] >= e->model->config.V) {
            return err_set(ERR_FORMAT,
                           "token %d of the prompt is %d, and the model knows 0 to %d; use its own tokenizer", i,
                           request->tokens[i], e->model->config.V - 1);
        }
    }
    return ERR_NONE;
}

/* The comparisons are false for a number that is not one. */
static enum err check_options(const struct engine_request *request)
{
    const struct sampling *s = &request->sampling;
    if (request->n_samples < 1 || request->max_tokens < 1) {
        return err_set(ERR_USAGE,
                       "%d samples of at most %d tokens are requested; request at least one sample of one token",
                       request->n_samples, request->max_tokens);
    }
    if (!(s->temperature >= 0 && s->temperature < INFINITY)) {
        return err_set(ERR_USAGE, "temperature is %g; give a number from 0", (double)s->temperature);
    }
    if (!(s->top_p > 0 && s->top_p <= 1)) {
        return err_set(ERR_USAGE, "top_p is %g; give a number above 0, up to 1 (off)", (double)s->top_p);
    }
    if (!(s->min_p >= 0 && s->min_p <= 1)) {
        return err_set(ERR_USAGE, "min_p is %g; give a number from 0 (off) to 1", (double)s->min_p);
    }
    if (s->top_k < 0) {
        return err_set(ERR_USAGE, "top_k is %d; give a number from 0 (off)", s->top_k);
    }
    if (!(s->repetition_penalty > 0 && s->repetition_penalty < INFINITY)) {
        return err_set(ERR_USAGE, "repetition_penalty is %g; give a number above 0, 1 for none",
                       (double)s->repetition_penalty);
    }
    return ERR_NONE;
}

static enum err check(const struct engine *e, const struct engine_request *request)
{
    int longest = e->model->max_positions, n_pages = e->scheduler.cache.n_pages;
    TRY(check_options(request));
    if (request->n_tokens < 1) {
        return err_set(ERR_FORMAT, "the prompt is empty; give it at least one token");
    }
    if (request->n_tokens > longest - 1) {
        return err_set(ERR_LIMIT,
                       "the prompt has %d tokens, and the limit is %d; shorten it, or allow longer sequences",
                       request->n_tokens, longest - 1);
    }
    int limit = sequence_limit(request, longest), needed = kvcache_pages(limit - 1);
    if (needed > n_pages) {
        return err_set(
            ERR_LIMIT,
            "the prompt has %d tokens, and with %d more it needs %d pages of the key/value cache, where there "
            "are %d; shorten it or its completions, or allow more memory",
            request->n_tokens, limit - request->n_tokens, needed, n_pages);
    }
    TRY(check_tokens(e, request));
    return stop_check(request, e->model);
}

enum err engine_submit(struct engine *e, const struct engine_request *request, int64_t *id)
{
    TRY(check(e, request));
    struct sequence_group *group = sequence_group_new(request, e->model->max_positions);
    stop_init(&group->stop, request, e->model, &group->arena);
    group->expert_bytes = e->expert_bytes;
    group->prompt_experts = ARENA_NEW(&group->arena, uint8_t, request->n_tokens * e->expert_bytes);
    *id = group->id = e->next_id++;
    scheduler_add(&e->scheduler, group);
    e->stats.prompt_tokens += request->n_tokens;
    return ERR_NONE;
}

static void complete(struct engine *e, const struct sequence *q, struct arena *arena, struct completion *out)
{
    const struct stop *stop = &q->group->stop;
    const int32_t *tokens = q->tokens + q->n_prompt;
    int n = sequence_drawn(q), shown = n;
    size_t count = (size_t)n;
    out->tokens = arena_copy(arena, tokens, count * sizeof *tokens);
    out->logprob = arena_copy(arena, q->logprob, count * sizeof *q->logprob);
    out->lse = arena_copy(arena, q->lse, count * sizeof *q->lse);
    out->entropy = arena_copy(arena, q->entropy, count * sizeof *q->entropy);
    out->expert_bytes = e->expert_bytes;
    if (e->expert_bytes > 0 && n > 0) {
        out->experts = arena_copy(arena, q->experts, (count - 1) * (size_t)e->expert_bytes);
    }
    out->n_tokens = n;
    out->finish = q->finish;
    if (n > 0 && stop_token(stop, tokens[n - 1]) != FINISH_NONE) {
        shown--;
    }
    if (e->model->tokenizer) {
        strbuf_clear(&e->text);
        tokenizer_decode(e->model->tokenizer, tokens, shown, false, &e->text);
        struct str text = strbuf_view(&e->text);
        ptrdiff_t end = stop_find(stop, text);
        text = str_slice(text, 0, end >= 0 ? (size_t)end : text.length);
        out->text = (struct str){arena_strndup(arena, text.data, text.length), text.length};
    }
}

/* Takes the first of the list out of it. */
static struct sequence_group *pop_finished(struct engine *e)
{
    struct sequence_group *group = e->finished;
    e->finished = group->next;
    e->newest = e->finished ? e->newest : &e->finished;
    return group;
}

static void push_finished(struct engine *e, struct sequence_group *group)
{
    *e->newest = group;
    e->newest = &group->next;
}

bool engine_take(struct engine *e, struct arena *arena, struct finished *out)
{
    if (!e->finished) {
        return false;
    }
    struct sequence_group *group = pop_finished(e);
    *out = (struct finished){.id = group->id};
    if (group->error) {
        out->result = ERR_NUMBERS;
        out->error = arena_strdup(arena, group->error);
    } else {
        size_t bytes = (size_t)group->samples[0].n_prompt * (size_t)e->expert_bytes;
        const uint8_t *prompt_experts = bytes > 0 ? arena_copy(arena, group->prompt_experts, bytes) : NULL;
        out->group.n_completions = group->n_samples;
        out->group.completions = ARENA_NEW(arena, struct completion, group->n_samples);
        for (int i = 0; i < group->n_samples; i++) {
            complete(e, &group->samples[i], arena, &out->group.completions[i]);
            out->group.completions[i].prompt_experts = prompt_experts;
            out->group.completions[i].prompt_bytes = (int)bytes;
        }
    }
    sequence_group_free(group);
    return true;
}

/* ---- cancel ---- */

/* A sequence has ended; with its last one the request is finished. */
static void finish(struct engine *e, struct sequence *q)
{
    struct sequence_group *group = q->group;
    e->stats.n_finished++;
    scheduler_finish(&e->scheduler, q);
    if (group->n_finished == group->n_samples) {
        push_finished(e, group);
    }
}

static void end_cancelled_samples(struct engine *e, struct sequence_group *group)
{
    for (int i = 0, n = group->n_samples; i < n; i++) {
        struct sequence *q = &group->samples[i];
        if (q->cancelled && q->state != SEQUENCE_FINISHED) {
            q->finish = FINISH_CANCELLED;
            finish(e, q);
        }
    }
}

/* Carries out what is marked, unless a step is under way. */
static void sweep(struct engine *e)
{
    struct sequence_group *next;
    if (e->stepping || !e->marked) {
        return;
    }
    for (struct sequence_group *group = e->scheduler.first; group; group = next) {
        next = group->next;
        if (group->cancelled) {
            scheduler_remove(&e->scheduler, group);
            sequence_group_free(group);
        } else if (group->error) {
            scheduler_remove(&e->scheduler, group);
            push_finished(e, group);
        } else {
            end_cancelled_samples(e, group);
        }
    }
    e->marked = false;
}

/* A request in flight that is not cancelled; NULL if there is none. */
static struct sequence_group *find(const struct engine *e, int64_t id)
{
    struct sequence_group *group = e->scheduler.first;
    while (group && group->id != id) {
        group = group->next;
    }
    return group && !group->cancelled ? group : NULL;
}

static bool drop_finished(struct engine *e, int64_t id)
{
    struct sequence_group **at = &e->finished;
    while (*at && (*at)->id != id) {
        at = &(*at)->next;
    }
    struct sequence_group *group = *at;
    if (!group) {
        return false;
    }
    *at = group->next;
    e->newest = group->next ? e->newest : at;
    sequence_group_free(group);
    return true;
}

bool engine_cancel(struct engine *e, int64_t id)
{
    struct sequence_group *group = find(e, id);
    if (!group) {
        return drop_finished(e, id);
    }
    group->cancelled = e->marked = true;
    sweep(e);
    return true;
}

bool engine_cancel_sample(struct engine *e, int64_t id, int sample)
{
    struct sequence_group *group = find(e, id);
    if (!group) {
        return false;
    }
    BUG_ON(sample < 0 || sample >= group->n_samples);
    struct sequence *q = &group->samples[sample];
    if (q->cancelled || q->finish != FINISH_NONE) {
        return false;
    }
    q->cancelled = e->marked = true;
    sweep(e);
    return true;
}

void engine_cancel_all(struct engine *e)
{
    for (struct sequence_group *group = e->scheduler.first; group; group = group->next) {
        group->cancelled = e->marked = true;
    }
    while (e->finished) {
        sequence_group_free(pop_finished(e));
    }
    sweep(e);
}

/* ---- one step ---- */

/* The experts of the rows just computed go to their sequences; a row that is computed again has the same. */
static void keep_experts(struct engine *e, const struct plan *plan)
{
    size_t bytes = (size_t)e->expert_bytes;
    model_cached_experts(e->model, plan->T, e->experts);
    for (int i = 0; i < plan->n_spans; i++) {
        const struct span *span = &plan->spans[i];
        const struct sequence *q = plan->owners[i];
        for (int k = 0; k < span->n_rows; k++) {
            int position = span->position + k, drawn = position - q->n_prompt;
            uint8_t *to =
                drawn < 0 ? q->group->prompt_experts + (size_t)position * bytes : q->experts + (size_t)drawn * bytes;
            memcpy(to, e->experts + (size_t)(span->row + k) * bytes, bytes);
        }
    }
}

static void compute(struct engine *e, const struct plan *plan)
{
    for (int i = 0; i < plan->n_copies; i++) {
        kv_pool_copy(&e->pool, e->model, plan->copies[i].from, plan->copies[i].to, plan->copies[i].n);
    }
    struct cached_batch batch = {plan->T, plan->tokens, plan->positions, plan->n_spans, plan->spans};
    model_forward_cached(e->model, &batch, &e->pool, e->hidden);
    if (e->expert_bytes > 0) {
        keep_experts(e, plan);
    }
    scheduler_advance(&e->scheduler);
}

static void add_job(struct engine *e, int row, struct sequence *q)
{
    if (e->n_jobs == e->jobs_capacity) {
        e->jobs_capacity = e->jobs_capacity > 0 ? 2 * e->jobs_capacity : 64;
        e->jobs = mem_grow(e->jobs, (size_t)e->jobs_capacity * sizeof *e->jobs);
        e->draws = mem_grow(e->draws, (size_t)e->jobs_capacity * sizeof *e->draws);
    }
    e->jobs[e->n_jobs++] = (struct draw_job){row, q};
}

/* A sequence whose rows are all computed draws; the end of a prompt draws for its whole group. */
static void find_jobs(struct engine *e, const struct plan *plan)
{
    e->n_jobs = 0;
    for (int i = 0; i < plan->n_spans; i++) {
        struct sequence *q = plan->owners[i];
        int row = plan->spans[i].row + plan->spans[i].n_rows - 1;
        if (q->n_cached < q->n_tokens) {
            continue;
        }
        if (sequence_drawn(q) > 0) {
            add_job(e, row, q);
            continue;
        }
        for (int k = 0; k < q->group->n_samples; k++) {
            if (q->group->samples[k].state != SEQUENCE_FINISHED) { /* it has not been cancelled */
                add_job(e, row, &q->group->samples[k]);
            }
        }
    }
}

/* ---- what a drawn token means ---- */

/* Numbers that are not finite end the request: its other samples come from the same weights. */
static bool is_sound(struct engine *e, const struct sequence *q, const struct draw *draw)
{
    struct sequence_group *group = q->group;
    if (isfinite(draw->logprob) && isfinite(draw->lse) && isfinite(draw->entropy)) {
        return true;
    }
    e->marked = true;
    group->error = arena_printf(&group->arena,
                                "sample %d, token %d (position %d of the sequence): log-probability %g, log-sum-exp "
                                "%g, entropy %g; they must be "
                                "finite, so the model's weights or activations are broken (not a number, or too large)",
                                q->sample, sequence_drawn(q), q->n_tokens, (double)draw->logprob, (double)draw->lse,
                                (double)draw->entropy);
    return false;
}

/* Whether a stop string ends in the text of the token just drawn; keeps the end of the text for the next. */
static bool meets_stop_string(struct engine *e, struct sequence *q, int32_t token)
{
    const struct stop *stop = &q->group->stop;
    size_t kept = stop->longest - 1;
    strbuf_clear(&e->text);
    strbuf_add(&e->text, q->tail, q->tail_length);
    tokenizer_decode(e->model->tokenizer, &token, 1, false, &e->text);
    if (!q->tail) {
        q->tail = arena_alloc(&q->group->arena, kept);
    }
    q->tail_length = e->text.length < kept ? e->text.length : kept;
    memcpy(q->tail, e->text.data + e->text.length - q->tail_length, q->tail_length);
    return stop_find(stop, strbuf_view(&e->text)) >= 0;
}

static enum finish_reason judge(struct engine *e, struct sequence *q, int32_t token)
{
    const struct stop *stop = &q->group->stop;
    enum finish_reason reason = stop_token(stop, token);
    if (reason == FINISH_NONE && stop->longest > 0 && meets_stop_string(e, q, token)) {
        reason = FINISH_STOP;
    }
    return reason == FINISH_NONE && q->n_tokens == q->limit ? FINISH_LENGTH : reason;
}

/* The text that has become certain with a token. */
static struct str new_text(struct engine *e, const struct sequence *q, int32_t token)
{
    const struct stop *stop = &q->group->stop;
    struct stream *stream = &q->group->streams[q->sample];
    strbuf_clear(&e->text);
    if (stop_token(stop, token) == FINISH_NONE) {
        strbuf_add_str(&e->text, stream_push(stream, stop, e->model->tokenizer, token));
    }
    if (q->finish != FINISH_NONE) {
        strbuf_add_str(&e->text, stream_end(stream, stop));
    }
    return strbuf_view(&e->text);
}

static void show(struct engine *e, const struct sequence *q, const struct draw *draw)
{
    const struct sequence_group *group = q->group;
    if (!group->stream || group->cancelled || q->cancelled) {
        return;
    }
    struct engine_piece piece = {
        .id = group->id, .sample = q->sample, .token = draw->token, .logprob = draw->logprob, .finish = q->finish};
    if (e->model->tokenizer) {
        piece.text = new_text(e, q, draw->token);
    }
    group->stream(group->stream_context, &piece);
}

/* Two passes, since a sequence that ends hands its pages to a sibling that must have its own token by then. */
static void accept_draws(struct engine *e)
{
    for (int i = 0; i < e->n_jobs; i++) {
        struct sequence *q = e->jobs[i].sequence;
        const struct draw draw = e->draws[i];
        if (!q->group->error && is_sound(e, q, &draw)) {
            sequence_append(q, &draw);
            q->finish = judge(e, q, draw.token);
            show(e, q, &draw);
        }
    }
    for (int i = 0; i < e->n_jobs; i++) {
        struct sequence *q = e->jobs[i].sequence;
        if (q->finish != FINISH_NONE && !q->group->error && !q->group->cancelled) {
            finish(e, q);
        }
    }
    e->stats.completion_tokens += e->n_jobs;
}

static void count_step(struct engine *e, const struct plan *plan, double seconds)
{
    const struct scheduler *s = &e->scheduler;
    e->stats.n_steps++;
    e->stats.computed_rows += plan->T;
    e->stats.seconds += seconds;
    if (plan->n_decode == plan->T) {
        e->stats.decode_rows += plan->T;
        e->stats.decode_seconds += seconds;
    }
    e->stats.shared_tokens = s->shared_tokens;
    e->stats.n_preempted = s->n_preempted;
    e->stats.peak_pages = s->cache.peak_used;
    e->stats.peak_sequences = s->peak_running;
}

void engine_step(struct engine *e)
{
    BUG_ON(e->stepping);
    if (e->scheduler.n_groups == 0) {
        return;
    }
    double start = clock_seconds();
    device_use(e->model->device, DEVICE_ROLLOUT);
    e->stepping = true;
    const struct plan *plan = scheduler_plan(&e->scheduler);
    compute(e, plan);
    find_jobs(e, plan);
    sampler_draw(&e->sampler, e->hidden, e->jobs, e->n_jobs, e->draws);
    accept_draws(e);
    e->stepping = false;
    sweep(e);
    count_step(e, plan, clock_seconds() - start);
}
