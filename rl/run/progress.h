/* rl/run/progress.h - what a person sees while a run lasts.
 *
 * On a terminal one line is redrawn in place: step, phase, reward, length, KL, tokens per second, time left. It
 * never wraps: parts that do not fit the width of the terminal, read at every redraw, are left out, the least
 * important first. Elsewhere a line is printed every logging_steps. Everything goes to stderr.
 *
 *   step 12/60  rollout 83%  reward 0.412  len 61.2  kl 0.001  12.3k tok/s  roll 61% reward 1% train 38%  2:41 left
 *
 * The time left is the mean time per step times the steps to go, less what has passed since the last step. The mean
 * is that of the last steps (it forgets: completions grow) plus the share of evaluations and checkpoints. It is set
 * anew at the end of a step and only falls until the next.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_PROGRESS_H
#define RL_RUN_PROGRESS_H

#include "rl/metrics.h"

struct progress {
    bool live; /* stderr is a terminal */
    int64_t step, max_steps;
    double last_draw;
    double mark;          /* when the step in progress began, or the last one ended */
    double step_seconds;  /* mean over the last steps; 0 before the first has ended */
    double other_seconds; /* between steps, in all */
    int64_t n_steps;      /* since progress_begin */
    char phase[48];
    struct metrics last; /* of the step before */
    double seconds_rollout, seconds_reward, seconds_train;
};

void progress_begin(struct progress *progress, int64_t first_step, int64_t max_steps);
void progress_step_begin(struct progress *progress); /* what passed since the last step belonged to none */
void progress_phase(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void progress_clear(
    const struct progress *progress); /* before other text on stderr; the next change draws the line again */
void progress_end(struct progress *progress);

/* The line as it is drawn on a terminal of this many columns (0: no limit), `now` seconds on the clock of
 * base/clock.h. */
struct strbuf;
void progress_line(const struct progress *progress, int columns, double now, struct strbuf *line);

/* A curve of n values as lines of text, height rows tall, at most width columns: the value axis on the left, the
 * first and last step below. */
void progress_curve(const char *title, const double *steps, const double *values, int n, int width, int height,
                    struct strbuf *out);

#endif
