/* reward/math.c - mathematical answers: the box of a completion against the reference.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/answer.h"
#include "reward/gold.h"
#include "reward/math/pair.h"
#include "reward/math/text.h"
#include "reward/number.h"
#include "reward/number_doubt.h"
#include "reward/rewards.h"
#include "reward/tags.h"

struct math {
    struct answer_options find;
    struct math_options compare;
    bool all;
    const char *field;
};

static const struct reward_option math_options[] = {
    {"strict", OPTION_BOOL, "false", 0, 0, NULL, "names left of '=' must agree, and a list is no tuple"},
    {"fallback", OPTION_BOOL, "false", 0, 0, NULL,
     "without a box: '#### x', 'the answer is x', the last formula or number"},
    {"answer_tags", OPTION_BOOL, "false", 0, 0, NULL, "only inside the one <answer> ... </answer> after the thinking"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
    {"exact_only", OPTION_BOOL, "false", 0, 0, NULL, "no rounded decimals"},
    {"rel_tol", OPTION_NUMBER, "0", 0, 1, NULL, "numbers may differ by this share of the reference"},
    {"same_form", OPTION_BOOL, "false", 0, 0, NULL, "the same form up to order: (x+1)^2 is not x^2+2x+1"},
    {"golds", OPTION_CHOICE, "any", 0, 0, "any|all",
     "a list of references: any of them is right, or all must be given"},
    {"field", OPTION_TEXT, "answer", 0, 0, NULL, "the field that holds the reference"},
    {0},
};

static enum err math_open(void *state, const struct reward_values *values)
{
    struct math *math = state;
    bool fallback = reward_bool(values, "fallback");
    math->find = (struct answer_options){.answer_tags = reward_bool(values, "answer_tags"),
                                         .prefilled = reward_bool(values, "prefilled"),
                                         .hashes = fallback,
                                         .phrases = fallback,
                                         .bare = fallback};
    math->compare = (struct math_options){.strict = reward_bool(values, "strict"),
                                          .exact_only = reward_bool(values, "exact_only"),
                                          .same_form = reward_bool(values, "same_form"),
                                          .rel_tol = reward_number(values, "rel_tol")};
    math->all = strcmp(reward_text(values, "golds"), "all") == 0;
    math->field = reward_text(values, "field");
    return ERR_NONE;
}

/* One answer on its way through the references. */
struct judging {
    const struct answer *answer;
    const struct answer_options *find;
    struct str completion;
    struct arena *scratch, *arena;
};

static struct str join(const struct str *parts, int n, struct arena *arena)
{
    struct strbuf out = STRBUF_INIT;
    for (int i = 0; i < n; i++) {
        strbuf_puts(&out, i ? ", " : "");
        strbuf_add_str(&out, parts[i]);
    }
    struct str joined = {arena_strndup(arena, out.data, out.length), out.length};
    strbuf_release(&out);
    return joined;
}

/* Boxes with their names, "x = 3, y = 4", or without. */
static struct str join_named(struct str *boxes, const struct str *names, int n, struct arena *arena)
{
    bool named = true;
    for (int i = 0; i < n; i++) {
        named &= names[i].length > 0;
    }
    for (int i = 0; i < n && named; i++) {
        boxes[i] = str_of(arena_printf(arena, "%.*s = %.*s", (int)names[i].length, names[i].data, (int)boxes[i].length,
                                       boxes[i].data));
    }
    return join(boxes, n, arena);
}

/* Of several boxes the last counts; or all, if the reference lists as many values: of a run, else of the completion. */
static struct str said_for(const struct judging *judging, struct str gold)
{
    const struct answer *answer = judging->answer;
    struct str boxes[ANSWER_MAX_BOXES], names[ANSWER_MAX_BOXES];
    int all = answer->more_boxes && !judging->find->answer_tags
                  ? answer_all_boxes(answer->searched, boxes, names, ANSWER_MAX_BOXES)
                  : 0;
    int count = answer->n_boxes > 1 || all > 1 ? math_pair_count(gold, judging->scratch) : 1;
    if (count > 1 && count == answer->n_boxes) {
        return join(answer->boxes, answer->n_boxes, judging->arena);
    }
    return count > 1 && count == all ? join_named(boxes, names, all, judging->arena) : answer->text;
}

/* "18_9", "18 (base 9)", "18‰": does the text name another base, or thousandths? The digits alone are not its value. */
static bool scaled(struct str text)
{
    for (ptrdiff_t at = 0; (at = str_find(text, STR("_"), (size_t)at)) >= 0; at++) {
        struct str index = str_slice(text, (size_t)at + 1, text.length);
        index = str_starts(index, STR("{")) ? str_slice(index, 1, index.length) : index;
        bool after_digit = at > 0 && text.data[at - 1] >= '0' && text.data[at - 1] <= '9';
        bool ten = str_starts(index, STR("10"));
        if (after_digit && !ten && index.length && index.data[0] >= '1' && index.data[0] <= '9') {
            return true;
        }
    }
    return str_find(text, STR("(base "), 0) >= 0 || str_find(text, STR("\xe2\x80\xb0"), 0) >= 0;
}

/* Is the reference a plain number, and the answer one that is cut out of something else or taken back? */
static bool spoilt(struct str said, struct str gold, struct arena *scratch)
{
    struct number number;
    return !str_equal(str_trim(said), gold) && number_spoilt(math_text_clean(said, scratch)) &&
           number_read(gold, scratch, &number);
}

static bool has_word(struct str text)
{
    int letters = 0;
    for (size_t i = 0; i < text.length && letters < 2; i++) {
        char c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        letters = letter ? letters + 1 : 0;
        letters = c == '\\' ? -(int)text.length : letters; /* a command */
    }
    return letters >= 2;
}

/* "She has $18 left": of an answer with words in it, its number (number.h), if the reference is nothing but a number. */
static bool says_number(struct str said, struct str gold, struct arena *scratch)
{
    struct number g, s;
    return has_word(said) && number_read(gold, scratch, &g) && g.bare && number_read_prose(said, scratch, &s) &&
           number_equal(&g, &s);
}

static struct verdict judge_golds(const struct math *math, const struct judging *judging, const struct str *golds,
                                  int n)
{
    struct arena *arena = judging->arena;
    struct verdict verdict = verdict_ok(0, "another answer", judging->answer->text);
    for (int i = 0; i < n; i++) {
        struct str said = said_for(judging, golds[i]);
        struct math_outcome outcome = math_pair_judge(&math->compare, golds[i], said, judging->scratch);
        bool differs = outcome.kind == MATH_SAID_UNREAD || outcome.kind == MATH_DIFFERENT;
        if (differs && !math->compare.same_form && says_number(said, golds[i], judging->scratch)) {
            outcome = (struct math_outcome){MATH_EQUAL, "number"};
        }
        switch (outcome.kind) {
        case MATH_EQUAL:
            if (scaled(said) && !scaled(golds[i])) {
                verdict = verdict_ok(0, "in another base", said);
                break;
            }
            if (strcmp(outcome.path, "number") != 0 && spoilt(said, golds[i], judging->scratch)) {
                verdict = verdict_ok(0, "not one number", said);
                break;
            }
            return verdict_ok(1, arena_printf(arena, "right: %s", outcome.path), said);
        case MATH_GOLD_UNREAD:
            return verdict_error(arena_printf(arena, "the reference cannot be read: %s", outcome.path));
        case MATH_SAID_UNREAD:
            verdict = verdict_ok(0, arena_printf(arena, "the answer cannot be read: %s", outcome.path), said);
            break;
        case MATH_LIMIT: verdict = verdict_ok(0, "limit: the comparison is too much work", said); break;
        default: verdict = verdict_ok(0, "another answer", said); break;
        }
    }
    return verdict;
}

/* Without an answer: an unreadable reference is an error all the same, for the whole group alike. */
static struct verdict check_golds(const char *none, const struct str *golds, int n, struct arena *scratch,
                                  struct arena *arena)
{
    for (int i = 0; i < n; i++) {
        const char *unread = math_pair_wrong(golds[i], scratch);
        if (unread) {
            return verdict_error(arena_printf(arena, "the reference cannot be read: %s", unread));
        }
    }
    return verdict_ok(0, none, (struct str){0});
}

static struct verdict math_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct math *math = state;
    struct str golds[GOLD_MAX];
    int n = 0;
    const char *wrong = gold_read(item->fields, math->field, call->arena, golds, &n);
    if (wrong) {
        return verdict_error(wrong);
    }
    if (math->all && n > 1) {
        golds[0] = join(golds, n, call->arena);
        n = 1;
    }
    struct answer_options find = math->find;
    find.prefilled = tags_prefilled(find.prefilled, item->prompt);
    struct answer answer;
    const char *none = answer_find(item->completion, &find, &answer);
    struct arena scratch = ARENA_INIT;
    struct judging judging = {&answer, &find, item->completion, &scratch, call->arena};
    struct verdict verdict =
        none ? check_golds(none, golds, n, &scratch, call->arena) : judge_golds(math, &judging, golds, n);
    arena_release(&scratch);
    verdict.path = verdict.kind == VERDICT_OK && !none ? answer.path : NULL;
    return verdict;
}

const struct reward_kind reward_math = {
    .name = "math",
    .help =
        "1 if the last box says what the reference says: numbers, formulas, sets, intervals, matrices, units, words",
    .fields = "answer",
    .options = math_options,
    .open = math_open,
    .state_bytes = sizeof(struct math),
    .judge = math_judge,
};
