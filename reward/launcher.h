/* reward/launcher.h - the process between ours and a reward program, so that no program outlives us.
 *
 * It is this executable started under another name: a constructor takes over before main, starts the program in a
 * session of its own and waits for it. It ends the program, with all that is in its group, when our process is gone
 * however it went (PR_SET_PDEATHSIG), or on SIGTERM; it ends as the program ends, with its status or by its signal.
 *
 *   argv: launcher_name, our pid, the program's words
 *   LAUNCHER_REPORT: a pipe, closed once the program runs; before that errno as an int, if it cannot be started
 *
 * The kernel counts the thread that started it as its parent: that thread must not end before the program is stopped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_LAUNCHER_H
#define REWARD_LAUNCHER_H

enum { LAUNCHER_REPORT = 3 };

extern const char launcher_name[];

#endif
