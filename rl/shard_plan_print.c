/* rl/shard_plan_print.c - the plan for a person.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/method.h"
#include "rl/shard_plan.h"

#define GIB ((double)(1 << 30))

/* NVIDIA's data sheets: memory as its driver reports it, bandwidth, dense bf16 rate. */
static const struct gpu_kind gpus[] = {
    {"a100", 80.0, 2.039e12, 312e12}, {"h100", 79.6, 3.35e12, 989e12},     {"h200", 140.4, 4.8e12, 989e12},
    {"b200", 179.0, 8.0e12, 2250e12}, {"rtx4090", 24.0, 1.008e12, 165e12},
};

enum err gpu_kind_find(struct gpu_kind *out, const char *name)
{
    struct strbuf known = STRBUF_INIT;
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) {
        if (strcmp(gpus[i].name, name) == 0) {
            *out = gpus[i];
            strbuf_release(&known);
            return ERR_NONE;
        }
        strbuf_printf(&known, "%s%s", i > 0 ? ", " : "", gpus[i].name);
    }
    enum err result = err_set(ERR_USAGE, "--gpu is '%s'; strop knows %s", name, known.data);
    strbuf_release(&known);
    return result;
}

/* "7.616 billion", "4.004 million" */
static const char *put_count(double n, char text[32])
{
    snprintf(text, 32, n < 1e9 ? "%.3f million" : "%.3f billion", n / (n < 1e9 ? 1e6 : 1e9));
    return text;
}

static void print_counts(const struct shard_plan *plan, FILE *out)
{
    const struct model *model = plan->plan.made.policy;
    const struct model_config *c = &model->config;
    const struct model_counts *n = &plan->counts;
    char text[32];
    fprintf(out, "model       %s: %s, %d layers, width %d, %d heads, vocabulary %d\n", model->source, c->family->name,
            c->n_layers, c->d, c->H, c->V);
    fprintf(out, "parameters  %s", put_count(n->total, text));
    if (c->moe.router.E > 0) {
        fprintf(out, ", of which %s of experts: %d of %d per token and layer", put_count(n->experts, text),
                c->moe.router.k, c->moe.router.E);
    }
    fprintf(out, "\nactive      %s per token", put_count(n->active, text));
    if (n->multiplied < n->active) {
        fprintf(out, "; %s without the embedding, of which a token takes one row", put_count(n->multiplied, text));
    }
    fprintf(out, "\ncache       %.0f bytes per token (%s, bf16)\n", n->page_bytes,
            c->mla.kv_rank > 0 ? "latents" : "keys and values");
}

static void print_row(const struct shard_plan *plan, const struct shard_setting *s, int n, double memory, FILE *out)
{
    struct shard_bytes b;
    if (n == 0) {
        fprintf(out, "  %-16s does not fit on any number of them\n", s->name);
    } else if (!shard_plan_bytes(plan, s, n, &b)) {
        fprintf(out, "  %-16s %5d  %d experts cannot be divided among them\n", s->name, n,
                plan->plan.made.policy->config.moe.router.E);
    } else {
        fprintf(out, "  %-16s %5d %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f  %s\n", s->name, n, b.weights / GIB,
                b.masters / GIB, b.moments / GIB, b.gradients / GIB, b.training / GIB, b.sampling / GIB, b.total / GIB,
                b.total <= memory - memory / 16 ? "fits" : "too large");
    }
}

static void print_rates(const struct shard_plan *plan, const struct shard_setting *s, int n, const struct gpu_kind *gpu,
                        FILE *out)
{
    double training = shard_plan_training_rate(plan, gpu);
    fprintf(out, "smallest    %s on %d GPU%s", s->name, n, n > 1 ? "s" : "");
    if (plan->sequence_bytes > 0) {
        double sampling = shard_plan_sampling_rate(plan, s, n, gpu);
        fprintf(out, "; each samples %d sequences at once\nsampling    at most %.0f tokens/s per GPU, %.0f in all",
                shard_plan_sequences(plan, s, n, gpu->gib * GIB), sampling, sampling * n);
    }
    fprintf(out, "\ntraining    at most %.0f tokens/s per GPU, %.0f in all\n", training, training * n);
    fprintf(out,
            "            if a GPU reads %.2f TB/s and computes %.0f TFLOP/s, experts are chosen evenly, and links\n"
            "            between GPUs cost nothing\n",
            gpu->bandwidth / 1e12, gpu->operations / 1e12);
}

/* The setting on the fewest GPUs, and of equal ones the one that samples fastest; NULL: none fits. */
static const struct shard_setting *find_best(const struct shard_plan *plan, const struct gpu_kind *gpu, int *n_gpus)
{
    const struct shard_setting *best = NULL;
    double best_rate = 0;
    for (int i = 0; i < SHARD_SETTINGS; i++) {
        const struct shard_setting *s = &shard_settings[i];
        int n = shard_plan_smallest(plan, s, gpu->gib * GIB);
        double rate = n > 0 ? shard_plan_sampling_rate(plan, s, n, gpu) : 0;
        if (n > 0 && (!best || n < *n_gpus || (n == *n_gpus && rate > best_rate))) {
            best = s;
            best_rate = rate;
            *n_gpus = n;
        }
    }
    return best;
}

void shard_plan_print(const struct shard_plan *plan, const struct gpu_kind *gpu, int n_gpus, FILE *out)
{
    const struct recipe *r = plan->plan.made.recipe;
    double memory = gpu->gib * GIB;
    int fewest = 0, n_settings = plan->plan.made.policy->config.moe.router.E > 0 ? SHARD_SETTINGS : 4;
    const struct shard_setting *best = find_best(plan, gpu, &fewest);
    print_counts(plan, out);
    fprintf(out, "run         sequences of at most %d tokens, %d tokens per micro-batch%s\n\n",
            method_of(r)->max_length(r), r->run.tokens_per_micro_batch,
            r->run.gradient_checkpointing ? ", recomputing" : "");
    fprintf(out, "GiB on each %s of %.1f GiB\n  %-16s %5s %9s %9s %9s %9s %9s %9s %9s\n", gpu->name, gpu->gib,
            "divided", "GPUs", "weights", "masters", "moments", "gradients", "training", "sampling", "all");
    for (int i = 0; i < n_settings; i++) {
        const struct shard_setting *s = &shard_settings[i];
        print_row(plan, s, n_gpus > 0 ? n_gpus : shard_plan_smallest(plan, s, memory), memory, out);
    }
    fprintf(out, "  sampling and training alternate in one place: of the two, the larger counts, training with its "
                 "gradients\n\n");
    if (best) {
        print_rates(plan, best, fewest, gpu, out);
    } else {
        fprintf(out, "smallest    none: it fits on no number of GPUs up to 4096\n");
    }
}

/* ---- JSON ---- */

static json_t *setting_to_json(const struct shard_plan *plan, const struct shard_setting *s, int n,
                               const struct gpu_kind *gpu)
{
    struct shard_bytes b;
    json_t *row = json_pack("{s:s, s:i}", "setting", s->name, "gpus", n);
    if (n > 0 && shard_plan_bytes(plan, s, n, &b)) {
        json_t *bytes = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "weights", b.weights, "masters",
                                  b.masters, "moments", b.moments, "gradients", b.gradients, "training", b.training,
                                  "sampling", b.sampling, "always", b.always, "all", b.total);
        double memory = gpu->gib * GIB;
        json_object_set_new(row, "bytes", bytes);
        json_object_set_new(row, "fits", json_boolean(b.total <= memory - memory / 16));
    } else {
        json_object_set_new(row, "fits", json_false());
    }
    return row;
}

static json_t *best_to_json(const struct shard_plan *plan, const struct gpu_kind *gpu)
{
    int n = 0;
    const struct shard_setting *best = find_best(plan, gpu, &n);
    return best ? json_pack("{s:s, s:i, s:i, s:f, s:f}", "setting", best->name, "gpus", n, "sequences",
                            shard_plan_sequences(plan, best, n, gpu->gib * GIB), "sampling_tokens_per_second_and_gpu",
                            shard_plan_sampling_rate(plan, best, n, gpu), "training_tokens_per_second_and_gpu",
                            shard_plan_training_rate(plan, gpu))
                : json_null();
}

json_t *shard_plan_to_json(const struct shard_plan *plan, const struct gpu_kind *gpu, int n_gpus)
{
    const struct model_config *c = &plan->plan.made.policy->config;
    const struct model_counts *n = &plan->counts;
    json_t *settings = json_array();
    for (int i = 0; i < (c->moe.router.E > 0 ? SHARD_SETTINGS : 4); i++) {
        const struct shard_setting *s = &shard_settings[i];
        int fewest = n_gpus > 0 ? n_gpus : shard_plan_smallest(plan, s, gpu->gib * GIB);
        json_array_append_new(settings, setting_to_json(plan, s, fewest, gpu));
    }
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:o, s:o}", "model_type", c->family->name, "parameters",
                     n->total, "experts", n->experts, "active", n->active, "active_without_embedding", n->multiplied,
                     "cache_bytes_per_token", n->page_bytes, "gpu", gpu->name, "gpu_bytes", gpu->gib * GIB, "settings",
                     settings, "smallest", best_to_json(plan, gpu));
}
