/* rl/grad_shards.h - the sum of gradients has one shape, whatever the number of ranks.
 *
 * A minibatch is cut into n shards by its content (rl/batch.h), n a power of two. The gradient of each is computed alone,
 * from zero, and shards are added in a binary tree, each + a rounding of fp32:
 *
 *        +            8 shards on 4 ranks: rank 0 has shards 0 and 1, rank 1 has 2 and 3, ...; each adds its
 *      /   \          own subtree, in place, and the upper levels are the sum over ranks (kernels/comm.h).
 *     +     +
 *    / \   / \        So the bits of a step belong to n, and not to the number of ranks. A rank with more than one shard
 *   +   + +   +       holds log2 of their number as partial sums more.
 *  /\  /\ /\  /\
 *  01  23 45  67
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_GRAD_SHARDS_H
#define RL_GRAD_SHARDS_H

#include "model/model.h"
#include "rl/dist.h"

#define GRAD_SHARDS_MAX    1024
#define GRAD_SHARDS_LEVELS 10

struct grad_shards {
    int n, first, n_own; /* this rank has shards first .. first + n_own - 1 */
    struct model *model; /* whose gradients they are */
    struct dist *dist;
    float *partial[GRAD_SHARDS_LEVELS]; /* device: [params.n] each, the sums of 1, 2, 4 ... shards */
    int n_partial;
    float *staged; /* host: what travels at once; NULL for one rank */
};

/* Takes the partial sums of rank `rank` of n_ranks, for the phase DEVICE_TRAINING. */
void grad_shards_init(struct grad_shards *shards, struct model *model, int n, int rank, int n_ranks, struct dist *dist);
void grad_shards_release(struct grad_shards *shards);

/* The gradient of this rank's i-th shard is in the model's gradients: it goes into the tree. After the last one the
 * gradients are the sum of this rank's shards. */
void grad_shards_add(struct grad_shards *shards, int i);
/* The gradients become the sum of all shards, on every rank. */
enum err grad_shards_sum(struct grad_shards *shards);
/* all: [n] items of `bytes`, of which this rank has filled its own; fills the others. */
enum err grad_shards_gather(struct grad_shards *shards, void *all, size_t bytes);

/* Which of n shards has a piece of `own` tokens that begins after `before` of the `total` tokens of a minibatch: that in
 * which its middle is. */
static inline int grad_shards_of(int n, int64_t before, int64_t own, int64_t total)
{
    BUG_ON(own <= 0 || before < 0 || before + own > total);
    return (int)((2 * before + own) * n / (2 * total));
}

#endif
