/* kernels/cuda/repeat.c - a pass of decoding recorded as a CUDA graph and launched again as one.
 *
 * Some 300 launches take the host 2 ms, which is more than a GPU needs for a few sequences. Work is done plainly when
 * its key is seen for the first time: that chooses cuBLASLt's algorithms and lets memory grow. The second time it is
 * recorded, from then on it is launched. Plans of spans are uploaded before, to where the recording looks for them.
 *
 * A recording names addresses, so all are dropped when any memory has been given back (cuda.n_freed) since the first
 * was made.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kernels/cuda/cuda.h"

#define RECORDINGS 64

struct recording {
    size_t key_bytes;
    char key[OPS_REPEAT_KEY];
    struct cuda_plan_key plans[CUDA_PLAN_KEYS];
    int n_plans;
    cudaGraphExec_t graph; /* NULL: seen once */
};

struct cuda_repeats {
    struct recording recordings[RECORDINGS];
    int n;
    unsigned long n_freed; /* cuda.n_freed when they were made */
};

static void drop_all(struct cuda_repeats *repeats)
{
    for (int i = 0; i < repeats->n; i++) {
        if (repeats->recordings[i].graph) {
            cuda_check(cudaGraphExecDestroy(repeats->recordings[i].graph), "cudaGraphExecDestroy");
        }
    }
    repeats->n = 0;
}

/* The recordings that are still good. */
static struct cuda_repeats *repeats_now(void)
{
    cuda.repeats = cuda.repeats ? cuda.repeats : mem_zero(sizeof *cuda.repeats);
    if (cuda.repeats->n_freed != cuda.n_freed) {
        drop_all(cuda.repeats);
        cuda.repeats->n_freed = cuda.n_freed;
    }
    return cuda.repeats;
}

void cuda_repeat_close(void)
{
    if (cuda.repeats) {
        drop_all(cuda.repeats);
        free(cuda.repeats);
        cuda.repeats = NULL;
    }
}

static struct recording *find(const struct repeat_args *a)
{
    struct cuda_repeats *repeats = repeats_now();
    for (int i = 0; i < repeats->n; i++) {
        struct recording *r = &repeats->recordings[i];
        if (r->key_bytes == a->key_bytes && memcmp(r->key, a->key, a->key_bytes) == 0) {
            return r;
        }
    }
    return NULL;
}

static void do_first(const struct repeat_args *a)
{
    struct recording seen = {.key_bytes = a->key_bytes};
    BUG_ON(a->key_bytes > OPS_REPEAT_KEY);
    memcpy(seen.key, a->key, a->key_bytes);
    cuda_plan_record_begin();
    a->work(a->context);
    seen.n_plans = cuda_plan_record_end(seen.plans);
    struct cuda_repeats *repeats = repeats_now(); /* last: the work may have made memory grow */
    if (repeats->n == RECORDINGS) {
        drop_all(repeats);
    }
    repeats->recordings[repeats->n++] = seen;
}

static void record(struct recording *r, const struct repeat_args *a)
{
    cudaGraph_t graph;
    cuda_check(cudaStreamBeginCapture(cuda.stream, cudaStreamCaptureModeThreadLocal), "recording a pass");
    a->work(a->context);
    cuda_check(cudaStreamEndCapture(cuda.stream, &graph), "recording a pass");
    cuda_check(cudaGraphInstantiate(&r->graph, graph, 0), "cudaGraphInstantiate");
    cuda_check(cudaGraphDestroy(graph), "cudaGraphDestroy");
}

void cuda_repeat(const struct repeat_args *a)
{
    struct recording *r = find(a);
    if (cuda.wait_each) { /* kernel by kernel, as STROP_CUDA_WAIT says */
        a->work(a->context);
        return;
    }
    if (!r) {
        do_first(a);
        return;
    }
    struct recording copy = *r;
    cuda_plan_replay_begin(a->spans, a->n_spans, copy.plans, copy.n_plans);
    r = find(a); /* the plans may have outgrown their place, and what named it is gone */
    if (!r) {
        cuda_plan_replay_end();
        do_first(a);
        return;
    }
    if (!r->graph) {
        record(r, a);
    }
    cuda_plan_replay_end();
    cuda_check(cudaGraphLaunch(r->graph, cuda.stream), "launching a recorded pass");
    cuda_launched("a recorded pass");
}
