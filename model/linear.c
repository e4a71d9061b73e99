/* model/linear.c - fills in the arguments of the operations; the arithmetic is theirs (kernels/ops.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/linear.h"

void linear_forward(const struct model *model, int T, int N, int K, const void *x, size_t weight, size_t bias,
                    const void *residual, void *y)
{
    model->device->ops->matmul(&(struct matmul_args){
        .T = T,
        .N = N,
        .K = K,
        .x = x,
        .x_stride = K,
        .w = linear_weight(model, weight),
        .bias = linear_weight(model, bias),
        .residual = residual,
        .y = y,
        .y_stride = N,
    });
}

struct norm norm_of_rows(const struct model *model, size_t weight)
{
    return (struct norm){weight, 1, model->config.d, model->config.d};
}

void norm_forward(const struct model *model, const struct norm *norm, int T, const void *x, void *y)
{
    model->device->ops->rmsnorm(&(struct rmsnorm_args){
        .T = T,
        .n_heads = norm->n_heads,
        .width = norm->width,
        .eps = model->config.norm_eps,
        .x = x,
        .x_stride = norm->stride,
        .weight = linear_weight(model, norm->weight),
        .y = y,
        .y_stride = norm->stride,
    });
}

/* ---- gradients ---- */

float *grad_at(const struct backward *b, size_t offset)
{
    return offset == SIZE_MAX ? NULL : b->grads + offset;
}

void linear_weight_grad(const struct backward *b, int N, int K, const void *dy, const void *x, size_t weight,
                        size_t bias)
{
    b->model->device->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
        .T = b->T,
        .N = N,
        .K = K,
        .dy = dy,
        .dy_stride = N,
        .x = x,
        .x_stride = K,
        .dw = grad_at(b, weight),
        .dbias = grad_at(b, bias),
    });
}

void linear_input_grad(const struct backward *b, int N, int K, const void *dy, size_t weight, void *dx)
{
    b->model->device->ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = b->T,
        .N = N,
        .K = K,
        .dy = dy,
        .dy_stride = N,
        .w = linear_weight(b->model, weight),
        .dx = dx,
        .dx_stride = K,
    });
}

void norm_backward(const struct backward *b, const struct norm *norm, const void *x, const void *dy, void *dx,
                   bool accumulate)
{
    b->model->device->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){
        .T = b->T,
        .n_heads = norm->n_heads,
        .width = norm->width,
        .eps = b->model->config.norm_eps,
        .x = x,
        .x_stride = norm->stride,
        .weight = linear_weight(b->model, norm->weight),
        .dy = dy,
        .dy_stride = norm->stride,
        .dx = dx,
        .dx_stride = norm->stride,
        .accumulate = accumulate,
        .dweight = grad_at(b, norm->weight),
    });
}
