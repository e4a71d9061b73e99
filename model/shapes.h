/* model/shapes.h - the shapes of a network's operations: from them a device sizes its own memory, and operations are counted.
 *
 * For the files of model/ only. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_SHAPES_H
#define MODEL_SHAPES_H

#include "kernels/device.h"

void shapes_add_product(struct device_shapes *shapes, int N, int K, bool bias);
void shapes_add_norm(struct device_shapes *shapes, int n_heads, int width);
void shapes_add_experts(struct device_shapes *shapes, int E, int k, int d, int F);
void shapes_add_attention(struct device_shapes *shapes, int H, int J, int D, int Dv);

#endif
