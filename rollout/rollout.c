/* rollout/rollout.c - a batch: submit all, step until all have finished, put the groups in order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rollout/engine.h"
#include "rollout/stop.h"

#define PROGRESS_SECONDS 0.1

struct rollout {
    struct engine *engine;
    struct engine_request request; /* what the prompts have in common */
    struct arena arena;            /* of the request's arrays */
    rollout_stream *show;
    void *show_context;
};

static void set_request(struct rollout *r, const struct rollout_options *options)
{
    const char **stop = ARENA_NEW(&r->arena, const char *, options->n_stop);
    for (int i = 0; i < options->n_stop; i++) {
        stop[i] = arena_strdup(&r->arena, options->stop[i]);
    }
    r->request = (struct engine_request){
        .sampling = {.temperature = options->temperature,
                     .top_p = options->top_p,
                     .min_p = options->min_p,
                     .top_k = options->top_k,
                     .repetition_penalty = options->repetition_penalty,
                     .seed = options->seed},
        .stop = stop,
        .n_stop = options->n_stop,
        .stop_tokens =
            arena_copy(&r->arena, options->stop_tokens, (size_t)options->n_stop_tokens * sizeof *options->stop_tokens),
        .n_stop_tokens = options->n_stop_tokens,
        .ignore_eos = options->ignore_eos,
    };
}

enum err rollout_open(struct rollout **out, struct model *model, const struct rollout_options *options)
{
    struct rollout *r = mem_zero(sizeof *r);
    set_request(r, options);
    enum err result = stop_check(&r->request, model);
    if (result == ERR_NONE) {
        result = engine_open(&r->engine, model,
                             &(struct engine_options){options->max_batch_tokens, options->n_pages,
                                                      options->max_sequences, options->keep_experts});
    }
    if (result != ERR_NONE) {
        rollout_close(r);
        return result;
    }
    *out = r;
    return ERR_NONE;
}

void rollout_close(struct rollout *r)
{
    if (r) {
        engine_close(r->engine);
        arena_release(&r->arena);
        free(r);
    }
}

int rollout_rows(int max_batch_tokens, int max_sequences)
{
    return engine_rows(max_batch_tokens, max_sequences);
}

void rollout_set_temperature(struct rollout *r, float temperature)
{
    r->request.sampling.temperature = temperature;
}

void rollout_set_stream(struct rollout *r, rollout_stream *stream, void *context)
{
    r->show = stream;
    r->show_context = context;
}

const struct rollout_stats *rollout_stats(const struct rollout *r)
{
    return engine_stats(r->engine);
}

/* ---- the run ---- */

struct run {
    struct rollout *rollout;
    struct arena *arena;
    struct group *groups; /* [n_prompts] */
    int64_t first;        /* the id of prompt 0; ids follow each other */
    int total;            /* sequences */
    rollout_progress *progress;
    void *context;
    double reported; /* when progress was last called */
};

static void on_piece(void *context, const struct engine_piece *piece)
{
    const struct rollout *r = context;
    if (piece->sample == 0 && piece->text.length > 0) {
        r->show(r->show_context, piece->text);
    }
}

static enum err submit_all(struct run *run, const struct rollout_prompt *prompts, int n_prompts)
{
    struct rollout *r = run->rollout;
    for (int i = 0; i < n_prompts; i++) {
        struct engine_request request = r->request;
        request.tokens = prompts[i].tokens;
        request.n_tokens = prompts[i].n_tokens;
        request.n_samples = prompts[i].n_samples;
        request.max_tokens = prompts[i].max_tokens;
        request.sampling.sequence = prompts[i].sequence;
        request.stream = r->show && i == 0 ? on_piece : NULL;
        request.stream_context = r;
        int64_t id;
        enum err result = engine_submit(r->engine, &request, &id);
        if (result != ERR_NONE) {
            return err_wrap(result, "prompt %d", i);
        }
        run->first = i == 0 ? id : run->first;
        run->total += request.n_samples;
    }
    return ERR_NONE;
}

static enum err take_all(struct run *run)
{
    struct finished finished;
    while (engine_take(run->rollout->engine, run->arena, &finished)) {
        int prompt = (int)(finished.id - run->first);
        if (finished.result != ERR_NONE) {
            return err_set(finished.result, "prompt %d, %s", prompt, finished.error);
        }
        run->groups[prompt] = finished.group;
    }
    return ERR_NONE;
}

static enum err report(struct run *run)
{
    const struct rollout_stats *stats = engine_stats(run->rollout->engine);
    if (run->progress && clock_seconds() - run->reported >= PROGRESS_SECONDS) {
        run->reported = clock_seconds();
        if (run->progress(run->context, stats->completion_tokens, stats->n_finished, run->total)) {
            return err_set(ERR_STOPPED, "the rollout was stopped");
        }
    }
    return ERR_NONE;
}

enum err rollout_run(struct rollout *r, const struct rollout_prompt *prompts, int n_prompts, struct arena *arena,
                     struct group *groups, rollout_progress *progress, void *context)
{
    struct run run = {.rollout = r, .arena = arena, .progress = progress, .context = context};
    run.groups = ARENA_NEW(arena, struct group, n_prompts);
    run.reported = clock_seconds();
    engine_clear_stats(r->engine);
    enum err result = submit_all(&run, prompts, n_prompts);
    while (result == ERR_NONE && engine_load(r->engine).n_requests > 0) {
        engine_step(r->engine);
        result = take_all(&run);
        result = result == ERR_NONE ? report(&run) : result;
    }
    engine_cancel_all(r->engine); /* none is left except after an error */
    TRY(result);
    for (int i = 0; i < n_prompts; i++) {
        groups[i] = run.groups[i];
    }
    return ERR_NONE;
}
