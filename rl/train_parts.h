/* rl/train_parts.h - the parts of a run as its recipe names them, opened one by one: by a run that begins
 * (train_setup.c) and by strop check (train_check.c). t->device is open; the next part relies on the ones before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_TRAIN_PARTS_H
#define RL_TRAIN_PARTS_H

#include "rl/train_internal.h"

/* The policy: from the files of a checkpoint, or (NULL) from the recipe's path, or random in its shape. */
enum err train_open_policy(struct train *t, const char *files);
/* Data sets, and what follows from their size. */
enum err train_open_data(struct train *t);
enum err train_open_rewards(struct train *t);
/* Once all is open: ERR_STATE, with what and whose, unless every rank has the same weights, optimiser, data and kind of
 * device as rank 0 (rl/train_ranks.c). */
enum err train_compare_ranks(struct train *t);
/* Bytes that one checkpoint takes at most; once the policy is open. */
uint64_t train_checkpoint_bytes(const struct train *t);

#endif
