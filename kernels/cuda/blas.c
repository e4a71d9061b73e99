/* kernels/cuda/blas.c - matrix products by cuBLASLt, each algorithm admitted only after it gave the reference's bits.
 *
 * Reductions over pieces of K (split-K) are refused in the search. The algorithms that are offered are tried on two
 * sets of numbers (cuda_trial_elements), those whose output differs from cuda_product_reference in one bit are dropped,
 * and the fastest of the others is kept, for that shape and range of M (or of K, where K counts tokens). Which one it
 * is does not matter for the bits. Seen on an H200: an algorithm that accumulates in place starts its sum from C.
 *
 * The library is opened at run time; without it every product is our own kernel's. STROP_CUBLAS=0 does without it;
 * STROP_CUBLAS=any takes the fastest algorithm of all, split-K among them, whatever its bits: the price of exactness is
 * the time between the two (tests/gpu/bench_gpu.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "kernels/cuda/cuda.h"

#define WORKSPACE_BYTES CUDA_BLAS_BYTES
#define CANDIDATES      8
#define ALIGNMENT       16                 /* of all pointers, in bytes */
#define TRIAL_TOKENS    CUDA_TRIAL_TOKENS  /* at most: M of a forward product, K of a weight's gradient */
#define TRIAL_OUTPUTS   CUDA_TRIAL_OUTPUTS /* at most, of a weight's gradient */
#define TRIAL_ROUNDS    4
#define UNEVEN          5    /* less than the least step of ranges */
#define ENTRIES         4096 /* a power of 2 */

/* A product as the library wants it: column-major, so C^T = B A^T. */
struct call {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t first, second, out; /* our b, our a, C */
};

struct key {
    int M, N, K;
    size_t lda, ldb, ldc;
    int flags; /* what else matters for the choice */
};

struct entry {
    bool used, usable;
    struct key key;
    struct call call; /* of products: M and K as they are */
    cublasLtMatmulAlgo_t algorithm;
};

struct cuda_blas {
    void *library;
    bool any;                /* bits do not matter */
    cublasLtHandle_t handle; /* NULL: there is no library */
    cublasStatus_t (*create)(cublasLtHandle_t *);
    cublasStatus_t (*destroy)(cublasLtHandle_t);
    cublasStatus_t (*desc_create)(cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t);
    cublasStatus_t (*desc_destroy)(cublasLtMatmulDesc_t);
    cublasStatus_t (*desc_set)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *, size_t);
    cublasStatus_t (*layout_create)(cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t, int64_t);
    cublasStatus_t (*layout_destroy)(cublasLtMatrixLayout_t);
    cublasStatus_t (*preference_create)(cublasLtMatmulPreference_t *);
    cublasStatus_t (*preference_destroy)(cublasLtMatmulPreference_t);
    cublasStatus_t (*preference_set)(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void *,
                                     size_t);
    cublasStatus_t (*heuristic)(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
                                cublasLtMatmulHeuristicResult_t[], int *);
    cublasStatus_t (*matmul)(cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *, cublasLtMatrixLayout_t,
                             const void *, cublasLtMatrixLayout_t, const void *, const void *, cublasLtMatrixLayout_t,
                             void *, cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *, void *, size_t,
                             cudaStream_t);
    struct entry *products; /* [ENTRIES] by exact shape */
    struct entry *choices;  /* [ENTRIES] by shape with M and, backward, K in ranges */
    int n_products, n_choices;
};

/* ---- the library ---- */

static bool find_symbols(struct cuda_blas *blas)
{
    const struct {
        const char *name;
        void *at;
    } symbols[] = {
        {"cublasLtCreate", &blas->create},
        {"cublasLtDestroy", &blas->destroy},
        {"cublasLtMatmulDescCreate", &blas->desc_create},
        {"cublasLtMatmulDescDestroy", &blas->desc_destroy},
        {"cublasLtMatmulDescSetAttribute", &blas->desc_set},
        {"cublasLtMatrixLayoutCreate", &blas->layout_create},
        {"cublasLtMatrixLayoutDestroy", &blas->layout_destroy},
        {"cublasLtMatmulPreferenceCreate", &blas->preference_create},
        {"cublasLtMatmulPreferenceDestroy", &blas->preference_destroy},
        {"cublasLtMatmulPreferenceSetAttribute", &blas->preference_set},
        {"cublasLtMatmulAlgoGetHeuristic", &blas->heuristic},
        {"cublasLtMatmul", &blas->matmul},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(blas->library, symbols[i].name);
        if (!found) {
            return false;
        }
        memcpy(symbols[i].at, &found, sizeof found);
    }
    return true;
}

static void open_library(struct cuda_blas *blas)
{
    static const char *const names[] = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"};
    const char *wish = getenv("STROP_CUBLAS");
    bool off = wish && strcmp(wish, "0") == 0;
    blas->any = wish && strcmp(wish, "any") == 0;
    for (size_t i = 0; !blas->library && i < sizeof names / sizeof *names && !off; i++) {
        blas->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!blas->library || !find_symbols(blas) || blas->create(&blas->handle) != CUBLAS_STATUS_SUCCESS) {
        log_warning("cuBLASLt 13 is not there: matrix products use our own kernel, which is slower");
        blas->handle = NULL;
        return;
    }
    blas->products = mem_zero(ENTRIES * sizeof *blas->products);
    blas->choices = mem_zero(ENTRIES * sizeof *blas->choices);
}

/* Whether there is the library. */
static bool blas_open(void)
{
    if (!cuda.blas) {
        cuda.blas = mem_zero(sizeof *cuda.blas);
        open_library(cuda.blas);
    }
    return cuda.blas->handle != NULL;
}

/* ---- calls ---- */

static bool make_call(struct call *call, const struct cuda_product *p, int M, int K)
{
    const struct cuda_blas *blas = cuda.blas;
    cublasOperation_t first = p->b_transposed ? CUBLAS_OP_N : CUBLAS_OP_T,
                      second = p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cudaDataType_t in = CUDA_R_16BF, out = p->wide ? CUDA_R_32F : CUDA_R_16BF;
    uint64_t m = (uint64_t)M, n = (uint64_t)p->N, k = (uint64_t)K;
    bool good = blas->desc_create(&call->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS;
    good =
        good && blas->desc_set(call->desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first) == CUBLAS_STATUS_SUCCESS;
    good = good &&
           blas->desc_set(call->desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second) == CUBLAS_STATUS_SUCCESS;
    if (p->bias) {
        cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        good = good && blas->desc_set(call->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) ==
                           CUBLAS_STATUS_SUCCESS;
        good = good && blas->desc_set(call->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias) ==
                           CUBLAS_STATUS_SUCCESS;
    }
    good = good && blas->layout_create(&call->first, in, p->b_transposed ? n : k, p->b_transposed ? k : n,
                                       (int64_t)p->ldb) == CUBLAS_STATUS_SUCCESS;
    good = good && blas->layout_create(&call->second, in, p->a_transposed ? m : k, p->a_transposed ? k : m,
                                       (int64_t)p->lda) == CUBLAS_STATUS_SUCCESS;
    return good && blas->layout_create(&call->out, out, n, m, (int64_t)p->ldc) == CUBLAS_STATUS_SUCCESS;
}

static void free_call(struct call *call)
{
    const struct cuda_blas *blas = cuda.blas;
    if (call->desc) {
        blas->desc_destroy(call->desc);
    }
    cublasLtMatrixLayout_t layouts[] = {call->first, call->second, call->out};
    for (int i = 0; i < 3; i++) {
        if (layouts[i]) {
            blas->layout_destroy(layouts[i]);
        }
    }
    *call = (struct call){0};
}

static bool multiply(const struct call *call, const struct cuda_product *p, const cublasLtMatmulAlgo_t *algorithm)
{
    const struct cuda_blas *blas = cuda.blas;
    const float one = 1, zero = 0;
    const void *c = p->residual ? p->residual : p->c;
    if (p->bias && blas->desc_set(call->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias) !=
                       CUBLAS_STATUS_SUCCESS) {
        return false;
    }
    return blas->matmul(blas->handle, call->desc, &one, p->b, call->first, p->a, call->second,
                        p->residual || p->accumulate ? &one : &zero, c, call->out, p->c, call->out, algorithm,
                        cuda_slot(CUDA_SLOT_BLAS, WORKSPACE_BYTES), WORKSPACE_BYTES,
                        cuda.stream) == CUBLAS_STATUS_SUCCESS;
}

static bool set_number(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t what, uint32_t value)
{
    return cuda.blas->preference_set(preference, what, &value, sizeof value) == CUBLAS_STATUS_SUCCESS;
}

/* Algorithms for the call that sum all of K in one go (or any at all); how many. */
static int find_algorithms(const struct call *call, cublasLtMatmulHeuristicResult_t *found)
{
    const struct cuda_blas *blas = cuda.blas;
    cublasLtMatmulPreference_t preference;
    size_t workspace = WORKSPACE_BYTES;
    uint32_t reductions = blas->any ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_NONE;
    int n = 0;
    if (blas->preference_create(&preference) != CUBLAS_STATUS_SUCCESS) {
        return 0;
    }
    if (blas->preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace) !=
            CUBLAS_STATUS_SUCCESS ||
        !set_number(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions) ||
        !set_number(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, ALIGNMENT) ||
        !set_number(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, ALIGNMENT) ||
        !set_number(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, ALIGNMENT) ||
        !set_number(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, ALIGNMENT) ||
        blas->heuristic(blas->handle, call->desc, call->first, call->second, call->out, call->out, preference,
                        CANDIDATES, found, &n) != CUBLAS_STATUS_SUCCESS) {
        n = 0;
    }
    blas->preference_destroy(preference);
    return n;
}

/* ---- trials ---- */

static size_t aligned(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* A product on numbers of our own, and a place for what the reference makes of them. */
struct trial {
    void *memory; /* borrowed; NULL: there was none */
    struct cuda_product product;
    void *wanted;
    size_t c_bytes;
};

static size_t line_of(int n)
{
    return ((size_t)n + 63) / 64 * 64;
}

static struct trial trial_of(const struct cuda_product *p)
{
    struct trial trial = {.product = *p};
    struct cuda_product *t = &trial.product;
    int most = p->a_transposed ? TRIAL_OUTPUTS : TRIAL_TOKENS;
    t->M = p->M < most ? p->M : most;
    t->K = p->a_transposed && p->K > TRIAL_TOKENS ? TRIAL_TOKENS : p->K;
    size_t line_a = line_of(p->a_transposed ? t->M : t->K), line_b = line_of(p->b_transposed ? t->N : t->K);
    t->lda = t->lda < line_a ? t->lda : line_a; /* no more memory than needed */
    t->ldb = t->ldb < line_b ? t->ldb : line_b;
    size_t a = aligned(2 * (size_t)(p->a_transposed ? t->K : t->M) * t->lda);
    size_t b = aligned(2 * (size_t)(p->b_transposed ? t->K : p->N) * t->ldb), bias = aligned(2 * (size_t)p->N);
    size_t c = aligned((p->wide ? 4 : 2) * (size_t)t->M * t->ldc);
    trial.memory = cuda_borrow(a + b + bias + 3 * c + ALIGNMENT);
    if (!trial.memory) {
        return trial;
    }
    char *memory = (char *)trial.memory + ALIGNMENT; /* and no better */
    t->a = memory;
    t->b = memory + a;
    t->bias = p->bias ? memory + a + b : NULL;
    t->residual = p->residual ? memory + a + b + bias : NULL;
    t->c = memory + a + b + bias + c;
    trial.wanted = memory + a + b + bias + 2 * c;
    trial.c_bytes = c;
    return trial;
}

static void fill_operand(const void *x, int rows, size_t line, int K, bool transposed, enum cuda_trial kind)
{
    if (transposed) {
        cuda_trial_columns((void *)(uintptr_t)x, K, line, rows, kind, 0);
    } else {
        cuda_trial_elements((void *)(uintptr_t)x, (size_t)rows, line, K, kind, 0);
    }
}

/* In the second trial sums cancel, and bias and residual are as small as what is left of them. */
static void fill_trial(const struct cuda_product *t, bool cancels)
{
    int shift = cancels ? -18 : 0;
    fill_operand(t->a, t->M, t->lda, t->K, t->a_transposed, cancels ? CUDA_TRIAL_REPEATED : CUDA_TRIAL_PLAIN);
    fill_operand(t->b, t->N, t->ldb, t->K, t->b_transposed, cancels ? CUDA_TRIAL_NEGATIVE : CUDA_TRIAL_PLAIN);
    if (t->bias) {
        cuda_trial_elements((void *)(uintptr_t)t->bias, 1, (size_t)t->N, t->N, CUDA_TRIAL_PLAIN, shift);
    }
    if (t->residual) {
        cuda_trial_elements((void *)(uintptr_t)t->residual, (size_t)t->M, t->ldc, t->N, CUDA_TRIAL_PLAIN, shift);
    }
}

/* What is in C before: numbers of any kind where they count, else not-a-numbers, which show what an algorithm leaves
 * out. */
static void fill_c(const struct trial *trial, void *c, bool cancels)
{
    if (trial->product.accumulate) {
        cuda_trial_elements(c, 1, trial->c_bytes / 2, (int)(trial->c_bytes / 2), CUDA_TRIAL_PLAIN, cancels ? -18 : 0);
    } else {
        cuda_check(cudaMemsetAsync(c, 0xFF, trial->c_bytes, cuda.stream), "a memory fill");
    }
}

/* Which of the n algorithms give the reference's bits; all, if bits do not matter. */
static void compare(const struct trial *trial, const struct cuda_product *t, bool from_c, const struct call *call,
                    const cublasLtMatmulHeuristicResult_t *found, int n, bool *equal)
{
    struct cuda_product reference = *t;
    size_t halves = t->wide ? 2 : 1, elements = ((size_t)(t->M - 1) * t->ldc + (size_t)t->N) * halves;
    reference.c = trial->wanted;
    reference.from_c = from_c;
    if (cuda.blas->any) {
        fill_trial(t, false);
        fill_c(trial, t->c, false);
        return;
    }
    for (int cancels = 0; cancels < 2; cancels++) {
        fill_trial(t, cancels);
        fill_c(trial, reference.c, cancels);
        cuda_product_reference(&reference);
        for (int i = 0; i < n; i++) {
            fill_c(trial, t->c, cancels);
            equal[i] = equal[i] && multiply(call, t, &found[i].algo) &&
                       cuda_count_different(t->c, trial->wanted, elements, (size_t)t->N * halves, t->ldc * halves) == 0;
        }
    }
}

/* The trial moved down to where operands in use begin, at 256 bytes: at 16 and no better, fetches straddle cache lines,
 * and every algorithm takes up to twice as long. It is then of other numbers, of the same kind. */
static struct cuda_product as_used(const struct cuda_product *t)
{
    struct cuda_product moved = *t;
    moved.a = (const char *)t->a - ALIGNMENT;
    moved.b = (const char *)t->b - ALIGNMENT;
    moved.c = (char *)t->c - ALIGNMENT;
    moved.bias = t->bias ? (const char *)t->bias - ALIGNMENT : NULL;
    moved.residual = t->residual ? (const char *)t->residual - ALIGNMENT : NULL;
    return moved;
}

/* Milliseconds of the fastest of a few calls. The workspace is filled before each: that empties the cache, as the other
 * layers of a model do, and keeps the GPU busy until the call is there. */
static float time_of(const struct call *call, const struct cuda_product *t, const cublasLtMatmulAlgo_t *algorithm)
{
    cudaEvent_t begin, end;
    float least = 0;
    cuda_check(cudaEventCreate(&begin), "cudaEventCreate");
    cuda_check(cudaEventCreate(&end), "cudaEventCreate");
    multiply(call, t, algorithm); /* loads its code */
    for (int i = 0; i < TRIAL_ROUNDS; i++) {
        float ms;
        cuda_check(cudaMemsetAsync(cuda_slot(CUDA_SLOT_BLAS, WORKSPACE_BYTES), 0, WORKSPACE_BYTES, cuda.stream),
                   "a memory fill");
        cuda_check(cudaEventRecord(begin, cuda.stream), "cudaEventRecord");
        multiply(call, t, algorithm);
        cuda_check(cudaEventRecord(end, cuda.stream), "cudaEventRecord");
        cuda_check(cudaEventSynchronize(end), "waiting for a trial");
        cuda_check(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
        least = i == 0 || ms < least ? ms : least;
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return least;
}

/* The fastest of the n whose bits are the reference's, if there is one. Those that add to C after the sum are preferred
 * to those that start from it; both kinds are never mixed, so the bits do not depend on times. An algorithm serves a
 * whole range of M or K, so it is tried at the end of the range and at a size that no tile divides: some sum what is
 * left over first. */
static void admit(struct entry *choice, const struct cuda_product *p, const cublasLtMatmulHeuristicResult_t *found,
                  int n)
{
    struct trial trial = trial_of(p);
    struct cuda_product *t = &trial.product, uneven = *t, timed = as_used(t);
    struct call call = {0}, uneven_call = {0};
    *(p->a_transposed ? &uneven.K : &uneven.M) -= UNEVEN;
    bool made = trial.memory && make_call(&call, t, t->M, t->K) && make_call(&uneven_call, &uneven, uneven.M, uneven.K);
    int n_equal = 0, from_c = 0;
    for (; made && n_equal == 0 && from_c <= (p->accumulate ? 1 : 0); from_c++) {
        bool equal[CANDIDATES];
        float best = 0;
        memset(equal, true, sizeof equal);
        compare(&trial, &uneven, from_c, &uneven_call, found, n, equal);
        compare(&trial, t, from_c, &call, found, n, equal);
        for (int i = 0; i < n; i++) {
            float ms = equal[i] ? time_of(&call, &timed, &found[i].algo) : 0;
            n_equal += equal[i];
            if (equal[i] && (!choice->usable || ms < best)) {
                best = ms;
                choice->algorithm = found[i].algo;
                choice->usable = true;
            }
        }
    }
    free_call(&uneven_call);
    free_call(&call);
    if (trial.memory) {
        cuda_give_back(trial.memory);
    } else {
        log_warning("%s %d x %d x %d: there is no memory left to try cuBLASLt; our own kernel does it, slower", p->what,
                    p->M, p->N, p->K);
    }
    if (n_equal < n) {
        log_debug("%s %d x %d x %d: %d of %d algorithms of cuBLASLt give the reference's bits%s", p->what, p->M, p->N,
                  p->K, n_equal, n, from_c > 1 ? " from C" : "");
    }
}

/* ---- tables ---- */

static struct entry *find(struct entry *table, const struct key *key)
{
    uint64_t hash = 1469598103934665603u;
    uint64_t parts[] = {(uint64_t)key->M, (uint64_t)key->N, (uint64_t)key->K,    key->lda,
                        key->ldb,         key->ldc,         (uint64_t)key->flags};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        hash = (hash ^ parts[i]) * 1099511628211u;
        hash ^= hash >> 29;
    }
    for (size_t i = hash % ENTRIES;; i = (i + 1) % ENTRIES) {
        struct entry *e = &table[i];
        if (!e->used || (e->key.M == key->M && e->key.N == key->N && e->key.K == key->K && e->key.lda == key->lda &&
                         e->key.ldb == key->ldb && e->key.ldc == key->ldc && e->key.flags == key->flags)) {
            return e;
        }
    }
}

/* The end of the range that n is in: algorithms are chosen once per range. */
static int range_of(int n)
{
    int step = n <= 64 ? 16 : n <= 512 ? 64 : n <= 4096 ? 512 : 4096;
    return (n + step - 1) / step * step;
}

static int alignment_of(const void *p)
{
    return (uintptr_t)p % ALIGNMENT == 0 ? 0 : 1;
}

static struct key key_of(const struct cuda_product *p)
{
    int flags = p->a_transposed | p->b_transposed << 1 | p->wide << 2 | p->accumulate << 3 | (p->bias != NULL) << 4 |
                (p->residual != NULL) << 5;
    flags |= (alignment_of(p->a) | alignment_of(p->b) | alignment_of(p->c) | alignment_of(p->bias) |
              alignment_of(p->residual))
             << 7;
    return (struct key){p->M, p->N, p->K, p->lda, p->ldb, p->ldc, flags};
}

static void choose(struct entry *choice, const struct cuda_product *p)
{
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    struct call call = {0};
    int n = 0;
    if (make_call(&call, p, choice->key.M, choice->key.K)) {
        n = find_algorithms(&call, found);
    }
    free_call(&call);
    if (n > 0) {
        struct cuda_product whole = *p;
        whole.M = choice->key.M;
        whole.K = choice->key.K;
        admit(choice, &whole, found, n);
    }
}

static void forget_products(struct cuda_blas *blas)
{
    for (int i = 0; blas->products && i < ENTRIES; i++) {
        free_call(&blas->products[i].call);
        blas->products[i] = (struct entry){0};
    }
    blas->n_products = 0;
}

static struct entry *product_entry(const struct cuda_product *p)
{
    struct cuda_blas *blas = cuda.blas;
    struct key key = key_of(p), range = key;
    struct entry *e = find(blas->products, &key);
    if (e->used) {
        return e;
    }
    if (blas->n_products == ENTRIES / 2) {
        forget_products(blas);
        e = find(blas->products, &key);
    }
    range.M = p->a_transposed ? p->M : range_of(p->M);
    range.K = p->a_transposed ? range_of(p->K) : p->K;
    struct entry *choice = find(blas->choices, &range);
    if (!choice->used) {
        if (blas->n_choices++ == ENTRIES / 2) { /* many shapes: begin anew */
            memset(blas->choices, 0, ENTRIES * sizeof *blas->choices);
            blas->n_choices = 0;
            choice = find(blas->choices, &range);
        }
        *choice = (struct entry){.used = true, .key = range};
        if (range.flags < 1 << 7) { /* all pointers at 16 bytes */
            choose(choice, p);
        }
    }
    *e = (struct entry){.used = true, .key = key, .algorithm = choice->algorithm};
    e->usable = choice->usable && make_call(&e->call, p, p->M, p->K);
    blas->n_products++;
    return e;
}

bool cuda_blas_run(const struct cuda_product *p)
{
    if (!blas_open()) {
        return false;
    }
    BUG_ON(p->from_c || (p->residual && p->residual == p->c));
    struct entry *e = product_entry(p);
    if (e->usable && !multiply(&e->call, p, &e->algorithm)) {
        e->usable = false; /* chosen for its range, but not for this M */
    }
    if (e->usable && cuda.time_each) {
        char what[64];
        snprintf(what, sizeof what, "%s N %d K %d", p->what, p->N, p->a_transposed ? p->M : p->K);
        cuda_launched(what);
    } else if (e->usable) {
        cuda_launched(p->what);
    }
    return e->usable;
}

void cuda_blas_close(void)
{
    struct cuda_blas *blas = cuda.blas;
    if (!blas) {
        return;
    }
    forget_products(blas);
    if (blas->handle) {
        blas->destroy(blas->handle);
    }
    if (blas->library) {
        dlclose(blas->library);
    }
    free(blas->products);
    free(blas->choices);
    free(blas);
    cuda.blas = NULL;
}
