/* tests/reward/number_places.h - an answer in every place that an answer has, for every reward that reads numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_REWARD_NUMBER_PLACES_H
#define TESTS_REWARD_NUMBER_PLACES_H

#include <string.h>

#include "tests/reward/judge.h"

/* Rewards stay open from one answer to the next. */
static struct reward_set *number_reward(const char *spec)
{
    static struct {
        const char *spec;
        struct reward_set *set;
    } opened[8];
    int i = 0;
    while (opened[i].spec && strcmp(opened[i].spec, spec) != 0) {
        i++;
    }
    if (!opened[i].spec) {
        opened[i].spec = spec;
        BUG_ON(reward_set_open(&opened[i].set, &(struct reward_spec){spec}, 1, ON_ERROR_ZERO, 10, 1) != ERR_NONE);
    }
    return opened[i].set;
}

/* `place` with the answer for its "@", against 18. */
static inline void number_check(const char *spec, const char *place, const char *answer, bool paid)
{
    struct arena arena = ARENA_INIT;
    size_t cut = (size_t)(strchr(place, '@') - place);
    const char *text = arena_printf(&arena, "%.*s%s%s", (int)cut, place, answer, place + cut + 1);
    json_t *row = json_pack("{si}", "answer", 18);
    struct reward_item item = {.completion = str_of(text), .fields = row, .n_tokens = -1};
    struct judgement judgement;
    BUG_ON(reward_judge(number_reward(spec), &item, 1, &arena, &judgement) != ERR_NONE);
    json_decref(row);
    const struct verdict *v = &judgement.parts[0];
    if (v->kind != VERDICT_OK || (v->score == 1) != paid) {
        fail_msg("%s '%s': %g, %s", spec, text, v->score, v->reason);
    }
    arena_release(&arena);
}

/* Braces that match, so that it can be in a box. */
static inline bool fits_box(const char *answer)
{
    int open = 0;
    for (const char *c = answer; *c && open >= 0; c++) {
        open += *c == '{' ? 1 : *c == '}' ? -1 : 0;
    }
    return open == 0;
}

static inline void not_paid_anywhere(const char *answer)
{
    static const char *const specs[] = {"gsm8k", "gsm8k:last_number=true", "math:fallback=true"},
                             *const places[] = {"@", "work\n#### @", "The answer is @", "So the answer is @.",
                                                "<think>x</think> <answer>@</answer>", "**Final Answer**\n\n@"};
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            number_check(specs[s], places[p], answer, false);
        }
    }
    if (fits_box(answer)) {
        number_check("gsm8k", "so \\boxed{@}", answer, false);
        number_check("math", "so \\boxed{@}", answer, false);
    }
    number_check("exact", "@", answer, false);
}

static inline void paid_as_answer(const char *answer)
{
    static const char *const specs[] = {"gsm8k", "math:fallback=true"},
                             *const places[] = {"work\n#### @", "<think>x</think> <answer>@</answer>"};
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
            number_check(specs[s], places[p], answer, true);
        }
    }
    if (fits_box(answer) && strlen(answer) < 24 && !strstr(answer, "swer")) {
        number_check("gsm8k", "so \\boxed{@}", answer, true);
        number_check("math", "so \\boxed{@}", answer, true);
    }
    if (!strstr(answer, "swer")) {
        number_check("gsm8k", "The answer is @", answer, true);
        number_check("math:fallback=true", "The answer is @", answer, true);
    }
}

/* The answers of a list, which "|" separates. */
static inline void for_each_answer(const char *list, void (*check)(const char *answer))
{
    char answer[256];
    for (size_t length; *list; list += length + (list[length] == '|')) {
        length = strcspn(list, "|");
        BUG_ON(length >= sizeof answer);
        memcpy(answer, list, length);
        answer[length] = '\0';
        check(answer);
    }
}

static inline void whole_check(const char *completion, bool paid)
{
    static const char *const specs[] = {"gsm8k", "gsm8k:last_number=true", "math:fallback=true", "math"};
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        if (s < 3 || strstr(completion, "boxed")) { /* math alone reads boxes only */
            number_check(specs[s], "@", completion, paid);
        }
    }
}

#endif
