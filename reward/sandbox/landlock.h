/* reward/sandbox/landlock.h - a slot where new namespaces are refused: weaker, and only when requested by name.
 *
 * A slot is then an ordinary process with a folder of its own in /tmp, laid out as a root is (root.h): FOLDER/box
 * with the source, FOLDER/tmp for the program, FOLDER/strop with our files. What a namespace did is done by other
 * means:
 *
 *   files      Landlock rules (Linux 6.2): read the Python and shared libraries, write FOLDER/tmp, no more
 *   processes  none: fork and execve are refused, so that nothing can outlive the one process that is killed
 *   signals    none, not even to itself, nor by a descriptor's owner; memory is that of the one process (RLIMIT_AS)
 *   user       for root one that belongs to nobody; else the caller's own
 *   network    socket() is refused, as in every mode
 *
 * Not protected: the disk of /tmp from a run that fills it; names, sizes and times of files and numbers of processes,
 * which programs can ask for; the number of threads, where the user is the caller's. Python only: compilers need
 * processes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_LANDLOCK_H
#define REWARD_SANDBOX_LANDLOCK_H

#include "reward/sandbox/guard.h"

#define LANDLOCK_FOLDER 48

struct landlock {
    char folder[LANDLOCK_FOLDER]; /* "": the slot has namespaces, and / is its own */
    int rules;                    /* a descriptor; a run puts them on itself; -1 */
    bool shared_user;             /* it is the caller's */
};

/* Makes the folder and the rules; after the user changed. False with the reason. */
bool landlock_open(struct landlock *landlock, const struct wire_setup *setup, const struct guard_filter *filter,
                   char text[WIRE_TEXT]);
/* Removes all that a run left in FOLDER/tmp, however deep; nothing may still write there. False with errno. */
bool landlock_empty(const struct landlock *landlock);
void landlock_close(struct landlock *landlock); /* the folder too */

#endif
