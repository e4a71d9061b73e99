/* reward/sandbox/cgroup.h - one control group per slot: memory and tasks of a run as a whole.
 *
 * Version 2 with the memory and pids controllers, in the nearest folder above ours where a group can be made and
 * entered; else version 1 (root only). Where neither can be written there is none, and the limits are per process.
 *
 * A slot lives in its group from its start, and what it forks is born there: moving a process into a group waits for
 * all processors (10 ms here), too long for every run. The slot, its Python and pid 1 of the run are thus counted too,
 * and CGROUP_OWN_MB is added for them.
 *
 * The supervisor makes and removes groups; the slot holds their files open, since it sees no /sys.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_CGROUP_H
#define REWARD_SANDBOX_CGROUP_H

#include "reward/sandbox/wire.h"

#define CGROUP_OWN_MB 24

struct cgroup {
    int version;     /* 2, 1, or 0: none */
    bool has_memory; /* else tasks only */
    int join[2];     /* cgroup.procs; -1 */
    int memory, tasks, events;
    char folders[2][512];
};

/* Makes a group of this name. One that cannot be made has version 0. */
void cgroup_make(struct cgroup *group, const char *name);
void cgroup_close(struct cgroup *group);  /* our descriptors */
void cgroup_remove(struct cgroup *group); /* the folders; their processes are gone */

/* Before a run. */
void cgroup_limit(const struct cgroup *group, int32_t memory_mb, int32_t tasks);
/* Puts a process in, by its number as the caller sees it. */
bool cgroup_join(const struct cgroup *group, pid_t pid);
/* Processes killed so far because the group was out of memory. */
int64_t cgroup_kills(const struct cgroup *group);

#endif
