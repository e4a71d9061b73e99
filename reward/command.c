/* reward/command.c - a program of the user that scores: started once, asked in JSON lines (reward/dialog.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/dialog.h"
#include "reward/rewards.h"
#include "reward/workers.h"

enum { WORDS_MAX = 64 };

struct command {
    struct workers *workers;
    const char *field;
    struct arena arena;
    char *words[WORDS_MAX + 1];
};

static const struct reward_option command_options[] = {
    {"run", OPTION_TEXT, NULL, 0, 0, NULL,
     "the command line: words, '..' and \"..\" and \\ as a shell has them, no more"},
    {"shell", OPTION_BOOL, "false", 0, 0, NULL, "give the command line to /bin/sh"},
    {"processes", OPTION_INT, "0", 0, 256, NULL, "how many run side by side; 0: one for each processor"},
    {"timeout", OPTION_NUMBER, "0", 0, 86400, NULL, "seconds for an answer; 0: as long as an item may take"},
    {"start_timeout", OPTION_NUMBER, "60", 0.01, 86400, NULL, "seconds until it must be ready"},
    {"field", OPTION_TEXT, "", 0, 0, NULL,
     "the field sent as ground_truth; else ground_truth, answer, solution or label, the first there is"},
    {"config", OPTION_TEXT, "{}", 0, 0, NULL, "a JSON object that it is given at its start"},
    {"show_stderr", OPTION_BOOL, "false", 0, 0, NULL, "pass on what it prints on stderr"},
    {0},
};

static enum err not_closed(const char *line)
{
    return err_set(ERR_USAGE, "reward command: a quote is not closed in run: %s", line);
}

/* Reads the word at *at into `word`; *at moves past it. */
static enum err split_word(struct command *command, const char *line, const char **at, char **word)
{
    const char *p = *at;
    char quote = '\0', *to = arena_alloc(&command->arena, strlen(p) + 1);
    *word = to;
    for (; *p && (quote || !strchr(" \t\n", *p)); p++) {
        if (quote ? *p == quote : *p == '\'' || *p == '"') {
            quote = quote ? '\0' : *p;
        } else {
            p += *p == '\\' && quote != '\'' && p[1];
            *to++ = *p;
        }
    }
    *at = p;
    return quote ? not_closed(line) : ERR_NONE;
}

static enum err split(struct command *command, const char *line)
{
    int n = 0;
    const char *at = line + strspn(line, " \t\n");
    while (*at) {
        if (n == WORDS_MAX) {
            return err_set(ERR_USAGE, "reward command: run has more than %d words", WORDS_MAX);
        }
        TRY(split_word(command, line, &at, &command->words[n++]));
        at += strspn(at, " \t\n");
    }
    return n ? ERR_NONE : err_set(ERR_USAGE, "reward command: run is empty; name a program: run='python3 judge.py'");
}

static enum err command_open(void *state, const struct reward_values *values)
{
    struct command *command = state;
    const char *line = reward_text(values, "run");
    command->field = reward_text(values, "field");
    TRY(workers_check_config("command", reward_text(values, "config")));
    TRY(split(command, line));
    struct workers_plan plan = {
        .name = command->words[0],
        .words = command->words,
        .config = reward_text(values, "config"),
        .field = command->field,
        .count = (int)reward_int(values, "processes"),
        .start_seconds = reward_number(values, "start_timeout"),
        .item_seconds = reward_number(values, "timeout"),
        .show = reward_bool(values, "show_stderr"),
    };
    if (reward_bool(values, "shell")) {
        command->words[0] = arena_strdup(&command->arena, "/bin/sh");
        command->words[1] = arena_strdup(&command->arena, "-c");
        command->words[2] = arena_strdup(&command->arena, line);
        command->words[3] = NULL;
    }
    enum err result = workers_open(&command->workers, &plan);
    return result == ERR_NONE ? ERR_NONE : err_wrap(result, "reward command");
}

static void command_close(void *state)
{
    struct command *command = state;
    workers_close(command->workers);
    arena_release(&command->arena);
}

static struct verdict command_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    return workers_judge(((const struct command *)state)->workers, item, call);
}

static const char *command_check(const void *state, const json_t *row, struct arena *arena)
{
    return dialog_check(row, ((const struct command *)state)->field, arena);
}

static const char *command_dead(const void *state, struct arena *arena)
{
    return workers_dead(((const struct command *)state)->workers, arena);
}

const struct reward_kind reward_command = {
    .name = "command",
    .help = "what a program of yours decides, over JSON lines",
    .fields = "",
    .options = command_options,
    .open = command_open,
    .close = command_close,
    .state_bytes = sizeof(struct command),
    .judge = command_judge,
    .check = command_check,
    .dead = command_dead,
};
