/* rl/sft.c - supervised training on the same machinery: next tokens of texts, prompts masked.
 *
 * The loss is the mean over the step's learnt tokens, whatever the micro-batches.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/clock.h"
#include "rl/method.h"
#include "rl/train_internal.h"

/* Texts first .. first + n - 1 as one packed batch; its memory is the iteration's. */
static struct train_batch pack_texts(struct iteration *it, const struct dataset_text *texts, int n)
{
    int rows = 0;
    for (int i = 0; i < n; i++) {
        rows += texts[i].n_tokens;
    }
    int32_t *tokens = ARENA_NEW(&it->arena, int32_t, rows), *positions = ARENA_NEW(&it->arena, int32_t, rows);
    int32_t *target_rows = ARENA_NEW(&it->arena, int32_t, rows), *targets = ARENA_NEW(&it->arena, int32_t, rows);
    struct context *contexts = ARENA_NEW(&it->arena, struct context, n);
    struct train_batch batch = {0, tokens, positions, 0, contexts, 0, target_rows, targets, NULL};
    for (int i = 0; i < n; i++) {
        int n_rows = texts[i].n_tokens - 1; /* the last token predicts nothing */
        contexts[batch.n_contexts++] = (struct context){.row = batch.T, .n_rows = n_rows};
        for (int j = 0; j < n_rows; j++) {
            if (j + 1 >= texts[i].n_masked) {
                target_rows[batch.n_targets] = batch.T;
                targets[batch.n_targets++] = texts[i].tokens[j + 1];
            }
            tokens[batch.T] = texts[i].tokens[j];
            positions[batch.T++] = j;
        }
    }
    return batch;
}

static int learnt_tokens(const struct dataset_text *text)
{
    int first = text->n_masked > 1 ? text->n_masked : 1;
    return text->n_tokens > first ? text->n_tokens - first : 0;
}

/* The rollout checks its prompts; texts come straight from the tokenizer. */
static enum err check_tokens(const struct train *t, const struct dataset_text *text)
{
    for (int i = 0; i < text->n_tokens; i++) {
        if (text->tokens[i] < 0 || text->tokens[i] >= t->policy->config.V) {
            return err_set(ERR_FORMAT, "%s: a text has token %d, and the model knows 0 to %d; use its own tokenizer",
                           t->recipe->data.dataset_name, text->tokens[i], t->policy->config.V - 1);
        }
    }
    return ERR_NONE;
}

/* The texts of a step, and where its shards begin. */
struct sft_batch {
    struct train *t;
    struct dataset_text *texts; /* [n] */
    int n;
    double n_learnt;
    int *shard; /* [n]: whose a text is, ascending */
};

/* The micro-batches of one shard. */
static double add_shard(void *context, int shard)
{
    const struct sft_batch *b = context;
    struct train *t = b->t;
    double sum = 0;
    int from = 0, to;
    while (from < b->n && b->shard[from] < shard) {
        from++;
    }
    for (; from < b->n && b->shard[from] == shard; from = to) {
        int rows = 0;
        for (to = from; to < b->n && b->shard[to] == shard &&
                        (to == from || rows + b->texts[to].n_tokens <= t->recipe->run.tokens_per_micro_batch);
             to++) {
            rows += b->texts[to].n_tokens;
        }
        struct train_batch batch = pack_texts(&t->iteration, b->texts + from, to - from);
        sum += loss_backward_likelihood(&t->loss, &batch, 1 / b->n_learnt);
    }
    return sum;
}

/* The next texts that have something to learn, cut into shards. */
static enum err next_texts(struct train *t, struct sft_batch *b)
{
    struct iteration *it = &t->iteration;
    int n = t->recipe->run.texts_per_step;
    int64_t before = 0;
    *b = (struct sft_batch){
        .t = t, .texts = ARENA_NEW(&it->arena, struct dataset_text, n), .shard = ARENA_NEW(&it->arena, int, n)};
    dataset_seek(t->dataset, t->state.cursor);
    for (int i = 0; i < n; i++) {
        TRY(dataset_next_text(t->dataset, &it->arena, &b->texts[b->n]));
        TRY(check_tokens(t, &b->texts[b->n]));
        if (learnt_tokens(&b->texts[b->n]) > 0) {
            b->n_learnt += learnt_tokens(&b->texts[b->n++]);
        }
    }
    for (int i = 0; i < b->n; i++) {
        int64_t own = learnt_tokens(&b->texts[i]);
        b->shard[i] = grad_shards_of(t->loss.shards.n, before, own, (int64_t)b->n_learnt);
        before += own;
    }
    return ERR_NONE;
}

static enum err sft_step(struct train *t)
{
    struct sft_batch b;
    double start = clock_seconds(), sum = 0;
    iteration_clear(&t->iteration);
    t->iteration.number = t->state.iteration;
    TRY(next_texts(t, &b));
    TRY(loss_backward_shards(&t->loss, add_shard, &b, &sum));
    TRY(loss_check_finite(t->state.step + 1, isfinite(sum)));
    TRY(optim_step(&t->optim, t->policy, t->state.step + 1, &t->optim_stats));
    double seconds = clock_seconds() - start;
    metrics_set(&t->metrics, sum / fmax(b.n_learnt, 1), "loss");
    metrics_set(&t->metrics, seconds, "timing_s/train");
    metrics_set(&t->metrics, b.n_learnt / seconds, "throughput/tokens_per_second");
    t->state.num_tokens += (int64_t)b.n_learnt;
    t->state.iteration++;
    t->state.cursor = dataset_cursor(t->dataset);
    return step_finish(t);
}

/* ---- the row ---- */

static int max_length(const struct recipe *r)
{
    return r->data.pack_length > 0 ? r->data.pack_length : r->data.max_length;
}

static int batch_sequences(const struct recipe *r)
{
    return r->run.texts_per_step;
}

static int64_t steps(const struct recipe *r, double rows)
{
    return (int64_t)ceil(rows / r->run.texts_per_step);
}

static double temperature(const struct recipe *r)
{
    (void)r;
    return 1;
}

static void describe(struct recipe *r, struct strbuf *out)
{
    strbuf_printf(out, "%d texts per step, learning rate %g", r->run.texts_per_step, r->optim.learning_rate);
}

static void describe_step(const struct recipe *r, struct strbuf *out)
{
    strbuf_printf(out, "%d texts of at most %d tokens", r->run.texts_per_step, max_length(r));
}

const struct method method_sft = {
    .name = "sft",
    .title = "Supervised training",
    .max_length = max_length,
    .batch_sequences = batch_sequences,
    .steps = steps,
    .temperature = temperature,
    .check = recipe_check_sft,
    .step = sft_step,
    .describe = describe,
    .describe_step = describe_step,
};
