/* reward/exact.c - the answer is the reference, character by character; a JSON number is one as a number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/number.h"
#include "reward/rewards.h"
#include "reward/tags.h"
#include "reward/text.h"

enum exact_space { SPACE_TRIM, SPACE_KEEP, SPACE_COLLAPSE, SPACE_REMOVE };

struct exact {
    const char *field;
    enum exact_space space;
    enum tags_part part;
    bool any_part, ignore_case, prefilled;
};

static const struct reward_option exact_options[] = {
    {"field", OPTION_TEXT, "answer", 0, 0, NULL, "the field with the reference: text, a number, or a list of them"},
    {"part", OPTION_CHOICE, "auto", 0, 0, "auto|" TAGS_PARTS,
     "what is compared; auto: the last answer tag after the thinking, else what follows </think>, else all"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
    {"ignore_case", OPTION_BOOL, "false", 0, 0, NULL, "upper and lower case are the same, in all scripts"},
    {"white_space", OPTION_CHOICE, "trim", 0, 0, "trim|keep|collapse|remove",
     "trim: none at the ends; collapse: and one space for any inside; remove: none at all; keep: as it is"},
    {0},
};

static enum err exact_open(void *state, const struct reward_values *values)
{
    struct exact *exact = state;
    const char *space = reward_text(values, "white_space"), *part = reward_text(values, "part");
    exact->field = reward_text(values, "field");
    exact->any_part = strcmp(part, "auto") == 0;
    exact->part = tags_part_of(part);
    exact->prefilled = reward_bool(values, "prefilled");
    exact->ignore_case = reward_bool(values, "ignore_case");
    exact->space = strcmp(space, "keep") == 0       ? SPACE_KEEP
                   : strcmp(space, "collapse") == 0 ? SPACE_COLLAPSE
                   : strcmp(space, "remove") == 0   ? SPACE_REMOVE
                                                    : SPACE_TRIM;
    return ERR_NONE;
}

static struct str normal(const struct exact *exact, struct arena *arena, struct str text)
{
    switch (exact->space) {
    case SPACE_TRIM: text = text_trim(text); break;
    case SPACE_COLLAPSE: text = text_respace(arena, text, STR(" ")); break;
    case SPACE_REMOVE: text = text_respace(arena, text, STR("")); break;
    case SPACE_KEEP: break;
    }
    return exact->ignore_case ? text_fold(arena, text) : text;
}

/* For references that are JSON numbers: is the answer that number, written in another way ("4.0", "4,000")? */
static bool same_number(struct arena *arena, const json_t *value, struct str reference, struct str answer)
{
    struct number want, got;
    return json_is_number(value) && number_read(answer, arena, &got) && got.bare &&
           number_read(reference, arena, &want) && number_equal(&want, &got);
}

/* A reference as text; false if it is an object, a list, a truth value or null. */
static bool reference_text(struct arena *arena, const json_t *value, struct str *out)
{
    if (json_is_string(value)) {
        *out = (struct str){json_string_value(value), json_string_length(value)};
    } else if (json_is_integer(value)) {
        *out = str_of(arena_printf(arena, "%lld", (long long)json_integer_value(value)));
    } else if (json_is_real(value)) {
        *out = str_of(arena_printf(arena, "%.15g", json_real_value(value)));
    } else {
        return false;
    }
    return true;
}

static bool find_part(struct str completion, enum tags_part part, bool prefilled, struct str *out)
{
    return part == PART_REST     ? tags_rest(completion, prefilled, out)
           : part == PART_ANSWER ? tags_answer(completion, prefilled, out)
                                 : tags_part(completion, part, out);
}

/* The answer in a completion, and in `path` where it was. False: there is none, as in thinking that never ends. */
static bool find_answer(const struct exact *exact, const struct reward_item *item, struct str *out, const char **path)
{
    static const char *const paths[] = {"all", "thinking", "after thinking", "answer tag"};
    bool prefilled = tags_prefilled(exact->prefilled, item->prompt);
    struct str turn = tags_turn(item->completion);
    if (exact->any_part && find_part(turn, PART_ANSWER, prefilled, out)) {
        *path = paths[PART_ANSWER];
        return true;
    }
    enum tags_part part = exact->any_part ? PART_REST : exact->part;
    *path = paths[part];
    return find_part(turn, part, prefilled, out);
}

static struct verdict exact_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct exact *exact = state;
    struct arena *arena = call->arena;
    const json_t *field = json_object_get(item->fields, exact->field);
    struct str answer, reference;
    const char *path;
    if (!field || json_is_null(field)) {
        return verdict_error(arena_printf(arena, "missing field '%s'", exact->field));
    }
    bool list = json_is_array(field), right = false;
    if (!find_answer(exact, item, &answer, &path)) {
        return verdict_ok(0, "no such part", (struct str){0});
    }
    struct str got = normal(exact, arena, answer);
    for (size_t i = 0; i < (list ? json_array_size(field) : 1); i++) {
        const json_t *value = list ? json_array_get(field, i) : field;
        if (!reference_text(arena, value, &reference)) {
            return verdict_error(
                arena_printf(arena, "field '%s' must be text, a number, or a list of them", exact->field));
        }
        right =
            right || str_equal(got, normal(exact, arena, reference)) || same_number(arena, value, reference, answer);
    }
    struct verdict v = verdict_ok(right, right ? "right" : "another text", text_trim(answer));
    v.path = path;
    return v;
}

const struct reward_kind reward_exact = {
    .name = "exact",
    .help = "1 if the answer is the reference text, or one of several",
    .fields = "answer",
    .options = exact_options,
    .open = exact_open,
    .state_bytes = sizeof(struct exact),
    .judge = exact_judge,
};
