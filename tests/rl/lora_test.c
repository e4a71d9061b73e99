/* tests/rl/lora_test.c - runs that train an adapter: stopped and resumed to the same bits, on a base that stays as it is, in the
 * memory that was planned.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"
#include "rl/train_plan.h"
#include "tests/rl/resume_fixture.h"

#define LORA RUN_GRPO "lora_r: 3\nlora_alpha: 8\n"

static void resumes_after_any_step(void **state)
{
    (void)state;
    assert_resumes(LORA, "beta: 0.02\nuse_rslora: true\n");
}

/* Checkpoints fall inside of iterations, and are rounded for others. */
static void resumes_inside_an_iteration(void **state)
{
    (void)state;
    assert_resumes(LORA, "steps_per_generation: 2\nnum_iterations: 2\nsave_dtype: bfloat16\n"
                         "lora_target_modules: [q_proj, v_proj, down_proj]\noptim: adamw_bf16_sr\n");
}

static void supervised_training_resumes(void **state)
{
    (void)state;
    assert_resumes(
        "method: sft\nmodel_name_or_path: model\ndataset_name: tiny-text\ntext_field: text\npack_length: 256\n"
        "prompts_per_step: 2\ntokens_per_micro_batch: 256\nlearning_rate: 0.01\nnum_threads: 1\nmax_steps: 12\n",
        "lora_r: 16\nlora_target_modules: [o_proj, up_proj]\n");
}

static void checkpointing_changes_nothing(void **state)
{
    (void)state;
    assert_ends_alike(LORA, "gradient_checkpointing: true\n");
}

/* ---- what a run leaves ---- */

static void file_of(char path[300], const char *run, const char *name)
{
    snprintf(path, 300, "%s/%s/%s", folder, run, name);
}

/* The checkpoint is the adapter, which opens on its base; and it has learnt: B is no longer 0. */
static void a_checkpoint_is_an_adapter(void **state)
{
    (void)state;
    char path[300];
    struct device *device = NULL;
    struct model *model = NULL, *base = NULL;
    go("adapter", LORA, 0);
    file_of(path, "adapter", "checkpoints/latest/model.safetensors");
    assert_false(file_exists(path));
    file_of(path, "adapter", "checkpoints/latest");
    MUST(device_open(&device, "auto"));
    MUST(model_open(&model, path, device, 0));
    assert_int_equal(model->config.lora.r, 3);
    assert_non_null(model->tokenizer);
    snprintf(path, sizeof path, "%s/model", folder);
    MUST(model_open(&base, path, device, 0));
    assert_memory_equal(model->params.data, base->params.data, base->params.bytes);
    const struct params *set = &model->adapter->params;
    for (int i = 1; i < set->n_params; i += 2) {
        double squares = device->ops->sum_squares((const float *)set->data + set->table[i].offset, set->table[i].n);
        assert_true(squares > 0);
    }
    model_close(base);
    model_close(model);
    device_close(device);
    forget("adapter");
}

/* ---- the base ---- */

static void copy_model(const char *to)
{
    static const char *const names[] = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"};
    char source[300], target[300];
    snprintf(target, sizeof target, "%s/%s", folder, to);
    MUST(file_make_folders(target));
    for (int i = 0; i < 4; i++) {
        snprintf(source, sizeof source, "%s/model/%s", folder, names[i]);
        snprintf(target, sizeof target, "%s/%s/%s", folder, to, names[i]);
        MUST(file_copy(source, target));
    }
}

static enum err start(const char *name, const char *text, const char *more)
{
    struct recipe recipe;
    char all[4096], path[300];
    struct strbuf lines = STRBUF_INIT;
    snprintf(all, sizeof all, "%s%s", text, more);
    snprintf(path, sizeof path, "%s/%s.yaml", folder, name);
    strbuf_printf(&lines, "%s\noutput_dir: %s/%s\n", all, folder, name);
    stop_after = 0;
    enum err result = recipe_parse(&recipe, strbuf_view(&lines), path);
    strbuf_release(&lines);
    if (result != ERR_NONE) {
        return result;
    }
    result = recipe_finish(&recipe);
    result = result == ERR_NONE ? train_run(&recipe, "test") : result;
    recipe_release(&recipe);
    return result;
}

static void assert_refused(const char *name, const char *text, const char *more, const char *part)
{
    enum err result = start(name, text, more);
    if (result == ERR_NONE || !strstr(err_text(), part)) {
        fail_msg("%s: %d, '%s'; wanted '%s'", more, result, result ? err_text() : "", part);
    }
}

/* On another machine the base is elsewhere: the run continues there to the straight run's bits. */
static void continues_on_a_base_that_was_moved(void **state)
{
    (void)state;
    char text[4096], line[] = "model_name_or_path: model\n";
    const char *rest = strstr(LORA, line) + strlen(line);
    copy_model("here");
    snprintf(text, sizeof text, "model_name_or_path: here\n%s", rest);
    go("straight", text, 0);
    struct run_digest want = digest("straight");
    go("moved", text, 5);
    char from[300], to[300];
    snprintf(from, sizeof from, "%s/here", folder);
    snprintf(to, sizeof to, "%s/there", folder);
    assert_int_equal(rename(from, to), 0);
    snprintf(text, sizeof text, "model_name_or_path: there\n%s", rest);
    go("moved", text, 0);
    struct run_digest got = digest("moved");
    assert_null(run_difference(&got, &want));
    forget("straight");
    forget("moved");
    forget("there");
}

static void a_base_that_changed_is_refused(void **state)
{
    (void)state;
    char text[4096], path[300];
    snprintf(text, sizeof text, "model_name_or_path: %s/changing\n%s", folder, strstr(LORA, "dataset_name"));
    copy_model("changing");
    go("changed", text, 5);
    snprintf(path, sizeof path, "%s/changing", folder);
    run_make_model(path, 6);
    assert_refused("changed", text, "", "its adapter was trained on what was there");
    forget("changing");
    assert_refused("changed", text, "", "no such model");
    forget("changed");
}

/* ---- recipes ---- */

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"lora_r: -1\n", "lora_r"},
        {"lora_r: 1.5\n", "lora_r"},
        {"lora_r: 5000\n", "lora_r"},
        {"lora_r: 4\nlora_alpha: 0\n", "lora_alpha"},
        {"lora_r: 4\nlora_target_modules: [q_proj, c_attn]\n", "c_attn"},
        {"lora_r: 4\nlora_target_modules: [lm_head]\n", "lm_head"},
        {"lora_r: 4\nlora_target_modules: []\n", "'lora_target_modules' is empty"},
        {"lora_r: 4\nbeta: 0.1\nsync_ref_model: true\n", "'sync_ref_model' would move the reference model"},
        {"lora_r: 4\ninit_weights: random\n", "init_weights is random"},
        {"use_peft: true\n", "write lora_r"},
        {"lora_r: 4\nlora_dropout: 0.1\n", "no dropout"},
    };
    char path[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_refused("refused", RUN_GRPO, cases[i][0], cases[i][1]);
    }
    snprintf(path, sizeof path, "%s/refused", folder);
    assert_false(file_exists(path));
}

/* Another adapter would be another run; an adapter is no base. */
static void another_adapter_is_another_run(void **state)
{
    (void)state;
    char text[4096];
    go("other", LORA, 5);
    assert_refused("other", RUN_GRPO, "lora_r: 4\nlora_alpha: 8\n", "lora_r 3 -> 4");
    assert_refused("other", RUN_GRPO, "lora_r: 3\n", "lora_alpha 8 -> 32");
    assert_refused("other", RUN_GRPO, "", "lora_r 3 -> 0");
    snprintf(text, sizeof text, "model_name_or_path: other/checkpoints/latest\n%s", strstr(RUN_GRPO, "dataset_name"));
    assert_refused("on-top", text, "", "is an adapter; train on its base");
    assert_refused("on-top", text, "lora_r: 2\n", "is an adapter; train on its base");
    forget("other");
}

/* ---- memory ---- */

static size_t planned(const char *more, const char *device, struct train_plan *plan)
{
    struct recipe recipe;
    char all[4096];
    snprintf(all, sizeof all, "%s%s", RUN_GRPO, more);
    run_open_recipe(&recipe, folder, "plan", all);
    MUST(train_plan_make(plan, &recipe, recipe_path(&recipe, recipe.model.model_name_or_path), device, 0));
    size_t bytes = device_plan_bytes(plan->made.device);
    recipe_release(&recipe);
    return bytes;
}

/* A run takes what was planned, once. */
static void takes_what_was_planned(void **state)
{
    (void)state;
    struct train_plan plan;
    char path[300];
    size_t bytes = planned("lora_r: 3\nlora_alpha: 8\n", "auto", &plan);
    train_plan_release(&plan);
    go("memory", LORA, 0);
    struct strbuf text = STRBUF_INIT;
    file_of(path, "memory", "metrics.jsonl");
    MUST(file_read(&text, path, 1 << 22));
    char want[64];
    snprintf(want, sizeof want, "\"memory/peak_bytes\": %zu", bytes);
    int n = 0;
    for (const char *at = text.data; (at = strstr(at, want)); at++) {
        n++;
    }
    assert_int_equal(n, 12);
    strbuf_release(&text);
    forget("memory");
}

/* Gradients, masters and moments are those of the adapter; the reference model is no second copy. */
static void the_base_has_its_weights_alone(void **state)
{
    (void)state;
    struct train_plan plan, with_reference, full, full_with_reference;
    size_t bytes = planned("lora_r: 16\n", "cuda", &plan);
    size_t reference = planned("lora_r: 16\nbeta: 0.1\n", "cuda", &with_reference);
    size_t whole = planned("", "cuda", &full), whole_reference = planned("beta: 0.1\n", "cuda", &full_with_reference);
    const struct params *set = model_trained(plan.made.policy), *base = &plan.made.policy->params;
    size_t always = plan.made.device->cut[DEVICE_ALWAYS], others = full.made.device->cut[DEVICE_ALWAYS] - 14 * base->n;
    assert_int_equal(bytes, reference);
    assert_true(whole_reference >= whole + base->bytes);
    assert_true(with_reference.made.reference &&
                with_reference.made.reference->params.data == with_reference.made.policy->params.data);
    /* base 2; adapter 2 + 4 + 4 + 4; each slice is rounded up to 256 bytes */
    size_t want = others + 2 * base->n + 14 * set->n;
    assert_true(always <= want + 16 * 256 && want <= always + 16 * 256);
    train_plan_release(&plan);
    train_plan_release(&with_reference);
    train_plan_release(&full);
    train_plan_release(&full_with_reference);
}

static int begin(void **state)
{
    (void)state;
    resume_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    resume_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_after_any_step),         cmocka_unit_test(resumes_inside_an_iteration),
        cmocka_unit_test(supervised_training_resumes),    cmocka_unit_test(checkpointing_changes_nothing),
        cmocka_unit_test(a_checkpoint_is_an_adapter),     cmocka_unit_test(continues_on_a_base_that_was_moved),
        cmocka_unit_test(a_base_that_changed_is_refused), cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(another_adapter_is_another_run), cmocka_unit_test(takes_what_was_planned),
        cmocka_unit_test(the_base_has_its_weights_alone),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
