/* model/forward.h - what the cached and the packed forward pass share; for the files of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/buffers.h"
#include "model/model.h"

/* Stops the program at a token outside the vocabulary or a position outside the tables: they would read stray memory. */
void model_check_rows(const struct model *model, int T, const int32_t *tokens, const int32_t *positions);
/* x [T, d] = rows of the embedding; tokens and x on the device. */
void model_embed(const struct model *model, int T, const int32_t *tokens, void *x);
/* After each layer: shows its rows to whoever watches. */
void model_show_layer(const struct model *model, int layer, int T, const int32_t *positions, const void *x);
/* The experts of T rows of a pass, out of the buffers of its layers and into them: [T, layers with experts, k] on the host. */
void model_read_experts(const struct model *model, const struct buffers *buffers, int T, uint8_t *experts);
void model_write_experts(const struct model *model, const struct buffers *buffers, int T, const uint8_t *experts);
/* hidden [T, d] = the final norm of x. */
void model_final_norm(const struct model *model, int T, const void *x, void *hidden);

#endif
