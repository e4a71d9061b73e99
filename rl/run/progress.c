/* rl/run/progress.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static struct progress *progress_live; /* for the hooks of base/log.h */

static void clear_line(void)
{
    if (progress_live) {
        fputs("\r\033[K", stderr);
    }
}

static void format_left(double seconds, char *text, size_t capacity)
{
    int s = (int)(seconds + 0.5);
    if (s >= 3600) {
        snprintf(text, capacity, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(text, capacity, "%d:%02d", s / 60, s % 60);
    }
}

static void add_metric(struct strbuf *line, const struct metrics *m, const char *name, const char *format)
{
    double value = metrics_get(m, name);
    if (!isnan(value)) {
        char text[48];
        snprintf(text, sizeof text, format, value);
        strbuf_puts(line, text);
    }
}

static void make_line(const struct progress *p, struct strbuf *line)
{
    strbuf_printf(line, "step %lld/%lld", (long long)p->step, (long long)p->max_steps);
    if (p->phase[0]) {
        strbuf_printf(line, "  %s", p->phase);
    }
    add_metric(line, &p->last, "loss", "  loss %.4f");
    add_metric(line, &p->last, "reward", "  reward %.3f");
    add_metric(line, &p->last, "completions/mean_length", "  len %.1f");
    add_metric(line, &p->last, "kl", "  kl %.4f");
    add_metric(line, &p->last, "throughput/tokens_per_second", "  %.0f tok/s");
    double all = p->seconds_rollout + p->seconds_reward + p->seconds_train;
    if (p->seconds_rollout > 0) {
        strbuf_printf(line, "  rollout %.0f%% reward %.0f%% train %.0f%%", 100 * p->seconds_rollout / all,
                      100 * p->seconds_reward / all, 100 * p->seconds_train / all);
    }
    int64_t done = p->step - p->first_step;
    if (done > 0) {
        char left[32];
        format_left((clock_seconds() - p->start) / (double)done * (double)(p->max_steps - p->step), left, sizeof left);
        strbuf_printf(line, "  %s left", left);
    }
}

static void draw(void)
{
    if (progress_live) {
        struct strbuf line = STRBUF_INIT;
        make_line(progress_live, &line);
        fprintf(stderr, "\r\033[K%.*s", (int)(line.length < 160 ? line.length : 160), line.data);
        fflush(stderr);
        strbuf_release(&line);
        progress_live->last_draw = clock_seconds();
    }
}

void progress_begin(struct progress *p, int64_t first_step, int64_t max_steps)
{
    *p = (struct progress){.live = isatty(STDERR_FILENO) == 1,
                           .step = first_step,
                           .first_step = first_step,
                           .max_steps = max_steps,
                           .start = clock_seconds()};
    if (p->live) {
        progress_live = p;
        log_set_hooks(clear_line, draw);
    }
}

void progress_phase(struct progress *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->phase, sizeof p->phase, format, args);
    va_end(args);
    if (clock_seconds() - p->last_draw > 0.1) {
        draw();
    }
}

void progress_step(struct progress *p, int64_t step, const struct metrics *metrics)
{
    p->step = step;
    p->last = *metrics;
    p->phase[0] = '\0';
    p->seconds_rollout += fmax(0, metrics_get(metrics, "timing_s/rollout"));
    p->seconds_reward += fmax(0, metrics_get(metrics, "timing_s/reward"));
    p->seconds_train += fmax(0, metrics_get(metrics, "timing_s/train"));
    if (p->live) {
        draw();
        return;
    }
    struct strbuf line = STRBUF_INIT;
    make_line(p, &line);
    fprintf(stderr, "%s\n", line.data);
    strbuf_release(&line);
}

void progress_end(struct progress *p)
{
    if (p->live) {
        fputs("\r\033[K", stderr);
        log_set_hooks(NULL, NULL);
        progress_live = NULL;
    }
}

/* Column of the i-th of n points. */
static int curve_column(int i, int n, int width)
{
    return n > 1 ? (int)((double)i * (width - 1) / (n - 1) + 0.5) : 0;
}

void progress_curve(const char *title, const double *steps, const double *values, int n, int width, int height,
                    struct strbuf *out)
{
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < n; i++) {
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    if (n == 0 || !(most > -INFINITY)) {
        return;
    }
    double span = most > least ? most - least : 1;
    strbuf_printf(out, "%s\n", title);
    for (int row = height - 1; row >= 0; row--) {
        char cells[256];
        memset(cells, ' ', sizeof cells);
        int columns = width < 255 ? width : 255;
        for (int i = 0; i < n; i++) {
            int at = (int)((values[i] - least) / span * (height - 1) + 0.5);
            if (at == row) {
                cells[curve_column(i, n, columns)] = '*';
            }
        }
        double label = least + span * row / (height > 1 ? height - 1 : 1);
        strbuf_printf(out, "%9.3f |%.*s\n", label, columns, cells);
    }
    strbuf_printf(out, "%9s +", "");
    for (int i = 0; i < width; i++) {
        strbuf_putc(out, '-');
    }
    strbuf_printf(out, "\n%9s  step %.0f%*s%.0f\n", "", steps[0], width - 12 > 0 ? width - 12 : 1, "", steps[n - 1]);
}
