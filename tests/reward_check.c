/* tests/reward_check.c - the math checker on the data of a folder: make reward-check DATA=../shared/data
 *
 *   dev sets     recall and false positives by tier, every miss with its reason. In core, policy and choice a false positive
 *                fails, and so does a recall under 97 %; the other tiers hold labels that ask for more than a rule can know
 *   self-match   every reference equals itself, bare and boxed; every solution of MATH-500 ends in its answer, and every one
 *                of GSM8K with its "#### answer"
 *   mutations    a digit, the sign, the end of an interval, a member, the factor 100 changed: never equal
 *   speed        MATH-500 references against 16 completions each, one thread
 *   hostile      texts made to cost time
 *
 * Exit status 0 if nothing failed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "reward/math/pair.h"
#include "reward/options.h"

static struct {
    int passed, failed;
    const char *folder;
} run;

static void count(bool good)
{
    run.passed += good;
    run.failed += !good;
}

static struct str text_of(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)} : (struct str){0};
}

/* Calls `each` for every row of a file of the folder; a file that is not there is said and counts as failed. */
static void for_rows(const char *file, void (*each)(const json_t *row, void *context), void *context)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", run.folder, file);
    FILE *in = fopen(path, "r");
    if (!in) {
        printf("%s: cannot be opened\n", path);
        count(false);
        return;
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, in)) > 0) {
        json_t *row = json_loadb(line, (size_t)length, 0, NULL);
        if (row) {
            each(row, context);
        }
        json_decref(row);
    }
    free(line);
    fclose(in);
}

/* ---- one judgement ---- */

static struct verdict judge(struct reward_set *set, struct str completion, const json_t *gold, struct arena *arena)
{
    json_t *row = json_pack("{sO}", "answer", gold);
    struct reward_item item = {.completion = completion, .fields = row, .n_tokens = -1};
    struct judgement judgement;
    BUG_ON(reward_judge(set, &item, 1, arena, &judgement) != ERR_NONE);
    json_decref(row);
    return judgement.parts[0];
}

static struct reward_set *open_set(const char *spec)
{
    struct reward_set *set = NULL;
    if (reward_set_open(&set, &(struct reward_spec){spec}, 1, ON_ERROR_ZERO, 100, 1) != ERR_NONE) {
        printf("%s\n", err_text());
        exit(1);
    }
    return set;
}

static bool right(struct verdict v)
{
    return v.kind == VERDICT_OK && v.score == 1;
}

/* ---- dev sets ---- */

static const char *const tiers[] = {"core",   "policy", "choice", "realistic", "approx",
                                    "config", "text",   "lang",   "noisy"};
#define N_TIERS       ((int)(sizeof tiers / sizeof *tiers))
#define N_COUNT_TIERS 3    /* the first of them are passed or failed */
#define GOAL          0.97 /* of their equal pairs are found; and no different one */

struct table {
    const char *name;
    struct reward_set *math, *choice;
    int equal[9], found[9], different[9], false_positives[9];
};

static int tier_of(const json_t *row)
{
    for (int t = 0; t < N_TIERS; t++) {
        if (str_equal(text_of(row, "tier"), str_of(tiers[t]))) {
            return t;
        }
    }
    return N_TIERS - 1;
}

static void enter(struct table *table, const json_t *row, struct str said, bool got, const char *reason)
{
    int t = tier_of(row);
    bool equal = json_is_true(json_object_get(row, "equal"));
    table->equal[t] += equal;
    table->found[t] += equal && got;
    table->different[t] += !equal;
    table->false_positives[t] += !equal && got;
    if (t < N_COUNT_TIERS && (got == equal || got)) { /* a miss is counted against the goal, below */
        count(got == equal);
    }
    if (got != equal) {
        struct str gold = text_of(row, "gold");
        size_t tail = said.length > 60 ? said.length - 60 : 0;
        printf("  %s %-9s %s  %.*s  |  %s%.*s  (%s)\n", equal ? "missed" : "FALSE ", tiers[t], text_of(row, "id").data,
               (int)(gold.length < 80 ? gold.length : 80), gold.data, tail ? "..." : "", (int)(said.length - tail),
               said.data + tail, reason);
    }
}

static void pair_row(const json_t *row, void *context)
{
    struct arena arena = ARENA_INIT;
    struct math_options options = {0};
    struct math_outcome outcome = math_pair_judge(&options, text_of(row, "gold"), text_of(row, "pred"), &arena);
    enter(context, row, text_of(row, "pred"), outcome.kind == MATH_EQUAL, outcome.path);
    arena_release(&arena);
}

static void response_row(const json_t *row, void *context)
{
    struct table *table = context;
    struct arena arena = ARENA_INIT;
    struct reward_set *set = str_equal(text_of(row, "tier"), STR("choice")) ? table->choice : table->math;
    struct verdict v = judge(set, text_of(row, "response"), json_object_get(row, "gold"), &arena);
    enter(table, row, v.extracted.length ? v.extracted : text_of(row, "response"), right(v), v.reason);
    arena_release(&arena);
}

static void print_table(const struct table *table)
{
    printf("%-22s %9s %9s %8s %9s\n", table->name, "recall", "", "false", "of");
    for (int t = 0; t < N_TIERS; t++) {
        if (table->equal[t] + table->different[t]) {
            printf("  %-20s %4d/%-4d %8.1f%% %8d %9d%s\n", tiers[t], table->found[t], table->equal[t],
                   100.0 * table->found[t] / (table->equal[t] ? table->equal[t] : 1), table->false_positives[t],
                   table->different[t], t < N_COUNT_TIERS ? "" : "   (reported only)");
            if (t < N_COUNT_TIERS) {
                count(table->found[t] >= GOAL * table->equal[t]);
            }
        }
    }
}

static void check_dev_sets(struct reward_set *math, struct reward_set *choice)
{
    struct table pairs = {.name = "math_equiv_dev"},
                 responses = {.name = "math_extract_dev", .math = math, .choice = choice};
    for_rows("math_equiv_dev.jsonl", pair_row, &pairs);
    for_rows("math_extract_dev.jsonl", response_row, &responses);
    print_table(&pairs);
    print_table(&responses);
}

/* ---- self-match and mutations ---- */

struct self {
    struct reward_set *set;
    const char *solution_end; /* what to put between a solution and its answer; NULL: nothing, it has its box */
    int n, missed;
    int mutated[5], equal[5];
};

static const char *const mutations[5] = {"digit", "sign", "interval end", "member dropped", "factor 100"};

static bool equal_texts(struct str gold, struct str said)
{
    struct arena arena = ARENA_INIT;
    struct math_options options = {0};
    bool equal = math_pair_judge(&options, gold, said, &arena).kind == MATH_EQUAL;
    arena_release(&arena);
    return equal;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Is the answer nothing but a number, so that its sign and size are its own? */
static bool is_number(struct str text)
{
    bool any = false;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.data[i]) && !strchr("-.", text.data[i])) {
            return false;
        }
        any |= text.data[i] >= '1' && text.data[i] <= '9';
    }
    return any;
}

static bool is_interval(struct str text)
{
    bool infinite = str_find(text, STR("\\infty"), 0) >= 0 || str_find(text, STR("\\cup"), 0) >= 0;
    return infinite && (str_starts(text, STR("[")) || str_starts(text, STR("("))) && text.data[text.length - 1] != '}';
}

/* The text changed in the way of `kind`; false: there is nothing to change. */
static bool mutate(struct str text, int kind, struct strbuf *out)
{
    strbuf_clear(out);
    strbuf_add_str(out, text);
    ptrdiff_t comma = str_find(text, STR(", "), 0);
    switch (kind) {
    case 0:
        for (size_t i = 0; i < text.length; i++) {
            if (is_digit(out->data[i]) && is_number(text)) {
                out->data[i] = out->data[i] == '9' ? '8' : (char)(out->data[i] + 1);
                return true;
            }
        }
        return false;
    case 1:
        strbuf_clear(out);
        strbuf_puts(out, text.data[0] == '-' ? "" : "-");
        strbuf_add_str(out, str_slice(text, text.data[0] == '-', text.length));
        return is_number(text);
    case 2:
        out->data[0] = text.data[0] == '[' ? '(' : '[';
        return is_interval(text) && str_find(text, STR("(-\\infty"), 0) != 0;
    case 3:
        strbuf_clear(out);
        strbuf_add_str(out, str_slice(text, 0, (size_t)(comma > 0 ? comma : 0)));
        return comma > 0 && !strpbrk(out->data, "([{\\=") && !is_number(text);
    default: strbuf_puts(out, str_find(text, STR("."), 0) >= 0 ? "e2" : "00"); return is_number(text);
    }
}

static void self_row(const json_t *row, void *context)
{
    struct self *self = context;
    struct str gold = text_of(row, "answer");
    struct strbuf said = STRBUF_INIT;
    if (!str_trim(gold).length) {
        return;
    }
    strbuf_puts(&said, "So the answer is \\boxed{");
    strbuf_add_str(&said, gold);
    strbuf_puts(&said, "}.");
    struct arena arena = ARENA_INIT;
    bool boxed = right(judge(self->set, strbuf_view(&said), json_object_get(row, "answer"), &arena));
    bool bare = equal_texts(gold, gold);
    if (!boxed || !bare) {
        printf("  not itself: %s %.*s\n", text_of(row, "id").data, (int)gold.length, gold.data);
    }
    count(boxed);
    count(bare);
    self->n += 2;
    self->missed += !boxed + !bare;
    for (int m = 0; m < 5; m++) {
        if (mutate(str_trim(gold), m, &said)) {
            bool equal = equal_texts(gold, strbuf_view(&said));
            if (equal) {
                printf("  %s changed, and equal: %.*s  |  %s\n", mutations[m], (int)gold.length, gold.data, said.data);
            }
            count(!equal);
            self->mutated[m]++;
            self->equal[m] += equal;
        }
    }
    arena_release(&arena);
    strbuf_release(&said);
}

static void solution_row(const json_t *row, void *context)
{
    struct self *self = context;
    struct strbuf text = STRBUF_INIT;
    struct arena arena = ARENA_INIT;
    strbuf_add_str(&text, text_of(row, "solution"));
    if (self->solution_end) {
        strbuf_puts(&text, self->solution_end);
        strbuf_add_str(&text, text_of(row, "answer"));
    }
    struct verdict v = judge(self->set, strbuf_view(&text), json_object_get(row, "answer"), &arena);
    if (!right(v)) {
        printf("  solution not right: %s (%s): %.*s  |  %.*s\n", text_of(row, "id").data, v.reason,
               (int)text_of(row, "answer").length, text_of(row, "answer").data, (int)v.extracted.length,
               v.extracted.data);
    }
    count(right(v));
    self->n++;
    self->missed += !right(v);
    arena_release(&arena);
    strbuf_release(&text);
}

static void check_selves(struct reward_set *math, struct reward_set *gsm8k)
{
    static const char *const files[] = {"math500.jsonl",
                                        "math_test_minus500.jsonl",
                                        "math_train.jsonl",
                                        "gsm8k_train.jsonl",
                                        "gsm8k_test.jsonl",
                                        "aime24.jsonl",
                                        "aime25.jsonl",
                                        "aime_1983_2023.jsonl",
                                        "amc23.jsonl",
                                        "minerva_math.jsonl",
                                        "olympiadbench_math_en.jsonl",
                                        "gaokao2023en.jsonl",
                                        "college_math_sample.jsonl",
                                        "deepmath_5k.jsonl",
                                        "svamp.jsonl"};
    struct self all = {.set = math};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        for_rows(files[i], self_row, &all);
    }
    printf("self-match             %d of %d\n", all.n - all.missed, all.n);
    for (int m = 0; m < 5; m++) {
        printf("mutation %-14s %d equal of %d\n", mutations[m], all.equal[m], all.mutated[m]);
    }
    struct self math500 = {.set = math}, gsm = {.set = gsm8k, .solution_end = "\n#### "};
    for_rows("math500.jsonl", solution_row, &math500);
    for_rows("gsm8k_train.jsonl", solution_row, &gsm);
    for_rows("gsm8k_test.jsonl", solution_row, &gsm);
    printf("solutions of MATH-500  %d of %d\n", math500.n - math500.missed, math500.n);
    printf("solutions of GSM8K     %d of %d\n", gsm.n - gsm.missed, gsm.n);
}

/* ---- speed ---- */

#define MOST_GOLDS 500

struct golds {
    char *texts[MOST_GOLDS];
    int n;
};

static void gold_row(const json_t *row, void *context)
{
    struct golds *golds = context;
    if (golds->n < MOST_GOLDS) {
        golds->texts[golds->n++] = mem_strdup(text_of(row, "answer").data);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Completion `k` of 16: the reference in four spellings, then answers of other problems. */
static void completion(const struct golds *golds, int i, int k, struct strbuf *out)
{
    static const char *const frames[4] = {"%s", " %s ", "x = %s", "\\left(%s\\right)"};
    const char *other = golds->texts[(i + 1 + 37 * k) % golds->n];
    strbuf_clear(out);
    strbuf_puts(out,
                "First we look at what is given. Then $x^2 + 1 = 5$, and so on for some lines. Therefore \\boxed{");
    const char *frame = k < 4 ? frames[k] : "%s", *text = k < 4 ? golds->texts[i] : other;
    size_t cut = strcspn(frame, "%");
    strbuf_add(out, frame, cut);
    strbuf_puts(out, text);
    strbuf_puts(out, frame + cut + 2);
    strbuf_puts(out, "}.");
}

static void check_speed(const struct reward_kind *kind, const void *state)
{
    struct golds golds = {.n = 0};
    for_rows("math500.jsonl", gold_row, &golds);
    int n = golds.n * 16, right_ones = 0;
    double *seconds = mem_alloc((size_t)n * sizeof *seconds + 1), total = 0;
    struct strbuf text = STRBUF_INIT;
    for (int j = 0; j < n; j++) {
        completion(&golds, j / 16, j % 16, &text);
        json_t *row = json_pack("{ss}", "answer", golds.texts[j / 16]);
        struct arena arena = ARENA_INIT;
        struct reward_item item = {.completion = strbuf_view(&text), .fields = row};
        double start = clock_thread_seconds();
        right_ones += right(kind->judge(state, &item, &(struct reward_call){.arena = &arena, .deadline = INFINITY}));
        seconds[j] = clock_thread_seconds() - start;
        total += seconds[j];
        arena_release(&arena);
        json_decref(row);
    }
    if (n) {
        qsort(seconds, (size_t)n, sizeof *seconds, compare_doubles);
        double rate = n / total, p99 = seconds[n * 99 / 100];
        printf("speed                  %.0f checks/s/core, p99 %.3f ms, worst %.3f ms (%d checks, %d right)\n", rate,
               p99 * 1e3, seconds[n - 1] * 1e3, n, right_ones);
        count(rate >= 20000);
        count(p99 < 1e-3);
    }
    for (int i = 0; i < golds.n; i++) {
        free(golds.texts[i]);
    }
    free(seconds);
    strbuf_release(&text);
}

/* ---- hostile texts ---- */

struct hostile {
    const char *name, *gold, *head, *piece, *tail;
    size_t times;
};

static const struct hostile hostiles[] = {
    {"power tower", "2", "\\boxed{9^{9^{9^{9^{9^{9}}}}}", "", "}", 0},
    {"tower of towers", "2^{2^{2^{49}}}", "\\boxed{2^{2^{2^{50}}}", "", "}", 0},
    {"factorial of factorial", "1", "\\boxed{((((9!)!)!)!)!", "", "}", 0},
    {"large factorial", "1", "\\boxed{20000!/19999!", "", "}", 0},
    {"large binomial", "1", "\\boxed{\\binom{40000}{20000}", "", "}", 0},
    {"sum of sums", "1", "\\boxed{\\sum_{a=1}^{9999}\\sum_{b=1}^{9999}\\sum_{c=1}^{9999} a b c", "", "}", 0},
    {"sum of sines", "1", "\\boxed{\\sum_{a=1}^{9999} \\sin a", "", "}", 0},
    {"100 KB of braces", "1", "\\boxed{", "{", "", 100000},
    {"100 KB of closed braces", "1", "\\boxed{2", "}", "", 100000},
    {"10^5 boxes", "1", "", "\\boxed{2} ", "", 100000},
    {"10^5 boxes in a run", "1, 2", "", "\\boxed{2},", "", 100000},
    {"10^5 open boxes", "1", "", "\\boxed{", "", 100000},
    {"1 MB of digits", "1", "\\boxed{", "7", "}", 1 << 20},
    {"1 MB of digits, bare", "1", "", "7", "", 1 << 20},
    {"256 digits", "1", "\\boxed{", "7", "}", 256},
    {"nested fractions", "1", "\\boxed{", "\\frac{1}{1+", "1", 10000},
    {"fractions within limits", "1", "\\boxed{", "\\frac{1}{1+", "1}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}", 40},
    {"nested roots", "1", "\\boxed{", "\\sqrt", " 2}", 800},
    {"sines", "1", "\\boxed{", "\\sin ", " 2}", 800},
    {"signs", "1", "\\boxed{", "-", "1}", 3000},
    {"long sum of roots", "1", "\\boxed{1", "+\\sqrt{1+\\sqrt{3}}", "}", 120},
    {"long list", "1,2", "\\boxed{1", ",2", "}", 1000},
    {"two long lists of roots", "\\sqrt[3]{2}, \\sqrt[3]{3}", "\\boxed{\\pi", ",\\sin 2", "}", 120},
    {"invalid UTF-8", "1", "\\boxed{", "\xff\xc0\x80", "}", 1000},
    {"Unicode", "1", "\\boxed{", "\xc2\xbd", "}", 2000},
    {"words", "many words", "\\boxed{", "nonsense ", "}", 400},
    {"dollars", "1", "", "$ ", "", 200000},
    {"open formulas", "1", "", "\\( ", "", 200000},
    {"answers", "1", "", "the answer is ", "", 50000},
    {"open answer tags", "1", "", "<answer>", "", 100000},
    {"thoughts", "1", "", "<think></think>", "", 60000},
    {"matrix", "1", "\\boxed{\\begin{pmatrix}1", "&1", "\\end{pmatrix}}", 900},
    {"plus-minus", "1", "\\boxed{1", "\\pm 1", "}", 500},
    {"bars", "1", "\\boxed{", "|", "1}", 900},
    {"equals", "1", "\\boxed{1", "=1", "}", 500},
    {"unions", "(0,1)", "\\boxed{(0,1)", "\\cup(0,1)", "}", 100},
    {"variables with exponents", "x", "\\boxed{x", "^{x", "}", 60},
    {"inequalities", "x>0", "\\boxed{x", "<x", "}", 400},
    {"determinant", "1", "\\boxed{\\begin{vmatrix}a&b&c&d\\\\e&f&g&h\\\\i&j&k&l\\\\m&n&o&p", "", "\\end{vmatrix}}", 0},
};

static void check_hostile(void)
{
    double worst = 0;
    struct reward_set *set = open_set("math:fallback=true");
    for (size_t i = 0; i < sizeof hostiles / sizeof *hostiles; i++) {
        const struct hostile *h = &hostiles[i];
        struct strbuf text = STRBUF_INIT;
        struct arena arena = ARENA_INIT;
        strbuf_puts(&text, h->head);
        for (size_t k = 0; k < h->times; k++) {
            strbuf_puts(&text, h->piece);
        }
        strbuf_puts(&text, h->tail);
        json_t *gold = json_string(h->gold);
        double seconds = INFINITY;
        struct verdict v = {0};
        for (int again = 0; again < 3; again++) { /* the least of three, by processor time: this machine may be busy */
            double start = clock_thread_seconds();
            v = judge(set, strbuf_view(&text), gold, &arena);
            seconds = fmin(seconds, clock_thread_seconds() - start);
        }
        bool good = seconds < 20e-3 && !right(v) && v.kind == VERDICT_OK;
        if (!good || seconds > 2e-3) {
            printf("  hostile: %s: %.2f ms, %s\n", h->name, seconds * 1e3, v.reason);
        }
        count(good);
        worst = fmax(worst, seconds);
        json_decref(gold);
        arena_release(&arena);
        strbuf_release(&text);
    }
    reward_set_close(set);
    printf("hostile                worst %.2f ms of %d texts\n", worst * 1e3,
           (int)(sizeof hostiles / sizeof *hostiles));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: reward_check FOLDER\n");
        return 2;
    }
    run.folder = argv[1];
    struct reward_set *math = open_set("math:fallback=true"), *choice = open_set("choice:fallback=true");
    struct reward_set *gsm8k = open_set("gsm8k");
    check_dev_sets(math, choice);
    check_selves(math, gsm8k);
    struct reward_values values;
    BUG_ON(reward_values_parse(&values, "math") != ERR_NONE);
    void *state = mem_zero(values.kind->state_bytes);
    BUG_ON(values.kind->open(state, &values) != ERR_NONE);
    check_speed(values.kind, state);
    reward_values_release(&values);
    check_hostile();
    free(state);
    reward_set_close(math);
    reward_set_close(choice);
    reward_set_close(gsm8k);
    printf("%d passed, %d failed\n", run.passed, run.failed);
    return run.failed > 0;
}
