/* kernels/cpu/kv.c - keys and values into their pages.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

static void store_row(const struct kv_store_args *a, int row, int32_t page, int slot)
{
    int Dv = a->Dv > 0 ? a->Dv : a->D;
    size_t head = (size_t)a->D * OPS_PAGE, v_head = (size_t)Dv * OPS_PAGE;
    for (int j = 0; j < a->J; j++) {
        const float *k = (const float *)a->k + (ptrdiff_t)row * a->kv_stride + (ptrdiff_t)j * a->D;
        const float *v = (const float *)a->v + (ptrdiff_t)row * a->kv_stride + (ptrdiff_t)j * Dv;
        float *k_page = (float *)a->k_pool + ((size_t)page * (size_t)a->J + (size_t)j) * head;
        float *v_page = (float *)a->v_pool + ((size_t)page * (size_t)a->J + (size_t)j) * v_head;
        for (int i = 0; i < a->D; i++) {
            k_page[(ptrdiff_t)i * OPS_PAGE + slot] = k[i];
        }
        memcpy(v_page + (ptrdiff_t)slot * Dv, v, (size_t)Dv * sizeof *v);
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
    size_t Dv = (size_t)(a->Dv > 0 ? a->Dv : a->D), head = (size_t)a->D * OPS_PAGE, v_head = Dv * OPS_PAGE;
    for (int j = 0; j < a->J; j++) {
        size_t from = (size_t)a->from * (size_t)a->J + (size_t)j, to = (size_t)a->to * (size_t)a->J + (size_t)j;
        float *k = a->k_pool, *v = a->v_pool;
        for (size_t i = 0; i < head; i += OPS_PAGE) {
            memcpy(k + to * head + i, k + from * head + i, (size_t)a->n * sizeof *k);
        }
        memcpy(v + to * v_head, v + from * v_head, (size_t)a->n * Dv * sizeof *v);
    }
}
