/* tests/bench/decode.c - decoding: a forward pass of one row for each sequence, and a token drawn for each.
 *
 *   decode MODEL THREADS BATCH STEPS
 *
 * A turn for each line of standard input (tests/bench/duel.sh): STEPS steps of BATCH sequences after a prompt of 32 tokens.
 * Tokens are drawn at temperature 1, with their log-probabilities, as rollout does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/rng.h"
#include "model/model.h"
#include "tests/bench/bench.h"

enum { PROMPT = 32, LENGTH = 120 };

struct decoder {
    struct model *model;
    struct kv_pool pool;
    int n, steps, position;
    int32_t *tokens, *positions, *pages; /* [n * PROMPT] twice, [n] */
    struct span *spans;
    struct sampling *sampling;
    float *hidden, *last, *logprob, *lse, *entropy;
    double wall, cpu; /* of the last turn */
};

/* The next `rows` tokens of each sequence through the model, and one drawn for each. */
static void feed(struct decoder *d, int rows)
{
    const struct model_config *config = &d->model->config;
    size_t row_bytes = (size_t)config->d * sizeof(float);
    for (int s = 0; s < d->n; s++) {
        d->spans[s] = (struct span){s * rows, rows, d->position, &d->pages[s]};
        for (int i = 0; i < rows; i++) {
            d->positions[s * rows + i] = d->position + i;
        }
        d->sampling[s] = (struct sampling){.temperature = 1,
                                           .top_p = 1,
                                           .repetition_penalty = 1,
                                           .seed = 1,
                                           .sequence = (uint64_t)s,
                                           .position = (uint32_t)(d->position + rows)};
    }
    model_forward_cached(d->model, &(struct cached_batch){d->n * rows, d->tokens, d->positions, d->n, d->spans},
                         &d->pool, d->hidden);
    for (int s = 0; s < d->n; s++) {
        ptrdiff_t from = ((ptrdiff_t)s * rows + rows - 1) * config->d;
        memcpy(d->last + (ptrdiff_t)s * config->d, d->hidden + from, row_bytes);
    }
    d->model->device->ops->head_sample(&(struct head_sample_args){
        .n_rows = d->n,
        .d = config->d,
        .V = config->V,
        .n_valid = config->V,
        .hidden = d->last,
        .w = params_at(&d->model->params, d->model->weights.head),
        .sampling = d->sampling,
        .tokens = d->tokens,
        .logprob = d->logprob,
        .lse = d->lse,
        .entropy = d->entropy,
    });
    d->position += rows;
}

static void turn(struct decoder *d)
{
    if (d->position == 0 || d->position + d->steps > LENGTH) {
        struct rng rng = rng_stream(1, 1);
        d->position = 0;
        for (int i = 0; i < d->n * PROMPT; i++) {
            d->tokens[i] = (int32_t)rng_below(&rng, (uint32_t)d->model->config.V);
        }
        feed(d, PROMPT);
    }
    double wall = clock_seconds(), cpu = bench_cpu_seconds();
    for (int i = 0; i < d->steps; i++) {
        feed(d, 1);
    }
    d->wall = clock_seconds() - wall;
    d->cpu = bench_cpu_seconds() - cpu;
}

static void decoder_init(struct decoder *d, struct model *model, struct arena *arena, int n, int steps)
{
    int rows = n * PROMPT;
    *d = (struct decoder){.model = model, .n = n, .steps = steps};
    kv_pool_init(&d->pool, model, n);
    model_reserve_cached(model, rows);
    d->tokens = ARENA_NEW(arena, int32_t, rows);
    d->positions = ARENA_NEW(arena, int32_t, rows);
    d->pages = ARENA_NEW(arena, int32_t, n);
    d->spans = ARENA_NEW(arena, struct span, n);
    d->sampling = ARENA_NEW(arena, struct sampling, n);
    d->hidden = ARENA_NEW(arena, float, (size_t)rows *(size_t)model->config.d);
    d->last = ARENA_NEW(arena, float, (size_t)n *(size_t)model->config.d);
    d->logprob = ARENA_NEW(arena, float, n);
    d->lse = ARENA_NEW(arena, float, n);
    d->entropy = ARENA_NEW(arena, float, n);
    for (int s = 0; s < n; s++) {
        d->pages[s] = s;
    }
}

int main(int argc, char **argv)
{
    struct device *device;
    struct model *model;
    struct arena arena = ARENA_INIT;
    struct decoder decoder;
    char line[64];
    if (argc < 5 || device_open(&device, "auto") != ERR_NONE || model_open(&model, argv[1], device, 128) != ERR_NONE) {
        fprintf(stderr, "%s\n", argc < 5 ? "decode MODEL THREADS BATCH STEPS" : err_text());
        return 2;
    }
    device_set_threads((int)strtol(argv[2], NULL, 10));
    decoder_init(&decoder, model, &arena, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    turn(&decoder);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        turn(&decoder);
        printf("%.9f %.9f\n", decoder.wall, decoder.cpu);
        fflush(stdout);
    }
    kv_pool_release(&decoder.pool, model);
    model_close(model);
    device_close(device);
    arena_release(&arena);
    return 0;
}
