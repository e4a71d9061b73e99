/* reward/ifeval.c - instructions that a rule can check: number of words, no commas, all capitals, last words ...
 *
 * Items carry them in the form of IFEval (arXiv 2311.07911):
 *   {"instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
 *    "kwargs": [{}, {"relation": "at least", "num_words": 300}]}
 * As there, an empty response follows none. reward/ifeval_checks.h lists what differs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/ifeval_checks.h"
#include "reward/rewards.h"
#include "reward/tags.h"
#include "reward/text.h"

struct ifeval {
    const char *ids, *kwargs;
    enum tags_part part;
    bool all;
};

static const struct reward_option ifeval_options[] = {
    {"mode", OPTION_CHOICE, "share", 0, 0, "share|all",
     "share: of the instructions that are followed; all: 1 only if every one is"},
    {"part", OPTION_CHOICE, "rest", 0, 0, TAGS_PARTS, "what must follow the instructions; rest: what follows </think>"},
    {"ids_field", OPTION_TEXT, "instruction_id_list", 0, 0, NULL, "the field with the names of the instructions"},
    {"kwargs_field", OPTION_TEXT, "kwargs", 0, 0, NULL, "the field with their arguments, in the same order"},
    {0},
};

static enum err ifeval_open(void *state, const struct reward_values *values)
{
    struct ifeval *ifeval = state;
    ifeval->all = strcmp(reward_text(values, "mode"), "all") == 0;
    ifeval->part = tags_part_of(reward_text(values, "part"));
    ifeval->ids = reward_text(values, "ids_field");
    ifeval->kwargs = reward_text(values, "kwargs_field");
    return ERR_NONE;
}

/* What is wrong with an item's fields, or NULL. */
static const char *check_fields(const struct ifeval *ifeval, const json_t *ids, const json_t *kwargs,
                                struct arena *arena)
{
    if (!ids) {
        return arena_printf(arena, "missing field '%s'", ifeval->ids);
    }
    if (!json_is_array(ids) || json_array_size(ids) == 0) {
        return arena_printf(arena, "field '%s' must be a list of instructions", ifeval->ids);
    }
    if (kwargs && !json_is_null(kwargs) &&
        (!json_is_array(kwargs) || json_array_size(kwargs) != json_array_size(ids))) {
        return arena_printf(arena, "field '%s' must have an object for each instruction", ifeval->kwargs);
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (!id || !ifeval_find(id)) {
            return arena_printf(arena, "there is no instruction '%.60s'", id ? id : "");
        }
    }
    return NULL;
}

static struct verdict ifeval_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct ifeval *ifeval = state;
    const json_t *ids = json_object_get(item->fields, ifeval->ids);
    const json_t *kwargs = json_object_get(item->fields, ifeval->kwargs);
    const char *wrong = check_fields(ifeval, ids, kwargs, call->arena), *missed = NULL;
    if (wrong) {
        return verdict_error(wrong);
    }
    struct ifeval_check check = {.arena = call->arena};
    bool empty = !tags_part(item->completion, ifeval->part, &check.text) || text_trim(check.text).length == 0;
    check.lower = text_lower(call->arena, check.text);
    size_t n = json_array_size(ids), n_followed = 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        check.args = json_array_get(kwargs, i);
        bool followed = ifeval_find(id)(&check) && !empty;
        if (check.fault) {
            return verdict_error(arena_printf(call->arena, "%s: %s", id, check.fault));
        }
        n_followed += followed;
        missed = followed || missed ? missed : id;
    }
    double score = ifeval->all ? n_followed == n : (double)n_followed / (double)n;
    const char *reason = missed ? arena_printf(call->arena, "%zu of %zu; not %s", n_followed, n, missed) : "right";
    return verdict_ok(score, reason, (struct str){0});
}

const struct reward_kind reward_ifeval = {
    .name = "ifeval",
    .help = "the share of an item's instructions (IFEval: word counts, keywords, case, layout ...) that are followed",
    .fields = "instruction_id_list kwargs",
    .options = ifeval_options,
    .open = ifeval_open,
    .state_bytes = sizeof(struct ifeval),
    .judge = ifeval_judge,
};
