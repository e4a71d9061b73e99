/* rl/template.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/template.h"

#include <string.h>

#include "base/arena.h"
#include "base/file.h"
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

enum template_kind { TEMPLATE_NONE, TEMPLATE_TEXT, TEMPLATE_CHAT };

struct template
{
    enum template_kind kind;
    struct strbuf text;      /* TEMPLATE_TEXT */
    char *system_prompt;     /* TEMPLATE_CHAT; may be empty */
    enum chat_format format; /* TEMPLATE_CHAT */
};

/* The length of "{name}" at the start of the text; 0 if there is none. */
static size_t template_slot(struct str text)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t n = 1;
    while (n < text.length && text.data[n] && strchr(letters, text.data[n])) {
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
    enum { MOST = 256 << 10 };
    if (strcmp(name, "r1-zero") == 0) {
        strbuf_add(&tpl->text, template_r1_zero, (size_t)(template_r1_zero_end - template_r1_zero));
    } else if (!file_exists(name) || file_is_folder(name)) {
        return err_set(ERR_USAGE, "there is no template '%s'; it is r1-zero, chat, none, or the path of a text file",
                       name);
    } else {
        TRY(file_read(&tpl->text, name, MOST));
    }
    TRY(template_check(tpl, name));
    if (str_ends(strbuf_view(&tpl->text), STR("\n"))) {
        tpl->text.data[--tpl->text.length] = '\0';
    }
    return ERR_NONE;
}

static enum err template_set_up(struct template *tpl, const char *name, const char *system_prompt,
                                const struct tokenizer *tokenizer)
{
    if (strcmp(name, "none") == 0) {
        return ERR_NONE;
    }
    if (strcmp(name, "chat") == 0) {
        tpl->kind = TEMPLATE_CHAT;
        tpl->system_prompt = mem_strdup(system_prompt);
        return chat_format_of(tokenizer_chat_template(tokenizer), &tpl->format);
    }
    tpl->kind = TEMPLATE_TEXT;
    return template_read(tpl, name);
}

enum err template_open(struct template **out, const char *name, const char *system_prompt,
                       const struct tokenizer *tokenizer)
{
    struct template *tpl = mem_zero(sizeof *tpl);
    enum err err = template_set_up(tpl, name, system_prompt, tokenizer);
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
        free(tpl);
    }
}

bool template_has_special(const struct template *tpl)
{
    return tpl->kind == TEMPLATE_CHAT;
}
