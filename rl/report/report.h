/* rl/report/report.h - a run for a person: report.html, and curves in the terminal.
 *
 * report.html is one file that needs nothing else: curves, completions with search, the recipe, the command. Its
 * sources are rl/report/ and Chart.js, both compiled in; what it shows is described in rl/report/report_data.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_REPORT_REPORT_H
#define RL_REPORT_REPORT_H

#include "base/err.h"
#include "base/str.h"

/* Writes the report of the run in `folder`, finished or running, to `path` (NULL: FOLDER/report.html), whole or not
 * at all. */
enum err report_write(const char *folder, const char *path);

/* Draws the main curves on stdout: held-out accuracy, reward, length, reflective words, else loss. */
enum err report_draw(const char *folder);

/* Appends one line that sums the run up: "100 steps, held-out pass@1 10.7 -> 71.3 %, reward ..., length ...". */
enum err report_sum_up(const char *folder, int64_t n_steps, struct strbuf *out);

/* The page around `data`, a JSON object without "<". */
void report_page(struct str title, struct str data, struct strbuf *out);

#endif
