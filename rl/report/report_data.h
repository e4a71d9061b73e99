/* rl/report/report_data.h - what report.html shows, as one JSON object out of run.db; rl/report/page.js reads it.
 *
 *   title, subtitle, folder, written      text
 *   command, recipe, changes              as the run was started; the effective recipe; its keys that are not the default
 *   max_steps, steps                      to do (0: unknown) and done
 *   metrics, evals                        {steps_per_point, steps: [...], series: [[name, [values]], ...]}
 *   totals                                {step_time, bits_compared, bits_different} over all steps
 *   labels, prompts                       names of reward parts; [text, fields, number] of each prompt below
 *   completions, heldout                  [prompt, step, sample, tokens, finish, reward, advantage, dropped, text,
 *                                         [[label, verdict, score, reason, extracted], ...]]
 *   completions_of_run                    {total, embedded, cut}
 *   events                                [[step, kind, text], ...]
 *
 * A run may have millions of completions, so few of them go in, whole groups: those of the first and of the last
 * step first, then groups taken evenly from the steps between. Of evaluations the first and the last go in. Long
 * curves become means of equal numbers of steps. What is left out is counted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_REPORT_REPORT_DATA_H
#define RL_REPORT_REPORT_DATA_H

#include <sqlite3.h>

#include "base/err.h"
#include "base/str.h"

struct report_limits {
    int points;        /* of a curve */
    int completions;   /* the first and the last step may take a quarter each */
    size_t bytes;      /* of the completions' texts together */
    size_t text_bytes; /* of one text; a longer one loses its middle */
};

extern const struct report_limits report_limits; /* 1000, 2000, 6 MiB, 24 KiB */

/* Appends the object. "<" appears in it as \u003c only, so that no text can end the script element that holds it. */
enum err report_data(sqlite3 *db, const char *folder, const struct report_limits *limits, struct strbuf *out);

/* ---- for rl/report/report_data.c and rl/report/report_completions.c ---- */

enum err report_prepare(sqlite3 *db, sqlite3_stmt **query, const char *sql);
/* Ends a query; an error if its last step was one. */
enum err report_finish(sqlite3 *db, sqlite3_stmt *query, int last_step);
void report_add_text(struct strbuf *out, struct str text); /* a JSON string */
void report_add_number(struct strbuf *out, double value);  /* null if it is not finite */
struct str report_column(sqlite3_stmt *query, int column); /* valid until the next step of the query */
void report_add_column(struct strbuf *out, sqlite3_stmt *query, int column); /* a number or null */

/* The members labels, prompts, completions, heldout and completions_of_run. */
enum err report_completions(sqlite3 *db, const struct report_limits *limits, struct strbuf *out);

#endif
