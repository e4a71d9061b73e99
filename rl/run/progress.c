/* rl/run/progress.c - the line is made of ranked parts and redrawn in place; the log hooks clear it before they print.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
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

static double seconds_left(const struct progress *p, double now)
{
    double mean = p->step_seconds + p->other_seconds / (double)p->n_steps;
    double passed = fmin(fmax(now - p->mark, 0), mean);
    return fmax(mean * (double)(p->max_steps - p->step) - passed, 0);
}

/* A part of the line. When the line does not fit, the parts of the highest rank go first. */
struct part {
    int rank;
    char text[64];
};

enum { MAX_PARTS = 10 };

struct parts {
    int n;
    struct part items[MAX_PARTS];
};

__attribute__((format(printf, 3, 4))) static void add_part(struct parts *parts, int rank, const char *format, ...)
{
    BUG_ON(parts->n == MAX_PARTS);
    struct part *part = &parts->items[parts->n++];
    part->rank = rank;
    va_list args;
    va_start(args, format);
    vsnprintf(part->text, sizeof part->text, format, args);
    va_end(args);
}

static void list_parts(const struct progress *p, double now, struct parts *parts)
{
    const struct metrics *m = &p->last;
    double loss = metrics_get(m, "loss"), reward = metrics_get(m, "reward"), kl = metrics_get(m, "kl");
    double length = metrics_get(m, "completions/mean_length"), speed = metrics_get(m, "throughput/tokens_per_second");
    add_part(parts, 0, "step %lld/%lld", (long long)p->step, (long long)p->max_steps);
    if (p->phase[0]) {
        add_part(parts, 1, "  %s", p->phase);
    }
    if (!isnan(loss)) {
        add_part(parts, 6, "  loss %.4f", loss);
    }
    if (!isnan(reward)) {
        add_part(parts, 2, "  reward %.3f", reward);
    }
    if (!isnan(length)) {
        add_part(parts, 4, "  len %.1f", length);
    }
    if (!isnan(kl)) {
        add_part(parts, 5, "  kl %.4f", kl);
    }
    if (!isnan(speed)) {
        add_part(parts, 7, "  %.0f tok/s", speed);
    }
    double all = p->seconds_rollout + p->seconds_reward + p->seconds_train;
    if (p->seconds_rollout > 0) {
        add_part(parts, 8, "  rollout %.0f%% reward %.0f%% train %.0f%%", 100 * p->seconds_rollout / all,
                 100 * p->seconds_reward / all, 100 * p->seconds_train / all);
    }
    if (p->n_steps > 0) {
        char left[32];
        format_left(seconds_left(p, now), left, sizeof left);
        add_part(parts, 3, "  %s left", left);
    }
}

void progress_line(const struct progress *p, int columns, double now, struct strbuf *line)
{
    struct parts parts = {0};
    list_parts(p, now, &parts);
    size_t room = columns > 0 ? (size_t)columns - 1 : SIZE_MAX; /* a full row would wrap on some terminals */
    for (int max_rank = 8; max_rank >= 0; max_rank--) {
        strbuf_clear(line);
        for (int i = 0; i < parts.n; i++) {
            if (parts.items[i].rank <= max_rank) {
                strbuf_puts(line, parts.items[i].text);
            }
        }
        if (line->length <= room) {
            return;
        }
    }
    line->data[room] = '\0';
    line->length = room;
}

/* 80 where the terminal does not say. */
static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void draw(void)
{
    if (progress_live) {
        struct strbuf line = STRBUF_INIT;
        double now = clock_seconds();
        progress_line(progress_live, terminal_columns(), now, &line);
        fprintf(stderr, "\r\033[K%s", line.data);
        fflush(stderr);
        strbuf_release(&line);
        progress_live->last_draw = now;
    }
}

void progress_begin(struct progress *p, int64_t first_step, int64_t max_steps)
{
    *p = (struct progress){
        .live = isatty(STDERR_FILENO) == 1, .step = first_step, .max_steps = max_steps, .mark = clock_seconds()};
    if (p->live) {
        progress_live = p;
        log_set_hooks(clear_line, draw);
    }
}

void progress_step_begin(struct progress *p)
{
    double now = clock_seconds();
    p->other_seconds += now - p->mark;
    p->mark = now;
}

void progress_phase(struct progress *p, const char *format, ...)
{
    char before = p->phase[0];
    va_list args;
    va_start(args, format);
    vsnprintf(p->phase, sizeof p->phase, format, args);
    va_end(args);
    if (p->phase[0] != before || clock_seconds() - p->last_draw > 0.1) { /* a new phase is shown at once */
        draw();
    }
}

void progress_step(struct progress *p, int64_t step, const struct metrics *metrics)
{
    double now = clock_seconds(), seconds = now - p->mark;
    p->step_seconds = p->n_steps > 0 ? 0.7 * p->step_seconds + 0.3 * seconds : seconds;
    p->n_steps++;
    p->mark = now;
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
    progress_line(p, 0, now, &line);
    fprintf(stderr, "%s\n", line.data);
    strbuf_release(&line);
}

void progress_clear(const struct progress *p)
{
    if (p->live) {
        clear_line();
    }
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
    double min = INFINITY, max = -INFINITY;
    for (int i = 0; i < n; i++) {
        min = fmin(min, values[i]);
        max = fmax(max, values[i]);
    }
    if (n == 0 || !(max > -INFINITY)) {
        return;
    }
    double span = max > min ? max - min : 1;
    strbuf_printf(out, "%s\n", title);
    for (int row = height - 1; row >= 0; row--) {
        char cells[256];
        memset(cells, ' ', sizeof cells);
        int columns = width < 255 ? width : 255;
        for (int i = 0; i < n; i++) {
            int at = (int)((values[i] - min) / span * (height - 1) + 0.5);
            if (at == row) {
                cells[curve_column(i, n, columns)] = '*';
            }
        }
        double label = min + span * row / (height > 1 ? height - 1 : 1);
        strbuf_printf(out, "%9.3f |%.*s\n", label, columns, cells);
    }
    strbuf_printf(out, "%9s +", "");
    for (int i = 0; i < width; i++) {
        strbuf_putc(out, '-');
    }
    strbuf_printf(out, "\n%9s  step %.0f%*s%.0f\n", "", steps[0], width - 12 > 0 ? width - 12 : 1, "", steps[n - 1]);
}
