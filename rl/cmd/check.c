/* rl/cmd/check.c - strop check RECIPE: would it run, what would it take? And of a model of any size: on how many GPUs?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/shards.h"
#include "rl/cmd/commands.h"
#include "rl/shard_plan.h"
#include "rl/train.h"

#define CONFIG_MOST_BYTES ((size_t)16 << 20)
#define DEFAULT_LENGTH    512 /* of prompts and of completions, as the keys have it */

static enum err print_keys(void)
{
    struct strbuf text = STRBUF_INIT;
    recipe_write_reference(&text);
    fputs(text.data, stdout);
    strbuf_release(&text);
    return ERR_NONE;
}

/* ---- a model, by its config.json alone ---- */

/* Whether the argument is a config.json, or a folder that has one; then its path. */
static bool names_config(const char *target, char *path, size_t capacity)
{
    if (file_is_folder(target)) {
        return file_join(path, capacity, target, "config.json") == ERR_NONE && file_exists(path);
    }
    snprintf(path, capacity, "%s", target);
    return str_ends(str_of(target), STR(".json"));
}

static enum err open_config(struct model_config *config, const char *path)
{
    json_t *document;
    TRY(json_parse_file(&document, path, CONFIG_MOST_BYTES));
    enum err result = model_config_parse(config, document, path);
    json_decref(document);
    return result;
}

/* The index of a checkpoint in shards that is beside a config.json, if there is one: are its tensors those of the config? */
static enum err check_index(const struct shard_plan *plan, const char *path, FILE *out)
{
    char index[FILE_PATH_BYTES];
    struct shard_index counts;
    const char *slash = strrchr(path, '/');
    int length =
        snprintf(index, sizeof index, "%.*smodel.safetensors.index.json", slash ? (int)(slash - path) + 1 : 0, path);
    if (length < 0 || (size_t)length >= sizeof index || !file_exists(index)) {
        return ERR_NONE;
    }
    const struct model *model = plan->plan.made.policy;
    TRY(shards_check_index(&counts, index, &model->config, &model->params));
    fprintf(out, "index       %d tensors, all that the config asks for; %.2f GB\n", counts.n_tensors,
            counts.bytes / 1e9);
    return ERR_NONE;
}

/* GRPO with the keys' defaults, but for what takes least memory, and sequences that the model allows; --key=value says otherwise. */
static enum err open_defaults(struct recipe *recipe, const struct model_config *config, const struct cmd_args *args)
{
    int half = config->max_positions / 2;
    struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, "model_name_or_path: model\ndataset_name: countdown\nreward_funcs: [countdown]\ndevice: cuda\n"
                       "output_dir: runs/plan\ngradient_checkpointing: true\n");
    if (half < DEFAULT_LENGTH) {
        strbuf_printf(&text, "max_prompt_length: %d\nmax_completion_length: %d\n", half, half);
    }
    enum err result = recipe_parse(recipe, strbuf_view(&text), "the plan");
    strbuf_release(&text);
    TRY(result);
    result = cmd_override_recipe(args, recipe);
    result = result == ERR_NONE ? recipe_finish(recipe) : result;
    if (result != ERR_NONE) {
        recipe_release(recipe);
    }
    return result;
}

static enum err check_model(const struct cmd_args *args, const char *path, double memory)
{
    struct model_config config;
    struct gpu_kind gpu;
    struct recipe recipe;
    struct shard_plan plan;
    int64_t n_gpus = cmd_int(args, "gpus");
    bool json = cmd_flag(args, "json");
    if (n_gpus < 0 || n_gpus > 1 << 16) {
        return err_set(ERR_USAGE, "--gpus is %lld; it can be 0, the fewest that do, to 65536", (long long)n_gpus);
    }
    TRY(gpu_kind_find(&gpu, cmd_text(args, "gpu")));
    gpu.gib = memory > 0 ? memory : gpu.gib;
    TRY(open_config(&config, path));
    TRY(open_defaults(&recipe, &config, args));
    if (recipe.lora.r > 0) {
        recipe_release(&recipe);
        return err_set(ERR_USAGE,
                       "--lora_r: the plan of a MODEL for several GPUs is that of training all of its weights; name "
                       "a RECIPE with lora_r for the plan of an adapter");
    }
    enum err result = shard_plan_make(&plan, &recipe, &config, path);
    result = result == ERR_NONE ? check_index(&plan, path, json ? stderr : stdout) : result;
    if (result == ERR_NONE && json) {
        json_t *document = shard_plan_to_json(&plan, &gpu, (int)n_gpus);
        json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        putchar('\n');
        json_decref(document);
    } else if (result == ERR_NONE) {
        shard_plan_print(&plan, &gpu, (int)n_gpus, stdout);
    }
    shard_plan_release(&plan);
    recipe_release(&recipe);
    return result;
}

/* ---- a recipe ---- */

static enum err check_command(const struct cmd_args *args)
{
    struct recipe recipe;
    char config[FILE_PATH_BYTES];
    if (cmd_flag(args, "keys")) {
        return print_keys();
    }
    if (cmd_positional_count(args) == 0) {
        return err_set(ERR_USAGE, "usage: strop check RECIPE|MODEL [--KEY=VALUE ...], or strop check --keys");
    }
    double memory = cmd_number(args, "memory");
    int64_t ranks = cmd_int(args, "ranks");
    if (ranks < 1 || ranks > 1024) {
        return err_set(ERR_USAGE, "--ranks is how many processes train together: 1 to 1024, a power of two");
    }
    if (!(memory >= 0 && memory < 1e6)) {
        return err_set(ERR_USAGE, "--memory is in GiB: a number of 0 to 1000000, such as --memory=24");
    }
    if (names_config(cmd_positional(args, 0), config, sizeof config)) {
        return check_model(args, config, memory);
    }
    TRY(cmd_open_training(&recipe, args, 0));
    recipe.run.n_ranks = (int)ranks;
    enum err shared = recipe_check_ranks(&recipe);
    if (shared != ERR_NONE) {
        recipe_release(&recipe);
        return shared;
    }
    struct strbuf changes = STRBUF_INIT;
    recipe_write_changes(&recipe, &changes);
    printf("keys that differ from their defaults:\n%s", changes.data ? changes.data : "");
    strbuf_release(&changes);
    enum err result = train_check(&recipe, (size_t)(memory * (1 << 30)), stdout);
    recipe_release(&recipe);
    return result;
}

static const struct cmd_option check_options[] = {
    {"keys", CMD_FLAG, NULL, NULL, "print every key of a recipe, as Markdown"},
    {"memory", CMD_NUMBER, "GIB", "0",
     "memory that the device is taken to have; 0: what it has, or 80 if it is not here"},
    {"ranks", CMD_INT, "N", "1", "how many ranks the run is to have: the table is that of one (strop launch -n N)"},
    {"gpu", CMD_TEXT, "NAME", "h100", "of MODEL: kind of GPU (a100, h100, h200, b200, rtx4090)"},
    {"gpus", CMD_INT, "N", "0", "of MODEL: GPUs that share the run; 0: the fewest that hold it, for each way to share"},
    {"json", CMD_FLAG, NULL, NULL, "of MODEL: print the plan as a JSON object"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .arguments = "RECIPE|MODEL [--KEY=VALUE ...]",
    .summary = "validate a recipe: model, data, rewards, memory",
    .details =
        "Lays out all memory that a run would take, prints the table, and opens the run's model, data and rewards,\n"
        "without training or writing anything; weights are only looked at, for numbers that are none. A recipe that\n"
        "does not fit is refused, with three changes each of which would make it fit. It needs no GPU:\n\n"
        "  strop check my.yaml --device=cuda --memory=24\n\n"
        "MODEL is a config.json, or a folder that has one; weights are not needed. Counts its parameters, and plans "
        "GRPO on\n"
        "it for any number of GPUs, divided as data, by ZeRO, and by experts: the fewest GPUs, and tokens per second "
        "at the\n"
        "machine's limits. Keys of a recipe say what the run is like:\n\n"
        "  strop check DeepSeek-V3/config.json --gpu=h200 --gpus=256 --max_completion_length=32768\n",
    .options = check_options,
    .min_positional = 0,
    .max_positional = 1,
    .takes_recipe_keys = true,
    .run = check_command,
};
