/* tests/rl/batch_test.c - every token that is trained on stands in the packing once, after its prompt, within the budget.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/batch.h"

#include "tests/rl/iteration_fixture.h"

static struct batch_options options_of(int prompts_per_step, int max_tokens)
{
    return (struct batch_options){.prompts_per_step = prompts_per_step,
                                  .num_iterations = 1,
                                  .max_tokens = max_tokens,
                                  .keep_all = true,
                                  .seed = 4};
}

/* The prefix and context of target t spell the prompt of its sample and the completion up to its token. */
static void check_target(const struct iteration *it, const struct micro_batch *mb, int t)
{
    const struct train_batch *b = &mb->batch;
    const struct sample *s = &it->samples[mb->sample[t]];
    int row = b->target_rows[t], n_prompt = s->prompt->n_tokens, index = mb->index[t];
    assert_int_equal(b->targets[t], s->completion->tokens[index]);
    const struct context *own = NULL;
    for (int c = 0; c < b->n_contexts; c++) {
        if (row >= b->contexts[c].row && row < b->contexts[c].row + b->contexts[c].n_rows) {
            own = &b->contexts[c];
        }
    }
    assert_non_null(own);
    assert_int_equal(own->n_prefix, index == 0 ? 0 : n_prompt);
    int prompt_row = index == 0 ? own->row : own->prefix_row;
    for (int i = 0; i < n_prompt; i++) {
        assert_int_equal(b->tokens[prompt_row + i], s->prompt->tokens[i]);
        assert_int_equal(b->positions[prompt_row + i], i);
    }
    assert_int_equal(row, index == 0 ? prompt_row + n_prompt - 1 : own->row + index - 1);
    for (int i = 0; i < index; i++) {
        assert_int_equal(b->tokens[own->row + i], s->completion->tokens[i]);
        assert_int_equal(b->positions[own->row + i], n_prompt + i);
    }
}

/* Contexts cover the rows in order; a prefix is a prompt before it. */
static void check_contexts(const struct train_batch *b)
{
    int row = 0;
    for (int c = 0; c < b->n_contexts; c++) {
        assert_int_equal(b->contexts[c].row, row);
        assert_true(b->contexts[c].n_rows > 0);
        row += b->contexts[c].n_rows;
        bool found = b->contexts[c].n_prefix == 0;
        for (int k = 0; k < c; k++) {
            found = found || (b->contexts[k].row == b->contexts[c].prefix_row && b->contexts[k].n_prefix == 0 &&
                              b->contexts[k].n_rows == b->contexts[c].n_prefix);
        }
        assert_true(found);
    }
    assert_int_equal(row, b->T); /* no padding */
}

/* Packs, checks, and counts how often each token of each sample is a target. */
static int pack_and_check(struct iteration *it, const struct batch_options *options, int *seen, int longest)
{
    int n_contexts = 0;
    memset(seen, 0, (size_t)(it->n_samples * longest) * sizeof *seen);
    batch_pack(options, it);
    for (int m = 0; m < it->n_minibatches; m++) {
        const struct minibatch *minibatch = &it->minibatches[m];
        for (int k = 0; k < minibatch->n_micro_batches; k++) {
            const struct micro_batch *mb = &minibatch->micro_batches[k];
            bool alone = true;
            check_contexts(&mb->batch);
            for (int t = 0; t < mb->batch.n_targets; t++) {
                check_target(it, mb, t);
                seen[mb->sample[t] * longest + mb->index[t]]++;
                alone = alone && mb->sample[t] == mb->sample[0];
            }
            assert_true(mb->batch.T <= options->max_tokens || alone);
            n_contexts += mb->batch.n_contexts;
        }
    }
    return n_contexts;
}

static void every_token_is_packed_once(void **state)
{
    (void)state;
    enum { P = 7, G = 5, LONGEST = 11 };
    static const int budgets[] = {1, 8, 16, 33, 1000};
    struct iteration it;
    int seen[P * G * LONGEST];
    make_iteration(&it, P, G, LONGEST, 50);
    for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        struct batch_options options = options_of(3, budgets[b]);
        pack_and_check(&it, &options, seen, LONGEST);
        assert_int_equal(it.n_minibatches, 3); /* 3 + 3 + 1 prompts */
        for (int i = 0; i < P * G * LONGEST; i++) {
            assert_int_equal(seen[i], i % LONGEST < it.samples[i / LONGEST].completion->n_tokens);
        }
    }
    iteration_release(&it);
}

static void a_group_shares_its_prompt(void **state)
{
    (void)state;
    struct iteration it;
    int seen[4 * 6 * 5], longer = 0;
    make_iteration(&it, 4, 6, 5, 50);
    for (int i = 0; i < it.n_samples; i++) {
        longer += it.samples[i].completion->n_tokens > 1; /* of one token: its row is the prompt's last */
    }
    struct batch_options options = options_of(4, 100000);
    assert_int_equal(pack_and_check(&it, &options, seen, 5), 4 + longer);
    assert_int_equal(it.minibatches[0].n_micro_batches, 1);
    iteration_release(&it);
}

static void what_teaches_nothing_is_left_out_but_counts(void **state)
{
    (void)state;
    enum { LONGEST = 6 };
    struct iteration it;
    int seen[3 * 4 * LONGEST], tokens = 0;
    make_iteration(&it, 3, 4, LONGEST, 50);
    for (int i = 0; i < it.n_samples; i++) {
        it.samples[i].advantage = i % 3 == 0 ? 0 : 1;
        it.groups[i / 4].completions[i % 4].finish = i == 4 ? FINISH_LENGTH : FINISH_EOS; /* masked */
        tokens += i == 4 ? 0 : it.samples[i].completion->n_tokens;
    }
    struct batch_options options = options_of(3, 40);
    options.keep_all = false;
    options.mask_truncated = true;
    pack_and_check(&it, &options, seen, LONGEST);
    for (int i = 0; i < it.n_samples; i++) {
        assert_int_equal(seen[i * LONGEST], i % 3 != 0 && i != 4);
    }
    assert_int_equal(it.minibatches[0].n_tokens, tokens);
    assert_true(it.minibatches[0].mean_tokens == tokens);
    assert_int_equal(it.minibatches[0].n_samples, 12); /* its loss is 0, as in TRL */
    assert_int_equal(it.minibatches[0].n_unmasked, 11);
    options.keep_all = true; /* all but the masked one */
    pack_and_check(&it, &options, seen, LONGEST);
    for (int i = 0; i < it.n_samples; i++) {
        assert_int_equal(seen[i * LONGEST], i != 4);
    }
    iteration_release(&it);
}

/* Tokens of a rollout are divided among its steps by groups, not by their own lengths. */
static void steps_share_the_tokens_of_a_rollout(void **state)
{
    (void)state;
    struct iteration it;
    int64_t tokens = 0, own = 0;
    make_iteration(&it, 7, 4, 9, 50);
    for (int i = 0; i < it.n_samples; i++) {
        tokens += it.samples[i].completion->n_tokens;
    }
    struct batch_options options = options_of(3, 1000);
    batch_pack(&options, &it);
    assert_int_equal(it.n_minibatches, 3);
    for (int m = 0; m < 3; m++) {
        const struct minibatch *minibatch = &it.minibatches[m];
        ASSERT_NEAR(minibatch->mean_tokens, (double)tokens * (m < 2 ? 3 : 1) / 7, 1e-12);
        own += minibatch->n_tokens;
        assert_true((double)minibatch->n_tokens != minibatch->mean_tokens);
    }
    assert_int_equal(own, tokens);
    iteration_release(&it);
}

/* The prompts of each minibatch, in order. */
static void prompts_of(const struct iteration *it, int *out)
{
    for (int m = 0, n = 0; m < it->n_minibatches; m++) {
        for (int k = 0; k < it->minibatches[m].n_micro_batches; k++) {
            const struct micro_batch *mb = &it->minibatches[m].micro_batches[k];
            for (int t = 0; t < mb->batch.n_targets; t++) {
                int prompt = mb->sample[t] / it->G;
                if (t == 0 || prompt != mb->sample[t - 1] / it->G) {
                    out[n++] = prompt;
                }
            }
        }
    }
}

static void passes_take_the_groups_in_orders_of_the_seed(void **state)
{
    (void)state;
    enum { P = 8 };
    int orders[3][2 * P], seen[2][P] = {0};
    for (int i = 0; i < 3; i++) {
        struct iteration it;
        make_iteration(&it, P, 2, 4, 50);
        struct batch_options options = options_of(2, 100000);
        options.num_iterations = 2;
        options.seed += i == 2;
        batch_pack(&options, &it);
        assert_int_equal(it.n_minibatches, 8);
        prompts_of(&it, orders[i]);
        iteration_release(&it);
    }
    assert_memory_equal(orders[0], orders[1], sizeof orders[0]);
    assert_memory_not_equal(orders[0], orders[2], sizeof orders[0]);
    assert_memory_not_equal(orders[0], orders[0] + P, P * sizeof(int));
    for (int i = 0; i < 2 * P; i++) {
        assert_int_equal(seen[i / P][orders[0][i]]++, 0); /* each group once a pass */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_packed_once),
        cmocka_unit_test(a_group_shares_its_prompt),
        cmocka_unit_test(what_teaches_nothing_is_left_out_but_counts),
        cmocka_unit_test(steps_share_the_tokens_of_a_rollout),
        cmocka_unit_test(passes_take_the_groups_in_orders_of_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
