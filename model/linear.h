/* model/linear.h - a product with a weight matrix and a norm, each with its gradients: what every block is made of.
 *
 *   y = residual + (x W^T + bias)         x [T, K], W [N, K], y [T, N]
 *   y = (residual + s (x A^T) B^T) + (x W^T + bias)   where W has an adapter (model/adapter.h)
 *   y = norm(x)                           RMS norm of whole rows, or of heads in rows
 *
 * A weight is the number of a parameter (model/params.h), whose rows and columns are N and K; -1: there is none. For the files
 * of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LINEAR_H
#define MODEL_LINEAR_H

#include "model/block.h"
#include "model/model.h"

/* Element n of a device array. */
static inline void *linear_element(const struct model *model, void *base, size_t n)
{
    return (char *)base + n * model->device->element_bytes;
}

/* All rows of the pass; residual may be NULL, or y itself. */
void linear_forward(const struct model *model, const struct pass *pass, int weight, int bias, const void *x,
                    const void *residual, void *y);

/* y in fp32 on every device. */
void linear_forward_wide(const struct model *model, int T, int weight, const void *x, float *y);

/* n_heads slices of `width` in each row, the rows of x `x_stride` apart and those of y `y_stride`. */
struct norm {
    int weight, n_heads, width, x_stride, y_stride;
    float eps;
};
/* Whole rows of the residual stream. */
struct norm norm_of_rows(const struct model *model, int weight);
void norm_forward(const struct model *model, const struct norm *norm, int T, const void *x, void *y);

/* ---- gradients ---- */

/* One backward call; gradients of weights are added to the grads of their set. */
struct backward {
    const struct model *model;
    const struct pass *pass;
};

/* The gradients of W, bias, A and B, from x and dy; dx = the gradient of x, and may be x. */
void linear_backward(const struct backward *b, int weight, int bias, const void *dy, const void *x, void *dx);
/* The two parts of it, where other things come between; not of a matrix with an adapter: the gradients of W and bias, */
void linear_weight_grad(const struct backward *b, int weight, int bias, const void *dy, const void *x);
/* and dx = the gradient of x, or dx +=. */
void linear_input_grad(const struct backward *b, int weight, const void *dy, void *dx);
void linear_input_grad_add(const struct backward *b, int weight, const void *dy, void *dx);
/* dx (+)= the gradient through the norm, given its input x and dy; dx has rows as x, dy as y. Without `accumulate` and with rows
 * of one stride, dx may be dy. */
void norm_backward(const struct backward *b, const struct norm *norm, const void *x, const void *dy, void *dx,
                   bool accumulate);
/* Where the gradient of a weight is added; NULL for -1 and where it is frozen. */
float *grad_at(const struct backward *b, int weight);

#endif
