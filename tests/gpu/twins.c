/* tests/gpu/twins.c - each operation on the GPU beside the CPU's, over odd shapes; attention and the head: twins_attention.c,
 * twins_head.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/gpu/fixture.h"

#define NEAR 1.2e-2 /* results are rounded to bf16 (3.9e-3) after sums in another order */
#define WIDE 2e-3   /* results are fp32 */

/* ---- matrix products ---- */

static void check_matmul(int T, int N, int K, bool bias, bool residual)
{
    size_t n = (size_t)T * (size_t)N;
    float *x = elements((size_t)T * (size_t)K, 1, 1), *w = elements((size_t)N * (size_t)K, 1 / sqrtf((float)K), 2);
    float *b = elements((size_t)N, 1, 3), *r = elements(n, 1, 4), *y = zeros(n), *w_cpu = cpu_matrix(w, N, K);
    void *gx = gpu_elements(x, (size_t)T * (size_t)K), *gw = gpu_matrix(w, N, K), *gb = gpu_elements(b, (size_t)N);
    void *gr = gpu_elements(r, n), *gy = gpu_elements(y, n);
    struct matmul_args a = {.T = T, .N = N, .K = K, .x = x, .x_stride = K, .w = w_cpu, .y = y, .y_stride = N};
    a.bias = bias ? b : NULL;
    a.residual = residual ? r : NULL;
    cpu->ops->matmul(&a);
    a.x = gx, a.w = gw, a.y = gy, a.bias = bias ? gb : NULL, a.residual = residual ? gr : NULL;
    gpu->ops->matmul(&a);
    float *got = host_elements(gy, n);
    check_near(got, y, n, NEAR, "matmul %d x %d x %d%s%s", T, N, K, bias ? " bias" : "", residual ? " residual" : "");
    /* the last row alone has the same bits */
    a.T = 1;
    a.x = (const char *)gx + (size_t)(T - 1) * (size_t)K * 2;
    a.residual = residual ? (const char *)gr + (size_t)(T - 1) * (size_t)N * 2 : NULL;
    gpu->ops->matmul(&a);
    float *alone = host_elements(gy, (size_t)N);
    check_same(alone, got + n - (size_t)N, (size_t)N * sizeof *got, "matmul %d x %d x %d: its last row alone", T, N, K);
    gpu_free(5, gx, gw, gb, gr, gy);
    free(x), free(w), free(b), free(r), free(y), free(w_cpu), free(got), free(alone);
}

static void check_matmul_grads(int T, int N, int K)
{
    size_t nk = (size_t)N * (size_t)K, tk = (size_t)T * (size_t)K, tn = (size_t)T * (size_t)N;
    float *x = elements(tk, 1, 1), *w = elements(nk, 1 / sqrtf((float)N), 2), *dy = elements(tn, 1, 3);
    float *dw = elements(nk, 1, 4), *dbias = elements((size_t)N, 1, 5), *dx = elements(tk, 1, 6);
    float *w_cpu = cpu_matrix(w, N, K), *dw_cpu = cpu_matrix(dw, N, K);
    void *gx = gpu_elements(x, tk), *gw = gpu_matrix(w, N, K), *gdy = gpu_elements(dy, tn), *gdx = gpu_elements(dx, tk);
    void *gdw = gpu_bytes(dw, nk * 4), *gdbias = gpu_bytes(dbias, (size_t)N * 4);
    struct matmul_input_grad_args in = {
        .T = T, .N = N, .K = K, .dy = dy, .dy_stride = N, .w = w_cpu, .dx = dx, .dx_stride = K, .accumulate = true};
    cpu->ops->matmul_input_grad(&in);
    in.dy = gdy, in.w = gw, in.dx = gdx;
    gpu->ops->matmul_input_grad(&in);
    float *got = host_elements(gdx, tk);
    check_near(got, dx, tk, NEAR, "matmul_input_grad %d x %d x %d", T, N, K);
    struct matmul_weight_grad_args wg = {
        .T = T, .N = N, .K = K, .dy = dy, .dy_stride = N, .x = x, .x_stride = K, .dw = dw_cpu, .dbias = dbias};
    cpu->ops->matmul_weight_grad(&wg);
    wg.dy = gdy, wg.x = gx, wg.dw = gdw, wg.dbias = gdbias;
    gpu->ops->matmul_weight_grad(&wg);
    float *want = cpu_rows(dw_cpu, N, K), *got_dw = host_floats(gdw, nk), *got_bias = host_floats(gdbias, (size_t)N);
    check_near(got_dw, want, nk, WIDE, "matmul_weight_grad %d x %d x %d", T, N, K);
    check_near(got_bias, dbias, (size_t)N, WIDE, "matmul_weight_grad %d x %d x %d: bias", T, N, K);
    gpu_free(6, gx, gw, gdy, gdx, gdw, gdbias);
    free(x), free(w), free(dy), free(dw), free(dbias), free(dx), free(w_cpu), free(dw_cpu), free(got), free(want);
    free(got_dw), free(got_bias);
}

/* ---- norms ---- */

static void check_rmsnorm(int T, int heads, int width, int gap, bool accumulate)
{
    int stride = heads * width + gap;
    size_t n = (size_t)T * (size_t)stride;
    float *x = elements(n, 1, 1), *weight = elements((size_t)width, 1, 2), *y = zeros(n), *dy = elements(n, 1, 3);
    float *dx = elements(n, 1, 4), *dweight = elements((size_t)width, 1, 5);
    void *gx = gpu_elements(x, n), *gw = gpu_elements(weight, (size_t)width), *gy = gpu_elements(y, n);
    void *gdy = gpu_elements(dy, n), *gdx = gpu_elements(dx, n), *gdw = gpu_bytes(dweight, (size_t)width * 4);
    struct rmsnorm_args a = {.T = T, .n_heads = heads, .width = width, .eps = 1e-6f, .x = x, .x_stride = stride};
    a.weight = weight, a.y = y, a.y_stride = stride;
    cpu->ops->rmsnorm(&a);
    a.x = gx, a.weight = gw, a.y = gy;
    gpu->ops->rmsnorm(&a);
    float *got = host_elements(gy, n);
    check_near(got, y, n, NEAR, "rmsnorm %d x %d x %d", T, heads, width);
    struct rmsnorm_grad_args g = {.T = T, .n_heads = heads, .width = width, .eps = 1e-6f, .x = x, .x_stride = stride};
    g.weight = weight, g.dy = dy, g.dy_stride = stride, g.dx = dx, g.dx_stride = stride;
    g.accumulate = accumulate, g.dweight = dweight;
    cpu->ops->rmsnorm_grad(&g);
    g.x = gx, g.weight = gw, g.dy = gdy, g.dx = gdx, g.dweight = gdw;
    gpu->ops->rmsnorm_grad(&g);
    float *got_dx = host_elements(gdx, n), *got_dw = host_floats(gdw, (size_t)width);
    check_near(got_dx, dx, n, NEAR, "rmsnorm_grad %d x %d x %d%s", T, heads, width, accumulate ? " +=" : "");
    check_near(got_dw, dweight, (size_t)width, WIDE, "rmsnorm_grad %d x %d x %d: weight", T, heads, width);
    gpu_free(6, gx, gw, gy, gdy, gdx, gdw);
    free(x), free(weight), free(y), free(dy), free(dx), free(dweight), free(got), free(got_dx), free(got_dw);
}

/* ---- element by element ---- */

static void check_rope(int T, int heads, int D, bool interleaved, bool inverse)
{
    enum { POSITIONS = 300 };
    int stride = heads * D + 8, half = D / 2;
    size_t n = (size_t)T * (size_t)stride, table = (size_t)POSITIONS * (size_t)half;
    float *x = elements(n, 1, 1), *cosines = zeros(table), *sines = zeros(table);
    int32_t *positions = mem_alloc((size_t)T * sizeof *positions);
    for (size_t i = 0; i < table; i++) {
        double angle = (double)(i / (size_t)half) * pow(1e4, -2.0 * (double)(i % (size_t)half) / D);
        cosines[i] = (float)cos(angle), sines[i] = (float)sin(angle);
    }
    for (int t = 0; t < T; t++) {
        positions[t] = (t * 37 + 11) % POSITIONS;
    }
    void *gx = gpu_elements(x, n), *gc = gpu_bytes(cosines, table * 4), *gs = gpu_bytes(sines, table * 4);
    void *gp = gpu_bytes(positions, (size_t)T * 4);
    struct rope_args a = {.T = T, .n_heads = heads, .D = D, .x = x, .x_stride = stride, .positions = positions};
    a.cos = cosines, a.sin = sines, a.interleaved = interleaved, a.inverse = inverse;
    cpu->ops->rope(&a);
    a.x = gx, a.positions = gp, a.cos = gc, a.sin = gs;
    gpu->ops->rope(&a);
    float *got = host_elements(gx, n);
    check_near(got, x, n, NEAR, "rope %d x %d x %d%s%s", T, heads, D, interleaved ? " interleaved" : "",
               inverse ? " inverse" : "");
    gpu_free(4, gx, gc, gs, gp);
    free(x), free(cosines), free(sines), free(positions), free(got);
}

static void check_swiglu(int T, int F)
{
    size_t n = (size_t)T * (size_t)F;
    float *gate_up = elements(2 * n, 2, 1), *act = zeros(n), *dact = elements(n, 1, 2), *dgate_up = zeros(2 * n);
    void *g = gpu_elements(gate_up, 2 * n), *gact = gpu_elements(act, n), *gdact = gpu_elements(dact, n);
    struct swiglu_args a = {.T = T, .F = F, .gate_up = gate_up, .act = act, .dact = dact, .dgate_up = dgate_up};
    cpu->ops->swiglu(&a);
    cpu->ops->swiglu_grad(&a);
    a.gate_up = g, a.act = gact, a.dact = gdact, a.dgate_up = g; /* in place */
    gpu->ops->swiglu(&a);
    gpu->ops->swiglu_grad(&a);
    float *got = host_elements(gact, n), *got_grad = host_elements(g, 2 * n);
    check_near(got, act, n, NEAR, "swiglu %d x %d", T, F);
    check_near(got_grad, dgate_up, 2 * n, NEAR, "swiglu_grad %d x %d", T, F);
    gpu_free(3, g, gact, gdact);
    free(gate_up), free(act), free(dact), free(dgate_up), free(got), free(got_grad);
}

/* ---- rows ---- */

static void check_rows(int T, int d, int V)
{
    size_t n = (size_t)T * (size_t)d, table_n = (size_t)V * (size_t)d;
    float *table = elements(table_n, 1, 1), *y = zeros(n), *dy = elements(n, 1, 2), *dtable = elements(table_n, 1, 3);
    float *cpu_table = cpu_matrix(table, V, d), *cpu_dtable = cpu_matrix(dtable, V, d), *sums = elements(table_n, 1, 4);
    int32_t *tokens = mem_alloc((size_t)T * sizeof *tokens);
    struct rng rng = rng_stream(3, 0);
    for (int t = 0; t < T; t++) {
        tokens[t] = (int32_t)rng_below(&rng, (uint32_t)(t % 3 == 0 ? 2 : V)); /* two of them often */
    }
    void *gtable = gpu_matrix(table, V, d), *gy = gpu_elements(y, n), *gdy = gpu_elements(dy, n);
    void *gdtable = gpu_bytes(dtable, table_n * 4), *gtokens = gpu_bytes(tokens, (size_t)T * 4);
    void *gsums = gpu_elements(sums, table_n);
    struct embedding_args a = {.T = T, .d = d, .V = V, .tokens = tokens, .table = cpu_table, .y = y, .dy = dy};
    a.dtable = cpu_dtable;
    cpu->ops->embedding(&a);
    cpu->ops->embedding_grad(&a);
    struct rows_args r = {.n_rows = T, .width = d, .rows = tokens, .x = dy, .y = sums};
    cpu->ops->scatter_add_rows(&r);
    a.tokens = gtokens, a.table = gtable, a.y = gy, a.dy = gdy, a.dtable = gdtable;
    gpu->ops->embedding(&a);
    gpu->ops->embedding_grad(&a);
    r.rows = gtokens, r.x = gdy, r.y = gsums;
    gpu->ops->scatter_add_rows(&r);
    float *got = host_elements(gy, n), *got_grad = host_floats(gdtable, table_n),
          *got_sums = host_elements(gsums, table_n);
    float *want = cpu_rows(cpu_dtable, V, d);
    check_same(got, y, n * 4, "embedding %d of %d x %d", T, V, d);
    check_same(got_grad, want, table_n * 4, "embedding_grad %d of %d x %d", T, V, d);
    check_near(got_sums, sums, table_n, NEAR, "scatter_add_rows %d of %d x %d", T, V, d);
    r.x = gtable, r.y = gy;
    gpu->ops->gather_rows(&r);
    float *gathered = host_elements(gy, n);
    check_same(gathered, y, n * 4, "gather_rows %d of %d x %d", T, V, d);
    gpu_free(6, gtable, gy, gdy, gdtable, gtokens, gsums);
    free(table), free(y), free(dy), free(dtable), free(cpu_table), free(cpu_dtable), free(sums), free(tokens),
        free(got);
    free(got_grad), free(got_sums), free(want), free(gathered);
}

/* ---- the optimiser ---- */

static void check_adamw(size_t n)
{
    float *w = elements(n, 1, 1), *grad = elements(n, 1, 2), *m = elements(n, 0.1f, 3), *v = elements(n, 0.1f, 4);
    for (size_t i = 0; i < n; i++) {
        v[i] = fabsf(v[i]);
    }
    float *got_w = NULL;
    void *gw = gpu_elements(w, n), *gmaster = gpu_bytes(w, n * 4), *gg = gpu_bytes(grad, n * 4);
    void *gm = gpu_bytes(m, n * 4), *gv = gpu_bytes(v, n * 4);
    struct adamw_args a = {.n = n, .param = w, .grad = grad, .m = m, .v = v, .grad_scale = 0.7f, .lr = 1e-2f};
    a.beta1 = 0.9f, a.beta2 = 0.99f, a.eps = 1e-8f, a.weight_decay = 0.1f, a.correction1 = 0.3f, a.correction2 = 0.1f;
    double want = cpu->ops->sum_squares(grad, n), got = gpu->ops->sum_squares(gg, n);
    check(fabs(got - want) <= 1e-12 * want, "sum_squares of %zu: %.17g, wanted %.17g", n, got, want);
    cpu->ops->adamw(&a);
    a.param = gw, a.master = gmaster, a.grad = gg, a.m = gm, a.v = gv;
    gpu->ops->adamw(&a);
    float *got_master = host_floats(gmaster, n), *got_m = host_floats(gm, n), *got_v = host_floats(gv, n);
    got_w = host_elements(gw, n);
    check_same(got_master, w, n * 4, "adamw of %zu: master", n);
    check_same(got_m, m, n * 4, "adamw of %zu: first moment", n);
    check_same(got_v, v, n * 4, "adamw of %zu: second moment", n);
    check_near(got_w, w, n, 8e-3, "adamw of %zu: elements", n);
    float *sum = copy_of(grad, n);
    for (size_t i = 0; i < n; i++) {
        sum[i] += w[i];
    }
    gpu->ops->add(gg, gmaster, n); /* gmaster is w by now, as compared above */
    float *got_sum = host_floats(gg, n);
    check_same(got_sum, sum, n * 4, "add of %zu", n);
    free(sum);
    free(got_sum);
    float *mixed = copy_of(got_w, n);
    for (size_t i = 0; i < n; i++) {
        mixed[i] = 0.25f * grad[i] + 0.75f * got_w[i];
    }
    void *from = gpu_elements(grad, n);
    gpu->ops->mix(gw, from, n, 0.25f);
    float *got_mix = host_elements(gw, n);
    check_near(got_mix, mixed, n, NEAR, "mix of %zu", n);
    for (size_t i = 0; i < n; i++) {
        mixed[i] = 2.3f * grad[i];
    }
    gpu->ops->scale(from, n, 2.3f);
    float *got_scaled = host_elements(from, n);
    check_near(got_scaled, mixed, n, NEAR, "scale of %zu", n);
    gpu_free(6, gw, gmaster, gg, gm, gv, from);
    free(w), free(grad), free(m), free(v), free(got_w), free(got_master), free(got_m), free(got_v), free(mixed);
    free(got_mix), free(got_scaled);
}

/* The CPU's fp32 parameter, rounded here as kernels/ops.h says, is the GPU's; the moments have the same bits as they are. */
static void check_adamw_stochastic(size_t n, uint64_t first)
{
    float *w = elements(n, 1, 1), *grad = elements(n, 1, 2), *m = elements(n, 0.1f, 3), *v = elements(n, 0.1f, 4);
    uint16_t *m16 = mem_alloc(n * 2), *v16 = mem_alloc(n * 2);
    for (size_t i = 0; i < n; i++) {
        m16[i] = bf16_bits(m[i]);
        v16[i] = bf16_bits(fabsf(v[i]));
    }
    void *gw = gpu_elements(w, n), *gg = gpu_bytes(grad, n * 4);
    void *gm = gpu_bytes(m16, n * 2), *gv = gpu_bytes(v16, n * 2);
    struct adamw_args a = {.n = n, .param = w, .grad = grad, .m = m16, .v = v16, .grad_scale = 0.7f, .lr = 1e-2f};
    a.beta1 = 0.9f, a.beta2 = 0.99f, a.eps = 1e-8f, a.weight_decay = 0.1f, a.correction1 = 0.3f, a.correction2 = 0.1f;
    a.stochastic = true, a.key = 0x123456789ABCDEFu, a.step = ((uint64_t)1 << 32) + 3, a.first = first;
    cpu->ops->adamw(&a);
    a.param = gw, a.grad = gg, a.m = gm, a.v = gv;
    gpu->ops->adamw(&a);
    uint16_t *want = mem_alloc(n * 2), *got = mem_alloc(n * 2);
    for (size_t i = 0; i < n; i++) {
        uint64_t pair = (first + i) / 2;
        uint32_t bits, out[4];
        uint32_t counter[4] = {(uint32_t)pair, (uint32_t)(pair >> 32), (uint32_t)a.step, (uint32_t)(a.step >> 32)};
        uint32_t key[2] = {(uint32_t)a.key, (uint32_t)(a.key >> 32)};
        rng_philox(out, counter, key);
        memcpy(&bits, &w[i], sizeof bits);
        want[i] = (uint16_t)((bits + (out[i % 2 ? 3 : 1] & 0xFFFFu)) >> 16);
    }
    device_read(gpu, got, gw, n * 2);
    check_same(got, want, n * 2, "adamw of %zu, stochastic: elements", n);
    device_read(gpu, got, gm, n * 2);
    check_same(got, m16, n * 2, "adamw of %zu, stochastic: first moment", n);
    device_read(gpu, got, gv, n * 2);
    check_same(got, v16, n * 2, "adamw of %zu, stochastic: second moment", n);
    gpu_free(4, gw, gg, gm, gv);
    free(w), free(grad), free(m), free(v), free(m16), free(v16), free(want), free(got);
}

static void check_matrices(int N, int K)
{
    size_t n = (size_t)N * (size_t)K;
    float *rows = elements(n, 1, 1), *back = zeros(n), *wide = zeros(n);
    void *matrix = gpu_matrix(rows, N, K), *floats = gpu_bytes(NULL, n * 4);
    gpu->ops->matrix_export(back, matrix, 0, N, N, K);
    check_same(back, rows, n * 4, "matrix_import, matrix_export %d x %d", N, K);
    gpu->ops->wide_import(floats, rows, 0, 1, N, K);
    gpu->ops->wide_import(floats, rows + K, 1, N - 1, N, K);
    gpu->ops->wide_export(wide, floats, 0, N, N, K);
    check_same(wide, rows, n * 4, "wide_import, wide_export %d x %d", N, K);
    uint16_t *narrow = mem_alloc(n * 2), *narrow_back = mem_zero(n * 2);
    for (size_t i = 0; i < n; i++) {
        narrow[i] = bf16_bits(rows[i]);
    }
    void *halves = gpu_bytes(NULL, n * 2);
    gpu->ops->bf16_import(halves, narrow, 0, 1, N, K);
    gpu->ops->bf16_import(halves, narrow + K, 1, N - 1, N, K);
    gpu->ops->bf16_export(narrow_back, halves, 0, N, N, K);
    check_same(narrow_back, narrow, n * 2, "bf16_import, bf16_export %d x %d", N, K);
    gpu_free(3, matrix, floats, halves);
    free(rows), free(back), free(wide), free(narrow), free(narrow_back);
}

int main(void)
{
    open_both();
    check_matrices(37, 36);
    static const int shapes[][3] = {{1, 16, 16},     {3, 48, 40},      {17, 128, 36},  {130, 203, 40},
                                    {64, 1152, 896}, {257, 896, 4864}, {128, 130, 72}, {1000, 896, 896},
                                    {33, 9728, 896}, {8, 1536, 8960}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_matmul(shapes[i][0], shapes[i][1], shapes[i][2], i % 2 == 0, i % 3 == 1);
    }
    static const int grads[][3] = {{1, 16, 16}, {19, 48, 40}, {130, 203, 36}, {500, 1152, 896}, {77, 896, 512}};
    for (size_t i = 0; i < sizeof grads / sizeof *grads; i++) {
        check_matmul_grads(grads[i][0], grads[i][1], grads[i][2]);
    }
    check_rmsnorm(5, 1, 36, 0, true);
    check_rmsnorm(130, 1, 896, 0, true);
    check_rmsnorm(67, 3, 128, 24, false);
    check_rmsnorm(9, 2, 16, 0, false);
    check_rmsnorm(70, 1, 1536, 8, false);
    check_rope(33, 3, 16, false, false);
    check_rope(70, 14, 64, false, true);
    check_rope(5, 2, 128, true, false);
    check_swiglu(3, 48);
    check_swiglu(130, 4864);
    check_swiglu(7, 33);
    check_rows(200, 40, 37);
    check_rows(1000, 896, 500);
    check_rows(50, 36, 1000);
    check_rows(16500, 272, 900); /* so many that a gather goes through them in stripes */
    check_adamw(5);
    check_adamw(100003);
    check_adamw_stochastic(6, 0);
    check_adamw_stochastic(100002, ((uint64_t)1 << 33) - 64); /* the upper word of the pairs' numbers changes */
    return close_both();
}
