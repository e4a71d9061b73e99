/* reward/math/matrix.h - sums, products, multiples, transposes and determinants of written-out matrices.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_MATH_MATRIX_H
#define REWARD_MATH_MATRIX_H

#include "reward/math/node.h"

#define MATH_MATRIX_MAX_CELLS 256
#define MATH_MATRIX_MAX_DET   4 /* rows of a determinant */

/* The tree with its matrices worked out: an OP_MATRIX, or an expression without any. The tree itself where it has none;
 * NULL where shapes do not fit, or the operation is not supported. */
struct math_node *math_matrix_reduce(struct math_work *work, struct math_node *node);

#endif
