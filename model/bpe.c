/* model/bpe.c - a doubly linked list of symbols, and a heap of the pairs that can be merged: n log n for a piece of n bytes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct token_slot {
    struct str bytes;
    int32_t id; /* -1: free */
};

struct merge_slot {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    int32_t rank, merged;
};

struct bpe {
    struct token_slot *tokens;
    size_t token_mask;
    struct merge_slot *merges;
    size_t merge_mask, n_merges;
    int32_t n_ranks;
    int32_t byte_ids[256];
};

static size_t power_of_two(size_t least)
{
    size_t n = 16;
    while (n < least) {
        n *= 2;
    }
    return n;
}

static void merges_resize(struct bpe *bpe, size_t size)
{
    struct merge_slot *old = bpe->merges;
    size_t old_size = old ? bpe->merge_mask + 1 : 0;
    bpe->merges = mem_alloc(size * sizeof *bpe->merges);
    memset(bpe->merges, 0xFF, size * sizeof *bpe->merges);
    bpe->merge_mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].pair != UINT64_MAX) {
            size_t at = XXH3_64bits(&old[i].pair, sizeof old[i].pair) & bpe->merge_mask;
            while (bpe->merges[at].pair != UINT64_MAX) {
                at = (at + 1) & bpe->merge_mask;
            }
            bpe->merges[at] = old[i];
        }
    }
    free(old);
}

struct bpe *bpe_new(int n_tokens)
{
    struct bpe *bpe = mem_zero(sizeof *bpe);
    size_t size = power_of_two((size_t)n_tokens * 2);
    bpe->tokens = mem_alloc(size * sizeof *bpe->tokens);
    bpe->token_mask = size - 1;
    for (size_t i = 0; i < size; i++) {
        bpe->tokens[i].id = -1;
    }
    merges_resize(bpe, 1024);
    return bpe;
}

void bpe_free(struct bpe *bpe)
{
    if (bpe) {
        free(bpe->tokens);
        free(bpe->merges);
        free(bpe);
    }
}

static struct token_slot *token_slot(const struct bpe *bpe, struct str bytes)
{
    size_t at = XXH3_64bits(bytes.data, bytes.length) & bpe->token_mask;
    while (bpe->tokens[at].id >= 0 && !str_equal(bpe->tokens[at].bytes, bytes)) {
        at = (at + 1) & bpe->token_mask;
    }
    return &bpe->tokens[at];
}

bool bpe_add_token(struct bpe *bpe, int32_t id, struct str bytes)
{
    struct token_slot *slot = token_slot(bpe, bytes);
    if (slot->id >= 0) {
        return false;
    }
    *slot = (struct token_slot){bytes, id};
    return true;
}

int32_t bpe_find(const struct bpe *bpe, struct str bytes)
{
    return token_slot(bpe, bytes)->id;
}

static struct merge_slot *merge_slot(const struct bpe *bpe, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t at = XXH3_64bits(&pair, sizeof pair) & bpe->merge_mask;
    while (bpe->merges[at].pair != UINT64_MAX && bpe->merges[at].pair != pair) {
        at = (at + 1) & bpe->merge_mask;
    }
    return &bpe->merges[at];
}

bool bpe_add_merge(struct bpe *bpe, struct str left, struct str right)
{
    char together[1024];
    if (left.length + right.length > sizeof together) {
        return false;
    }
    memcpy(together, left.data, left.length);
    memcpy(together + left.length, right.data, right.length);
    int32_t a = bpe_find(bpe, left), b = bpe_find(bpe, right);
    int32_t merged = bpe_find(bpe, (struct str){together, left.length + right.length});
    if (a < 0 || b < 0 || merged < 0) {
        return false;
    }
    if (2 * (bpe->n_merges + 1) > bpe->merge_mask) {
        merges_resize(bpe, 2 * (bpe->merge_mask + 1));
    }
    int32_t rank = bpe->n_ranks++;
    struct merge_slot *slot = merge_slot(bpe, a, b);
    if (slot->pair == UINT64_MAX) {
        *slot = (struct merge_slot){(uint64_t)(uint32_t)a << 32 | (uint32_t)b, rank, merged};
        bpe->n_merges++;
    }
    return true;
}

int bpe_missing_byte(struct bpe *bpe)
{
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        bpe->byte_ids[i] = bpe_find(bpe, (struct str){&byte, 1});
        if (bpe->byte_ids[i] < 0) {
            return i;
        }
    }
    return -1;
}

struct symbol {
    int32_t id;          /* -1: merged into its left neighbour */
    int32_t left, right; /* neighbours; -1: none */
};

struct candidate {
    int32_t rank, at;                  /* at: the left symbol */
    int32_t left_id, right_id, merged; /* what they were when this was found */
};

struct work {
    const struct bpe *bpe;
    struct symbol *symbols;
    struct candidate *heap;
    int n_heap;
};

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct work *w, struct candidate c)
{
    int i = w->n_heap++;
    while (i > 0 && before(&c, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = c;
}

static struct candidate heap_pop(struct work *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->n_heap];
    int i = 0;
    for (int child = 1; child < w->n_heap; child = 2 * i + 1) {
        child += child + 1 < w->n_heap && before(&w->heap[child + 1], &w->heap[child]);
        if (!before(&w->heap[child], &last)) {
            break;
        }
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static void consider(struct work *w, int32_t at)
{
    int32_t right = at >= 0 ? w->symbols[at].right : -1;
    if (right < 0) {
        return;
    }
    const struct merge_slot *m = merge_slot(w->bpe, w->symbols[at].id, w->symbols[right].id);
    if (m->pair != UINT64_MAX) {
        heap_push(w, (struct candidate){m->rank, at, w->symbols[at].id, w->symbols[right].id, m->merged});
    }
}

static void merge_all(struct work *w)
{
    while (w->n_heap > 0) {
        struct candidate c = heap_pop(w);
        struct symbol *left = &w->symbols[c.at];
        if (left->id != c.left_id || left->right < 0 || w->symbols[left->right].id != c.right_id) {
            continue; /* one of the two has been merged since */
        }
        struct symbol *right = &w->symbols[left->right];
        left->id = c.merged;
        right->id = -1;
        left->right = right->right;
        if (left->right >= 0) {
            w->symbols[left->right].left = c.at;
        }
        consider(w, left->left);
        consider(w, c.at);
    }
}

void bpe_encode(const struct bpe *bpe, struct str piece, bool whole_first, struct arena *scratch, int32_t *ids, int *n)
{
    int32_t whole = whole_first ? bpe_find(bpe, piece) : -1;
    if (whole >= 0) {
        ids[(*n)++] = whole;
        return;
    }
    int length = (int)piece.length;
    struct work w = {bpe, ARENA_NEW(scratch, struct symbol, length),
                     ARENA_NEW(scratch, struct candidate, 3 * length + 1), 0};
    for (int i = 0; i < length; i++) {
        w.symbols[i] = (struct symbol){bpe->byte_ids[(unsigned char)piece.data[i]], i - 1, i + 1 < length ? i + 1 : -1};
    }
    for (int i = 0; i < length; i++) {
        consider(&w, i);
    }
    merge_all(&w);
    for (int i = 0; i >= 0 && length > 0; i = w.symbols[i].right) {
        ids[(*n)++] = w.symbols[i].id;
    }
}
