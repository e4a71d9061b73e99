/* rl/exact_hidden.h - hidden states of rollout and of training, compared by the hash of each row and layer.
 *
 * A row's hash is the XXH3 of its bytes after a layer, seeded with the layer and the position. What rollout computes
 * is put into a set, and every row that training computes must be in it: whoever computed the row, in whichever
 * batch, chunk or page. A row of other bits is missed by the set but for one in 2^64 / rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_EXACT_HIDDEN_H
#define RL_EXACT_HIDDEN_H

#include <stdint.h>

#include "model/model.h"

struct hidden_set {
    uint64_t *hashes; /* [capacity], a power of 2; 0: free */
    size_t n, capacity;
    void *rows; /* [rows_bytes] host */
    size_t rows_bytes;
    int64_t compared, different; /* rows of a layer that were looked for; of those, not found */
};

/* From here on each layer's rows of `model` are put into the set; or looked for. */
void hidden_note(struct hidden_set *set, struct model *model);
void hidden_look(struct hidden_set *set, struct model *model);
void hidden_stop(struct model *model);
void hidden_clear(struct hidden_set *set); /* an empty set, its counts kept */
void hidden_release(struct hidden_set *set);

#endif
