/* tests/reward/fixture.h - one completion, one reward, one verdict.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_REWARD_FIXTURE_H
#define TESTS_REWARD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "reward/part.h"

/* A reward opened from its text and an arena for its verdicts. */
struct judge {
    struct reward_part part;
    struct arena arena;
};

static inline struct judge judge_open(const char *reward)
{
    struct judge judge = {0};
    if (reward_part_open(&judge.part, reward) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return judge;
}

static inline void judge_close(struct judge *judge)
{
    reward_part_close(&judge->part);
    arena_release(&judge->arena);
}

static inline struct verdict judge_item(struct judge *judge, const struct reward_item *item)
{
    struct reward_call call = {.arena = &judge->arena, .deadline = clock_seconds() + 60};
    return reward_part_judge(&judge->part, item, &call);
}

/* `fields`: a JSON object as text. The number of tokens is not known. */
static inline struct verdict judge_text(struct judge *judge, struct str completion, const char *fields)
{
    json_t *object = json_loads(fields, 0, NULL);
    assert_non_null(object);
    struct reward_item item = {.completion = completion, .fields = object, .n_tokens = -1};
    struct verdict v = judge_item(judge, &item);
    v.reason = arena_strdup(&judge->arena, v.reason ? v.reason : "");
    v.extracted.data = arena_strndup(&judge->arena, v.extracted.data, v.extracted.length);
    json_decref(object);
    return v;
}

/* The same for a reward that is used once; the texts are gone, kind and score stay. */
static inline struct verdict judge_once(const char *reward, const char *completion, const char *fields)
{
    struct judge judge = judge_open(reward);
    struct verdict v = judge_text(&judge, str_of(completion), fields);
    judge_close(&judge);
    return (struct verdict){.kind = v.kind, .score = v.score};
}

#define assert_near(got, want) assert_true(fabs((got) - (want)) <= 1e-12)

#define assert_score(given, want)                                                                                      \
    do {                                                                                                               \
        struct verdict verdict_ = (given);                                                                             \
        assert_int_equal(verdict_.kind, VERDICT_OK);                                                                   \
        assert_near(verdict_.score, want);                                                                             \
    } while (0)

#define assert_reason(given, want_kind, want_reason)                                                                   \
    do {                                                                                                               \
        struct verdict verdict_ = (given);                                                                             \
        assert_int_equal(verdict_.kind, want_kind);                                                                    \
        assert_string_equal(verdict_.reason, want_reason);                                                             \
    } while (0)

/* What opening must answer. */
static inline void refuses(const char *reward, const char *want)
{
    struct reward_part part;
    assert_int_equal(reward_part_open(&part, reward), ERR_USAGE);
    assert_string_equal(err_text(), want);
}

static inline struct str str_of_json(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* Every case of one kind in tests/golden/rewards.json (make_rewards.py); null there is an abstention. */
static inline void check_golden(const char *kind)
{
    json_t *golden = NULL;
    if (json_parse_file(&golden, "tests/golden/rewards.json", 1 << 22) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    const json_t *cases = json_object_get(golden, kind), *texts = json_object_get(golden, "completions");
    assert_true(json_array_size(cases) > 10);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *want = json_array_get(c, 2), *tokens = json_array_get(c, 4);
        const json_t *text = json_array_get(texts, (size_t)json_integer_value(json_array_get(c, 1)));
        struct judge judge = judge_open(json_string_value(json_array_get(c, 0)));
        struct reward_item item = {.completion = str_of_json(text),
                                   .fields = json_array_get(c, 3),
                                   .n_tokens = tokens ? (int)json_integer_value(tokens) : -1};
        struct verdict v = judge_item(&judge, &item);
        bool same = json_is_null(want) ? v.kind == VERDICT_ABSTAIN
                                       : v.kind == VERDICT_OK && fabs(v.score - json_number_value(want)) <= 1e-12;
        if (!same) {
            char *row = json_dumps(c, JSON_COMPACT), *shown = json_dumps(text, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
            print_error("got %g (%d, %s) for %s %s\n", v.score, (int)v.kind, v.reason, row, shown);
            free(row);
            free(shown);
        }
        assert_true(same);
        judge_close(&judge);
    }
    json_decref(golden);
}

#endif
