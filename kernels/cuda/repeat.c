/* kernels/cuda/repeat.c - a pass of decoding recorded as a CUDA graph and launched again as one.
 *
 * Some 300 launches take the host 2 ms, which is more than a GPU needs for a few sequences. Work is done plainly when its key is
 * seen for the first time: that chooses cuBLASLt's algorithms and lets memory grow. The second time it is recorded, from
 * then on it is launched. Plans of spans are uploaded before, to where the recording looks for them.
 *
 * A recording names addresses, so all are dropped before any memory is given back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/err.h"
#include "kernels/cuda/cuda.h"

#define RECORDINGS 64

struct recording {
    size_t key_bytes; /* 0: free */
    char key[OPS_REPEAT_KEY];
    struct cuda_plan_wish wishes[CUDA_PLAN_WISHES];
    int n_wishes;
    cudaGraphExec_t graph; /* NULL: seen once */
};

static struct recording recordings[RECORDINGS];
static int n_recordings;

void cuda_repeat_forget(void)
{
    for (int i = 0; i < n_recordings; i++) {
        if (recordings[i].graph) {
            cuda_check(cudaGraphExecDestroy(recordings[i].graph), "cudaGraphExecDestroy");
        }
    }
    n_recordings = 0;
}

static struct recording *find(const struct repeat_args *a)
{
    for (int i = 0; i < n_recordings; i++) {
        struct recording *r = &recordings[i];
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
    cuda_plan_listen();
    a->work(a->context);
    seen.n_wishes = cuda_plan_heard(seen.wishes);
    if (n_recordings == RECORDINGS) {
        cuda_repeat_forget();
    }
    recordings[n_recordings++] = seen; /* last: memory that grew has dropped all that was recorded */
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
    if (cuda.wait_each) { /* kernel by kernel, as it was asked for */
        a->work(a->context);
        return;
    }
    if (!r) {
        do_first(a);
        return;
    }
    struct recording copy = *r;
    cuda_plan_begin(a->spans, a->n_spans, copy.wishes, copy.n_wishes);
    r = find(a); /* the plans may have outgrown their place, and what named it is gone */
    if (!r) {
        cuda_plan_end();
        do_first(a);
        return;
    }
    if (!r->graph) {
        record(r, a);
    }
    cuda_plan_end();
    cuda_check(cudaGraphLaunch(r->graph, cuda.stream), "launching a recorded pass");
    cuda_launched("a recorded pass");
}
