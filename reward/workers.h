/* reward/workers.h - a few processes of one reward program, each asked by one thread at a time.
 *
 * A program dies, hangs, floods, answers nonsense, and the verdict is an error with a sentence; the process is killed
 * and another is started in its place, at once the first time, then after 0.1 s, doubling, until one gives a good
 * answer. An item that finds its process dead, or whose answer is broken, is asked once more of a new process while its
 * time lasts; so a program that dies of old age loses no sample, and an item that kills is found.
 * After WORKERS_LOST failures in a row, of all processes together, the program is taken for dead: it is not started
 * again, and what is left to judge fails at once with its last words.
 * A start may take longer than an item may: then items fail as "still starting" and the start continues.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_WORKERS_H
#define REWARD_WORKERS_H

#include "reward/reward.h"

struct workers_plan {
    const char *name;     /* of the program, in sentences and in hello */
    char *const *words;   /* its command line, ended by NULL */
    const char *config;   /* a JSON object as text */
    const char *field;    /* see dialog_score */
    int count;            /* of processes; 0: one per processor */
    double start_seconds; /* until it must be ready */
    double item_seconds;  /* for an answer; 0: as long as the call has */
    bool show;            /* its stderr goes to ours as well */
};

enum { WORKERS_LOST = 6 };

struct workers;

/* Whether a plan may have this `config`; ERR_USAGE names the reward. */
enum err workers_check_config(const char *reward, const char *config);
/* Starts all and waits until they are ready. What the plan points to must outlive the workers. ERR_STATE says why one
 * is not ready: its last words on stderr, or what it said instead. */
enum err workers_open(struct workers **out, const struct workers_plan *plan);
void workers_close(struct workers *workers); /* NULL is fine */
/* Any number of threads at once; waits for a free process. Never longer than the call's deadline, but for the fraction
 * of a second in which a dead process is buried. */
struct verdict workers_judge(struct workers *workers, const struct reward_item *item, const struct reward_call *call);
/* NULL, or a sentence, in the arena: it was given up. */
const char *workers_dead(struct workers *workers, struct arena *arena);

#endif
