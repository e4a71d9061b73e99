/* rollout/scheduler.h - who runs in the next step: admission, chunks, forks and pre-emption.
 *
 * Pure bookkeeping on the host: it decides, engine.c computes. A step is
 *
 *   scheduler_plan      pre-empts where pages are short, admits who fits, cuts the rows of one forward pass
 *   (copies, forward pass, draws)
 *   scheduler_advance   the rows are computed
 *   scheduler_finish    for each sequence that has ended
 *
 * Between steps groups may be added and removed.
 *
 * Rules, in the order in which they apply:
 *   1. A running sequence that has filled its pages takes another. If none is free, the youngest running sequence is
 *      pre-empted: it gives its pages back, keeps its tokens and waits to be computed again. The oldest always
 *      continues.
 *   2. Waiting sequences are admitted oldest first, none overtaking another, while a slot and pages for all their
 *      tokens are free, in addition to a reserve for the next 16 steps of those that run. If the prompt of a group is
 *      not computed yet, only its first unfinished sample can be admitted; the others have their first token, drawn
 *      from the same row, once it is.
 *   3. A sequence that is admitted while a sibling holds the prompt shares the sibling's full prompt pages and copies
 *      the partial one. The last holder of a prompt that ends hands its pages to the next sibling, even if it is
 *      cancelled while it computes the prompt.
 *   4. One row for every sequence that lacks one; what is left of max_rows goes to the others in chunks, oldest first.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_SCHEDULER_H
#define ROLLOUT_SCHEDULER_H

#include "kernels/ops.h"
#include "rollout/kvcache.h"
#include "rollout/sequence.h"

/* The first n positions of page `from` must be copied onto page `to`, before the pass, in the order of the plan. */
struct page_copy {
    int32_t from, to;
    int n;
};

struct plan {
    int T;                       /* rows; 0 only when there are no groups */
    int32_t *tokens, *positions; /* [max_rows] */
    int n_spans, n_decode;       /* the first n_decode spans are single rows of decoding sequences */
    struct span *spans;          /* [max_running] */
    struct sequence **owners;    /* [max_running] whose span it is */
    int n_copies;
    struct page_copy *copies; /* [max_running] */
};

struct scheduler {
    struct kvcache cache;
    struct plan plan;
    int max_running, max_rows, pages_per_sequence;
    struct sequence **running; /* [n_running], oldest first */
    int n_running;
    int32_t *tables; /* [max_running, pages_per_sequence] block tables */
    int32_t **free_tables;
    int n_free_tables;
    struct sequence_group *first, *last;  /* borrowed; those with an unfinished sequence, oldest first */
    struct sequence_group *first_waiting; /* the oldest that may have a waiting sequence; NULL: none has */
    int n_groups;
    int64_t next_age;
    int n_preempted, peak_running;
    int64_t shared_tokens; /* prompt tokens found in a sibling's pages */
};

/* At most max_sequences run at once, in passes of at most max_rows rows. Sequences have at most max_length tokens. */
void scheduler_init(struct scheduler *scheduler, int n_pages, int max_sequences, int max_rows, int max_length);
void scheduler_release(struct scheduler *scheduler);

/* A group of waiting sequences, younger than all so far. None may need more than all pages
 * (kvcache_pages(limit - 1)). */
void scheduler_add(struct scheduler *scheduler, struct sequence_group *group);
const struct plan *scheduler_plan(struct scheduler *scheduler);
void scheduler_advance(struct scheduler *scheduler);
/* A sequence ends, in whatever state it is; its group leaves with its last one. Not between plan and advance. */
void scheduler_finish(struct scheduler *scheduler, struct sequence *sequence);
/* All unfinished sequences of a group end at once. Not between plan and advance. */
void scheduler_remove(struct scheduler *scheduler, struct sequence_group *group);
void scheduler_clear_counters(struct scheduler *scheduler);

#endif
