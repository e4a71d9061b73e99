/* kernels/cuda/cuda.h - the operations of struct ops (kernels/ops.h) on one NVIDIA GPU, and what they share.
 *
 * Private to kernels/. Elements are bf16, sums fp32, matrices [N, K] row-major. All work goes to one stream, in order;
 * a call returns before its work is done, and device_read waits for it. One GPU is open at a time in a process, and it
 * is used by one thread at a time.
 *
 * Exactness: the arithmetic of an output element is a fixed sequence (kernels/cuda/README.md). The one inner product of
 * everything is a chain of mma.sync.m16n8k16 over blocks of 16, ascending, from 0, zeros after the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_CUDA_H
#define KERNELS_CUDA_CUDA_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/device.h"
#include "kernels/ops.h"
#include "kernels/slots.h"

struct cuda_slot_memory {
    void *data;
    size_t bytes;
};

/* All state of this folder. */
struct cuda {
    struct device *device; /* NULL: no GPU is open */
    int index;             /* of the GPU among those of the machine */
    cudaStream_t stream;
    int n_processors;      /* multiprocessors */
    int capability;        /* 80, 90 ... */
    bool wait_each;        /* wait for every kernel, to find the one that fails (STROP_CUDA_WAIT=1) */
    bool time_each;        /* the same, and print a table of times at the end (STROP_CUDA_WAIT=time) */
    unsigned long n_freed; /* times that memory was given back: addresses noted before may name nothing */
    char *ring;            /* pinned, CUDA_RING_BYTES: what is being uploaded */
    size_t ring_at;        /* bytes of it in use */
    struct cuda_slot_memory slots[DEVICE_PHASES][CUDA_SLOTS];
    struct cuda_times *times;     /* kernels/cuda/device.c; each of these is made when it is first used */
    struct cuda_plans *plans;     /* kernels/cuda/plan.c */
    struct cuda_repeats *repeats; /* kernels/cuda/repeat.c */
    struct cuda_blas *blas;       /* kernels/cuda/blas.c */
    char name[64];
};

#define CUDA_RING_BYTES ((size_t)32 << 20)

extern struct cuda cuda;

/* At least `bytes`, aligned to 256; its contents are undefined. One array per purpose: it grows and never shrinks, or,
 * where the memory was reserved (device_reserve), has the size that was planned; more than that is a bug. */
void *cuda_slot(enum cuda_slot slot, size_t bytes);
void cuda_slot_set(enum cuda_slot slot, enum device_phase phase, void *data, size_t bytes);
/* Memory for a moment: CUDA_SLOT_TRIAL if it is large enough, else the system's; NULL if there is none left. */
void *cuda_borrow(size_t bytes);
void cuda_give_back(void *data);
/* Copies host memory, which may be changed at once, to the device: in stream order, without waiting. */
void cuda_upload(void *to, const void *from, size_t bytes);
/* Waits for all work, copies to host memory. */
void cuda_download(void *to, const void *from, size_t bytes);
/* Ends the program with `what`, the driver's sentence and the table of memory, if the call failed. */
void cuda_check(cudaError_t result, const char *what);
/* After each launch. */
void cuda_launched(const char *kernel);
/* Prints the table of times, if they were taken. */
void cuda_times_close(void);

/* ---- plans: spans and contexts as kernels want them (kernels/cuda/plan.c) ---- */

/* Rows of a block of attention: as many tokens as fit, times the query heads that share a key/value head. */
struct cuda_task {
    int32_t row, n_rows, position, pages; /* first row and its position; where its span's page list begins */
};

struct cuda_plan {
    const int2 *stores; /* device: {row, page * OPS_PAGE + slot} of every row of the spans */
    int n_stores;
    const int32_t *pages;          /* device: the page lists, one after the other */
    const struct cuda_task *tasks; /* device: first those of at most `few` rows, then the others */
    int n_few, n_many, n_rows;     /* n_rows: of the batch, up to the last span's end */
};

/* The plan of these spans, uploaded if the last ones were others. `rows`: tokens of a task; spans of at most `few` rows
 * are apart. Valid until the next call but two. */
const struct cuda_plan *cuda_plan_spans(const struct span *spans, int n_spans, int rows, int few);

/* Which plan of given spans. */
struct cuda_plan_key {
    int rows, few;
};
#define CUDA_PLAN_KEYS 2 /* of a repeated piece of work: where keys and values go, and attention */

/* Between the two calls the keys given to cuda_plan_spans are recorded; the second returns how many there were. */
void cuda_plan_record_begin(void);
int cuda_plan_record_end(struct cuda_plan_key keys[CUDA_PLAN_KEYS]);
/* Makes and uploads the plans that work on these spans, single rows all, will need: in the place of those of the last
 * spans, if n_spans is the same. Until cuda_plan_replay_end, cuda_plan_spans returns these and no others. */
void cuda_plan_replay_begin(const struct span *spans, int n_spans, const struct cuda_plan_key *keys, int n_keys);
void cuda_plan_replay_end(void);

/* Attention backward. Queries first .. of a context, or its keys first .. against the queries of context `with`. */
struct cuda_grad_task {
    int32_t context, first;
    int32_t with, part; /* keys only; part: where the sums go, -1: straight to their place */
};

/* A block of keys whose gradient comes in parts. */
struct cuda_parts_task {
    int32_t context, first, part, n_parts;
};

#define CUDA_GRAD_ROWS CUDA_PART_ROWS /* queries or keys of a task */

struct cuda_grad_plan {
    const struct context *contexts; /* all on the device */
    const struct cuda_grad_task *queries, *keys;
    const struct cuda_parts_task *sums;
    int n_rows, n_queries, n_keys, n_sums, n_parts; /* n_rows: of the batch */
};

/* The plan of these contexts, uploaded if the last ones were others. Valid until the next call. */
const struct cuda_grad_plan *cuda_plan_contexts(const struct context *contexts, int n_contexts);
void cuda_plan_close(void);

/* Drops what was recorded (kernels/cuda/repeat.c). */
void cuda_repeat_close(void);

/* ---- matrix products ---- */

/* C[m, n] (+)= sum over k of A(m, k) B(n, k), with A(m, k) at a[m * lda + k] or, transposed,
 * a[k * lda + m]; B likewise. */
struct cuda_product {
    const char *what; /* for messages and times */
    int M, N, K;
    const void *a, *b;
    size_t lda, ldb;
    bool a_transposed, b_transposed;
    void *c; /* bf16, or fp32 if wide */
    size_t ldc;
    bool wide, accumulate; /* fp32 out; add to what is there: after the sum, */
    bool from_c;           /* or by starting the sum from it (the reference only) */
    const void *bias;      /* [N] or NULL */
    const void *residual;  /* [M, N] with C's stride, or NULL; not with `wide` */
};

/* The reference: our own kernel. */
void cuda_product_reference(const struct cuda_product *p);
/* The fastest that gives the same bits; where it accumulates, the same as one of the two ways to do so. */
void cuda_product_run(const struct cuda_product *p);
/* Tries cuBLASLt; false if it has nothing for this product. The residual is not C itself. */
bool cuda_blas_run(const struct cuda_product *p);
void cuda_blas_close(void);

/* Numbers for a trial: rows of `width` elements, `line` apart, always the same. Sums of products of numbers that repeat
 * in their second half and numbers that are negative there are 0 but for the roundings on the way. */
enum cuda_trial { CUDA_TRIAL_PLAIN, CUDA_TRIAL_REPEATED, CUDA_TRIAL_NEGATIVE };
void cuda_trial_elements(void *to, size_t rows, size_t line, int width, enum cuda_trial kind, int shift);
/* The same numbers, transposed: `width` columns of `length` elements each. */
void cuda_trial_columns(void *to, int length, size_t line, int width, enum cuda_trial kind, int shift);
/* How many of the elements of rows of `width`, `stride` apart, differ in a bit; n from first to last. Waits. */
size_t cuda_count_different(const void *a, const void *b, size_t n, size_t width, size_t stride);

/* fp32 -> element, element -> fp32 */
void cuda_narrow(void *to, const float *from, size_t n);
void cuda_widen(float *to, const void *from, size_t n);

/* ---- the operations ---- */

size_t cuda_matrix_elements(int N, int K);
void cuda_matrix_import(void *matrix, const float *rows, int row, int n_rows, int N, int K);
void cuda_matrix_export(float *rows, const void *matrix, int row, int n_rows, int N, int K);
void cuda_wide_import(float *matrix, const float *rows, int row, int n_rows, int N, int K);
void cuda_wide_export(float *rows, const float *matrix, int row, int n_rows, int N, int K);
void cuda_bf16_import(uint16_t *matrix, const uint16_t *rows, int row, int n_rows, int N, int K);
void cuda_bf16_export(uint16_t *rows, const uint16_t *matrix, int row, int n_rows, int N, int K);
void cuda_embedding(const struct embedding_args *);
void cuda_embedding_grad(const struct embedding_args *);
void cuda_rmsnorm(const struct rmsnorm_args *);
void cuda_rmsnorm_grad(const struct rmsnorm_grad_args *);
void cuda_matmul(const struct matmul_args *);
void cuda_matmul_input_grad(const struct matmul_input_grad_args *);
void cuda_matmul_weight_grad(const struct matmul_weight_grad_args *);
void cuda_rope(const struct rope_args *);
void cuda_kv_store(const struct kv_store_args *);
void cuda_kv_copy(const struct kv_copy_args *);
void cuda_attention(const struct attention_args *);
void cuda_attention_grad(const struct attention_grad_args *);
void cuda_swiglu(const struct swiglu_args *);
void cuda_swiglu_grad(const struct swiglu_args *);
void cuda_matmul_wide(const struct matmul_args *);
void cuda_route(const struct route_args *);
void cuda_route_grad(const struct route_grad_args *);
void cuda_expert_order(const struct expert_order_args *);
void cuda_grouped_matmul(const struct grouped_matmul_args *);
void cuda_grouped_input_grad(const struct grouped_grad_args *);
void cuda_grouped_weight_grad(const struct grouped_grad_args *);
void cuda_combine(const struct combine_args *);
void cuda_weighted_swiglu_grad(const struct weighted_swiglu_grad_args *);
void cuda_gather_rows(const struct rows_args *);
void cuda_scatter_add_rows(const struct rows_args *);
void cuda_head(const struct head_args *);
void cuda_head_sample(const struct head_sample_args *);
void cuda_head_grad(const struct head_grad_args *);
void cuda_adamw(const struct adamw_args *);
double cuda_sum_squares(const float *x, size_t n);
void cuda_mix(void *to, const void *from, size_t n, float share);
void cuda_add(float *to, const float *from, size_t n);
void cuda_scale(void *x, size_t n, float factor);
void cuda_repeat(const struct repeat_args *);

#ifdef __cplusplus
}
#endif

#endif
