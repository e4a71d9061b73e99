/* tests/rl/shard_plan_test.c - counts of public models; shares of GPUs; and on one GPU the bytes that a run takes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/shard_plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rl/method.h"
#include "rollout/kvcache.h"
#include "tests/rl/run_fixture.h"

static void open_recipe(struct recipe *recipe, const char *more)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "%smax_prompt_length: 96\noutput_dir: /tmp/strop_plan\n%s", RUN_GRPO, more);
    MUST(recipe_parse(recipe, strbuf_view(&text), "/tmp/strop_plan.yaml"));
    MUST(recipe_finish(recipe));
    strbuf_release(&text);
}

static void make_plan(struct shard_plan *plan, struct recipe *recipe, const json_t *document, const char *more)
{
    struct model_config config;
    open_recipe(recipe, more);
    MUST(model_config_parse(&config, document, "config.json"));
    MUST(shard_plan_make(plan, recipe, &config, "config.json"));
}

static void release(struct shard_plan *plan, struct recipe *recipe)
{
    shard_plan_release(plan);
    recipe_release(recipe);
}

/* Whether `count` is the published number of billions, rounded or cut off. */
static void assert_published(const char *name, const json_t *row, const char *key, double count)
{
    const char *text = json_string_value(json_object_get(row, key)), *point = text ? strchr(text, '.') : NULL;
    if (text) {
        double unit = pow(10, point ? -(double)strlen(point + 1) : 0);
        double more = count / 1e9 - strtod(text, NULL);
        if (!(more >= -0.5001 * unit && more < unit)) {
            fail_msg("%s: %s is %.6f billion, published %s", name, key, count / 1e9, text);
        }
    }
}

static void counts_are_the_published_ones(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL), *row;
    size_t i;
    assert_true(json_array_size(rows) >= 30);
    json_array_foreach(rows, i, row)
    {
        struct shard_plan plan;
        struct recipe recipe;
        const char *name = json_string_value(json_object_get(row, "name"));
        make_plan(&plan, &recipe, json_object_get(row, "config"), "");
        assert_published(name, row, "total", plan.counts.total);
        assert_published(name, row, "active", plan.counts.active);
        assert_published(name, row, "multiplied", plan.counts.multiplied);
        assert_true(fabs(plan.counts.page_bytes - json_number_value(json_object_get(row, "cache"))) < 0.5);
        assert_true(plan.counts.active <= plan.counts.total && plan.counts.multiplied <= plan.counts.active);
        release(&plan, &recipe);
    }
    json_decref(rows);
}

static const json_t *config_of(const json_t *rows, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) {
            return json_object_get(row, "config");
        }
    }
    fail_msg("no model %s", name);
    return NULL;
}

/* Undivided, the bytes are those that the plan of a run adds up. */
static void one_gpu_is_the_plan_of_a_run(void **state)
{
    (void)state;
    static const char *const more[] = {"", "beta: 0.1\n", "optim: adamw_bf16_sr\n", "gradient_checkpointing: true\n",
                                       "method: sft\ndataset_name: tiny-text\ntext_field: text\nreward_funcs: []\n"};
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct shard_plan plan;
        struct train_plan run;
        struct recipe recipe;
        struct shard_bytes bytes;
        struct strbuf text = STRBUF_INIT;
        char path[] = "/tmp/strop_plan_XXXXXX", file[64];
        assert_non_null(mkdtemp(path));
        snprintf(file, sizeof file, "%s/config.json", path);
        const json_t *config = config_of(rows, "Qwen2.5-0.5B");
        assert_int_equal(json_dump_file(config, file, 0), 0);
        bool sft = strstr(more[i], "sft") != NULL;
        strbuf_printf(&text, "%s%s", sft ? "model_name_or_path: m\n" : RUN_GRPO, more[i]);
        MUST(recipe_parse(&recipe, strbuf_view(&text), "/tmp/x.yaml"));
        MUST(recipe_override(&recipe, "output_dir=/tmp/strop_plan"));
        MUST(recipe_finish(&recipe));
        struct model_config c;
        MUST(model_config_open(&c, path));
        MUST(shard_plan_make(&plan, &recipe, &c, "config.json"));
        MUST(train_plan_make(&run, &recipe, path, "cuda", 1));
        assert_true(shard_plan_bytes(&plan, &shard_settings[0], 1, &bytes));
        double cache = run.kv_pages * (double)kv_page_bytes(run.made.policy);
        const size_t *cut = run.made.device->cut;
        double training = (double)cut[DEVICE_TRAINING], sampling = (double)cut[DEVICE_ROLLOUT] - cache;
        sampling +=
            run.kv_pages > 0 ? kvcache_pages(method_of(&recipe)->max_length(&recipe)) * cache / run.kv_pages : 0;
        double want = (double)cut[DEVICE_ALWAYS] + (training > sampling ? training : sampling);
        assert_true(fabs(bytes.total - want) < 1);
        strbuf_release(&text);
        train_plan_release(&run);
        release(&plan, &recipe);
        MUST(file_remove_folder(path));
    }
    json_decref(rows);
}

static void shares_add_up(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL);
    struct shard_plan plan;
    struct recipe recipe;
    struct shard_bytes one, b;
    make_plan(&plan, &recipe, config_of(rows, "Qwen2.5-7B"), "");
    double n = (double)plan.plan.made.policy->params.n;
    assert_true(shard_plan_bytes(&plan, &shard_settings[0], 1, &one));
    assert_true(fabs(one.weights - 2 * n) < 1 && fabs(one.masters - 4 * n) < 1 && fabs(one.moments - 8 * n) < 1);
    assert_true(fabs(one.gradients - 4 * n) < 1);
    for (int zero = 0; zero < 4; zero++) {
        assert_true(shard_plan_bytes(&plan, &shard_settings[zero], 8, &b));
        double gathered = zero == 3 ? plan.layer_bytes : 0;
        assert_true(fabs(b.moments - one.moments / (zero >= 1 ? 8 : 1)) < 1);
        assert_true(fabs(b.masters - one.masters / (zero >= 1 ? 8 : 1)) < 1);
        assert_true(fabs(b.gradients - one.gradients / (zero >= 2 ? 8 : 1)) < 1);
        assert_true(fabs(b.weights - gathered - one.weights / (zero == 3 ? 8 : 1)) < 1);
        assert_true(fabs(b.training - one.training) < 1 && fabs(b.sampling - one.sampling) < 1);
    }
    assert_false(shard_plan_bytes(&plan, &shard_settings[4], 8, &b)); /* no experts */
    assert_int_equal(shard_plan_smallest(&plan, &shard_settings[0], 80e9), 0);
    int fewest = shard_plan_smallest(&plan, &shard_settings[3], 80e9);
    assert_true(fewest > 1);
    assert_true(shard_plan_bytes(&plan, &shard_settings[3], fewest, &b) && b.total <= 75e9);
    assert_true(shard_plan_bytes(&plan, &shard_settings[3], fewest / 2, &b) && b.total > 75e9);
    release(&plan, &recipe);
    json_decref(rows);
}

/* Half of the experts on each of two GPUs, and all else as without them; not on three. */
static void experts_are_divided_whole(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL);
    struct shard_plan plan;
    struct recipe recipe;
    struct shard_bytes one, b;
    make_plan(&plan, &recipe, config_of(rows, "Qwen3-30B-A3B"), "");
    double dense = 2 * (plan.counts.total - plan.counts.experts), experts = 2 * plan.counts.experts;
    assert_true(shard_plan_bytes(&plan, &shard_settings[4], 1, &one));
    assert_true(fabs(one.weights - dense - experts) < 1e-4 * one.weights);
    assert_true(shard_plan_bytes(&plan, &shard_settings[4], 2, &b));
    assert_true(fabs(b.weights - dense - experts / 2) < 1e-4 * b.weights);
    assert_true(fabs(b.moments - 4 * b.weights) < 1 && fabs(b.gradients - 2 * b.weights) < 1);
    assert_true(shard_plan_bytes(&plan, &shard_settings[6], 16, &b));
    assert_true(fabs(b.moments - 4 * (dense + experts) / 16) < 1e-4 * b.moments);
    assert_true(fabs(b.weights - dense - experts / 16) < 1e-4 * b.weights);
    assert_false(shard_plan_bytes(&plan, &shard_settings[4], 3, &b));
    assert_false(shard_plan_bytes(&plan, &shard_settings[4], 256, &b));
    release(&plan, &recipe);
    json_decref(rows);
}

/* What is printed says the same twice. */
static void the_plan_is_printed(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL);
    struct shard_plan plan;
    struct recipe recipe;
    struct gpu_kind gpu;
    char *text = NULL, best[64];
    size_t size = 0;
    MUST(gpu_kind_find(&gpu, "h200"));
    make_plan(&plan, &recipe, config_of(rows, "DeepSeek-V3"), "gradient_checkpointing: true\n");
    FILE *out = open_memstream(&text, &size);
    shard_plan_print(&plan, &gpu, 0, out);
    fclose(out);
    json_t *document = shard_plan_to_json(&plan, &gpu, 0), *smallest = json_object_get(document, "smallest");
    assert_non_null(strstr(text, "parameters  671.026 billion, of which 653.909 billion of experts: 8 of 256"));
    assert_true(fabs(json_number_value(json_object_get(document, "parameters")) - 671.026e9) < 1e6);
    assert_int_equal(json_array_size(json_object_get(document, "settings")), SHARD_SETTINGS);
    snprintf(best, sizeof best, "smallest    %s on %lld GPUs", json_string_value(json_object_get(smallest, "setting")),
             (long long)json_integer_value(json_object_get(smallest, "gpus")));
    assert_non_null(strstr(text, best));
    json_decref(document);
    free(text);
    release(&plan, &recipe);
    json_decref(rows);
}

/* Qwen2.5-7B on an H100, by hand: 14.14 GB of weights without the embedding are read in 4.22 ms for a token of each of 8 sequences. */
static void rates_follow_from_the_machine(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/model_configs.json", 0, NULL);
    struct shard_plan plan;
    struct recipe recipe;
    struct gpu_kind gpu;
    MUST(gpu_kind_find(&gpu, "h100"));
    assert_int_equal(gpu_kind_find(&gpu, "abacus"), ERR_USAGE);
    assert_non_null(strstr(err_text(), "h200"));
    make_plan(&plan, &recipe, config_of(rows, "Qwen2.5-7B"), "");
    assert_int_equal(shard_plan_sequences(&plan, &shard_settings[3], 64, gpu.gib * (1 << 30)), 8);
    double sampling = shard_plan_sampling_rate(&plan, &shard_settings[3], 64, &gpu);
    double bytes = 2 * plan.counts.multiplied + 8 * 104 * 57344.0; /* 96 + 16 / 2 positions of the cache */
    assert_true(fabs(sampling * bytes / gpu.bandwidth / 8 - 1) < 1e-9 && fabs(sampling - 1889) < 2);
    double training = shard_plan_training_rate(&plan, &gpu);
    assert_true(fabs(training * 6 * plan.counts.multiplied / gpu.operations - 1) < 0.01);
    release(&plan, &recipe);
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_published_ones),
        cmocka_unit_test(one_gpu_is_the_plan_of_a_run),
        cmocka_unit_test(shares_add_up),
        cmocka_unit_test(experts_are_divided_whole),
        cmocka_unit_test(the_plan_is_printed),
        cmocka_unit_test(rates_follow_from_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
