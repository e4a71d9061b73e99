/* tests/gpu/model_grads.c - a whole small network on the GPU beside the CPU: log-probabilities and every gradient, with a prompt
 * that a group shares; the same bits with checkpointing; then some steps of AdamW, whose weights must go the same way, also
 * with everything in bf16. Then the same of an adapter (LoRA) on the network.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"
#include "rl/optim.h"
#include "tests/gpu/fixture_model.h"

#define STEPS 5

struct run {
    struct model *model, *base; /* base: the model with master weights that this one is a copy of without; or NULL */
    struct activations *acts;
    struct optim optim;
    float *logprob, *lse, *entropy;
};

static struct run open_run(const struct model_config *config, struct device *device, enum optim_kind kind)
{
    struct run r = {0};
    const struct optim_options options = {.kind = kind,
                                          .seed = 7,
                                          .learning_rate = 1e-3,
                                          .beta1 = 0.9,
                                          .beta2 = 0.95,
                                          .epsilon = 1e-8,
                                          .weight_decay = 0.1,
                                          .max_grad_norm = 1,
                                          .max_steps = 100};
    if (model_new(&r.model, config, NULL, device, 512, 1) != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        exit(1);
    }
    model_set_weights(r.model);
    if (kind == OPTIM_ADAMW_BF16_SR) {
        r.base = r.model;
        if (model_clone(&r.model, r.base) != ERR_NONE) {
            exit(1);
        }
    }
    r.acts = activations_new(r.model, MODEL_ROWS, MODEL_ROWS, 8, 512, false);
    optim_init(&r.optim, &options, r.model);
    r.logprob = zeros(MODEL_ROWS), r.lse = zeros(MODEL_ROWS), r.entropy = zeros(MODEL_ROWS);
    return r;
}

static void close_run(struct run *r)
{
    optim_release(&r->optim, r->model);
    activations_free(r->acts, r->model);
    model_close(r->model);
    model_close(r->base);
    free(r->logprob), free(r->lse), free(r->entropy);
}

static void forward_backward(struct run *r, const struct train_batch *batch, const float *d_logprob,
                             const float *d_entropy)
{
    optim_zero_grads(r->model);
    model_forward(r->model, batch, r->acts);
    model_target_logprobs(r->model, batch, r->acts, 1.1f, r->logprob, r->lse, r->entropy);
    model_backward(r->model, batch, r->acts, 1.1f, r->lse, r->entropy, d_logprob, d_entropy);
}

/* |got - want| / |want| */
static double distance(const float *got, const float *want, size_t n)
{
    double error = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        squares += (double)want[i] * (double)want[i];
    }
    return sqrt(error / (squares + 1e-30));
}

static void compare_gradients(const struct run *a, const struct run *b, const char *name)
{
    double worst = 0;
    const char *where = "";
    const struct params *on_cpu = model_trained(a->model), *on_gpu = model_trained(b->model);
    for (int i = 0; i < on_cpu->n_parts; i++) {
        struct part w = part_in(on_cpu, i), v = part_in(on_gpu, i);
        float *want = model_rows_from(a->model, on_cpu->grads, &w), *got = model_rows_from(b->model, on_gpu->grads, &v);
        double off = distance(got, want, w.n);
        if (!(off <= worst)) {
            worst = off, where = w.name;
        }
        free(want), free(got);
    }
    check(worst < 0.03, "%s: gradients differ by at most %.2e, in %s", name, worst, where);
}

/* a on the CPU, b on the GPU, c there with everything in bf16, or NULL */
static void compare_steps(struct run *a, struct run *b, struct run *c, const struct train_batch *batch,
                          const float *d_logprob, const char *name)
{
    struct optim_stats stats;
    double first = 0, last[3] = {0};
    struct run *runs[3] = {a, b, c};
    for (int k = 0; k < 3 && runs[k]; k++) {
        for (int step = 1; step <= STEPS; step++) {
            forward_backward(runs[k], batch, d_logprob, NULL);
            double sum = 0;
            for (int i = 0; i < batch->n_targets; i++) {
                sum += (double)runs[k]->logprob[i] * (double)d_logprob[i];
            }
            first = step == 1 ? sum : first;
            last[k] = sum;
            if (optim_step(&runs[k]->optim, runs[k]->model, step, &stats) != ERR_NONE || stats.skipped) {
                check(false, "%s: step %d failed", name, step);
            }
        }
    }
    check(fabs(last[0] - last[1]) < 0.03 * fabs(last[0] - first),
          "%s: %d steps take the loss from %.4f to %.4f and %.4f", name, STEPS, first, last[0], last[1]);
    check(!c || fabs(last[0] - last[2]) < 0.2 * fabs(last[0] - first), "%s: with bf16 moments and weights to %.4f",
          name, last[2]); /* a step of 1e-3 is some units of bf16 here, so that rounding adds noise */
}

/* Only layers' inputs kept: the same bits. */
static void compare_checkpointing(struct run *r, const struct train_batch *batch, const float *d_logprob,
                                  const float *d_entropy, const float *want, const char *name)
{
    struct activations *all = r->acts;
    r->acts = activations_new(r->model, MODEL_ROWS, MODEL_ROWS, 8, 512, true);
    for (int pass = 0; pass < 2; pass++) {
        forward_backward(r, batch, d_logprob, d_entropy);
        float *got = host_floats(model_trained(r->model)->grads, model_trained(r->model)->n_trained);
        check_same(got, want, model_trained(r->model)->n_trained * 4, "%s: gradients with checkpointing", name);
        free(got);
    }
    activations_free(r->acts, r->model);
    r->acts = all;
}

/* Log-probabilities, gradients and steps of a and b, which are of the same network; `narrow` may be NULL. */
static void compare_runs(struct run *a, struct run *b, struct run *narrow, int i, const char *name)
{
    struct model_batch m;
    const struct params *trained = model_trained(b->model);
    model_batch_make(&m, i);
    forward_backward(a, &m.batch, m.d_logprob, m.d_entropy);
    forward_backward(b, &m.batch, m.d_logprob, m.d_entropy);
    double worst = 0;
    for (int t = 0; t < MODEL_ROWS; t++) {
        worst = fmax(worst, fabs((double)a->logprob[t] - (double)b->logprob[t]));
    }
    check(worst < 0.15, "%s: log-probabilities differ by at most %.2e nats", name, worst);
    compare_gradients(a, b, name);
    float *once = host_floats(trained->grads, trained->n_trained);
    forward_backward(b, &m.batch, m.d_logprob, m.d_entropy);
    float *twice = host_floats(trained->grads, trained->n_trained);
    check_same(twice, once, trained->n_trained * 4, "%s: gradients again", name);
    compare_checkpointing(b, &m.batch, m.d_logprob, m.d_entropy, once, name);
    compare_steps(a, b, narrow, &m.batch, m.d_logprob, name);
    free(once), free(twice);
    model_batch_free(&m);
}

static void check_model(int i)
{
    struct model_config config = model_config_of(i);
    struct run a = open_run(&config, cpu, OPTIM_ADAMW), b = open_run(&config, gpu, OPTIM_ADAMW);
    struct run narrow = open_run(&config, gpu, OPTIM_ADAMW_BF16_SR);
    compare_runs(&a, &b, &narrow, i, model_names[i]);
    close_run(&a);
    close_run(&b);
    close_run(&narrow);
}

/* Every second network has an adapter on some of its matrices alone. */
static void check_adapter(int i)
{
    char name[32];
    struct model_config config = model_configs[i];
    const unsigned some = lora_target("q_proj") | lora_target("v_proj") | lora_target("up_proj");
    config.lora = (struct lora){.r = 16, .alpha = 12, .targets = i % 2 ? some : lora_target("all-linear")};
    snprintf(name, sizeof name, "%s, adapter", model_names[i]);
    struct run a = open_run(&config, cpu, OPTIM_ADAMW), b = open_run(&config, gpu, OPTIM_ADAMW);
    compare_runs(&a, &b, NULL, i, name);
    close_run(&a);
    close_run(&b);
}

/* model_grads [N]: all models, or the N-th alone (for tools that are slow) */
int main(int argc, char **argv)
{
    int only = argc > 1 ? (int)strtol(argv[1], NULL, 10) : -1;
    open_both();
    for (int i = 0; i < MODELS; i++) {
        if (only < 0 || only == i) {
            check_model(i);
            if (i < DENSE_MODELS) {
                check_adapter(i);
            }
        }
    }
    return close_both();
}
