/* rl/data/countdown_data.c - the data set `countdown`: prompts of countdown problems.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/countdown.h"
#include "rl/data/generator.h"

enum { SPLIT, COUNT, NUMBER_LEAST, NUMBER_MOST, TARGET_LEAST, TARGET_MOST, STYLE };

static const struct generator_option countdown_options[] = {
    [SPLIT] = {"split", SPLIT_RL, 0, 0, "pre|rl|eval|all|train",
               "which sets of numbers: none is in two of pre, rl and eval; train is pre and rl"},
    [COUNT] = {"count", 3, 3, COUNTDOWN_MAX_NUMBERS, NULL, "numbers of a problem"},
    [NUMBER_LEAST] = {"number_least", 1, 1, 999, NULL, "smallest number"},
    [NUMBER_MOST] = {"number_most", 9, 1, 999, NULL, "largest number"},
    [TARGET_LEAST] = {"target_least", 10, 1, COUNTDOWN_MAX_VALUE, NULL, "smallest target"},
    [TARGET_MOST] = {"target_most", 99, 1, COUNTDOWN_MAX_VALUE, NULL, "largest target and intermediate value"},
    [STYLE] = {"style", 0, 0, 0, "short|question|bare",
               "short: the whole prompt in the words of the tiny base, for template none; question: plain English, for "
               "the other templates; bare: numbers and target alone, for recipes/tiny/countdown.txt"},
    {0},
};

static struct countdown_family countdown_family_of(const int64_t *values)
{
    return (struct countdown_family){
        .split = (enum countdown_split)values[SPLIT],
        .n = (int)values[COUNT],
        .number_least = (int)values[NUMBER_LEAST],
        .number_most = (int)values[NUMBER_MOST],
        .target_least = (int)values[TARGET_LEAST],
        .target_most = (int)values[TARGET_MOST],
        .value_max = (int)values[TARGET_MOST],
    };
}

static enum err countdown_check(const int64_t *values, const char *name)
{
    struct countdown_family family = countdown_family_of(values);
    if (family.number_least > family.number_most || family.target_least > family.target_most) {
        return err_set(ERR_USAGE, "data set '%s': number_least or target_least is above its largest; swap them", name);
    }
    if (!countdown_exists(&family)) {
        return err_set(ERR_USAGE, "data set '%s': these options leave no problem to draw; widen the numbers or targets",
                       name);
    }
    return ERR_NONE;
}

static void countdown_question(const struct countdown_problem *problem, struct strbuf *out)
{
    strbuf_puts(out, "Use the numbers ");
    for (int i = 0; i < problem->n; i++) {
        strbuf_printf(out, "%s%d", i == 0 ? "" : i + 1 < problem->n ? ", " : " and ", problem->numbers[i]);
    }
    strbuf_printf(out,
                  ", each exactly once, and the operations +, -, * and / to make %d. Give the expression, such as "
                  "(1 + 2) * 3, as the answer.",
                  problem->target);
}

static void countdown_make(const int64_t *values, struct rng *rng, int64_t index, struct arena *arena,
                           struct generator_item *out)
{
    (void)index;
    struct countdown_family family = countdown_family_of(values);
    struct countdown_problem problem;
    countdown_draw(&family, rng, &problem);
    struct strbuf text = STRBUF_INIT;
    switch (values[STYLE]) {
    case 0: countdown_prompt(&problem, true, &text); break;
    case 1: countdown_question(&problem, &text); break;
    default: countdown_ask(&problem, &text);
    }
    json_t *numbers = json_array();
    for (int i = 0; i < problem.n; i++) {
        json_array_append_new(numbers, json_integer(problem.numbers[i]));
    }
    out->fields = json_pack("{s:o, s:i}", "nums", numbers, "target", problem.target);
    out->text = (struct str){arena_strndup(arena, text.data, text.length), text.length};
    strbuf_release(&text);
}

const struct generator_kind countdown_data = {
    .name = "countdown",
    .help = "make a target out of numbers with + - * /, each number used once",
    .fields = "nums target",
    .options = countdown_options,
    .check = countdown_check,
    .make = countdown_make,
};
