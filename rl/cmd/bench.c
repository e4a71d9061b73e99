/* rl/cmd/bench.c - `strop bench`: the proof of exactness, and the speed of decoding.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "kernels/rng.h"
#include "rl/cmd/commands.h"
#include "rl/exact.h"
#include "rollout/kvcache.h"
#include "rollout/rollout.h"

#define EXACT_TOKENS       1000000 /* with the random models */
#define EXACT_TOKENS_MODEL 2000    /* with a checkpoint */
#define DECODE_TOKENS      64
#define DECODE_PROMPT      32

/* ---- exact ---- */

static void report_exact(void *context, int64_t compared, int64_t different)
{
    (void)context;
    fprintf(stderr, "\r%lld compared, %lld different ", (long long)compared, (long long)different);
}

static void print_exact_json(const struct exact_result *r)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text,
                  "{\"compared\": %lld, \"different\": %lld, \"hidden_compared\": %lld, \"hidden_different\": %lld, "
                  "\"experts_compared\": %lld, \"experts_different\": %lld, \"seconds\": %.1f, \"configurations\": [",
                  (long long)r->compared, (long long)r->different, (long long)r->hidden_compared,
                  (long long)r->hidden_different, (long long)r->experts_compared, (long long)r->experts_different,
                  r->seconds);
    for (int i = 0; i < r->n_rows; i++) {
        const struct exact_row *row = &r->rows[i];
        strbuf_printf(&text, "%s\n  {\"model\": \"", i ? "," : "");
        strbuf_add_json(&text, str_of(row->model));
        strbuf_printf(&text,
                      "\", \"rollout\": \"%s\", \"training\": \"%s\", \"setup\": \"%s\", \"compared\": %lld, "
                      "\"different\": %lld, \"hidden_compared\": %lld, \"hidden_different\": %lld, "
                      "\"experts_compared\": %lld, \"experts_different\": %lld, \"preempted\": %lld}",
                      row->rollout_device, row->train_device, row->setup, (long long)row->compared,
                      (long long)row->different, (long long)row->hidden_compared, (long long)row->hidden_different,
                      (long long)row->experts_compared, (long long)row->experts_different, (long long)row->preempted);
    }
    puts(text.data);
    puts("]}");
    strbuf_release(&text);
}

static void print_exact_table(const struct exact_result *r)
{
    printf("%-11s %-11s %-11s %-30s %10s %10s %12s %10s %12s %10s %10s\n", "model", "rollout", "training", "setup",
           "compared", "different", "hidden rows", "different", "expert rows", "different", "pre-empted");
    for (int i = 0; i < r->n_rows; i++) {
        const struct exact_row *row = &r->rows[i];
        printf("%-11s %-11s %-11s %-30s %10lld %10lld %12lld %10lld %12lld %10lld %10lld\n", row->model,
               row->rollout_device, row->train_device, row->setup, (long long)row->compared, (long long)row->different,
               (long long)row->hidden_compared, (long long)row->hidden_different, (long long)row->experts_compared,
               (long long)row->experts_different, (long long)row->preempted);
    }
    printf(
        "%lld log-probabilities compared, %lld different; %lld hidden states after a layer, %lld different; experts of "
        "%lld rows and layers, %lld different; %.1f s\n",
        (long long)r->compared, (long long)r->different, (long long)r->hidden_compared, (long long)r->hidden_different,
        (long long)r->experts_compared, (long long)r->experts_different, r->seconds);
}

static enum err bench_exact(const struct cmd_args *args, struct arena *arena)
{
    int64_t tokens = cmd_int(args, "tokens");
    bool live = isatty(STDERR_FILENO) == 1;
    struct exact_options options = {.device = cmd_text(args, "device"),
                                    .model = cmd_text(args, "model"),
                                    .seed = (uint64_t)cmd_int(args, "seed"),
                                    .report = live ? report_exact : NULL};
    options.tokens = tokens > 0 ? tokens : options.model ? EXACT_TOKENS_MODEL : EXACT_TOKENS;
    struct exact_result result;
    enum err err = exact_run(&options, arena, &result);
    if (live) {
        fputc('\n', stderr);
    }
    TRY(err);
    if (cmd_flag(args, "json")) {
        print_exact_json(&result);
    } else {
        print_exact_table(&result);
    }
    if (result.different > 0 || result.hidden_different > 0 || result.experts_different > 0) {
        return err_set(ERR_STATE,
                       "%lld of %lld log-probabilities, %lld of %lld hidden states and the experts of %lld of %lld "
                       "rows and layers "
                       "differ between rollout and training",
                       (long long)result.different, (long long)result.compared, (long long)result.hidden_different,
                       (long long)result.hidden_compared, (long long)result.experts_different,
                       (long long)result.experts_compared);
    }
    return ERR_NONE;
}

/* ---- decode ---- */

/* `batch` samples of a prompt of random tokens, no end token, none of the tokens shared but the prompt's. */
static enum err decode_once(const struct cmd_args *args, struct model *model, int batch, struct arena *arena,
                            struct rollout_stats *stats)
{
    int64_t wanted = cmd_int(args, "tokens") > 0 ? cmd_int(args, "tokens") : DECODE_TOKENS;
    int max = model->max_positions - DECODE_PROMPT, tokens = wanted < max ? (int)wanted : max;
    int32_t prompt[DECODE_PROMPT];
    struct rng rng = rng_stream((uint64_t)cmd_int(args, "seed"), 1);
    for (int i = 0; i < DECODE_PROMPT; i++) {
        prompt[i] = (int32_t)rng_below(&rng, (uint32_t)model->config.V);
    }
    struct rollout_options options = {
        .temperature = 1,
        .top_p = 1,
        .repetition_penalty = 1,
        .seed = (uint64_t)cmd_int(args, "seed"),
        .ignore_eos = true,
        .max_sequences = batch,
        .n_pages = batch * kvcache_pages(DECODE_PROMPT + tokens),
    };
    struct rollout_prompt request = {prompt, DECODE_PROMPT, batch, tokens, 0};
    struct rollout *rollout;
    struct group group;
    TRY(rollout_open(&rollout, model, &options));
    enum err err = rollout_run(rollout, &request, 1, arena, &group, NULL, NULL);
    *stats = *rollout_stats(rollout);
    rollout_close(rollout);
    return err;
}

static enum err decode_batches(const struct cmd_args *args, struct model *model, struct arena *arena)
{
    static const int batches[] = {1, 16, 256};
    bool json = cmd_flag(args, "json");
    if (!json) {
        printf("%6s %10s %12s\n", "batch", "tokens/s", "ms/step");
    }
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        struct rollout_stats stats;
        TRY(decode_once(args, model, batches[i], arena, &stats));
        double speed = (double)stats.decode_rows / stats.decode_seconds, ms = 1000 * batches[i] / speed;
        if (json) {
            printf("%s\n  {\"batch\": %d, \"tokens_per_second\": %.2f, \"ms_per_step\": %.3f}", i ? "," : "[",
                   batches[i], speed, ms);
        } else {
            printf("%6d %10.1f %12.2f\n", batches[i], speed, ms);
        }
        fflush(stdout);
    }
    fputs(json ? "\n]\n" : "", stdout);
    return ERR_NONE;
}

static enum err bench_decode(const struct cmd_args *args, struct arena *arena)
{
    struct device *device;
    struct model *model;
    if (!cmd_text(args, "model")) {
        return err_set(ERR_USAGE, "strop bench decode needs a model: --model=PATH");
    }
    TRY(device_open(&device, cmd_text(args, "device")));
    device_set_threads((int)cmd_int(args, "threads"));
    enum err err = model_open(&model, cmd_text(args, "model"), device, 0);
    if (err == ERR_NONE) {
        err = decode_batches(args, model, arena);
        model_close(model);
    }
    device_close(device);
    return err;
}

static enum err bench_run(const struct cmd_args *args)
{
    const char *what = cmd_positional(args, 0);
    struct arena arena = ARENA_INIT;
    enum err err = ERR_NONE;
    if (cmd_int(args, "tokens") < 0 || cmd_int(args, "tokens") > (int64_t)1 << 40) {
        err = err_set(ERR_USAGE, "--tokens must be between 0 and 2^40");
    } else if (strcmp(what, "exact") == 0) {
        err = bench_exact(args, &arena);
    } else if (strcmp(what, "decode") == 0) {
        err = bench_decode(args, &arena);
    } else {
        err = err_set(ERR_USAGE, "there is no bench '%s'; use exact or decode", what);
    }
    arena_release(&arena);
    return err;
}

static const struct cmd_option bench_options[] = {
    {"tokens", CMD_INT, "N", "0", "exact: log-probabilities to compare; decode: tokens of each sequence; 0: a default"},
    {"model", CMD_TEXT, "PATH", NULL, "a checkpoint; exact uses random tiny models without it"},
    {"device", CMD_TEXT, "NAME", "auto", "auto, cuda, cuda:N, cpu, cpu/scalar, cpu/avx2 or cpu/avx512"},
    {"threads", CMD_INT, "N", "0", "decode: threads of operations; 0: one per core"},
    {"seed", CMD_INT, "N", "42", "of the random numbers"},
    {"json", CMD_FLAG, NULL, NULL, "print JSON"},
    {0},
};

const struct command command_bench = {
    .name = "bench",
    .arguments = "exact|decode [--OPTION=VALUE ...]",
    .summary = "prove that training equals rollout; measure decoding",
    .details =
        "exact    samples, computes the log-probabilities again as the trainer does, and counts tokens of which a bit\n"
        "         differs: over batch sizes, chunks, shared prompts, pre-emption, threads and instruction sets.\n"
        "         Exits with 1 if there is one.\n"
        "decode   tokens per second at 1, 16 and 256 sequences.\n",
    .options = bench_options,
    .min_positional = 1,
    .max_positional = 1,
    .run = bench_run,
};
