/* rl/run/progress.h - what a person sees while a run goes on.
 *
 * On a terminal one line is drawn over and over: step, phase, reward, length, KL, tokens a second, time left. Elsewhere a
 * line is printed each logging_steps. Everything on stderr.
 *
 *   step 12/60  rollout 83%  reward 0.412  len 61.2  kl 0.001  12.3k tok/s  roll 61% reward 1% train 38%  2:41 left
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_PROGRESS_H
#define RL_RUN_PROGRESS_H

#include "rl/metrics.h"

struct progress {
    bool live; /* stderr is a terminal */
    int64_t step, max_steps, first_step;
    double start, last_draw;
    char phase[48];
    struct metrics last; /* of the step before */
    double seconds_rollout, seconds_reward, seconds_train;
};

void progress_begin(struct progress *progress, int64_t first_step, int64_t max_steps);
void progress_phase(struct progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_step(struct progress *progress, int64_t step, const struct metrics *metrics);
void progress_end(struct progress *progress);

/* A curve of n values as lines of text, height rows tall, at most width columns: the value axis on the left, the first and
 * last step below. */
struct strbuf;
void progress_curve(const char *title, const double *steps, const double *values, int n, int width, int height,
                    struct strbuf *out);

#endif
