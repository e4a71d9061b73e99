/* rl/run/manifest.h - MANIFEST.json: every file of a folder with its size and XXH3 (64 bits).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_MANIFEST_H
#define RL_RUN_MANIFEST_H

#include "base/file.h"

/* For all files of the folder and of its folder state/; written atomically. */
enum err manifest_write(const char *folder);
enum err manifest_verify(const char *folder);

#endif
