/* tests/kernels/cuda_repeat_test.c - work is done, then recorded, then replayed, each with plans in place, without a GPU.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <cuda_runtime.h>

#include "tests/kernels/fixture.h"

/* What the runtime is asked for, in order. */
static char events[256];

static cudaError_t say(const char *event)
{
    size_t used = strlen(events), n = strlen(event);
    assert_true(used + n + 2 <= sizeof events);
    memcpy(events + used, event, n);
    memcpy(events + used + n, " ", 2);
    return cudaSuccess;
}

static cudaError_t instantiate(cudaGraphExec_t *graph)
{
    static char places[8], *next = places;
    *graph = (cudaGraphExec_t)(void *)next++;
    return say("instantiate");
}

#define cudaStreamBeginCapture(stream, mode)     say("begin")
#define cudaStreamEndCapture(stream, graph)      (*(graph) = NULL, say("end"))
#define cudaGraphInstantiate(exec, graph, flags) instantiate(exec)
#define cudaGraphDestroy(graph)                  say("destroy")
#define cudaGraphExecDestroy(exec)               say("drop")
#define cudaGraphLaunch(exec, stream)            say("launch")
#include "kernels/cuda/repeat.c"

struct cuda cuda;
static bool plans_outgrow;

void cuda_check(cudaError_t result, const char *what)
{
    (void)what;
    assert_int_equal(result, cudaSuccess);
}

void cuda_launched(const char *kernel)
{
    (void)kernel;
}

void cuda_plan_record_begin(void)
{
    say("note");
}

int cuda_plan_record_end(struct cuda_plan_key keys[CUDA_PLAN_KEYS])
{
    keys[0] = (struct cuda_plan_key){9, 2};
    return 1;
}

void cuda_plan_replay_begin(const struct span *spans, int n_spans, const struct cuda_plan_key *keys, int n_keys)
{
    (void)spans;
    assert_int_equal(n_spans, 3);
    assert_int_equal(n_keys, 1);
    assert_int_equal(keys[0].rows, 9);
    say("plans");
    cuda.n_freed += plans_outgrow;
}

void cuda_plan_replay_end(void)
{
}

static void work(void *context)
{
    (void)context;
    say("work");
}

static void repeat(const char *key, const char *want)
{
    const struct repeat_args args = {.key = key, .key_bytes = strlen(key), .n_spans = 3, .work = work};
    events[0] = '\0';
    cuda_repeat(&args);
    assert_string_equal(events, want);
}

static int forget(void **state)
{
    (void)state;
    cuda_repeat_close();
    plans_outgrow = cuda.wait_each = false;
    return 0;
}

#define FIRST  "note work "
#define SECOND "plans begin work end instantiate destroy launch "
#define THIRD  "plans launch "

static void the_first_is_done_the_second_recorded_the_third_replayed(void **state)
{
    (void)state;
    repeat("a", FIRST);
    repeat("bb", FIRST);
    repeat("a", SECOND);
    repeat("a", THIRD);
    repeat("bb", SECOND);
    repeat("a", THIRD);
    repeat("bb", THIRD);
}

static void memory_that_moves_makes_it_begin_anew(void **state)
{
    (void)state;
    repeat("a", FIRST);
    repeat("a", SECOND);
    cuda.n_freed++;
    repeat("a", "drop " FIRST);
    repeat("a", SECOND);
    plans_outgrow = true; /* while the plans of the next pass are made */
    repeat("a", "plans drop " FIRST);
    plans_outgrow = false;
    repeat("a", SECOND);
}

static void who_waits_for_each_kernel_gets_kernels(void **state)
{
    (void)state;
    cuda.wait_each = true;
    repeat("a", "work ");
    repeat("a", "work ");
}

static void many_keys_are_forgotten_not_mixed_up(void **state)
{
    char key[16];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        repeat(key, FIRST);
    }
    repeat("99", SECOND);
    repeat("0", FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_first_is_done_the_second_recorded_the_third_replayed, forget),
        cmocka_unit_test_teardown(memory_that_moves_makes_it_begin_anew, forget),
        cmocka_unit_test_teardown(who_waits_for_each_kernel_gets_kernels, forget),
        cmocka_unit_test_teardown(many_keys_are_forgotten_not_mixed_up, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
