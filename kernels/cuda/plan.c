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

struct buffer {
    char *data;
    size_t used, capacity;
};

struct plan {
    struct cuda_plan made;
    struct buffer key; /* spans, their pages, rows, few: what it was made from */
    unsigned long last_use;
};

static struct plan plans[PLANS];
static unsigned long n_uses;
static struct buffer wanted, image; /* the key looked for; a plan before it is uploaded */

static void *buffer_add(struct buffer *b, const void *data, size_t bytes)
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

static void make_key(const struct span *spans, int n_spans, int rows, int few)
{
    int32_t head[3] = {n_spans, rows, few};
    wanted.used = 0;
    buffer_add(&wanted, head, sizeof head);
    for (int i = 0; i < n_spans; i++) {
        int32_t span[3] = {spans[i].row, spans[i].n_rows, spans[i].position};
        buffer_add(&wanted, span, sizeof span);
        buffer_add(&wanted, spans[i].pages, pages_of(&spans[i]) * sizeof(int32_t));
    }
}

static void align_image(void)
{
    size_t rest = image.used % 16;
    if (rest) {
        memset(buffer_add(&image, NULL, 16 - rest), 0, 16 - rest);
    }
}

/* (No rows: no tasks.) Tasks of the spans of at most `few` rows, or of the longer ones; in each span the last come first, as they take longest. */
static int add_tasks(const struct span *spans, int n_spans, int rows, int few, bool longer)
{
    int n = 0, pages = 0;
    for (int i = 0; rows > 0 && i < n_spans; i++) {
        int blocks = (spans[i].n_rows + rows - 1) / rows;
        for (int b = blocks - 1; b >= 0 && longer == (spans[i].n_rows > few); b--, n++) {
            int left = spans[i].n_rows - b * rows;
            struct cuda_task task = {spans[i].row + b * rows, left < rows ? left : rows, spans[i].position + b * rows,
                                     pages};
            buffer_add(&image, &task, sizeof task);
        }
        pages += (int)pages_of(&spans[i]);
    }
    return n;
}

static int add_stores(const struct span *spans, int n_spans)
{
    int n = 0;
    for (int i = 0; i < n_spans; i++) {
        for (int r = 0; r < spans[i].n_rows; r++, n++) {
            int position = spans[i].position + r;
            int2 store = {spans[i].row + r, spans[i].pages[position / OPS_PAGE] * OPS_PAGE + position % OPS_PAGE};
            buffer_add(&image, &store, sizeof store);
        }
    }
    return n;
}

/* The pages come last: their number changes from step to step of decoding, and nothing else may move (cuda_plan_begin). */
static void make_plan(struct cuda_plan *made, enum cuda_slot slot, const struct span *spans, int n_spans, int rows,
                      int few)
{
    image.used = 0;
    made->n_stores = add_stores(spans, n_spans);
    align_image();
    size_t tasks_at = image.used;
    made->n_few = add_tasks(spans, n_spans, rows, few, false);
    made->n_many = add_tasks(spans, n_spans, rows, few, true);
    align_image();
    size_t pages_at = image.used;
    for (int i = 0; i < n_spans; i++) {
        buffer_add(&image, spans[i].pages, pages_of(&spans[i]) * sizeof(int32_t));
    }
    char *to = cuda_slot(slot, image.used);
    cuda_upload(to, image.data, image.used);
    made->stores = (const int2 *)(void *)to;
    made->pages = (const int32_t *)(void *)(to + pages_at);
    made->tasks = (const struct cuda_task *)(void *)(to + tasks_at);
}

/* ---- plans of work that is repeated ---- */

static struct {
    bool listening, ready;
    struct cuda_plan_wish wishes[CUDA_PLAN_WISHES];
    int n_wishes;
    struct cuda_plan made[CUDA_PLAN_WISHES]; /* if ready */
} repeated;

static int wish_index(int rows, int few)
{
    int i = 0;
    while (i < repeated.n_wishes && (repeated.wishes[i].rows != rows || repeated.wishes[i].few != few)) {
        i++;
    }
    return i;
}

void cuda_plan_listen(void)
{
    repeated.listening = true;
    repeated.n_wishes = 0;
}

int cuda_plan_heard(struct cuda_plan_wish *wishes)
{
    repeated.listening = false;
    memcpy(wishes, repeated.wishes, sizeof repeated.wishes);
    return repeated.n_wishes;
}

void cuda_plan_begin(const struct span *spans, int n_spans, const struct cuda_plan_wish *wishes, int n_wishes)
{
    repeated.ready = true;
    repeated.n_wishes = n_wishes;
    memcpy(repeated.wishes, wishes, sizeof repeated.wishes);
    for (int i = 0; i < n_wishes; i++) {
        make_plan(&repeated.made[i], (enum cuda_slot)(CUDA_SLOT_REPEAT + i), spans, n_spans, wishes[i].rows,
                  wishes[i].few);
    }
}

void cuda_plan_end(void)
{
    repeated.ready = false;
}

/* ---- plans of any spans ---- */

const struct cuda_plan *cuda_plan_spans(const struct span *spans, int n_spans, int rows, int few)
{
    int oldest = 0, wish = wish_index(rows, few);
    if (repeated.ready) {
        BUG_ON(wish == repeated.n_wishes);
        return &repeated.made[wish];
    }
    if (repeated.listening && wish == repeated.n_wishes) {
        BUG_ON(repeated.n_wishes == CUDA_PLAN_WISHES);
        repeated.wishes[repeated.n_wishes++] = (struct cuda_plan_wish){rows, few};
    }
    make_key(spans, n_spans, rows, few);
    n_uses++;
    for (int i = 0; i < PLANS; i++) {
        if (plans[i].key.used == wanted.used && memcmp(plans[i].key.data, wanted.data, wanted.used) == 0) {
            plans[i].last_use = n_uses;
            return &plans[i].made;
        }
        oldest = plans[i].last_use < plans[oldest].last_use ? i : oldest;
    }
    struct plan *plan = &plans[oldest];
    struct buffer key = plan->key;
    plan->key = wanted;
    wanted = key;
    plan->last_use = n_uses;
    make_plan(&plan->made, (enum cuda_slot)(CUDA_SLOT_PLAN + oldest), spans, n_spans, rows, few);
    return &plan->made;
}

/* ---- attention's backward pass ---- */

static struct {
    struct cuda_grad_plan made;
    struct buffer key;                 /* the contexts */
    struct buffer queries, keys, sums; /* tasks */
} grad;

/* The block of keys `first` .. of context c: one task, or one for each context that sees it. */
static void add_key_tasks(const struct context *contexts, int n_contexts, int c, int first)
{
    int n_with = 0, last = c + 1;
    for (; contexts[c].n_prefix == 0 && last < n_contexts && contexts[last].n_prefix > 0; last++) {
        n_with += contexts[last].n_prefix > first;
    }
    if (n_with == 0) {
        struct cuda_grad_task task = {c, first, c, -1};
        buffer_add(&grad.keys, &task, sizeof task);
        return;
    }
    struct cuda_parts_task sum = {c, first, grad.made.n_parts, n_with + 1};
    buffer_add(&grad.sums, &sum, sizeof sum);
    for (int with = c; with < last; with++) {
        if (with == c || contexts[with].n_prefix > first) {
            struct cuda_grad_task task = {c, first, with, grad.made.n_parts++};
            buffer_add(&grad.keys, &task, sizeof task);
        }
    }
}

static void add_grad_tasks(const struct context *contexts, int n_contexts)
{
    for (int c = 0; c < n_contexts; c++) {
        int n = contexts[c].n_rows, most = (n - 1) / CUDA_GRAD_ROWS * CUDA_GRAD_ROWS;
        for (int first = most; first >= 0; first -= CUDA_GRAD_ROWS) { /* the last see most keys */
            struct cuda_grad_task task = {c, first, c, -1};
            buffer_add(&grad.queries, &task, sizeof task);
        }
        for (int first = 0; first < n; first += CUDA_GRAD_ROWS) { /* the first are seen by most queries */
            add_key_tasks(contexts, n_contexts, c, first);
        }
    }
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
    size_t bytes = (size_t)n_contexts * sizeof *contexts, at = 0;
    if (grad.key.used == bytes && memcmp(grad.key.data, contexts, bytes) == 0) {
        return &grad.made;
    }
    const struct context *last = &contexts[n_contexts - 1];
    grad.made = (struct cuda_grad_plan){.n_rows = last->row + last->n_rows};
    grad.key.used = grad.queries.used = grad.keys.used = grad.sums.used = 0;
    buffer_add(&grad.key, contexts, bytes);
    add_grad_tasks(contexts, n_contexts);
    char *to = cuda_slot(CUDA_SLOT_CONTEXTS, bytes + grad.queries.used + grad.keys.used + grad.sums.used + 64);
    grad.made.contexts = upload_at(to, &at, contexts, bytes);
    grad.made.queries = upload_at(to, &at, grad.queries.data, grad.queries.used);
    grad.made.keys = upload_at(to, &at, grad.keys.data, grad.keys.used);
    grad.made.sums = upload_at(to, &at, grad.sums.data, grad.sums.used);
    grad.made.n_queries = (int)(grad.queries.used / sizeof(struct cuda_grad_task));
    grad.made.n_keys = (int)(grad.keys.used / sizeof(struct cuda_grad_task));
    grad.made.n_sums = (int)(grad.sums.used / sizeof(struct cuda_parts_task));
    return &grad.made;
}

void cuda_plan_forget(void)
{
    struct buffer *buffers[] = {&wanted, &image, &grad.key, &grad.queries, &grad.keys, &grad.sums};
    for (int i = 0; i < PLANS; i++) {
        free(plans[i].key.data);
        plans[i] = (struct plan){0};
    }
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        free(buffers[i]->data);
        *buffers[i] = (struct buffer){0};
    }
}
