/* rl/train_check.c - strop check: would a recipe run, and what would it take?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "model/end_tokens.h"
#include "rl/method.h"
#include "rl/train_parts.h"
#include "rl/train_plan.h"

static void print_size(const struct model *model, FILE *out)
{
    const struct model_config *c = &model->config;
    fprintf(out,
            "\nmodel    %s: %s, %d layers, width %d, %d heads of %d, %d key/value heads, vocabulary %d; %.1f M "
            "parameters\n",
            model->source, c->family->name, c->n_layers, c->d, c->H, c->D, c->J, c->V, (double)model->params.n / 1e6);
}

/* What is trained of it, where that is not all; what the reference model is. */
static void print_adapter(const struct train *t, FILE *out)
{
    const struct lora *lora = &t->recipe->lora.lora;
    unsigned bit;
    if (lora->r == 0) {
        return;
    }
    fprintf(out, "adapter  LoRA of rank %d, times %g, on", lora->r, lora_scale(lora));
    for (int i = 0; lora_target_name(i, &bit); i++) {
        if (lora->targets & bit) {
            fprintf(out, " %s", lora_target_name(i, &bit));
        }
    }
    fprintf(out, ": %.2f M parameters are trained%s\n", (double)adapter_size(t->policy->adapter) / 1e6,
            train_has_reference(t->recipe) ? "; the reference model is the policy with its adapter off, no second copy"
                                           : "");
}

static void print_work(const struct train *t, FILE *out)
{
    const struct recipe *r = t->recipe;
    struct strbuf ends = STRBUF_INIT, step = STRBUF_INIT;
    end_tokens_describe(&t->policy->config, t->policy->tokenizer, &ends);
    method_of(r)->describe_step(r, &step);
    fprintf(out, "ends     %s\nsteps    %lld of %s", ends.data, (long long)t->max_steps, step.data);
    strbuf_release(&ends);
    strbuf_release(&step);
    fprintf(out, "\ndata     %s", r->data.dataset_name);
    if (dataset_size(t->dataset) > 0) {
        fprintf(out, ", %lld rows", (long long)dataset_size(t->dataset));
    }
    fprintf(out, "\n");
}

/* What the device has, if it is here; else what is assumed of a GPU that is not. */
static enum err find_memory(const char *name, size_t *memory, FILE *out)
{
    struct device *device = NULL;
    if (device_open(&device, name) == ERR_NONE) {
        *memory = device_free_bytes(device);
        device_close(device);
        return ERR_NONE;
    }
    int index;
    if (!device_names_gpu(name, &index)) {
        return ERR_DEVICE;
    }
    *memory = TRAIN_ASSUMED_GIB << 30;
    fprintf(out, "\nthere is no GPU here: one of %zu GiB is assumed (--memory=GIB says otherwise)\n",
            TRAIN_ASSUMED_GIB);
    return ERR_NONE;
}

/* Formats a number of bytes for a person. */
static const char *put_bytes(uint64_t bytes, char text[32])
{
    bool large = bytes >> 30 > 0;
    snprintf(text, 32, large ? "%.2f GiB" : "%.1f MiB", (double)bytes / (large ? 1 << 30 : 1 << 20));
    return text;
}

/* Prints what checkpoints take; ERR_IO if there is no room for one. */
static enum err check_disk(const struct train *t, FILE *out)
{
    const struct run_recipe *r = &t->recipe->run;
    char one[32], all[32], free_now[32];
    uint64_t left, bytes = train_checkpoint_bytes(t);
    TRY(checkpoint_space(r->output_dir, &left));
    fprintf(out, "disk     %s per checkpoint; %d are kept while another one is written: %s; %s are free for %s\n",
            put_bytes(bytes, one), r->save_total_limit, put_bytes((uint64_t)(r->save_total_limit + 1) * bytes, all),
            put_bytes(left, free_now), r->output_dir);
    return checkpoint_check_space(r->output_dir, bytes, r->save_total_limit);
}

/* Opens the run's files; the plan has already counted their memory. */
static enum err check_files(struct train *t, const char *device, FILE *out)
{
    TRY(device_open_planning(&t->device, device, 0));
    TRY(train_open_policy(t, NULL));
    TRY(train_open_data(t));
    TRY(train_open_rewards(t));
    print_work(t, out);
    TRY(train_print_first(t, out));
    return check_disk(t, out);
}

enum err train_check(struct recipe *recipe, size_t memory, FILE *out)
{
    struct train t = {.recipe = recipe};
    struct train_plan plan;
    const char *path = recipe_path(recipe, recipe->model.model_name_or_path);
    if (memory == 0) {
        TRY(find_memory(recipe->model.device, &memory, out));
    }
    enum err result = train_plan_make(&plan, recipe, path, recipe->model.device, memory);
    if (result == ERR_NONE) {
        print_size(plan.made.policy, out);
        print_adapter(&plan.made, out);
        result = train_plan_fits(&plan) ? ERR_NONE : train_plan_refuse(&plan, out);
    }
    if (result == ERR_NONE) {
        result = check_files(&t, recipe->model.device, out);
        fprintf(out, "\n");
        train_plan_print(&plan, out);
    }
    train_plan_release(&plan);
    train_close(&t);
    return result;
}
