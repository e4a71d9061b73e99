/* rl/cmd/convert.c - `strop convert`: a GGUF file, a checkpoint or an adapter, written as a Hugging Face folder, as it is, merged
 * with its base, or as a mixture.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "model/adapter.h"
#include "model/model.h"
#include "model/upcycle.h"
#include "rl/cmd/commands.h"
#include "rl/run/runs.h"

/* Under another name until it is whole: a folder of that name is never a part of a model. upcycle: NULL, or what becomes of it. */
static enum err convert_to(const struct model *model, const struct upcycle *upcycle, const char *folder,
                           const char *dtype)
{
    char temporary[FILE_PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp%ld", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return err_set(ERR_LIMIT, "path too long: %s", folder);
    }
    TRY(file_make_folders(temporary));
    enum err result = upcycle ? upcycle_save(upcycle, model, temporary, dtype) : model_save(model, temporary, dtype);
    if (result == ERR_NONE) {
        result = file_sync(temporary);
    }
    if (result == ERR_NONE) {
        result = file_rename_synced(temporary, folder);
    }
    if (result != ERR_NONE) {
        char *sentence = mem_strdup(err_text());
        file_remove_folder(temporary);
        result = err_set(result, "%s", sentence);
        free(sentence);
    }
    return result;
}

/* What was written, by its headers alone. */
static enum err print_result(const char *folder, const char *dtype, bool json)
{
    struct device *device;
    struct model *model = NULL;
    struct model_config config;
    uint64_t parameters = 0;
    TRY(model_open_config(&config, folder));
    TRY(device_open_planning(&device, "cpu", 0));
    enum err result = model_plan(&model, &config, folder, device, 1, false);
    bool adapter = config.lora.r > 0;
    parameters = result == ERR_NONE && adapter ? adapter_size(model->adapter) : 0;
    for (int i = 0; result == ERR_NONE && !adapter && i < model->params.n_params; i++) {
        const struct param *p = &model->params.table[i];
        parameters += (uint64_t)p->rows * (uint64_t)param_width(p);
    }
    model_close(model);
    device_close(device);
    TRY(result);
    if (!json) {
        printf("%s: %s%s, %llu parameters in %s\n", folder, adapter ? "an adapter of " : "", config.family->name,
               (unsigned long long)parameters, dtype);
        return ERR_NONE;
    }
    struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, "{\"folder\": \"");
    strbuf_add_json(&line, str_of(folder));
    strbuf_printf(&line, "\", \"model_type\": \"%s\", \"parameters\": %llu, \"dtype\": \"%s\"}", config.family->name,
                  (unsigned long long)parameters, dtype);
    puts(line.data);
    strbuf_release(&line);
    return ERR_NONE;
}

/* An adapter and its base become one model where that is asked for, or needed. */
static enum err prepare(const struct cmd_args *args, struct model *model, const char *from)
{
    bool merge = cmd_flag(args, "merge");
    if (merge && !model->adapter) {
        return err_set(ERR_USAGE, "%s: --merge makes one model of an adapter and its base, and this is no adapter",
                       from);
    }
    if (!merge && model->adapter && cmd_text(args, "upcycle")) {
        return err_set(ERR_USAGE, "%s is an adapter; --upcycle takes a whole model, which --merge makes of it", from);
    }
    if (merge) {
        model_merge(model);
    }
    return ERR_NONE;
}

static enum err convert_model(const struct cmd_args *args, struct device *device, const char *from, const char *folder)
{
    const char *dtype = cmd_text(args, "dtype"), *text = cmd_text(args, "upcycle");
    struct upcycle upcycle;
    struct model *model;
    double start = clock_seconds();
    if (text) {
        TRY(upcycle_parse(&upcycle, text));
    }
    TRY(model_open(&model, from, device, 1));
    enum err result = prepare(args, model, from);
    result = result == ERR_NONE ? convert_to(model, text ? &upcycle : NULL, folder, dtype) : result;
    if (result == ERR_NONE) {
        result = print_result(folder, dtype, cmd_flag(args, "json"));
        log_info("done in %.1f s", clock_seconds() - start);
    }
    model_close(model);
    return result;
}

static enum err convert_run(const struct cmd_args *args)
{
    const char *dtype = cmd_text(args, "dtype");
    char folder[FILE_PATH_BYTES];
    size_t length = strlen(cmd_positional(args, 1));
    if (strcmp(dtype, "bfloat16") != 0 && strcmp(dtype, "float32") != 0) {
        return err_set(ERR_USAGE, "--dtype is '%s'; it can be bfloat16 or float32", dtype);
    }
    while (length > 1 && cmd_positional(args, 1)[length - 1] == '/') {
        length--;
    }
    if (length == 0 || length >= sizeof folder) {
        return err_set(ERR_USAGE, "'%s' cannot be the name of a folder", cmd_positional(args, 1));
    }
    memcpy(folder, cmd_positional(args, 1), length);
    folder[length] = '\0';
    if (file_exists(folder)) {
        return err_set(ERR_USAGE, "%s is there already; name a new folder", folder);
    }
    struct device *device;
    struct arena scratch = ARENA_INIT;
    const char *from;
    TRY(run_model_path(cmd_positional(args, 0), &scratch, &from));
    enum err result = device_open(&device, "cpu");
    if (result == ERR_NONE) {
        result = convert_model(args, device, from, folder);
        device_close(device);
    }
    arena_release(&scratch);
    return result;
}

static const struct cmd_option convert_options[] = {
    {"dtype", CMD_TEXT, "NAME", "bfloat16", "of the weights written: bfloat16, or float32, which loses nothing"},
    {"upcycle", CMD_TEXT, "experts=N,top_k=K", NULL, "make a mixture of experts of a dense model (see above)"},
    {"merge", CMD_FLAG, NULL, NULL, "an adapter becomes part of its base: the folder is a whole model"},
    {"json", CMD_FLAG, NULL, NULL, "print the result as a JSON object"},
    {0},
};

const struct command command_convert = {
    .name = "convert",
    .arguments = "MODEL|RUN FOLDER [--dtype=bfloat16|float32] [--merge] [--upcycle=experts=N,top_k=K]",
    .summary = "write a GGUF file, a checkpoint or an adapter as a Hugging Face folder",
    .details =
        "MODEL is a .gguf file, a folder with config.json and safetensors, or the folder of a LoRA adapter (PEFT); of\n"
        "a RUN the newest checkpoint is taken. FOLDER is made, with config.json, the tokenizer's files and\n"
        "model.safetensors; other tools open it. Quantised weights are expanded.\n\n"
        "An adapter stays one, without its base, unless --merge adds it to the base's weights:\n"
        "  strop convert runs/lora whole --merge\n\n"
        "--upcycle=experts=8,top_k=2[,shared=1][,noise=S] copies the MLP of each layer into that many experts, with a\n"
        "router drawn anew; at noise 0 the first logits are those of the dense model. qwen3 becomes qwen3_moe. qwen2\n"
        "becomes qwen2_moe, whose models all have a shared expert: shared=1 makes it a copy as well, else it is zero.\n"
        "noise=S adds normal numbers to each expert, S times the root mean square of its matrix.\n",
    .options = convert_options,
    .min_positional = 2,
    .max_positional = 2,
    .run = convert_run,
};
