/* tests/gpu/twins_experts.c - the operations of a mixture of experts on the GPU beside the CPU's, and beside plain products.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/gpu/fixture.h"

#define NEAR 1.2e-2 /* results are rounded to bf16 (3.9e-3) after sums in another order */
#define WIDE 2e-3   /* results are fp32 */

enum { MOST_E = 256 };

static size_t product_of(int a, int b)
{
    return (size_t)a * (size_t)b;
}

/* ---- grouped products ---- */

/* Where the rows of each expert begin, and the arrays of one check, on both devices. */
static struct grouped {
    int E, N, K, n_places;
    int32_t offsets[MOST_E + 1];
    float *x, *w, *dy, *dw, *cpu_w, *cpu_dw;
    void *g_offsets, *gx, *gw, *gdy, *gy, *gdx, *gdw;
} g;

static size_t matrix_of(int e)
{
    return (size_t)e * product_of(g.N, g.K);
}

static void open_grouped(int E, int N, int K, const int *counts)
{
    g = (struct grouped){.E = E, .N = N, .K = K};
    for (int e = 0; e < E; e++) {
        g.offsets[e + 1] = g.offsets[e] + counts[e];
    }
    g.n_places = g.offsets[E];
    size_t x = product_of(g.n_places, K), y = product_of(g.n_places, N);
    g.x = elements(x, 1, 1), g.dy = elements(y, 1, 2);
    g.w = elements(matrix_of(E), 1 / sqrtf((float)K), 3), g.dw = elements(matrix_of(E), 1, 4);
    g.cpu_w = zeros(matrix_of(E)), g.cpu_dw = zeros(matrix_of(E));
    for (int e = 0; e < E; e++) {
        cpu->ops->matrix_import(g.cpu_w + matrix_of(e), g.w + matrix_of(e), 0, N, N, K);
        cpu->ops->matrix_import(g.cpu_dw + matrix_of(e), g.dw + matrix_of(e), 0, N, N, K);
    }
    g.g_offsets = gpu_bytes(g.offsets, (size_t)(E + 1) * 4);
    g.gx = gpu_elements(g.x, x), g.gdy = gpu_elements(g.dy, y), g.gw = gpu_elements(g.w, matrix_of(E));
    g.gdw = gpu_bytes(g.dw, matrix_of(E) * 4);
    g.gy = gpu_bytes(NULL, y * 2 + 2), g.gdx = gpu_bytes(NULL, x * 2 + 2);
}

static void close_grouped(void)
{
    gpu_free(7, g.g_offsets, g.gx, g.gw, g.gdy, g.gy, g.gdx, g.gdw);
    free(g.x), free(g.w), free(g.dy), free(g.dw), free(g.cpu_w), free(g.cpu_dw);
}

static void *row_of(const void *rows, int row, int width)
{
    return (char *)(uintptr_t)rows + product_of(row, width) * 2;
}

/* The GPU's rows of each expert, by the product of one matrix. */
static void plain_rows(void *y, bool backward)
{
    for (int e = 0; e < g.E; e++) {
        int first = g.offsets[e], n = g.offsets[e + 1] - first;
        const void *w = (const char *)g.gw + matrix_of(e) * 2;
        if (n > 0 && backward) {
            gpu->ops->matmul_input_grad(&(struct matmul_input_grad_args){.T = n,
                                                                         .N = g.N,
                                                                         .K = g.K,
                                                                         .dy = row_of(g.gdy, first, g.N),
                                                                         .dy_stride = g.N,
                                                                         .w = w,
                                                                         .dx = row_of(y, first, g.K),
                                                                         .dx_stride = g.K});
        } else if (n > 0) {
            gpu->ops->matmul(&(struct matmul_args){.T = n,
                                                   .N = g.N,
                                                   .K = g.K,
                                                   .x = row_of(g.gx, first, g.K),
                                                   .x_stride = g.K,
                                                   .w = w,
                                                   .y = row_of(y, first, g.N),
                                                   .y_stride = g.N});
        }
    }
}

static struct grouped_matmul_args forward_args(bool on_gpu, void *y)
{
    return (struct grouped_matmul_args){.E = g.E,
                                        .N = g.N,
                                        .K = g.K,
                                        .n_places = g.n_places,
                                        .offsets = on_gpu ? g.g_offsets : g.offsets,
                                        .x = on_gpu ? g.gx : g.x,
                                        .w = on_gpu ? g.gw : g.cpu_w,
                                        .y = y};
}

static struct grouped_grad_args grad_args(bool on_gpu, void *dx)
{
    return (struct grouped_grad_args){.E = g.E,
                                      .N = g.N,
                                      .K = g.K,
                                      .n_places = g.n_places,
                                      .offsets = on_gpu ? g.g_offsets : g.offsets,
                                      .dy = on_gpu ? g.gdy : g.dy,
                                      .w = on_gpu ? g.gw : g.cpu_w,
                                      .dx = dx,
                                      .x = on_gpu ? g.gx : g.x,
                                      .dw = on_gpu ? g.gdw : g.cpu_dw};
}

/* Elements of the rows that differ from those of plain products. */
static size_t rows_different(bool backward)
{
    int width = backward ? g.K : g.N;
    size_t n = product_of(g.n_places, width), different = 0;
    void *y = backward ? g.gdx : g.gy, *plain = gpu_bytes(NULL, n * 2 + 2);
    uint16_t *got = mem_alloc(n * 2 + 2), *want = mem_alloc(n * 2 + 2);
    memset(got, 0xFF, n * 2);
    device_write(gpu, y, got, n * 2); /* not-a-numbers: all are overwritten */
    if (backward) {
        struct grouped_grad_args a = grad_args(true, y);
        gpu->ops->grouped_input_grad(&a);
    } else {
        struct grouped_matmul_args a = forward_args(true, y);
        gpu->ops->grouped_matmul(&a);
    }
    plain_rows(plain, backward);
    device_read(gpu, got, y, n * 2);
    device_read(gpu, want, plain, n * 2);
    for (size_t i = 0; i < n; i++) {
        different += got[i] != want[i];
    }
    gpu_free(1, plain);
    free(got), free(want);
    return different;
}

/* Elements of the matrices of experts without rows that are not as they were. */
static size_t untouched_different(const float *got)
{
    size_t different = 0;
    for (int e = 0; e < g.E; e++) {
        for (size_t i = matrix_of(e); g.offsets[e] == g.offsets[e + 1] && i < matrix_of(e + 1); i++) {
            different += got[i] < g.dw[i] || got[i] > g.dw[i];
        }
    }
    return different;
}

static void check_weight_grad(const char *what)
{
    size_t n = matrix_of(g.E);
    struct grouped_grad_args a = grad_args(false, NULL);
    cpu->ops->grouped_weight_grad(&a);
    float *want = zeros(n), *runs[2];
    for (int run = 0; run < 2; run++) {
        device_write(gpu, g.gdw, g.dw, n * 4);
        a = grad_args(true, NULL);
        gpu->ops->grouped_weight_grad(&a);
        runs[run] = host_floats(g.gdw, n);
    }
    for (int e = 0; e < g.E; e++) {
        cpu->ops->matrix_export(want + matrix_of(e), g.cpu_dw + matrix_of(e), 0, g.N, g.N, g.K);
    }
    check_near(runs[0], want, n, WIDE, "grouped_weight_grad %s", what);
    check_same(runs[0], runs[1], n * 4, "grouped_weight_grad %s: again", what);
    check(untouched_different(runs[0]) == 0, "grouped_weight_grad %s: experts without rows are as they were", what);
    free(want), free(runs[0]), free(runs[1]);
}

static void check_grouped(const char *loads, int E, int N, int K, const int *counts)
{
    char what[80];
    open_grouped(E, N, K, counts);
    snprintf(what, sizeof what, "%d x %d x %d of %d, %s", g.n_places, N, K, E, loads);
    size_t x = product_of(g.n_places, K), y = product_of(g.n_places, N);
    check(rows_different(false) == 0, "grouped_matmul %s: bits of plain products", what);
    check(rows_different(true) == 0, "grouped_input_grad %s: bits of plain products", what);
    float *want_y = zeros(y), *want_dx = zeros(x), *got_y = host_elements(g.gy, y), *got_dx = host_elements(g.gdx, x);
    struct grouped_matmul_args f = forward_args(false, want_y);
    struct grouped_grad_args b = grad_args(false, want_dx);
    cpu->ops->grouped_matmul(&f);
    cpu->ops->grouped_input_grad(&b);
    check_near(got_y, want_y, y, NEAR, "grouped_matmul %s", what);
    check_near(got_dx, want_dx, x, NEAR, "grouped_input_grad %s", what);
    check_weight_grad(what);
    close_grouped();
    free(want_y), free(want_dx), free(got_y), free(got_dx);
}

/* Rows for one of E experts each: even, all to one, most to none, at random. */
static void check_loads(int n, int E, int N, int K)
{
    int counts[MOST_E] = {0};
    struct rng rng = rng_stream(5, (uint64_t)n);
    counts[E / 2] = n;
    check_grouped("all to one", E, N, K, counts);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < n; i++) {
        counts[i % E]++;
    }
    check_grouped("even", E, N, K, counts);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < n; i++) {
        counts[rng_below(&rng, (uint32_t)(i % 3 ? E : (E + 7) / 8))]++;
    }
    counts[E - 1] = 0;
    check_grouped("uneven", E, N, K, counts);
}

/* Each number of rows that an expert can have up to 300, and none. */
static void check_counts(int N, int K)
{
    enum { EXPERTS = 101 };
    size_t forward = 0, backward = 0;
    for (int from = 0; from < 3; from++) {
        int counts[EXPERTS] = {0};
        for (int e = 0; e + 1 < EXPERTS; e++) {
            counts[e + (e >= 50)] = 1 + 3 * (37 * e % 100) + from; /* all of 1 .. 300, in no order */
        }
        open_grouped(EXPERTS, N, K, counts);
        forward += rows_different(false);
        backward += rows_different(true);
        close_grouped();
    }
    check(forward == 0, "grouped_matmul of 1 to 300 rows x %d x %d: %zu elements differ from plain products", N, K,
          forward);
    check(backward == 0, "grouped_input_grad of 1 to 300 rows x %d x %d: %zu elements differ", N, K, backward);
}

/* What follows an expert's rows does not get into its gradient: not even what is not a number. */
static void check_neighbours(void)
{
    static const int counts[] = {70, 58, 3, 61};
    open_grouped(4, 64, 128, counts);
    size_t n = matrix_of(4), bad = 0;
    for (int i = 128 * 64; i < 131 * 64; i++) {
        g.dy[i] = NAN; /* of expert 2 */
    }
    uint16_t *bits = mem_alloc(product_of(g.n_places, 64) * 2);
    for (int i = 0; i < g.n_places * 64; i++) {
        bits[i] = bf16_bits(g.dy[i]);
    }
    device_write(gpu, g.gdy, bits, product_of(g.n_places, 64) * 2);
    struct grouped_grad_args a = grad_args(true, NULL);
    gpu->ops->grouped_weight_grad(&a);
    float *got = host_floats(g.gdw, n);
    for (size_t i = 0; i < n; i++) {
        bad += (i / matrix_of(1) == 2) != isnan(got[i]);
    }
    check(bad == 0, "grouped_weight_grad: not-a-numbers stay with their expert, %zu do not", bad);
    close_grouped();
    free(got), free(bits);
}

/* ---- the router ---- */

static void check_matmul_wide(int T, int N, int K)
{
    size_t n = product_of(T, N);
    float *x = elements(product_of(T, K), 1, 1), *w = elements(product_of(N, K), 1 / sqrtf((float)K), 2), *y = zeros(n);
    float *w_cpu = cpu_matrix(w, N, K);
    void *gx = gpu_elements(x, product_of(T, K)), *gw = gpu_matrix(w, N, K), *gy = gpu_bytes(NULL, n * 4);
    struct matmul_args a = {.T = T, .N = N, .K = K, .x = x, .x_stride = K, .w = w_cpu, .y = y, .y_stride = N};
    cpu->ops->matmul_wide(&a);
    a.x = gx, a.w = gw, a.y = gy;
    gpu->ops->matmul_wide(&a);
    float *got = host_floats(gy, n);
    check_near(got, y, n, WIDE, "matmul_wide %d x %d x %d", T, N, K);
    a.T = 1, a.x = row_of(gx, T - 1, K);
    gpu->ops->matmul_wide(&a);
    float *alone = host_floats(gy, (size_t)N);
    check_same(alone, got + n - (size_t)N, (size_t)N * 4, "matmul_wide %d x %d x %d: its last row alone", T, N, K);
    gpu_free(3, gx, gw, gy);
    free(x), free(w), free(y), free(w_cpu), free(got), free(alone);
}

/* Logits of few values, so that many are equal; or of any. */
static float *logits_of(size_t n, bool ties)
{
    float *x = elements(n, 2, 21);
    for (size_t i = 0; i < n; i++) {
        x[i] = ties ? roundf(x[i]) : x[i] + 1e-4f * (float)(i % 97);
    }
    return x;
}

static void check_route_grad(const struct router *r, int T, const float *logits, const int32_t *experts, const char *what)
{
    size_t n = product_of(T, r->E), pairs = product_of(T, r->k);
    float *dweights = elements(pairs, 1, 22), *dshares = elements(2 * (size_t)r->E, 1, 23), *want = zeros(n);
    int32_t *sets = mem_alloc((size_t)T * 4);
    for (int t = 0; t < T; t++) {
        sets[t] = t % 2;
    }
    struct route_grad_args a = {.router = *r, .T = T, .logits = logits, .experts = experts, .dweights = dweights};
    a.dshares = T % 2 ? dshares : NULL, a.sets = sets, a.dlogits = want;
    cpu->ops->route_grad(&a);
    void *gl = gpu_bytes(logits, n * 4), *ge = gpu_bytes(experts, pairs * 4), *gd = gpu_bytes(dweights, pairs * 4);
    void *gshares = gpu_bytes(dshares, 2 * (size_t)r->E * 4), *gsets = gpu_bytes(sets, (size_t)T * 4);
    void *out = gpu_bytes(NULL, n * 2);
    a.logits = gl, a.experts = ge, a.dweights = gd, a.dshares = a.dshares ? gshares : NULL, a.sets = gsets, a.dlogits = out;
    gpu->ops->route_grad(&a);
    float *got = host_elements(out, n);
    check_near(got, want, n, NEAR, "route_grad %s", what);
    gpu_free(6, gl, ge, gd, gshares, gsets, out);
    free(dweights), free(dshares), free(want), free(sets), free(got);
}

/* Experts and weights have the CPU's bits. */
static void check_route(struct router r, int T, bool biased, bool forced, bool ties)
{
    size_t n = product_of(T, r.E), pairs = product_of(T, r.k);
    float *logits = logits_of(n, ties), *bias = elements((size_t)r.E, 0.3f, 24), *weights = zeros(pairs);
    int32_t *experts = mem_alloc(pairs * 4), *got = mem_alloc(pairs * 4), *given = mem_alloc(pairs * 4);
    for (size_t i = 0; i < pairs; i++) {
        given[i] = (int32_t)(i % (size_t)r.k) * (r.E / r.k) + (int32_t)(i / (size_t)r.k) % (r.E / r.k);
    }
    struct route_args a = {.router = r, .T = T, .logits = logits, .experts = experts, .weights = weights};
    a.bias = biased ? bias : NULL, a.forced = forced ? given : NULL;
    cpu->ops->route(&a);
    void *gl = gpu_bytes(logits, n * 4), *gb = gpu_bytes(bias, (size_t)r.E * 4), *gf = gpu_bytes(given, pairs * 4);
    void *ge = gpu_bytes(NULL, pairs * 4), *gw = gpu_bytes(NULL, pairs * 4);
    a.logits = gl, a.bias = biased ? gb : NULL, a.forced = forced ? gf : NULL, a.experts = ge, a.weights = gw;
    gpu->ops->route(&a);
    device_read(gpu, got, ge, pairs * 4);
    float *got_weights = host_floats(gw, pairs);
    char what[80];
    snprintf(what, sizeof what, "%d of %d, %d rows, %s%s%s%s%s", r.k, r.E, T, r.sigmoid ? "sigmoid" : "softmax",
             r.n_groups > 1 ? " groups" : "", biased ? " bias" : "", forced ? " forced" : "", ties ? " ties" : "");
    check_same(got, experts, pairs * 4, "route %s: experts", what);
    check_same(got_weights, weights, pairs * 4, "route %s: weights", what);
    check_route_grad(&r, T, logits, experts, what);
    gpu_free(5, gl, gb, gf, ge, gw);
    free(logits), free(bias), free(weights), free(experts), free(got), free(given), free(got_weights);
}

static void check_routes(void)
{
    struct router softmax = {.E = 128, .k = 8, .normalised = true, .scale = 1, .n_groups = 1},
                  v2 = {.E = 64, .k = 6, .scale = 1, .n_groups = 1}, few = {.E = 8, .k = 2, .scale = 1, .n_groups = 1},
                  v3 = {.E = 256, .k = 8, .sigmoid = true, .normalised = true, .scale = 2.5f, .epsilon = 1e-20f},
                  limited = {.E = 160, .k = 6, .scale = 16, .n_groups = 8, .top_groups = 3, .group_best = 1};
    v3.n_groups = 8, v3.top_groups = 4, v3.group_best = 2;
    for (int ties = 0; ties < 2; ties++) {
        check_route(softmax, 1001, false, false, ties);
        check_route(softmax, 64, false, true, ties);
        check_route(v2, 333, false, false, ties);
        check_route(few, 77, false, false, ties);
        check_route(v3, 1000, true, false, ties);
        check_route(v3, 31, false, true, ties);
        check_route(limited, 500, false, false, ties);
    }
}

/* ---- order, sums ---- */

static void check_order(int T, int k, int E)
{
    int n = T * k;
    size_t bytes = (size_t)n * 4, all = (size_t)(E + 1) * 4 + 3 * bytes;
    int32_t *experts = mem_alloc(bytes + 4), *want = mem_zero(all), *got = mem_zero(all);
    struct rng rng = rng_stream(6, (uint64_t)T);
    for (int t = 0; t < T; t++) { /* k of E, ascending, the first often */
        int first = t % 5 ? (int)rng_below(&rng, (uint32_t)(E - k + 1)) : 0;
        for (int j = 0; j < k; j++) {
            experts[t * k + j] = first + j;
        }
    }
    struct expert_order_args a = {.T = T, .k = k, .E = E, .experts = experts};
    a.offsets = want, a.places = want + E + 1, a.pairs = a.places + n, a.rows = a.pairs + n;
    cpu->ops->expert_order(&a);
    int32_t *ge = gpu_bytes(experts, bytes), *out = gpu_bytes(NULL, all);
    a.experts = ge, a.offsets = out, a.places = out + E + 1, a.pairs = a.places + n, a.rows = a.pairs + n;
    gpu->ops->expert_order(&a);
    device_read(gpu, got, out, all);
    check_same(got, want, all, "expert_order %d x %d of %d", T, k, E);
    gpu_free(2, ge, out);
    free(experts), free(want), free(got);
}

static void round_all(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = bf16_value(bf16_bits(x[i]));
    }
}

/* The sums are the CPU's, then rounded. */
static void check_combine(int T, int d, int k, bool weighted, bool shared, bool gated, bool residual)
{
    size_t pairs = product_of(T, k), n = product_of(T, d);
    float *x = elements(pairs * (size_t)d, 1, 31), *s = elements(n, 1, 32), *y = elements(n, 1, 33);
    float *weights = elements(pairs, 0.3f, 34), *gates = elements((size_t)T, 1, 35);
    int32_t *places = mem_alloc(pairs * 4);
    for (size_t i = 0; i < pairs; i++) {
        weights[i] += 1e-4f, places[i] = (int32_t)(i * 7919 % pairs); /* a prime */
    }
    struct combine_args a = {.T = T, .d = d, .k = k, .places = places, .x = x, .y = y};
    a.weights = weighted ? weights : NULL, a.shared = shared ? s : NULL, a.gates = gated ? gates : NULL;
    a.residual = residual ? y : NULL;
    void *gy = gpu_elements(y, n);
    cpu->ops->combine(&a);
    void *gx = gpu_elements(x, pairs * (size_t)d), *gs = gpu_elements(s, n), *gw = gpu_bytes(weights, pairs * 4);
    void *gg = gpu_bytes(gates, (size_t)T * 4), *gp = gpu_bytes(places, pairs * 4);
    a.places = gp, a.x = gx, a.y = gy, a.weights = weighted ? gw : NULL, a.shared = shared ? gs : NULL;
    a.gates = gated ? gg : NULL, a.residual = residual ? gy : NULL;
    gpu->ops->combine(&a);
    float *got = host_elements(gy, n);
    round_all(y, n);
    check_same(got, y, n * 4, "combine %d x %d of %d%s%s%s%s", k, d, T, weighted ? " weights" : "",
               shared ? " shared" : "", gated ? " gates" : "", residual ? " residual" : "");
    gpu_free(6, gy, gx, gs, gw, gg, gp);
    free(x), free(s), free(y), free(weights), free(gates), free(places), free(got);
}

static void check_weighted_swiglu_grad(int n_rows, int F, bool sorted)
{
    size_t n = product_of(n_rows, F), rows = (size_t)n_rows;
    float *gate_up = elements(2 * n, 2, 41), *dact = elements(n, 1, 42), *weights = elements(rows, 0.5f, 43);
    float *dweights = zeros(rows), *dgate_up = zeros(2 * n), *act = zeros(n);
    int32_t *pairs = mem_alloc(rows * 4);
    for (int i = 0; i < n_rows; i++) {
        pairs[i] = (int32_t)((int64_t)i * 7919 % n_rows);
    }
    struct weighted_swiglu_grad_args a = {.n_rows = n_rows, .F = F, .gate_up = gate_up, .dact = dact};
    a.pairs = sorted ? pairs : NULL, a.weights = weights, a.dweights = dweights, a.dgate_up = dgate_up, a.act = act;
    cpu->ops->weighted_swiglu_grad(&a);
    void *gg = gpu_elements(gate_up, 2 * n), *gd = gpu_elements(dact, n), *gw = gpu_bytes(weights, rows * 4);
    void *gp = gpu_bytes(pairs, rows * 4), *gdw = gpu_bytes(NULL, rows * 4);
    a.gate_up = gg, a.dact = gd, a.pairs = sorted ? gp : NULL, a.weights = gw, a.dweights = gdw;
    a.dgate_up = gg, a.act = gd; /* in place */
    gpu->ops->weighted_swiglu_grad(&a);
    float *got = host_elements(gg, 2 * n), *got_act = host_elements(gd, n), *got_dw = host_floats(gdw, rows);
    check_near(got, dgate_up, 2 * n, NEAR, "weighted_swiglu_grad %d x %d: gate, up", n_rows, F);
    check_near(got_act, act, n, NEAR, "weighted_swiglu_grad %d x %d: act", n_rows, F);
    check_near(got_dw, dweights, rows, NEAR, "weighted_swiglu_grad %d x %d: weights", n_rows, F);
    gpu_free(5, gg, gd, gw, gp, gdw);
    free(gate_up), free(dact), free(weights), free(dweights), free(dgate_up), free(act), free(pairs), free(got);
    free(got_act), free(got_dw);
}

int main(void)
{
    open_both();
    check_loads(7, 8, 32, 48);
    check_loads(100, 8, 48, 36); /* rows that cp.async cannot read */
    check_loads(700, 16, 256, 128);
    check_loads(1500, 128, 192, 264);
    check_loads(1000, 4, 1536, 512);
    check_counts(272, 136);
    check_neighbours();
    check_matmul_wide(1, 8, 64);
    check_matmul_wide(300, 128, 2048);
    check_matmul_wide(77, 256, 520);
    check_routes();
    static const int orders[][3] = {{0, 2, 8},    {1, 2, 8},     {5, 8, 128},    {512, 8, 128},
                                    {513, 8, 128}, {3000, 6, 64}, {16384, 8, 256}, {20000, 1, 3}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        check_order(orders[i][0], orders[i][1], orders[i][2]);
    }
    check_combine(3, 40, 2, true, false, false, true);
    check_combine(200, 2048, 8, true, true, true, true);
    check_combine(50, 36, 6, true, true, false, false);
    check_combine(17, 128, 1, false, true, true, false);
    check_weighted_swiglu_grad(5, 48, false);
    check_weighted_swiglu_grad(1000, 768, true);
    check_weighted_swiglu_grad(33, 33, true);
    return close_both();
}
