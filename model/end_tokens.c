/* model/end_tokens.c - which tokens end a completion, and which file says so.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/end_tokens.h"

#include "base/log.h"

#define FROM_TOKENIZER " and the tokenizer's eos_token"

static bool has_end(const struct model_config *c, int64_t id)
{
    for (int i = 0; i < c->n_eos; i++) {
        if (c->eos_ids[i] == id) {
            return true;
        }
    }
    return false;
}

static enum err add_end(struct model_config *c, const json_t *value, const char *name)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value)) {
        return err_set(ERR_FORMAT, "%s: 'eos_token_id' must be an integer or a list of integers", name);
    }
    if (id < 0 || id >= c->V) {
        return err_set(ERR_FORMAT,
                       "%s: 'eos_token_id' has %lld, but the vocabulary is 0 to %d: nothing would end at it", name,
                       (long long)id, c->V - 1);
    }
    if (has_end(c, id)) {
        return ERR_NONE;
    }
    if (c->n_eos == MODEL_MOST_ENDS) {
        return err_set(ERR_LIMIT, "%s: 'eos_token_id' has more than %d ids", name, MODEL_MOST_ENDS);
    }
    c->eos_ids[c->n_eos++] = (int32_t)id;
    return ERR_NONE;
}

enum err end_tokens_parse(struct model_config *config, const json_t *document, const char *name, const char *from)
{
    const json_t *ids = json_object_get(document, "eos_token_id");
    if (!ids || json_is_null(ids)) {
        return ERR_NONE;
    }
    struct model_config c = *config;
    c.n_eos = 0;
    c.eos_from = from;
    if (!json_is_array(ids)) {
        TRY(add_end(&c, ids, name));
    } else if (json_array_size(ids) == 0) {
        return err_set(ERR_FORMAT, "%s: 'eos_token_id' is an empty list; name the tokens, or write null for none",
                       name);
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        TRY(add_end(&c, json_array_get(ids, i), name));
    }
    *config = c;
    return ERR_NONE;
}

void end_tokens_add_tokenizer(struct model_config *c, const struct tokenizer *tokenizer, const char *source)
{
    int32_t id = tokenizer ? tokenizer_end(tokenizer) : -1;
    if (id < 0 || id >= c->V || has_end(c, id) || c->n_eos == MODEL_MOST_ENDS) {
        return;
    }
    struct str text = tokenizer_token_text(tokenizer, id); /* of an added token: UTF-8 */
    if (c->n_eos > 0) {
        log_warning_once(
            "%s: the tokenizer's eos_token %d '%.*s' is not among the eos_token_id of %s; completions end at "
            "it too",
            source, id, (int)text.length, text.data, c->eos_from);
    }
    c->eos_from = c->n_eos == 0                                        ? "the tokenizer's eos_token"
                  : str_equal(str_of(c->eos_from), STR("config.json")) ? "config.json" FROM_TOKENIZER
                                                                       : "generation_config.json" FROM_TOKENIZER;
    c->eos_ids[c->n_eos++] = id;
}

void end_tokens_describe(const struct model_config *c, const struct tokenizer *tokenizer, struct strbuf *out)
{
    enum { SHOWN = 12 };
    if (c->n_eos == 0) {
        strbuf_puts(out, "none: a completion ends at its greatest length only");
        return;
    }
    for (int i = 0; i < c->n_eos && i < SHOWN; i++) {
        strbuf_printf(out, "%s%d", i ? ", " : "", c->eos_ids[i]);
        if (tokenizer) {
            struct str text = tokenizer_token_text(tokenizer, c->eos_ids[i]);
            if (text.length > 0 && str_utf8_prefix(text) == text.length) { /* else a part of a character */
                strbuf_putc(out, ' ');
                strbuf_add_json(out, text);
            }
        }
    }
    if (c->n_eos > SHOWN) {
        strbuf_printf(out, " and %d more", c->n_eos - SHOWN);
    }
    strbuf_printf(out, " (from %s)", c->eos_from ? c->eos_from : "the program");
}
