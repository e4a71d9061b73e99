/* tests/kernels/cuda_plan_test.c - spans and contexts made flat for the GPU, with ordinary memory in its place.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/plan.c"

#include "kernels/device.h"
#include "kernels/rng.h"
#include "tests/kernels/fixture.h"

#define SLOT_BYTES 65536

struct cuda cuda;
static void *slots[CUDA_SLOTS];
static size_t most_bytes[CUDA_SLOTS]; /* that were asked for */
static int n_uploads;

void *cuda_slot(enum cuda_slot slot, size_t bytes)
{
    most_bytes[slot] = bytes > most_bytes[slot] ? bytes : most_bytes[slot];
    assert_true(bytes < SLOT_BYTES);
    slots[slot] = slots[slot] ? slots[slot] : mem_zero(SLOT_BYTES);
    return slots[slot];
}

void cuda_upload(void *to, const void *from, size_t bytes)
{
    n_uploads++;
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
}

static int release(void **state)
{
    (void)state;
    cuda_plan_close();
    for (int i = 0; i < CUDA_SLOTS; i++) {
        free(slots[i]);
        slots[i] = NULL;
    }
    n_uploads = 0;
    return 0;
}

static const int32_t first_pages[] = {4, 2, 9}, second_pages[] = {7}, third_pages[] = {0, 5, 3};

static void rows_find_their_slots(void **state)
{
    (void)state;
    const struct span spans[] = {{0, 3, 126, first_pages}, {3, 1, 0, second_pages}};
    const struct cuda_plan *plan = cuda_plan_spans(spans, 2, 0, 0);
    const int want[][2] = {{0, 4 * 128 + 126}, {1, 4 * 128 + 127}, {2, 2 * 128}, {3, 7 * 128}};
    assert_int_equal(plan->n_stores, 4);
    assert_int_equal(plan->n_few + plan->n_many, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(plan->stores[i].x, want[i][0]);
        assert_int_equal(plan->stores[i].y, want[i][1]);
    }
}

static void check_task(const struct cuda_plan *plan, int i, int row, int n_rows, int position, const int32_t *pages)
{
    const struct cuda_task *t = &plan->tasks[i];
    assert_int_equal(t->row, row);
    assert_int_equal(t->n_rows, n_rows);
    assert_int_equal(t->position, position);
    int n = (position + n_rows + OPS_PAGE - 1) / OPS_PAGE;
    assert_memory_equal(plan->pages + t->pages, pages, (size_t)n * sizeof *pages);
}

static void spans_are_cut_into_tasks_the_longest_first(void **state)
{
    (void)state;
    const struct span spans[] = {{0, 20, 250, first_pages}, {20, 2, 17, second_pages}, {22, 9, 255, third_pages}};
    const struct cuda_plan *plan = cuda_plan_spans(spans, 3, 9, 2);
    assert_int_equal(plan->n_few, 1);
    assert_int_equal(plan->n_many, 4);
    check_task(plan, 0, 20, 2, 17, second_pages);
    check_task(plan, 1, 18, 2, 268, first_pages);
    check_task(plan, 2, 9, 9, 259, first_pages);
    check_task(plan, 3, 22, 9, 255, third_pages);
    check_task(plan, 4, 0, 9, 250, first_pages);
    assert_int_equal((uintptr_t)plan->tasks % 16, 0);
    assert_int_equal((uintptr_t)plan->pages % 4, 0);
}

static void equal_spans_are_uploaded_once(void **state)
{
    (void)state;
    int32_t pages[] = {4, 2, 9}, copied[] = {4, 2, 9};
    struct span spans[] = {{0, 20, 250, pages}};
    const struct cuda_plan *plan = cuda_plan_spans(spans, 1, 9, 2);
    assert_int_equal(n_uploads, 1);
    spans[0].pages = copied; /* the same numbers elsewhere */
    assert_ptr_equal(cuda_plan_spans(spans, 1, 9, 2), plan);
    assert_int_equal(n_uploads, 1);
    cuda_plan_spans(spans, 1, 0, 0); /* another kind of plan; the first stays */
    assert_ptr_equal(cuda_plan_spans(spans, 1, 9, 2), plan);
    assert_int_equal(n_uploads, 2);
    copied[2] = 8;
    const struct cuda_plan *other = cuda_plan_spans(spans, 1, 9, 2);
    assert_int_equal(n_uploads, 3);
    assert_int_equal(other->pages[2], 8);
    assert_int_equal(plan->pages[2], 9);
    spans[0].position++;
    cuda_plan_spans(spans, 1, 9, 2);
    assert_int_equal(n_uploads, 4);
}

/* Every pair of a key block and a context that sees it has one task, those of most queries first; parts are numbered
 * without gaps. */
static void keys_of_a_shared_prompt_come_in_parts(void **state)
{
    (void)state;
    static const struct context contexts[] = {
        {0, 0, 0, 150}, {0, 150, 150, 70}, {0, 130, 220, 33}, {0, 5, 253, 129}, {0, 0, 382, 1}};
    static const struct cuda_grad_task keys[] = {
        {0, 0, 0, 0},   {0, 0, 3, 3},   {3, 0, 3, -1},  {0, 64, 0, 4},   {0, 0, 1, 1},  {0, 64, 1, 5},
        {0, 128, 1, 8}, {1, 0, 1, -1},  {3, 64, 3, -1}, {0, 0, 2, 2},    {0, 64, 2, 6}, {0, 128, 2, 9},
        {2, 0, 2, -1},  {0, 128, 0, 7}, {1, 64, 1, -1}, {3, 128, 3, -1}, {4, 0, 4, -1},
    };
    static const struct cuda_parts_task sums[] = {{0, 0, 0, 4}, {0, 64, 4, 3}, {0, 128, 7, 3}};
    const struct cuda_grad_plan *plan = cuda_plan_contexts(contexts, 5);
    assert_int_equal(plan->n_rows, 383);
    assert_int_equal(plan->n_queries, 3 + 2 + 1 + 3 + 1);
    assert_int_equal(plan->n_parts, 10);
    assert_int_equal(plan->n_keys, (int)(sizeof keys / sizeof *keys));
    assert_memory_equal(plan->keys, keys, sizeof keys);
    assert_int_equal(plan->n_sums, 3);
    assert_memory_equal(plan->sums, sums, sizeof sums);
    assert_memory_equal(plan->contexts, contexts, sizeof contexts);
    assert_int_equal(plan->queries[0].context, 1); /* those that see most keys first */
    assert_int_equal(plan->queries[0].first, 64);
    int uploads = n_uploads;
    assert_ptr_equal(cuda_plan_contexts(contexts, 5), plan);
    assert_int_equal(n_uploads, uploads);
    cuda_plan_contexts(contexts, 4);
    assert_int_equal(plan->n_keys, 16);
}

/* Repeated work finds its plans where they lay before, though pages have been added. */
static void repeated_plans_stay_where_they_are(void **state)
{
    (void)state;
    struct cuda_plan_key keys[CUDA_PLAN_KEYS];
    struct span spans[] = {{0, 1, 127, first_pages}, {1, 1, 3, second_pages}};
    cuda_plan_record_begin();
    cuda_plan_spans(spans, 2, 0, 0);
    cuda_plan_spans(spans, 2, 9, 2);
    cuda_plan_spans(spans, 2, 0, 0);
    assert_int_equal(cuda_plan_record_end(keys), 2);
    cuda_plan_replay_begin(spans, 2, keys, 2);
    struct cuda_plan stores = *cuda_plan_spans(spans, 2, 0, 0), tasks = *cuda_plan_spans(spans, 2, 9, 2);
    cuda_plan_replay_end();
    assert_int_equal(stores.n_stores, 2);
    assert_int_equal(tasks.n_few, 2);
    int uploads = n_uploads;
    spans[0].position = 128; /* a page more */
    cuda_plan_replay_begin(spans, 2, keys, 2);
    const struct cuda_plan *again = cuda_plan_spans(spans, 2, 9, 2);
    assert_int_equal(n_uploads, uploads + 2);
    assert_ptr_equal(cuda_plan_spans(spans, 2, 0, 0)->stores, stores.stores);
    assert_ptr_equal(again->tasks, tasks.tasks);
    assert_ptr_equal(again->pages, tasks.pages);
    assert_int_equal(again->n_few, 2);
    check_task(again, 0, 0, 1, 128, first_pages);
    check_task(again, 1, 1, 1, 3, second_pages);
    cuda_plan_replay_end();
}

/* Batches of all kinds within the limits never ask for more than cuda_slots_plan says. */
static void plans_fit_their_slots(void **state)
{
    (void)state;
    struct rng rng = rng_stream(3, 0);
    static int32_t pages[64];
    enum { MOST_CONTEXTS = 2 * 6 * 5 + 1, MOST_TOKENS = 1500, PREFIX = 300, COMPLETION = 200 };
    for (int round = 0; round < 3000; round++) {
        struct device_limits l = {
            .shapes = {.n_attentions = 1, .attentions = {{8, 8, 128, 128}}}, .d = 32, .V = 100, .n_weights = 1};
        l.groups = 1 + (int)rng_below(&rng, 6);
        l.group_size = 1 + (int)rng_below(&rng, 5);
        l.contexts = 2 * l.groups * l.group_size + 1;
        l.max_prefix = 1 + (int)rng_below(&rng, PREFIX);
        l.max_length = l.max_prefix + COMPLETION;
        l.tokens = l.max_length + (int)rng_below(&rng, MOST_TOKENS);
        struct context contexts[MOST_CONTEXTS];
        struct span stores[2 * MOST_CONTEXTS], spans[MOST_CONTEXTS];
        int T = 0, n = 0, n_stores = 0;
        for (int g = 0; g < l.groups; g++) {
            int prefix = rng_below(&rng, 3) ? l.max_prefix : 1 + (int)rng_below(&rng, (uint32_t)l.max_prefix), row = T;
            if (T + prefix > l.tokens) {
                break;
            }
            spans[n] = stores[n_stores++] = (struct span){T, prefix, 0, pages};
            contexts[n++] = (struct context){.row = T, .n_rows = prefix};
            T += prefix;
            for (int i = 0; i < l.group_size; i++) {
                int rows = rng_below(&rng, 2) ? 1 : 1 + (int)rng_below(&rng, COMPLETION - 1);
                if (T + rows > l.tokens) {
                    break;
                }
                stores[n_stores++] = (struct span){row, prefix % OPS_PAGE, prefix / OPS_PAGE * OPS_PAGE, pages};
                spans[n] = stores[n_stores++] = (struct span){T, rows, prefix, pages};
                contexts[n++] = (struct context){row, prefix, T, rows};
                T += rows;
            }
        }
        size_t bytes[DEVICE_PHASES][CUDA_SLOTS];
        cuda_slots_plan(&l, bytes);
        memset(most_bytes, 0, sizeof most_bytes);
        cuda_plan_spans(stores, n_stores, 0, 0);
        cuda_plan_spans(spans, n, 1 + (int)rng_below(&rng, 64), (int)rng_below(&rng, 16));
        const struct cuda_grad_plan *plan = cuda_plan_contexts(contexts, n);
        for (int slot = CUDA_SLOT_CONTEXTS; slot < CUDA_SLOTS; slot++) {
            assert_true(most_bytes[slot] <= bytes[DEVICE_ALWAYS][slot]);
        }
        size_t parts = (size_t)plan->n_parts * (size_t)l.shapes.attentions[0].J * 2 * CUDA_GRAD_ROWS *
                       (size_t)l.shapes.attentions[0].D * sizeof(float);
        assert_true(parts <= bytes[DEVICE_TRAINING][CUDA_SLOT_PARTS]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(rows_find_their_slots, release),
        cmocka_unit_test_teardown(spans_are_cut_into_tasks_the_longest_first, release),
        cmocka_unit_test_teardown(equal_spans_are_uploaded_once, release),
        cmocka_unit_test_teardown(repeated_plans_stay_where_they_are, release),
        cmocka_unit_test_teardown(keys_of_a_shared_prompt_come_in_parts, release),
        cmocka_unit_test_teardown(plans_fit_their_slots, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
