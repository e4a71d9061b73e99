/* tests/rl/sample_test.c - a sample depends on its own number and on nothing beside it; clearing keeps the memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/sample.h"

#include "tests/model/fixture.h"
#include "tests/rl/iteration_fixture.h"

enum { PROMPTS = 3, G = 4, LONGEST = 12 };

static struct rollout *open_rollout(struct model *model)
{
    struct rollout *rollout = NULL;
    struct rollout_options options = {
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 3, .max_sequences = 8};
    ASSERT_OK(rollout_open(&rollout, model, &options));
    return rollout;
}

/* Prompts `from` to `to` of the fixture as an iteration of their own. */
static void sample(struct rollout *rollout, struct iteration *it, int from, int to)
{
    make_iteration(it, PROMPTS, G, 4, 203);
    for (int p = 0; p < from; p++) {
        json_decref(it->prompts[p].fields);
    }
    for (int p = to; p < PROMPTS; p++) {
        json_decref(it->prompts[p].fields);
    }
    it->prompts += from;
    it->n_prompts = to - from;
    it->first_sequence = 1000 + (uint64_t)(from * G);
    it->max_tokens = LONGEST;
    it->temperature = 1;
    ASSERT_OK(sample_groups(rollout, it));
}

static void samples_are_numbered_through(void **state)
{
    struct model *model = fixture_model(FAMILY_QWEN2, *state);
    struct rollout *rollout = open_rollout(model);
    struct iteration all, one;
    sample(rollout, &all, 0, PROMPTS);
    for (int p = 0; p < PROMPTS; p++) {
        sample(rollout, &one, p, p + 1);
        assert_int_equal(one.groups[0].n_completions, G);
        for (int i = 0; i < G; i++) {
            const struct completion *a = &all.groups[p].completions[i], *b = &one.groups[0].completions[i];
            assert_int_equal(a->n_tokens, b->n_tokens);
            assert_true(a->n_tokens <= LONGEST);
            assert_memory_equal(a->tokens, b->tokens, (size_t)a->n_tokens * 4);
            assert_memory_equal(a->logprob, b->logprob, (size_t)a->n_tokens * 4);
        }
        iteration_release(&one);
    }
    const struct completion *first = all.groups[0].completions;
    assert_memory_not_equal(first[0].tokens, first[1].tokens, 4 * (size_t)LONGEST / 2); /* and differ from each other */
    iteration_release(&all);
    rollout_close(rollout);
    model_close(model);
}

static void clearing_keeps_the_memory(void **state)
{
    (void)state;
    struct iteration it;
    make_iteration(&it, PROMPTS, G, 8, 50);
    json_t *fields = json_incref(it.prompts[0].fields);
    const void *prompts = it.prompts;
    iteration_clear(&it);
    assert_int_equal(it.n_prompts + it.n_samples + it.n_minibatches, 0);
    assert_null(it.prompts);
    assert_int_equal(fields->refcount, 1); /* its reference is given back */
    json_decref(fields);
    assert_ptr_equal(arena_alloc(&it.arena, 1), prompts);
    iteration_clear(&it); /* twice is no harm */
    iteration_release(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_are_numbered_through, fixture_open, fixture_close),
        cmocka_unit_test(clearing_keeps_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
