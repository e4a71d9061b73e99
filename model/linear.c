/* model/linear.c - fills in the arguments of the operations; the arithmetic is theirs (kernels/ops.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/linear.h"

void linear_forward(const struct model *model, int T, int weight, int bias, const void *x, const void *residual,
                    void *y)
{
    const struct param *w = &model->params.table[weight];
    model->device->ops->matmul(&(struct matmul_args){
        .T = T,
        .N = w->rows,
        .K = w->cols,
        .x = x,
        .x_stride = w->cols,
        .w = params_at(&model->params, weight),
        .bias = params_at(&model->params, bias),
        .residual = residual,
        .y = y,
        .y_stride = w->rows,
    });
}

void linear_forward_wide(const struct model *model, int T, int weight, const void *x, float *y)
{
    const struct param *w = &model->params.table[weight];
    model->device->ops->matmul_wide(&(struct matmul_args){
        .T = T,
        .N = w->rows,
        .K = w->cols,
        .x = x,
        .x_stride = w->cols,
        .w = params_at(&model->params, weight),
        .y = y,
        .y_stride = w->rows,
    });
}

struct norm norm_of_rows(const struct model *model, int weight)
{
    int d = model->config.d;
    return (struct norm){weight, 1, d, d, d, model->config.norm_eps};
}

void norm_forward(const struct model *model, const struct norm *norm, int T, const void *x, void *y)
{
    model->device->ops->rmsnorm(&(struct rmsnorm_args){
        .T = T,
        .n_heads = norm->n_heads,
        .width = norm->width,
        .eps = norm->eps,
        .x = x,
        .x_stride = norm->x_stride,
        .weight = params_at(&model->params, norm->weight),
        .y = y,
        .y_stride = norm->y_stride,
    });
}

/* ---- gradients ---- */

float *grad_at(const struct backward *b, int weight)
{
    const struct params *params = &b->model->params;
    return weight < 0 || !params->table[weight].trains ? NULL : params->grads + params->table[weight].offset;
}

void linear_weight_grad(const struct backward *b, int weight, int bias, const void *dy, const void *x)
{
    const struct param *w = &b->model->params.table[weight];
    b->model->device->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
        .T = b->T,
        .N = w->rows,
        .K = w->cols,
        .dy = dy,
        .dy_stride = w->rows,
        .x = x,
        .x_stride = w->cols,
        .dw = grad_at(b, weight),
        .dbias = grad_at(b, bias),
    });
}

static void input_grad(const struct backward *b, int weight, const void *dy, void *dx, bool accumulate)
{
    const struct param *w = &b->model->params.table[weight];
    b->model->device->ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = b->T,
        .N = w->rows,
        .K = w->cols,
        .dy = dy,
        .dy_stride = w->rows,
        .w = params_at(&b->model->params, weight),
        .dx = dx,
        .dx_stride = w->cols,
        .accumulate = accumulate,
    });
}

void linear_input_grad(const struct backward *b, int weight, const void *dy, void *dx)
{
    input_grad(b, weight, dy, dx, false);
}

void linear_input_grad_add(const struct backward *b, int weight, const void *dy, void *dx)
{
    input_grad(b, weight, dy, dx, true);
}

void norm_backward(const struct backward *b, const struct norm *norm, const void *x, const void *dy, void *dx,
                   bool accumulate)
{
    b->model->device->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){
        .T = b->T,
        .n_heads = norm->n_heads,
        .width = norm->width,
        .eps = norm->eps,
        .x = x,
        .x_stride = norm->x_stride,
        .weight = params_at(&b->model->params, norm->weight),
        .dy = dy,
        .dy_stride = norm->y_stride,
        .dx = dx,
        .dx_stride = norm->x_stride,
        .accumulate = accumulate,
        .dweight = grad_at(b, norm->weight),
    });
}
