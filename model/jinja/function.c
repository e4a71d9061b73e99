/* model/jinja/function.c - the global functions: Jinja's, and the two of transformers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "model/jinja/run.h"

static struct jvalue range(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    enum { MOST = 1 << 30 };
    int64_t bounds[3] = {0, 0, 1};
    for (int i = 0; i < call->n; i++) {
        if (!jvalue_integer(args[1 + i], &bounds[i])) {
            jrun_fail(run, "range takes integers, not a %s", jvalue_type(args[1 + i]));
        }
        if (bounds[i] > MOST || bounds[i] < -MOST) {
            jrun_limit(run, "a range of such numbers is beyond %d", MOST);
        }
    }
    if (call->n == 1) {
        bounds[1] = bounds[0];
        bounds[0] = 0;
    }
    if (bounds[2] == 0) {
        jrun_fail(run, "the step of a range is 0");
    }
    struct jrange *r = jrun_alloc(run, sizeof *r);
    int64_t span = bounds[2] > 0 ? bounds[1] - bounds[0] : bounds[0] - bounds[1];
    int64_t step = bounds[2] > 0 ? bounds[2] : -bounds[2];
    *r = (struct jrange){bounds[0], bounds[1], bounds[2], span > 0 ? (span + step - 1) / step : 0};
    if (r->n > JINJA_MOST_RANGE) {
        jrun_limit(run, "a range has more than %d items", JINJA_MOST_RANGE);
    }
    return (struct jvalue){.kind = J_RANGE, .range = r};
}

/* Pairs of a dict, or a list of pairs, and those by name. */
static struct jvalue make_dict(struct jrun *run, const struct jcall *call, enum jkind kind)
{
    struct jvalue out = jdict_new(run, kind), from, pair;
    jcall_bind(run, kind == J_DICT ? "dict" : "namespace", "/from", 0, &(struct jcall){call->args, call->n, {0}},
               &from);
    struct jwalk walk = jwalk_open(run, from.kind == J_MISSING ? jlist_new(run, J_LIST, 0) : from);
    while (jwalk_next(run, &walk, &pair)) {
        struct jvalue key = pair;
        if (from.kind != J_DICT) {
            struct jvalue both = jvalue_list(run, pair);
            if (both.seq->n != 2) {
                jrun_fail(run, "a dict is made of pairs");
            }
            key = both.seq->items[0];
            jdict_set(run, out, key, both.seq->items[1]);
        } else {
            jdict_set(run, out, key, *jdict_get(run, from, key));
        }
    }
    for (int64_t i = 0; call->named.kind == J_DICT && i < call->named.dict->n; i++) {
        jdict_set(run, out, call->named.dict->pairs[i].key, call->named.dict->pairs[i].value);
    }
    return out;
}

static struct jvalue dict(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)args;
    return make_dict(run, call, J_DICT);
}

static struct jvalue namespace(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)args;
    return make_dict(run, call, J_NAMESPACE);
}

static struct jvalue cycler(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)args;
    if (call->n == 0 || call->named.kind == J_DICT) {
        jrun_fail(run, "cycler needs items");
    }
    struct jvalue items = jlist_new(run, J_CYCLER, call->n);
    for (int i = 0; i < call->n; i++) {
        jlist_add(run, items, call->args[i]);
    }
    return items;
}

static struct jvalue joiner(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)call;
    struct jjoiner *j = jrun_alloc(run, sizeof *j);
    j->separator = args[1].kind == J_MISSING ? STR(", ") : jvalue_text(run, args[1]);
    return (struct jvalue){.kind = J_JOINER, .joiner = j};
}

static struct jvalue raise_exception(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)call;
    struct str text = jvalue_text(run, args[1]);
    jrun_fail(run, "%.*s", (int)(text.length < 500 ? text.length : 500), text.data ? text.data : "");
}

static struct jvalue strftime_now(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)call;
    if (args[1].kind != J_STR) {
        jrun_fail(run, "strftime_now takes a text, not a %s", jvalue_type(args[1]));
    }
    return jstrftime(run, args[1].text);
}

static struct jvalue unknown(struct jrun *run, const struct jvalue *args, const struct jcall *call)
{
    (void)args, (void)call;
    jrun_fail(run, "the function 'lipsum' is not known to strop");
}

const struct jfunction *jglobal_find(struct str name)
{
    static const struct jfunction functions[] = {
        {"range", "/start stop step", 1, range},
        {"dict", NULL, 0, dict},
        {"namespace", NULL, 0, namespace},
        {"cycler", NULL, 0, cycler},
        {"joiner", "sep", 0, joiner},
        {"raise_exception", "message", 1, raise_exception},
        {"strftime_now", "format", 1, strftime_now},
        {"lipsum", NULL, 0, unknown},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (str_equal(name, str_of(functions[i].name))) {
            return &functions[i];
        }
    }
    return NULL;
}

struct jvalue jstrftime(struct jrun *run, struct str format)
{
    struct jbuf out = {0};
    time_t seconds = (time_t)run->now;
    struct tm now;
    localtime_r(&seconds, &now);
    for (size_t i = 0; i < format.length; i++) {
        char piece[8] = "%", text[80];
        size_t n = 1;
        if (format.data[i] != '%') {
            jbuf_putc(run, &out, format.data[i]);
            continue;
        }
        while (i + 1 < format.length && n < 3 && strchr("-_0^#", format.data[i + 1]) && format.data[i + 1]) {
            piece[n++] = format.data[++i]; /* flags of glibc */
        }
        char letter = ++i < format.length ? format.data[i] : '%';
        piece[n] = letter;
        if (letter == 'f') {
            jbuf_printf(run, &out, "%06d", (int)((run->now - (double)seconds) * 1e6));
        } else if (letter != 'z' && letter != 'Z') { /* a time without a zone */
            if (!letter || !strchr("aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY%", letter)) {
                jrun_fail(run, "strftime_now does not know '%%%c'", letter);
            }
            jbuf_add(run, &out, (struct str){text, strftime(text, sizeof text, piece, &now)});
        }
    }
    return jvalue_str(jbuf_view(&out));
}
