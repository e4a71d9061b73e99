/* rl/data/template.c - {NAME} is replaced in a text; a chat template is rendered by model/chat.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/template.h"

#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "model/chat.h"

/* The built-in text is the file itself. */
__asm__(".section .rodata\n"
        ".global template_r1_zero\n"
        ".global template_r1_zero_end\n"
        "template_r1_zero:\n"
        ".incbin \"recipes/templates/r1-zero.txt\"\n"
        "template_r1_zero_end:\n"
        ".text\n");
extern const char template_r1_zero[], template_r1_zero_end[];

enum { MAX_NAME = 60 };
enum template_kind { TEMPLATE_NONE, TEMPLATE_TEXT, TEMPLATE_CHAT };

struct template
{
    enum template_kind kind;
    struct strbuf text;  /* TEMPLATE_TEXT */
    char *system_prompt; /* TEMPLATE_CHAT; may be empty */
    struct chat *chat;
    const struct tokenizer *tokenizer;
};

/* The length of "{name}" at the start of the text; 0 if there is none. */
static size_t template_slot(struct str text)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t n = 1;
    while (n < text.length && n < MAX_NAME && text.data[n] && strchr(letters, text.data[n])) {
        n++;
    }
    bool digit = n > 1 && text.data[1] >= '0' && text.data[1] <= '9';
    return n > 1 && !digit && n < text.length && text.data[n] == '}' ? n + 1 : 0;
}

static enum err template_check(const struct template *tpl, const char *name)
{
    struct str text = strbuf_view(&tpl->text);
    if (str_utf8_prefix(text) != text.length || memchr(text.data, 0, text.length)) {
        return err_set(ERR_FORMAT, "%s: the template must be UTF-8 text", name);
    }
    if (str_find(text, STR("{prompt}"), 0) < 0) {
        return err_set(ERR_FORMAT, "%s: the template must have {prompt} in it, where the prompt goes", name);
    }
    return ERR_NONE;
}

static enum err template_read(struct template *tpl, const char *name)
{
    enum { MAX_BYTES = 256 << 10 };
    if (strcmp(name, "r1-zero") == 0) {
        strbuf_add(&tpl->text, template_r1_zero,
                   (size_t)((uintptr_t)template_r1_zero_end - (uintptr_t)template_r1_zero));
    } else if (!file_exists(name) || file_is_folder(name)) {
        return err_set(ERR_USAGE, "there is no template '%s'; it is r1-zero, chat, none, or the path of a text file",
                       name);
    } else {
        TRY(file_read(&tpl->text, name, MAX_BYTES));
    }
    TRY(template_check(tpl, name));
    if (str_ends(strbuf_view(&tpl->text), STR("\n"))) {
        tpl->text.data[--tpl->text.length] = '\0';
    }
    return ERR_NONE;
}

static enum err template_open_chat(struct template *tpl, const char *system_prompt, const char *kwargs)
{
    json_t *variables = NULL;
    tpl->system_prompt = mem_strdup(system_prompt);
    if (kwargs[0]) {
        TRY(json_parse(&variables, str_of(kwargs), "chat_template_kwargs"));
        if (!json_is_object(variables)) {
            json_decref(variables);
            return err_set(ERR_USAGE, "chat_template_kwargs must be an object, such as {\"enable_thinking\": false}");
        }
    }
    enum err err = chat_open(&tpl->chat, tpl->tokenizer, variables);
    json_decref(variables);
    return err == ERR_NONE ? err : err_wrap(err, "template chat");
}

static enum err template_set_up(struct template *tpl, const char *name, const char *system_prompt, const char *kwargs)
{
    if (strcmp(name, "none") == 0) {
        return ERR_NONE;
    }
    if (strcmp(name, "chat") == 0) {
        tpl->kind = TEMPLATE_CHAT;
        return template_open_chat(tpl, system_prompt, kwargs);
    }
    tpl->kind = TEMPLATE_TEXT;
    return template_read(tpl, name);
}

enum err template_open(struct template **out, const char *name, const char *system_prompt, const char *kwargs,
                       const struct tokenizer *tokenizer)
{
    struct template *tpl = mem_zero(sizeof *tpl);
    tpl->tokenizer = tokenizer;
    enum err err = template_set_up(tpl, name, system_prompt, kwargs);
    if (err != ERR_NONE) {
        template_close(tpl);
        return err;
    }
    *out = tpl;
    return ERR_NONE;
}

void template_close(struct template *tpl)
{
    if (tpl) {
        strbuf_release(&tpl->text);
        free(tpl->system_prompt);
        chat_close(tpl->chat);
        free(tpl);
    }
}

bool template_is_chat(const struct template *tpl)
{
    return tpl->kind == TEMPLATE_CHAT;
}

/* ---- applying ---- */

/* A text or a number, as it is put into a text; false if the value is neither. */
static bool template_put_value(const json_t *value, struct strbuf *out)
{
    if (json_is_string(value)) {
        strbuf_add(out, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        strbuf_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        strbuf_printf(out, "%.17g", json_real_value(value));
    }
    return json_is_string(value) || json_is_number(value);
}

/* The row's field; `where` and `key` open the sentence of an error. */
static enum err template_put_field(const json_t *fields, const char *key, const char *where, struct strbuf *out)
{
    const json_t *value = json_object_get(fields, key);
    size_t n = json_array_size(value); /* 0 if it is no list */
    bool fits = n ? true : template_put_value(value, out);
    for (size_t i = 0; i < n && fits; i++) {
        strbuf_puts(out, i ? "\n" : "");
        fits = template_put_value(json_array_get(value, i), out);
    }
    return fits ? ERR_NONE
                : err_set(ERR_FORMAT, "%s: the template has {%s}, but the row's field '%s' is %s", where, key, key,
                          value ? "no text or number, nor a list of them" : "missing");
}

static enum err template_fill(const struct template *tpl, struct str question, const json_t *fields, const char *where,
                              struct strbuf *out)
{
    struct str text = strbuf_view(&tpl->text);
    for (size_t at = 0; at < text.length;) {
        size_t slot = text.data[at] == '{' ? template_slot(str_slice(text, at, text.length)) : 0;
        if (slot == 0) {
            strbuf_putc(out, text.data[at++]);
            continue;
        }
        char key[MAX_NAME + 1];
        snprintf(key, sizeof key, "%.*s", (int)(slot - 2), text.data + at + 1);
        if (strcmp(key, "prompt") == 0) {
            strbuf_add_str(out, question);
        } else {
            TRY(template_put_field(fields, key, where, out));
        }
        at += slot;
    }
    return ERR_NONE;
}

/* A text, or the one message of a user. */
static enum err template_question(const json_t *prompt, const char *where, struct str *out)
{
    if (json_is_array(prompt)) {
        const json_t *message = json_array_get(prompt, 0);
        const char *role = json_string_value(json_object_get(message, "role"));
        if (json_array_size(prompt) != 1 || !role || strcmp(role, "user") != 0) {
            return err_set(ERR_FORMAT, "%s: a conversation does not fit a template of plain text; use template: chat",
                           where);
        }
        prompt = json_object_get(message, "content");
    }
    *out = (struct str){json_string_value(prompt), json_string_length(prompt)};
    return ERR_NONE;
}

/* The row's field `key` of that type, which may be JSON in a text, as data sets with columns have it. *out is new;
 * NULL: there is none. */
static enum err template_field(const json_t *fields, const char *key, json_type type, const char *where, json_t **out)
{
    json_t *value = json_object_get(fields, key);
    *out = NULL;
    if (!value || json_is_null(value)) {
        return ERR_NONE;
    }
    if (json_is_string(value)) {
        struct str text = {json_string_value(value), json_string_length(value)};
        enum err err = text.length ? json_parse(out, text, key) : ERR_NONE;
        if (err != ERR_NONE) {
            return err_wrap(err, "%s", where);
        }
    } else {
        *out = json_incref(value);
    }
    if (*out && json_typeof(*out) != type) {
        json_decref(*out);
        *out = NULL;
        return err_set(ERR_FORMAT, "%s: '%s' must be %s", where, key,
                       type == JSON_ARRAY ? "a list of objects" : "an object");
    }
    return ERR_NONE;
}

static json_t *template_message(const char *role, json_t *content)
{
    return json_pack("{s:s, s:o}", "role", role, "content", content);
}

/* The messages of the prompt, after the recipe's system message if they bring none. */
static json_t *template_messages(const struct template *tpl, const json_t *prompt)
{
    json_t *messages = json_array();
    const char *first = json_string_value(json_object_get(json_array_get(prompt, 0), "role"));
    if (tpl->system_prompt[0] && !(first && strcmp(first, "system") == 0)) {
        json_array_append_new(messages, template_message("system", json_string(tpl->system_prompt)));
    }
    if (json_is_array(prompt)) {
        json_array_extend(messages, (json_t *)(uintptr_t)prompt);
    } else {
        json_array_append_new(messages, template_message("user", json_incref((json_t *)(uintptr_t)prompt)));
    }
    return messages;
}

static enum err template_chat(const struct template *tpl, const json_t *prompt, const json_t *fields, const char *where,
                              struct strbuf *out)
{
    struct chat_request request = {.add_generation_prompt = true};
    enum err err = template_field(fields, "tools", JSON_ARRAY, where, &request.tools);
    if (err == ERR_NONE) {
        err = template_field(fields, "documents", JSON_ARRAY, where, &request.documents);
    }
    if (err == ERR_NONE) {
        err = template_field(fields, "chat_template_kwargs", JSON_OBJECT, where, &request.variables);
    }
    if (err == ERR_NONE) {
        request.messages = template_messages(tpl, prompt);
        err = chat_render(tpl->chat, &request, out);
        err = err == ERR_NONE ? err : err_wrap(err, "%s", where);
        json_decref(request.messages);
    }
    json_decref(request.tools);
    json_decref(request.documents);
    json_decref(request.variables);
    return err;
}

enum err template_apply(const struct template *tpl, const json_t *prompt, const json_t *fields, const char *where,
                        struct strbuf *out)
{
    struct str question;
    if (tpl->kind == TEMPLATE_CHAT) {
        return template_chat(tpl, prompt, fields, where, out);
    }
    TRY(template_question(prompt, where, &question));
    if (tpl->kind == TEMPLATE_NONE) {
        strbuf_add_str(out, question);
        return ERR_NONE;
    }
    return template_fill(tpl, question, fields, where, out);
}

/* ---- the end of a turn ---- */

/* What the model's template writes after the assistant's last answer. false: it refuses a conversation that simple. */
static bool template_after_answer(const struct template *tpl, struct strbuf *out)
{
    static const char mark[] = "ANSWER-OF-THE-ASSISTANT";
    struct strbuf text = STRBUF_INIT;
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "question", "role", "assistant",
                                 "content", mark);
    struct chat_request request = {.messages = messages};
    bool fits = chat_render(tpl->chat, &request, &text) == ERR_NONE;
    ptrdiff_t at = fits ? str_find_last(strbuf_view(&text), str_of(mark)) : -1;
    if (at >= 0) {
        strbuf_add_str(out, str_slice(strbuf_view(&text), (size_t)at + sizeof mark - 1, text.length));
    }
    json_decref(messages);
    strbuf_release(&text);
    return at >= 0;
}

void template_turn_end(const struct template *tpl, struct arena *arena, int32_t **ids, int *n)
{
    struct strbuf text = STRBUF_INIT;
    int n_all = 0;
    *n = 0;
    if (tpl->kind == TEMPLATE_CHAT && template_after_answer(tpl, &text) &&
        tokenizer_encode(tpl->tokenizer, strbuf_view(&text), true, arena, ids, &n_all) == ERR_NONE) {
        for (int i = 0; i < n_all && *n == 0; i++) {
            *n = tokenizer_is_special(tpl->tokenizer, (*ids)[i]) ? i + 1 : 0;
        }
    }
    strbuf_release(&text);
}
