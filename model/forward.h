/* model/forward.h - what both forward passes do before the first layer; for the files of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/model.h"

/* Stops the program at a token outside the vocabulary or a position outside the tables: they would read stray memory. */
void model_check_rows(const struct model *model, int T, const int32_t *tokens, const int32_t *positions);
/* x [T, d] = rows of the embedding; tokens and x on the device. */
void model_embed(const struct model *model, int T, const int32_t *tokens, void *x);
/* After each layer: to whoever watches. */
void model_show_layer(const struct model *model, int layer, int T, const int32_t *positions, const void *x);
/* Gives back what model_reserve_cached took. */
void model_release_cached(struct model *model);

#endif
