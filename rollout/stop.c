/* rollout/stop.c - end tokens and stop strings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/stop.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static int32_t *copy_tokens(const int32_t *tokens, int n)
{
    int32_t *copy = mem_alloc((size_t)n * sizeof *copy);
    if (n > 0) {
        memcpy(copy, tokens, (size_t)n * sizeof *copy);
    }
    return copy;
}

enum err stop_init(struct stop *stop, const struct rollout_options *options, const struct model_config *config)
{
    for (int i = 0; i < options->n_stop; i++) {
        if (options->stop[i][0] == '\0') {
            return err_set(ERR_USAGE, "stop string %d is empty; it would end every completion at once: leave it out",
                           i + 1);
        }
    }
    *stop = (struct stop){.n_strings = options->n_stop, .n_tokens = options->n_stop_tokens};
    stop->n_ends = options->ignore_eos ? 0 : config->n_eos;
    stop->tokens = copy_tokens(options->stop_tokens, stop->n_tokens);
    stop->ends = copy_tokens(config->eos_ids, stop->n_ends);
    stop->strings = mem_alloc((size_t)options->n_stop * sizeof *stop->strings);
    for (int i = 0; i < options->n_stop; i++) {
        stop->strings[i] = str_of(mem_strdup(options->stop[i]));
        stop->longest = stop->strings[i].length > stop->longest ? stop->strings[i].length : stop->longest;
    }
    return ERR_NONE;
}

void stop_release(struct stop *stop)
{
    for (int i = 0; i < stop->n_strings; i++) {
        free((char *)stop->strings[i].data); /* from mem_strdup */
    }
    free(stop->strings);
    free(stop->tokens);
    free(stop->ends);
    *stop = (struct stop){0};
}

static bool contains(const int32_t *tokens, int n, int32_t token)
{
    for (int i = 0; i < n; i++) {
        if (tokens[i] == token) {
            return true;
        }
    }
    return false;
}

enum finish_reason stop_token(const struct stop *stop, int32_t token)
{
    if (contains(stop->ends, stop->n_ends, token)) {
        return FINISH_EOS;
    }
    return contains(stop->tokens, stop->n_tokens, token) ? FINISH_STOP : FINISH_NONE;
}

ptrdiff_t stop_find(const struct stop *stop, struct str text)
{
    ptrdiff_t first = -1;
    for (int i = 0; i < stop->n_strings; i++) {
        ptrdiff_t at = str_find(text, stop->strings[i], 0);
        if (at >= 0 && (first < 0 || at < first)) {
            first = at;
        }
    }
    return first;
}

size_t stop_held(const struct stop *stop, struct str text)
{
    size_t held = 0;
    for (int i = 0; i < stop->n_strings; i++) {
        struct str string = stop->strings[i];
        for (size_t n = string.length - 1; n > held; n--) {
            if (str_ends(text, str_slice(string, 0, n))) {
                held = n;
                break;
            }
        }
    }
    return held;
}
