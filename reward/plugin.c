/* reward/plugin.c - a reward in a shared object (reward/strop_plugin.h), in a process of its own or in ours.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/dialog.h"
#include "reward/library.h"
#include "reward/plugin_helper.h"
#include "reward/rewards.h"
#include "reward/workers.h"

struct plugin {
    struct workers *workers; /* or */
    struct library *library;
    const char *path, *field;
    struct arena arena;
    char *words[4];
};

static const struct reward_option plugin_options[] = {
    {"path", OPTION_TEXT, NULL, 0, 0, NULL, "the shared object: a file, from the current folder"},
    {"isolate", OPTION_BOOL, "true", 0, 0, NULL,
     "in processes of its own, which may crash and hang; false: in this one, faster and with no such safety"},
    {"processes", OPTION_INT, "0", 0, 256, NULL, "how many have it loaded when isolated; 0: one for each processor"},
    {"timeout", OPTION_NUMBER, "0", 0, 86400, NULL, "seconds for an answer; 0: as long as an item may take"},
    {"start_timeout", OPTION_NUMBER, "60", 0.01, 86400, NULL, "seconds until it must be loaded"},
    {"field", OPTION_TEXT, "", 0, 0, NULL,
     "the field given as ground_truth; else ground_truth, answer, solution or label, the first there is"},
    {"config", OPTION_TEXT, "{}", 0, 0, NULL, "a JSON object that it is given at its start"},
    {"show_stderr", OPTION_BOOL, "false", 0, 0, NULL, "pass on what it prints when isolated"},
    {0},
};

static enum err open_workers(struct plugin *plugin, const struct reward_values *values)
{
    plugin->words[0] = arena_strdup(&plugin->arena, plugin_helper_program);
    plugin->words[1] = arena_strdup(&plugin->arena, plugin_helper_name);
    plugin->words[2] = arena_strdup(&plugin->arena, plugin->path);
    struct workers_plan plan = {
        .name = reward_text(values, "path"),
        .words = plugin->words,
        .config = reward_text(values, "config"),
        .field = plugin->field,
        .count = (int)reward_int(values, "processes"),
        .start_seconds = reward_number(values, "start_timeout"),
        .item_seconds = reward_number(values, "timeout"),
        .show = reward_bool(values, "show_stderr"),
    };
    return workers_open(&plugin->workers, &plan);
}

static enum err plugin_open(void *state, const struct reward_values *values)
{
    struct plugin *plugin = state;
    const char *config = reward_text(values, "config");
    plugin->field = reward_text(values, "field");
    const char *path = reward_text(values, "path"); /* a bare name would be looked for where libraries are */
    plugin->path = strchr(path, '/') ? path : arena_printf(&plugin->arena, "./%s", path);
    TRY(workers_check_config("plugin", config));
    enum err result = reward_bool(values, "isolate") ? open_workers(plugin, values)
                                                     : library_open(&plugin->library, plugin->path, config);
    return result == ERR_NONE ? ERR_NONE : err_wrap(result, "reward plugin");
}

static void plugin_close(void *state)
{
    struct plugin *plugin = state;
    workers_close(plugin->workers);
    library_close(plugin->library);
    arena_release(&plugin->arena);
}

static struct strop_text text_of(struct str text)
{
    return (struct strop_text){text.data, text.length};
}

static struct verdict judge_here(const struct plugin *plugin, const struct reward_item *item,
                                 const struct reward_call *call)
{
    struct strop_result result;
    struct strop_item given = {
        .finish = item->truncated ? STROP_LENGTH : STROP_STOP,
        .prompt = text_of(item->prompt),
        .completion = text_of(item->completion),
        .data_source = library_text(json_object_get(item->fields, "data_source"), call->arena),
        .ground_truth = library_text(dialog_truth(item->fields, plugin->field), call->arena),
        .row_json = library_text(item->fields, call->arena),
        .n_tokens = item->n_tokens,
        .max_tokens = item->max_tokens,
    };
    library_score(plugin->library, &given, call->deadline, &result);
    const char *message = arena_strdup(call->arena, result.message);
    struct str extracted = str_of(arena_strdup(call->arena, result.extracted));
    switch (result.status) {
    case STROP_OK: return verdict_ok(result.score, message[0] ? message : "scored", extracted);
    case STROP_ABSTAIN: return verdict_abstain(message[0] ? message : "it has no opinion");
    default: return verdict_error(message);
    }
}

static struct verdict plugin_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct plugin *plugin = state;
    return plugin->workers ? workers_judge(plugin->workers, item, call) : judge_here(plugin, item, call);
}

static const char *plugin_check(const void *state, const json_t *row, struct arena *arena)
{
    return dialog_check(row, ((const struct plugin *)state)->field, arena);
}

static const char *plugin_dead(const void *state, struct arena *arena)
{
    const struct plugin *plugin = state;
    return plugin->workers ? workers_dead(plugin->workers, arena) : NULL;
}

const struct reward_kind reward_plugin = {
    .name = "plugin",
    .help = "what a shared object of yours says, loaded in a process of its own",
    .fields = "",
    .options = plugin_options,
    .open = plugin_open,
    .close = plugin_close,
    .state_bytes = sizeof(struct plugin),
    .judge = plugin_judge,
    .check = plugin_check,
    .dead = plugin_dead,
};
