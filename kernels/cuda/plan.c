/* kernels/cuda/plan.c - spans made flat and uploaded once, though every layer of a pass brings them again.
 *
 * A few plans are kept, each in a device array of its own; a call with spans that were seen lately finds its plan by
 * comparing them whole.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kernels/cuda/cuda.h"

#define PLANS (CUDA_SLOT_REPEAT - CUDA_SLOT_PLAN)

struct plan_buffer {
    char *data;
    size_t used, capacity;
};

struct kept_plan {
    struct cuda_plan made;
    struct plan_buffer key; /* spans, their pages, rows, few: what it was made from */
    unsigned long last_use;
};

/* Plans of work that is repeated. */
struct replayed {
    bool recording, active;
    struct cuda_plan_key keys[CUDA_PLAN_KEYS];
    int n_keys;
    struct cuda_plan made[CUDA_PLAN_KEYS]; /* while active */
};

/* Of attention's backward pass. */
struct grad {
    struct cuda_grad_plan made;
    struct plan_buffer contexts;            /* what it was made from */
    struct plan_buffer queries, keys, sums; /* tasks */
};

struct cuda_plans {
    struct kept_plan kept[PLANS];
    unsigned long n_uses;
    struct plan_buffer wanted, image; /* the key looked for; a plan before it is uploaded */
    struct replayed replayed;
    struct grad grad;
};

static struct cuda_plans *plans(void)
{
    cuda.plans = cuda.plans ? cuda.plans : mem_zero(sizeof *cuda.plans);
    return cuda.plans;
}

static void *buffer_add(struct plan_buffer *b, const void *data, size_t bytes)
{
    if (b->used + bytes > b->capacity) {
        b->capacity = 2 * (b->used + bytes);
        b->data = mem_grow(b->data, b->capacity);
    }
    if (data) {
        memcpy(b->data + b->used, data, bytes);
    }
    b->used += bytes;
    return b->data + b->used - bytes;
}

static size_t pages_of(const struct span *span)
{
    return (size_t)((span->position + span->n_rows + OPS_PAGE - 1) / OPS_PAGE);
}

static void make_key(struct plan_buffer *key, const struct span *spans, int n_spans, int rows, int few)
{
    int32_t head[3] = {n_spans, rows, few};
    key->used = 0;
    buffer_add(key, head, sizeof head);
    for (int i = 0; i < n_spans; i++) {
        int32_t span[3] = {spans[i].row, spans[i].n_rows, spans[i].position};
        buffer_add(key, span, sizeof span);
        buffer_add(key, spans[i].pages, pages_of(&spans[i]) * sizeof(int32_t));
    }
}

static void align(struct plan_buffer *image)
{
    size_t rest = image->used % 16;
    if (rest) {
        memset(buffer_add(image, NULL, 16 - rest), 0, 16 - rest);
    }
}

/* Tasks of the spans of at most `few` rows, or of the longer ones. There are none if `rows` is 0. */
static int add_tasks(struct plan_buffer *image, const struct span *spans, int n_spans, int rows, int few, bool longer)
{
    int n = 0, pages = 0;
    for (int i = 0; rows > 0 && i < n_spans; i++) {
        int blocks = (spans[i].n_rows + rows - 1) / rows;
        for (int b = 0; b < blocks && longer == (spans[i].n_rows > few); b++, n++) {
            int left = spans[i].n_rows - b * rows;
            struct cuda_task task = {spans[i].row + b * rows, left < rows ? left : rows, spans[i].position + b * rows,
                                     pages};
            buffer_add(image, &task, sizeof task);
        }
        pages += (int)pages_of(&spans[i]);
    }
    return n;
}

static int by_keys(const void *a, const void *b)
{
    const struct cuda_task *x = a, *y = b;
    int keys_x = x->position + x->n_rows, keys_y = y->position + y->n_rows;
    return keys_x != keys_y ? keys_y - keys_x : x->row - y->row;
}

/* The longest first, so that all end together. */
static void sort_tasks(struct cuda_task *tasks, int n)
{
    qsort(tasks, (size_t)n, sizeof *tasks, by_keys);
}

static int add_stores(struct plan_buffer *image, const struct span *spans, int n_spans)
{
    int n = 0;
    for (int i = 0; i < n_spans; i++) {
        for (int r = 0; r < spans[i].n_rows; r++, n++) {
            int position = spans[i].position + r;
            int2 store = {spans[i].row + r, spans[i].pages[position / OPS_PAGE] * OPS_PAGE + position % OPS_PAGE};
            buffer_add(image, &store, sizeof store);
        }
    }
    return n;
}

/* The pages come last: their number changes from step to step of decoding, and nothing else may move
 * (cuda_plan_replay_begin). */
static void make_plan(struct cuda_plan *made, enum cuda_slot slot, const struct span *spans, int n_spans, int rows,
                      int few)
{
    struct plan_buffer *image = &plans()->image;
    image->used = 0;
    made->n_stores = add_stores(image, spans, n_spans);
    align(image);
    size_t tasks_at = image->used;
    made->n_few = add_tasks(image, spans, n_spans, rows, few, false);
    made->n_many = add_tasks(image, spans, n_spans, rows, few, true);
    align(image);
    size_t pages_at = image->used;
    for (int i = 0; i < n_spans; i++) {
        buffer_add(image, spans[i].pages, pages_of(&spans[i]) * sizeof(int32_t));
    }
    sort_tasks((struct cuda_task *)(void *)(image->data + tasks_at) + made->n_few, made->n_many);
    made->n_rows = 0;
    for (int i = 0; i < n_spans; i++) {
        int end = spans[i].row + spans[i].n_rows;
        made->n_rows = end > made->n_rows ? end : made->n_rows;
    }
    char *to = cuda_slot(slot, image->used);
    cuda_upload(to, image->data, image->used);
    made->stores = (const int2 *)(void *)to;
    made->pages = (const int32_t *)(void *)(to + pages_at);
    made->tasks = (const struct cuda_task *)(void *)(to + tasks_at);
}

/* ---- plans of work that is repeated ---- */

static int key_index(const struct replayed *replayed, int rows, int few)
{
    int i = 0;
    while (i < replayed->n_keys && (replayed->keys[i].rows != rows || replayed->keys[i].few != few)) {
        i++;
    }
    return i;
}

void cuda_plan_record_begin(void)
{
    struct replayed *replayed = &plans()->replayed;
    replayed->recording = true;
    replayed->n_keys = 0;
}

int cuda_plan_record_end(struct cuda_plan_key keys[CUDA_PLAN_KEYS])
{
    struct replayed *replayed = &plans()->replayed;
    replayed->recording = false;
    memcpy(keys, replayed->keys, sizeof replayed->keys);
    return replayed->n_keys;
}

void cuda_plan_replay_begin(const struct span *spans, int n_spans, const struct cuda_plan_key *keys, int n_keys)
{
    struct replayed *replayed = &plans()->replayed;
    replayed->active = true;
    replayed->n_keys = n_keys;
    memcpy(replayed->keys, keys, sizeof replayed->keys);
    for (int i = 0; i < n_keys; i++) {
        make_plan(&replayed->made[i], (enum cuda_slot)(CUDA_SLOT_REPEAT + i), spans, n_spans, keys[i].rows,
                  keys[i].few);
    }
}

void cuda_plan_replay_end(void)
{
    plans()->replayed.active = false;
}

/* ---- plans of any spans ---- */

/* The plan that was made from `wanted`, or else the one not used for longest, with its key exchanged for `wanted`. */
static struct kept_plan *find_plan(struct cuda_plans *all, bool *found)
{
    struct kept_plan *oldest = &all->kept[0];
    all->n_uses++;
    for (int i = 0; i < PLANS; i++) {
        struct kept_plan *plan = &all->kept[i];
        if (plan->key.used == all->wanted.used && memcmp(plan->key.data, all->wanted.data, all->wanted.used) == 0) {
            plan->last_use = all->n_uses;
            *found = true;
            return plan;
        }
        oldest = plan->last_use < oldest->last_use ? plan : oldest;
    }
    struct plan_buffer key = oldest->key;
    oldest->key = all->wanted;
    all->wanted = key;
    oldest->last_use = all->n_uses;
    *found = false;
    return oldest;
}

const struct cuda_plan *cuda_plan_spans(const struct span *spans, int n_spans, int rows, int few)
{
    struct cuda_plans *all = plans();
    struct replayed *replayed = &all->replayed;
    int index = key_index(replayed, rows, few);
    if (replayed->active) {
        BUG_ON(index == replayed->n_keys);
        return &replayed->made[index];
    }
    if (replayed->recording && index == replayed->n_keys) {
        BUG_ON(replayed->n_keys == CUDA_PLAN_KEYS);
        replayed->keys[replayed->n_keys++] = (struct cuda_plan_key){rows, few};
    }
    bool found;
    make_key(&all->wanted, spans, n_spans, rows, few);
    struct kept_plan *plan = find_plan(all, &found);
    if (!found) {
        enum cuda_slot slot = (enum cuda_slot)(CUDA_SLOT_PLAN + (int)(plan - all->kept));
        make_plan(&plan->made, slot, spans, n_spans, rows, few);
    }
    return &plan->made;
}

/* ---- attention's backward pass ---- */

/* The block of keys `first` .. of context c: one task, or one for each context that sees it. */
static void add_key_tasks(struct grad *grad, const struct context *contexts, int n_contexts, int c, int first)
{
    int n_with = 0, last = c + 1;
    for (; contexts[c].n_prefix == 0 && last < n_contexts && contexts[last].n_prefix > 0; last++) {
        n_with += contexts[last].n_prefix > first;
    }
    if (n_with == 0) {
        struct cuda_grad_task task = {c, first, c, -1};
        buffer_add(&grad->keys, &task, sizeof task);
        return;
    }
    struct cuda_parts_task sum = {c, first, grad->made.n_parts, n_with + 1};
    buffer_add(&grad->sums, &sum, sizeof sum);
    for (int with = c; with < last; with++) {
        if (with == c || contexts[with].n_prefix > first) {
            struct cuda_grad_task task = {c, first, with, grad->made.n_parts++};
            buffer_add(&grad->keys, &task, sizeof task);
        }
    }
}

static void add_grad_tasks(struct grad *grad, const struct context *contexts, int n_contexts)
{
    for (int c = 0; c < n_contexts; c++) {
        int n = contexts[c].n_rows, most = (n - 1) / CUDA_GRAD_ROWS * CUDA_GRAD_ROWS;
        for (int first = most; first >= 0; first -= CUDA_GRAD_ROWS) {
            struct cuda_grad_task task = {c, first, c, -1};
            buffer_add(&grad->queries, &task, sizeof task);
        }
        for (int first = 0; first < n; first += CUDA_GRAD_ROWS) {
            add_key_tasks(grad, contexts, n_contexts, c, first);
        }
    }
}

/* The longest first, so that all end together; else as they were made. */
static int by_work(int work_a, int work_b, const struct cuda_grad_task *a, const struct cuda_grad_task *b)
{
    int order[] = {work_b - work_a, a->context - b->context, a->first - b->first, a->with - b->with};
    int i = 0;
    while (i < 3 && order[i] == 0) {
        i++;
    }
    return order[i];
}

static int by_keys_seen(const void *a, const void *b, void *contexts)
{
    const struct context *c = contexts;
    const struct cuda_grad_task *x = a, *y = b;
    return by_work(c[x->context].n_prefix + x->first, c[y->context].n_prefix + y->first, x, y);
}

static int queries_that_see(const struct context *contexts, const struct cuda_grad_task *t)
{
    return contexts[t->with].n_rows - (t->with == t->context ? t->first : 0);
}

static int by_queries_that_see(const void *a, const void *b, void *contexts)
{
    return by_work(queries_that_see(contexts, a), queries_that_see(contexts, b), a, b);
}

static const void *upload_at(char *base, size_t *at, const void *data, size_t bytes)
{
    char *to = base + *at;
    cuda_upload(to, data, bytes);
    *at += (bytes + 15) / 16 * 16;
    return to;
}

const struct cuda_grad_plan *cuda_plan_contexts(const struct context *contexts, int n_contexts)
{
    struct grad *grad = &plans()->grad;
    struct cuda_grad_plan *made = &grad->made;
    size_t bytes = (size_t)n_contexts * sizeof *contexts, at = 0;
    if (grad->contexts.used == bytes && memcmp(grad->contexts.data, contexts, bytes) == 0) {
        return made;
    }
    const struct context *last = &contexts[n_contexts - 1];
    *made = (struct cuda_grad_plan){.n_rows = last->row + last->n_rows};
    grad->contexts.used = grad->queries.used = grad->keys.used = grad->sums.used = 0;
    buffer_add(&grad->contexts, contexts, bytes);
    add_grad_tasks(grad, contexts, n_contexts);
    made->n_queries = (int)(grad->queries.used / sizeof(struct cuda_grad_task));
    made->n_keys = (int)(grad->keys.used / sizeof(struct cuda_grad_task));
    made->n_sums = (int)(grad->sums.used / sizeof(struct cuda_parts_task));
    qsort_r(grad->queries.data, (size_t)made->n_queries, sizeof(struct cuda_grad_task), by_keys_seen,
            grad->contexts.data);
    qsort_r(grad->keys.data, (size_t)made->n_keys, sizeof(struct cuda_grad_task), by_queries_that_see,
            grad->contexts.data);
    char *to = cuda_slot(CUDA_SLOT_CONTEXTS, bytes + grad->queries.used + grad->keys.used + grad->sums.used + 64);
    made->contexts = upload_at(to, &at, contexts, bytes);
    made->queries = upload_at(to, &at, grad->queries.data, grad->queries.used);
    made->keys = upload_at(to, &at, grad->keys.data, grad->keys.used);
    made->sums = upload_at(to, &at, grad->sums.data, grad->sums.used);
    return made;
}

void cuda_plan_close(void)
{
    struct cuda_plans *all = plans();
    struct plan_buffer *buffers[] = {&all->wanted,       &all->image,     &all->grad.contexts,
                                     &all->grad.queries, &all->grad.keys, &all->grad.sums};
    for (int i = 0; i < PLANS; i++) {
        free(all->kept[i].key.data);
    }
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        free(buffers[i]->data);
    }
    free(all);
    cuda.plans = NULL;
}
