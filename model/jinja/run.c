/* model/jinja/run.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- ways out ---- */

static void fail(struct jrun *run, enum err code, const char *format, va_list arguments)
{
    char text[600];
    vsnprintf(text, sizeof text, format, arguments);
    text[str_utf8_prefix(str_of(text))] = '\0'; /* a cut may go through a character */
    run->code = err_set(code, "chat template line %d: %s", run->line, text);
}

void jrun_fail(struct jrun *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(run, ERR_FORMAT, format, arguments);
    va_end(arguments);
    longjmp(run->failed, 1);
}

void jrun_limit(struct jrun *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(run, ERR_LIMIT, format, arguments);
    va_end(arguments);
    longjmp(run->failed, 1);
}

void jrun_spend(struct jrun *run, int64_t steps)
{
    run->steps += steps;
    if (run->steps > JINJA_MOST_STEPS) {
        jrun_limit(run, "the template does not come to an end");
    }
}

void jrun_down(struct jrun *run)
{
    if (++run->depth > JINJA_MOST_DEPTH) {
        jrun_limit(run, "nested more than %d deep", JINJA_MOST_DEPTH);
    }
}

void jrun_up(struct jrun *run)
{
    run->depth--;
}

/* ---- memory ---- */

void *jrun_alloc(struct jrun *run, size_t bytes)
{
    enum { SPARE = 1 << 14 };
    if (bytes > JINJA_MOST_BYTES || run->arena.used_bytes + bytes > JINJA_MOST_BYTES) {
        jrun_limit(run, "the template takes more than %zu MiB of memory", JINJA_MOST_BYTES >> 20);
    }
    bytes = (bytes + 15) / 16 * 16;
    if (bytes > SPARE / 4) {
        return arena_alloc(&run->arena, bytes);
    }
    if (bytes > run->n_spare) {
        run->spare = arena_alloc(&run->arena, SPARE);
        run->n_spare = SPARE;
    }
    void *piece = run->spare;
    run->spare += bytes;
    run->n_spare -= bytes;
    return piece;
}

struct str jrun_copy(struct jrun *run, struct str text)
{
    char *data = jrun_alloc(run, text.length + 1);
    if (text.length) {
        memcpy(data, text.data, text.length);
    }
    return (struct str){data, text.length};
}

static void reserve(struct jrun *run, struct jbuf *buf, size_t more)
{
    if (more > JINJA_MOST_TEXT || buf->n + more > JINJA_MOST_TEXT) {
        jrun_limit(run, "a text grows beyond %zu MiB", JINJA_MOST_TEXT >> 20);
    }
    if (buf->n + more <= buf->capacity) {
        return;
    }
    size_t capacity = 2 * buf->capacity > buf->n + more ? 2 * buf->capacity : buf->n + more + 64;
    char *data = jrun_alloc(run, capacity);
    if (buf->n) {
        memcpy(data, buf->data, buf->n);
    }
    buf->data = data;
    buf->capacity = capacity;
}

void jbuf_add(struct jrun *run, struct jbuf *buf, struct str text)
{
    if (text.length == 0) {
        return;
    }
    reserve(run, buf, text.length);
    memcpy(buf->data + buf->n, text.data, text.length);
    buf->n += text.length;
    jrun_spend(run, (int64_t)(text.length / 16));
}

void jbuf_puts(struct jrun *run, struct jbuf *buf, const char *text)
{
    jbuf_add(run, buf, str_of(text));
}

void jbuf_putc(struct jrun *run, struct jbuf *buf, char c)
{
    reserve(run, buf, 1);
    buf->data[buf->n++] = c;
}

void jbuf_fill(struct jrun *run, struct jbuf *buf, struct str text, int64_t times)
{
    if (times <= 0 || text.length == 0) {
        return;
    }
    if ((uint64_t)times > JINJA_MOST_TEXT / text.length) {
        jrun_limit(run, "a text grows beyond %zu MiB", JINJA_MOST_TEXT >> 20);
    }
    reserve(run, buf, text.length * (size_t)times);
    for (int64_t i = 0; i < times; i++) {
        memcpy(buf->data + buf->n, text.data, text.length);
        buf->n += text.length;
    }
    jrun_spend(run, times);
}

void jbuf_printf(struct jrun *run, struct jbuf *buf, const char *format, ...)
{
    char text[512]; /* for numbers and names that are short */
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    BUG_ON(n < 0 || (size_t)n >= sizeof text);
    jbuf_add(run, buf, (struct str){text, (size_t)n});
}

void jbuf_put_utf8(struct jrun *run, struct jbuf *buf, uint32_t c)
{
    if (c < 0x80) {
        jbuf_putc(run, buf, (char)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    jbuf_putc(run, buf, (char)((0xFF00 >> (more + 1) & 0xFF) | c >> (6 * more)));
    while (more-- > 0) {
        jbuf_putc(run, buf, (char)(0x80 | (c >> (6 * more) & 0x3F)));
    }
}

struct str jbuf_view(const struct jbuf *buf)
{
    return (struct str){buf->data, buf->n};
}

/* ---- variables ---- */

struct jscope *jscope_new(struct jrun *run, struct jscope *outer)
{
    struct jscope *scope = jrun_alloc(run, sizeof *scope);
    scope->outer = outer;
    return scope;
}

static struct jvar *find(struct jrun *run, const struct jscope *scope, struct str name)
{
    for (struct jvar *var = scope->vars; var; var = var->next) {
        jrun_spend(run, 1);
        if (str_equal(var->name, name)) {
            return var;
        }
    }
    return NULL;
}

void jscope_set(struct jrun *run, struct jscope *scope, struct str name, struct jvalue value)
{
    struct jvar *var = find(run, scope, name);
    if (!var) {
        var = jrun_alloc(run, sizeof *var);
        var->name = name;
        var->next = scope->vars;
        scope->vars = var;
    }
    var->value = value;
}

struct jvalue jscope_get(struct jrun *run, struct str name)
{
    for (const struct jscope *scope = run->scope; scope; scope = scope->outer) {
        const struct jvar *var = find(run, scope, name);
        if (var) {
            return var->value;
        }
    }
    const struct jvalue *value = jdict_get_text(run, run->context, name);
    if (value) {
        return *value;
    }
    const struct jfunction *function = jglobal_find(name);
    if (function) {
        return (struct jvalue){.kind = J_FUNCTION, .function = function};
    }
    return jvalue_undefined(run, "'%.*s' is undefined", (int)(name.length < 100 ? name.length : 100), name.data);
}
