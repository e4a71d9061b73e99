/* model/linear.c - fills in the arguments of the operations; the arithmetic is theirs (kernels/ops.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/linear.h"

#include "model/adapter.h"

/* ---- forward ---- */

/* Rows of a batch that are multiplied at once. */
struct rows {
    int from, n;
};

static struct rows next_rows(const struct adapter_product *product, int from, int T)
{
    int left = T - from;
    return (struct rows){from, product && left > ADAPTER_ROWS ? ADAPTER_ROWS : left};
}

/* Row `row` of an array of that many columns. */
static void *row_of(const struct model *model, const void *base, int row, int columns)
{
    return linear_element(model, (void *)(uintptr_t)base, (size_t)row * (size_t)columns);
}

/* low [n, columns of all tensors] = s x A^T */
static void low_forward(const struct model *model, const struct adapter_product *product, int n, const void *x,
                        void *low)
{
    const struct adapter *adapter = model->adapter;
    const struct ops *ops = model->device->ops;
    const struct param *a = &adapter->params.table[product->a];
    ops->matmul(&(struct matmul_args){
        .T = n,
        .N = a->rows,
        .K = a->cols,
        .x = x,
        .x_stride = a->cols,
        .w = params_at(&adapter->params, product->a),
        .y = low,
        .y_stride = a->rows,
    });
    if (adapter->scale != 1) {
        ops->scale(low, (size_t)n * (size_t)a->rows, adapter->scale);
    }
}

/* scratch->delta [n, N] = residual + s (x A^T) B^T, residual only where every column has a B */
static void delta_forward(const struct model *model, const struct adapter_product *product,
                          const struct adapter_scratch *scratch, int N, int n, const void *x, const void *residual)
{
    const struct adapter *adapter = model->adapter;
    int rank = adapter->rank;
    BUG_ON(residual && (!product->whole || product->n > 1)); /* it has columns of one tensor */
    low_forward(model, product, n, x, scratch->low);
    if (!product->whole) {
        device_zero(model->device, scratch->delta, (size_t)n * (size_t)N * model->device->element_bytes);
    }
    for (int k = 0; k < product->n; k++) {
        size_t column = (size_t)product->parts[k].row, at = adapter_b_at(adapter, product, k, model->device);
        model->device->ops->matmul(&(struct matmul_args){
            .T = n,
            .N = product->parts[k].rows,
            .K = rank,
            .x = linear_element(model, scratch->low, (size_t)k * (size_t)rank),
            .x_stride = product->n * rank,
            .w = linear_element(model, params_at(&adapter->params, product->b), at),
            .residual = residual,
            .y = linear_element(model, scratch->delta, column),
            .y_stride = N,
        });
    }
}

void linear_forward(const struct model *model, const struct pass *pass, int weight, int bias, const void *x,
                    const void *residual, void *y)
{
    const struct param *w = &model->params.table[weight];
    const struct adapter_product *product = adapter_product(model->adapter, weight);
    struct rows rows = next_rows(product, 0, pass->T);
    for (; rows.n > 0; rows = next_rows(product, rows.from + rows.n, pass->T)) {
        const void *x_rows = row_of(model, x, rows.from, w->cols);
        const void *added = residual ? row_of(model, residual, rows.from, w->rows) : NULL;
        if (product) {
            delta_forward(model, product, pass->adapter, w->rows, rows.n, x_rows, added);
            added = pass->adapter->delta;
        }
        model->device->ops->matmul(&(struct matmul_args){
            .T = rows.n,
            .N = w->rows,
            .K = w->cols,
            .x = x_rows,
            .x_stride = w->cols,
            .w = params_at(&model->params, weight),
            .bias = params_at(&model->params, bias),
            .residual = added,
            .y = row_of(model, y, rows.from, w->rows),
            .y_stride = w->rows,
        });
    }
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

/* dW += dy^T x */
static void weight_grad(const struct backward *b, int T, int N, int K, const void *dy, int dy_stride, const void *x,
                        int x_stride, float *dw, float *dbias)
{
    if (dw || dbias) {
        b->model->device->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
            .T = T,
            .N = N,
            .K = K,
            .dy = dy,
            .dy_stride = dy_stride,
            .x = x,
            .x_stride = x_stride,
            .dw = dw,
            .dbias = dbias,
        });
    }
}

/* The gradients of A and B, and scratch->dlow, that of x A^T; columns and rows as in delta_forward. */
static void low_backward(const struct backward *b, const struct adapter_product *product, int N, int n, const void *dy,
                         const void *x)
{
    const struct model *model = b->model;
    const struct adapter *adapter = model->adapter;
    const struct params *set = &adapter->params;
    const struct adapter_scratch *scratch = b->pass->adapter;
    int rank = adapter->rank, width = product->n * rank;
    low_forward(model, product, n, x, scratch->low);
    for (int k = 0; k < product->n; k++) {
        size_t at = adapter_b_at(adapter, product, k, model->device), column = (size_t)k * (size_t)rank;
        const void *dy_k = row_of(model, dy, product->parts[k].row, 1);
        weight_grad(b, n, product->parts[k].rows, rank, dy_k, N, linear_element(model, scratch->low, column), width,
                    set->grads + set->table[product->b].offset + at, NULL);
        model->device->ops->matmul_input_grad(&(struct matmul_input_grad_args){
            .T = n,
            .N = product->parts[k].rows,
            .K = rank,
            .dy = dy_k,
            .dy_stride = N,
            .w = linear_element(model, params_at(set, product->b), at),
            .dx = linear_element(model, scratch->dlow, column),
            .dx_stride = width,
        });
    }
    if (adapter->scale != 1) {
        model->device->ops->scale(scratch->dlow, (size_t)n * (size_t)width, adapter->scale);
    }
    const struct param *a = &set->table[product->a];
    weight_grad(b, n, width, a->cols, scratch->dlow, width, x, a->cols, set->grads + a->offset, NULL);
}

/* dx [n, K] (+)= dy W */
static void input_grad(const struct backward *b, const struct params *set, int weight, int n, const void *dy, void *dx,
                       bool accumulate)
{
    const struct param *w = &set->table[weight];
    b->model->device->ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = n,
        .N = w->rows,
        .K = w->cols,
        .dy = dy,
        .dy_stride = w->rows,
        .w = params_at(set, weight),
        .dx = dx,
        .dx_stride = w->cols,
        .accumulate = accumulate,
    });
}

void linear_backward(const struct backward *b, int weight, int bias, const void *dy, const void *x, void *dx)
{
    const struct model *model = b->model;
    const struct param *w = &model->params.table[weight];
    const struct adapter_product *product = adapter_product(model->adapter, weight);
    int T = b->pass->T;
    weight_grad(b, T, w->rows, w->cols, dy, w->rows, x, w->cols, grad_at(b, weight), grad_at(b, bias));
    for (struct rows rows = next_rows(product, 0, T); rows.n > 0; rows = next_rows(product, rows.from + rows.n, T)) {
        const void *dy_rows = row_of(model, dy, rows.from, w->rows);
        void *dx_rows = row_of(model, dx, rows.from, w->cols);
        if (product) {
            low_backward(b, product, w->rows, rows.n, dy_rows, row_of(model, x, rows.from, w->cols));
        }
        input_grad(b, &model->params, weight, rows.n, dy_rows, dx_rows, false);
        if (product) {
            input_grad(b, &model->adapter->params, product->a, rows.n, b->pass->adapter->dlow, dx_rows, true);
        }
    }
}

/* ---- the parts, for blocks whose matrices have no adapter ---- */

void linear_weight_grad(const struct backward *b, int weight, int bias, const void *dy, const void *x)
{
    const struct param *w = &b->model->params.table[weight];
    BUG_ON(adapter_product(b->model->adapter, weight));
    weight_grad(b, b->pass->T, w->rows, w->cols, dy, w->rows, x, w->cols, grad_at(b, weight), grad_at(b, bias));
}

void linear_input_grad(const struct backward *b, int weight, const void *dy, void *dx)
{
    input_grad(b, &b->model->params, weight, b->pass->T, dy, dx, false);
}

void linear_input_grad_add(const struct backward *b, int weight, const void *dy, void *dx)
{
    input_grad(b, &b->model->params, weight, b->pass->T, dy, dx, true);
}

void norm_backward(const struct backward *b, const struct norm *norm, const void *x, const void *dy, void *dx,
                   bool accumulate)
{
    b->model->device->ops->rmsnorm_grad(&(struct rmsnorm_grad_args){
        .T = b->pass->T,
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
