/* rl/report.h - a finished run for a person: report.html, and the curve in the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_REPORT_H
#define RL_REPORT_H

#include "base/err.h"

/* Writes FOLDER/report.html from run.db and draws the main curve on stdout: held-out accuracy, else reward, else loss. */
enum err report_run(const char *folder);

#endif
