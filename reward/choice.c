/* reward/choice.c - multiple choice: one letter, or several in any order.
 *
 * "C", "(C)", "c", "\text{C}", "C. the third", "**C**", "option C", "C is correct"; "A, C and D", "ACD", "A;C;D". Text
 * after the letters is left out where a sign divides it from them ("C) a cat", "C - a cat", "C (a cat)"), so that "A
 * cat" is no choice of A. "A or B" and "A/B" choose nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "reward/answer.h"
#include "reward/gold.h"
#include "reward/math/text.h"
#include "reward/number.h"
#include "reward/rewards.h"
#include "reward/tags.h"

struct choice {
    struct answer_options find;
    const char *field;
};

static const struct reward_option choice_options[] = {
    {"fallback", OPTION_BOOL, "false", 0, 0, NULL,
     "without a box: 'the answer is C', 'Answer: C', 'C is correct', a last 'C'"},
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

static bool is_one_of(struct str word, const char *const *names)
{
    int i = 0;
    while (names[i] && !(word.length == strlen(names[i]) && strncasecmp(word.data, names[i], word.length) == 0)) {
        i++;
    }
    return names[i] != NULL;
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

/* Does the text at `at` say that the letter before it is the one: "is correct", "is the right answer"? */
static bool affirms(struct str text, size_t at)
{
    static const char *const is[] = {"is", NULL}, *const the[] = {"the", NULL}, *const right[] = {"correct", "right",
                                                                                                  "best",    "true",
                                                                                                  "answer",  NULL};
    const char *const *const steps[] = {is, the, right};
    for (int step = 0; step < 3; step++) {
        while (at_or(text, at) == ' ' || at_or(text, at) == '*' || at_or(text, at) == ')') {
            at++;
        }
        size_t end = at;
        while (is_letter(at_or(text, end))) {
            end++;
        }
        bool fits = is_one_of(str_slice(text, at, end), steps[step]);
        if (!fits && step != 1) {
            return false;
        }
        at = fits ? end : at;
    }
    return true;
}

/* In "a cat" the letter is a word. */
static bool is_article(struct str text, size_t at)
{
    char next = at_or(text, at + 2);
    return (text.data[at] == 'a' || text.data[at] == 'A') && at_or(text, at + 1) == ' ' && next >= 'a' && next <= 'z' &&
           is_letter(at_or(text, at + 3));
}

/* After the letters comes a word that is none: do they end before it, by a sign between ("C. a cat", "C - a cat", "C (a
 * cat)") or by what it says ("C is correct")? */
static bool letters_end(struct str text, size_t word, char between, long bits)
{
    if (between == '-' && bits > 0) { /* A - C */
        return false;
    }
    return between || text.data[word - 1] == '(' || affirms(text, word);
}

/* The letters as bits; 0: the text makes no choice. `said`: an answer, in which "A or B" chooses nothing. */
static long letters_of(struct str text, bool said)
{
    static const char *const before[] = {"option", "options",   "choice", "choices", "answer",  "answers",
                                         "the",    "letter",    "is",     "are",     "correct", "final",
                                         "so",     "therefore", "thus",   NULL};
    long letters = 0;
    char between = 0; /* the last sign after the letters, which may end them */
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (!is_letter(c)) {
            bool dash = letters && c == '-' && i > 0 && text.data[i - 1] == ' ' && at_or(text, i + 1) == ' ';
            between = (c && strchr(".):", c)) || dash ? c : between;
            if (said && letters && c == '/') {
                return 0;
            }
            continue;
        }
        size_t begin = i;
        while (is_letter(at_or(text, i + 1))) {
            i++;
        }
        struct str word = str_slice(text, begin, i + 1);
        bool command = begin > 0 && text.data[begin - 1] == '\\';
        long bits = letters && is_article(text, begin) ? -1 : word_bits(word, command);
        if (!letters && bits < 0 && is_one_of(word, before)) {
            between = 0;
            continue;
        }
        if (said && letters && !between && str_equal(word, STR("or"))) {
            return 0;
        }
        if (bits < 0 || (letters && between && bits && (between != ')' || at_or(text, i + 1) != ')'))) {
            return letters && letters_end(text, begin, between, bits) ? letters : 0;
        }
        between = bits ? 0 : between;
        letters |= bits;
    }
    return letters;
}

/* Is the clause that ends at `end` free of "not" and the like? */
static bool unopposed(struct str text, size_t end)
{
    size_t begin = end;
    while (begin > 0 && !strchr(".,;:!?\n", text.data[begin - 1])) {
        begin--;
    }
    static const struct str others[] = {{"anything but ", 13}, {"all but ", 8}, {"ruled out ", 10}, {"rule out ", 9}};
    struct str clause = str_slice(text, begin, end);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t length = others[i].length;
        if (clause.length >= length && strncasecmp(clause.data + clause.length - length, others[i].data, length) == 0) {
            return false;
        }
    }
    return !number_denied(clause);
}

/* "... I think it's B": a capital that ends the text; "so C is correct". */
static bool last_letter(struct str text, struct answer *out)
{
    text = str_trim(text);
    while (text.length && text.data[text.length - 1] && strchr(".*)!", text.data[text.length - 1])) {
        text.length--;
    }
    for (size_t at = text.length; at-- > 0;) {
        char c = text.data[at], before = at > 0 ? text.data[at - 1] : ' ';
        bool alone = c >= 'A' && c <= 'Z' && strchr(" (*\n", before) && before && !is_letter(at_or(text, at + 1));
        if (alone && (at + 1 == text.length || affirms(text, at + 1))) {
            struct str said = str_trim(str_slice(text, 0, at));
            bool another = str_ends(said, STR(" or")) || str_ends(said, STR(" and")) || str_ends(said, STR(" nor"));
            *out = (struct answer){.text = str_slice(text, at, at + 1), .path = "letter"};
            return !another && unopposed(text, at);
        }
    }
    return false;
}

/* What the completion chooses; a list of boxes counts where several letters are wanted. */
static long choice_said(const struct answer *answer, bool several, struct arena *arena)
{
    long said = 0;
    for (int i = answer->n_boxes > 1 && several ? 0 : answer->n_boxes - 1; i < answer->n_boxes; i++) {
        said |= i < 0 ? 0 : letters_of(math_text_clean(answer->boxes[i], arena), true);
    }
    return answer->n_boxes ? said : letters_of(math_text_clean(answer->text, arena), true);
}

static struct verdict choice_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    const struct choice *choice = state;
    struct str golds[GOLD_MAX];
    int n = 0;
    const char *wrong = gold_read(item->fields, choice->field, call->arena, golds, &n);
    if (wrong) {
        return verdict_error(wrong);
    }
    long gold = 0;
    for (int i = 0; i < n; i++) {
        long letters = letters_of(math_text_clean(golds[i], call->arena), false);
        if (!letters) {
            return verdict_error("the reference cannot be read: it names no letter");
        }
        gold |= letters;
    }
    struct answer_options find = choice->find;
    find.prefilled = tags_prefilled(find.prefilled, item->prompt);
    struct answer answer;
    const char *none = answer_find(item->completion, &find, &answer);
    struct str rest;
    bool ended = tags_rest(answer_turn(item->completion), find.prefilled, &rest);
    if (none && !(find.phrases && !find.answer_tags && ended && last_letter(rest, &answer))) {
        return verdict_ok(0, none, (struct str){0});
    }
    long said = choice_said(&answer, gold & (gold - 1), call->arena);
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
