/* kernels/cpu/embedding.c - rows of a table in, gradients back; and rows picked from one array into another.
 *
 * Backward, each thread owns a range of columns and walks all tokens in order, so the sums have one order.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

static size_t table_index(int32_t token, int k, int d)
{
    return (size_t)(token / CPU_PANEL) * CPU_PANEL * (size_t)d + (size_t)k * CPU_PANEL + (size_t)(token % CPU_PANEL);
}

void ISA_NAME(embedding)(const struct embedding_args *a)
{
    const float *table = a->table;
    int threads = cpu_threads_for((double)a->T * a->d * 8);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int t = 0; t < a->T; t++) {
        const float *from = table + table_index(a->tokens[t], 0, a->d);
        float *y = (float *)a->y + (ptrdiff_t)t * a->d;
        for (int k = 0; k < a->d; k++) {
            y[k] = from[(ptrdiff_t)k * CPU_PANEL];
        }
    }
}

void ISA_NAME(embedding_grad)(const struct embedding_args *a)
{
    int threads = cpu_threads_for((double)a->T * a->d * 8), columns = CPU_PANEL;
    if (!a->dtable) {
        return;
    }
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int k0 = 0; k0 < a->d; k0 += columns) {
        int end = k0 + columns < a->d ? k0 + columns : a->d;
        for (int t = 0; t < a->T; t++) {
            const float *dy = (const float *)a->dy + (ptrdiff_t)t * a->d;
            float *to = a->dtable + table_index(a->tokens[t], 0, a->d);
            for (int k = k0; k < end; k++) {
                to[(ptrdiff_t)k * CPU_PANEL] += dy[k];
            }
        }
    }
}

void ISA_NAME(gather_rows)(const struct rows_args *a)
{
    const float *x = a->x;
    float *y = a->y;
    for (int i = 0; i < a->n_rows; i++) {
        memcpy(y + (ptrdiff_t)i * a->width, x + (ptrdiff_t)a->rows[i] * a->width, (size_t)a->width * sizeof *y);
    }
}

void ISA_NAME(scatter_add_rows)(const struct rows_args *a)
{
    const float *x = a->x;
    float *y = a->y;
    for (int i = 0; i < a->n_rows; i++) {
        float *to = y + (ptrdiff_t)a->rows[i] * a->width;
        for (int k = 0; k < a->width; k++) {
            to[k] += x[(ptrdiff_t)i * a->width + k];
        }
    }
}
