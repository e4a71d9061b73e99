/* reward/number_doubt.c - where in a clause the words of number_words.h count, and the signs that touch digits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/number_doubt.h"

#include <string.h>
#include <strings.h>

#include "reward/math/units.h"
#include "reward/number.h"
#include "reward/number_words.h"

static char at_or(struct str text, size_t i)
{
    return i < text.length ? text.data[i] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_in(char c, const char *set)
{
    return c && strchr(set, c);
}

/* ---- words one by one ---- */

struct word {
    struct str text;
    unsigned roles;
};

struct words {
    struct str text;
    size_t at;
    struct word word, before, before_that; /* the word at hand, and those before it in the same sentence */
    int n, sentence;                       /* words of this sentence before it; sentences before this one */
    bool opened;                           /* a bracket, a comma or a dash comes before it */
    bool layout, blank;                    /* nothing but layout, nothing but blanks come right before it */
    size_t number;                         /* where the number ends that comes right before the word; 0: none does */
    bool asked;                            /* the first sentence is a question */
};

static bool ends_sentence(struct str text, size_t i)
{
    char c = text.data[i], next = at_or(text, i + 1);
    return c == ';' || c == '!' || c == '?' || c == '\n' || (c == '.' && (!next || is_in(next, " \t\r\n$*\")")));
}

static void step_over(struct words *w)
{
    char c = w->text.data[w->at];
    if (ends_sentence(w->text, w->at)) {
        w->asked |= c == '?' && w->sentence == 0;
        w->sentence++;
        w->n = 0;
        w->before = w->before_that = (struct word){0};
    }
    bool blank = c == ' ' || c == '\t' || c == '\r';
    w->blank &= blank;
    w->number = is_digit(c) ? w->at + 1 : is_in(c, " \t\r$*_{}\\") ? w->number : 0;
    w->layout &= blank || is_in(c, "\n$*_(){}[]\\%");
    bool command = w->at > 0 && w->text.data[w->at - 1] == '\\';              /* "\\," */
    w->opened |= (is_in(c, "([,:-") && !command) || (unsigned char)c == 0xE2; /* and dashes */
    w->at++;
}

/* The next word of letters that is no command; false: there is none. */
static bool next_word(struct words *w)
{
    w->before_that = w->before;
    w->before = w->word;
    w->number = w->word.text.length ? 0 : w->number;
    w->n += w->word.text.length > 0;
    w->word = (struct word){0};
    w->layout = w->blank = true;
    w->opened = false;
    while (w->at < w->text.length && !w->word.text.length) {
        size_t begin = w->at;
        while (is_letter(at_or(w->text, w->at)) ||
               (w->at > begin && at_or(w->text, w->at) == '\'' && is_letter(at_or(w->text, w->at + 1)))) {
            w->at++;
        }
        bool command = begin > 0 && w->text.data[begin - 1] == '\\';
        if (w->at > begin && !command) {
            w->word.text = str_slice(w->text, begin, w->at);
            w->word.roles = number_word_roles(w->word.text);
        } else if (w->at == begin) {
            step_over(w);
        }
    }
    return w->word.text.length > 0;
}

/* Does the word at hand have one of these roles? */
static bool has(const struct words *w, unsigned roles)
{
    return w->word.roles & roles;
}

static bool is(struct word word, const char *words)
{
    return number_word_in(words, word.text);
}

/* The word after the one at hand; empty: a sign or the end is there. */
static struct word word_after(const struct words *w)
{
    struct words next = *w;
    return next_word(&next) && next.blank ? next.word : (struct word){0};
}

/* "ceiling fans", "error messages" */
static bool before_plural(const struct words *w)
{
    struct str next = word_after(w).text;
    return next.length > 3 && str_ends(next, STR("s")) && !number_word_in("this gives", next);
}

/* Is the word what the number right before it counts: "26 claims", "1 mistake", "5 ceiling fans", but not "5 typo"? */
static bool counted(const struct words *w)
{
    static const char nouns[] = "guess guesses ceiling bound bounds typo mistake error slip blunder fallacy misprint "
                                "miscount claim claims hope hopes wish wishes";
    size_t end = w->number, begin = end;
    while (begin > 0 && (is_digit(w->text.data[begin - 1]) || is_in(w->text.data[begin - 1], ".,"))) {
        begin--;
    }
    bool one = end == begin + 1 && w->text.data[begin] == '1',
         plural = str_ends(w->word.text, STR("s")) && !is(w->word, "guess");
    return is(w->word, nouns) && end > begin && (one || plural || before_plural(w));
}

/* Words of doubt that name something else: "the ceiling tiles", "a train bound for", "the average amount guessed is",
 * "the number of guesses". */
static bool only_named(const struct words *w)
{
    struct word next = word_after(w);
    bool of = is(w->before, "of total") || (is(w->before_that, "of") && is(w->before, "the his her their all"));
    if (is(w->word, "ceiling bound bounds")) {
        bool article = w->n == 0 || is(w->before, "a an the upper lower my our its this that only just");
        return !article || of || before_plural(w);
    }
    bool ours = w->n == 0 || w->before.roles & NUMBER_ROLE_OLD_ANSWER || str_ends(w->before.text, STR("ly")) ||
                is(w->before, "i we i'd we'd i've my our a an the would had once just only wild best rough gut "
                              "another educated");
    return is(w->word, "guess guesses guessed") &&
           ((of && !is(w->word, "guess")) || (!ours && next.text.length && !is(next, "it it's that the is")) ||
            (!ours && is(w->word, "guessed") && is(next, "is")));
}

/* A hedge: "guess", but not in "guess and check". */
static bool hedges(const struct words *w)
{
    return has(w, NUMBER_ROLE_HEDGE) && !is(word_after(w), "and") && !counted(w) && !only_named(w);
}

/* "ignore", "they claim", but not "as we thought", "she hopes to earn", "all claims filed". */
static bool dismisses(const struct words *w)
{
    struct word next = word_after(w);
    bool as = is(w->before, "as") || (is(w->before_that, "as") && is(w->before, "i we you they he she had")),
         to = is(w->word, "hope hopes hoped hoping wish wishes wished") && is(next, "to") && !is(w->before, "i"),
         noun = is(w->word, "claims hopes wishes") &&
                (is(w->before, "total of") || next.text.length || is_in(at_or(w->text, w->at + 1), "=+-")) &&
                !is(next, "that it it's its the there so for he she they we this");
    return has(w, NUMBER_ROLE_DISMISSES) && !as && !to && !noun && !counted(w);
}

/* "my first answer", "the previous result" */
static bool given_up(const struct words *w)
{
    return (has(w, NUMBER_ROLE_ANSWER) && w->before.roles & NUMBER_ROLE_OLD_ANSWER) ||
           (has(w, NUMBER_ROLE_RESULT) && w->before.roles & NUMBER_ROLE_OLD_RESULT);
}

/* ---- after the number ---- */

/* "18 and a half", "18 to the second power", "18 only if", "18 more than", "18 times as": words near the number. */
static bool changes(const struct words *w, struct word first)
{
    bool value = number_word(w->word.text) == NUMBER_WORD_CHANGES,
         compared = first.roles & NUMBER_ROLE_COMPARES && is(w->word, "than"),
         further = is(first, "and") && (value || is(w->word, "up upward upwards change rising growing climbing")),
         factor = is(first, "times over") && w->word.text.length == 1 && w->word.text.data[0] != 'a',
         now = is(first, "for") && is(w->word, "now"), best = is(first, "at") && is(w->word, "best worst first"),
         away = is(first, "away") && is(w->word, "from"), percent = is(first, "percent") && value,
         only = is(first, "only") && is(w->word, "if"), times = is(first, "times") && (value || is(w->word, "as")),
         part = w->n == 2 && is(first, "and") && is(w->before, "a then") && (value || is(w->word, "bit little few")),
         so = is(w->before, "or") && is(w->word, "so more less fewer thereabouts whatever"),
         dangling = is(w->word, "than") && !word_after(w).text.length;
    return (w->n == 1 && (compared || further || best || now || factor || away || percent || only || times)) ||
           dangling || part || so || has(w, NUMBER_ROLE_CHANGES);
}

/* "18 more": compared with what, and more of what? "18 less" than what, unless it is counted: "18 less cups". */
static bool compares(const struct words *w)
{
    size_t at = w->at;
    while (is_in(at_or(w->text, at), " \t\r$*_)}")) {
        at++;
    }
    char next = at_or(w->text, at);
    struct str noun = word_after(w).text;
    bool counted = !noun.length ||
                   (noun.data[noun.length - 1] == 's' && !number_word_in("fees taxes costs expenses tips", noun)) ||
                   number_word_in("people children", noun);
    return has(w, NUMBER_ROLE_COMPARES) &&
           ((!is_letter(next) && !is_in(next, "\\({")) || (is(w->word, "less") && !counted));
}

bool number_clause(struct str text, size_t end, bool computed)
{
    struct words w = {.text = text, .at = end};
    struct word first = {0};
    while (next_word(&w) && w.sentence == 0 && w.n < 4 && (w.n ? w.blank : w.layout)) {
        first = w.n ? first : w.word;
        bool unit = number_word_unit(w.word.text, w.at == end + w.word.text.length) && !is(w.word, "over up");
        if (w.n ? changes(&w, first) : !unit) {
            return true;
        }
        if (!computed && compares(&w)) {
            return true;
        }
    }
    return number_taken_back(text, end, true);
}

/* What the subject of the word at hand is. */
struct subject {
    bool number, pronoun; /* the number itself; a word that means it */
    bool copula, named;   /* "is" comes between; and "the" or "her" */
};

/* A verb or state that says of its subject that it is no answer. */
static bool denies(const struct words *w, const struct subject *subject)
{
    static const unsigned judges = NUMBER_ROLE_DENIES | NUMBER_ROLE_STATE | NUMBER_ROLE_ADJECTIVE | NUMBER_ROLE_ADVERB;
    struct word next = word_after(w);
    struct str word = w->word.text;
    bool object = next.roles & NUMBER_ROLE_OBJECT || str_ends(next.text, STR("ly")),
         right_after = subject->number && !subject->copula;
    if (right_after && math_units_find(word)) {
        return false;
    }
    bool good = number_word_in("satisfies solves matches fits meets makes completes answers", word);
    bool verb = right_after && !good && word.length > 3 && word.data[word.length - 1] == 's' &&
                is(next, "the its our my your into beyond");
    bool failed = is(w->word, "failed") && !str_ends(next.text, STR("s")); /* "18 failed tests" */
    bool looks = number_word_in("looks sounds feels smells lies breaks misses", word) && next.text.length &&
                 !is(next, "of per each left in on at and to during from for total");
    return verb || looks || failed || has(w, NUMBER_ROLE_VERB) ||
           (has(w, NUMBER_ROLE_NOUN) && (!subject->number || object || next.roles & judges)) ||
           (has(w, NUMBER_ROLE_STATE) && (!right_after || object || !next.text.length)) ||
           (has(w, NUMBER_ROLE_ADJECTIVE) && subject->copula);
}

/* After "18 is": "the answer", "left", "what she earns", but not "what I got". */
static bool affirms(const struct words *w)
{
    return has(w, NUMBER_ROLE_AFFIRMS) ||
           (is(w->word, "what") && is(word_after(w), "is was he she it they we her his the"));
}

/* "18 is the negative", "18 is the minimum" */
static bool revalues(struct str word)
{
    enum number_word kind = number_word(word);
    return kind == NUMBER_WORD_MINUS || kind == NUMBER_WORD_CHANGES;
}

/* What the subject is for the word at hand, where it is not that of the word before. */
static void find_subject(const struct words *w, struct subject *subject)
{
    if (w->sentence > 0 && w->n == 0) {
        *subject = (struct subject){0};
    } else if (w->sentence == 0 && w->n == 0 && w->opened) { /* "18 (old)" */
        *subject = (struct subject){.number = true, .copula = true, .named = true};
    } else if (w->sentence == 0 && w->n == 1 && w->blank && is(w->word, "is was")) { /* "18 eggs is" */
        *subject = (struct subject){.number = true};
    }
}

/* "just", "18 is the": the subject is the same for the next word. */
static bool steps_over(const struct words *w, struct subject *subject)
{
    bool article = subject->copula && is(w->word, "the a an his her our my your") &&
                   (affirms(w) || subject->pronoun || subject->named);
    bool manner = str_ends(w->word.text, STR("ly")) && !revalues(w->word.text) && !is(w->word, "partly mostly largely");
    bool adverb = (w->n + w->sentence > 0 || subject->copula) && (has(w, NUMBER_ROLE_ADVERB) || manner);
    subject->named |= article;
    return (subject->number || subject->pronoun) && (article || adverb);
}

static bool takes_back(const struct words *w, const struct subject *subject, bool alone)
{
    if ((subject->number || subject->pronoun) && denies(w, subject)) {
        return true;
    }
    if (subject->pronoun && subject->copula && alone && w->sentence == 0) { /* "18, which is" */
        return !subject->named && !affirms(w) && !is(w->word, "a an also");
    }
    if (!subject->number || !alone) {
        return false;
    }
    return !subject->copula ? has(w, NUMBER_ROLE_AUXILIARY) : subject->named ? revalues(w->word.text) : !affirms(w);
}

/* "18 is in question", "18 was my first try", "18, if that" */
static bool is_doubted(const struct words *w)
{
    bool result = has(w, NUMBER_ROLE_RESULT) && !is(w->word, "value") && w->before.roles & NUMBER_ROLE_OLD_ANSWER,
         in =
             is(w->before_that, "is was") && is(w->before, "in") && is(w->word, "question dispute error trouble limbo");
    bool might = is(w->before, "which it") && is(w->word, "might may could should ought");
    bool since = is(w->before, "since") && has(w, NUMBER_ROLE_STATE);
    bool others = is(w->before, "they he she people some") && is(w->word, "claim claims claimed think thinks thought");
    return result || in || might || others || since || (is(w->before, "if") && is(w->word, "that so true"));
}

bool number_taken_back(struct str text, size_t end, bool alone)
{
    struct words w = {.text = text, .at = end, .number = end};
    struct subject subject = {.number = true};
    bool was = false; /* the number was something: "18 was right before" */
    while (w.number > 0 && is_in(text.data[w.number - 1], "} $")) {
        w.number--;
    }
    while (next_word(&w)) {
        bool phrase = w.before.roles & NUMBER_ROLE_PHRASE,
             used = phrase && is(w.before, "to") && is(w.before_that, "used") && (w.n == 2 || is(w.word, "be")),
             thought = phrase && is(w.before, "i we") && is(w.word, "think believe suppose");
        find_subject(&w, &subject);
        if (w.n == 0 && w.sentence == 0 && counted(&w)) {
            subject = (struct subject){0};
            continue;
        }
        if (has(&w, NUMBER_ROLE_DENIES) || hedges(&w) || given_up(&w) || used || thought || is_doubted(&w)) {
            return true;
        }
        if (steps_over(&w, &subject)) {
            continue;
        }
        if (takes_back(&w, &subject, alone)) {
            return true;
        }
        bool first = w.n == 0 && w.sentence == 0;
        was |= subject.number && is(w.word, "was");
        if ((was || first) && is(w.word, "before earlier once previously originally initially") &&
            !word_after(&w).text.length) {
            return true;
        }
        bool is_verb = is(w.word, "is was"), copula = is_verb && !subject.copula;
        subject = (struct subject){.number = subject.number && copula,
                                   .pronoun = (subject.pronoun && copula) || has(&w, NUMBER_ROLE_PRONOUN),
                                   .copula = copula && (subject.number || subject.pronoun)};
    }
    return w.asked || (alone && subject.number && subject.copula);
}

bool number_needed(struct str before)
{
    struct words w = {.text = before};
    struct word last = {0};
    while (next_word(&w)) {
        last = w.word;
    }
    return last.roles & NUMBER_ROLE_NEED;
}

/* ---- before it ---- */

/* "I first said" */
static bool was_said(const struct words *w)
{
    static const char at_first[] = "initially originally first earlier";
    return (is(w->before_that, at_first) && is(w->before, "i we")) ||
           (is(w->before_that, "i we") && is(w->before, at_first));
}

/* "could be", "might well have", "should have been", "used to think", "rule out", "please skip": phrases that take back
 * what comes right after them. */
static bool ends_phrase(const struct words *w)
{
    bool well = w->before.roles & NUMBER_ROLE_ADVERB || is(w->before, "well"),
         could = is(well ? w->before_that : w->before, "could might may") && is(w->word, "be have"),
         been = is(w->before_that, "should would could might may must") && is(w->before, "have") && is(w->word, "been"),
         used = is(w->before_that, "used supposed") && is(w->before, "to") &&
                is(w->word, "be think say get believe answer equal"),
         out = is(w->before, "rule rules ruling ruled cross") && is(w->word, "out"),
         supposes = is(w->word, "supposing assuming assumed supposed"),
         says = is(w->word, "say says said suggest suggests suggested propose proposed argue argues") &&
                !is(w->before, "i we"),
         skips = is(w->word, "skip avoid omit") && (w->n == 0 || is(w->before, "to should must please you and better"));
    return could || been || used || out || supposes || says || skips;
}

bool number_hedged(struct str before)
{
    struct words w = {.text = before};
    bool open = false, label = false; /* such a phrase, and no noun since; "step" at the end */
    while (next_word(&w)) {
        bool phrase = (w.word.roles | w.before.roles | w.before_that.roles) & NUMBER_ROLE_PHRASE,
             past = has(&w, NUMBER_ROLE_PAST) && (w.before.roles & NUMBER_ROLE_ANSWER || is(w.before, "try idea"));
        if (given_up(&w) || past || hedges(&w) || dismisses(&w) || (phrase && was_said(&w))) {
            return true;
        }
        label = is(w.word, "step question problem chapter exercise figure section example");
        open = (phrase && ends_phrase(&w)) ||
               (open && is(w.word, "about around approximately exactly just only equal to that it is saying"));
    }
    return open || (label && w.blank);
}

/* ---- what touches it ---- */

static size_t skip_blanks(struct str text, size_t at)
{
    while (is_in(at_or(text, at), " \t")) {
        at++;
    }
    return at;
}

static size_t skip_blanks_back(struct str text, size_t at)
{
    while (at > 0 && is_in(text.data[at - 1], " \t")) {
        at--;
    }
    return at;
}

/* "--18", "- -18" where no number comes before: two signs. */
static bool signed_twice(struct str text, size_t at)
{
    int signs = 0;
    while (at > 0 && is_in(text.data[at - 1], "+- \t")) {
        signs += is_in(text.data[at - 1], "+-");
        at--;
    }
    return signs > 1 && (at == 0 || is_in(text.data[at - 1], "=({[:,\n$"));
}

/* "\\overline{18}": a line, an arrow or the like around digits; "0.\\overline{18}" is a number. */
static bool lined(struct str text, size_t at)
{
    static const char lines[] =
        "overline bar widebar hat widehat tilde widetilde vec overrightarrow cancel xcancel bcancel "
        "sout not underbrace overbrace dot ddot check breve acute grave strikethrough";
    at = skip_blanks_back(text, at);
    if (at == 0 || text.data[at - 1] != '{') {
        return false;
    }
    size_t end = skip_blanks_back(text, at - 1), begin = end;
    while (begin > 0 && is_letter(text.data[begin - 1])) {
        begin--;
    }
    char before = begin > 1 ? text.data[begin - 2] : ' ';
    return begin > 0 && text.data[begin - 1] == '\\' && number_word_in(lines, str_slice(text, begin, end)) &&
           !is_digit(before) && before != '.';
}

static bool glued_before(struct str text, size_t begin, size_t end)
{
    char c = begin > 0 ? text.data[begin - 1] : '\0', before = begin > 1 ? text.data[begin - 2] : '\0';
    if (c == '_' || (c == '{' && before == '_')) { /* an index of nothing */
        size_t at = begin - (c == '_' ? 1 : 2);
        return (at == 0 || is_in(text.data[at - 1], " \t$")) && at_or(text, end) != '_';
    }
    if (is_letter(c)) {
        size_t at = begin;
        while (at > 0 && is_letter(text.data[at - 1])) {
            at--;
        }
        char first = at > 0 ? text.data[at - 1] : '\0';
        return first != '\\' && !is_digit(first) && !is_in(first, ").") &&
               number_word(str_slice(text, at, begin)) != NUMBER_WORD_CURRENCY;
    }
    bool quote = is_in(c, "'\"`") && !(end < text.length && memchr(text.data + end, c, text.length - end));
    bool mark = c == '@' || (c == '&' && begin == 1);
    return quote || mark || (c == '#' && before != '#') || signed_twice(text, begin) || lined(text, begin);
}

/* "th", "^{th}", "^\text{th}" */
static bool is_ordinal(struct str text, size_t at)
{
    static const struct str layout[] = {
        {"^", 1}, {"{", 1}, {"\\textsuperscript", 16}, {"\\textrm", 7}, {"\\mathrm", 7}, {"\\text", 5}, {"\\rm ", 4}};
    for (size_t i = 0; is_in(at_or(text, at), "^{\\") && i < sizeof layout / sizeof *layout; i++) {
        if (str_starts(str_slice(text, at, text.length), layout[i])) {
            at += layout[i].length;
            i = (size_t)-1;
        }
    }
    return at + 2 <= text.length && is_letter(text.data[at]) &&
           number_word_in("st nd rd th", str_slice(text, at, at + 2)) && !is_letter(at_or(text, at + 2));
}

/* "~~18~~", "~18~", "~~**$18**~~" */
static bool is_struck(struct str text, size_t begin, size_t end)
{
    while (begin > 0 && is_in(text.data[begin - 1], " \t$*_")) {
        begin--;
    }
    while (is_in(at_or(text, end), " \t$*_")) {
        end++;
    }
    return begin > 0 && text.data[begin - 1] == '~' && at_or(text, end) == '~';
}

bool number_glued_after(struct str text, size_t begin, size_t end)
{
    char c = at_or(text, end), next = at_or(text, end + 1);
    struct str before = str_slice(text, 0, begin);
    size_t at = skip_blanks(text, end);
    if (at_or(text, at) == ':') {
        at = skip_blanks(text, at + 1);
        return at_or(text, at) == '1' && !is_digit(at_or(text, at + 1));
    }
    if (c == '_') {
        size_t index = end + 1 + (next == '{');
        bool ten = str_starts(str_slice(text, index, text.length), STR("10")) && !is_digit(at_or(text, index + 2));
        return (at_or(text, index) >= '1' && at_or(text, index) <= '9' && !ten) ||
               (end + 1 == text.length && !memchr(before.data, '_', before.length));
    }
    char mark = at_or(text, at); /* the next sign that is no blank */
    size_t length;
    bool opens = at > end && is_letter(at_or(text, at + 1)); /* 18 "eggs" */
    bool prime = is_in(mark, "'\"`") && !opens && !(before.length && memchr(before.data, mark, before.length));
    size_t second = mark == '.' ? skip_blanks(text, at + 1) : text.length;
    bool points = mark == '.' && (at_or(text, second) == '.' || text.data[end - 1] == '.') &&
                  !memchr(text.data + begin, '.', end - begin - 1);
    bool star = c == '*' && next != '*' && !(before.length && memchr(before.data, '*', before.length)) &&
                end + 1 >= text.length;
    bool struck = is_struck(text, begin, end);
    uint32_t code = (unsigned char)c >= 0x80 ? str_utf8_next(text, end, &length) : 0;
    bool accent = code && number_word_code(code) == 0;
    return prime || points || star || struck || accent || is_in(c, "@#") || (c == '&' && end + 1 == text.length) ||
           is_ordinal(text, end);
}

bool number_glued(struct str text, size_t begin, size_t end)
{
    return glued_before(text, begin, end) || number_glued_after(text, begin, end);
}

/* The next digits at or after *end, with their points and commas; false: there are none. */
static bool next_digits(struct str text, size_t *begin, size_t *end)
{
    for (*begin = *end; *begin < text.length && !is_digit(text.data[*begin]);) {
        (*begin)++;
    }
    for (*end = *begin;
         is_digit(at_or(text, *end)) || (is_in(at_or(text, *end), ".,") && is_digit(at_or(text, *end + 1)));) {
        (*end)++;
    }
    return *begin < text.length;
}

/* "\\not 18", "\\lnot 18", "not 18" */
static bool negated(struct str text)
{
    static const struct str signs[] = {{"\\not ", 5}, {"\\lnot", 5}, {"\\neg", 4}};
    bool found = number_denied(text);
    for (size_t i = 0; i < sizeof signs / sizeof *signs && !found; i++) {
        ptrdiff_t at = str_find(text, signs[i], 0);
        found = at >= 0 && !is_letter(at_or(text, (size_t)at + signs[i].length));
    }
    return found;
}

bool number_spoilt(struct str text)
{
    size_t begin, end = 0, last = 0, last_end = 0;
    bool any = false;
    while (next_digits(text, &begin, &end)) {
        struct str between = any ? str_trim(str_slice(text, last_end, begin)) : (struct str){0};
        if (number_glued(text, begin, end) || str_equal(between, STR("in")) || str_equal(between, STR("out of"))) {
            return true;
        }
        last = begin;
        last_end = end;
        any = true;
    }
    struct str before = str_slice(text, 0, last);
    bool computed = last > 0 && memchr(text.data, '=', last);
    struct str after = str_slice(text, last_end, text.length);
    return any && (negated(before) || number_denied(after) || number_hedged(before) ||
                   number_clause(text, last_end, computed || number_needed(before)));
}
