/* model/bpe.h - byte-pair merging of the bytes of one piece of text, and the table of token texts.
 *
 * Sennrich et al. 2016, section 3.2, over bytes: a piece starts as one symbol a byte; as long as any two neighbours have a
 * merge, the pair of the lowest rank is joined, the leftmost of equals. A heap of candidate pairs over a linked list of
 * symbols makes this O(n log n), so that a 100 KB run of one letter is no trap.
 *
 * Texts here are raw bytes, not the byte alphabet of the files. For the files of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_BPE_H
#define MODEL_BPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Text -> id. Texts are borrowed and must live as long as the table. */
struct text_table {
    struct text_slot {
        struct str text;
        int32_t id; /* -1: empty slot */
    } * slots;
    size_t n_slots, n_used; /* n_slots is a power of two */
};

void text_table_reserve(struct text_table *table, size_t n_texts);
/* Keeps the first id of a text that comes twice. Room was reserved. */
void text_table_add(struct text_table *table, struct str text, int32_t id);
int32_t text_table_find(const struct text_table *table, struct str text); /* -1: absent */
void text_table_release(struct text_table *table);

struct bpe {
    struct text_table vocab;
    struct merge_slot {
        uint64_t pair; /* left id, right id; UINT64_MAX: empty slot */
        int32_t rank, joined;
    } * merges;
    size_t n_slots, n_merges;
    int32_t bytes[256]; /* token of each byte; -1: the vocabulary has none, the byte is left out */
    bool ignore_merges; /* a piece that is a token as a whole is that token, whatever the merges say */
};

/* vocab is filled first; then the merges, in the order of their ranks. */
void bpe_reserve_merges(struct bpe *bpe, size_t n_merges);
/* false: left, right or both together are not in the vocabulary. A pair that comes twice keeps its later rank. */
bool bpe_add_merge(struct bpe *bpe, struct str left, struct str right, int32_t rank);
void bpe_index_bytes(struct bpe *bpe); /* fills bytes[] from the vocabulary */
void bpe_release(struct bpe *bpe);

/* The growing memory of one caller. */
struct bpe_work {
    int32_t *tokens; /* the result, of all pieces so far */
    size_t n_tokens, token_capacity;
    struct bpe_symbol *symbols;
    size_t symbol_capacity;
    struct bpe_candidate *heap;
    size_t n_heap, heap_capacity;
};

void bpe_push(struct bpe_work *work, int32_t token);
/* Appends the tokens of a piece of less than 2^31 bytes. */
void bpe_encode(const struct bpe *bpe, struct str piece, struct bpe_work *work);
void bpe_work_release(struct bpe_work *work);

#endif
