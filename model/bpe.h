/* model/bpe.h - byte pair encoding (Sennrich et al. 2016) of one piece of text, over raw bytes.
 *
 * The pair of neighbours with the lowest rank is merged first, the leftmost on a tie, until no pair has a rank.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_BPE_H
#define MODEL_BPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct bpe;

struct bpe *bpe_new(int n_tokens);
void bpe_free(struct bpe *bpe);
/* The bytes of id; the text stays the caller's. False if another id has them. */
bool bpe_add_token(struct bpe *bpe, int32_t id, struct str bytes);
/* The next merge, in order of rank; false if one of the three texts is no token. A pair that came before is ignored. */
bool bpe_add_merge(struct bpe *bpe, struct str left, struct str right);
/* Ids of single bytes are looked up once all tokens are there; the first byte that has none, or -1. */
int bpe_missing_byte(struct bpe *bpe);
int32_t bpe_find(const struct bpe *bpe, struct str bytes); /* -1: no token */

/* Appends the ids of `piece` at ids[*n]; room for piece.length is there. `whole_first`: a piece that is a token is that
 * token, without merging (ignore_merges). Scratch memory comes from the arena. */
void bpe_encode(const struct bpe *bpe, struct str piece, bool whole_first, struct arena *scratch, int32_t *ids, int *n);

#endif
