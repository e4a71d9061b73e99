/* model/linear.h - a product with a weight matrix and a norm, each with its gradients: what every block is made of.
 *
 *   y = residual + (x W^T + bias)         x [T, K], W [N, K], y [T, N]
 *   y = norm(x)                           RMS norm of whole rows, or of heads in rows
 *
 * A weight is named by its offset in the table of weights (model/weights.h); SIZE_MAX: there is none. For the files of model/
 * only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LINEAR_H
#define MODEL_LINEAR_H

#include "model/model.h"

/* The weight at an offset of the table; NULL where the model has none. */
static inline const void *linear_weight(const struct model *model, size_t offset)
{
    return weights_at(&model->weights, model->device, offset);
}

/* Element n of a device array. */
static inline void *linear_element(const struct model *model, void *base, size_t n)
{
    return (char *)base + n * model->device->element_bytes;
}

/* residual may be NULL, or y itself. */
void linear_forward(const struct model *model, int T, int N, int K, const void *x, size_t weight, size_t bias,
                    const void *residual, void *y);

/* n_heads slices of `width` in each row, rows `stride` apart. */
struct norm {
    size_t weight;
    int n_heads, width, stride;
};
/* Whole rows of the residual stream. */
struct norm norm_of_rows(const struct model *model, size_t weight);
void norm_forward(const struct model *model, const struct norm *norm, int T, const void *x, void *y);

/* ---- gradients ---- */

/* One backward call; gradients of weights are added to `grads`, which has the layout of weights.data. */
struct backward {
    const struct model *model;
    float *grads;
    int T;
};

/* The gradients of W and bias, from x and dy. */
void linear_weight_grad(const struct backward *b, int N, int K, const void *dy, const void *x, size_t weight,
                        size_t bias);
/* dx = the gradient of x, from dy. */
void linear_input_grad(const struct backward *b, int N, int K, const void *dy, size_t weight, void *dx);
/* dx (+)= the gradient through the norm, given its input x and dy; without `accumulate`, dx may be dy. */
void norm_backward(const struct backward *b, const struct norm *norm, const void *x, const void *dy, void *dx,
                   bool accumulate);
/* Where the gradient of the weight at an offset is added; NULL for SIZE_MAX. */
float *grad_at(const struct backward *b, size_t offset);

#endif
