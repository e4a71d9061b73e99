/* model/chat.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/chat.h"

#include "base/arena.h"
#include "base/clock.h"
#include "model/jinja/jinja.h"

struct chat {
    const struct tokenizer *tokenizer;
    struct jinja *jinja, *with_tools; /* the same where there is but one template */
    json_t *variables;
    double opened; /* the date that templates see */
};

static enum err open_templates(struct chat *chat)
{
    struct str jinja = tokenizer_chat_template(chat->tokenizer), tools = tokenizer_tool_template(chat->tokenizer);
    if (jinja.length == 0) {
        return err_set(ERR_FORMAT, "the model has no chat template; use a template of plain text");
    }
    TRY(jinja_open(&chat->jinja, jinja));
    chat->with_tools = chat->jinja;
    if (str_equal(jinja, tools)) {
        return ERR_NONE;
    }
    chat->with_tools = NULL;
    enum err err = jinja_open(&chat->with_tools, tools);
    return err == ERR_NONE ? err : err_wrap(err, "the template 'tool_use'");
}

enum err chat_open(struct chat **out, const struct tokenizer *tokenizer, json_t *variables)
{
    struct chat *chat = mem_zero(sizeof *chat);
    chat->tokenizer = tokenizer;
    chat->variables = variables ? json_incref(variables) : json_object();
    chat->opened = clock_wall();
    enum err err = open_templates(chat);
    if (err != ERR_NONE) {
        chat_close(chat);
        return err;
    }
    *out = chat;
    return ERR_NONE;
}

void chat_close(struct chat *chat)
{
    if (chat) {
        if (chat->with_tools != chat->jinja) {
            jinja_close(chat->with_tools);
        }
        jinja_close(chat->jinja);
        json_decref(chat->variables);
        free(chat);
    }
}

/* `value`, else what the variables have of that name, else null. */
static void set_or_null(json_t *all, const char *name, json_t *value)
{
    if (value || !json_object_get(all, name)) {
        json_object_set_new(all, name, value ? json_incref(value) : json_null());
    }
}

/* Later ones take the place of earlier ones, as keyword arguments do in transformers. The values themselves are shared. */
static json_t *gather(const struct chat *chat, const struct chat_request *request)
{
    json_t *all = json_object();
    for (int i = 0; i < TOKENIZER_NAMES; i++) {
        struct str text = tokenizer_named(chat->tokenizer, i);
        if (text.length) {
            json_object_set_new(all, tokenizer_names[i], json_stringn_nocheck(text.data, text.length));
        }
    }
    json_object_update(all, chat->variables);
    if (request->variables) {
        json_object_update(all, request->variables);
    }
    json_object_set(all, "messages", request->messages);
    set_or_null(all, "tools", request->tools);
    set_or_null(all, "documents", request->documents);
    json_object_set_new(all, "add_generation_prompt", json_boolean(request->add_generation_prompt));
    return all;
}

enum err chat_render(const struct chat *chat, const struct chat_request *request, struct strbuf *out)
{
    json_t *variables = gather(chat, request);
    bool tools = !json_is_null(json_object_get(variables, "tools"));
    enum err err = jinja_render(tools ? chat->with_tools : chat->jinja, variables, chat->opened, out);
    json_decref(variables);
    return err;
}

bool chat_opens_thinking(struct str text)
{
    return str_ends(str_trim(text), STR("<think>"));
}
