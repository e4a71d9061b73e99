/* rl/dist.h - the ranks of a run: processes that do the same, each with its own share of the prompts and of the gradient.
 *
 * Every rank has all of a rollout before the next stage begins, so that advantages, minibatches, denominators and metrics
 * are the same numbers on all ranks by construction; what is added up over ranks (rl/grad_shards.h) is added in an order
 * that does not depend on their number. The first rank, 0, writes things down (rl/record.h).
 *
 * A run of one rank has no struct dist: each call here takes NULL, and is then the identity. With several ranks each
 * call that returns enum err is made by all of them, in the same order. It fails on all when one is lost (ERR_PEER) or
 * has failed (its own code): the sentence names that rank.
 *
 * rl/ranks/ has the parts: who is who, the rendezvous, the watch. Bytes move by kernels/comm.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DIST_H
#define RL_DIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct dist;
struct recipe;

/* Finds the other ranks that the environment speaks of (rl/ranks/environment.h) and waits for them; NULL where there are none. Sets
 * recipe->run.n_ranks. ERR_USAGE for a number of ranks that is no power of two, or for ranks that do not belong together.
 * ERR_STOPPED: `stop` ended this wait; `stop_later` ends those of later calls. */
enum err dist_open(struct dist **out, struct recipe *recipe, bool (*stop)(void), bool (*stop_later)(void));
void dist_close(struct dist *dist);

int dist_rank(const struct dist *dist);
int dist_ranks(const struct dist *dist);
bool dist_is_first(const struct dist *dist);
int dist_local_rank(const struct dist *dist); /* on this machine */
int dist_local_ranks(const struct dist *dist);

/* Where a computation can be left: what the other calls fail with, once they do. May be called by one rank alone. */
enum err dist_check(struct dist *dist);
/* Each of the n numbers becomes the largest of all ranks: one wants to stop, so all do. */
enum err dist_max(struct dist *dist, int *values, int n);
/* What rank 0 has. */
enum err dist_from_first(struct dist *dist, void *data, size_t bytes);
enum err dist_text_from_first(struct dist *dist, struct strbuf *text);
/* all[r] is what rank r gave; in the arena. */
enum err dist_gather(struct dist *dist, struct str own, struct arena *arena, struct str *all);
/* The sum over ranks, in host memory, in the order of comm_sum (kernels/comm.h). */
enum err dist_sum(struct dist *dist, float *data, size_t n);

/* Around a checkpoint, however long it takes: true before, false after. */
void dist_saving(struct dist *dist, bool saving);
/* This rank ends with that error, by that signal (0: none). Called once, before it saves or closes anything; returns the
 * signal that stopped the run, also where another rank got it. */
int dist_fail(struct dist *dist, enum err code, int signal);
/* The last call: the others wait until rank 0 has finished its own. The failure of another rank, if there was one. */
enum err dist_leave(struct dist *dist);

/* A rank other than the first prints errors alone, and its number with them (base/log.h); called by a program before it
 * reads its recipe. */
void dist_quiet_others(void);

#endif
