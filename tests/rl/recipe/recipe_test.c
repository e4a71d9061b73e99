/* tests/rl/recipe/recipe_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "rl/recipe/recipe.h"
#include "rl/recipe/recipe_table.h"

#define LEAST "model_name_or_path: m\ndataset_name: d\nreward_funcs: [countdown]\n"

static struct recipe read_recipe(const char *text)
{
    struct recipe recipe;
    enum err err = recipe_parse(&recipe, str_of(text), "dir/r.yaml");
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return recipe;
}

static void every_default_is_in_range_and_reads_back(void **state)
{
    (void)state;
    struct recipe recipe;
    recipe_init(&recipe);
    assert_int_equal(recipe.rollout.num_generations, 8);
    assert_true(recipe.optim.learning_rate == 1e-6);
    assert_int_equal(recipe.run.seed, 42);
    assert_int_equal(recipe.loss.loss_type, LOSS_DAPO);
    assert_string_equal(recipe.run.save_dtype, "float32");
    assert_true(isnan(recipe.loss.policy.epsilon_high));
    struct strbuf changes = STRBUF_INIT;
    recipe_write_changes(&recipe, &changes);
    assert_int_equal(changes.length, 0);
    strbuf_release(&changes);
    recipe_release(&recipe);
}

static void keys_and_aliases_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < recipe_n_fields; i++) {
        assert_ptr_equal(recipe_find(recipe_fields[i].key), &recipe_fields[i]);
        assert_true(recipe_fields[i].help[0] && recipe_fields[i].unit);
        for (const char *at = recipe_fields[i].aliases; at && *at; at += strspn(at, " ")) {
            char alias[96];
            size_t n = strcspn(at, " ");
            snprintf(alias, sizeof alias, "%.*s", (int)n, at);
            assert_ptr_equal(recipe_find(alias), &recipe_fields[i]);
            at += n;
        }
        for (int j = i + 1; j < recipe_n_fields; j++) {
            assert_true(recipe_fields[i].offset != recipe_fields[j].offset);
        }
    }
}

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    struct recipe r = read_recipe(LEAST "# a comment\n"
                                        "learning_rate: 1e-5\n"
                                        "temperature: 1\n"
                                        "max_steps: 1e3\n"
                                        "shuffle: False\n"
                                        "loss_type: cispo\n"
                                        "scale_rewards: false\n"
                                        "kl_estimator: low_var_kl\n"
                                        "lr_scheduler_type: cosine_with_min_lr\n"
                                        "actor_rollout_ref.rollout.n: 16\n"
                                        "stop: ['</answer>', \"\\n\\n\"]\n"
                                        "report_to: none\n"
                                        "max_completion_length: [0:100, 20:200, 30:150]\n"
                                        "delta: null\n"
                                        "system_prompt: 12\n"
                                        "chat_template_kwargs: {enable_thinking: no, a: [1, 2.5, 'b\"'], c: null}\n");
    assert_true(r.optim.learning_rate == 1e-5);
    assert_true(r.rollout.temperature == 1);
    assert_int_equal(r.run.max_steps, 1000);
    assert_false(r.data.shuffle);
    assert_int_equal(r.loss.loss_type, LOSS_CISPO);
    assert_int_equal(r.advantage.scale, SCALE_NONE);
    assert_int_equal(r.loss.policy.kl_estimator, KL_K3);
    assert_int_equal(r.optim.schedule, LR_COSINE);
    assert_int_equal(r.rollout.num_generations, 16);
    assert_int_equal(r.rollout.stop.n, 2);
    assert_string_equal(r.rollout.stop.items[0], "</answer>");
    assert_string_equal(r.rollout.stop.items[1], "\n\n");
    assert_string_equal(r.data.system_prompt, "12");
    assert_string_equal(r.data.chat_template_kwargs,
                        "{\"enable_thinking\": \"no\", \"a\": [1, 2.5, \"b\\\"\"], \"c\": null}");
    static const struct {
        int64_t step;
        int want;
    } lengths[] = {{1, 100}, {19, 100}, {20, 200}, {29, 200}, {30, 150}, {1000, 150}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_int_equal(recipe_schedule_at(&r.rollout.max_completion_length, lengths[i].step), lengths[i].want);
    }
    assert_int_equal(recipe_schedule_max(&r.rollout.max_completion_length), 200);
    assert_int_equal(recipe_finish(&r), ERR_NONE);
    assert_false(r.run.report_tensorboard);
    assert_true(r.loss.policy.epsilon_high == 5);
    assert_int_equal(r.loss.policy.surrogate, SURROGATE_CISPO);
    assert_string_equal(r.run.output_dir, "runs/r");
    assert_true(r.eval.eval_temperature == 1);
    recipe_release(&r);
}

static void rewards_become_their_text(void **state)
{
    (void)state;
    struct recipe r = read_recipe("reward_funcs:\n"
                                  "  - countdown\n"
                                  "  - format:mode=graded,weight=0.1\n"
                                  "  - {name: exact, weight: 0.5, field: answer}\n"
                                  "  - name: length:most=3\n"
                                  "    label: short\n"
                                  "  - {name: cosine_length, correct: \"countdown:needs_format,label='c'\"}\n");
    static const char *const want[] = {"countdown", "format:mode=graded,weight=0.1", "exact:weight=0.5,field=answer",
                                       "length:most=3,label=short",
                                       "cosine_length:correct='countdown:needs_format,label=''c'''"};
    assert_int_equal(r.reward.reward_funcs.n, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(r.reward.reward_funcs.items[i], want[i]);
    }
    recipe_release(&r);
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"learning_rat: 1", "r.yaml:1:1: unknown key 'learning_rat'; did you mean 'learning_rate'?"},
        {"\n  \nbeta: 0\nactor.optim.lr: 1\n",
         "r.yaml:4:1: unknown key 'actor.optim.lr'; did you mean 'learning_rate'?"},
        {"qqqqqqqqqqqqq: 1", "r.yaml:1:1: unknown key 'qqqqqqqqqqqqq'; 'strop check --keys' lists them all"},
        {"temperature: 1000", "r.yaml:1:14: 'temperature' is 1000 but must be from 0.01 to 100"},
        {"max_prompt_length: 0", "r.yaml:1:20: 'max_prompt_length' is 0 but must be from 1 to 1000000 tokens"},
        {"top_p: .nan", "r.yaml:1:8: 'top_p' must be a number, not '.nan'"},
        {"beta: 1e999", "r.yaml:1:7: 'beta' is inf but must be from 0 to 100"},
        {"max_steps: ten", "r.yaml:1:12: 'max_steps' must be an integer, not 'ten'"},
        {"max_steps: 1.5", "r.yaml:1:12: 'max_steps' must be an integer, not '1.5'"},
        {"max_steps: '10'", "r.yaml:1:12: 'max_steps' must be an integer, not '10'"},
        {"shuffle: yes", "r.yaml:1:10: 'shuffle' must be true or false, not 'yes'"},
        {"beta: [1]", "r.yaml:1:7: 'beta' must be a number, not a list"},
        {"actor:\n  optim: 1\n", "r.yaml:1:1: 'actor' is a mapping, but a recipe is flat; write 'actor.NAME: value'"},
        {"dataset_name: {a: 1}", "r.yaml:1:15: 'dataset_name' must be text, not a mapping"},
        {"loss_type: ppo", "r.yaml:1:12: 'loss_type' cannot be 'ppo'; it is one of dapo, grpo, dr_grpo, bnpo, gspo, "
                           "cispo, sapo, luspo, vespo, reinforce"},
        {"save_dtype: fp8", "r.yaml:1:13: 'save_dtype' cannot be 'fp8'; it is one of float32, bfloat16"},
        {"report_to: [jsonl, wandb]",
         "r.yaml:1:12: 'report_to' cannot be 'wandb'; it is one of jsonl, tensorboard, none"},
        {"beta: 0\nbeta: 1\n", "r.yaml:2:1: 'beta' was already given in line 1; remove one of them"},
        {"learning_rate: 1e-6\nactor_rollout_ref.actor.optim.lr: 1\n",
         "r.yaml:2:1: 'actor_rollout_ref.actor.optim.lr' is the same as 'learning_rate', which was given in line 1; "
         "remove one of them"},
        {"reward_funcs: [{weight: 1}]", "r.yaml:1:15: a mapping in 'reward_funcs' needs the reward's name: {name: "
                                        "countdown, weight: 1.0}"},
        {"reward_funcs: [{name: a, b: [1]}]",
         "r.yaml:1:15: option \'b\' of \'reward_funcs\' must be text or a number, not a list"},
        {"stop: ['']", "r.yaml:1:7: 'stop' has an empty item; take it out"},
        {"max_completion_length: [10:5, 10:6]", "r.yaml:1:24: the steps of 'max_completion_length' must ascend"},
        {"max_completion_length: 5:x",
         "r.yaml:1:24: 'max_completion_length' must be an integer or a list of step:value, "
         "not '5:x'"},
        {"max_completion_length: [0:0]",
         "r.yaml:1:24: 'max_completion_length' is 0 but must be from 1 to 1000000 tokens"},
        {"beta: x\nlerning_rate: 1\ntop_k: 1\nlr: 3\n",
         "r.yaml:1:7: 'beta' must be a number, not 'x'\n"
         "  r.yaml:2:1: unknown key 'lerning_rate'; did you mean 'learning_rate'?\n"
         "  r.yaml:4:1: unknown key 'lr': write learning_rate"},
        {"", "r.yaml: the recipe is empty; write lines of 'key: value'"},
        {"- a", "r.yaml:1:1: a recipe is lines of 'key: value', not a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe = {.method = METHOD_SFT}, before = recipe;
        enum err err = recipe_parse(&recipe, str_of(cases[i].text), "r.yaml");
        assert_int_equal(err, ERR_USAGE);
        assert_string_equal(err_text(), cases[i].want);
        assert_memory_equal(&recipe, &before, sizeof recipe);
    }
}

static void overrides_read_as_in_the_file(void **state)
{
    (void)state;
    struct recipe r = read_recipe(LEAST "beta: 0.5\n");
    static const char *const good[] = {"beta=0.25",
                                       "stop=[\"a b\", c]",
                                       "reward_funcs=exact:x=1",
                                       "n_samples_per_prompt=4",
                                       "max_completion_length=0:10,5:20",
                                       "system_prompt=key: [value] # all of it",
                                       "output_dir=",
                                       "chat_template_kwargs={\"enable_thinking\": false}",
                                       "epsilon_high=null"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (recipe_override(&r, good[i]) != ERR_NONE) {
            fail_msg("%s", err_text());
        }
    }
    assert_true(r.loss.policy.beta == 0.25);
    assert_int_equal(r.rollout.stop.n, 2);
    assert_string_equal(r.rollout.stop.items[0], "a b");
    assert_string_equal(r.reward.reward_funcs.items[0], "exact:x=1");
    assert_int_equal(r.rollout.num_generations, 4);
    assert_int_equal(r.rollout.max_completion_length.n, 2);
    assert_string_equal(r.data.system_prompt, "key: [value] # all of it");
    static const struct {
        const char *assignment, *want;
    } bad[] = {
        {"bta=1", "--bta: unknown key 'bta'; did you mean 'beta'?"},
        {"beta=x", "--beta: 'beta' must be a number, not 'x'"},
        {"beta=-1", "--beta: 'beta' is -1 but must be from 0 to 100"},
        {"chat_template_kwargs=yes", "--chat_template_kwargs: 'chat_template_kwargs' must be a mapping such as "
                                     "{enable_thinking: false}, not 'yes'"},
        {"stop=[a", "--stop:2:1: not valid YAML: did not find expected ',' or ']'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(recipe_override(&r, bad[i].assignment), ERR_USAGE);
        assert_string_equal(err_text(), bad[i].want);
    }
    assert_true(r.loss.policy.beta == 0.25);
    recipe_release(&r);
}

static void combinations_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"dataset_name: d",
         "dir/r.yaml: 'model_name_or_path' is missing; name a Hugging Face directory or a GGUF file"},
        {LEAST "num_generations: 1\n", "dir/r.yaml:4:18: 'num_generations' is 1, but the baseline is taken from the "
                                       "other completions of a prompt; use 2 "
                                       "or more, or advantage_baseline: none"},
        {LEAST "num_generations: 1\nadvantage_baseline: none\n",
         "dir/r.yaml:4:18: 'num_generations' is 1, but scale_rewards: group needs the deviation of several; use 2 or "
         "more, "
         "or scale_rewards: batch or none"},
        {LEAST "loss_type: gspo\nimportance_sampling_level: token\n",
         "dir/r.yaml:5:28: loss_type gspo has one ratio a completion; take 'importance_sampling_level' out, or use "
         "loss_type grpo"},
        {LEAST "loss_type: sapo\ndelta: 2\n",
         "dir/r.yaml:5:8: 'delta' belongs to the clipped losses (dapo, grpo, dr_grpo, bnpo, gspo, luspo); set it to 0"},
        {LEAST "delta: 1.1\n", "dir/r.yaml:4:8: 'delta' must be above 1 + epsilon, or 0 for none"},
        {LEAST "eval_steps: 5\n", "dir/r.yaml:4:13: 'eval_steps' needs 'eval_dataset_name'; name what to measure on"},
        {LEAST "kl_estimator: k1\nuse_bias_correction_kl: true\n",
         "dir/r.yaml:5:25: 'use_bias_correction_kl' and 'kl_estimator' say different things; take one of them out"},
        {LEAST "kl_estimator: k3_unbiased\nuse_bias_correction_kl: false\n",
         "dir/r.yaml:5:25: 'use_bias_correction_kl' and 'kl_estimator' say different things; take one of them out"},
        {LEAST "advantage_baseline: leave_one_out\nmulti_objective_aggregation: normalize_then_sum\n",
         "dir/r.yaml:4:21: 'advantage_baseline' must be mean with multi_objective_aggregation: normalize_then_sum"},
        {LEAST "loss_type: vespo\ndelta: 2\n",
         "dir/r.yaml:5:8: 'delta' belongs to the clipped losses (dapo, grpo, dr_grpo, bnpo, gspo, luspo); set it to 0"},
        {LEAST "num_train_epochs: 0\n", "dir/r.yaml: 'max_steps' and 'num_train_epochs' are both 0; set one of them"},
        {LEAST "text_field: text\n", "dir/r.yaml:4:13: 'text_field' is for method sft; grpo reads 'prompt_field'"},
        {"method: sft\n" LEAST "text_field: text\ncompletion_field: c\n",
         "dir/r.yaml:5:13: 'text_field' and 'completion_field' exclude each other; take one out"},
        {"model_name_or_path: m\ndataset_name: d\n",
         "dir/r.yaml: 'reward_funcs' is missing; method grpo needs a reward, such as [countdown]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe = read_recipe(cases[i].text);
        assert_int_equal(recipe_finish(&recipe), ERR_USAGE);
        assert_string_equal(err_text(), cases[i].want);
        recipe_release(&recipe);
    }
}

/* TRL's switch and the estimator by name are one thing, in the recipe that is saved too. */
static void two_names_of_the_divergence_agree(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum kl_estimator want;
    } cases[] = {
        {LEAST, KL_K3_UNBIASED}, /* TRL's default */
        {LEAST "use_bias_correction_kl: false\n", KL_K3},
        {LEAST "use_bias_correction_kl: true\n", KL_K3_UNBIASED},
        {LEAST "kl_estimator: low_var_kl\n", KL_K3}, /* verl's k3 has no correction */
        {LEAST "kl_estimator: k3\nuse_bias_correction_kl: true\n", KL_K3_UNBIASED},
        {LEAST "kl_estimator: k2\n", KL_K2},
        {LEAST "kl_estimator: k1\nuse_bias_correction_kl: false\n", KL_K1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf saved = STRBUF_INIT;
        struct recipe recipe = read_recipe(cases[i].text), again;
        assert_int_equal(recipe_finish(&recipe), ERR_NONE);
        recipe_write(&recipe, &saved);
        assert_int_equal(recipe_parse(&again, strbuf_view(&saved), "again.yaml"), ERR_NONE);
        assert_int_equal(recipe_finish(&again), ERR_NONE);
        assert_int_equal(recipe.loss.policy.kl_estimator, cases[i].want);
        assert_int_equal(again.loss.policy.kl_estimator, cases[i].want);
        assert_int_equal(recipe.loss.use_bias_correction_kl, cases[i].want == KL_K3_UNBIASED);
        assert_int_equal(again.loss.use_bias_correction_kl, cases[i].want == KL_K3_UNBIASED);
        recipe_release(&recipe);
        recipe_release(&again);
        strbuf_release(&saved);
    }
}

/* What is warned of is only told: the message is caught from standard error. */
static void doubtful_combinations_only_warn(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {LEAST "loss_type: dr_grpo\n", "dr_grpo is meant with scale_rewards: none"},
        {LEAST "sync_ref_model: true\n", "no effect while beta is 0"},
        {LEAST "routing_replay: R2\n", "'routing_replay' has no effect while each rollout feeds one step"},
        {LEAST "top_p: 0.9\n", "slightly off policy"},
        {LEAST "loss_type: luspo\n", "luspo is meant with importance_sampling_level: sequence"},
        {LEAST "loss_type: vespo\nimportance_sampling_level: sequence\n",
         "it is meant with importance_sampling_level: token"},
        {LEAST "importance_sampling_level: sequence\n", "weighs completions by their length"},
        {LEAST "multi_objective_aggregation: normalize_then_sum\nscale_rewards: none\n",
         "'scale_rewards' has no effect"},
        {LEAST "max_steps: 5\nwarmup_steps: 5\n", "the warm-up lasts as long as the run"},
        {LEAST "lr_scheduler_type: constant\nwarmup_steps: 5\n", "has no effect with lr_scheduler_type: constant"},
        {"method: sft\n" LEAST, "'reward_funcs' has no effect with method sft"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[] = "/tmp/recipe_test.XXXXXX", text[2000] = {0};
        int file = mkstemp(path), saved = dup(2);
        assert_true(file >= 0 && saved >= 0);
        struct recipe recipe = read_recipe(cases[i].text);
        dup2(file, 2);
        enum err err = recipe_finish(&recipe);
        dup2(saved, 2);
        assert_true(pread(file, text, sizeof text - 1, 0) > 0);
        close(saved);
        close(file);
        unlink(path);
        assert_int_equal(err, ERR_NONE);
        assert_non_null(strstr(text, cases[i].want));
        recipe_release(&recipe);
    }
}

/* write(parse(write(r))) == write(r), with the values that are hardest to quote. */
static void the_effective_recipe_reads_back(void **state)
{
    (void)state;
    struct recipe r = read_recipe(LEAST "learning_rate: 3.0000000000000004e-6\nmax_completion_length: [0:10, 5:20]\n"
                                        "stop: ['a, b', \"]\\n\", '# x', 'true', \"\\u00e9\\x7f\"]\n"
                                        "system_prompt: \"say: \\\"no\\\" # \\\\ \"\ntemplate: none\nloss_type: gspo\n"
                                        "chat_template_kwargs: {enable_thinking: false, date_string: 1 May 2025}\n");
    assert_int_equal(recipe_finish(&r), ERR_NONE);
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    recipe_write(&r, &first);
    struct recipe again;
    if (recipe_parse(&again, strbuf_view(&first), "dir/r.yaml") != ERR_NONE) {
        fail_msg("%s in\n%s", err_text(), first.data);
    }
    assert_int_equal(recipe_finish(&again), ERR_NONE);
    recipe_write(&again, &second);
    assert_string_equal(first.data, second.data);
    assert_true(again.optim.learning_rate == r.optim.learning_rate);
    assert_string_equal(again.data.system_prompt, "say: \"no\" # \\ ");
    assert_string_equal(again.rollout.stop.items[4], "\xc3\xa9\x7f");
    assert_string_equal(recipe_text(&again, "loss_type"), "gspo");
    assert_null(recipe_text(&again, "no_such_key"));
    for (int i = 0; i < recipe_n_fields; i++) {
        assert_non_null(strstr(first.data, recipe_fields[i].key));
    }
    strbuf_release(&first);
    strbuf_release(&second);
    recipe_release(&again);
    recipe_release(&r);
}

static void the_reference_names_every_key(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    recipe_write_reference(&text);
    for (int i = 0; i < recipe_n_fields; i++) {
        char row[128];
        snprintf(row, sizeof row, "\n| `%s` | ", recipe_fields[i].key);
        assert_non_null(strstr(text.data, row));
    }
    assert_non_null(strstr(text.data, "| `beta` | `0` | number, 0 to 100 | weight of the divergence"));
    strbuf_release(&text);
}

static void paths_are_looked_for_beside_the_recipe(void **state)
{
    (void)state;
    char folder[] = "/tmp/recipe_test.XXXXXX", path[64], beside[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/r.yaml", folder);
    snprintf(beside, sizeof beside, "%s/data.jsonl", folder);
    assert_int_equal(file_write_atomic(path, LEAST, strlen(LEAST)), ERR_NONE);
    assert_int_equal(file_write_atomic(beside, "{}\n", 3), ERR_NONE);
    struct recipe r;
    assert_int_equal(recipe_open(&r, path), ERR_NONE);
    assert_string_equal(recipe_path(&r, "data.jsonl"), beside);
    assert_string_equal(recipe_path(&r, "other.jsonl"), "other.jsonl");
    assert_string_equal(recipe_path(&r, "/a/b"), "/a/b");
    recipe_release(&r);
    assert_int_equal(recipe_open(&r, folder), ERR_USAGE);
    assert_int_equal(unlink(path), 0);
    assert_int_not_equal(recipe_open(&r, path), ERR_NONE);
    assert_non_null(strstr(err_text(), path));
    assert_int_equal(file_remove_folder(folder), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_in_range_and_reads_back),
        cmocka_unit_test(keys_and_aliases_are_unique),
        cmocka_unit_test(values_of_every_type_are_read),
        cmocka_unit_test(rewards_become_their_text),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(overrides_read_as_in_the_file),
        cmocka_unit_test(combinations_are_checked),
        cmocka_unit_test(two_names_of_the_divergence_agree),
        cmocka_unit_test(doubtful_combinations_only_warn),
        cmocka_unit_test(the_effective_recipe_reads_back),
        cmocka_unit_test(the_reference_names_every_key),
        cmocka_unit_test(paths_are_looked_for_beside_the_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
