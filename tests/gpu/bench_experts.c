/* tests/gpu/bench_experts.c - speed of a layer of experts on a GPU, beside dense products of the same arithmetic.
 *
 *   bench_experts [WORD]
 *
 * The shape of Qwen3-30B-A3B (d 2048, F 768, 8 of 128 experts): 16,384 rows, with loads that are even and that are not, and
 * decoding of 256 sequences, whose products are limited by memory. The uneven load of expert e is in proportion to
 * 1 / (1 + (37 e mod 128) / 8); torch_grouped.py uses the same. Times are means of a run of calls, medians of five runs.
 * With a WORD only the lines that hold it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tests/gpu/bench.h"

enum { D = 2048, F = 768, E = 128, TOP = 8, ROWS = 16384, DECODE = 256, PLACES = ROWS * TOP };

static struct bench {
    const char *word;
    struct device *device;
    const struct ops *ops;
    int T, N, K, n_places;
    const int32_t *offsets;
    void *x, *y, *z, *act, *gate_up, *w;   /* [PLACES, D], [PLACES, D], [PLACES, D], [PLACES, F], [PLACES, 2F]; [E, 2F, D] */
    float *dw, *logits, *weights, *dweights;
    int32_t *experts, *places, *pairs, *rows, *sorted;
    const void *from;
    void *to;
} b;

static void *on_device(size_t bytes)
{
    return bench_memory(b.device, bytes);
}

static void *filled(size_t n)
{
    return bench_numbers(b.device, n);
}

static double time_of(void (*work)(void))
{
    return bench_time(b.device, b.experts, work);
}

static double tell(const char *name, void (*work)(void), double flops, double bytes)
{
    if (b.word && !strstr(name, b.word)) {
        return 0;
    }
    double s = time_of(work);
    printf("  %-34s %9.1f us %8.1f TFLOP/s %8.0f GB/s\n", name, 1e6 * s, 1e-12 * flops / s, 1e-9 * bytes / s);
    fflush(stdout);
    return s;
}

/* ---- products ---- */

static void grouped(void)
{
    b.ops->grouped_matmul(&(struct grouped_matmul_args){E, b.N, b.K, b.n_places, b.offsets, b.from, b.w, b.to});
}

static struct grouped_grad_args grad(void)
{
    return (struct grouped_grad_args){.E = E,
                                      .N = b.N,
                                      .K = b.K,
                                      .n_places = b.n_places,
                                      .offsets = b.offsets,
                                      .dy = b.from,
                                      .w = b.w,
                                      .dx = b.to,
                                      .x = b.to,
                                      .dw = b.dw};
}

static void input_grad(void)
{
    struct grouped_grad_args a = grad();
    b.ops->grouped_input_grad(&a);
}

static void weight_grad(void)
{
    struct grouped_grad_args a = grad();
    b.ops->grouped_weight_grad(&a);
}

static void dense(void)
{
    b.ops->matmul(&(struct matmul_args){
        .T = b.n_places, .N = b.N, .K = b.K, .x = b.from, .x_stride = b.K, .w = b.w, .y = b.to, .y_stride = b.N});
}

static void dense_input(void)
{
    b.ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = b.n_places, .N = b.N, .K = b.K, .dy = b.from, .dy_stride = b.N, .w = b.w, .dx = b.to, .dx_stride = b.K});
}

static void dense_weight(void)
{
    b.ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
        .T = b.n_places, .N = b.N, .K = b.K, .dy = b.from, .dy_stride = b.N, .x = b.to, .x_stride = b.K, .dw = b.dw});
}

/* x [places, K] to y [places, N]. Returns the time forward. */
static double products(const char *name, int N, int K, void *x, void *y, bool plain)
{
    char line[64];
    double flops = 2.0 * b.n_places * N * K, io = 2.0 * b.n_places * (N + K), w = 2.0 * (plain ? 1 : E) * N * K;
    b.N = N, b.K = K;
    snprintf(line, sizeof line, "%s%s", name, plain ? ", dense" : "");
    b.from = x, b.to = y;
    double forward = tell(line, plain ? dense : grouped, flops, io + w);
    snprintf(line, sizeof line, "%s input grad%s", name, plain ? ", dense" : "");
    b.from = y, b.to = x;
    if (b.n_places == PLACES) {
        tell(line, plain ? dense_input : input_grad, flops, io + w);
        snprintf(line, sizeof line, "%s weight grad%s", name, plain ? ", dense" : "");
        tell(line, plain ? dense_weight : weight_grad, flops, io + 4 * w);
    }
    return forward;
}

/* ---- the rest of the layer ---- */

static const struct router router = {.E = E, .k = TOP, .normalised = true, .scale = 1, .n_groups = 1};

static void logits(void)
{
    b.ops->matmul_wide(
        &(struct matmul_args){.T = b.T, .N = E, .K = D, .x = b.x, .x_stride = D, .w = b.w, .y = b.logits, .y_stride = E});
}

static void route(void)
{
    b.ops->route(&(struct route_args){
        .router = router, .T = b.T, .logits = b.logits, .experts = b.experts, .weights = b.weights});
}

static void route_grad(void)
{
    b.ops->route_grad(&(struct route_grad_args){.router = router,
                                                .T = b.T,
                                                .logits = b.logits,
                                                .experts = b.experts,
                                                .dweights = b.dweights,
                                                .dlogits = b.act});
}

static void order(void)
{
    b.ops->expert_order(&(struct expert_order_args){b.T, TOP, E, b.experts, b.sorted, b.places, b.pairs, b.rows});
}

static void gather(void)
{
    b.ops->gather_rows(&(struct rows_args){b.n_places, D, b.rows, b.z, b.x});
}

static void swiglu(void)
{
    b.ops->swiglu(&(struct swiglu_args){.T = b.n_places, .F = F, .gate_up = b.gate_up, .act = b.act});
}

static void swiglu_grad(void)
{
    b.ops->weighted_swiglu_grad(&(struct weighted_swiglu_grad_args){
        b.n_places, F, b.gate_up, b.act, b.pairs, b.weights, b.dweights, b.gate_up, b.act});
}

static void combine(void)
{
    b.ops->combine(&(struct combine_args){
        .T = b.T, .d = D, .k = TOP, .places = b.places, .weights = b.weights, .x = b.y, .residual = b.z, .y = b.z});
}

static void combine_grad(void)
{
    b.ops->combine(&(struct combine_args){.T = b.T, .d = D, .k = TOP, .places = b.places, .x = b.y, .y = b.z});
}

static double rest(void)
{
    double T = b.T, row = 2.0 * D, wide = 2.0 * b.n_places * F;
    double s = tell("router's logits", logits, 2.0 * T * D * E, T * row + 4 * T * E);
    s += tell("route", route, 0, T * (4 * E + 8 * TOP));
    s += tell("expert_order", order, 0, 16.0 * b.n_places);
    s += tell("gather", gather, 0, (T + b.n_places) * row);
    s += tell("SwiGLU", swiglu, 0, 3 * wide);
    s += tell("combine", combine, 0, (b.n_places + 2 * T) * row);
    if (b.n_places == PLACES) {
        tell("combine without weights", combine_grad, 0, (b.n_places + T) * row);
        tell("weighted SwiGLU grad", swiglu_grad, 0, 6 * wide);
        tell("route_grad", route_grad, 0, T * (4 * E + 2 * E + 8 * TOP));
    }
    return s;
}

/* ---- the table ---- */

static const int32_t *loads(bool even)
{
    static int32_t offsets[E + 1];
    double sum = 0, weights[E];
    for (int e = 0; e < E; e++) {
        weights[e] = even ? 1 : 1 / (1 + (37 * e % E) / 8.0);
        sum += weights[e];
    }
    for (int e = 0; e < E; e++) {
        offsets[e + 1] = offsets[e] + (int32_t)floor(b.n_places * weights[e] / sum);
    }
    offsets[E] = b.n_places;
    int32_t *to = on_device(sizeof offsets);
    device_write(b.device, to, offsets, sizeof offsets);
    return to;
}

static void table(const char *name, int T, bool even)
{
    printf("%s: %d rows, %d places\n", name, T, T * TOP);
    b.T = T, b.n_places = T * TOP;
    b.offsets = loads(even);
    double s = products("gate, up", 2 * F, D, b.x, b.gate_up, false);
    s += products("down", D, F, b.act, b.y, false);
    if (even) {
        double other = rest();
        printf("  the layer: %.1f us, of which products are %.3f\n", 1e6 * (s + other), s / (s + other));
    }
}

static void open_all(void)
{
    size_t rows = PLACES;
    b.experts = on_device(rows * 4), b.places = on_device(rows * 4), b.pairs = on_device(rows * 4);
    b.rows = on_device(rows * 4), b.sorted = on_device((E + 1) * 4);
    b.x = filled(rows * D), b.y = filled(rows * D), b.z = filled(rows * D), b.act = filled(rows * F);
    b.gate_up = filled(rows * 2 * F), b.w = filled((size_t)E * 2 * F * D);
    b.dw = on_device((size_t)E * 2 * F * D * 4), b.logits = on_device((size_t)ROWS * E * 4);
    b.weights = on_device(rows * 4), b.dweights = on_device(rows * 4);
    b.T = ROWS, b.n_places = PLACES;
    logits(), route(), order();
}

int main(int argc, char **argv)
{
    b.word = argc > 1 ? argv[1] : NULL;
    if (device_open(&b.device, "cuda") != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        return 1;
    }
    b.ops = b.device->ops;
    open_all();
    table("training, even loads", ROWS, true);
    table("training, uneven loads", ROWS, false);
    printf("dense products of as much arithmetic\n");
    products("gate, up", 2 * F, D, b.x, b.gate_up, true);
    products("down", D, F, b.act, b.y, true);
    table("decoding", DECODE, true);
    device_close(b.device);
    return 0;
}
