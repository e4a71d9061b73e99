/* tests/gpu/model_grads.c - a whole small network on the GPU beside the CPU: log-probabilities and every gradient, with a prompt
 * that a group shares; the same bits with checkpointing; then some steps of AdamW, whose weights must go the same way, also
 * with everything in bf16.
 *
 * SPDX-License-Identifier: Apache-2.0 */
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
    for (int i = 0; i < a->model->params.n_parts; i++) {
        struct part w = part_of(a->model, i), v = part_of(b->model, i);
        float *want = model_rows_from(a->model, a->model->params.grads, &w),
              *got = model_rows_from(b->model, b->model->params.grads, &v);
        double off = distance(got, want, w.n);
        if (!(off <= worst)) {
            worst = off, where = w.name;
        }
        free(want), free(got);
    }
    check(worst < 0.03, "%s: gradients differ by at most %.2e, in %s", name, worst, where);
}

/* a on the CPU, b on the GPU, c there with everything in bf16 */
static void compare_steps(struct run *a, struct run *b, struct run *c, const struct train_batch *batch,
                          const float *d_logprob, const char *name)
{
    struct optim_stats stats;
    double first = 0, last[3] = {0};
    struct run *runs[3] = {a, b, c};
    for (int k = 0; k < 3; k++) {
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
    check(fabs(last[0] - last[2]) < 0.2 * fabs(last[0] - first), "%s: with bf16 moments and weights to %.4f", name,
          last[2]); /* a step of 1e-3 is some units of bf16 here, so that rounding adds noise */
}

/* Only layers' inputs kept: the same bits. */
static void compare_checkpointing(struct run *r, const struct train_batch *batch, const float *d_logprob,
                                  const float *d_entropy, const float *want, const char *name)
{
    struct activations *all = r->acts;
    r->acts = activations_new(r->model, MODEL_ROWS, MODEL_ROWS, 8, 512, true);
    for (int pass = 0; pass < 2; pass++) {
        forward_backward(r, batch, d_logprob, d_entropy);
        float *got = host_floats(r->model->params.grads, r->model->params.n);
        check_same(got, want, r->model->params.n * 4, "%s: gradients with checkpointing", name);
        free(got);
    }
    activations_free(r->acts, r->model);
    r->acts = all;
}

static void check_model(int i)
{
    struct run a = open_run(&model_configs[i], cpu, OPTIM_ADAMW), b = open_run(&model_configs[i], gpu, OPTIM_ADAMW);
    struct run narrow = open_run(&model_configs[i], gpu, OPTIM_ADAMW_BF16_SR);
    struct model_batch m;
    model_batch_make(&m, i);
    forward_backward(&a, &m.batch, m.d_logprob, m.d_entropy);
    forward_backward(&b, &m.batch, m.d_logprob, m.d_entropy);
    double worst = 0;
    for (int t = 0; t < MODEL_ROWS; t++) {
        worst = fmax(worst, fabs((double)a.logprob[t] - (double)b.logprob[t]));
    }
    check(worst < 0.15, "%s: log-probabilities differ by at most %.2e nats", model_names[i], worst);
    compare_gradients(&a, &b, model_names[i]);
    float *once = host_floats(b.model->params.grads, b.model->params.n);
    forward_backward(&b, &m.batch, m.d_logprob, m.d_entropy);
    float *twice = host_floats(b.model->params.grads, b.model->params.n);
    check_same(twice, once, b.model->params.n * 4, "%s: gradients again", model_names[i]);
    compare_checkpointing(&b, &m.batch, m.d_logprob, m.d_entropy, once, model_names[i]);
    compare_steps(&a, &b, &narrow, &m.batch, m.d_logprob, model_names[i]);
    free(once), free(twice);
    model_batch_free(&m);
    close_run(&a);
    close_run(&b);
    close_run(&narrow);
}

/* model_grads [N]: all models, or the N-th alone (for tools that are slow) */
int main(int argc, char **argv)
{
    int only = argc > 1 ? (int)strtol(argv[1], NULL, 10) : -1;
    open_both();
    for (int i = 0; i < MODELS; i++) {
        if (only < 0 || only == i) {
            check_model(i);
        }
    }
    return close_both();
}
