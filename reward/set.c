/* reward/set.c - several rewards as one: opening them, judging a batch on threads, adding up.
 *
 * Each worker thread has an arena for what its verdicts point to; they are reset at the next batch. The caller's arena
 * gets copies, in the order of the items.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "reward/part.h"
#include "reward/pool.h"
#include "reward/rewards.h"

/* clang-format off */
const struct reward_kind *const reward_kinds[] = {
    &reward_format,
    &reward_countdown,
    &reward_gsm8k,
    &reward_math,
    &reward_choice,
    &reward_exact,
    &reward_code,
    &reward_length,
    &reward_soft_overlong,
    &reward_cosine_length,
    &reward_repetition,
    &reward_language,
    &reward_tag_count,
    &reward_think_format,
    &reward_reasoning_steps,
    &reward_ifeval,
    &reward_command,
    &reward_plugin,
    &reward_http,
    NULL,
};
/* clang-format on */

const struct reward_kind *reward_find(const char *name)
{
    for (int i = 0; reward_kinds[i]; i++) {
        if (strcmp(reward_kinds[i]->name, name) == 0) {
            return reward_kinds[i];
        }
    }
    return NULL;
}

bool reward_expired(const struct reward_call *call)
{
    return clock_seconds() > call->deadline || reward_stopped(call);
}

bool reward_stopped(const struct reward_call *call)
{
    return call->stop && call->stop();
}

struct reward_set {
    struct reward_part *parts;
    int n_parts;
    enum reward_on_error on_error;
    double seconds_per_item;
    bool (*stop)(void);
    struct pool *pool;
    struct arena *arenas; /* one per worker */
};

/* 0 means one thread per processor that this process may use. */
static int set_threads(int n_threads)
{
    cpu_set_t processors;
    if (n_threads > 0) {
        return n_threads;
    }
    return sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 1;
}

/* Parts with only_if_right need one to wait for. */
static enum err check_order(const struct reward_set *set)
{
    int waiting = 0;
    for (int i = 0; i < set->n_parts; i++) {
        waiting += set->parts[i].values.only_if_right;
    }
    return waiting && waiting == set->n_parts
               ? err_set(ERR_USAGE, "every reward has only_if_right; one of them must say what is right")
               : ERR_NONE;
}

static enum err set_open_parts(struct reward_set *set, const struct reward_spec *specs, int n_specs)
{
    for (int i = 0; i < n_specs; i++) {
        TRY(reward_part_open(&set->parts[i], specs[i].text));
        set->n_parts++;
        for (int j = 0; j < i; j++) {
            if (strcmp(reward_set_label(set, j), reward_set_label(set, i)) == 0) {
                return err_set(ERR_USAGE, "two rewards are called '%s'; give one another label=NAME",
                               reward_set_label(set, i));
            }
        }
    }
    return check_order(set);
}

enum err reward_set_open(struct reward_set **out, const struct reward_spec *specs, int n_specs,
                         enum reward_on_error on_error, double seconds_per_item, int n_threads)
{
    struct reward_set *set = mem_zero(sizeof *set);
    set->parts = mem_zero((size_t)n_specs * sizeof *set->parts);
    set->on_error = on_error;
    set->seconds_per_item = seconds_per_item;
    enum err result = set_open_parts(set, specs, n_specs);
    if (result == ERR_NONE) {
        result = pool_open(&set->pool, set_threads(n_threads));
    }
    if (result != ERR_NONE) {
        reward_set_close(set);
        return result;
    }
    set->arenas = mem_zero((size_t)pool_threads(set->pool) * sizeof *set->arenas);
    *out = set;
    return ERR_NONE;
}

void reward_set_close(struct reward_set *set)
{
    if (!set) {
        return;
    }
    for (int i = 0; i < set->n_parts; i++) {
        reward_part_close(&set->parts[i]);
    }
    for (int i = 0; set->arenas && i < pool_threads(set->pool); i++) {
        arena_release(&set->arenas[i]);
    }
    pool_close(set->pool);
    free(set->arenas);
    free(set->parts);
    free(set);
}

void reward_set_stop(struct reward_set *set, bool (*stop)(void))
{
    set->stop = stop;
}

const char *reward_set_check(const struct reward_set *set, const json_t *row, struct arena *arena)
{
    for (int i = 0; i < set->n_parts; i++) {
        const char *wrong = reward_part_check(&set->parts[i], row, arena);
        if (wrong) {
            return arena_printf(arena, "%s: %s", reward_set_label(set, i), wrong);
        }
    }
    return NULL;
}

const char *reward_set_dead(const struct reward_set *set, struct arena *arena)
{
    for (int i = 0; i < set->n_parts; i++) {
        const char *why = reward_part_dead(&set->parts[i], arena);
        if (why) {
            return arena_printf(arena, "the reward %s: %s", reward_set_label(set, i), why);
        }
    }
    return NULL;
}

int reward_set_count(const struct reward_set *set)
{
    return set->n_parts;
}

const char *reward_set_label(const struct reward_set *set, int i)
{
    return set->parts[i].values.label;
}

double reward_set_weight(const struct reward_set *set, int i)
{
    return set->parts[i].values.weight;
}

struct batch {
    struct reward_set *set;
    const struct reward_item *items;
    int n;
    struct judgement *judgements;
};

static bool takes_all(const struct reward_set *set, int part)
{
    return set->parts[part].values.kind->judge_all != NULL;
}

/* One part on every item; the time is shared out equally. */
static void judge_all(const struct batch *batch, int part, struct arena *arena)
{
    struct verdict *verdicts = ARENA_NEW(arena, struct verdict, batch->n);
    double start = clock_seconds();
    struct reward_call call = {.arena = arena, .deadline = INFINITY, .stop = batch->set->stop};
    reward_part_judge_all(&batch->set->parts[part], batch->items, batch->n, batch->set->seconds_per_item, &call,
                          verdicts);
    double share = (clock_seconds() - start) / batch->n;
    for (int i = 0; i < batch->n; i++) {
        batch->judgements[i].parts[part] = verdicts[i];
        batch->judgements[i].seconds[part] = share;
    }
}

/* All other parts on one item. */
static void judge_item(const struct batch *batch, int item, struct arena *arena)
{
    struct judgement *judgement = &batch->judgements[item];
    struct reward_call call = {.arena = arena, .stop = batch->set->stop};
    for (int i = 0; i < batch->set->n_parts; i++) {
        if (takes_all(batch->set, i) || reward_stopped(&call)) {
            continue;
        }
        double start = clock_seconds();
        call.deadline = start + batch->set->seconds_per_item;
        judgement->parts[i] = reward_part_judge(&batch->set->parts[i], &batch->items[item], &call);
        judgement->seconds[i] = clock_seconds() - start;
    }
}

/* The first jobs are the parts, since those that take all need longest; then come the items. */
static void judge_job(void *context, int job, int worker)
{
    const struct batch *batch = context;
    int n_parts = batch->set->n_parts;
    struct arena *arena = &batch->set->arenas[worker];
    if (job >= n_parts) {
        judge_item(batch, job - n_parts, arena);
    } else if (takes_all(batch->set, job)) {
        judge_all(batch, job, arena);
    }
}

/* Did the first part without only_if_right, which the others depend on, give 1 or more? */
static bool is_right(const struct reward_set *set, const struct judgement *judgement)
{
    int p = 0;
    while (p < set->n_parts && set->parts[p].values.only_if_right) {
        p++;
    }
    return p < set->n_parts && judgement->parts[p].kind == VERDICT_OK && judgement->parts[p].score >= 1;
}

/* The weighted sum; texts in a worker's arena are copied. */
static enum err finish_item(const struct reward_set *set, int i, struct judgement *judgement, struct arena *arena)
{
    int n_ok = 0;
    bool right = is_right(set, judgement);
    for (int p = 0; p < set->n_parts; p++) {
        struct verdict *v = &judgement->parts[p];
        v->extracted.data = arena_strndup(arena, v->extracted.data, v->extracted.length);
        v->reason = v->reason ? arena_strdup(arena, v->reason) : "";
        if (v->kind == VERDICT_ERROR && set->on_error == ON_ERROR_ABORT) {
            return err_set(ERR_STATE, "the reward %s failed on item %d: %s", reward_set_label(set, p), i, v->reason);
        }
        judgement->dropped |= v->kind == VERDICT_ERROR && set->on_error == ON_ERROR_DROP;
        bool counts = v->kind == VERDICT_OK && (right || !set->parts[p].values.only_if_right);
        judgement->total += counts ? set->parts[p].values.weight * v->score : 0;
        n_ok += v->kind == VERDICT_OK || (v->kind == VERDICT_ERROR && set->on_error == ON_ERROR_ZERO);
    }
    judgement->dropped |= n_ok == 0;
    return ERR_NONE;
}

enum err reward_judge(struct reward_set *set, const struct reward_item *items, int n, struct arena *arena,
                      struct judgement *judgements)
{
    for (int i = 0; i < pool_threads(set->pool); i++) {
        arena_reset(&set->arenas[i]);
    }
    for (int i = 0; i < n; i++) {
        judgements[i] = (struct judgement){.parts = ARENA_NEW(arena, struct verdict, set->n_parts),
                                           .seconds = ARENA_NEW(arena, double, set->n_parts)};
    }
    pool_run(set->pool, n > 0 ? set->n_parts + n : 0, judge_job, &(struct batch){set, items, n, judgements});
    if (set->stop && set->stop()) {
        return err_set(ERR_STOPPED, "judging was stopped");
    }
    for (int i = 0; i < n; i++) {
        TRY(finish_item(set, i, &judgements[i], arena));
    }
    return ERR_NONE;
}
