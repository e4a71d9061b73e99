/* kernels/cpu/kv.c - keys and values into their pages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

static void store_row(const struct kv_store_args *a, int row, int32_t page, int slot)
{
    size_t head = (size_t)a->D * OPS_PAGE;
    for (int j = 0; j < a->J; j++) {
        const float *k = (const float *)a->k + (ptrdiff_t)row * a->kv_stride + (ptrdiff_t)j * a->D;
        const float *v = (const float *)a->v + (ptrdiff_t)row * a->kv_stride + (ptrdiff_t)j * a->D;
        float *k_page = (float *)a->k_pool + ((size_t)page * (size_t)a->J + (size_t)j) * head;
        float *v_page = (float *)a->v_pool + ((size_t)page * (size_t)a->J + (size_t)j) * head;
        for (int i = 0; i < a->D; i++) {
            k_page[(ptrdiff_t)i * OPS_PAGE + slot] = k[i];
        }
        memcpy(v_page + (ptrdiff_t)slot * a->D, v, (size_t)a->D * sizeof *v);
    }
}

void ISA_NAME(kv_store)(const struct kv_store_args *a)
{
    for (int s = 0; s < a->n_spans; s++) {
        const struct span *span = &a->spans[s];
        for (int i = 0; i < span->n_rows; i++) {
            int position = span->position + i;
            store_row(a, span->row + i, span->pages[position / OPS_PAGE], position % OPS_PAGE);
        }
    }
}

void ISA_NAME(kv_copy)(const struct kv_copy_args *a)
{
    size_t head = (size_t)a->D * OPS_PAGE;
    for (int j = 0; j < a->J; j++) {
        size_t from = ((size_t)a->from * (size_t)a->J + (size_t)j) * head;
        size_t to = ((size_t)a->to * (size_t)a->J + (size_t)j) * head;
        float *k = a->k_pool, *v = a->v_pool;
        for (int i = 0; i < a->D; i++) {
            memcpy(k + to + (size_t)i * OPS_PAGE, k + from + (size_t)i * OPS_PAGE, (size_t)a->n * sizeof *k);
        }
        memcpy(v + to, v + from, (size_t)a->n * (size_t)a->D * sizeof *v);
    }
}
