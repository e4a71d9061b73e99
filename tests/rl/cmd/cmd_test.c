/* tests/rl/cmd/cmd_test.c - the parser of the command line, with a command that prints what it was given.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/rl/cmd/command.h"

static enum err print_words(const struct cmd_args *args)
{
    printf("%s %lld", cmd_flag(args, "quiet") ? "quiet" : "loud", (long long)cmd_int(args, "max_tokens"));
    for (int i = 0; i < cmd_positional_count(args); i++) {
        printf(" (%s)", cmd_positional(args, i));
    }
    for (int i = 0; cmd_override(args, i); i++) {
        printf(" [%s]", cmd_override(args, i));
    }
    return ERR_NONE;
}

static const struct cmd_option options[] = {
    {"quiet", CMD_FLAG, NULL, NULL, "say nothing"},
    {"max_tokens", CMD_INT, "N", "7", "tokens"},
    {0},
};
static const struct command words = {
    .name = "words",
    .arguments = "WORD",
    .summary = "print what was given",
    .options = options,
    .min_positional = 0,
    .max_positional = 2,
    .takes_recipe_keys = true,
    .run = print_words,
};
const struct command *const all_commands[] = {&words, &command_help, NULL};

static void a_value_follows_a_sign_or_is_the_next_word(void **state)
{
    (void)state;
    static const struct {
        const char *words[8], *out;
    } cases[] = {
        {{"words", "a", "--max_tokens=3"}, "loud 3 (a)"},
        {{"words", "--max-tokens", "3", "a"}, "loud 3 (a)"},
        {{"words", "-m", "4", "--quiet", "a"}, "quiet 4 (a)"},
        {{"words", "a", "--beta", "0.1", "b"}, "loud 7 (a) (b) [beta=0.1]"},
        {{"words", "--beta", "-1", "--stop=", "b"}, "loud 7 (b) [beta=-1] [stop=]"},
        {{"words", "--actor.adam.lr", "1e-6"}, "loud 7 [actor.adam.lr=1e-6]"},
        {{"words", "--", "--beta", "-m"}, "loud 7 (--beta) (-m)"},
        {{"--version"}, "strop " STROP_VERSION "\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command_result r = command_run("", cases[i].words);
        assert_string_equal(r.err.data, "");
        assert_string_equal(r.out.data, cases[i].out);
        assert_int_equal(r.exit_code, 0);
        command_release(&r);
    }
}

static void wrong_lines_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *words[8], *message;
    } cases[] = {
        {{"wrods"},
         "strop: error: there is no command 'wrods'; did you mean 'strop words'? 'strop help' lists them all\n"},
        {{"help", "wrods"},
         "strop: error: there is no command 'wrods'; did you mean 'strop words'? 'strop help' lists them all\n"},
        {{"words", "--beta"}, "strop: error: --beta needs a value: --beta=VALUE\n"},
        {{"words", "--beta", "--quiet"}, "strop: error: --beta needs a value: --beta=VALUE\n"},
        {{"words", "--max_tokens", "many"}, "strop: error: strop words: --max_tokens must be an integer, not 'many'\n"},
        {{"words", "a", "b", "c"}, "strop: error: usage: strop words WORD\n"},
        {{"help", "--al"}, "strop: error: strop help has no option --al; did you mean --man?\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command_result r = command_run("", cases[i].words);
        assert_string_equal(r.err.data, cases[i].message);
        assert_string_equal(r.out.data, "");
        assert_int_equal(r.exit_code, 2);
        command_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_follows_a_sign_or_is_the_next_word),
        cmocka_unit_test(wrong_lines_are_explained),
    };
    return cmocka_run_group_tests_name("cmd", tests, NULL, NULL);
}
