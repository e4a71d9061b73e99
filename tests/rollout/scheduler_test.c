/* tests/rollout/scheduler_test.c - the scheduler over a cache that remembers what was written.
 *
 * No model: the "key" of a position is a hash of all tokens up to it, and the next token is a function of that hash and of the
 * sequence's key. A row is only right if every earlier position of its pages holds the hash of its own prefix, so that any
 * page that is shared, copied, reused or freed wrongly is seen at once.
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
    struct arena arena;
    uint64_t *cache; /* [n_pages, 128] */
    struct sequence *sequences;
    int n_sequences, n_steps, most_rows, max_rows;
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
            for (int k = 0, samples = sequence_drawn(q) == 0 ? q->n_samples : 1; k < samples; k++) {
                due[n++] = q + k;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        uint64_t hash = mix(prefix_hash(due[i], due[i]->n_tokens), due[i]->key);
        float f = (float)(hash % 1000);
        sequence_append(due[i], &(struct draw){(int32_t)(hash >> 40), f, f + 1, f + 2}, &w->arena);
    }
    for (int i = 0; i < n; i++) {
        if (ended(due[i])) {
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
        assert_true(i == 0 || s->running[i - 1] < q);
        assert_int_equal(q->state, SEQUENCE_RUNNING);
        for (int k = 0; k < q->n_pages; k++) {
            held[q->pages[k]]++;
        }
    }
    for (int i = 0; i < s->cache.n_pages; i++) {
        assert_int_equal(s->cache.references[i], held[i]);
    }
    assert_true(s->n_running <= s->max_running);
}

struct setup {
    int n_pages, max_sequences, max_rows;
};

static void world_run(struct world *w, const struct rollout_prompt *prompts, int n_prompts, struct setup setup)
{
    *w = (struct world){.max_rows = setup.max_rows};
    scheduler_init(&w->scheduler, setup.n_pages, setup.max_sequences, setup.max_rows, MAX_LENGTH);
    w->cache = mem_zero((size_t)setup.n_pages * OPS_PAGE * sizeof *w->cache);
    for (int i = 0; i < n_prompts; i++) {
        w->n_sequences += prompts[i].n_samples;
    }
    w->sequences = ARENA_NEW(&w->arena, struct sequence, w->n_sequences);
    for (int i = 0, at = 0; i < n_prompts; at += prompts[i++].n_samples) {
        sequence_init_group(w->sequences + at, &prompts[i], i, MAX_LENGTH);
    }
    scheduler_begin(&w->scheduler, w->sequences, w->n_sequences);
    while (!scheduler_done(&w->scheduler)) {
        const struct plan *plan = scheduler_plan(&w->scheduler);
        assert_in_range(plan->T, 1, setup.max_rows);
        compute(w, plan);
        draw(w, plan);
        check_books(w);
        w->n_rows += plan->T;
        assert_true(++w->n_steps < 1000000);
    }
    assert_int_equal(kvcache_used(&w->scheduler.cache), 0);
}

static void world_end(struct world *w)
{
    scheduler_release(&w->scheduler);
    arena_release(&w->arena);
    free(w->cache);
}

/* Each sequence computed alone. */
static void assert_right(const struct world *w)
{
    for (int i = 0; i < w->n_sequences; i++) {
        const struct sequence *q = &w->sequences[i];
        uint64_t hash = prefix_hash(q, q->n_prompt);
        assert_true(sequence_drawn(q) > 0 && ended(q));
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

static struct rollout_prompt prompt_of(struct arena *arena, uint64_t stream, int n_tokens, int n_samples,
                                       int max_tokens)
{
    struct rng rng = rng_stream(3, stream);
    int32_t *tokens = ARENA_NEW(arena, int32_t, n_tokens);
    for (int i = 0; i < n_tokens; i++) {
        tokens[i] = (int32_t)rng_below(&rng, 50000);
    }
    return (struct rollout_prompt){tokens, n_tokens, n_samples, max_tokens, stream * 1000};
}

static void random_loads_come_out_right(void **state)
{
    (void)state;
    struct rng rng = rng_stream(11, 0);
    int preempted = 0, shared = 0;
    for (int round = 0; round < 120; round++) {
        struct arena arena = ARENA_INIT;
        struct rollout_prompt prompts[8];
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
        struct rollout_prompt prompt = prompt_of(&arena, i, lengths[i % 5], samples[i / 5], 40);
        for (int slots = 1; slots <= 16; slots += 5) { /* with few slots the prompt is handed on */
            struct world w;
            int64_t rows = prompt.n_tokens;
            world_run(&w, &prompt, 1, (struct setup){64, slots, 64});
            assert_right(&w);
            for (int k = 0; k < w.n_sequences; k++) {
                rows += sequence_drawn(&w.sequences[k]) - 1;
            }
            assert_int_equal(w.n_rows, rows);
            assert_int_equal(w.scheduler.n_preempted, 0);
            assert_in_range(w.scheduler.most_running, 1, slots);
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
    struct rollout_prompt prompt = prompt_of(&arena, 77, 300, 8, 10);
    struct world w;
    world_run(&w, &prompt, 1, (struct setup){64, 8, 512});
    assert_int_equal(w.scheduler.cache.most_used, 2 + 8);
    assert_int_equal(w.scheduler.shared_tokens, 7 * 300);
    world_end(&w);
    arena_release(&arena);
}

/* Chunks: a prompt of 300 in passes of 128 rows takes three; then others decode beside it. */
static void prompts_are_cut_into_chunks(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct rollout_prompt prompts[2] = {prompt_of(&arena, 1, 10, 1, 50), prompt_of(&arena, 2, 300, 1, 1)};
    struct scheduler s;
    struct sequence sequences[2];
    scheduler_init(&s, 64, 8, 100, MAX_LENGTH);
    sequence_init_group(sequences, &prompts[0], 0, MAX_LENGTH);
    sequence_init_group(sequences + 1, &prompts[1], 1, MAX_LENGTH);
    scheduler_begin(&s, sequences, 2);
    static const int want[][2] = {{10, 90}, {1, 99}, {1, 99}, {1, 12}}; /* rows of each */
    for (int i = 0; i < 4; i++) {
        const struct plan *plan = scheduler_plan(&s);
        assert_int_equal(plan->n_spans, 2);
        assert_int_equal(plan->spans[0].n_rows, want[i][0]);
        assert_int_equal(plan->spans[1].n_rows, want[i][1]);
        assert_int_equal(plan->n_decode, i > 0);
        scheduler_advance(&s);
        sequence_append(&sequences[0], &(struct draw){1, 0, 0, 0}, &arena);
    }
    scheduler_abandon(&s);
    assert_int_equal(kvcache_used(&s.cache), 0);
    scheduler_release(&s);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_loads_come_out_right),
        cmocka_unit_test(a_prompt_is_computed_once),
        cmocka_unit_test(full_pages_are_shared),
        cmocka_unit_test(prompts_are_cut_into_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
