/* tests/gpu/bench_kernels.c - speed of each kernel on a GPU, beside what this GPU can do.
 *
 *   bench_kernels [0.5B|1.5B [WORD]]
 *
 * First the limits, measured here and now: a large bf16 product, and a copy (bytes read and written). Then a line a kernel: its
 * time, the useful arithmetic and the bytes it cannot do without, and the share of the limit, which is the larger of the two
 * shares. The time is the mean of a run of calls, the median of five such runs. Weights rotate among copies that the cache
 * cannot hold together.
 *
 * Training: 16,640 rows, a prompt of 128 shared by 16 completions of 512, twice over; decoding: 512 sequences at position 384.
 * The LM head's loss, log-probabilities and gradients, also for 65,536 rows, which is how others measure it. With a WORD only
 * the lines that hold it.
 *
 * SPDX-License-Identifier: Apache-2.0 */

#include "tests/gpu/bench.h"

#define PROMPT     128
#define COMPLETION 512
#define GROUP      16
#define GROUPS     2
#define ROWS       (GROUPS * (PROMPT + GROUP * COMPLETION))
#define LOSS_ROWS  65536 /* of the LM head's loss, measured alone */
#define DECODE     512
#define POSITION   384
#define COPIES     8 /* of a weight matrix */
#define PAGES      ((PROMPT + COMPLETION + OPS_PAGE - 1) / OPS_PAGE)

struct shape {
    const char *name;
    int d, F, H, J, D, V;
};

static const struct shape shapes[] = {
    {"0.5B", 896, 4864, 14, 2, 64, 151936},
    {"1.5B", 1536, 8960, 12, 2, 128, 151936},
};

static struct bench {
    const struct shape *shape;
    const char *word; /* of the lines wanted, or NULL */
    struct device *device;
    const struct ops *ops;
    double flops, bytes; /* a second: the limits */
    int T, call;
    void *x, *y, *z, *w, *k_pool, *v_pool; /* [ROWS, 2F], three of them; COPIES matrices; pages */
    float *wide, *lse, *numbers;           /* fp32: [V, d], [ROWS, H], [4, LOSS_ROWS] */
    int32_t *positions, *tokens;
    struct span *spans;
    struct context *contexts;
    int n_spans, n_contexts;
    int N, K; /* of the product under way */
    struct sampling *sampling;
    float *cos, *sin;
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
    return bench_time(b.device, b.tokens, work);
}

static void tell(const char *name, void (*work)(void), double flops, double bytes)
{
    if (b.word && !strstr(name, b.word)) {
        return;
    }
    double s = time_of(work), share = fmax(flops / b.flops, bytes / b.bytes) / s;
    printf("%-34s %10.1f us %8.1f TFLOP/s %8.0f GB/s %6.1f %% of %s\n", name, 1e6 * s, 1e-12 * flops / s,
           1e-9 * bytes / s, 100 * share, flops / b.flops > bytes / b.bytes ? "arithmetic" : "memory");
    fflush(stdout);
}

/* ---- products ---- */

static const void *next_weights(void)
{
    return (char *)b.w + (size_t)(b.call++ % COPIES) * 2 * (size_t)b.N * (size_t)b.K;
}

static void forward(void)
{
    b.ops->matmul(&(struct matmul_args){
        .T = b.T, .N = b.N, .K = b.K, .x = b.x, .x_stride = b.K, .w = next_weights(), .y = b.y, .y_stride = b.N});
}

static void input_grad(void)
{
    b.ops->matmul_input_grad(&(struct matmul_input_grad_args){
        .T = b.T, .N = b.N, .K = b.K, .dy = b.y, .dy_stride = b.N, .w = next_weights(), .dx = b.z, .dx_stride = b.K});
}

static void weight_grad(void)
{
    b.ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
        .T = b.T, .N = b.N, .K = b.K, .dy = b.y, .dy_stride = b.N, .x = b.x, .x_stride = b.K, .dw = b.wide});
}

static void product(const char *name, int T, int N, int K, bool backward)
{
    char line[64];
    double flops = 2.0 * T * N * K, x = 2.0 * T * K, y = 2.0 * T * N, w = 2.0 * N * K;
    b.T = T, b.N = N, b.K = K;
    snprintf(line, sizeof line, "%s, %d x %d x %d", name, T, N, K);
    tell(line, forward, flops, x + w + y);
    if (backward) {
        tell("  its input's gradient", input_grad, flops, x + w + y);
        tell("  its weights' gradient", weight_grad, flops, x + y + 4 * w); /* fp32, read and written */
    }
}

/* ---- the others ---- */

static void rmsnorm(void)
{
    const struct shape *s = b.shape;
    b.ops->rmsnorm(&(struct rmsnorm_args){.T = b.T,
                                          .n_heads = 1,
                                          .width = s->d,
                                          .eps = 1e-6f,
                                          .x = b.x,
                                          .x_stride = s->d,
                                          .weight = b.w,
                                          .y = b.y,
                                          .y_stride = s->d});
}

static void rmsnorm_grad(void)
{
    const struct shape *s = b.shape;
    b.ops->rmsnorm_grad(&(struct rmsnorm_grad_args){.T = b.T,
                                                    .n_heads = 1,
                                                    .width = s->d,
                                                    .eps = 1e-6f,
                                                    .x = b.x,
                                                    .x_stride = s->d,
                                                    .weight = b.w,
                                                    .dy = b.y,
                                                    .dy_stride = s->d,
                                                    .dx = b.z,
                                                    .dx_stride = s->d,
                                                    .accumulate = true,
                                                    .dweight = b.wide});
}

static int qkv_width(void)
{
    return (b.shape->H + 2 * b.shape->J) * b.shape->D;
}

static void rope(void)
{
    b.ops->rope(&(struct rope_args){.T = b.T,
                                    .n_heads = b.shape->H + b.shape->J,
                                    .D = b.shape->D,
                                    .x = b.z,
                                    .x_stride = qkv_width(),
                                    .positions = b.positions,
                                    .cos = b.cos,
                                    .sin = b.sin});
}

static void swiglu(void)
{
    b.ops->swiglu(&(struct swiglu_args){.T = b.T, .F = b.shape->F, .gate_up = b.x, .act = b.y});
}

static void swiglu_grad(void)
{
    b.ops->swiglu_grad(&(struct swiglu_args){.T = b.T, .F = b.shape->F, .gate_up = b.x, .dact = b.y, .dgate_up = b.z});
}

static void embedding(void)
{
    b.ops->embedding(&(struct embedding_args){
        .T = b.T, .d = b.shape->d, .V = b.shape->V, .tokens = b.tokens, .table = b.w, .y = b.y});
}

static void embedding_grad(void)
{
    b.ops->embedding_grad(&(struct embedding_args){
        .T = b.T, .d = b.shape->d, .V = b.shape->V, .tokens = b.tokens, .dy = b.y, .dtable = b.wide});
}

static void kv_store(void)
{
    const struct shape *s = b.shape;
    const char *qkv = b.x;
    b.ops->kv_store(&(struct kv_store_args){.n_spans = b.n_spans,
                                            .spans = b.spans,
                                            .J = s->J,
                                            .D = s->D,
                                            .k = qkv + 2 * s->H * s->D,
                                            .v = qkv + 2 * (s->H + s->J) * s->D,
                                            .kv_stride = qkv_width(),
                                            .k_pool = b.k_pool,
                                            .v_pool = b.v_pool});
}

static void attention(void)
{
    const struct shape *s = b.shape;
    b.ops->attention(&(struct attention_args){.n_spans = b.n_spans,
                                              .spans = b.spans,
                                              .H = s->H,
                                              .J = s->J,
                                              .D = s->D,
                                              .scale = 1 / sqrtf((float)s->D),
                                              .q = b.x,
                                              .q_stride = qkv_width(),
                                              .k_pool = b.k_pool,
                                              .v_pool = b.v_pool,
                                              .out = b.y,
                                              .out_stride = s->H * s->D,
                                              .lse = b.lse});
}

static void attention_grad(void)
{
    const struct shape *s = b.shape;
    char *qkv = b.x, *grad = b.z;
    size_t k = 2 * (size_t)s->H * (size_t)s->D, v = k + 2 * (size_t)s->J * (size_t)s->D;
    b.ops->attention_grad(&(struct attention_grad_args){.n_contexts = b.n_contexts,
                                                        .contexts = b.contexts,
                                                        .H = s->H,
                                                        .J = s->J,
                                                        .D = s->D,
                                                        .scale = 1 / sqrtf((float)s->D),
                                                        .q = qkv,
                                                        .k = qkv + k,
                                                        .v = qkv + v,
                                                        .qkv_stride = qkv_width(),
                                                        .out = b.y,
                                                        .dout = b.y,
                                                        .out_stride = s->H * s->D,
                                                        .lse = b.lse,
                                                        .dq = grad,
                                                        .dk = grad + k,
                                                        .dv = grad + v});
}

static float *number(int i)
{
    return b.numbers + (size_t)i * LOSS_ROWS;
}

static void head(void)
{
    b.ops->head(
        &(struct head_args){b.T, b.shape->d, b.shape->V, b.x, b.w, 1, b.tokens, number(0), number(1), number(2)});
}

static void head_sample(void)
{
    b.ops->head_sample(&(struct head_sample_args){b.T, b.shape->d, b.shape->V, b.shape->V, b.x, b.w, b.sampling,
                                                  b.tokens, number(0), number(1), number(2)});
}

static void head_grad(void)
{
    b.ops->head_grad(&(struct head_grad_args){.n_rows = b.T,
                                              .d = b.shape->d,
                                              .V = b.shape->V,
                                              .hidden = b.x,
                                              .w = b.w,
                                              .inv_temperature = 1,
                                              .targets = b.tokens,
                                              .lse = number(1),
                                              .d_logprob = number(3),
                                              .dhidden = b.y,
                                              .dw = b.wide});
}

static void head_loss(void)
{
    head();
    head_grad();
}

static size_t weights_of_head(void)
{
    return (size_t)b.shape->V * (size_t)b.shape->d;
}

static void adamw(void)
{
    size_t n = weights_of_head() / 4;
    b.ops->adamw(&(struct adamw_args){.n = n,
                                      .param = b.w,
                                      .master = b.wide,
                                      .grad = b.wide + n,
                                      .m = b.wide + 2 * n,
                                      .v = b.wide + 3 * n,
                                      .grad_scale = 1,
                                      .lr = 1e-6f,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.95f,
                                      .eps = 1e-8f,
                                      .correction1 = 0.1f,
                                      .correction2 = 0.05f});
}

static void sum_squares(void)
{
    b.ops->sum_squares(b.wide, weights_of_head());
}

/* ---- set up ---- */

/* The rows of a training batch: groups, each a prompt and its completions. */
static void lay_out_training(void)
{
    static int32_t pages[GROUPS * (GROUP + 1)][PAGES];
    int row = 0, n = 0, next = 0;
    for (int g = 0; g < GROUPS; g++) {
        int prompt = row;
        for (int i = 0; i <= GROUP; i++, n++) {
            int prefix = i ? PROMPT : 0, rows = i ? COMPLETION : PROMPT, shared = n - i;
            for (int p = 0; p < (prefix + rows) / OPS_PAGE; p++) {
                pages[n][p] = i && p == 0 ? pages[shared][0] : next++;
            }
            b.contexts[n] = (struct context){i ? prompt : 0, prefix, row, rows};
            b.spans[n] = (struct span){row, rows, prefix, pages[n]};
            row += rows;
        }
    }
    b.n_spans = b.n_contexts = n;
}

static void lay_out_decoding(void)
{
    static int32_t pages[DECODE][PAGES];
    for (int i = 0; i < DECODE; i++) {
        for (int p = 0; p < PAGES; p++) {
            pages[i][p] = i * PAGES + p;
        }
        b.spans[i] = (struct span){i, 1, POSITION - 1, pages[i]};
    }
    b.n_spans = DECODE;
}

static void open_all(void)
{
    const struct shape *s = b.shape;
    size_t wide = (size_t)ROWS * 2 * (size_t)s->F, D = (size_t)s->D;
    size_t w = (size_t)COPIES * 2 * (size_t)s->F * (size_t)s->d,
           pool = (size_t)DECODE * PAGES * ops_page_elements(s->J, s->D);
    w = w > weights_of_head() ? w : weights_of_head();
    b.x = filled(wide), b.y = filled(wide), b.z = filled(wide), b.w = filled(w);
    b.k_pool = filled(pool), b.v_pool = filled(pool);
    b.wide = on_device(weights_of_head() * sizeof(float));
    b.lse = on_device((size_t)ROWS * (size_t)s->H * sizeof(float));
    b.numbers = on_device(4 * (size_t)LOSS_ROWS * sizeof(float));
    b.cos = on_device(1024 * D / 2 * sizeof(float)), b.sin = on_device(1024 * D / 2 * sizeof(float));
    b.positions = on_device(ROWS * sizeof(int32_t)), b.tokens = on_device(LOSS_ROWS * sizeof(int32_t));
    b.spans = mem_zero(DECODE * sizeof *b.spans);
    b.contexts = mem_zero(DECODE * sizeof *b.contexts);
    b.sampling = mem_zero(ROWS * sizeof *b.sampling);
    int32_t *numbers = mem_zero(LOSS_ROWS * sizeof *numbers);
    float *d_logprob = mem_zero(LOSS_ROWS * sizeof *d_logprob);
    struct rng rng = rng_stream(1, 8);
    for (int i = 0; i < LOSS_ROWS; i++) {
        numbers[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)s->V);
        d_logprob[i] = rng_normal(&rng) / LOSS_ROWS;
    }
    device_write(b.device, b.tokens, numbers, LOSS_ROWS * sizeof *numbers);
    device_write(b.device, number(3), d_logprob, LOSS_ROWS * sizeof *d_logprob);
    free(d_logprob);
    for (int i = 0; i < ROWS; i++) {
        b.sampling[i] = (struct sampling){
            .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1, .sequence = (uint64_t)i};
        numbers[i] = i % 1024;
    }
    device_write(b.device, b.positions, numbers, ROWS * sizeof *numbers);
    free(numbers);
}

/* ---- the limits ---- */

#define COPY_BYTES ((size_t)1 << 30)
static void *copy_from, *copy_to;

static void copy(void)
{
    device_copy(b.device, copy_to, copy_from, COPY_BYTES);
}

static void find_limits(void)
{
    copy_from = filled(COPY_BYTES / 2), copy_to = on_device(COPY_BYTES);
    b.bytes = 2 * (double)COPY_BYTES / time_of(copy);
    void *x = b.x, *y = b.y, *w = b.w;
    b.T = b.N = b.K = 8192;
    b.x = copy_from, b.y = copy_to, b.w = b.z = filled((size_t)COPIES * 8192 * 8192);
    b.flops = 2.0 * 8192 * 8192 * 8192 / time_of(forward);
    device_free(b.device, b.w);
    b.x = x, b.y = y, b.w = w, b.z = NULL;
    printf("limits here: %.0f TFLOP/s (bf16 product of 8192 x 8192 x 8192), %.0f GB/s (a copy, read and written)\n",
           1e-12 * b.flops, 1e-9 * b.bytes);
}

/* ---- the table ---- */

static void bench_products(void)
{
    const struct shape *s = b.shape;
    for (int training = 1; training >= 0; training--) {
        int T = training ? ROWS : DECODE;
        product("q, k, v", T, qkv_width(), s->d, training);
        product("attention's output", T, s->d, s->H * s->D, training);
        product("gate, up", T, 2 * s->F, s->d, training);
        product("down", T, s->d, s->F, training);
    }
}

/* Pairs of a query and a key that attention must see: of one query head. */
static double pairs(bool training)
{
    double prompt = PROMPT * (PROMPT + 1) / 2.0, completion = COMPLETION * (PROMPT + (COMPLETION + 1) / 2.0);
    return training ? GROUPS * (prompt + GROUP * completion) : (double)DECODE * POSITION;
}

static void bench_rest(bool training)
{
    const struct shape *s = b.shape;
    double T = training ? ROWS : DECODE, row = 2.0 * T, q = (double)s->H * s->D, kv = 2.0 * s->J * s->D, V = s->V;
    double dots = 2.0 * pairs(training) * q, head_flops = 2.0 * T * s->d * V, head_bytes = 2.0 * V * s->d + row * s->d;
    b.T = (int)T;
    training ? lay_out_training() : lay_out_decoding();
    printf("%s: %d rows\n", training ? "training" : "decoding", b.T);
    tell("embedding", embedding, 0, 2 * row * s->d);
    tell("RMS norm", rmsnorm, 0, 2 * row * s->d);
    tell("rotation", rope, 0, 2 * row * (q + kv / 2));
    tell("keys and values into pages", kv_store, 0, 2 * row * kv);
    tell("attention", attention, 2 * dots, row * 2 * q + 2 * kv * (training ? T : pairs(false)));
    tell("SwiGLU", swiglu, 0, row * 3 * s->F);
    if (!training) {
        tell("head and drawing", head_sample, head_flops, head_bytes);
        return;
    }
    tell("head, log-softmax", head, head_flops, head_bytes);
    tell("head's gradients, log-sum-exp given", head_grad, 3 * head_flops, head_bytes + 8 * V * s->d);
    tell("head's log-softmax and gradients", head_loss, 3 * head_flops, 2 * head_bytes + 8 * V * s->d);
    b.T = LOSS_ROWS;
    tell("the same, of 65,536 rows", head_loss, 3 * head_flops / T * b.T, 2 * head_bytes / T * b.T + 8 * V * s->d);
    b.T = (int)T;
    tell("RMS norm's gradient", rmsnorm_grad, 0, 4 * row * s->d);
    tell("attention's gradient", attention_grad, 5 * dots, row * (4 * q + 4 * kv));
    tell("SwiGLU's gradient", swiglu_grad, 0, row * 5 * s->F);
    tell("embedding's gradient", embedding_grad, 0, row * s->d + 8 * T * s->d);
    tell("AdamW", adamw, 0, (double)weights_of_head() / 4 * (4 * 7 + 2));
    tell("sum of squares", sum_squares, 0, 4 * (double)weights_of_head());
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "0.5B";
    b.word = argc > 2 ? argv[2] : NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        b.shape = strcmp(shapes[i].name, name) == 0 ? &shapes[i] : b.shape;
    }
    if (!b.shape) {
        fprintf(stderr, "usage: bench_kernels [0.5B|1.5B [WORD]]\n");
        return 2;
    }
    if (device_open(&b.device, "cuda") != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        return 1;
    }
    b.ops = b.device->ops;
    b.tokens = on_device(ROWS * sizeof(int32_t));
    find_limits();
    open_all();
    printf("shape %s\n", b.shape->name);
    bench_products();
    bench_rest(true);
    bench_rest(false);
    device_close(b.device);
    return 0;
}
