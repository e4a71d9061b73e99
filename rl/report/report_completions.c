/* rl/report/report_completions.c - which completions go into a report, and their JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "rl/report/report_data.h"

#define MAX_LABELS    64
#define HELD_OUT_ROWS 256 /* of an evaluation */

/* The rollouts of an iteration; its prompts and samples are numbered from 0 without gaps. */
struct rollouts {
    int64_t iteration, step; /* step: the first that it fed */
    int n_prompts, G;
};

struct embedding {
    sqlite3 *db;
    const struct report_limits *limits;
    struct arena arena;
    struct rollouts *rollouts;
    int n_rollouts;
    int64_t n_total, n_embedded, n_cut;
    size_t bytes;
    struct strbuf prompts, rows, heldout;
    int n_prompts, n_heldout;
    char *labels[MAX_LABELS];
    int n_labels;
};

/* ---- what there is ---- */

static enum err count_rollouts(sqlite3 *db, struct rollouts *r)
{
    sqlite3_stmt *query; /* two seeks; counting rows would read a large file */
    TRY(report_prepare(db, &query,
                       "SELECT (SELECT max(prompt) FROM prompts WHERE iteration = ?1),"
                       " (SELECT max(sample) FROM completions WHERE iteration = ?1 AND prompt = 0)"));
    sqlite3_bind_int64(query, 1, r->iteration);
    int last = sqlite3_step(query);
    if (last == SQLITE_ROW && sqlite3_column_type(query, 0) != SQLITE_NULL &&
        sqlite3_column_type(query, 1) != SQLITE_NULL) {
        r->n_prompts = sqlite3_column_int(query, 0) + 1;
        r->G = sqlite3_column_int(query, 1) + 1;
    }
    return report_finish(db, query, last);
}

static enum err list_rollouts(struct embedding *e)
{
    sqlite3_stmt *query;
    TRY(report_prepare(e->db, &query, "SELECT count(*) FROM steps"));
    int last = sqlite3_step(query), n = last == SQLITE_ROW ? sqlite3_column_int(query, 0) : 0;
    TRY(report_finish(e->db, query, last));
    e->rollouts = ARENA_NEW(&e->arena, struct rollouts, n + 1);
    TRY(report_prepare(e->db, &query, "SELECT iteration, min(step) FROM steps GROUP BY iteration ORDER BY iteration"));
    enum err result = ERR_NONE;
    while (result == ERR_NONE && (last = sqlite3_step(query)) == SQLITE_ROW && e->n_rollouts < n) {
        struct rollouts *r = &e->rollouts[e->n_rollouts];
        *r = (struct rollouts){.iteration = sqlite3_column_int64(query, 0), .step = sqlite3_column_int64(query, 1)};
        result = count_rollouts(e->db, r);
        e->n_rollouts += r->n_prompts > 0; /* supervised training has none */
        e->n_total += (int64_t)r->n_prompts * r->G;
    }
    enum err end = report_finish(e->db, query, last);
    return result == ERR_NONE ? end : result;
}

/* ---- one completion ---- */

/* A second or later byte of a UTF-8 sequence. */
static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* A long text keeps its beginning and its end, where the answer is. */
static void add_text(struct embedding *e, struct strbuf *out, struct str text)
{
    size_t max = e->limits->text_bytes;
    e->bytes += text.length < max ? text.length : max;
    if (text.length <= max) {
        report_add_text(out, text);
        return;
    }
    size_t head = max / 4 * 3, tail = text.length - (max - head);
    while (head > 0 && is_inside_character(text.data[head])) {
        head--;
    }
    while (tail < text.length && is_inside_character(text.data[tail])) {
        tail++;
    }
    strbuf_putc(out, '"');
    strbuf_add_json(out, str_slice(text, 0, head));
    strbuf_printf(out, "\\n[%zu bytes left out here]\\n", tail - head);
    strbuf_add_json(out, str_slice(text, tail, text.length));
    strbuf_putc(out, '"');
    e->n_cut++;
}

static int label_number(struct embedding *e, struct str label)
{
    for (int i = 0; i < e->n_labels; i++) {
        if (str_equal(label, str_of(e->labels[i]))) {
            return i;
        }
    }
    if (e->n_labels == MAX_LABELS) {
        return MAX_LABELS - 1;
    }
    e->labels[e->n_labels] = arena_strndup(&e->arena, label.data, label.length);
    return e->n_labels++;
}

static enum err add_parts(struct embedding *e, int64_t iteration, int prompt, int64_t sample)
{
    sqlite3_stmt *query;
    TRY(report_prepare(e->db, &query,
                       "SELECT label, verdict, score, reason, extracted FROM rewards"
                       " WHERE iteration = ? AND prompt = ? AND sample = ? ORDER BY part"));
    sqlite3_bind_int64(query, 1, iteration);
    sqlite3_bind_int(query, 2, prompt);
    sqlite3_bind_int64(query, 3, sample);
    int last;
    for (int n = 0; (last = sqlite3_step(query)) == SQLITE_ROW; n++) {
        strbuf_printf(&e->rows, "%s[%d,", n ? "," : "", label_number(e, report_column(query, 0)));
        report_add_text(&e->rows, report_column(query, 1));
        strbuf_putc(&e->rows, ',');
        report_add_column(&e->rows, query, 2);
        strbuf_putc(&e->rows, ',');
        report_add_text(&e->rows, report_column(query, 3));
        strbuf_putc(&e->rows, ',');
        struct str extracted = report_column(query, 4);
        report_add_text(&e->rows, str_slice(extracted, 0, 1000));
        strbuf_putc(&e->rows, ']');
    }
    return report_finish(e->db, query, last);
}

/* ---- a group ---- */

static enum err add_prompt(struct embedding *e, int64_t iteration, int prompt)
{
    sqlite3_stmt *query;
    TRY(report_prepare(e->db, &query, "SELECT text, fields FROM prompts WHERE iteration = ? AND prompt = ?"));
    sqlite3_bind_int64(query, 1, iteration);
    sqlite3_bind_int(query, 2, prompt);
    int last = sqlite3_step(query);
    strbuf_puts(&e->prompts, e->n_prompts ? ",\n[" : "\n[");
    add_text(e, &e->prompts, report_column(query, 0));
    strbuf_putc(&e->prompts, ',');
    add_text(e, &e->prompts, report_column(query, 1));
    strbuf_printf(&e->prompts, ",%d]", prompt);
    e->n_prompts++;
    return report_finish(e->db, query, last);
}

static enum err add_group(struct embedding *e, const struct rollouts *r, int prompt)
{
    sqlite3_stmt *query;
    TRY(add_prompt(e, r->iteration, prompt));
    TRY(report_prepare(e->db, &query,
                       "SELECT sample, length(tokens) / 4, finish, reward, advantage, dropped, text FROM completions"
                       " WHERE iteration = ? AND prompt = ? ORDER BY sample"));
    sqlite3_bind_int64(query, 1, r->iteration);
    sqlite3_bind_int(query, 2, prompt);
    enum err result = ERR_NONE;
    int last = SQLITE_DONE;
    while (result == ERR_NONE && (last = sqlite3_step(query)) == SQLITE_ROW) {
        int64_t sample = sqlite3_column_int64(query, 0);
        strbuf_printf(&e->rows, "%s[%d,%lld,%lld,", e->n_embedded ? ",\n" : "\n", e->n_prompts - 1, (long long)r->step,
                      (long long)sample);
        for (int column = 1; column <= 5; column++) {
            report_add_column(&e->rows, query, column);
            strbuf_putc(&e->rows, ',');
        }
        add_text(e, &e->rows, report_column(query, 6));
        strbuf_puts(&e->rows, ",[");
        result = add_parts(e, r->iteration, prompt, sample);
        strbuf_puts(&e->rows, "]]");
        e->n_embedded++;
    }
    enum err end = report_finish(e->db, query, last);
    return result == ERR_NONE ? end : result;
}

/* ---- which groups ---- */

/* Groups of one iteration from the first on, at least one, while completions and bytes stay below their limits. */
static enum err add_iteration(struct embedding *e, const struct rollouts *r, int64_t max, size_t bytes)
{
    for (int p = 0; p < r->n_prompts && (p == 0 || (e->n_embedded + r->G <= max && e->bytes < bytes)); p++) {
        TRY(add_group(e, r, p));
    }
    return ERR_NONE;
}

/* Groups at equal distances among all of the iterations between the first and the last. */
static enum err add_between(struct embedding *e)
{
    int64_t n_groups = 0, n_samples = 0;
    for (int i = 1; i + 1 < e->n_rollouts; i++) {
        n_groups += e->rollouts[i].n_prompts;
        n_samples += (int64_t)e->rollouts[i].n_prompts * e->rollouts[i].G;
    }
    int64_t room = e->limits->completions - e->n_embedded;
    double each = (double)e->bytes / (double)(e->n_embedded ? e->n_embedded : 1); /* bytes of a completion so far */
    double room_bytes = e->limits->bytes > e->bytes ? (double)(e->limits->bytes - e->bytes) : 0;
    room = each > 0 && (double)room * each > room_bytes ? (int64_t)(room_bytes / each) : room;
    double wanted = n_samples > room ? (double)n_groups * (double)room / (double)n_samples : (double)n_groups;
    int64_t seen = 0, taken = 0;
    for (int i = 1; i + 1 < e->n_rollouts; i++) {
        for (int p = 0; p < e->rollouts[i].n_prompts; p++, seen++) {
            bool due = ((double)seen + 0.5) * wanted >= ((double)taken + 0.5) * (double)n_groups;
            if (due && e->n_embedded + e->rollouts[i].G <= e->limits->completions && e->bytes < e->limits->bytes) {
                TRY(add_group(e, &e->rollouts[i], p));
                taken++;
            }
        }
    }
    return ERR_NONE;
}

static enum err add_training(struct embedding *e)
{
    TRY(list_rollouts(e));
    if (e->n_rollouts == 0) {
        return ERR_NONE;
    }
    int parts = e->n_rollouts < 3 ? e->n_rollouts : 4; /* of the room, one for the first and one for the last */
    bool all = e->n_total <= e->limits->completions;
    int64_t share = all ? e->limits->completions : e->limits->completions / parts;
    size_t bytes = e->limits->bytes / (size_t)parts;
    TRY(add_iteration(e, &e->rollouts[0], share, bytes));
    if (e->n_rollouts > 1) {
        TRY(add_iteration(e, &e->rollouts[e->n_rollouts - 1], e->n_embedded + share, e->bytes + bytes));
    }
    return add_between(e);
}

/* ---- evaluations ---- */

static enum err add_evaluation(struct embedding *e, int64_t step)
{
    sqlite3_stmt *query;
    TRY(report_prepare(e->db, &query,
                       "SELECT prompt, sample, question, text, n_tokens, score, reason FROM eval_completions"
                       " WHERE step = ? ORDER BY prompt, sample LIMIT ?"));
    sqlite3_bind_int64(query, 1, step);
    sqlite3_bind_int(query, 2, HELD_OUT_ROWS);
    int last, label = label_number(e, STR("answer"));
    while ((last = sqlite3_step(query)) == SQLITE_ROW) {
        struct strbuf *out = &e->heldout;
        if (sqlite3_column_int(query, 1) == 0 || e->n_heldout == 0) { /* the first sample of a prompt */
            strbuf_puts(&e->prompts, e->n_prompts ? ",\n[" : "\n[");
            add_text(e, &e->prompts, report_column(query, 2));
            strbuf_printf(&e->prompts, ",\"\",%d]", sqlite3_column_int(query, 0));
            e->n_prompts++;
        }
        strbuf_printf(out, "%s[%d,%lld,%d,%d,0,", e->n_heldout ? ",\n" : "\n", e->n_prompts - 1, (long long)step,
                      sqlite3_column_int(query, 1), sqlite3_column_int(query, 4));
        report_add_column(out, query, 5);
        strbuf_puts(out, ",null,0,");
        add_text(e, out, report_column(query, 3));
        strbuf_printf(out, ",[[%d,\"\",null,", label);
        report_add_text(out, report_column(query, 6));
        strbuf_puts(out, ",\"\"]]]");
        e->n_heldout++;
    }
    return report_finish(e->db, query, last);
}

static enum err add_evaluations(struct embedding *e)
{
    sqlite3_stmt *query;
    TRY(report_prepare(e->db, &query, "SELECT min(step), max(step) FROM eval_completions"));
    int last = sqlite3_step(query);
    bool some = last == SQLITE_ROW && sqlite3_column_type(query, 0) != SQLITE_NULL;
    int64_t first_step = some ? sqlite3_column_int64(query, 0) : 0,
            last_step = some ? sqlite3_column_int64(query, 1) : 0;
    TRY(report_finish(e->db, query, last));
    if (some) {
        TRY(add_evaluation(e, first_step));
    }
    return some && last_step != first_step ? add_evaluation(e, last_step) : ERR_NONE;
}

/* ---- the members ---- */

static void add_array(struct strbuf *out, const char *name, const struct strbuf *items)
{
    strbuf_printf(out, ",\n\"%s\":[", name);
    strbuf_add_str(out, strbuf_view(items));
    strbuf_putc(out, ']');
}

static void write_members(const struct embedding *e, struct strbuf *out)
{
    strbuf_puts(out, ",\n\"labels\":[");
    for (int i = 0; i < e->n_labels; i++) {
        strbuf_puts(out, i ? "," : "");
        report_add_text(out, str_of(e->labels[i]));
    }
    strbuf_putc(out, ']');
    add_array(out, "prompts", &e->prompts);
    add_array(out, "completions", &e->rows);
    add_array(out, "heldout", &e->heldout);
    strbuf_printf(out, ",\n\"completions_of_run\":{\"total\":%lld,\"embedded\":%lld,\"cut\":%lld}",
                  (long long)e->n_total, (long long)e->n_embedded, (long long)e->n_cut);
}

enum err report_completions(sqlite3 *db, const struct report_limits *limits, struct strbuf *out)
{
    struct embedding *e = mem_zero(sizeof *e);
    e->db = db;
    e->limits = limits;
    enum err result = add_training(e);
    if (result == ERR_NONE) {
        result = add_evaluations(e);
    }
    if (result == ERR_NONE) {
        write_members(e, out);
    }
    strbuf_release(&e->prompts);
    strbuf_release(&e->rows);
    strbuf_release(&e->heldout);
    arena_release(&e->arena);
    free(e);
    return result;
}
