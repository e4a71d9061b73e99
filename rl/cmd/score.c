/* rl/cmd/score.c - `strop score`: rewards on given completions, the loop of someone who writes one.
 *
 * Lines are read, judged and written in batches, so that a file of any size takes the memory of one batch.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "reward/reward.h"
#include "rl/cmd/commands.h"
#include "rl/data/lines.h"

#define BATCH_MAX       512
#define BATCH_MAX_BYTES ((size_t)4 << 20)
#define REWARDS_MAX     64

static const char *const verdict_names[] = {
    [VERDICT_OK] = "ok", [VERDICT_ABSTAIN] = "abstain", [VERDICT_ERROR] = "error"};

struct tally {
    int64_t n[3]; /* of each kind of verdict */
    double sum;   /* of the scores */
};

struct score {
    struct reward_set *set;
    struct lines *lines;
    const char *field;
    /* one batch */
    struct arena arena;
    json_t *rows[BATCH_MAX];
    struct reward_item items[BATCH_MAX];
    int n;
    struct strbuf out;
    /* so far */
    struct tally parts[REWARDS_MAX], total;
    char first_error[512];
};

/* ---- a line becomes an item ---- */

static enum err wrong_completion(const char *where, const char *field)
{
    return err_set(ERR_FORMAT, "%s: '%s' must be text, or messages [{\"role\": \"assistant\", \"content\": \"...\"}]",
                   where, field);
}

/* The content of a message: text, or a list of parts of which the texts are joined. */
static bool content_text(const json_t *content, struct arena *arena, struct str *out)
{
    if (json_is_string(content)) {
        *out = (struct str){json_string_value(content), json_string_length(content)};
        return true;
    }
    struct strbuf joined = STRBUF_INIT;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *text = json_object_get(json_array_get(content, i), "text");
        strbuf_add(&joined, json_string_value(text), json_string_length(text));
    }
    *out = (struct str){arena_strndup(arena, joined.data, joined.length), joined.length};
    strbuf_release(&joined);
    return json_is_array(content);
}

/* Text, or the content of the last message of the assistant in a list (the last one if no role says "assistant"). */
static bool message_text(const json_t *value, struct arena *arena, struct str *out)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value)) {
        return json_is_string(value) && content_text(value, arena, out);
    }
    const json_t *chosen = json_array_get(value, n - 1);
    for (size_t i = 0; i < n; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(value, i), "role"));
        chosen = role && strcmp(role, "assistant") == 0 ? json_array_get(value, i) : chosen;
    }
    return content_text(json_object_get(chosen, "content"), arena, out);
}

static enum err make_item(struct score *s, const json_t *row, const char *where, struct reward_item *item)
{
    const json_t *completion = json_object_get(row, s->field), *ids = json_object_get(row, "completion_ids");
    const char *finish = json_string_value(json_object_get(row, "finish_reason"));
    int64_t n_tokens = json_is_array(ids) ? (int64_t)json_array_size(ids) : -1, max_tokens = 0;
    *item = (struct reward_item){.fields = row};
    if (!completion) {
        return err_set(ERR_FORMAT, "%s: the field '%s' is missing", where, s->field);
    }
    if (!message_text(completion, &s->arena, &item->completion)) {
        return wrong_completion(where, s->field);
    }
    if (!message_text(json_object_get(row, "prompt"), &s->arena, &item->prompt)) {
        item->prompt = (struct str){0};
    }
    TRY(json_want_int(row, "n_tokens", where, &n_tokens));
    TRY(json_want_int(row, "max_tokens", where, &max_tokens));
    TRY(json_want_bool(row, "truncated", where, &item->truncated));
    if (n_tokens < -1 || n_tokens > INT32_MAX || max_tokens < 0 || max_tokens > INT32_MAX) {
        return err_set(ERR_FORMAT, "%s: n_tokens and max_tokens must be from 0 to %d", where, INT32_MAX);
    }
    item->n_tokens = (int)n_tokens;
    item->max_tokens = (int)max_tokens;
    item->truncated = item->truncated || (finish && strcmp(finish, "length") == 0);
    return ERR_NONE;
}

/* Reads lines until the batch is full, or there are none at hand. A wrong line ends the batch before it. */
static enum err read_batch(struct score *s, bool *end)
{
    size_t bytes = 0;
    while (s->n < BATCH_MAX && bytes < BATCH_MAX_BYTES && (s->n == 0 || lines_ready(s->lines))) {
        struct str line;
        char where[4200];
        TRY(lines_next(s->lines, &line));
        if (!line.data) {
            *end = true;
            break;
        }
        json_t *row;
        lines_where(s->lines, where, sizeof where);
        TRY(json_parse(&row, line, where));
        s->rows[s->n] = row;
        enum err result = json_is_object(row)
                              ? make_item(s, row, where, &s->items[s->n])
                              : err_set(ERR_FORMAT, "%s: must be a JSON object: {\"completion\": ...}", where);
        if (result != ERR_NONE) {
            json_decref(row);
            return result;
        }
        s->n++;
        bytes += line.length;
    }
    return ERR_NONE;
}

/* ---- a judgement becomes a line ---- */

/* The shortest text that reads as the same number. */
static void put_number(struct strbuf *out, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    strbuf_puts(out, text);
}

static void put_text(struct strbuf *out, const char *key, struct str text)
{
    strbuf_printf(out, ", \"%s\": \"", key);
    strbuf_add_json(out, text);
    strbuf_putc(out, '"');
}

static void put_score(struct strbuf *out, bool known, double score)
{
    strbuf_puts(out, "\"score\": ");
    if (known) {
        put_number(out, score);
    } else {
        strbuf_puts(out, "null");
    }
}

static void put_verdict(struct strbuf *out, const struct verdict *v, double seconds)
{
    put_score(out, v->kind == VERDICT_OK, v->score);
    strbuf_printf(out, ", \"verdict\": \"%s\"", verdict_names[v->kind]);
    put_text(out, "reason", str_of(v->reason));
    put_text(out, "extracted", v->extracted);
    if (v->path) {
        put_text(out, "path", str_of(v->path));
    } else {
        strbuf_puts(out, ", \"path\": null");
    }
    strbuf_printf(out, ", \"ms\": %.3f", 1000 * seconds);
}

/* Of several: an error if one failed, ok if one judged. */
static enum verdict_kind verdict_of(const struct judgement *j, int n)
{
    int counts[3] = {0};
    for (int i = 0; i < n; i++) {
        counts[j->parts[i].kind]++;
    }
    return counts[VERDICT_ERROR] ? VERDICT_ERROR : counts[VERDICT_OK] ? VERDICT_OK : VERDICT_ABSTAIN;
}

static void put_judgement(struct score *s, const struct judgement *j)
{
    int n = reward_set_count(s->set);
    struct strbuf *out = &s->out;
    enum verdict_kind kind = verdict_of(j, n);
    strbuf_putc(out, '{');
    if (n == 1) {
        put_verdict(out, &j->parts[0], j->seconds[0]);
    } else {
        put_score(out, !j->dropped, j->total);
        strbuf_printf(out, ", \"verdict\": \"%s\", \"parts\": [", verdict_names[kind]);
        for (int i = 0; i < n; i++) {
            strbuf_puts(out, i ? ", {\"label\": \"" : "{\"label\": \"");
            strbuf_add_json(out, str_of(reward_set_label(s->set, i)));
            strbuf_puts(out, "\", \"weight\": ");
            put_number(out, reward_set_weight(s->set, i));
            strbuf_puts(out, ", ");
            put_verdict(out, &j->parts[i], j->seconds[i]);
            strbuf_putc(out, '}');
        }
        strbuf_putc(out, ']');
    }
    strbuf_puts(out, "}\n");
    s->total.n[kind]++;
    s->total.sum += kind == VERDICT_OK ? n == 1 ? j->parts[0].score : j->total : 0;
    for (int i = 0; i < n; i++) {
        if (j->parts[i].kind == VERDICT_ERROR && !s->first_error[0]) {
            snprintf(s->first_error, sizeof s->first_error, "%s: %s", reward_set_label(s->set, i), j->parts[i].reason);
        }
        s->parts[i].n[j->parts[i].kind]++;
        s->parts[i].sum += j->parts[i].kind == VERDICT_OK ? j->parts[i].score : 0;
    }
}

static enum err judge_batch(struct score *s)
{
    struct judgement *judgements = ARENA_NEW(&s->arena, struct judgement, s->n);
    enum err result = reward_judge(s->set, s->items, s->n, &s->arena, judgements);
    strbuf_clear(&s->out);
    for (int i = 0; i < s->n; i++) {
        if (result == ERR_NONE) {
            put_judgement(s, &judgements[i]);
        }
        json_decref(s->rows[i]);
    }
    bool written = s->out.length == 0 || fwrite(s->out.data, s->out.length, 1, stdout) == 1;
    if (result == ERR_NONE && (!written || fflush(stdout) != 0)) {
        result = err_set(ERR_IO, "cannot write the results to standard output");
    }
    s->n = 0;
    arena_reset(&s->arena);
    return result;
}

/* ---- the whole ---- */

static void print_tally(const char *name, const struct tally *t)
{
    fprintf(stderr, "%-24s mean ", name);
    if (t->n[VERDICT_OK]) {
        fprintf(stderr, "%-10.6g", t->sum / (double)t->n[VERDICT_OK]);
    } else {
        fprintf(stderr, "%-10s", "none");
    }
    fprintf(stderr, " %lld ok, %lld abstained, %lld errors\n", (long long)t->n[VERDICT_OK],
            (long long)t->n[VERDICT_ABSTAIN], (long long)t->n[VERDICT_ERROR]);
}

static void print_summary(const struct score *s, double seconds)
{
    int n = reward_set_count(s->set);
    int64_t count = s->total.n[VERDICT_OK] + s->total.n[VERDICT_ABSTAIN] + s->total.n[VERDICT_ERROR];
    for (int i = 0; i < n; i++) {
        print_tally(reward_set_label(s->set, i), &s->parts[i]);
    }
    if (n > 1) {
        print_tally("total", &s->total);
    }
    fprintf(stderr, "%lld items in %.2f s, %.0f items/s\n", (long long)count, seconds,
            seconds > 0 ? (double)count / seconds : 0.0);
}

static enum err score_lines(struct score *s)
{
    double start = clock_seconds();
    enum err read = ERR_NONE, judged = ERR_NONE;
    char sentence[4096] = "";
    for (bool end = false; !end && read == ERR_NONE && judged == ERR_NONE;) {
        read = read_batch(s, &end);
        if (read != ERR_NONE) { /* kept, since judging may set another */
            snprintf(sentence, sizeof sentence, "%s", err_text());
        }
        judged = judge_batch(s); /* what came before a wrong line too */
    }
    print_summary(s, clock_seconds() - start);
    if (judged != ERR_NONE) {
        return judged;
    }
    if (read != ERR_NONE) {
        return err_set(read, "%s", sentence);
    }
    int64_t n_errors = s->total.n[VERDICT_ERROR];
    return n_errors > 0 && s->total.n[VERDICT_OK] + s->total.n[VERDICT_ABSTAIN] == 0
               ? err_set(ERR_STATE, "none of %lld items could be judged; the first error: %s", (long long)n_errors,
                         s->first_error)
               : ERR_NONE;
}

static enum err open_set(const struct cmd_args *args, struct score *s)
{
    struct reward_spec specs[REWARDS_MAX];
    int n = 0;
    for (; n < REWARDS_MAX && cmd_repeated(args, "reward", n); n++) {
        specs[n].text = cmd_repeated(args, "reward", n);
    }
    if (n == 0 || cmd_repeated(args, "reward", n)) {
        return err_set(ERR_USAGE,
                       "strop score needs from 1 to %d rewards: --reward NAME[:key=value,...]; --list shows them",
                       REWARDS_MAX);
    }
    int64_t threads = cmd_int(args, "threads");
    double timeout = cmd_number(args, "timeout");
    if (threads < 0 || threads > 1024 || !(timeout > 0)) {
        return err_set(ERR_USAGE, "strop score: --threads must be from 0 to 1024, and --timeout above 0");
    }
    return reward_set_open(&s->set, specs, n, ON_ERROR_DROP, timeout, (int)threads);
}

static enum err score_file(const struct cmd_args *args)
{
    struct score *s = mem_zero(sizeof *s);
    s->field = cmd_text(args, "field");
    enum err result = open_set(args, s);
    if (result == ERR_NONE) {
        result = lines_open(&s->lines, cmd_positional(args, 0));
    }
    if (result == ERR_NONE) {
        result = score_lines(s);
    }
    lines_close(s->lines);
    reward_set_close(s->set);
    arena_release(&s->arena);
    strbuf_release(&s->out);
    free(s);
    return result;
}

/* ---- --list ---- */

static void print_option(const struct reward_option *o)
{
    static const char *const types[] = {
        [OPTION_BOOL] = "true|false", [OPTION_INT] = "N", [OPTION_NUMBER] = "X", [OPTION_TEXT] = "TEXT"};
    printf("    %s=%s", o->name, o->type == OPTION_CHOICE ? o->choices : types[o->type]);
    if (o->type != OPTION_CHOICE && (o->min != 0 || o->max != 0)) {
        printf(" from %g to %g", o->min, o->max);
    }
    if (o->fallback) {
        printf(" (%s)", *o->fallback ? o->fallback : "empty");
    } else {
        printf(" (must be given)");
    }
    printf("\n        %s\n", o->help);
}

static void print_kinds(void)
{
    for (int i = 0; reward_kinds[i]; i++) {
        const struct reward_kind *kind = reward_kinds[i];
        printf("%s%s\n    %s\n", i ? "\n" : "", kind->name, kind->help);
        if (*kind->fields) {
            printf("    fields: %s\n", kind->fields);
        }
        for (const struct reward_option *o = kind->options; o && o->name; o++) {
            print_option(o);
        }
    }
    printf("\nand of every reward: weight=X (1), label=TEXT (its name), only_if_right (false; added only where the "
           "first reward "
           "without it gives 1)\n");
}

static enum err score_command(const struct cmd_args *args)
{
    if (cmd_flag(args, "list")) {
        print_kinds();
        return ERR_NONE;
    }
    if (cmd_positional_count(args) == 0) {
        return err_set(ERR_USAGE, "usage: strop score --reward NAME[:key=value,...] FILE.jsonl, or strop score --list");
    }
    return score_file(args);
}

static const struct cmd_option score_options[] = {
    {"reward", CMD_TEXT, "NAME", NULL, "a reward and its options: NAME[:key=value,...]; may be given several times"},
    {"list", CMD_FLAG, NULL, NULL, "print every reward with its fields and options"},
    {"field", CMD_TEXT, "NAME", "completion", "the field with the completion: text, or chat messages"},
    {"threads", CMD_INT, "N", "0", "threads that judge; 0: one for each processor"},
    {"timeout", CMD_NUMBER, "SECONDS", "10", "longest judgement of one completion by one reward"},
    {0},
};

const struct command command_score = {
    .name = "score",
    .arguments = "--reward NAME[:key=value,...] FILE.jsonl",
    .summary = "judge given completions, one JSON object a line",
    .details =
        "Reads {\"completion\": ..., and the reward's fields} from FILE, or from standard input for -, and writes for "
        "each\n"
        "line, in their order, {\"score\", \"verdict\": ok|abstain|error, \"reason\", \"extracted\", \"path\", "
        "\"ms\"}; with several\n"
        "rewards the weighted sum and \"parts\". Also read: n_tokens or completion_ids, max_tokens, truncated or\n"
        "finish_reason, for rewards about length. A summary goes to standard error; the exit code is 1 if every item "
        "is an error.\n\n"
        "  echo '{\"completion\": \"<answer>3*4</answer>\", \"nums\": [3, 4], \"target\": 12}' |\n"
        "      strop score --reward countdown --reward format:mode=graded,weight=0.1 -\n",
    .options = score_options,
    .min_positional = 0,
    .max_positional = 1,
    .run = score_command,
};
