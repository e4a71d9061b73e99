/* reward/choice.c - multiple choice: one letter, or several in any order.
 *
 * "C", "(C)", "c", "\text{C}", "C. the third", "**C**"; "A, C and D", "ACD", "A;C;D". Text behind the letters is left out
 * where a sign divides it from them ("C) a cat"), so that "A cat" is no choice of A.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "reward/answer.h"
#include "reward/gold.h"
#include "reward/rewards.h"
#include "reward/tags.h"

struct choice {
    struct answer_options find;
    const char *field;
};

static const struct reward_option choice_options[] = {
    {"fallback", OPTION_BOOL, "false", 0, 0, NULL, "without a box: 'the answer is C', 'Answer: C'"},
    {"answer_tags", OPTION_BOOL, "false", 0, 0, NULL, "only inside the one <answer> ... </answer> after the thinking"},
    {"prefilled", OPTION_BOOL, "false", 0, 0, NULL, TAGS_PREFILLED_HELP},
    {"field", OPTION_TEXT, "answer", 0, 0, NULL, "the field that holds the letter or letters"},
    {0},
};

static enum err choice_open(void *state, const struct reward_values *values)
{
    struct choice *choice = state;
    choice->find = (struct answer_options){.answer_tags = reward_bool(values, "answer_tags"),
                                           .prefilled = reward_bool(values, "prefilled"),
                                           .phrases = reward_bool(values, "fallback")};
    choice->field = reward_text(values, "field");
    return ERR_NONE;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

/* What a word of the text says: letters of choices as bits; 0: nothing ("and", \text), -1: it is an ordinary word. */
static long word_bits(struct str word, bool command)
{
    if (command || str_equal(word, STR("and")) || str_equal(word, STR("or"))) {
        return 0;
    }
    long bits = 0;
    bool small = word.length == 1 && word.data[0] >= 'a';
    for (size_t i = 0; i < word.length; i++) {
        int letter = word.data[i] - (small ? 'a' : 'A');
        if (letter < 0 || letter > 25 || (bits >> letter & 1)) {
            return -1;
        }
        bits |= 1L << letter;
    }
    return word.length <= 10 ? bits : -1;
}

/* The letters as bits; 0: the text makes no choice. */
static long letters_of(struct str text)
{
    long letters = 0;
    char between = 0; /* the last sign since the letters, that may end them */
    for (size_t i = 0; i < text.length; i++) {
        if (!is_letter(text.data[i])) {
            between = strchr(".):", text.data[i]) && text.data[i] ? text.data[i] : between;
            continue;
        }
        size_t begin = i;
        while (is_letter(at_or(text, i + 1))) {
            i++;
        }
        bool command = begin > 0 && text.data[begin - 1] == '\\';
        long bits = word_bits(str_slice(text, begin, i + 1), command);
        if (bits < 0 || (letters && between && bits && (between != ')' || at_or(text, i + 1) != ')'))) {
            return between ? letters : 0; /* words behind the letters */
        }
        between = bits ? 0 : between;
        letters |= bits;
    }
    return letters;
}

/* "... I think it's B": a capital that ends the text. */
static bool last_letter(struct str text, struct answer *out)
{
    text = str_trim(text);
    while (text.length && strchr(".*)!", text.data[text.length - 1])) {
        text.length--;
    }
    char c = text.length ? text.data[text.length - 1] : 0;
    if (c < 'A' || c > 'Z' || (text.length > 1 && !strchr(" (*\n", text.data[text.length - 2])) ||
        str_ends(str_trim(str_slice(text, 0, text.length - 1)), STR("not"))) {
        return false;
    }
    *out = (struct answer){.text = str_slice(text, text.length - 1, text.length), .path = "letter"};
    return true;
}

static struct verdict choice_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct choice *choice = state;
    struct str golds[GOLD_MOST];
    int n = 0;
    const char *wrong = gold_read(item->fields, choice->field, call->arena, golds, &n);
    if (wrong) {
        return verdict_error(wrong);
    }
    long gold = 0;
    for (int i = 0; i < n; i++) {
        long letters = letters_of(golds[i]);
        if (!letters) {
            return verdict_error("the reference cannot be read: it names no letter");
        }
        gold |= letters;
    }
    struct answer_options find = choice->find;
    find.prefilled = tags_prefilled(find.prefilled, item->prompt);
    struct answer answer;
    const char *none = answer_find(item->completion, &find, &answer);
    if (none && !(choice->find.phrases && last_letter(item->completion, &answer))) {
        return verdict_ok(0, none, (struct str){0});
    }
    long said = 0;
    for (int i = answer.n_boxes > 1 && (gold & (gold - 1)) ? 0 : answer.n_boxes - 1; i < answer.n_boxes; i++) {
        said |= i < 0 ? 0 : letters_of(answer.boxes[i]);
    }
    said |= answer.n_boxes ? 0 : letters_of(answer.text);
    struct verdict v = verdict_ok(said == gold,
                                  said == gold ? "right"
                                  : said       ? "another choice"
                                               : "no letter",
                                  answer.text);
    v.path = answer.path;
    return v;
}

const struct reward_kind reward_choice = {
    .name = "choice",
    .help = "1 if the letters of the answer are the reference's, whatever their order",
    .fields = "answer",
    .options = choice_options,
    .open = choice_open,
    .state_bytes = sizeof(struct choice),
    .judge = choice_judge,
};
