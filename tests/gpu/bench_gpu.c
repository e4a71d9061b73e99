/* tests/gpu/bench_gpu.c - speed on a GPU: the phases of a GRPO step with a model, and the LM head alone.
 *
 *   bench_gpu MODEL [SEQUENCES] [TOKENS OF A MICRO-BATCH]
 *
 * One line a phase: seconds, tokens a second, and the share of 989 TFLOP/s (an H100's or H200's dense bf16) that the useful
 * arithmetic comes to. The GPU is drained before and after each. Everything has run once before it is measured: the first time
 * algorithms of cuBLASLt are tried and passes are recorded.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kernels/rng.h"
#include "model/model.h"
#include "rl/optim.h"
#include "rollout/kvcache.h"
#include "rollout/rollout.h"

#define PEAK       989e12
#define PROMPT     128
#define COMPLETION 512
#define GROUP      16

static struct device *device;

static double drained(void)
{
    static int32_t *word;
    int32_t out;
    word = word ? word : device_alloc(device, sizeof *word, "bench");
    device_read(device, &out, word, sizeof out);
    return clock_seconds();
}

static void tell(const char *phase, double seconds, double tokens, double flops)
{
    printf("%-32s %9.3f s %12.0f tokens/s %8.1f TFLOP/s %6.1f %%\n", phase, seconds, tokens / seconds,
           flops / seconds * 1e-12, 100 * flops / seconds / PEAK);
    fflush(stdout);
}

static void must(enum err err)
{
    if (err != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        exit(1);
    }
}

static void random_tokens(int32_t *tokens, int n, int V, uint64_t stream)
{
    struct rng rng = rng_stream(1, stream);
    for (int i = 0; i < n; i++) {
        tokens[i] = (int32_t)rng_below(&rng, (uint32_t)V);
    }
}

/* `n` sequences in groups, sampled to the end, with log-probabilities. */
static void bench_rollout(struct model *model, int n, int completion)
{
    int group = n < GROUP ? n : GROUP, n_prompts = n / group;
    struct rollout_options options = {
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1, .ignore_eos = true};
    options.max_sequences = n, options.max_batch_tokens = n > 2048 ? n : 2048;
    options.n_pages = n * kvcache_pages(PROMPT + completion);
    struct rollout *rollout;
    struct arena arena = ARENA_INIT;
    must(rollout_open(&rollout, model, &options));
    struct rollout_prompt *prompts = ARENA_NEW(&arena, struct rollout_prompt, n_prompts);
    struct group *groups = ARENA_NEW(&arena, struct group, n_prompts);
    for (int i = 0; i < n_prompts; i++) {
        int32_t *tokens = ARENA_NEW(&arena, int32_t, PROMPT);
        random_tokens(tokens, PROMPT, model->config.V, (uint64_t)i);
        prompts[i] = (struct rollout_prompt){tokens, PROMPT, group, completion, (uint64_t)(i * group)};
    }
    must(rollout_run(rollout, prompts, n_prompts, &arena, groups, NULL, NULL)); /* chooses algorithms, records passes */
    double start = drained();
    must(rollout_run(rollout, prompts, n_prompts, &arena, groups, NULL, NULL));
    double seconds = drained() - start, tokens = (double)n * completion;
    const struct rollout_stats *stats = rollout_stats(rollout);
    printf("%d sequences of %d tokens: %.0f decode tokens/s, %.3f ms a step\n", n, completion,
           (double)stats->decode_rows / stats->decode_seconds,
           1e3 * stats->decode_seconds * n / (double)stats->decode_rows);
    tell("rollout", seconds, tokens, n * model_flops(&model->config, completion, PROMPT));
    rollout_close(rollout);
    arena_release(&arena);
}

struct packed {
    struct train_batch batch;
    struct context *contexts;
    int32_t *tokens, *positions, *rows, *targets;
};

/* Groups with a shared prompt, as many as fit into `most` rows. */
static struct packed pack(int most, int V)
{
    int row = 0, n_contexts = 0, n_targets = 0;
    struct packed p = {.contexts = mem_zero(((size_t)most / COMPLETION + 8) * 2 * sizeof(struct context))};
    int32_t **arrays[] = {&p.tokens, &p.positions, &p.rows, &p.targets};
    for (int i = 0; i < 4; i++) {
        *arrays[i] = mem_zero((size_t)most * sizeof(int32_t));
    }
    random_tokens(p.tokens, most, V, 1);
    while (row + PROMPT + COMPLETION <= most) {
        int prefix = row;
        p.contexts[n_contexts++] = (struct context){0, 0, row, PROMPT};
        for (int i = 0; i < PROMPT; i++) {
            p.positions[row++] = i;
        }
        for (int g = 0; g < GROUP && row + COMPLETION <= most; g++) {
            p.contexts[n_contexts++] = (struct context){prefix, PROMPT, row, COMPLETION};
            for (int i = 0; i < COMPLETION; i++, row++) {
                p.positions[row] = PROMPT + i;
                p.rows[n_targets] = i == 0 ? prefix + PROMPT - 1 : row - 1;
                p.targets[n_targets++] = p.tokens[row];
            }
        }
    }
    p.batch = (struct train_batch){row, p.tokens, p.positions, n_contexts, p.contexts, n_targets, p.rows, p.targets, NULL};
    return p;
}

static void bench_training(struct model *model, int most)
{
    struct packed p = pack(most, model->config.V);
    struct train_batch *b = &p.batch;
    const struct optim_options options = {
        .learning_rate = 1e-6, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .max_grad_norm = 1, .max_steps = 100};
    struct optim optim;
    struct optim_stats stats;
    size_t n = (size_t)b->n_targets;
    float *logprob = mem_zero(n * 4), *lse = mem_zero(n * 4), *d = mem_zero(n * 4);
    struct activations *acts = activations_new(model, most, most, b->n_contexts, PROMPT + COMPLETION, false);
    optim_init(&optim, &options, model);
    for (size_t i = 0; i < n; i++) {
        d[i] = 1e-4f;
    }
    double flops = -2.0 * model->config.d * model->config.V * (b->T - b->n_targets),
           head = 2.0 * model->config.d * model->config.V * b->n_targets;
    for (int i = 0; i < b->n_contexts; i++) {
        flops += model_flops(&model->config, b->contexts[i].n_rows, b->contexts[i].n_prefix);
    }
    for (int round = 0; round < 3; round++) {
        double t0 = drained();
        model_forward(model, b, acts);
        double t1 = drained();
        model_target_logprobs(model, b, acts, 1, logprob, lse, NULL);
        double t2 = drained();
        model_backward(model, b, acts, 1, lse, NULL, d, NULL);
        double t3 = drained();
        must(optim_step(&optim, model, 1, &stats));
        double t4 = drained();
        if (round < 2) {
            continue;
        }
        printf("micro-batch of %d rows, %d targets\n", b->T, b->n_targets);
        tell("forward without head", t1 - t0, b->T, flops - head);
        tell("head forward", t2 - t1, b->n_targets, head);
        tell("backward", t3 - t2, b->T, 2 * flops);
        tell("forward and backward (lse reused)", t1 - t0 + t3 - t2, b->T, 3 * flops - head);
        tell("optimiser", t4 - t3, b->T, 0);
    }
    optim_release(&optim, model);
    activations_free(acts, model);
    int32_t *arrays[] = {p.tokens, p.positions, p.rows, p.targets};
    for (int i = 0; i < 4; i++) {
        free(arrays[i]);
    }
    free(p.contexts), free(logprob), free(lse), free(d);
}

int main(int argc, char **argv)
{
    struct model *model;
    int sequences = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 512,
        rows = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 16768;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_gpu MODEL [SEQUENCES] [ROWS]\n");
        return 2;
    }
    must(device_open(&device, "cuda"));
    must(model_open_trainable(&model, argv[1], device, PROMPT + COMPLETION));
    if (rows > 0) {
        bench_training(model, rows);
    }
    if (sequences > 0) {
        bench_rollout(model, sequences, COMPLETION);
    }
    device_report(device, stdout);
    model_close(model);
    device_close(device);
    return 0;
}
