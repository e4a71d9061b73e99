/* model/jinja/jinja.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/jinja/jinja.h"

#include "model/jinja/run.h"

#define MOST_SOURCE ((size_t)4 << 20)

struct jinja {
    struct arena arena;
    struct jnode *body;
};

/* Apart from jinja_open, so that no variable lives across the jump. */
static enum err parse(struct jparser *p, struct jnode **body)
{
    if (setjmp(p->failed)) {
        return ERR_FORMAT;
    }
    jlex(p);
    *body = jparse_template(p);
    jparse_names(p, *body);
    return ERR_NONE;
}

enum err jinja_open(struct jinja **out, struct str source)
{
    if (source.length > MOST_SOURCE) {
        return err_set(ERR_LIMIT, "the chat template has %zu bytes; at most %zu are read", source.length, MOST_SOURCE);
    }
    struct jinja *jinja = mem_zero(sizeof *jinja);
    struct jparser parser = {.arena = &jinja->arena, .source = source, .line = 1};
    enum err err = parse(&parser, &jinja->body);
    if (err != ERR_NONE) {
        jinja_close(jinja);
        return err;
    }
    *out = jinja;
    return ERR_NONE;
}

void jinja_close(struct jinja *jinja)
{
    if (jinja) {
        arena_release(&jinja->arena);
        free(jinja);
    }
}

/* ---- rendering ---- */

static struct jvalue value_of(struct jrun *run, const json_t *json)
{
    const char *key;
    json_t *item;
    size_t i;
    jrun_down(run);
    struct jvalue value = jvalue_none();
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE: value = jvalue_bool(json_is_true(json)); break;
    case JSON_NULL: break;
    case JSON_INTEGER: value = jvalue_int(json_integer_value(json)); break;
    case JSON_REAL: value = jvalue_float(json_real_value(json)); break;
    case JSON_STRING: value = jvalue_str((struct str){json_string_value(json), json_string_length(json)}); break;
    case JSON_ARRAY:
        value = jlist_new(run, J_LIST, (int64_t)json_array_size(json));
        json_array_foreach(json, i, item)
        {
            jlist_add(run, value, value_of(run, item));
        }
        break;
    case JSON_OBJECT:
        value = jdict_new(run, J_DICT);
        json_object_foreach((json_t *)(uintptr_t)json, key, item)
        {
            jdict_set(run, value, jvalue_str(str_of(key)), value_of(run, item));
        }
        break;
    }
    jrun_up(run);
    return value;
}

static enum err render(struct jrun *run, const struct jinja *jinja, const json_t *variables)
{
    if (setjmp(run->failed)) {
        return run->code;
    }
    run->context = value_of(run, variables);
    run->scope = jscope_new(run, NULL);
    jrun_exec_body(run, jinja->body);
    return ERR_NONE;
}

enum err jinja_render(const struct jinja *jinja, const json_t *variables, double now, struct strbuf *out)
{
    struct jbuf buf = {0};
    struct jrun run = {.now = now, .out = &buf, .line = 1};
    enum err err = render(&run, jinja, variables);
    if (err == ERR_NONE) {
        strbuf_add_str(out, jbuf_view(&buf));
    }
    arena_release(&run.arena);
    return err;
}
