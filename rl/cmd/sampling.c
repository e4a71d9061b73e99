/* rl/cmd/sampling.c - ranges of the sampling options; opening the model.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/cmd/sampling.h"

#include "rl/run/runs.h"
#include "rollout/kvcache.h"

#define MAX_SEQUENCES 256

static enum err check_number(const char *name, double value, double min, double max)
{
    if (value >= min && value <= max) {
        return ERR_NONE;
    }
    if (max >= INT32_MAX) {
        return err_set(ERR_USAGE, "--%s is %g, and must be at least %g", name, value, min);
    }
    return err_set(ERR_USAGE, "--%s is %g, and must be between %g and %g", name, value, min, max);
}

enum err sampling_check(const struct cmd_args *args)
{
    static const struct {
        const char *name;
        double min, max;
        bool is_int;
    } ranges[] = {
        {"max_tokens", 1, INT32_MAX, true},
        {"temperature", 0, 100, false},
        {"top_p", 1e-6, 1, false},
        {"top_k", 0, INT32_MAX, true},
        {"min_p", 0, 1, false},
        {"repetition_penalty", 0.01, 100, false},
        {"seed", 0, 9.2e18, true},
        {"max_positions", 0, INT32_MAX, true},
        {"threads", 0, 4096, true},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const char *name = ranges[i].name;
        double value = ranges[i].is_int ? (double)cmd_int(args, name) : cmd_number(args, name);
        TRY(check_number(name, value, ranges[i].min, ranges[i].max));
    }
    return ERR_NONE;
}

void sampling_options(const struct cmd_args *args, struct arena *arena, struct rollout_options *out)
{
    int n_stop = 0;
    while (cmd_repeated(args, "stop", n_stop)) {
        n_stop++;
    }
    const char **stop = ARENA_NEW(arena, const char *, n_stop);
    for (int i = 0; i < n_stop; i++) {
        stop[i] = cmd_repeated(args, "stop", i);
    }
    *out = (struct rollout_options){
        .temperature = (float)cmd_number(args, "temperature"),
        .top_p = (float)cmd_number(args, "top_p"),
        .min_p = (float)cmd_number(args, "min_p"),
        .repetition_penalty = (float)cmd_number(args, "repetition_penalty"),
        .top_k = (int)cmd_int(args, "top_k"),
        .seed = (uint64_t)cmd_int(args, "seed"),
        .stop = stop,
        .n_stop = n_stop,
        .ignore_eos = cmd_flag(args, "ignore_eos"),
    };
}

void sampling_size_cache(struct rollout_options *options, const struct model *model, int64_t n, int64_t max_length)
{
    int length = max_length < model->max_positions ? (int)max_length : model->max_positions;
    options->max_sequences = n < MAX_SEQUENCES ? (int)n : MAX_SEQUENCES;
    options->n_pages = kvcache_plan(model, options->max_sequences, length);
}

static enum err open_model(struct sampling_model *opened, const struct cmd_args *args, const char *path)
{
    TRY(device_open(&opened->device, cmd_text(args, "device")));
    device_set_threads((int)cmd_int(args, "threads"));
    enum err result = model_open(&opened->model, path, opened->device, (int)cmd_int(args, "max_positions"));
    if (result == ERR_NONE && !opened->model->tokenizer) {
        model_close(opened->model);
        result = err_set(ERR_FORMAT, "%s: there is no tokenizer.json; put the model's own into the folder", path);
    }
    if (result != ERR_NONE) {
        device_close(opened->device);
    }
    return result;
}

enum err sampling_model_open(struct sampling_model *out, const struct cmd_args *args, const char *target)
{
    struct arena scratch = ARENA_INIT;
    struct sampling_model opened;
    const char *path;
    enum err result = run_model_path(target, &scratch, &path);
    if (result == ERR_NONE) {
        result = open_model(&opened, args, path);
    }
    if (result == ERR_NONE) {
        *out = opened;
    }
    arena_release(&scratch);
    return result;
}

void sampling_model_close(struct sampling_model *opened)
{
    model_close(opened->model);
    device_close(opened->device);
}
