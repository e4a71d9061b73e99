/* tests/gpu/twins_head.c - the LM head: log-probabilities, drawing, gradient; and that the first two agree in every bit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/gpu/fixture.h"

#define NEAR 1e-3 /* fp32 results of sums in another order */

struct head_setup {
    int n, d, V;
    float *hidden, *w, *w_cpu, *logprob, *lse, *entropy;
    int32_t *tokens;
    void *ghidden, *gw, *glogprob, *glse, *gentropy, *gtokens;
};

static struct head_setup make_setup(int n, int d, int V)
{
    struct head_setup s = {.n = n, .d = d, .V = V};
    size_t rows = (size_t)n;
    s.hidden = elements(rows * (size_t)d, 1, 1);
    s.w = elements((size_t)V * (size_t)d, 3 / sqrtf((float)d), 2);
    s.w_cpu = cpu_matrix(s.w, V, d);
    s.logprob = zeros(rows), s.lse = zeros(rows), s.entropy = zeros(rows), s.tokens = mem_zero(rows * sizeof *s.tokens);
    s.ghidden = gpu_elements(s.hidden, rows * (size_t)d), s.gw = gpu_matrix(s.w, V, d);
    s.glogprob = gpu_bytes(NULL, rows * 4), s.glse = gpu_bytes(NULL, rows * 4), s.gentropy = gpu_bytes(NULL, rows * 4);
    s.gtokens = gpu_bytes(NULL, rows * 4);
    return s;
}

static void free_setup(struct head_setup *s)
{
    gpu_free(6, s->ghidden, s->gw, s->glogprob, s->glse, s->gentropy, s->gtokens);
    free(s->hidden), free(s->w), free(s->w_cpu), free(s->logprob), free(s->lse), free(s->entropy), free(s->tokens);
}

static void check_numbers(const struct head_setup *s, const char *what)
{
    size_t n = (size_t)s->n;
    float *logprob = host_floats(s->glogprob, n), *lse = host_floats(s->glse, n),
          *entropy = host_floats(s->gentropy, n);
    check_near(logprob, s->logprob, n, NEAR, "%s %d x %d of %d: logprob", what, s->n, s->d, s->V);
    check_near(lse, s->lse, n, NEAR, "%s %d x %d of %d: lse", what, s->n, s->d, s->V);
    check_near(entropy, s->entropy, n, 4 * NEAR, "%s %d x %d of %d: entropy", what, s->n, s->d, s->V);
    free(logprob), free(lse), free(entropy);
}

static void run_head(const struct head_setup *s, bool on_gpu, float inv_temperature)
{
    struct head_args a = {.n_rows = s->n, .d = s->d, .V = s->V, .inv_temperature = inv_temperature};
    a.hidden = on_gpu ? s->ghidden : s->hidden, a.w = on_gpu ? s->gw : s->w_cpu;
    a.targets = on_gpu ? s->gtokens : s->tokens, a.logprob = on_gpu ? s->glogprob : s->logprob;
    a.lse = on_gpu ? s->glse : s->lse, a.entropy = on_gpu ? s->gentropy : s->entropy;
    (on_gpu ? gpu : cpu)->ops->head(&a);
}

/* Draws on both, then computes the log-probabilities of what was drawn as training does. */
static void check_draws(int n, int d, int V, struct sampling how, const char *what)
{
    struct head_setup s = make_setup(n, d, V);
    size_t rows = (size_t)n;
    struct sampling *sampling = mem_alloc(rows * sizeof *sampling);
    int32_t seen[5] = {1, 3, 5, 1, 2};
    for (int i = 0; i < n; i++) {
        sampling[i] = how;
        sampling[i].temperature = how.temperature == 1 && i % 5 == 4 ? 0 : how.temperature; /* both kinds in a warp */
        sampling[i].seed = 42, sampling[i].sequence = ((uint64_t)i << 31) + (uint64_t)i,
        sampling[i].position = (uint32_t)i % 7;
        sampling[i].seen = seen, sampling[i].n_seen = 5;
    }
    struct head_sample_args a = {.n_rows = n, .d = d, .V = V, .n_valid = V - 3, .sampling = sampling};
    a.hidden = s.hidden, a.w = s.w_cpu, a.tokens = s.tokens, a.logprob = s.logprob, a.lse = s.lse,
    a.entropy = s.entropy;
    cpu->ops->head_sample(&a);
    a.hidden = s.ghidden, a.w = s.gw, a.tokens = s.gtokens, a.logprob = s.glogprob, a.lse = s.glse,
    a.entropy = s.gentropy;
    gpu->ops->head_sample(&a);
    int32_t *tokens = mem_alloc(rows * sizeof *tokens);
    device_read(gpu, tokens, s.gtokens, rows * sizeof *tokens);
    float *logprob = host_floats(s.glogprob, rows), *lse = host_floats(s.glse, rows);
    int other = 0, bad = 0;
    for (int i = 0; i < n; i++) {
        other += tokens[i] != s.tokens[i];
        bad += tokens[i] < 0 || tokens[i] >= V - 3;
    }
    check(bad == 0 && other <= n / 50 + 1, "draws %s, %d x %d of %d: %d tokens are not the CPU's, %d not valid", what,
          n, d, V, other, bad);
    memcpy(s.tokens, tokens, rows * sizeof *tokens);
    float inverse = how.temperature > 0 ? 1 / how.temperature : 1;
    run_head(&s, false, inverse);
    check_numbers(&s, what);
    run_head(&s, true, inverse);
    float *logprob_again = host_floats(s.glogprob, rows), *lse_again = host_floats(s.glse, rows);
    check_same(logprob, logprob_again, rows * 4, "draws %s, %d x %d of %d: logprob as in training", what, n, d, V);
    check_same(lse, lse_again, rows * 4, "draws %s, %d x %d of %d: lse as in training", what, n, d, V);
    check_numbers(&s, "head");
    free(sampling), free(tokens), free(logprob), free(lse), free(logprob_again), free(lse_again);
    free_setup(&s);
}

static void check_gradient(int n, int d, int V, bool entropy)
{
    struct head_setup s = make_setup(n, d, V);
    size_t rows = (size_t)n, nd = rows * (size_t)d, vd = (size_t)V * (size_t)d;
    float *dl = elements(rows, 1, 4), *de = elements(rows, 1, 5), *dhidden = zeros(nd), *dw = elements(vd, 0.1f, 6);
    float *dw_cpu = cpu_matrix(dw, V, d);
    for (int i = 0; i < n; i++) {
        s.tokens[i] = (int32_t)(i * 7919 % V);
    }
    run_head(&s, false, 1.25f);
    device_write(gpu, s.gtokens, s.tokens, rows * 4);
    device_write(gpu, s.glse, s.lse, rows * 4);
    device_write(gpu, s.gentropy, s.entropy, rows * 4);
    void *gdl = gpu_bytes(dl, rows * 4), *gde = gpu_bytes(de, rows * 4), *gdh = gpu_elements(dhidden, nd);
    void *gdw = gpu_bytes(dw, vd * 4);
    struct head_grad_args a = {.n_rows = n, .d = d, .V = V, .inv_temperature = 1.25f};
    a.hidden = s.hidden, a.w = s.w_cpu, a.targets = s.tokens, a.lse = s.lse, a.entropy = s.entropy, a.d_logprob = dl;
    a.d_entropy = entropy ? de : NULL, a.dhidden = dhidden, a.dw = dw_cpu;
    cpu->ops->head_grad(&a);
    a.hidden = s.ghidden, a.w = s.gw, a.targets = s.gtokens, a.lse = s.glse, a.entropy = s.gentropy, a.d_logprob = gdl;
    a.d_entropy = entropy ? gde : NULL, a.dhidden = gdh, a.dw = gdw;
    gpu->ops->head_grad(&a);
    float *got = host_elements(gdh, nd), *got_dw = host_floats(gdw, vd), *want = cpu_rows(dw_cpu, V, d);
    check_near(got, dhidden, nd, 3e-2, "head_grad %d x %d of %d%s: hidden", n, d, V, entropy ? " entropy" : "");
    check_near(got_dw, want, vd, 3e-2, "head_grad %d x %d of %d%s: weight", n, d, V, entropy ? " entropy" : "");
    gpu_free(4, gdl, gde, gdh, gdw);
    free(dl), free(de), free(dhidden), free(dw), free(dw_cpu), free(got), free(got_dw), free(want);
    free_setup(&s);
}

int main(void)
{
    const struct sampling plain = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    struct sampling warm = plain, greedy = plain, nucleus = plain, penalty = plain;
    warm.temperature = 0.8f, greedy.temperature = 0;
    nucleus.top_p = 0.9f, nucleus.top_k = 20, nucleus.min_p = 0.01f, nucleus.temperature = 0.7f;
    penalty.repetition_penalty = 1.3f;
    open_both();
    check_draws(1, 16, 130, plain, "plain");
    check_draws(300, 40, 203, plain, "plain");
    check_draws(77, 36, 257, warm, "temperature 0.8");
    check_draws(2100, 64, 1000, warm, "temperature 0.8");
    check_draws(129, 64, 5003, greedy, "greedy");
    check_draws(37, 64, 5003, nucleus, "top-k, top-p, min-p");
    check_draws(20, 64, 515, penalty, "penalty");
    check_draws(64, 896, 20000, plain, "plain");
    check_gradient(5, 16, 130, false);
    check_gradient(300, 40, 203, true);
    check_gradient(150, 36, 257, true);
    check_gradient(4200, 64, 512, true);
    check_gradient(64, 896, 5000, false);
    return close_both();
}
