/* rl/run/checkpoint_internal.h - the arrays of a checkpoint, as rows on disk (checkpoint_rows.c), for checkpoint.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_CHECKPOINT_INTERNAL_H
#define RL_RUN_CHECKPOINT_INTERNAL_H

#include "base/file.h"
#include "rl/optim.h"

/* The weights (or the masters) of the set that is trained, all bits of them, to or from FOLDER/NAME as fp32. */
enum err row_file_weights(const char *folder, const char *name, bool writing, const struct model *model);
/* The moments m and v, as they are. */
enum err row_file_moments(const char *folder, bool writing, const struct model *model, const struct optim *optim);
const char *row_file_moments_name(enum optim_kind kind); /* "state/optimizer.bin" */

#endif
