/* model/bpe.c - two hash tables with linear probing, and the merge loop.
 *
 * A candidate stays in the heap when one of its symbols is merged with another neighbour; it is recognised as stale when
 * it comes up, since the ids at its place are no longer those it was made for. Its place may hold the same two ids again
 * by then, and the merge is right again too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/err.h"

/* ---- texts ---- */

static size_t slots_for(size_t n)
{
    size_t slots = 16;
    while (slots < 2 * n) {
        slots *= 2;
    }
    return slots;
}

void text_table_reserve(struct text_table *table, size_t n_texts)
{
    BUG_ON(table->slots);
    table->n_slots = slots_for(n_texts);
    table->slots = mem_alloc(table->n_slots * sizeof *table->slots);
    for (size_t i = 0; i < table->n_slots; i++) {
        table->slots[i] = (struct text_slot){{NULL, 0}, -1};
    }
}

/* The slot that holds the text, or the empty one where it belongs. */
static struct text_slot *text_slot_of(const struct text_table *table, struct str text)
{
    size_t at = (size_t)XXH3_64bits(text.data, text.length) & (table->n_slots - 1);
    while (table->slots[at].id >= 0 && !str_equal(table->slots[at].text, text)) {
        at = (at + 1) & (table->n_slots - 1);
    }
    return &table->slots[at];
}

void text_table_add(struct text_table *table, struct str text, int32_t id)
{
    BUG_ON(id < 0 || 2 * table->n_used >= table->n_slots);
    struct text_slot *slot = text_slot_of(table, text);
    if (slot->id < 0) {
        *slot = (struct text_slot){text, id};
        table->n_used++;
    }
}

int32_t text_table_find(const struct text_table *table, struct str text)
{
    return table->n_slots ? text_slot_of(table, text)->id : -1;
}

void text_table_release(struct text_table *table)
{
    free(table->slots);
    *table = (struct text_table){0};
}

/* ---- merges ---- */

void bpe_reserve_merges(struct bpe *bpe, size_t n_merges)
{
    BUG_ON(bpe->merges);
    bpe->n_slots = slots_for(n_merges);
    bpe->merges = mem_alloc(bpe->n_slots * sizeof *bpe->merges);
    memset(bpe->merges, 0xFF, bpe->n_slots * sizeof *bpe->merges);
}

static struct merge_slot *merge_slot_of(const struct bpe *bpe, uint64_t pair)
{
    size_t at = (size_t)(pair * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (bpe->n_slots - 1);
    while (bpe->merges[at].pair != pair && bpe->merges[at].pair != UINT64_MAX) {
        at = (at + 1) & (bpe->n_slots - 1);
    }
    return &bpe->merges[at];
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

bool bpe_add_merge(struct bpe *bpe, struct str left, struct str right, int32_t rank)
{
    BUG_ON(2 * bpe->n_merges >= bpe->n_slots);
    struct strbuf both = STRBUF_INIT;
    strbuf_add_str(&both, left);
    strbuf_add_str(&both, right);
    int32_t l = text_table_find(&bpe->vocab, left), r = text_table_find(&bpe->vocab, right);
    int32_t joined = text_table_find(&bpe->vocab, strbuf_view(&both));
    strbuf_release(&both);
    if (l < 0 || r < 0 || joined < 0) {
        return false;
    }
    struct merge_slot *slot = merge_slot_of(bpe, pair_of(l, r));
    bpe->n_merges += slot->pair == UINT64_MAX;
    *slot = (struct merge_slot){pair_of(l, r), rank, joined};
    return true;
}

void bpe_index_bytes(struct bpe *bpe)
{
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        bpe->bytes[b] = text_table_find(&bpe->vocab, (struct str){&byte, 1});
    }
}

void bpe_release(struct bpe *bpe)
{
    text_table_release(&bpe->vocab);
    free(bpe->merges);
    *bpe = (struct bpe){0};
}

/* ---- the merge loop ---- */

struct bpe_symbol {
    int32_t id; /* -1: joined to the symbol before it */
    int32_t previous, next;
};

struct bpe_candidate {
    int32_t rank, at; /* order of the heap */
    uint64_t pair;    /* the ids it was made for */
    int32_t joined;
};

/* Room for n items of `item` bytes, old ones kept. */
static void *grown(void *old, size_t *capacity, size_t n, size_t item)
{
    if (n <= *capacity) {
        return old;
    }
    *capacity = n + n / 2 + 64;
    return mem_grow(old, *capacity * item);
}

void bpe_push(struct bpe_work *work, int32_t token)
{
    work->tokens = grown(work->tokens, &work->token_capacity, work->n_tokens + 1, sizeof *work->tokens);
    work->tokens[work->n_tokens++] = token;
}

void bpe_work_release(struct bpe_work *work)
{
    free(work->tokens);
    free(work->symbols);
    free(work->heap);
    *work = (struct bpe_work){0};
}

static bool comes_before(const struct bpe_candidate *a, const struct bpe_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct bpe_work *work, struct bpe_candidate candidate)
{
    work->heap = grown(work->heap, &work->heap_capacity, work->n_heap + 1, sizeof *work->heap);
    size_t i = work->n_heap++;
    while (i > 0 && comes_before(&candidate, &work->heap[(i - 1) / 2])) {
        work->heap[i] = work->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    work->heap[i] = candidate;
}

static struct bpe_candidate heap_pop(struct bpe_work *work)
{
    struct bpe_candidate top = work->heap[0], last = work->heap[--work->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= work->n_heap) {
            break;
        }
        child += child + 1 < work->n_heap && comes_before(&work->heap[child + 1], &work->heap[child]);
        if (!comes_before(&work->heap[child], &last)) {
            break;
        }
        work->heap[i] = work->heap[child];
        i = child;
    }
    work->heap[i] = last;
    return top;
}

/* A candidate for the symbol at `at` and the one after it, if they have a merge. */
static void consider(const struct bpe *bpe, struct bpe_work *work, int32_t at)
{
    int32_t next = at < 0 ? -1 : work->symbols[at].next;
    if (next < 0) {
        return;
    }
    uint64_t pair = pair_of(work->symbols[at].id, work->symbols[next].id);
    const struct merge_slot *merge = merge_slot_of(bpe, pair);
    if (merge->pair == pair) {
        heap_push(work, (struct bpe_candidate){merge->rank, at, pair, merge->joined});
    }
}

static void join(const struct bpe *bpe, struct bpe_work *work, struct bpe_candidate candidate)
{
    struct bpe_symbol *left = &work->symbols[candidate.at];
    if (left->id < 0 || left->next < 0) {
        return;
    }
    struct bpe_symbol *right = &work->symbols[left->next];
    if (pair_of(left->id, right->id) != candidate.pair) {
        return;
    }
    left->id = candidate.joined;
    left->next = right->next;
    right->id = -1;
    if (left->next >= 0) {
        work->symbols[left->next].previous = candidate.at;
    }
    consider(bpe, work, left->previous);
    consider(bpe, work, candidate.at);
}

void bpe_encode(const struct bpe *bpe, struct str piece, struct bpe_work *work)
{
    BUG_ON(piece.length > INT32_MAX);
    int32_t whole = bpe->ignore_merges || piece.length == 1 ? text_table_find(&bpe->vocab, piece) : -1;
    if (whole >= 0) {
        bpe_push(work, whole);
        return;
    }
    work->symbols = grown(work->symbols, &work->symbol_capacity, piece.length, sizeof *work->symbols);
    int32_t n = 0;
    for (size_t i = 0; i < piece.length; i++) {
        int32_t id = bpe->bytes[(unsigned char)piece.data[i]];
        if (id >= 0) {
            work->symbols[n] = (struct bpe_symbol){id, n - 1, n + 1};
            n++;
        }
    }
    if (n == 0) {
        return;
    }
    work->symbols[n - 1].next = -1;
    work->n_heap = 0;
    for (int32_t i = 0; i < n; i++) {
        consider(bpe, work, i);
    }
    while (work->n_heap > 0) {
        join(bpe, work, heap_pop(work));
    }
    for (int32_t i = 0; i >= 0; i = work->symbols[i].next) {
        bpe_push(work, work->symbols[i].id);
    }
}
