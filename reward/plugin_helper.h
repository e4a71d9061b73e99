/* reward/plugin_helper.h - the process that has a plug-in loaded: this executable with other words.
 *
 * It speaks reward/dialog.h on its stdin and stdout; what the plug-in prints or logs goes to stderr.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_PLUGIN_HELPER_H
#define REWARD_PLUGIN_HELPER_H

/* Its command line is these two words and the shared object's path. */
extern const char plugin_helper_program[]; /* /proc/self/exe */
extern const char plugin_helper_name[];

#endif
