/* rl/recipe/yaml.c - the tree is built from libyaml's events, one value at a time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/yaml.h"

#include <string.h>

/* The parser's names begin with yaml_ like ours, but none of them is the same. */
#include <yaml.h>

struct yaml_reader {
    yaml_parser_t parser;
    const char *name;
    struct str text;
    struct arena *arena;
    int n_values;
};

const char *yaml_kind_name(enum yaml_kind kind)
{
    static const char *const names[] = {"null", "true or false", "an integer", "a number",
                                        "text", "a list",        "a mapping"};
    return names[kind];
}

/* ---- scalars ---- */

static bool yaml_digits(const char *text, const char *digits)
{
    return *text && strspn(text, digits) == strlen(text);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool yaml_is_number(const char *text)
{
    static const char *const digits = "0123456789";
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, digits);
    text += whole;
    if (*text == '.') {
        size_t fraction = strspn(++text, digits);
        if (whole + fraction == 0) {
            return false;
        }
        text += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        return yaml_digits(text, digits);
    }
    return *text == '\0';
}

static bool yaml_is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* Hexadecimal and octal, of at most 63 bits. */
static bool yaml_based(const char *text, int64_t *out)
{
    bool hex = text[0] == '0' && text[1] == 'x' && yaml_digits(text + 2, "0123456789abcdefABCDEF");
    bool octal = text[0] == '0' && text[1] == 'o' && yaml_digits(text + 2, "01234567");
    if ((!hex && !octal) || strlen(text) > (hex ? 17u : 22u)) {
        return false;
    }
    *out = (int64_t)(strtoull(text + 2, NULL, hex ? 16 : 8) & INT64_MAX);
    return true;
}

struct yaml_value yaml_plain(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    struct yaml_value value = {.kind = YAML_TEXT, .text = text};
    struct str view = str_of(text + (*text == '+'));
    if (yaml_is_one_of(text, nulls)) {
        value.kind = YAML_NULL;
    } else if (yaml_is_one_of(text, trues) || yaml_is_one_of(text, falses)) {
        value.kind = YAML_BOOL;
        value.boolean = yaml_is_one_of(text, trues);
    } else if (yaml_based(text, &value.integer)) {
        value.kind = YAML_INT;
    } else if (yaml_is_number(text)) {
        bool whole = yaml_digits(text + (*text == '-' || *text == '+'), "0123456789");
        if (whole && str_to_int(view, &value.integer)) {
            value.kind = YAML_INT;
        } else {
            value.kind = YAML_NUMBER;
            value.number = strtod(text, NULL); /* may be infinite: the range of its key refuses that */
        }
    }
    if (value.kind == YAML_INT) {
        value.number = (double)value.integer;
    }
    return value;
}

void yaml_write_quoted(struct strbuf *out, const char *text)
{
    struct str view = str_of(text);
    strbuf_putc(out, '"');
    for (size_t at = 0, n; at < view.length; at += n) {
        uint32_t c = str_utf8_next(view, at, &n);
        if (c == '"' || c == '\\') {
            strbuf_printf(out, "\\%c", (char)c);
        } else if (c == '\n') {
            strbuf_puts(out, "\\n");
        } else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff) {
            strbuf_printf(out, "\\u%04x", (unsigned)c);
        } else {
            strbuf_put_utf8(out, c);
        }
    }
    strbuf_putc(out, '"');
}

void yaml_write_text(struct strbuf *out, const char *text)
{
    static const char *const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=+,";
    size_t length = strlen(text);
    bool plain = length > 0 && strspn(text, safe) == length && !strchr("-:=,.", text[0]) && text[length - 1] != ':' &&
                 yaml_plain(text).kind == YAML_TEXT;
    if (plain) {
        strbuf_puts(out, text);
    } else {
        yaml_write_quoted(out, text);
    }
}

/* ---- the tree ---- */

static enum err yaml_refuse(const struct yaml_reader *reader, const yaml_mark_t *mark, const char *what)
{
    return err_set(ERR_USAGE, "%s:%d:%d: %s", reader->name, (int)mark->line + 1, (int)mark->column + 1, what);
}

static enum err yaml_broken(const struct yaml_reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) { /* it knows the byte only */
        mark.line = mark.column = 0;
        for (size_t i = 0; i < parser->problem_offset && i < reader->text.length; i++) {
            bool end = reader->text.data[i] == '\n';
            mark.column = end ? 0 : mark.column + 1;
            mark.line += end;
        }
    }
    return err_set(ERR_USAGE, "%s:%d:%d: not valid YAML: %s", reader->name, (int)mark.line + 1, (int)mark.column + 1,
                   parser->problem ? parser->problem : "out of memory");
}

static enum err yaml_next(struct yaml_reader *reader, yaml_event_t *event)
{
    return yaml_parser_parse(&reader->parser, event) ? ERR_NONE : yaml_broken(reader);
}

static enum err yaml_check_event(struct yaml_reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return yaml_refuse(reader, &event->start_mark, "aliases (*name) are not for recipes; write the value out");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        if (memchr(event->data.scalar.value, 0, event->data.scalar.length)) {
            return yaml_refuse(reader, &event->start_mark, "a NUL byte in a text; take it out");
        }
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor) {
        return yaml_refuse(reader, &event->start_mark, "anchors (&name) are not for recipes; take it out");
    }
    if (tag) {
        return yaml_refuse(reader, &event->start_mark, "tags (!name) are not for recipes; take it out");
    }
    if (++reader->n_values > 2 * YAML_MAX_VALUES) { /* the end of a collection is an event, too */
        return yaml_refuse(reader, &event->start_mark, "more values than any recipe has; is this the right file?");
    }
    return ERR_NONE;
}

static void yaml_fill_scalar(struct yaml_reader *reader, const yaml_event_t *event, struct yaml_value *value)
{
    const char *text = arena_strndup(reader->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        *value = yaml_plain(text);
    } else {
        *value = (struct yaml_value){.kind = YAML_TEXT, .text = text};
    }
}

static enum err yaml_build(struct yaml_reader *reader, yaml_event_t *event, int depth, struct yaml_value *value);

/* The event after a key is its value; takes over and releases `event`. */
static enum err yaml_build_pair(struct yaml_reader *reader, yaml_event_t *event, int depth, struct yaml_value *map,
                                struct yaml_value *value)
{
    if (event->type != YAML_SCALAR_EVENT) {
        yaml_mark_t mark = event->start_mark;
        yaml_event_delete(event);
        return yaml_refuse(reader, &mark, "a key must be a word");
    }
    yaml_mark_t mark = event->start_mark;
    const char *key = arena_strndup(reader->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
    for (const struct yaml_value *other = map->first; other; other = other->next) {
        if (strcmp(other->key, key) == 0) {
            return err_set(ERR_USAGE, "%s:%d:%d: '%.80s' was already given in line %d; remove one of them",
                           reader->name, (int)mark.line + 1, (int)mark.column + 1, key, other->key_line);
        }
    }
    yaml_event_t next;
    TRY(yaml_next(reader, &next));
    TRY(yaml_build(reader, &next, depth, value));
    value->key = key;
    value->key_line = (int)mark.line + 1;
    value->key_column = (int)mark.column + 1;
    return ERR_NONE;
}

static enum err yaml_build_children(struct yaml_reader *reader, int depth, struct yaml_value *parent)
{
    yaml_event_type_t end = parent->kind == YAML_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct yaml_value **tail = &parent->first;
    for (;;) {
        yaml_event_t event;
        TRY(yaml_next(reader, &event));
        if (event.type == end) {
            yaml_event_delete(&event);
            return ERR_NONE;
        }
        struct yaml_value *child = ARENA_NEW(reader->arena, struct yaml_value, 1);
        if (parent->kind == YAML_MAP) {
            enum err err = yaml_check_event(reader, &event);
            if (err != ERR_NONE) {
                yaml_event_delete(&event);
                return err;
            }
            TRY(yaml_build_pair(reader, &event, depth, parent, child));
        } else {
            TRY(yaml_build(reader, &event, depth, child));
        }
        *tail = child;
        tail = &child->next;
        parent->n++;
    }
}

/* The value that begins with `event`, which is released. */
static enum err yaml_build(struct yaml_reader *reader, yaml_event_t *event, int depth, struct yaml_value *value)
{
    enum err err = yaml_check_event(reader, event);
    yaml_mark_t mark = event->start_mark;
    yaml_event_type_t type = event->type;
    if (err == ERR_NONE && type == YAML_SCALAR_EVENT) {
        yaml_fill_scalar(reader, event, value);
    }
    yaml_event_delete(event);
    TRY(err);
    value->line = (int)mark.line + 1;
    value->column = (int)mark.column + 1;
    if (type == YAML_SCALAR_EVENT) {
        return ERR_NONE;
    }
    if (depth >= YAML_MAX_DEPTH) {
        return yaml_refuse(reader, &mark, "nested too deeply; a recipe is flat");
    }
    value->kind = type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST;
    return yaml_build_children(reader, depth + 1, value);
}

/* Skips to the first value; *found is false for an empty document. */
static enum err yaml_begin(struct yaml_reader *reader, yaml_event_t *event, bool *found)
{
    for (;;) {
        TRY(yaml_next(reader, event));
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT) {
            break;
        }
        yaml_event_delete(event);
    }
    *found = event->type != YAML_STREAM_END_EVENT;
    if (!*found) {
        yaml_event_delete(event);
    }
    return ERR_NONE;
}

/* After the value: the document's end and nothing else. */
static enum err yaml_end(struct yaml_reader *reader)
{
    yaml_event_t event;
    TRY(yaml_next(reader, &event)); /* end of the document */
    yaml_event_delete(&event);
    TRY(yaml_next(reader, &event));
    bool more = event.type != YAML_STREAM_END_EVENT;
    yaml_mark_t mark = event.start_mark;
    yaml_event_delete(&event);
    return more ? yaml_refuse(reader, &mark, "a second document; a recipe is one") : ERR_NONE;
}

static enum err yaml_read(struct yaml_reader *reader, struct yaml_value *value)
{
    yaml_event_t event;
    bool found;
    TRY(yaml_begin(reader, &event, &found));
    if (!found) {
        return ERR_NONE;
    }
    TRY(yaml_build(reader, &event, 0, value));
    return yaml_end(reader);
}

enum err yaml_parse(struct yaml_value **out, struct str text, const char *name, struct arena *arena)
{
    if (text.length > YAML_MAX_BYTES) {
        return err_set(ERR_LIMIT, "%s: %zu bytes are more than any recipe has; is this the right file?", name,
                       text.length);
    }
    struct yaml_reader reader = {.name = name, .text = text, .arena = arena};
    struct yaml_value *value = ARENA_NEW(arena, struct yaml_value, 1);
    if (!yaml_parser_initialize(&reader.parser)) {
        return err_set(ERR_LIMIT, "%s: no memory for the YAML parser", name);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.length ? text.data : ""), text.length);
    enum err err = yaml_read(&reader, value);
    yaml_parser_delete(&reader.parser);
    if (err == ERR_NONE) {
        *out = value;
    }
    return err;
}
