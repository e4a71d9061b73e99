/* rl/metrics.c - an array in the order of the first setting; a name is found by a linear search.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

void metrics_clear(struct metrics *metrics)
{
    metrics->n = 0;
}

static struct metric *metrics_find(const struct metrics *metrics, const char *name)
{
    for (int i = 0; i < metrics->n; i++) {
        if (strcmp(metrics->items[i].name, name) == 0) {
            return (struct metric *)&metrics->items[i];
        }
    }
    return NULL;
}

void metrics_set(struct metrics *metrics, double value, const char *format, ...)
{
    char name[sizeof metrics->items[0].name];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    struct metric *item = metrics_find(metrics, name);
    if (!item) {
        BUG_ON(metrics->n == METRICS_MAX);
        item = &metrics->items[metrics->n++];
        memcpy(item->name, name, sizeof name);
    }
    item->value = value;
}

double metrics_get(const struct metrics *metrics, const char *name)
{
    const struct metric *item = metrics_find(metrics, name);
    return item ? item->value : (double)NAN;
}

bool metrics_is_timing(const char *name)
{
    static const char *const starts[] = {"timing_s/", "step_time", "throughput/", "rl_mfu", "memory/"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) {
            return true;
        }
    }
    return false;
}

void metrics_to_json(const struct metrics *metrics, int64_t step, struct strbuf *out)
{
    strbuf_printf(out, "{\"step\": %lld", (long long)step);
    for (int i = 0; i < metrics->n; i++) {
        strbuf_puts(out, ", \"");
        strbuf_add_json(out, str_of(metrics->items[i].name));
        if (isfinite(metrics->items[i].value)) {
            strbuf_printf(out, "\": %.9g", metrics->items[i].value);
        } else {
            strbuf_puts(out, "\": null");
        }
    }
    strbuf_puts(out, "}\n");
}
