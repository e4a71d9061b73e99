/* rl/run/manifest.h - MANIFEST.json: every file of a folder with its size and XXH3 (64 bits), and the XXH3 of that
 * list.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_MANIFEST_H
#define RL_RUN_MANIFEST_H

#include <jansson.h>

#include "base/file.h"

/* For all files of the folder and of its folder state/; written atomically. */
enum err manifest_write(const char *folder);
/* ERR_STATE, naming the file, unless the list is whole and every file in it is as it was. */
enum err manifest_verify(const char *folder);
/* The list itself, an object whose keys are names such as "state/train.json": whole, but no file is looked at.
 * Release with json_decref. */
enum err manifest_read(json_t **files, const char *folder);
/* Whether the list has the name; false too if there is no list. */
bool manifest_lists(const char *folder, const char *name);

#endif
