/* model/chat.c - the chat formats, one function for each kind of layout.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/chat.h"

#include <string.h>

/* ---- recognising ---- */

static const struct family {
    const char *name;
    enum chat_format format;
    const char *must[4], *must_not[3];
} families[] = {
    {"qwen3",
     CHAT_QWEN3,
     {"<|im_start|>", "ns.last_query_index", "enable_thinking is false", "loop.last or (not loop.last and reasoning"},
     {"You are Qwen", "image", "preserve_thinking"}},
    {"qwen2.5", CHAT_QWEN25, {"<|im_start|>", "You are Qwen, created by Alibaba Cloud."}, {"image"}},
    {"qwen2.5-math",
     CHAT_QWEN25_MATH,
     {"<|im_start|>", "Please reason step by step, and put your final answer within \\\\boxed{}."},
     {"image"}},
    {"smollm2",
     CHAT_SMOLLM2,
     {"<|im_start|>", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
     {"reasoning_mode", "image"}},
    {"chatml", CHAT_CHATML, {"<|im_start|>", "<|im_end|>"}, {"system", "think", "image"}},
    {"llama3.1",
     CHAT_LLAMA31,
     {"<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024"},
     {"image"}},
    {"llama3", CHAT_LLAMA3, {"<|start_header_id|>", "<|eot_id|>", "bos_token", "trim"}, {"tool", "Date", "system"}},
    {"deepseek-r1",
     CHAT_DEEPSEEK_R1,
     {"<｜User｜>", "<｜Assistant｜><think>\\n", "split('</think>')[-1]", "ns.system_prompt = message['content']"},
     {NULL}},
};

enum { N_FAMILIES = sizeof families / sizeof *families };

static bool fits(const struct family *family, struct str jinja)
{
    for (int i = 0; i < 4 && family->must[i]; i++) {
        if (str_find(jinja, str_of(family->must[i]), 0) < 0) {
            return false;
        }
    }
    for (int i = 0; i < 3 && family->must_not[i]; i++) {
        if (str_find(jinja, str_of(family->must_not[i]), 0) >= 0) {
            return false;
        }
    }
    return true;
}

enum err chat_format_of(struct str jinja, enum chat_format *out)
{
    if (jinja.length == 0) {
        return err_set(ERR_FORMAT, "the model has no chat template; use a template of plain text");
    }
    for (int i = 0; i < N_FAMILIES; i++) {
        if (fits(&families[i], jinja)) {
            *out = families[i].format;
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT,
                   "the model's chat template is of no known family (chatml, qwen2.5, qwen3, smollm2, llama3, "
                   "llama3.1, deepseek-r1); use a template of plain text");
}

const char *chat_format_name(enum chat_format format)
{
    for (int i = 0; i < N_FAMILIES; i++) {
        if (families[i].format == format) {
            return families[i].name;
        }
    }
    BUG_ON(true);
}

/* ---- texts ---- */

static bool is_role(const struct chat_message *message, const char *role)
{
    return strcmp(message->role, role) == 0;
}

/* Unicode white space and the four separators of ASCII, as Jinja's trim takes it. */
static bool is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static struct str trim(struct str text)
{
    size_t from = text.length, to = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        if (!is_blank(str_utf8_next(text, at, &length))) {
            from = at < from ? at : from;
            to = at + length;
        }
    }
    return str_slice(text, from, to);
}

static struct str trim_newlines(struct str text)
{
    while (text.length && text.data[0] == '\n') {
        text = str_slice(text, 1, text.length);
    }
    while (text.length && text.data[text.length - 1] == '\n') {
        text.length--;
    }
    return text;
}

static struct str after_last(struct str text, struct str mark)
{
    ptrdiff_t at = str_find_last(text, mark);
    return at < 0 ? text : str_slice(text, (size_t)at + mark.length, text.length);
}

/* ---- ChatML: Qwen, SmolLM2 ---- */

static void add_turn(struct strbuf *out, const char *role, struct str content)
{
    strbuf_printf(out, "<|im_start|>%s\n", role);
    strbuf_add_str(out, content);
    strbuf_puts(out, "<|im_end|>\n");
}

static void render_chatml(const struct chat_message *messages, int n, struct str system, struct strbuf *out)
{
    if (system.length && !is_role(&messages[0], "system")) {
        add_turn(out, "system", system);
    }
    for (int i = 0; i < n; i++) {
        add_turn(out, messages[i].role, messages[i].content);
    }
}

/* The last thing that a user asked; answers of tools, which are written as a user's, do not count. Without one it is the last
 * message. */
static int last_query(const struct chat_message *messages, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        bool answer = str_starts(messages[i].content, STR("<tool_response>")) &&
                      str_ends(messages[i].content, STR("</tool_response>"));
        if (is_role(&messages[i], "user") && !answer) {
            return i;
        }
    }
    return n - 1;
}

static void render_qwen3(const struct chat_message *messages, int n, struct strbuf *out)
{
    int query = last_query(messages, n);
    for (int i = 0; i < n; i++) {
        struct str content = messages[i].content, thinking = {NULL, 0};
        ptrdiff_t end = str_find(content, STR("</think>"), 0);
        if (!is_role(&messages[i], "assistant")) {
            add_turn(out, messages[i].role, content);
            continue;
        }
        if (end >= 0) {
            thinking = trim_newlines(after_last(str_slice(content, 0, (size_t)end), STR("<think>")));
            content = after_last(content, STR("</think>"));
        }
        bool shown = i > query && (i == n - 1 || thinking.length);
        while ((end >= 0 || shown) && content.length && content.data[0] == '\n') {
            content = str_slice(content, 1, content.length);
        }
        strbuf_puts(out, "<|im_start|>assistant\n");
        if (shown) {
            strbuf_puts(out, "<think>\n");
            strbuf_add_str(out, thinking);
            strbuf_puts(out, "\n</think>\n\n");
        }
        strbuf_add_str(out, content);
        strbuf_puts(out, "<|im_end|>\n");
    }
}

/* ---- Llama ---- */

static void add_header(struct strbuf *out, const char *role)
{
    strbuf_printf(out, "<|start_header_id|>%s<|end_header_id|>\n\n", role);
}

static void render_llama(const struct chat_message *messages, int n, bool dated, struct strbuf *out)
{
    int i = 0;
    strbuf_puts(out, "<|begin_of_text|>");
    if (dated) {
        add_header(out, "system");
        strbuf_puts(out, "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n");
        if (is_role(&messages[0], "system")) {
            strbuf_add_str(out, trim(messages[i++].content));
        }
        strbuf_puts(out, "<|eot_id|>");
    }
    for (; i < n; i++) {
        add_header(out, messages[i].role);
        strbuf_add_str(out, trim(messages[i].content));
        strbuf_puts(out, "<|eot_id|>");
    }
}

/* ---- DeepSeek ---- */

static enum err render_deepseek(const struct chat_message *messages, int n, struct strbuf *out)
{
    const struct chat_message *system = NULL;
    for (int i = 0; i < n; i++) {
        if (is_role(&messages[i], "system")) {
            if (system) {
                return err_set(ERR_FORMAT, "the chat format deepseek-r1 takes one system message, not two");
            }
            system = &messages[i];
        }
    }
    strbuf_puts(out, "<｜begin▁of▁sentence｜>");
    strbuf_add_str(out, system ? system->content : (struct str){"", 0});
    for (int i = 0; i < n; i++) {
        if (is_role(&messages[i], "user")) {
            strbuf_puts(out, "<｜User｜>");
            strbuf_add_str(out, messages[i].content);
        } else if (is_role(&messages[i], "assistant")) {
            strbuf_puts(out, "<｜Assistant｜>");
            strbuf_add_str(out, after_last(messages[i].content, STR("</think>")));
            strbuf_puts(out, "<｜end▁of▁sentence｜>");
        }
    }
    return ERR_NONE;
}

/* ---- all ---- */

static enum err check(const struct chat_message *messages, int n)
{
    if (n < 1) {
        return err_set(ERR_FORMAT, "a conversation needs at least one message");
    }
    for (int i = 0; i < n; i++) {
        if (!is_role(&messages[i], "system") && !is_role(&messages[i], "user") && !is_role(&messages[i], "assistant")) {
            return err_set(ERR_FORMAT, "message %d has the role '%s'; it must be system, user or assistant", i + 1,
                           messages[i].role);
        }
    }
    return ERR_NONE;
}

static const char *assistant_opening(enum chat_format format)
{
    switch (format) {
    case CHAT_LLAMA3:
    case CHAT_LLAMA31: return "<|start_header_id|>assistant<|end_header_id|>\n\n";
    case CHAT_DEEPSEEK_R1: return "<｜Assistant｜><think>\n";
    default: return "<|im_start|>assistant\n";
    }
}

enum err chat_render(enum chat_format format, const struct chat_message *messages, int n, bool add_generation_prompt,
                     struct strbuf *out)
{
    TRY(check(messages, n));
    switch (format) {
    case CHAT_CHATML: render_chatml(messages, n, (struct str){NULL, 0}, out); break;
    case CHAT_QWEN25:
        render_chatml(messages, n, STR("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."), out);
        break;
    case CHAT_QWEN25_MATH:
        render_chatml(messages, n, STR("Please reason step by step, and put your final answer within \\boxed{}."), out);
        break;
    case CHAT_SMOLLM2:
        render_chatml(messages, n, STR("You are a helpful AI assistant named SmolLM, trained by Hugging Face"), out);
        break;
    case CHAT_QWEN3: render_qwen3(messages, n, out); break;
    case CHAT_LLAMA3:
    case CHAT_LLAMA31: render_llama(messages, n, format == CHAT_LLAMA31, out); break;
    case CHAT_DEEPSEEK_R1: TRY(render_deepseek(messages, n, out)); break;
    }
    if (add_generation_prompt) {
        strbuf_puts(out, assistant_opening(format));
    }
    return ERR_NONE;
}
