/* tests/rl/train_plan_test.c - a run takes what was planned, once; a recipe that does not fit is refused with what would help.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/rl/run_fixture.h"

static char folder[64];

/* more: lines of key=value */
static void open_recipe(struct recipe *recipe, const char *name, const char *more)
{
    char path[128], line[128], output[128];
    snprintf(path, sizeof path, "%s/%s.yaml", folder, name);
    snprintf(output, sizeof output, "output_dir=%s/%s", folder, name);
    MUST(recipe_parse(recipe, STR(RUN_GRPO), path));
    MUST(recipe_override(recipe, "max_prompt_length=96"));
    MUST(recipe_override(recipe, output));
    for (int n; sscanf(more, " %127[^\n]%n", line, &n) == 1; more += n) {
        MUST(recipe_override(recipe, line));
    }
    MUST(recipe_finish(recipe));
}

static void make_plan(struct train_plan *plan, struct recipe *recipe, const char *device, size_t memory)
{
    MUST(train_plan_make(plan, recipe, recipe_path(recipe, recipe->model.model_name_or_path), device, memory));
}

/* ---- a run and its plan ---- */

/* Values of a metric of all steps. */
static int read_metric(const char *name, const char *metric, double *values, int most)
{
    char path[FILE_PATH_BYTES];
    struct strbuf text = STRBUF_INIT;
    int n = 0;
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, name);
    MUST(file_read(&text, path, (size_t)1 << 26));
    for (size_t at = 0, end; at < text.length; at = end + 1) {
        json_t *line;
        for (end = at; end < text.length && text.data[end] != '\n'; end++) {
        }
        MUST(json_parse(&line, str_slice(strbuf_view(&text), at, end), path));
        assert_true(n < most);
        if (!json_object_get(line, "eval/pass@1")) { /* a step, not an evaluation */
            values[n++] = json_number_value(json_object_get(line, metric));
        }
        json_decref(line);
    }
    strbuf_release(&text);
    return n;
}

static void run_and_compare(const char *name, const char *more, int n_steps)
{
    struct recipe recipe;
    struct train_plan plan;
    double allocations[256], peak[256];
    open_recipe(&recipe, name, more);
    make_plan(&plan, &recipe, "auto", 0);
    size_t planned = device_plan_bytes(plan.made.device);
    train_plan_release(&plan);
    MUST(train_run(&recipe, "test"));
    recipe_release(&recipe);
    assert_int_equal(read_metric(name, "memory/allocations", allocations, 256), n_steps);
    assert_int_equal(read_metric(name, "memory/peak_bytes", peak, 256), n_steps);
    for (int i = 0; i < n_steps; i++) {
        assert_true(allocations[i] == 1);
        assert_true(peak[i] == (double)planned);
    }
}

/* One token in fifty ends a completion, so that some of each step are short and some reach the limit. */
static void two_hundred_steps_take_what_was_planned(void **state)
{
    (void)state;
    double least[256], most[256];
    run_and_compare("long",
                    "max_steps=200\nlearning_rate=1e-4\nprompts_per_step=2\nmax_completion_length=24\nstop=[e, t, a, "
                    "\" \", o]\nbeta=0.01\n"
                    "eval_dataset_name=countdown:split=eval\neval_steps=50\neval_num_prompts=2\nsave_steps=80\n",
                    200);
    int n = read_metric("long", "completions/min_length", least, 256), full = 0, drawn = 0;
    read_metric("long", "completions/max_length", most, 256);
    for (int i = 0; i < n; i++) {
        full += most[i] > 23.5;
        drawn += least[i] < 12;
    }
    assert_true(full > 100 && drawn > 100);
}

static void supervised_training_takes_what_was_planned(void **state)
{
    (void)state;
    run_and_compare("sft",
                    "method=sft\ndataset_name=tiny-text\ntext_field=text\npack_length=256\nmax_steps=5\n"
                    "reward_funcs=[]\n",
                    5);
}

/* With experts, a layer of an MLP among them, and with latent attention. */
static void mixtures_take_what_was_planned(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "{\"model_type\": \"qwen3_moe\", \"num_key_value_heads\": 1, \"head_dim\": 16, \"num_experts\": 4, "
        "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 32, \"norm_topk_prob\": true, "
        "\"mlp_only_layers\": [0]}",
        "{\"model_type\": \"deepseek_v3\", \"n_routed_experts\": 8, \"num_experts_per_tok\": 2, \"n_group\": 2, "
        "\"topk_group\": 1, \"moe_intermediate_size\": 16, \"n_shared_experts\": 1, \"first_k_dense_replace\": 1, "
        "\"q_lora_rank\": null, \"kv_lora_rank\": 16, \"qk_nope_head_dim\": 16, \"qk_rope_head_dim\": 16, "
        "\"v_head_dim\": 16}"};
    for (int i = 0; i < 2; i++) {
        char path[128], name[32];
        struct model_config config;
        json_t *document = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "num_hidden_layers", 2, "hidden_size", 32,
                                     "intermediate_size", 48, "num_attention_heads", 2, "vocab_size", RUN_VOCABULARY,
                                     "max_position_embeddings", 1024, "eos_token_id", RUN_EOS);
        json_t *more = json_loads(configs[i], 0, NULL);
        assert_int_equal(json_object_update(document, more), 0);
        MUST(model_config_parse(&config, document, "config.json"));
        snprintf(path, sizeof path, "%s/mixture", folder);
        run_save_model(path, &config, 7);
        snprintf(name, sizeof name, "mixture-%d", i);
        run_and_compare(name, "model_name_or_path=mixture\nmax_steps=4\nbeta=0.01\n", 4);
        MUST(file_remove_folder(path));
        json_decref(more);
        json_decref(document);
    }
}

static void partial_sums_of_shards_are_planned(void **state)
{
    (void)state;
    run_and_compare("shards", "gradient_shards=8\nmax_steps=3", 3);
    static const struct {
        const char *shards;
        int n_ranks, sums;
    } cases[] = {{"gradient_shards=1", 1, 0}, {"gradient_shards=2", 1, 1}, {"gradient_shards=8", 1, 3},
                 {"gradient_shards=8", 2, 2}, {"gradient_shards=8", 8, 0}, {"gradient_shards=0", 8, 0}};
    size_t one = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe;
        struct train_plan plan;
        open_recipe(&recipe, "shards", cases[i].shards);
        recipe.run.n_ranks = cases[i].n_ranks;
        make_plan(&plan, &recipe, "cpu", 0);
        size_t bytes = plan.made.device->cut[DEVICE_TRAINING], each = plan.made.policy->params.n * sizeof(float);
        one = i == 0 ? bytes : one;
        assert_in_range(bytes - one, (size_t)cases[i].sums * each, (size_t)cases[i].sums * (each + 4096));
        train_plan_release(&plan);
        recipe_release(&recipe);
    }
}

/* Whatever the recipe, opening it cuts exactly what was planned. */
static void what_is_opened_is_what_was_planned(void **state)
{
    (void)state;
    static const char *const more[] = {"", "beta=0.1\n", "kv_pages=3\n", "top_k=5\nnum_iterations=2\n",
                                       "max_completion_length=[\"0:16\", \"4:200\"]\ntokens_per_micro_batch=64\n"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct recipe recipe;
        struct train_plan plan;
        struct train t = {0};
        open_recipe(&recipe, "opened", more[i]);
        make_plan(&plan, &recipe, "auto", 0);
        MUST(train_open(&t, &recipe, "test"));
        assert_memory_equal(t.device->cut, plan.made.device->cut, sizeof plan.made.device->cut);
        assert_memory_equal(t.device->cut, t.device->reserved, sizeof plan.made.device->cut);
        assert_int_equal(t.device->taken, device_plan_bytes(plan.made.device));
        train_close(&t);
        train_plan_release(&plan);
        char path[128];
        snprintf(path, sizeof path, "%s/opened", folder);
        MUST(file_remove_folder(path));
        recipe_release(&recipe);
    }
}

/* ---- pages ---- */

static void pages_fill_what_is_left(void **state)
{
    (void)state;
    struct recipe recipe;
    struct train_plan plan;
    open_recipe(&recipe, "pages",
                "max_completion_length=900\nmax_sequences=500\nprompts_per_step=200\n"
                "tokens_per_micro_batch=1000\n");
    make_plan(&plan, &recipe, "cuda", (size_t)80 << 30);
    int wanted = 500 * 8;
    assert_int_equal(plan.kv_pages_wanted, wanted);
    assert_int_equal(plan.kv_pages, wanted);
    size_t enough = device_plan_bytes(plan.made.device), page = kv_page_bytes(plan.made.policy);
    const size_t *cut = plan.made.device->cut;
    size_t excess = cut[DEVICE_ROLLOUT] > cut[DEVICE_TRAINING] ? cut[DEVICE_ROLLOUT] - cut[DEVICE_TRAINING] : 0;
    train_plan_release(&plan);
    assert_true(excess > 10 * page); /* the case at hand: pages need more than training does */

    make_plan(&plan, &recipe, "cuda", (enough - 5 * page) * 16 / 15);
    assert_true(train_plan_fits(&plan));
    assert_in_range(plan.kv_pages, wanted - 6, wanted - 5);
    train_plan_release(&plan);

    make_plan(&plan, &recipe, "cuda", (enough - excess) * 16 / 15 + 16);
    assert_true(train_plan_fits(&plan));
    int by_training = plan.kv_pages; /* as many as training's place holds */
    assert_in_range(by_training, 8, wanted - 10);
    train_plan_release(&plan);

    make_plan(&plan, &recipe, "cuda", enough / 2);
    assert_false(train_plan_fits(&plan));
    assert_int_equal(plan.kv_pages, by_training);
    train_plan_release(&plan);
    recipe_release(&recipe);
}

/* ---- refusal ---- */

static void refuse(const struct train_plan *plan, struct strbuf *text)
{
    char *data = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&data, &size);
    assert_int_equal(train_plan_refuse(plan, out), ERR_LIMIT);
    fclose(out);
    strbuf_puts(text, data);
    free(data);
}

/* Runs it again with each change of the list that is a key of the recipe; how many there were, of how many. */
static int try_changes(const char *text, const char *name, const char *more, size_t memory, int *n_changes)
{
    const char *line = strstr(text, "would make it fit:\n");
    int n_keys = 0;
    assert_non_null(line);
    *n_changes = 0;
    for (line = strchr(line, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        char change[64] = "";
        ++*n_changes;
        if (sscanf(line, "  --%63s", change) != 1) {
            continue;
        }
        struct recipe recipe;
        struct train_plan plan;
        char both[256];
        snprintf(both, sizeof both, "%s%s\n", more, change);
        open_recipe(&recipe, name, both);
        make_plan(&plan, &recipe, "cpu", memory);
        assert_true(train_plan_fits(&plan));
        train_plan_release(&plan);
        recipe_release(&recipe);
        n_keys++;
    }
    return n_keys;
}

static void a_recipe_that_does_not_fit_is_refused_with_changes(void **state)
{
    (void)state;
    static const struct {
        const char *more, *key;
    } cases[] = {
        {"tokens_per_micro_batch=100000\n", "--tokens_per_micro_batch="},
        {"kv_pages=100000\n", "--kv_pages="},
        {"max_completion_length=900\n", "--max_completion_length="},
        {"max_batch_tokens=1000000\n", "--max_batch_tokens="},
        {"max_sequences=60000\n", "--max_batch_tokens="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe;
        struct train_plan plan;
        int n_changes;
        open_recipe(&recipe, "large", cases[i].more);
        make_plan(&plan, &recipe, "cpu", 1);
        size_t memory = device_plan_bytes(plan.made.device); /* without what must stay free */
        train_plan_release(&plan);
        make_plan(&plan, &recipe, "cpu", memory);
        assert_false(train_plan_fits(&plan));
        struct strbuf text = STRBUF_INIT;
        refuse(&plan, &text);
        assert_non_null(strstr(text.data, "while training"));
        assert_non_null(strstr(text.data, cases[i].key));
        assert_non_null(strstr(err_text(), "does not fit on cpu"));
        assert_true(try_changes(text.data, "large", cases[i].more, memory, &n_changes) >= 1);
        assert_in_range(n_changes, 2, 3);
        strbuf_release(&text);
        train_plan_release(&plan);
        recipe_release(&recipe);
    }
}

/* Before anything is written. The CPU's memory is what it is, so the cache is the largest that can be asked for. */
static void training_refuses_it_too(void **state)
{
    (void)state;
    struct recipe recipe;
    char path[128];
    open_recipe(&recipe, "refused", "kv_pages=1000000000\n");
    snprintf(path, sizeof path, "%s/err", folder);
    int saved = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    enum err result = train_run(&recipe, "test");
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(result, ERR_LIMIT);
    assert_non_null(strstr(err_text(), "does not fit"));
    recipe_release(&recipe);
    struct strbuf text = STRBUF_INIT;
    MUST(file_read(&text, path, 1 << 20));
    assert_non_null(strstr(text.data, "key cache"));
    assert_non_null(strstr(text.data, "--kv_pages="));
    strbuf_release(&text);
    snprintf(path, sizeof path, "%s/refused", folder);
    assert_false(file_exists(path));
}

static void a_check_needs_no_gpu_and_no_weights(void **state)
{
    (void)state;
    struct recipe recipe;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    open_recipe(&recipe, "checked", "device=cuda\n");
    assert_int_equal(train_check(&recipe, (size_t)24 << 30, out), ERR_NONE);
    fflush(out);
    assert_non_null(strstr(text, "master weights"));
    assert_non_null(strstr(text, "kernels: logits"));
    assert_non_null(strstr(text, "of 24.00 GiB, of which 22.50 GiB can be planned"));
    fseek(out, 0, SEEK_SET);
    assert_int_equal(train_check(&recipe, (size_t)1 << 20, out), ERR_LIMIT);
    fclose(out);
    free(text);
    recipe_release(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_steps_take_what_was_planned),
        cmocka_unit_test(supervised_training_takes_what_was_planned),
        cmocka_unit_test(mixtures_take_what_was_planned),
        cmocka_unit_test(partial_sums_of_shards_are_planned),
        cmocka_unit_test(what_is_opened_is_what_was_planned),
        cmocka_unit_test(pages_fill_what_is_left),
        cmocka_unit_test(a_recipe_that_does_not_fit_is_refused_with_changes),
        cmocka_unit_test(training_refuses_it_too),
        cmocka_unit_test(a_check_needs_no_gpu_and_no_weights),
    };
    char model[128];
    snprintf(folder, sizeof folder, "%s/strop_plan_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        abort();
    }
    snprintf(model, sizeof model, "%s/model", folder);
    run_make_model(model, 5);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MUST(file_remove_folder(folder));
    return failed;
}
