/* reward/sandbox/userns.h - making processes in new namespaces, and saying why it was refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_USERNS_H
#define REWARD_SANDBOX_USERNS_H

#include "reward/sandbox/wire.h"

/* fork into new namespaces (CLONE_NEW*): 0 in the child, -1 with errno; *pidfd is the child's. */
pid_t userns_clone(uint64_t flags, int *pidfd);

/* Maps the child's user and group `inside` to an unprivileged user of the host: our own, or for root one of a range
 * that belongs to nobody, by `number`. The process limit would not hold for root itself. */
bool userns_map(pid_t child, unsigned inside, unsigned number, char text[WIRE_TEXT]);

/* As root, without a user namespace: takes for this process the user and group of that range. False with errno. */
bool userns_become(unsigned number);

/* A sentence: the setting of this machine that most likely refused, and what to do; `reason` is the errno. */
void userns_mend(int reason, char *text, size_t capacity);

#endif
