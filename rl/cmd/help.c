/* rl/cmd/help.c - help, man page and shell completion out of the tables; and the command `strop help`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/cmd/cmd.h"
#include "rl/cmd/commands.h"
#include "rl/recipe/recipe.h"

#define HELP_ABOUT "GRPO reinforcement learning of language models: one program, no Python"

void cmd_print_overview(const struct command *const *commands, FILE *out)
{
    fprintf(out, "strop - %s\n\nusage: strop COMMAND [ARGUMENTS] [--OPTION=VALUE ...]\n\n", HELP_ABOUT);
    for (int i = 0; commands[i]; i++) {
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nBegin with:  strop train recipes/tiny/r1-zero.yaml\n"
          "More on one: strop COMMAND --help\n",
          out);
}

static void help_option(const struct cmd_option *option, FILE *out)
{
    char left[64];
    if (option->type == CMD_FLAG) {
        snprintf(left, sizeof left, "--%s", option->name);
    } else {
        snprintf(left, sizeof left, "--%s=%s", option->name, option->value);
    }
    fprintf(out, "  %-26s %s", left, option->help);
    if (option->fallback && option->type != CMD_FLAG && option->fallback[0]) {
        fprintf(out, " (%s)", option->fallback);
    }
    fputc('\n', out);
}

void cmd_print_help(const struct command *command, FILE *out)
{
    fprintf(out, "strop %s - %s\n\nusage: strop %s %s\n", command->name, command->summary, command->name,
            command->arguments);
    if (command->options && command->options->name) {
        fputs("\noptions:\n", out);
        for (const struct cmd_option *o = command->options; o->name; o++) {
            help_option(o, out);
        }
    }
    if (command->takes_recipe_keys) {
        fputs("  --KEY=VALUE                any key of the recipe; strop check --keys lists them\n", out);
    }
    if (command->details) {
        fprintf(out, "\n%s", command->details);
    }
}

/* Text for roff: a leading dot or quote would be a request, and a backslash an escape. */
static void help_roff(const char *text, FILE *out)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) {
            fputs("\\&", out);
        }
        if (*text == '\\' || *text == '-') {
            fputc('\\', out);
        }
        fputc(*text == '\\' ? 'e' : *text, out);
        line_start = *text == '\n';
    }
}

void cmd_print_man(const struct command *const *commands, FILE *out)
{
    fprintf(
        out,
        ".TH STROP 1\n.SH NAME\nstrop \\- %s\n.SH SYNOPSIS\n.B strop\nCOMMAND [ARGUMENTS] [\\-\\-OPTION=VALUE ...]\n",
        HELP_ABOUT);
    fputs(".SH EXIT STATUS\n0 success, 1 failure, 2 wrong usage.\n.SH COMMANDS\n", out);
    for (int i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        fputs(".SS strop ", out);
        help_roff(c->name, out);
        fputc(' ', out);
        help_roff(c->arguments, out);
        fputc('\n', out);
        help_roff(c->summary, out);
        fputs(".\n", out);
        for (const struct cmd_option *o = c->options; o && o->name; o++) {
            fputs(".TP\n.B \\-\\-", out);
            help_roff(o->name, out);
            fprintf(out, "%s%s\n", o->value ? "=" : "", o->value ? o->value : "");
            help_roff(o->help, out);
            if (o->fallback && o->type != CMD_FLAG && o->fallback[0]) {
                fprintf(out, " (%s)", o->fallback);
            }
            fputc('\n', out);
        }
        if (c->takes_recipe_keys) {
            fputs(".TP\n.B \\-\\-KEY=VALUE\nany key of the recipe; strop check \\-\\-keys lists them\n", out);
        }
        if (c->details) {
            fputs(".PP\n.nf\n", out);
            help_roff(c->details, out);
            fputs(".fi\n", out);
        }
    }
}

void cmd_print_completion(const struct command *const *commands, FILE *out)
{
    fputs("_strop() {\n    local word=${COMP_WORDS[COMP_CWORD]} options=\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          out);
    for (int i = 0; commands[i]; i++) {
        fprintf(out, "%s%s", i ? " " : "", commands[i]->name);
    }
    fputs("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", out);
    for (int i = 0; commands[i]; i++) {
        fprintf(out, "    %s) options='--help", commands[i]->name);
        for (const struct cmd_option *o = commands[i]->options; o && o->name; o++) {
            fprintf(out, " --%s%s", o->name, o->value ? "=" : "");
        }
        for (int k = 0; commands[i]->takes_recipe_keys && recipe_key(k); k++) {
            fprintf(out, " --%s=", recipe_key(k));
        }
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")); compopt -o "
          "nospace ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\ncomplete -F _strop strop\n",
          out);
}

static enum err help_run(const struct cmd_args *args)
{
    if (cmd_flag(args, "man")) {
        cmd_print_man(all_commands, stdout);
    } else if (cmd_flag(args, "completion")) {
        cmd_print_completion(all_commands, stdout);
    } else if (cmd_positional_count(args) == 0) {
        cmd_print_overview(all_commands, stdout);
    } else {
        const struct command *command = cmd_find(all_commands, cmd_positional(args, 0));
        if (!command) {
            return ERR_USAGE;
        }
        cmd_print_help(command, stdout);
    }
    return ERR_NONE;
}

static const struct cmd_option help_options[] = {
    {"man", CMD_FLAG, NULL, NULL, "print the man page (roff)"},
    {"completion", CMD_FLAG, NULL, NULL, "print the completion script for bash"},
    {0},
};

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "explain a command, or list them all",
    .options = help_options,
    .max_positional = 1,
    .run = help_run,
};
