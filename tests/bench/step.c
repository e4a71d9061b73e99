/* tests/bench/step.c - a training step: forward, log-probabilities, backward, clipping, AdamW.
 *
 *   step FOLDER THREADS SEQUENCES PROMPT COMPLETION [GROUP] [profile]
 *
 * FOLDER has a config.json; the weights are random. GROUP sequences share one prompt (1: none do, as a peer computes them).
 * A step a line of standard input (tests/bench/duel.sh); with `profile` three steps, and the processor time of each operation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/rng.h"
#include "rl/optim.h"
#include "tests/bench/bench.h"

struct step {
    struct model *model;
    struct optim optim;
    struct train_batch batch;
    struct activations *acts;
    float *logprob, *lse, *entropy, *d_logprob;
};

/* ---- the table of operations, with a watch on each ---- */

static const struct ops *timed;
static double op_seconds[32];
static const char *op_names[32];
static int n_ops;

static void op_add(const char *name, double seconds)
{
    int i = 0;
    while (i < n_ops && strcmp(op_names[i], name) != 0) {
        i++;
    }
    if (i == n_ops) {
        op_names[n_ops++] = name;
    }
    op_seconds[i] += seconds;
}

#define TIMED(op, args)                                                                                                \
    static void timed_##op(const struct args *a)                                                                       \
    {                                                                                                                  \
        double start = bench_cpu_seconds();                                                                            \
        timed->op(a);                                                                                                  \
        op_add(#op, bench_cpu_seconds() - start);                                                                      \
    }

TIMED(embedding, embedding_args)
TIMED(embedding_grad, embedding_args)
TIMED(rmsnorm, rmsnorm_args)
TIMED(rmsnorm_grad, rmsnorm_grad_args)
TIMED(matmul, matmul_args)
TIMED(matmul_input_grad, matmul_input_grad_args)
TIMED(matmul_weight_grad, matmul_weight_grad_args)
TIMED(rope, rope_args)
TIMED(kv_store, kv_store_args)
TIMED(attention, attention_args)
TIMED(attention_grad, attention_grad_args)
TIMED(swiglu, swiglu_args)
TIMED(swiglu_grad, swiglu_args)
TIMED(gather_rows, rows_args)
TIMED(scatter_add_rows, rows_args)
TIMED(head, head_args)
TIMED(head_grad, head_grad_args)
TIMED(adamw, adamw_args)

static double timed_sum_squares(const float *x, size_t n)
{
    double start = bench_cpu_seconds(), sum = timed->sum_squares(x, n);
    op_add("sum_squares", bench_cpu_seconds() - start);
    return sum;
}

static void watch(struct device *device, struct ops *table)
{
    timed = device->ops;
    *table = *timed;
#define WATCH(op) table->op = timed_##op
    WATCH(embedding);
    WATCH(embedding_grad);
    WATCH(rmsnorm);
    WATCH(rmsnorm_grad);
    WATCH(matmul);
    WATCH(matmul_input_grad);
    WATCH(matmul_weight_grad);
    WATCH(rope);
    WATCH(kv_store);
    WATCH(attention);
    WATCH(attention_grad);
    WATCH(swiglu);
    WATCH(swiglu_grad);
    WATCH(gather_rows);
    WATCH(scatter_add_rows);
    WATCH(head);
    WATCH(head_grad);
    WATCH(adamw);
    WATCH(sum_squares);
#undef WATCH
    device->ops = table;
}

static void print_profile(double all, int steps)
{
    double sum = 0;
    for (int i = 0; i < n_ops; i++) {
        printf("%-20s %9.2f ms  %5.1f %%\n", op_names[i], 1e3 * op_seconds[i] / steps, 100 * op_seconds[i] / all);
        sum += op_seconds[i];
    }
    printf("%-20s %9.2f ms  %5.1f %%\n", "the rest", 1e3 * (all - sum) / steps, 100 * (all - sum) / all);
    printf("%-20s %9.2f ms\n", "all", 1e3 * all / steps);
}

/* ---- a step ---- */

/* n sequences of `prompt` and `completion` tokens, in groups that share the prompt; the last token has no row. */
static void make_batch(struct step *s, struct arena *arena, int n, int prompt, int completion, int group)
{
    int T = n / group * (prompt + group * (completion - 1)), n_targets = n * completion, t = 0, c = 0, k = 0;
    int32_t *tokens = ARENA_NEW(arena, int32_t, T), *positions = ARENA_NEW(arena, int32_t, T);
    int32_t *rows = ARENA_NEW(arena, int32_t, n_targets), *targets = ARENA_NEW(arena, int32_t, n_targets);
    struct context *contexts = ARENA_NEW(arena, struct context, 2 * n);
    struct rng rng = rng_stream(1, 2);
    for (int i = 0; i < n; i += group) {
        int first = t;
        contexts[c++] = (struct context){0, 0, t, group > 1 ? prompt : prompt + completion - 1};
        t += prompt;
        for (int g = 0; g < group; g++) {
            if (group > 1) {
                contexts[c++] = (struct context){first, prompt, t, completion - 1};
            }
            for (int j = 0; j < completion; j++) {
                rows[k] = j == 0 ? first + prompt - 1 : t + j - 1;
                targets[k++] = (int32_t)rng_below(&rng, (uint32_t)s->model->config.V);
            }
            for (int j = 0; j < completion - 1; j++) {
                positions[t + j] = prompt + j;
            }
            t += completion - 1;
        }
        for (int j = 0; j < prompt; j++) {
            positions[first + j] = j;
        }
    }
    for (int i = 0; i < T; i++) {
        tokens[i] = (int32_t)rng_below(&rng, (uint32_t)s->model->config.V);
    }
    s->batch = (struct train_batch){T, tokens, positions, c, contexts, n_targets, rows, targets, NULL};
    s->acts = activations_new(s->model, T, n_targets, c, prompt + completion, false);
    s->logprob = ARENA_NEW(arena, float, n_targets);
    s->lse = ARENA_NEW(arena, float, n_targets);
    s->entropy = ARENA_NEW(arena, float, n_targets);
    s->d_logprob = ARENA_NEW(arena, float, n_targets);
}

static void run_step(void *context)
{
    struct step *s = context;
    struct optim_stats stats;
    int n = s->batch.n_targets;
    optim_zero_grads(s->model);
    model_forward(s->model, &s->batch, s->acts);
    model_target_logprobs(s->model, &s->batch, s->acts, 1.0f, s->logprob, s->lse, s->entropy);
    for (int i = 0; i < n; i++) { /* a policy gradient with advantages of both signs */
        s->d_logprob[i] = (i / 64 % 2 ? 1.0f : -1.0f) / (float)n;
    }
    model_backward(s->model, &s->batch, s->acts, 1.0f, s->lse, s->entropy, s->d_logprob, NULL);
    BUG_ON(optim_step(&s->optim, s->model, s->optim.step + 1, &stats) != ERR_NONE || stats.skipped);
}

static int number(int argc, char **argv, int i, int otherwise)
{
    return i < argc ? (int)strtol(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct device *device;
    struct model_config config;
    struct arena arena = ARENA_INIT;
    struct step s = {0};
    struct ops table;
    if (argc < 6 || device_open(&device, "auto") != ERR_NONE || model_config_open(&config, argv[1]) != ERR_NONE) {
        fprintf(stderr, "%s\n",
                argc < 6 ? "step FOLDER THREADS SEQUENCES PROMPT COMPLETION [GROUP] [profile]" : err_text());
        return 2;
    }
    device_set_threads(number(argc, argv, 2, 0));
    BUG_ON(model_new(&s.model, &config, NULL, device, 0, 1) != ERR_NONE);
    make_batch(&s, &arena, number(argc, argv, 3, 0), number(argc, argv, 4, 0), number(argc, argv, 5, 0),
               number(argc, argv, 6, 1));
    optim_init(&s.optim,
               &(struct optim_options){
                   .learning_rate = 1e-6, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .max_grad_norm = 1},
               s.model);
    if (argc > 7 && strcmp(argv[7], "profile") == 0) {
        enum { STEPS = 3 };
        run_step(&s);
        watch(device, &table);
        double start = bench_cpu_seconds();
        for (int i = 0; i < STEPS; i++) {
            run_step(&s);
        }
        print_profile(bench_cpu_seconds() - start, STEPS);
    } else {
        bench_turns(run_step, &s);
    }
    activations_free(s.acts, s.model);
    optim_release(&s.optim, s.model);
    model_close(s.model);
    device_close(device);
    arena_release(&arena);
    return 0;
}
