/* rl/train_first.c - the first prompt of a run, as the model sees it, and what follows from its template.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "model/chat.h"
#include "rl/method.h"
#include "rl/train_internal.h"

static bool stops_at(const struct train *t, int32_t token)
{
    const struct model_config *c = &t->policy->config;
    for (int i = 0; i < c->n_eos; i++) {
        if (c->eos_ids[i] == token) {
            return true;
        }
    }
    return false;
}

static void note(const struct train *t, const struct dataset_text *first)
{
    const struct tokenizer *tokenizer = t->policy->tokenizer;
    struct strbuf text = STRBUF_INIT;
    if (method_of(t->recipe)->samples) {
        tokenizer_decode(tokenizer, first->tokens, first->n_tokens, false, &text);
        if (chat_opens_thinking(strbuf_view(&text))) {
            log_info("prompts end with <think>: rewards take the thinking as open, and completions need not open it");
        }
    } else if (first->n_masked > 0 && first->n_tokens > first->n_masked) {
        int32_t last = first->tokens[first->n_tokens - 1];
        struct str end = tokenizer_token_text(tokenizer, last);
        if (tokenizer_is_special(tokenizer, last) && !stops_at(t, last)) {
            log_warning(
                "the chat template ends a turn with %.*s, which is not among the model's end tokens: the trained "
                "model writes it and continues, unless eos_token_id in its config has %d",
                (int)end.length, end.data, last);
        }
    }
    strbuf_release(&text);
}

enum err train_note_first(const struct train *t)
{
    struct arena arena = ARENA_INIT;
    struct dataset_text first;
    enum err err = dataset_first(t->dataset, !method_of(t->recipe)->samples, &arena, &first);
    if (err == ERR_NONE) {
        note(t, &first);
    }
    arena_release(&arena);
    return err;
}

static void print_part(const struct train *t, const char *title, const int32_t *tokens, int n, FILE *out)
{
    enum { MAX_SHOWN = 4000 };
    struct strbuf text = STRBUF_INIT;
    tokenizer_decode(t->policy->tokenizer, tokens, n, false, &text);
    struct str shown = str_slice(strbuf_view(&text), 0, MAX_SHOWN);
    shown.length = str_utf8_prefix(shown);
    fprintf(out, "\n%s (%d tokens):\n%.*s%s\n", title, n, (int)shown.length, shown.data ? shown.data : "",
            text.length > MAX_SHOWN ? " ..." : "");
    strbuf_release(&text);
}

enum err train_print_first(const struct train *t, FILE *out)
{
    struct arena arena = ARENA_INIT;
    struct dataset_text first;
    enum err err = dataset_first(t->dataset, !method_of(t->recipe)->samples, &arena, &first);
    if (err == ERR_NONE && first.n_masked > 0) {
        print_part(t, "the first prompt", first.tokens, first.n_masked, out);
    }
    if (err == ERR_NONE && first.n_tokens > first.n_masked) {
        print_part(t, first.n_masked ? "what is learnt after it" : "the first text", first.tokens + first.n_masked,
                   first.n_tokens - first.n_masked, out);
    }
    arena_release(&arena);
    return err;
}
