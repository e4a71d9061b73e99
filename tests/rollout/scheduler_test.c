/* tests/rollout/scheduler_test.c - the scheduler over a cache that remembers what was written.
 *
 * No model: the "key" of a position is a hash of all tokens up to it, and the next token is a function of that hash and
 * of the sequence's key. A row is only right if every earlier position of its pages holds the hash of its own prefix,
 * so that any page that is shared, copied, reused or freed wrongly is seen at once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/rng.h"
#include "rollout/scheduler.h"

#define MAX_LENGTH 1024

struct world {
    struct scheduler scheduler;
    uint64_t *cache;                   /* [n_pages, 128] */
    struct sequence_group *groups[16]; /* [n_groups]; NULL: removed */
    int n_groups, n_steps;
    int64_t n_rows;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

static uint64_t prefix_hash(const struct sequence *q, int n)
{
    uint64_t hash = 1;
    for (int i = 0; i < n; i++) {
        hash = mix(hash, (uint64_t)q->tokens[i] + 7);
    }
    return hash;
}

static void compute(struct world *w, const struct plan *plan)
{
    int row = 0;
    for (int i = 0; i < plan->n_copies; i++) {
        const struct page_copy *c = &plan->copies[i];
        memcpy(w->cache + (ptrdiff_t)c->to * OPS_PAGE, w->cache + (ptrdiff_t)c->from * OPS_PAGE,
               (size_t)c->n * sizeof *w->cache);
    }
    for (int i = 0; i < plan->n_spans; i++) { /* all write, then all read, as a layer does */
        const struct span *span = &plan->spans[i];
        const struct sequence *q = plan->owners[i];
        assert_int_equal(span->row, row);
        assert_int_equal(span->position, q->n_cached);
        assert_true(span->n_rows > 0 && (i < plan->n_decode) == (q->n_tokens - q->n_cached == 1));
        for (int k = 0; k < span->n_rows; k++, row++) {
            int position = span->position + k;
            assert_int_equal(plan->positions[row], position);
            assert_int_equal(plan->tokens[row], q->tokens[position]);
            w->cache[(ptrdiff_t)span->pages[position / OPS_PAGE] * OPS_PAGE + position % OPS_PAGE] =
                prefix_hash(q, position + 1);
        }
    }
    assert_int_equal(row, plan->T);
    for (int i = 0; i < plan->n_spans; i++) {
        const struct span *span = &plan->spans[i];
        uint64_t hash = 1;
        for (int p = 0; p < span->position + span->n_rows; p++) {
            hash = mix(hash, (uint64_t)plan->owners[i]->tokens[p] + 7);
            assert_true(w->cache[(ptrdiff_t)span->pages[p / OPS_PAGE] * OPS_PAGE + p % OPS_PAGE] == hash);
        }
    }
    scheduler_advance(&w->scheduler);
}

/* Ends at a drawn token that is a multiple of 101, or at its limit. */
static bool ended(const struct sequence *q)
{
    return q->n_tokens == q->limit || q->tokens[q->n_tokens - 1] % 101 == 0;
}

static void draw(struct world *w, const struct plan *plan)
{
    struct sequence *due[4096];
    int n = 0;
    for (int i = 0; i < plan->n_spans; i++) {
        struct sequence *q = plan->owners[i];
        if (q->n_cached == q->n_tokens) {
            bool drew = sequence_drawn(q) > 0;
            for (int k = 0; k < q->group->n_samples; k++) {
                struct sequence *sibling = &q->group->samples[k];
                if (sibling == q || (!drew && sibling->state != SEQUENCE_FINISHED)) {
                    due[n++] = sibling;
                }
            }
        }
    }
    for (int i = 0; i < n; i++) {
        uint64_t hash = mix(prefix_hash(due[i], due[i]->n_tokens), due[i]->key);
        float f = (float)(hash % 1000);
        sequence_append(due[i], &(struct draw){(int32_t)(hash >> 40), f, f + 1, f + 2});
    }
    for (int i = 0; i < n; i++) {
        if (ended(due[i])) {
            due[i]->finish = FINISH_LENGTH;
            scheduler_finish(&w->scheduler, due[i]);
        }
    }
}

static void check_books(const struct world *w)
{
    const struct scheduler *s = &w->scheduler;
    int held[4096] = {0};
    for (int i = 0; i < s->n_running; i++) {
        const struct sequence *q = s->running[i];
        assert_true(i == 0 || s->running[i - 1]->age < q->age);
        assert_int_equal(q->state, SEQUENCE_RUNNING);
        for (int k = 0; k < q->n_pages; k++) {
            held[q->pages[k]]++;
        }
    }
    for (int i = 0; i < s->cache.n_pages; i++) {
        assert_int_equal(s->cache.references[i], held[i]);
    }
    assert_true(s->n_running <= s->max_running);
    int n_groups = 0;
    for (const struct sequence_group *group = s->first; group; group = group->next, n_groups++) {
        int states[3] = {0};
        for (int i = 0; i < group->n_samples; i++) {
            states[group->samples[i].state]++;
        }
        assert_int_equal(group->n_waiting, states[SEQUENCE_WAITING]);
        assert_int_equal(group->n_finished, states[SEQUENCE_FINISHED]);
        assert_true(group->n_finished < group->n_samples);
        assert_true(group->next || group == s->last);
    }
    assert_int_equal(s->n_groups, n_groups);
}

struct setup {
    int n_pages, max_sequences, max_rows;
};

static void world_begin(struct world *w, struct setup setup)
{
    *w = (struct world){0};
    scheduler_init(&w->scheduler, setup.n_pages, setup.max_sequences, setup.max_rows, MAX_LENGTH);
    w->cache = mem_zero((size_t)setup.n_pages * OPS_PAGE * sizeof *w->cache);
}

static void world_add(struct world *w, const struct engine_request *request)
{
    w->groups[w->n_groups] = sequence_group_new(request, MAX_LENGTH);
    scheduler_add(&w->scheduler, w->groups[w->n_groups++]);
}

static void world_step(struct world *w)
{
    const struct plan *plan = scheduler_plan(&w->scheduler);
    assert_in_range(plan->T, 1, w->scheduler.max_rows);
    compute(w, plan);
    draw(w, plan);
    check_books(w);
    w->n_rows += plan->T;
    assert_true(++w->n_steps < 1000000);
}

static void world_run(struct world *w, const struct engine_request *requests, int n_requests, struct setup setup)
{
    world_begin(w, setup);
    for (int i = 0; i < n_requests; i++) {
        world_add(w, &requests[i]);
    }
    while (w->scheduler.n_groups > 0) {
        world_step(w);
    }
    assert_int_equal(kvcache_used(&w->scheduler.cache), 0);
}

static void world_end(struct world *w)
{
    scheduler_release(&w->scheduler);
    for (int i = 0; i < w->n_groups; i++) {
        if (w->groups[i]) {
            sequence_group_free(w->groups[i]);
        }
    }
    free(w->cache);
}

/* Each sequence computed alone; those that were cancelled up to there. */
static void assert_right(const struct world *w)
{
    for (int i = 0; i < w->n_groups; i++) {
        for (int s = 0; w->groups[i] && s < w->groups[i]->n_samples; s++) {
            const struct sequence *q = &w->groups[i]->samples[s];
            uint64_t hash = prefix_hash(q, q->n_prompt);
            assert_int_equal(q->state, SEQUENCE_FINISHED);
            assert_true(q->finish == FINISH_CANCELLED || (sequence_drawn(q) > 0 && ended(q)));
            for (int k = q->n_prompt; k < q->n_tokens; k++) {
                uint64_t drawn = mix(hash, q->key);
                assert_int_equal(q->tokens[k], (int32_t)(drawn >> 40));
                assert_true(k == q->n_tokens - 1 || q->tokens[k] % 101 != 0);
                assert_true(q->logprob[k - q->n_prompt] == (float)(drawn % 1000));
                assert_true(q->entropy[k - q->n_prompt] == (float)(drawn % 1000) + 2);
                hash = mix(hash, (uint64_t)q->tokens[k] + 7);
            }
        }
    }
}

static struct engine_request prompt_of(struct arena *arena, uint64_t stream, int n_tokens, int n_samples,
                                       int max_tokens)
{
    struct rng rng = rng_stream(3, stream);
    int32_t *tokens = ARENA_NEW(arena, int32_t, n_tokens);
    for (int i = 0; i < n_tokens; i++) {
        tokens[i] = (int32_t)rng_below(&rng, 50000);
    }
    return (struct engine_request){.tokens = tokens,
                                   .n_tokens = n_tokens,
                                   .n_samples = n_samples,
                                   .max_tokens = max_tokens,
                                   .sampling = {.sequence = stream * 1000}};
}

static void random_loads_come_out_right(void **state)
{
    (void)state;
    struct rng rng = rng_stream(11, 0);
    int preempted = 0, shared = 0;
    for (int round = 0; round < 120; round++) {
        struct arena arena = ARENA_INIT;
        struct engine_request prompts[8];
        int n = 1 + (int)rng_below(&rng, 8);
        for (int i = 0; i < n; i++) {
            static const int lengths[] = {1, 2, 60, 127, 128, 129, 200, 255, 256, 257};
            prompts[i] = prompt_of(&arena, (uint64_t)(100 * round + i), lengths[rng_below(&rng, 10)],
                                   1 + (int)rng_below(&rng, 6), 1 + (int)rng_below(&rng, 200));
        }
        struct setup setup = {.n_pages = 4 + (int)rng_below(&rng, 12),
                              .max_sequences = 1 + (int)rng_below(&rng, 24),
                              .max_rows = 1 + (int)rng_below(&rng, rng_below(&rng, 2) ? 8 : 300)};
        struct world w;
        world_run(&w, prompts, n, setup);
        assert_right(&w);
        preempted += w.scheduler.n_preempted;
        shared += w.scheduler.shared_tokens > 0;
        world_end(&w);
        arena_release(&arena);
    }
    assert_true(preempted > 100); /* the loads do what they are for */
    assert_true(shared > 50);
}

/* With room for all, a prompt is computed once, and each drawn token but the last of a sequence once. */
static void a_prompt_is_computed_once(void **state)
{
    (void)state;
    static const int lengths[] = {1, 127, 128, 129, 300};
    static const int samples[] = {1, 2, 16};
    for (size_t i = 0; i < 15; i++) {
        struct arena arena = ARENA_INIT;
        struct engine_request prompt = prompt_of(&arena, i, lengths[i % 5], samples[i / 5], 40);
        for (int slots = 1; slots <= 16; slots += 5) { /* with few slots the prompt is handed on */
            struct world w;
            int64_t rows = prompt.n_tokens;
            world_run(&w, &prompt, 1, (struct setup){64, slots, 64});
            assert_right(&w);
            for (int k = 0; k < prompt.n_samples; k++) {
                rows += sequence_drawn(&w.groups[0]->samples[k]) - 1;
            }
            assert_int_equal(w.n_rows, rows);
            assert_int_equal(w.scheduler.n_preempted, 0);
            assert_in_range(w.scheduler.peak_running, 1, slots);
            world_end(&w);
        }
        arena_release(&arena);
    }
}

/* Pages of a group: the prompt's full ones once, and what each sample adds. */
static void full_pages_are_shared(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct engine_request prompt = prompt_of(&arena, 77, 300, 8, 10);
    struct world w;
    world_run(&w, &prompt, 1, (struct setup){64, 8, 512});
    assert_int_equal(w.scheduler.cache.peak_used, 2 + 8);
    assert_int_equal(w.scheduler.shared_tokens, 7 * 300);
    world_end(&w);
    arena_release(&arena);
}

/* Chunks: a prompt of 300 in passes of 128 rows takes three; then others decode beside it. */
static void prompts_are_cut_into_chunks(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct engine_request prompts[2] = {prompt_of(&arena, 1, 10, 1, 50), prompt_of(&arena, 2, 300, 1, 1)};
    struct world w;
    world_begin(&w, (struct setup){64, 8, 100});
    world_add(&w, &prompts[0]);
    world_add(&w, &prompts[1]);
    static const int want[][2] = {{10, 90}, {1, 99}, {1, 99}, {1, 12}}; /* rows of each */
    for (int i = 0; i < 4; i++) {
        const struct plan *plan = scheduler_plan(&w.scheduler);
        assert_int_equal(plan->n_spans, 2);
        assert_int_equal(plan->spans[0].n_rows, want[i][0]);
        assert_int_equal(plan->spans[1].n_rows, want[i][1]);
        assert_int_equal(plan->n_decode, i > 0);
        scheduler_advance(&w.scheduler);
        sequence_append(&w.groups[0]->samples[0], &(struct draw){1, 0, 0, 0});
    }
    scheduler_remove(&w.scheduler, w.groups[0]);
    scheduler_remove(&w.scheduler, w.groups[1]);
    assert_int_equal(kvcache_used(&w.scheduler.cache), 0);
    world_end(&w);
    arena_release(&arena);
}

/* ---- groups come, samples and groups are cancelled, between any two steps ---- */

static int pick_unfinished(const struct sequence_group *group, struct rng *rng)
{
    int sample = (int)rng_below(rng, (uint32_t)group->n_samples);
    while (group->samples[sample].state == SEQUENCE_FINISHED) {
        sample = (sample + 1) % group->n_samples;
    }
    return sample;
}

/* What the cancelled sequence was doing is counted in `met`: waiting for its prompt, computing it, pre-empted,
 * decoding. */
static void cancel_something(struct world *w, struct rng *rng, int met[4])
{
    int i = (int)rng_below(rng, (uint32_t)w->n_groups);
    struct sequence_group *group = w->groups[i];
    if (!group || group->n_finished == group->n_samples) {
        return;
    }
    if (rng_below(rng, 4) == 0) {
        scheduler_remove(&w->scheduler, group);
        sequence_group_free(group);
        w->groups[i] = NULL;
        return;
    }
    struct sequence *q = &group->samples[pick_unfinished(group, rng)];
    met[2 * (sequence_drawn(q) > 0) + (q->state == SEQUENCE_RUNNING)]++;
    q->finish = FINISH_CANCELLED;
    scheduler_finish(&w->scheduler, q);
}

static void what_comes_and_goes_disturbs_no_other(void **state)
{
    (void)state;
    struct rng rng = rng_stream(12, 0);
    int met[4] = {0};
    for (int round = 0; round < 200; round++) {
        static const int lengths[] = {1, 60, 127, 128, 129, 200, 255, 257};
        struct arena arena = ARENA_INIT;
        struct world w;
        int left = 1 + (int)rng_below(&rng, 12);
        world_begin(&w, (struct setup){.n_pages = 4 + (int)rng_below(&rng, 12),
                                       .max_sequences = 1 + (int)rng_below(&rng, 24),
                                       .max_rows = 1 + (int)rng_below(&rng, rng_below(&rng, 2) ? 8 : 300)});
        while (left > 0 || w.scheduler.n_groups > 0) {
            if (left > 0 && (w.scheduler.n_groups == 0 || rng_below(&rng, 20) == 0)) {
                struct engine_request request =
                    prompt_of(&arena, (uint64_t)(100 * round + left--), lengths[rng_below(&rng, 8)],
                              1 + (int)rng_below(&rng, 6), 1 + (int)rng_below(&rng, 200));
                world_add(&w, &request);
            }
            if (rng_below(&rng, 40) == 0) {
                cancel_something(&w, &rng, met);
                check_books(&w);
            }
            if (w.scheduler.n_groups > 0) {
                world_step(&w);
            }
        }
        assert_int_equal(kvcache_used(&w.scheduler.cache), 0);
        assert_right(&w);
        world_end(&w);
        arena_release(&arena);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(met[i] > 10);
    }
}

/* The sample that computes the prompt is cancelled half-way: the next one continues where it was. */
static void a_prompt_half_computed_is_handed_on(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct engine_request request = prompt_of(&arena, 5, 300, 3, 20);
    struct world w;
    world_begin(&w, (struct setup){64, 8, 100});
    world_add(&w, &request);
    world_step(&w);
    for (int i = 0; i < 2; i++) {
        w.groups[0]->samples[i].finish = FINISH_CANCELLED;
        scheduler_finish(&w.scheduler, &w.groups[0]->samples[i]);
        check_books(&w);
        assert_int_equal(w.groups[0]->samples[i + 1].n_cached, 100);
    }
    while (w.scheduler.n_groups > 0) {
        world_step(&w);
    }
    assert_right(&w);
    assert_int_equal(sequence_drawn(&w.groups[0]->samples[0]), 0);
    assert_int_equal(w.n_rows, 300 + sequence_drawn(&w.groups[0]->samples[2]) - 1);
    assert_int_equal(kvcache_used(&w.scheduler.cache), 0);
    world_end(&w);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_loads_come_out_right),
        cmocka_unit_test(a_prompt_is_computed_once),
        cmocka_unit_test(full_pages_are_shared),
        cmocka_unit_test(prompts_are_cut_into_chunks),
        cmocka_unit_test(what_comes_and_goes_disturbs_no_other),
        cmocka_unit_test(a_prompt_half_computed_is_handed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
