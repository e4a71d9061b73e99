/* rl/cmd/cmd.c - the parser of the command line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/cmd/cmd.h"

#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "rl/recipe/recipe.h"
#include "rl/train.h"

struct cmd_value {
    const char *name, *value;
};

struct cmd_args {
    const struct command *command;
    const char **positional;
    int n_positional;
    struct cmd_value *values; /* options in the order given */
    int n_values;
    const char **overrides;
    int n_overrides;
    const char *line;
    struct arena arena;
};

static const struct cmd_option *cmd_find_option(const struct command *command, const char *name)
{
    for (const struct cmd_option *o = command->options; o && o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

static const struct cmd_option *cmd_option_of(const struct cmd_args *args, const char *name, enum cmd_type type)
{
    const struct cmd_option *option = cmd_find_option(args->command, name);
    BUG_ON(!option || option->type != type);
    return option;
}

static const char *cmd_value(const struct cmd_args *args, const struct cmd_option *option)
{
    for (int i = args->n_values; i-- > 0;) {
        if (strcmp(args->values[i].name, option->name) == 0) {
            return args->values[i].value;
        }
    }
    return option->fallback;
}

int cmd_positional_count(const struct cmd_args *args)
{
    return args->n_positional;
}

const char *cmd_positional(const struct cmd_args *args, int i)
{
    BUG_ON(i < 0 || i >= args->n_positional);
    return args->positional[i];
}

bool cmd_flag(const struct cmd_args *args, const char *name)
{
    const char *value = cmd_value(args, cmd_option_of(args, name, CMD_FLAG));
    return value && strcmp(value, "true") == 0;
}

int64_t cmd_int(const struct cmd_args *args, const char *name)
{
    int64_t number = 0;
    const char *value = cmd_value(args, cmd_option_of(args, name, CMD_INT));
    BUG_ON(!value || !str_to_int(str_of(value), &number));
    return number;
}

double cmd_number(const struct cmd_args *args, const char *name)
{
    double number = 0;
    const char *value = cmd_value(args, cmd_option_of(args, name, CMD_NUMBER));
    BUG_ON(!value || !str_to_double(str_of(value), &number));
    return number;
}

const char *cmd_text(const struct cmd_args *args, const char *name)
{
    return cmd_value(args, cmd_option_of(args, name, CMD_TEXT));
}

const char *cmd_repeated(const struct cmd_args *args, const char *name, int i)
{
    for (int k = 0; k < args->n_values; k++) {
        if (strcmp(args->values[k].name, name) == 0 && i-- == 0) {
            return args->values[k].value;
        }
    }
    return NULL;
}

bool cmd_given(const struct cmd_args *args, const char *name)
{
    return cmd_repeated(args, name, 0) != NULL;
}

const char *cmd_override(const struct cmd_args *args, int i)
{
    return i < args->n_overrides ? args->overrides[i] : NULL;
}

const char *cmd_line(const struct cmd_args *args)
{
    return args->line;
}

enum err cmd_override_recipe(const struct cmd_args *args, struct recipe *recipe)
{
    struct recipe_errors errors = {0};
    for (int i = 0; i < args->n_overrides; i++) {
        if (recipe_override(recipe, args->overrides[i]) != ERR_NONE) {
            recipe_errors_add(&errors);
        }
    }
    return recipe_errors_end(&errors);
}

static enum err cmd_unknown_option(const struct command *command, const char *name)
{
    const char *nearest = NULL;
    int best = 4;
    for (const struct cmd_option *o = command->options; o && o->name; o++) {
        int distance = str_distance(o->name, name);
        if (distance < best) {
            best = distance;
            nearest = o->name;
        }
    }
    if (nearest) {
        return err_set(ERR_USAGE, "strop %s has no option --%s; did you mean --%s?", command->name, name, nearest);
    }
    return err_set(ERR_USAGE, "strop %s has no option --%s; see strop %s --help", command->name, name, command->name);
}

static enum err cmd_check_value(const struct command *command, const struct cmd_option *option, const char *value)
{
    int64_t integer;
    double number;
    struct str text = str_of(value);
    const char *want = NULL;
    if (option->type == CMD_INT && !str_to_int(text, &integer)) {
        want = "an integer";
    } else if (option->type == CMD_NUMBER && !str_to_double(text, &number)) {
        want = "a number";
    } else if (option->type == CMD_FLAG && !str_equal(text, STR("true")) && !str_equal(text, STR("false"))) {
        want = "true or false, or nothing";
    }
    if (want) {
        return err_set(ERR_USAGE, "strop %s: --%s must be %s, not '%s'", command->name, option->name, want, value);
    }
    return ERR_NONE;
}

/* "-o" and the value as the next word: the first option of the command that begins with the letter. */
static enum err cmd_parse_letter(struct cmd_args *args, int argc, char **argv, int *i)
{
    const struct command *command = args->command;
    const struct cmd_option *option = command->options;
    while (option && option->name && option->name[0] != argv[*i][1]) {
        option++;
    }
    if (!option || !option->name) {
        return err_set(ERR_USAGE, "strop %s has no option %s; see strop %s --help", command->name, argv[*i],
                       command->name);
    }
    const char *value = "true";
    if (option->type != CMD_FLAG) {
        if (*i + 1 >= argc) {
            return err_set(ERR_USAGE, "%s needs a value: %s %s", argv[*i], argv[*i], option->value);
        }
        value = argv[++*i];
    }
    TRY(cmd_check_value(command, option, value));
    args->values[args->n_values++] = (struct cmd_value){option->name, value};
    return ERR_NONE;
}

/* One "--name", "--name=value" or "--name value"; *i moves on when the value is the next word. */
static enum err cmd_parse_option(struct cmd_args *args, int argc, char **argv, int *i)
{
    const char *word = argv[*i] + 2;
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    char *name = arena_strndup(&args->arena, word, length);
    for (char *c = name; *c; c++) { /* --max-tokens is --max_tokens */
        *c = *c == '-' ? '_' : *c;
    }
    const struct cmd_option *option = cmd_find_option(args->command, name);
    if (!option && args->command->takes_recipe_keys) {
        if (!equals && (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)) {
            return err_set(ERR_USAGE, "--%s needs a value: --%s=VALUE", name, name);
        }
        const char *given = equals ? equals + 1 : argv[++*i];
        args->overrides[args->n_overrides++] = arena_printf(&args->arena, "%s=%s", name, given);
        return ERR_NONE;
    }
    if (!option) {
        return cmd_unknown_option(args->command, name);
    }
    const char *value = equals ? equals + 1 : option->type == CMD_FLAG ? "true" : NULL;
    if (!value) {
        if (*i + 1 >= argc) {
            return err_set(ERR_USAGE, "--%s needs a value: --%s=%s", name, name, option->value);
        }
        value = argv[++*i];
    }
    TRY(cmd_check_value(args->command, option, value));
    args->values[args->n_values++] = (struct cmd_value){option->name, value};
    return ERR_NONE;
}

static enum err cmd_parse(struct cmd_args *args, int argc, char **argv)
{
    args->positional = ARENA_NEW(&args->arena, const char *, argc);
    args->values = ARENA_NEW(&args->arena, struct cmd_value, argc);
    args->overrides = ARENA_NEW(&args->arena, const char *, argc);
    bool only_positional = false;
    for (int i = 2; i < argc; i++) {
        if (!only_positional && strcmp(argv[i], "--") == 0) {
            only_positional = true;
        } else if (!only_positional && strncmp(argv[i], "--", 2) == 0) {
            TRY(cmd_parse_option(args, argc, argv, &i));
        } else if (!only_positional && argv[i][0] == '-' && argv[i][1] && !argv[i][2]) {
            TRY(cmd_parse_letter(args, argc, argv, &i));
        } else {
            args->positional[args->n_positional++] = argv[i];
        }
    }
    const struct command *c = args->command;
    if (args->n_positional < c->min_positional || (c->max_positional >= 0 && args->n_positional > c->max_positional)) {
        return err_set(ERR_USAGE, "usage: strop %s %s", c->name, c->arguments);
    }
    return ERR_NONE;
}

/* The command line as a shell would take it again. */
static const char *cmd_join(struct arena *arena, int argc, char **argv)
{
    struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, "strop");
    for (int i = 1; i < argc; i++) {
        strbuf_putc(&line, ' ');
        bool plain = argv[i][0] && !strpbrk(argv[i], " \t\n'\"\\$`*?[]{}()<>|&;#~!");
        if (plain) {
            strbuf_puts(&line, argv[i]);
            continue;
        }
        strbuf_putc(&line, '\'');
        for (const char *c = argv[i]; *c; c++) {
            strbuf_puts(&line, *c == '\'' ? "'\\''" : (char[2]){*c, '\0'});
        }
        strbuf_putc(&line, '\'');
    }
    char *copy = arena_strdup(arena, line.data);
    strbuf_release(&line);
    return copy;
}

const struct command *cmd_find(const struct command *const *commands, const char *name)
{
    const char *nearest = commands[0]->name;
    for (int i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
        if (str_distance(commands[i]->name, name) < str_distance(nearest, name)) {
            nearest = commands[i]->name;
        }
    }
    err_set(ERR_USAGE, "there is no command '%s'; did you mean 'strop %s'? 'strop help' lists them all", name, nearest);
    return NULL;
}

static bool cmd_wants_help(int argc, char **argv)
{
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static enum err cmd_run(const struct command *const *commands, int argc, char **argv)
{
    const struct command *command = cmd_find(commands, argv[1]);
    if (!command) {
        return ERR_USAGE;
    }
    if (cmd_wants_help(argc, argv)) {
        cmd_print_help(command, stdout);
        return ERR_NONE;
    }
    struct cmd_args args = {.command = command};
    args.line = cmd_join(&args.arena, argc, argv);
    enum err result = cmd_parse(&args, argc, argv);
    if (result == ERR_NONE) {
        result = command->run(&args);
    }
    arena_release(&args.arena);
    return result;
}

int cmd_main(const struct command *const *commands, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cmd_print_overview(commands, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("strop " STROP_VERSION);
        return 0;
    }
    enum err result = cmd_run(commands, argc, argv);
    if (fflush(stdout) != 0 && result == ERR_NONE) {
        result = err_set(ERR_IO, "cannot write the results to standard output");
    }
    if (result == ERR_NONE) {
        return 0;
    }
    if (result == ERR_STOPPED) {
        return 128 + train_stop_signal();
    }
    log_message(LOG_ERROR, "%s", err_text());
    return result == ERR_USAGE ? 2 : result == ERR_PEER ? 75 : 1;
}
