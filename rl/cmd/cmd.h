/* rl/cmd/cmd.h - the command line: one table of commands, each with a table of options.
 *
 * A command is one file, rl/cmd/NAME.c, that defines `const struct command command_NAME`; rl/cmd/main.c lists them.
 * The tables drive parsing, --help, the man page and shell completion. Results go to stdout, all else to stderr.
 * What follows a key of the recipe may be the next word (--beta 0.1), as in TRL's own commands; `--version` prints
 * the version. A command returns enum err; main prints the sentence and exits with 2 for ERR_USAGE, 1 for any other,
 * 0 for none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_CMD_CMD_H
#define RL_CMD_CMD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define STROP_VERSION "0.3"

enum cmd_type { CMD_FLAG, CMD_INT, CMD_NUMBER, CMD_TEXT };

struct cmd_option {
    const char *name;     /* "max_tokens": given as --max_tokens=N, --max-tokens=N or --max_tokens N; -m N is the
                           * first option of the table that begins with m */
    enum cmd_type type;   /* a flag is given as --name or --name=true|false */
    const char *value;    /* the name of the value in help: "N", "FILE"; NULL for a flag */
    const char *fallback; /* the default as text; NULL: absent */
    const char *help;     /* one sentence, lower case, no full stop */
};

struct cmd_args; /* a parsed command line */

struct command {
    const char *name;
    const char *arguments;              /* "RECIPE [--KEY=VALUE ...]" */
    const char *summary;                /* one sentence for the list of commands */
    const char *details;                /* paragraphs and examples for --help; or NULL */
    const struct cmd_option *options;   /* ended by a NULL name; or NULL */
    int min_positional, max_positional; /* max -1: any number */
    bool takes_recipe_keys;             /* unknown --key=value are kept for the recipe: cmd_overrides */
    enum err (*run)(const struct cmd_args *args);
};

int cmd_positional_count(const struct cmd_args *args);
const char *cmd_positional(const struct cmd_args *args, int i);

/* The last value given, else the fallback. Asking for a name that the command's table lacks, or by another type, is
 * a bug. cmd_text is NULL where an option without fallback is absent. */
bool cmd_flag(const struct cmd_args *args, const char *name);
int64_t cmd_int(const struct cmd_args *args, const char *name);
double cmd_number(const struct cmd_args *args, const char *name);
const char *cmd_text(const struct cmd_args *args, const char *name);
bool cmd_given(const struct cmd_args *args, const char *name);
/* All values of an option that may be repeated; the i-th, or NULL past the last. */
const char *cmd_repeated(const struct cmd_args *args, const char *name, int i);
/* "key=value" of takes_recipe_keys, in order; NULL past the last. */
const char *cmd_override(const struct cmd_args *args, int i);
/* All overrides on a recipe that is open; recipe_finish is left to the caller. The error names all mistakes. */
struct recipe;
enum err cmd_override_recipe(const struct cmd_args *args, struct recipe *recipe);
/* The words as typed, for the command that reproduces a run. */
const char *cmd_line(const struct cmd_args *args);

/* The command of that name; NULL, with an error that names the nearest, if there is none. */
const struct command *cmd_find(const struct command *const *commands, const char *name);

/* Parses and runs; the process's exit code. */
int cmd_main(const struct command *const *commands, int argc, char **argv);

/* From the same tables (rl/cmd/help.c). */
void cmd_print_overview(const struct command *const *commands, FILE *out);
void cmd_print_help(const struct command *command, FILE *out);
void cmd_print_man(const struct command *const *commands, FILE *out);
void cmd_print_completion(const struct command *const *commands, FILE *out); /* bash */

#endif
