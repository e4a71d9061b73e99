/* rollout/stop.c - end tokens and stop strings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/stop.h"

#include "model/tokenizer.h"

enum err stop_check(const struct engine_request *request, const struct model *model)
{
    if (request->n_stop > 0 && !model->tokenizer) {
        return err_set(ERR_USAGE, "%s: stop strings need a tokenizer, and this model has none; use stop tokens",
                       model->source);
    }
    for (int i = 0; i < request->n_stop; i++) {
        struct str string = str_of(request->stop[i]);
        if (string.length == 0 || str_utf8_prefix(string) < string.length) {
            return err_set(ERR_USAGE, "stop string %d is %s; leave it out or correct it", i + 1,
                           string.length == 0 ? "empty and would end everything at once" : "not valid UTF-8");
        }
    }
    return ERR_NONE;
}

void stop_init(struct stop *stop, const struct engine_request *request, const struct model *model, struct arena *arena)
{
    *stop = (struct stop){.n_strings = request->n_stop, .n_ends = request->ignore_eos ? 0 : model->config.n_eos};
    stop->tokens = ARENA_NEW(arena, int32_t, request->n_stop_tokens + request->n_stop);
    stop->ends = arena_copy(arena, model->config.eos_ids, (size_t)stop->n_ends * sizeof *stop->ends);
    stop->strings = ARENA_NEW(arena, struct str, request->n_stop);
    for (int i = 0; i < request->n_stop_tokens; i++) {
        stop->tokens[stop->n_tokens++] = request->stop_tokens[i];
    }
    for (int i = 0; i < request->n_stop; i++) {
        struct str string = stop->strings[i] = str_of(arena_strdup(arena, request->stop[i]));
        stop->longest = string.length > stop->longest ? string.length : stop->longest;
        int32_t id = tokenizer_token_id(model->tokenizer, string);
        if (id >= 0 && tokenizer_is_special(model->tokenizer, id)) {
            stop->tokens[stop->n_tokens++] = id;
        }
    }
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
