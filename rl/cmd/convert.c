/* rl/cmd/convert.c - `strop convert`: a GGUF file or a checkpoint, written as a Hugging Face folder.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "model/model.h"
#include "rl/cmd/commands.h"
#include "rl/run/runs.h"

/* Under another name until it is whole: a folder of that name is never a part of a model. */
static enum err convert_to(const struct model *model, const char *folder, const char *dtype)
{
    char temporary[FILE_PATH_BYTES];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp%ld", folder, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return err_set(ERR_LIMIT, "path too long: %s", folder);
    }
    TRY(file_make_folders(temporary));
    enum err result = model_save(model, temporary, dtype);
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

static void print_result(const struct model *model, const char *folder, const char *dtype, bool json)
{
    uint64_t parameters = 0;
    for (int i = 0; i < model->params.n_params; i++) {
        const struct param *p = &model->params.table[i];
        parameters += (uint64_t)p->rows * (uint64_t)param_width(p);
    }
    if (!json) {
        printf("%s: %s, %llu parameters in %s\n", folder, model->config.family->name, (unsigned long long)parameters,
               dtype);
        return;
    }
    struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, "{\"folder\": \"");
    strbuf_add_json(&line, str_of(folder));
    strbuf_printf(&line, "\", \"model_type\": \"%s\", \"parameters\": %llu, \"dtype\": \"%s\"}",
                  model->config.family->name, (unsigned long long)parameters, dtype);
    puts(line.data);
    strbuf_release(&line);
}

static enum err convert_model(const struct cmd_args *args, struct device *device, const char *from, const char *folder)
{
    const char *dtype = cmd_text(args, "dtype");
    struct model *model;
    double start = clock_seconds();
    TRY(model_open(&model, from, device, 1));
    enum err result = convert_to(model, folder, dtype);
    if (result == ERR_NONE) {
        print_result(model, folder, dtype, cmd_flag(args, "json"));
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
    {"json", CMD_FLAG, NULL, NULL, "print the result as a JSON object"},
    {0},
};

const struct command command_convert = {
    .name = "convert",
    .arguments = "MODEL|RUN FOLDER [--dtype=bfloat16|float32]",
    .summary = "write a GGUF file or a checkpoint as a Hugging Face folder",
    .details = "MODEL is a .gguf file or a folder with config.json and safetensors; of a RUN the newest checkpoint is\n"
               "taken. FOLDER is made, with config.json,\n"
               "the tokenizer's files and model.safetensors; other tools open it. Quantised weights are expanded.\n",
    .options = convert_options,
    .min_positional = 2,
    .max_positional = 2,
    .run = convert_run,
};
