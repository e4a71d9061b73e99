/* tests/rl/objective_test.c - advantages, losses and gradients of whole rollouts against TRL's own (tests/golden/make_trl.py).
 *
 * Prints the largest difference for each loss type, normaliser and mask. SPDX-License-Identifier: Apache-2.0 */
#include "rl/objective.h"

#include <stdlib.h>

#include "base/json.h"
#include "kernels/rng.h"
#include "rl/batch.h"
#include "rl/loss.h"
#include "tests/rl/iteration_fixture.h"

enum { PROMPT = 20, MOST_TOKENS = 64 }; /* a prompt is longer than what masks take from a group */

static json_t *golden;

static json_t *field(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value) {
        fail_msg("no '%s'", key);
    }
    return value;
}

/* Of a case, else of all. */
static const json_t *setting(const json_t *c, const char *key)
{
    const json_t *own = json_object_get(field(c, "settings"), key);
    return own ? own : field(field(golden, "settings"), key);
}

/* ---- the rollout ---- */

static float *floats_of(struct arena *arena, const json_t *list)
{
    float *out = ARENA_NEW(arena, float, (int)json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        out[i] = (float)json_number_value(json_array_get(list, i));
    }
    return out;
}

static void read_judgement(struct sample *s, const json_t *rewards, const json_t *weights, struct arena *arena)
{
    bool any = false;
    s->judgement.parts = ARENA_NEW(arena, struct verdict, 2);
    for (size_t k = 0; k < 2; k++) {
        const json_t *reward = json_array_get(rewards, k);
        bool judged = json_is_number(reward);
        s->judgement.parts[k] = judged ? verdict_ok(json_number_value(reward), "", STR("")) : verdict_abstain("");
        s->reward += judged ? json_number_value(json_array_get(weights, k)) * json_number_value(reward) : 0;
        any = any || judged;
    }
    s->dropped = !any;
}

/* The golden rollout, whose prompts and tokens do not matter. */
static void read_iteration(struct iteration *it)
{
    *it = (struct iteration){.n_prompts = (int)json_integer_value(field(golden, "groups")),
                             .G = (int)json_integer_value(field(golden, "G"))};
    it->n_samples = it->n_prompts * it->G;
    it->prompts = ARENA_NEW(&it->arena, struct prompt, it->n_prompts);
    it->samples = ARENA_NEW(&it->arena, struct sample, it->n_samples);
    struct completion *completions = ARENA_NEW(&it->arena, struct completion, it->n_samples);
    for (int p = 0; p < it->n_prompts; p++) {
        it->prompts[p] = (struct prompt){.n_tokens = PROMPT, .tokens = ARENA_NEW(&it->arena, int32_t, PROMPT)};
    }
    for (int i = 0; i < it->n_samples; i++) {
        const json_t *old = json_array_get(field(golden, "old"), (size_t)i);
        struct completion *c = &completions[i];
        c->n_tokens = (int)json_array_size(old);
        c->tokens = ARENA_NEW(&it->arena, int32_t, c->n_tokens);
        c->logprob = floats_of(&it->arena, old);
        c->entropy = floats_of(&it->arena, json_array_get(field(golden, "entropy"), (size_t)i));
        c->finish = json_is_true(json_array_get(field(golden, "truncated"), (size_t)i)) ? FINISH_LENGTH : FINISH_EOS;
        it->samples[i] = (struct sample){.prompt = &it->prompts[i / it->G], .completion = c};
        read_judgement(&it->samples[i], json_array_get(field(golden, "rewards"), (size_t)i), field(golden, "weights"),
                       &it->arena);
    }
}

static struct reward_set *open_rewards(void)
{
    const struct reward_spec specs[] = {{"format:label=a,weight=1"}, {"format:label=b,weight=0.5"}};
    struct reward_set *set = NULL;
    ASSERT_OK(reward_set_open(&set, specs, 2, ON_ERROR_DROP, 1, 1));
    return set;
}

static void advantages_are_those_of_trl(void **state)
{
    (void)state;
    struct reward_set *rewards = open_rewards();
    size_t i;
    json_t *want;
    double largest = 0;
    json_array_foreach(field(golden, "advantages"), i, want)
    {
        const char *scale = json_string_value(field(want, "scale_rewards"));
        const char *aggregation = json_string_value(field(want, "multi_objective_aggregation"));
        struct advantage_options options = {
            .scale = strcmp(scale, "group") == 0   ? SCALE_GROUP
                     : strcmp(scale, "batch") == 0 ? SCALE_BATCH
                                                   : SCALE_NONE,
            .aggregation = strcmp(aggregation, "sum_then_normalize") == 0 ? AGGREGATE_SUMMED : AGGREGATE_NORMALIZED,
            .rewards = rewards,
        };
        struct iteration it;
        read_iteration(&it);
        advantage_compute(&options, &it);
        for (int s = 0; s < it.n_samples; s++) {
            double value = json_number_value(json_array_get(field(want, "advantages"), (size_t)s));
            largest = fmax(largest, fabs(it.samples[s].advantage - value));
        }
        struct advantage_stats stats = advantage_stats_of(&options, it.samples, it.n_prompts, it.G);
        ASSERT_NEAR(stats.reward_mean, json_number_value(field(want, "reward")), 1e-14);
        ASSERT_NEAR(stats.reward_std, json_number_value(field(want, "reward_std")), 1e-14);
        assert_int_equal(stats.n_judged, 14);
        assert_int_equal(stats.n_flat, options.aggregation == AGGREGATE_SUMMED ? 2 : 1);
        iteration_release(&it);
    }
    assert_int_equal(i, 4);
    print_message("advantages: largest difference %.1e\n", largest);
    assert_true(largest < 1e-14);
    reward_set_close(rewards);
}

/* ---- losses and gradients ---- */

static void put_settings(struct strbuf *text, json_t *settings)
{
    const char *key;
    json_t *value;
    json_object_foreach(settings, key, value)
    {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY);
        if (!json_is_null(value)) {
            strbuf_printf(text, "%s: %s\n", key, dumped);
        }
        free(dumped);
    }
}

/* TRL's settings are strop's keys. */
static void read_recipe(struct recipe *recipe, const json_t *c)
{
    struct strbuf text = STRBUF_INIT;
    json_t *all = json_deep_copy(field(golden, "settings"));
    json_object_update(all, field(c, "settings"));
    strbuf_puts(&text, "model_name_or_path: m\ndataset_name: countdown\n"
                       "reward_funcs: [{name: format, label: a}, {name: format, label: b, weight: 0.5}]\n");
    strbuf_printf(&text, "max_completion_length: %d\n",
                  (int)json_integer_value(field(golden, "max_completion_length")));
    put_settings(&text, all);
    if (strcmp(json_string_value(field(c, "cut")), "steps") == 0) {
        strbuf_puts(&text, "steps_per_generation: 2\n");
    }
    ASSERT_OK(recipe_parse(recipe, strbuf_view(&text), "r.yaml"));
    ASSERT_OK(recipe_finish(recipe));
    json_decref(all);
    strbuf_release(&text);
}

static void pack(const struct recipe *recipe, const char *cut, struct iteration *it)
{
    int group = PROMPT;
    for (int i = 0; i < it->G; i++) {
        group += it->samples[i].completion->n_tokens - 1;
    }
    batch_pack(
        &(struct batch_options){
            .prompts_per_step = it->n_prompts / recipe->loss.steps_per_generation,
            .num_iterations = 1,
            .max_tokens = strcmp(cut, "whole") == 0 ? 10000 : group,
            .keep_all = loss_needs_all(recipe),
            .mask_truncated = recipe->reward.mask_truncated_completions,
            .seed = 3,
        },
        it);
}

/* Gradients by token, in the order of the golden file. */
struct gradients {
    double loss, d_logprob[16 * MOST_TOKENS], d_entropy[16 * MOST_TOKENS];
};

static void add_micro_batch(const struct objective *o, const struct micro_batch *mb, const int *first,
                            struct gradients *out)
{
    float logprob[MOST_TOKENS], old[MOST_TOKENS], ref[MOST_TOKENS], entropy[MOST_TOKENS];
    float d_logprob[MOST_TOKENS], d_entropy[MOST_TOKENS];
    bool uncertain[MOST_TOKENS];
    struct loss_stats stats = {0};
    int n = mb->batch.n_targets;
    assert_true(n <= MOST_TOKENS);
    for (int i = 0; i < n; i++) {
        size_t s = (size_t)mb->sample[i], t = (size_t)mb->index[i];
        logprob[i] = (float)json_number_value(json_array_get(json_array_get(field(golden, "logprob"), s), t));
        ref[i] = (float)json_number_value(json_array_get(json_array_get(field(golden, "ref"), s), t));
        old[i] = o->it->samples[s].completion->logprob[t];
        entropy[i] = o->it->samples[s].completion->entropy[t];
    }
    objective_add(o, mb,
                  &(struct objective_targets){.logprob = logprob,
                                              .old = old,
                                              .ref = o->recipe->policy.beta != 0 ? ref : NULL,
                                              .entropy = entropy,
                                              .uncertain = uncertain,
                                              .d_logprob = d_logprob,
                                              .d_entropy = d_entropy},
                  &stats);
    out->loss += stats.loss;
    for (int i = 0; i < n; i++) {
        out->d_logprob[first[mb->sample[i]] + mb->index[i]] += (double)d_logprob[i];
        out->d_entropy[first[mb->sample[i]] + mb->index[i]] += (double)d_entropy[i];
    }
}

static void add_minibatch(const struct recipe *recipe, const struct iteration *it, const struct minibatch *minibatch,
                          const int *first, struct gradients *out)
{
    float entropies[16 * MOST_TOKENS];
    int n = 0;
    for (int i = 0; i < minibatch->n_unmasked; i++) {
        const struct completion *c = it->samples[minibatch->samples[i]].completion;
        memcpy(entropies + n, c->entropy, (size_t)c->n_tokens * sizeof *entropies);
        n += c->n_tokens;
    }
    bool masked = recipe->loss.top_entropy_quantile < 1;
    struct objective o = objective_of(recipe, it, minibatch, masked ? entropies : NULL);
    for (int i = 0; i < minibatch->n_micro_batches; i++) {
        add_micro_batch(&o, &minibatch->micro_batches[i], first, out);
    }
}

/* Larger of the differences of loss and gradients. */
static double compare(const json_t *c, const struct gradients *got)
{
    double largest = fabs(got->loss - json_number_value(field(c, "loss")));
    const json_t *bonus = field(c, "d_entropy"), *want = field(c, "d_logprob");
    assert_int_equal(json_array_size(want), 48);
    for (size_t i = 0; i < json_array_size(want); i++) {
        largest = fmax(largest, fabs(got->d_logprob[i] - json_number_value(json_array_get(want, i))));
        double expected = json_is_array(bonus) ? json_number_value(json_array_get(bonus, i)) : 0;
        largest = fmax(largest, fabs(got->d_entropy[i] - expected));
    }
    return largest;
}

static double run_case(const json_t *c, struct reward_set *rewards)
{
    struct recipe recipe;
    struct iteration it;
    struct gradients got = {0};
    const char *cut = json_string_value(field(c, "cut"));
    int first[16];
    read_recipe(&recipe, c);
    recipe.advantage.rewards = rewards;
    read_iteration(&it);
    for (int i = 0, n = 0; i < it.n_samples; i++) {
        first[i] = n;
        n += it.samples[i].completion->n_tokens;
    }
    advantage_compute(&recipe.advantage, &it);
    pack(&recipe, cut, &it);
    assert_int_equal(it.n_minibatches, strcmp(cut, "steps") == 0 ? 2 : 1);
    for (int m = 0; m < it.n_minibatches; m++) {
        add_minibatch(&recipe, &it, &it.minibatches[m], first, &got);
    }
    iteration_release(&it);
    recipe_release(&recipe);
    return compare(c, &got);
}

/* One line per loss type: the largest difference for each normaliser and mask. */
struct table {
    char names[16][64];
    double largest[8][16];
    int n_columns;
};

static double *cell(struct table *table, const json_t *c, int row)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s",
             strcmp(json_string_value(setting(c, "multi_objective_aggregation")), "sum_then_normalize") == 0
                 ? json_string_value(setting(c, "scale_rewards"))
                 : "each",
             json_is_true(setting(c, "mask_truncated_completions")) ? "+truncated" : "",
             json_number_value(setting(c, "top_entropy_quantile")) < 1 ? "+quantile" : "");
    for (int i = 0; i < table->n_columns; i++) {
        if (strcmp(table->names[i], name) == 0) {
            return &table->largest[row][i];
        }
    }
    snprintf(table->names[table->n_columns], sizeof name, "%s", name);
    return &table->largest[row][table->n_columns++];
}

static void losses_and_gradients_are_those_of_trl(void **state)
{
    (void)state;
    static const char *const types[] = {"grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"};
    struct table table = {0};
    struct reward_set *rewards = open_rewards();
    size_t i;
    json_t *c;
    json_array_foreach(field(golden, "cases"), i, c)
    {
        int row = 0;
        while (strcmp(types[row], json_string_value(setting(c, "loss_type"))) != 0) {
            row++;
        }
        double difference = run_case(c, rewards), *largest = cell(&table, c, row);
        *largest = fmax(*largest, difference);
        if (!(difference < 1e-7)) {
            char *settings = json_dumps(field(c, "settings"), 0);
            print_error("case %zu, cut %s, %s: %g\n", i, json_string_value(field(c, "cut")), settings, difference);
            free(settings);
        }
    }
    reward_set_close(rewards);
    assert_int_equal(i, 320);
    double all = 0;
    for (int column = 0; column < table.n_columns; column++) {
        print_message("%-24s", table.names[column]);
        for (int row = 0; row < 8; row++) {
            print_message(" %s %.0e", types[row], table.largest[row][column]);
            all = fmax(all, table.largest[row][column]);
        }
        print_message("\n");
    }
    assert_true(all < 1e-7);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* A quantile needs no order among the rest: against one that sorts, with ties and without. */
static void the_quantile_is_that_of_sorted_values(void **state)
{
    (void)state;
    struct rng rng = rng_stream(3, 9);
    for (int round = 0; round < 400; round++) {
        int n = 1 + (int)rng_below(&rng, 300), n_values = 1 + (int)rng_below(&rng, 400), kept = 0;
        float values[300], sorted[300];
        for (int i = 0; i < n; i++) {
            values[i] = sorted[i] = (float)rng_below(&rng, (uint32_t)n_values) / 7;
        }
        struct recipe recipe = {.loss.top_entropy_quantile = rng_double(&rng)};
        struct recipe_schedule_entry entry = {0, 1};
        recipe.rollout.max_completion_length = (struct recipe_schedule){&entry, 1};
        struct minibatch minibatch = {.n_tokens = n};
        struct objective o = objective_of(&recipe, NULL, &minibatch, values);
        qsort(sorted, (size_t)n, sizeof *sorted, by_value);
        float at = (float)(1 - recipe.loss.top_entropy_quantile) * (float)(n - 1);
        int k = (int)at;
        float next = sorted[k + 1 < n ? k + 1 : k];
        assert_true(o.min_entropy >= (double)sorted[k] && o.min_entropy <= (double)next);
        ASSERT_NEAR(o.min_entropy, (double)(sorted[k] + (at - (float)k) * (next - sorted[k])), 1e-6);
        for (int i = 0; i < n; i++) {
            kept += (double)sorted[i] >= o.min_entropy;
        }
        assert_int_equal(o.n_uncertain, kept);
        qsort(values, (size_t)n, sizeof *values, by_value);
        assert_memory_equal(values, sorted, (size_t)n * sizeof *values); /* none is lost */
    }
}

static int open_golden(void **state)
{
    (void)state;
    ASSERT_OK(json_parse_file(&golden, "tests/golden/trl.json", 1 << 20));
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advantages_are_those_of_trl),
        cmocka_unit_test(losses_and_gradients_are_those_of_trl),
        cmocka_unit_test(the_quantile_is_that_of_sorted_values),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
