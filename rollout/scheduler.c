/* rollout/scheduler.c - admission, chunks, forks and pre-emption.
 *
 * Pages are held by running sequences only, so that pre-empting all but one always makes room for that one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/scheduler.h"

#include <string.h>

#define RESERVE_STEPS 16

void scheduler_init(struct scheduler *s, int n_pages, int max_sequences, int max_rows, int max_length)
{
    BUG_ON(max_sequences < 1 || max_rows < 1 || max_length < 1);
    /* a step computes at least one row of each running sequence */
    int max_running = max_sequences < max_rows ? max_sequences : max_rows;
    size_t n = (size_t)max_running, rows = (size_t)max_rows;
    *s = (struct scheduler){.max_running = max_running, .max_rows = max_rows};
    s->pages_per_sequence = kvcache_pages(max_length);
    kvcache_init(&s->cache, n_pages);
    s->running = mem_alloc(n * sizeof *s->running);
    s->tables = mem_alloc(n * (size_t)s->pages_per_sequence * sizeof *s->tables);
    s->free_tables = mem_alloc(n * sizeof *s->free_tables);
    s->plan.tokens = mem_alloc(rows * sizeof *s->plan.tokens);
    s->plan.positions = mem_alloc(rows * sizeof *s->plan.positions);
    s->plan.spans = mem_alloc(n * sizeof *s->plan.spans);
    s->plan.owners = mem_alloc(n * sizeof *s->plan.owners);
    s->plan.copies = mem_alloc(n * sizeof *s->plan.copies);
    while (s->n_free_tables < max_running) {
        s->free_tables[s->n_free_tables] = s->tables + (ptrdiff_t)s->n_free_tables * s->pages_per_sequence;
        s->n_free_tables++;
    }
}

void scheduler_release(struct scheduler *s)
{
    void *arrays[] = {s->running,        s->tables,     s->free_tables, s->plan.tokens,
                      s->plan.positions, s->plan.spans, s->plan.owners, s->plan.copies};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        free(arrays[i]);
    }
    kvcache_release(&s->cache);
    *s = (struct scheduler){0};
}

void scheduler_clear_counters(struct scheduler *s)
{
    s->n_preempted = 0;
    s->peak_running = s->n_running;
    s->shared_tokens = 0;
    s->cache.peak_used = kvcache_used(&s->cache);
}

/* ---- groups come and go ---- */

void scheduler_add(struct scheduler *s, struct sequence_group *group)
{
    for (int i = 0; i < group->n_samples; i++) {
        struct sequence *q = &group->samples[i];
        BUG_ON(kvcache_pages(q->limit - 1) > s->cache.n_pages);
        BUG_ON(q->limit > s->pages_per_sequence * OPS_PAGE);
        q->age = s->next_age++;
    }
    group->previous = s->last;
    group->next = NULL;
    *(s->last ? &s->last->next : &s->first) = group;
    s->last = group;
    s->first_waiting = s->first_waiting ? s->first_waiting : group;
    s->n_groups++;
}

static void unlink_group(struct scheduler *s, struct sequence_group *group)
{
    *(group->previous ? &group->previous->next : &s->first) = group->next;
    *(group->next ? &group->next->previous : &s->last) = group->previous;
    if (s->first_waiting == group) {
        s->first_waiting = group->next;
    }
    group->previous = group->next = NULL;
    s->n_groups--;
}

/* ---- start and stop running ---- */

static void run(struct scheduler *s, struct sequence *q)
{
    int i = s->n_running++;
    BUG_ON(i >= s->max_running);
    for (; i > 0 && s->running[i - 1]->age > q->age; i--) {
        s->running[i] = s->running[i - 1];
    }
    s->running[i] = q;
    q->state = SEQUENCE_RUNNING;
    q->group->n_waiting--;
    s->peak_running = s->n_running > s->peak_running ? s->n_running : s->peak_running;
}

static void leave(struct scheduler *s, struct sequence *q)
{
    int i = 0;
    while (s->running[i] != q) {
        i++;
        BUG_ON(i >= s->n_running);
    }
    s->n_running--;
    memmove(s->running + i, s->running + i + 1, (size_t)(s->n_running - i) * sizeof *s->running);
}

static void give_back_from(struct scheduler *s, struct sequence *q, int first)
{
    while (q->n_pages > first) {
        kvcache_give_back(&s->cache, q->pages[--q->n_pages]);
    }
}

static void give_back(struct scheduler *s, struct sequence *q)
{
    give_back_from(s, q, 0);
    s->free_tables[s->n_free_tables++] = q->pages;
    q->pages = NULL;
    q->n_cached = 0;
}

static void preempt(struct scheduler *s, struct sequence *q)
{
    leave(s, q);
    give_back(s, q);
    q->state = SEQUENCE_WAITING;
    q->group->n_waiting++;
    if (!s->first_waiting || q->age < s->first_waiting->samples[0].age) {
        s->first_waiting = q->group;
    }
    s->n_preempted++;
}

/* Rule 1. Only decoding sequences can lack a page, and only one: others were admitted with all that they need. */
static void make_room(struct scheduler *s)
{
    for (int i = 0; i < s->n_running; i++) {
        struct sequence *q = s->running[i];
        if (kvcache_pages(q->n_tokens) <= q->n_pages) {
            continue;
        }
        while (s->cache.n_free == 0 && s->n_running > i) {
            preempt(s, s->running[s->n_running - 1]);
        }
        if (s->n_running > i) { /* it was not the youngest itself */
            q->pages[q->n_pages++] = kvcache_take(&s->cache);
        }
    }
}

/* ---- admission ---- */

/* The oldest of a group that waits and may be admitted; NULL if there is none. */
static struct sequence *next_of_group(const struct sequence_group *group)
{
    bool first = true; /* of the unfinished samples */
    for (int i = 0; i < group->n_samples && group->n_waiting > 0; i++) {
        struct sequence *q = &group->samples[i];
        if (q->state == SEQUENCE_WAITING && (first || sequence_drawn(q) > 0)) {
            return q;
        }
        first = first && q->state == SEQUENCE_FINISHED;
    }
    return NULL;
}

/* The oldest that waits and may be admitted; NULL if there is none. */
static struct sequence *next_waiting(struct scheduler *s)
{
    while (s->first_waiting && s->first_waiting->n_waiting == 0) {
        s->first_waiting = s->first_waiting->next;
    }
    struct sequence *q = NULL;
    for (const struct sequence_group *group = s->first_waiting; group && !q; group = group->next) {
        q = next_of_group(group);
    }
    return q;
}

/* A sibling whose pages hold the whole prompt; NULL if there is none. */
static const struct sequence *holder(const struct sequence *q)
{
    const struct sequence_group *group = q->group;
    for (int i = 0; i < group->n_samples; i++) {
        const struct sequence *sibling = &group->samples[i];
        if (sibling != q && sibling->state == SEQUENCE_RUNNING && sibling->n_cached >= q->n_prompt) {
            return sibling;
        }
    }
    return NULL;
}

/* Rule 3: the full pages by reference, the partial one as a copy. */
static void fork_from(struct scheduler *s, struct sequence *q, const struct sequence *sibling)
{
    int n_full = q->n_prompt / OPS_PAGE, tail = q->n_prompt % OPS_PAGE;
    for (; q->n_pages < n_full; q->n_pages++) {
        q->pages[q->n_pages] = sibling->pages[q->n_pages];
        kvcache_share(&s->cache, q->pages[q->n_pages]);
    }
    if (tail > 0) {
        int32_t page = kvcache_take(&s->cache);
        s->plan.copies[s->plan.n_copies++] = (struct page_copy){sibling->pages[n_full], page, tail};
        q->pages[q->n_pages++] = page;
    }
    q->n_cached = q->n_prompt;
    s->shared_tokens += q->n_prompt;
}

static bool admit(struct scheduler *s, struct sequence *q)
{
    const struct sequence *sibling = sequence_drawn(q) > 0 ? holder(q) : NULL;
    int n = kvcache_pages(q->n_tokens), own = sibling ? n - q->n_prompt / OPS_PAGE : n;
    int reserve = s->n_running * RESERVE_STEPS / OPS_PAGE;
    if (own + reserve > s->cache.n_free) {
        return false;
    }
    q->pages = s->free_tables[--s->n_free_tables];
    if (sibling) {
        fork_from(s, q, sibling);
    }
    while (q->n_pages < n) {
        q->pages[q->n_pages++] = kvcache_take(&s->cache);
    }
    run(s, q);
    return true;
}

static void admit_all(struct scheduler *s)
{
    struct sequence *q = NULL;
    do {
        q = s->n_running < s->max_running ? next_waiting(s) : NULL;
    } while (q && admit(s, q));
}

/* ---- one step ---- */

static void add_span(struct scheduler *s, struct sequence *q, int n)
{
    struct plan *plan = &s->plan;
    plan->spans[plan->n_spans] = (struct span){plan->T, n, q->n_cached, q->pages};
    plan->owners[plan->n_spans++] = q;
    for (int i = q->n_cached; i < q->n_cached + n; i++, plan->T++) {
        plan->tokens[plan->T] = q->tokens[i];
        plan->positions[plan->T] = i;
    }
}

const struct plan *scheduler_plan(struct scheduler *s)
{
    struct plan *plan = &s->plan;
    plan->T = plan->n_spans = plan->n_copies = 0;
    make_room(s);
    admit_all(s);
    for (int i = 0; i < s->n_running; i++) {
        if (s->running[i]->n_tokens - s->running[i]->n_cached == 1) {
            add_span(s, s->running[i], 1);
        }
    }
    plan->n_decode = plan->n_spans;
    for (int i = 0; i < s->n_running && plan->T < s->max_rows; i++) {
        int missing = s->running[i]->n_tokens - s->running[i]->n_cached, left = s->max_rows - plan->T;
        if (missing > 1) {
            add_span(s, s->running[i], missing < left ? missing : left);
        }
    }
    BUG_ON(plan->T == 0 && s->n_groups > 0);
    return plan;
}

void scheduler_advance(struct scheduler *s)
{
    for (int i = 0; i < s->plan.n_spans; i++) {
        s->plan.owners[i]->n_cached += s->plan.spans[i].n_rows;
    }
}

/* Rule 3, the end: the prompt's pages go to the next sibling, if it is the one to be admitted next and no other holds
 * them. A sibling without a token of its own continues the prompt where it is; one with a token needs all of it. */
static bool bequeath(struct scheduler *s, struct sequence *q)
{
    struct sequence *heir = next_waiting(s);
    bool whole = q->n_cached >= q->n_prompt;
    if (!heir || heir->group != q->group || (sequence_drawn(heir) > 0 && !whole) || holder(q)) {
        return false;
    }
    int n = kvcache_pages(heir->n_tokens), kept = kvcache_pages(q->n_prompt);
    give_back_from(s, q, kept);
    if (n - kept > s->cache.n_free) {
        return false;
    }
    heir->pages = q->pages;
    heir->n_pages = kept;
    heir->n_cached = whole ? q->n_prompt : q->n_cached;
    while (heir->n_pages < n) {
        heir->pages[heir->n_pages++] = kvcache_take(&s->cache);
    }
    q->pages = NULL;
    q->n_pages = q->n_cached = 0;
    run(s, heir);
    s->shared_tokens += heir->n_cached;
    return true;
}

/* Its state becomes FINISHED; true if it was running, and then still holds its pages. */
static bool end(struct scheduler *s, struct sequence *q)
{
    BUG_ON(q->state == SEQUENCE_FINISHED);
    bool was_running = q->state == SEQUENCE_RUNNING;
    if (was_running) {
        leave(s, q);
    } else {
        q->group->n_waiting--;
    }
    q->state = SEQUENCE_FINISHED;
    q->group->n_finished++;
    return was_running;
}

void scheduler_finish(struct scheduler *s, struct sequence *q)
{
    if (end(s, q) && !bequeath(s, q)) {
        give_back(s, q);
    }
    if (q->group->n_finished == q->group->n_samples) {
        unlink_group(s, q->group);
    }
}

void scheduler_remove(struct scheduler *s, struct sequence_group *group)
{
    for (int i = 0; i < group->n_samples; i++) {
        struct sequence *q = &group->samples[i];
        if (q->state != SEQUENCE_FINISHED && end(s, q)) {
            give_back(s, q);
        }
    }
    unlink_group(s, group);
}
