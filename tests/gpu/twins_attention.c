/* tests/gpu/twins_attention.c - attention over pages, its independence of how a sequence was cut, and its gradient.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/gpu/fixture.h"

#define NEAR    2e-2
#define LENGTH  300 /* positions of a sequence */
#define N_PAGES 12

static const int32_t first_pages[3] = {7, 0, 3}, second_pages[3] = {1, 9, 5};

/* Dv < D: values are the first columns of the keys. */
struct setup {
    int H, J, D, Dv;
    float *q, *k, *v; /* [2 LENGTH, heads D] two sequences, one after the other */
    void *gq, *gk, *gv, *gk_pool, *gv_pool, *gout, *glse;
    float *k_pool, *v_pool, *out, *lse;
};

static size_t out_elements(const struct setup *s)
{
    return (size_t)2 * LENGTH * (size_t)s->H * (size_t)s->Dv;
}

static struct setup make_setup(int H, int J, int D, int Dv)
{
    struct setup s = {.H = H, .J = J, .D = D, .Dv = Dv};
    size_t n = (size_t)2 * LENGTH * (size_t)H * (size_t)D, kv = (size_t)2 * LENGTH * (size_t)J * (size_t)D;
    size_t pool = N_PAGES * ops_page_elements(J, D);
    s.q = elements(n, 2, 1), s.k = elements(kv, 2, 2), s.v = elements(kv, Dv < D ? 2 : 1, Dv < D ? 2 : 3);
    s.k_pool = zeros(pool), s.v_pool = zeros(pool), s.out = zeros(n), s.lse = zeros((size_t)2 * LENGTH * (size_t)H);
    s.gq = gpu_elements(s.q, n), s.gk = gpu_elements(s.k, kv), s.gv = gpu_elements(s.v, kv);
    float *poison = zeros(pool); /* what nobody has stored must change nothing */
    for (size_t i = 0; i < pool; i++) {
        poison[i] = NAN;
    }
    s.gk_pool = gpu_elements(poison, pool), s.gv_pool = gpu_elements(poison, pool), s.gout = gpu_elements(s.out, n);
    free(poison);
    s.glse = gpu_bytes(s.lse, (size_t)2 * LENGTH * (size_t)H * 4);
    return s;
}

static void free_setup(struct setup *s)
{
    gpu_free(7, s->gq, s->gk, s->gv, s->gk_pool, s->gv_pool, s->gout, s->glse);
    free(s->q), free(s->k), free(s->v), free(s->k_pool), free(s->v_pool), free(s->out), free(s->lse);
}

/* Stores the spans' keys and attends, on one device. */
static void attend(const struct setup *s, struct device *device, const struct span *spans, int n)
{
    bool on_gpu = device == gpu;
    struct kv_store_args store = {.n_spans = n, .spans = spans, .J = s->J, .D = s->D, .kv_stride = s->J * s->D};
    store.Dv = s->Dv;
    store.k = on_gpu ? s->gk : s->k, store.v = on_gpu ? s->gv : s->v;
    store.k_pool = on_gpu ? s->gk_pool : s->k_pool, store.v_pool = on_gpu ? s->gv_pool : s->v_pool;
    device->ops->kv_store(&store);
    struct attention_args a = {.n_spans = n, .spans = spans, .H = s->H, .J = s->J, .D = s->D};
    a.Dv = s->Dv, a.scale = 1 / sqrtf((float)s->D);
    a.q = on_gpu ? s->gq : s->q, a.q_stride = s->H * s->D;
    a.k_pool = store.k_pool, a.v_pool = store.v_pool;
    a.out = on_gpu ? s->gout : s->out, a.out_stride = s->H * s->Dv, a.lse = on_gpu ? s->glse : s->lse;
    device->ops->attention(&a);
}

static void check_forward(int H, int J, int D, int Dv)
{
    struct setup s = make_setup(H, J, D, Dv);
    size_t n = out_elements(&s), n_lse = (size_t)2 * LENGTH * (size_t)H;
    const struct span whole[2] = {{0, LENGTH, 0, first_pages}, {LENGTH, LENGTH - 9, 0, second_pages}};
    attend(&s, cpu, whole, 2);
    attend(&s, gpu, whole, 2);
    float *got = host_elements(s.gout, n), *got_lse = host_floats(s.glse, n_lse);
    check_near(got, s.out, n, NEAR, "attention H %d J %d D %d, %d", H, J, D, Dv);
    check_near(got_lse, s.lse, n_lse, 2e-3, "attention H %d J %d D %d, %d: lse", H, J, D, Dv);
    /* cut: chunks of odd sizes of the one, single rows of the other in the same calls */
    device_zero(gpu, s.gout, n * 2);
    for (int at = 0, other = 0; at < LENGTH || other < LENGTH - 9;) {
        int chunk = at < LENGTH ? (at * 7 + 13) % 61 + 1 : 0;
        chunk = chunk < LENGTH - at ? chunk : LENGTH - at;
        struct span cut[2];
        int spans = 0;
        if (chunk > 0) {
            cut[spans++] = (struct span){at, chunk, at, first_pages};
        }
        for (int i = 0; i < 1 && other < LENGTH - 9; i++) {
            cut[spans++] = (struct span){LENGTH + other, 1, other, second_pages};
            other++;
        }
        attend(&s, gpu, cut, spans);
        at += chunk;
    }
    float *again = host_elements(s.gout, n), *again_lse = host_floats(s.glse, n_lse);
    check_same(again, got, n * 4, "attention H %d J %d D %d, %d: cut in pieces", H, J, D, Dv);
    check_same(again_lse, got_lse, n_lse * 4, "attention H %d J %d D %d, %d: cut in pieces, lse", H, J, D, Dv);
    free(got), free(got_lse), free(again), free(again_lse);
    free_setup(&s);
}

/* Values of width D, keys of width wide. */
static void check_copy(int J, int wide, int D)
{
    size_t page = ops_page_elements(J, D), k_page = ops_page_elements(J, wide),
           n = (size_t)OPS_PAGE * (size_t)(J * wide);
    float *k = elements(n, 1, 1), *v = elements(n, 1, 2), *pool = zeros(3 * k_page);
    void *gk = gpu_elements(k, n), *gv = gpu_elements(v, n), *k_pool = gpu_elements(pool, 3 * k_page);
    void *v_pool = gpu_elements(pool, 3 * page);
    const int32_t list[1] = {1};
    const struct span span = {0, OPS_PAGE, 0, list};
    gpu->ops->kv_store(&(struct kv_store_args){1, &span, J, wide, D, gk, gv, J * wide, k_pool, v_pool});
    gpu->ops->kv_copy(&(struct kv_copy_args){J, wide, D, 77, 1, 2, k_pool, v_pool});
    float *got = host_elements(v_pool, 3 * page);
    size_t wrong = 0;
    for (int j = 0; j < J; j++) {
        for (int i = 0; i < OPS_PAGE * D; i++) {
            size_t at = (size_t)j * OPS_PAGE * (size_t)D + (size_t)i;
            float want = i / D < 77 ? v[(size_t)(i / D) * (size_t)(J * wide) + (size_t)(j * D + i % D)] : 0;
            wrong += memcmp(&got[2 * page + at], &want, sizeof want) != 0;
        }
    }
    check(wrong == 0, "kv_store, kv_copy J %d D %d, %d: %zu values differ", J, wide, D, wrong);
    gpu_free(4, gk, gv, k_pool, v_pool);
    free(k), free(v), free(pool), free(got);
}

/* ---- gradient ---- */

/* Sequences with and without a prefix that they share, one without rows of its own; rows of all of them. */
static const struct context contexts[] = {{0, 0, 0, 150}, {0, 150, 150, 70}, {0, 130, 220, 33},  {0, 5, 253, 129},
                                          {0, 0, 382, 1}, {0, 0, 383, 65},   {383, 65, 448, 64}, {383, 65, 512, 0}};
#define N_CONTEXTS ((int)(sizeof contexts / sizeof *contexts))
#define GRAD_ROWS  512

/* The forward pass on the CPU, for out and lse: each context with its prefix copied in front. */
static void forward_of(const struct context *c, int H, int J, int D, int Dv, int stride, const float *qkv, float *out,
                       float *lse)
{
    int n = c->n_prefix + c->n_rows, n_pages = (n + OPS_PAGE - 1) / OPS_PAGE;
    size_t pool = (size_t)n_pages * ops_page_elements(J, D);
    float *k_pool = zeros(pool), *v_pool = zeros(pool);
    int32_t pages[8];
    for (int i = 0; i < n_pages; i++) {
        pages[i] = i;
    }
    const struct span prefix = {c->prefix_row, c->n_prefix, 0, pages}, own = {c->row, c->n_rows, c->n_prefix, pages};
    const struct span both[2] = {prefix, own};
    struct kv_store_args store = {.n_spans = 2, .spans = both, .J = J, .D = D, .kv_stride = stride};
    store.Dv = Dv, store.k = qkv + H * D, store.v = Dv < D ? store.k : qkv + (H + J) * D, store.k_pool = k_pool,
    store.v_pool = v_pool;
    cpu->ops->kv_store(&store);
    struct attention_args a = {.n_spans = 1, .spans = &own, .H = H, .J = J, .D = D, .scale = 1 / sqrtf((float)D)};
    a.Dv = Dv, a.q = qkv, a.q_stride = stride, a.k_pool = k_pool, a.v_pool = v_pool;
    a.out = out, a.out_stride = H * Dv, a.lse = lse;
    cpu->ops->attention(&a);
    free(k_pool), free(v_pool);
}

static void check_gradient(int H, int J, int D, int Dv)
{
    int stride = (H + 2 * J) * D, v_at = Dv < D ? H * D : (H + J) * D;
    size_t n = (size_t)GRAD_ROWS * (size_t)stride, n_out = (size_t)GRAD_ROWS * (size_t)(H * Dv);
    size_t n_lse = (size_t)GRAD_ROWS * (size_t)H;
    float *qkv = elements(n, 1, 1), *dout = elements(n_out, 1, 2), *out = zeros(n_out), *lse = zeros(n_lse),
          *d = zeros(n);
    for (int c = 0; c < N_CONTEXTS; c++) {
        forward_of(&contexts[c], H, J, D, Dv, stride, qkv, out, lse);
    }
    struct attention_grad_args a = {.n_contexts = N_CONTEXTS, .contexts = contexts, .H = H, .J = J, .D = D};
    a.Dv = Dv, a.scale = 1 / sqrtf((float)D), a.qkv_stride = stride, a.out_stride = H * Dv;
    a.q = qkv, a.k = qkv + H * D, a.v = qkv + v_at, a.out = out, a.dout = dout, a.lse = lse;
    a.dq = d, a.dk = d + H * D, a.dv = d + v_at;
    cpu->ops->attention_grad(&a);
    void *gqkv = gpu_elements(qkv, n), *gdout = gpu_elements(dout, n_out), *gout = gpu_elements(out, n_out);
    void *glse = gpu_bytes(lse, n_lse * 4), *gd = gpu_bytes(NULL, n * 2);
    char *at = gqkv, *d_at = gd;
    size_t k = (size_t)(H * D) * 2, v = (size_t)v_at * 2;
    a.q = at, a.k = at + k, a.v = at + v, a.out = gout, a.dout = gdout, a.lse = glse;
    a.dq = d_at, a.dk = d_at + k, a.dv = d_at + v;
    gpu->ops->attention_grad(&a);
    float *got = host_elements(gd, n);
    check_near(got, d, n, 1e-1, "attention_grad H %d J %d D %d, %d", H, J, D, Dv);
    device_zero(gpu, gd, n * 2);
    gpu->ops->attention_grad(&a);
    float *again = host_elements(gd, n);
    check_same(again, got, n * 4, "attention_grad H %d J %d D %d, %d: again", H, J, D, Dv);
    gpu_free(5, gqkv, gdout, gout, glse, gd);
    free(qkv), free(dout), free(out), free(lse), free(d), free(got), free(again);
}

int main(void)
{
    static const int shapes[][4] = {{4, 2, 16, 16},    {2, 1, 32, 32},    {14, 2, 64, 64}, {3, 3, 64, 64},
                                    {12, 2, 128, 128}, {16, 8, 128, 128}, {5, 1, 80, 80},  {4, 1, 48, 32},
                                    {16, 1, 128, 64},  {3, 1, 64, 48},    {24, 1, 96, 80}, {2, 1, 32, 16}};
    open_both();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_forward(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        check_gradient(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
    }
    check_copy(2, 64, 64);
    check_copy(1, 96, 64);
    return close_both();
}
