/* model/block_mla.c - multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed.
 *
 *   [a|c|k] = projection(x),  q = q_b(norm(a)): [nope|rope] of each head;   latent = [norm(c)|rope(k)]
 *
 * or [q|c|k] where q_rank is 0. The rows of kv_b of a head are [W_UK|W_UV]: its keys are [W_UK norm(c)|rope(k)], its values
 * W_UV norm(c). Neither is ever made: since q (W_UK c) = (q W_UK) c, all heads attend to the latents, one key of kv_rank + rope
 * columns, whose first kv_rank are the values:
 *
 *   query = [q_nope W_UK|rope(q_rope)];   y = residual + o(W_UV attention(query, latent, c))
 *
 * Rollout and training do the same, so their bits agree; the pages keep latents only. The two norms have an eps of their own. Rotated
 * pairs stay where they are: transformers lays them out evens first, but in q and k alike, so that scores are the same.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/block.h"
#include "model/linear.h"
#include "model/shapes.h"

enum { PROJECTION, Q_A_NORM, Q_B_WEIGHT, KV_A_NORM, KV_B_WEIGHT, O_WEIGHT };
enum {
    PROJECTED, /* [T, q_rank + kv_rank + rope], or [T, H (nope + rope) + kv_rank + rope] */
    Q_LATENT,  /* [T, q_rank]; backward: then its gradient */
    Q,         /* [T, H (nope + rope)], where it is not in PROJECTED */
    QUERY,     /* [T, H (kv_rank + rope)] */
    LATENT,    /* [T, kv_rank + rope] */
    ATTENDED,  /* [T, H kv_rank] */
    LSE,       /* [T, H] */
    OUT,       /* [T, H v] what was attended to, as values; backward: then its gradient */
    DPROJECTED,
    DQ,
    DQUERY,
    DLATENT,
    DATTENDED,
    KEYS,
    VALUES,
    BUFFERS
};

#define NORM_EPS 1e-6f /* of the two norms here, whatever the config has for the others, as in transformers */

/* Columns of a key: a latent and its rotated part. */
static int key_width(const struct model_config *config)
{
    return config->mla.kv_rank + config->mla.rope;
}

/* Columns of a head's query as projected. */
static int query_width(const struct model_config *config)
{
    return config->mla.nope + config->mla.rope;
}

/* Rows of kv_b of a head. */
static int head_rows(const struct model_config *config)
{
    return config->mla.nope + config->mla.v;
}

/* The column of PROJECTED where c begins. */
static int c_at(const struct model_config *config)
{
    return config->mla.q_rank > 0 ? config->mla.q_rank : config->H * query_width(config);
}

/* Columns of PROJECTED. */
static int projected_width(const struct model_config *config)
{
    return c_at(config) + key_width(config);
}

static enum err check(const struct model_config *config, const char *source, const struct device *device)
{
    const struct mla_config *mla = &config->mla;
    TRY(param_check_rows("q_lora_rank", mla->q_rank, source));
    TRY(param_check_rows("kv_lora_rank", mla->kv_rank, source));
    TRY(param_check_rows("qk_nope_head_dim", mla->nope, source));
    TRY(param_check_rows("qk_rope_head_dim", mla->rope, source));
    TRY(param_check_rows("v_head_dim", mla->v, source));
    const struct ops_limits *limits = &device->kind->limits;
    if (limits->max_D && key_width(config) > limits->max_D) {
        return err_set(
            ERR_DEVICE,
            "%s: kv_lora_rank + qk_rope_head_dim is %d, and the device %s takes at most %d; use --device=cpu", source,
            key_width(config), device->kind->name, limits->max_D);
    }
    if (limits->max_group && config->H > limits->max_group) {
        return err_set(ERR_DEVICE,
                       "%s: %d attention heads share a latent, and the device %s takes at most %d; use --device=cpu",
                       source, config->H, device->kind->name, limits->max_group);
    }
    return ERR_NONE;
}

static void plan_weights(struct weights_plan *plan, const struct model_config *config, int *weights)
{
    const struct mla_config *mla = &config->mla;
    bool direct = mla->q_rank == 0;
    const struct weight_part projection[] = {{direct ? TENSOR_Q : TENSOR_Q_A, c_at(config), 0},
                                             {TENSOR_KV_A, key_width(config), 0}};
    const struct weight_part q_norm = {TENSOR_Q_A_NORM, mla->q_rank, 0};
    const struct weight_part q_b = {TENSOR_Q_B, config->H * query_width(config), 0};
    const struct weight_part kv_norm = {TENSOR_KV_A_NORM, mla->kv_rank, 0};
    const struct weight_part kv_b = {TENSOR_KV_B, config->H * head_rows(config), 0}, o = {TENSOR_O, config->d, 0};
    weights[PROJECTION] = weights_add(plan, config->d, PARAM_NORMAL, projection, 2);
    weights[Q_A_NORM] = direct ? -1 : weights_add(plan, 0, PARAM_ONE, &q_norm, 1);
    weights[Q_B_WEIGHT] = direct ? -1 : weights_add(plan, mla->q_rank, PARAM_NORMAL, &q_b, 1);
    weights[KV_A_NORM] = weights_add(plan, 0, PARAM_ONE, &kv_norm, 1);
    weights[KV_B_WEIGHT] = weights_add(plan, mla->kv_rank, PARAM_NORMAL, &kv_b, 1);
    weights[O_WEIGHT] = weights_add(plan, config->H * mla->v, PARAM_RESIDUAL, &o, 1);
}

static void list_buffers(const struct model_config *config, struct buffer *list)
{
    const unsigned train = PASS_TRAIN | PASS_RECOMPUTE, all = PASS_DECODE | train;
    const struct mla_config *mla = &config->mla;
    int H = config->H, key = key_width(config), rank = mla->kv_rank, width = projected_width(config);
    int q = mla->q_rank > 0 ? H * query_width(config) : 0;
    list[PROJECTED] = (struct buffer){"compressed q, k, v", BUFFER_KEPT, width, all, false, 0};
    list[Q_LATENT] = (struct buffer){"normed q", BUFFER_SCRATCH, mla->q_rank, all, false, 0};
    list[Q] = (struct buffer){"q", BUFFER_KEPT, q, all, false, 0};
    list[QUERY] = (struct buffer){"absorbed q", BUFFER_SCRATCH, H * key, all, false, 0};
    list[LATENT] = (struct buffer){"latent", BUFFER_SCRATCH, key, all, false, 0};
    list[ATTENDED] = (struct buffer){"attention", BUFFER_KEPT, H * rank, all, false, 0};
    list[LSE] = (struct buffer){"attention log-sum-exp", BUFFER_KEPT, H, train, true, 0};
    list[OUT] = (struct buffer){"attention's values", BUFFER_SCRATCH, H * mla->v, all, false, 0};
    list[DPROJECTED] = (struct buffer){"compressed q, k, v", BUFFER_GRADIENT, width, train, false, 0};
    list[DQ] = (struct buffer){"q", BUFFER_GRADIENT, q, train, false, 0};
    list[DQUERY] = (struct buffer){"absorbed q", BUFFER_GRADIENT, H * key, train, false, 0};
    list[DLATENT] = (struct buffer){"latent", BUFFER_GRADIENT, key, train, false, 0};
    list[DATTENDED] = (struct buffer){"attention", BUFFER_GRADIENT, H * rank, train, false, 0};
    list[KEYS] = (struct buffer){"latent key", BUFFER_PAGES, key, all, false, 0};
    list[VALUES] = (struct buffer){"latent value", BUFFER_PAGES, rank, all, false, 0};
}

static void list_shapes(const struct model_config *config, struct device_shapes *shapes)
{
    const struct mla_config *mla = &config->mla;
    shapes_add_product(shapes, projected_width(config), config->d, false);
    if (mla->q_rank > 0) {
        shapes_add_norm(shapes, 1, mla->q_rank);
        shapes_add_product(shapes, config->H * query_width(config), mla->q_rank, false);
    }
    shapes_add_norm(shapes, 1, mla->kv_rank);
    shapes_add_product(shapes, config->H * head_rows(config), mla->kv_rank, false);
    shapes_add_product(shapes, config->d, config->H * mla->v, false);
    shapes_add_attention(shapes, config->H, 1, key_width(config), mla->kv_rank);
}

/* ---- places: columns of the rows of a buffer, or of its gradient, that belong to heads ---- */

struct place {
    void *at;         /* the first row of the first head */
    int stride, step; /* from row to row, from head to head */
};

static struct place of_head(const struct model *model, struct place place, int h)
{
    place.at = linear_element(model, place.at, (size_t)h * (size_t)place.step);
    return place;
}

static struct place columns_from(const struct model *model, struct place place, int first)
{
    place.at = linear_element(model, place.at, (size_t)first);
    return place;
}

/* [c|k] of what was projected: one head of latents */
static struct place latent_place(const struct model *model, void *projected)
{
    struct place whole = {projected, projected_width(&model->config), 0};
    return columns_from(model, whole, c_at(&model->config));
}

/* [nope|rope]; `q` NULL: they are what was projected first */
static struct place q_place(const struct model_config *config, void *projected, void *q)
{
    int width = query_width(config);
    return q ? (struct place){q, config->H * width, width} : (struct place){projected, projected_width(config), width};
}

static struct place query_place(const struct model_config *config, void *query)
{
    return (struct place){query, config->H * key_width(config), key_width(config)};
}

static struct place attended_place(const struct model_config *config, void *attended)
{
    return (struct place){attended, config->H * config->mla.kv_rank, config->mla.kv_rank};
}

static struct place out_place(const struct model_config *config, void *out)
{
    return (struct place){out, config->H * config->mla.v, config->mla.v};
}

/* ---- the products with kv_b, head by head ---- */

/* N of the rows of a head, from `first` on. */
struct head_matrix {
    int first, N;
};

static struct head_matrix key_matrix(const struct model_config *config)
{
    return (struct head_matrix){0, config->mla.nope};
}

static struct head_matrix value_matrix(const struct model_config *config)
{
    return (struct head_matrix){config->mla.nope, config->mla.v};
}

/* Where it begins in kv_b. */
static size_t matrix_at(const struct model_config *config, struct head_matrix m, int h)
{
    return ((size_t)h * (size_t)head_rows(config) + (size_t)m.first) * (size_t)config->mla.kv_rank;
}

/* to = from W^T */
static void heads_forward(const struct block_io *io, struct head_matrix m, struct place from, struct place to)
{
    const struct model *model = io->model;
    void *kv_b = params_at(&model->params, io->weights[KV_B_WEIGHT]);
    for (int h = 0; h < model->config.H; h++) {
        model->device->ops->matmul(&(struct matmul_args){
            .T = io->pass->T,
            .N = m.N,
            .K = model->config.mla.kv_rank,
            .x = of_head(model, from, h).at,
            .x_stride = from.stride,
            .w = linear_element(model, kv_b, matrix_at(&model->config, m, h)),
            .y = of_head(model, to, h).at,
            .y_stride = to.stride,
        });
    }
}

/* to = from W */
static void heads_transposed(const struct block_io *io, struct head_matrix m, struct place from, struct place to)
{
    const struct model *model = io->model;
    void *kv_b = params_at(&model->params, io->weights[KV_B_WEIGHT]);
    for (int h = 0; h < model->config.H; h++) {
        model->device->ops->matmul_input_grad(&(struct matmul_input_grad_args){
            .T = io->pass->T,
            .N = m.N,
            .K = model->config.mla.kv_rank,
            .dy = of_head(model, from, h).at,
            .dy_stride = from.stride,
            .w = linear_element(model, kv_b, matrix_at(&model->config, m, h)),
            .dx = of_head(model, to, h).at,
            .dx_stride = to.stride,
        });
    }
}

/* dW += rows^T columns */
static void heads_weight_grad(const struct block_io *io, const struct backward *b, struct head_matrix m,
                              struct place rows, struct place cols)
{
    const struct model *model = io->model;
    float *grad = grad_at(b, io->weights[KV_B_WEIGHT]);
    for (int h = 0; grad && h < model->config.H; h++) {
        model->device->ops->matmul_weight_grad(&(struct matmul_weight_grad_args){
            .T = io->pass->T,
            .N = m.N,
            .K = model->config.mla.kv_rank,
            .dy = of_head(model, rows, h).at,
            .dy_stride = rows.stride,
            .x = of_head(model, cols, h).at,
            .x_stride = cols.stride,
            .dw = grad + matrix_at(&model->config, m, h),
        });
    }
}

/* ---- forward ---- */

static struct norm q_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    return (struct norm){io->weights[Q_A_NORM], 1,       config->mla.q_rank, projected_width(config),
                         config->mla.q_rank,    NORM_EPS};
}

static struct norm latent_norm(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    return (struct norm){io->weights[KV_A_NORM], 1,       config->mla.kv_rank, projected_width(config),
                         key_width(config),      NORM_EPS};
}

/* The columns of `n_heads` heads that are rotated, from one place to another, or back. */
static void rope(const struct block_io *io, int n_heads, struct place from, struct place to, bool inverse)
{
    const struct model *model = io->model;
    model->device->ops->rope(&(struct rope_args){
        .T = io->pass->T,
        .n_heads = n_heads,
        .D = model->config.mla.rope,
        .x = from.at,
        .x_stride = from.stride,
        .x_head = from.step,
        .y = to.at,
        .y_stride = to.stride,
        .y_head = to.step,
        .positions = io->pass->positions,
        .cos = model->rope_cos,
        .sin = model->rope_sin,
        .interleaved = model->config.mla.interleaved,
        .inverse = inverse,
    });
}

static void project(const struct block_io *io, const void *x)
{
    const struct model *model = io->model;
    int T = io->pass->T;
    linear_forward(model, io->pass, io->weights[PROJECTION], -1, x, NULL, io->buffers[PROJECTED]);
    if (io->buffers[Q]) {
        struct norm norm = q_norm(io);
        norm_forward(model, &norm, T, io->buffers[PROJECTED], io->buffers[Q_LATENT]);
        linear_forward(model, io->pass, io->weights[Q_B_WEIGHT], -1, io->buffers[Q_LATENT], NULL, io->buffers[Q]);
    }
}

/* Queries and latents as attention sees them. */
static void absorb(const struct block_io *io)
{
    const struct model *model = io->model;
    const struct mla_config *mla = &model->config.mla;
    struct place q = q_place(&model->config, io->buffers[PROJECTED], io->buffers[Q]);
    struct place query = query_place(&model->config, io->buffers[QUERY]);
    struct place c = latent_place(model, io->buffers[PROJECTED]);
    struct place latent = {io->buffers[LATENT], key_width(&model->config), 0};
    struct norm norm = latent_norm(io);
    heads_transposed(io, key_matrix(&model->config), q, query);
    rope(io, model->config.H, columns_from(model, q, mla->nope), columns_from(model, query, mla->kv_rank), false);
    norm_forward(model, &norm, io->pass->T, c.at, latent.at);
    rope(io, 1, columns_from(model, c, mla->kv_rank), columns_from(model, latent, mla->kv_rank), false);
}

static void attend(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    const struct pass *pass = io->pass;
    const struct ops *ops = io->model->device->ops;
    ops->kv_store(&(struct kv_store_args){
        .n_spans = pass->n_stores,
        .spans = pass->stores,
        .J = 1,
        .D = key_width(config),
        .Dv = config->mla.kv_rank,
        .k = io->buffers[LATENT],
        .v = io->buffers[LATENT],
        .kv_stride = key_width(config),
        .k_pool = io->pages[KEYS],
        .v_pool = io->pages[VALUES],
    });
    ops->attention(&(struct attention_args){
        .n_spans = pass->n_spans,
        .spans = pass->spans,
        .H = config->H,
        .J = 1,
        .D = key_width(config),
        .Dv = config->mla.kv_rank,
        .scale = config->mla.softmax_scale,
        .q = io->buffers[QUERY],
        .q_stride = config->H * key_width(config),
        .k_pool = io->pages[KEYS],
        .v_pool = io->pages[VALUES],
        .out = io->buffers[ATTENDED],
        .out_stride = config->H * config->mla.kv_rank,
        .lse = io->buffers[LSE],
    });
}

static void forward(const struct block_io *io, const void *x)
{
    project(io, x);
    absorb(io);
    attend(io);
}

static void make_out(const struct block_io *io)
{
    const struct model_config *config = &io->model->config;
    heads_forward(io, value_matrix(config), attended_place(config, io->buffers[ATTENDED]),
                  out_place(config, io->buffers[OUT]));
}

static void output(const struct block_io *io, const void *residual, void *y)
{
    make_out(io);
    linear_forward(io->model, io->pass, io->weights[O_WEIGHT], -1, io->buffers[OUT], residual, y);
}

static void copy_page(const struct model *model, void *const *pages, int32_t from, int32_t to, int n)
{
    model->device->ops->kv_copy(&(struct kv_copy_args){
        .J = 1,
        .D = key_width(&model->config),
        .Dv = model->config.mla.kv_rank,
        .n = n,
        .from = from,
        .to = to,
        .k_pool = pages[KEYS],
        .v_pool = pages[VALUES],
    });
}

/* ---- backward ---- */

/* From the gradient of the output to the one of what was attended. */
static void output_backward(const struct block_io *io, const struct backward *b, const void *dy)
{
    const struct model_config *config = &io->model->config;
    struct place out = out_place(config, io->buffers[OUT]);
    make_out(io);
    linear_backward(b, io->weights[O_WEIGHT], -1, dy, out.at, out.at); /* its values are not needed any more */
    heads_weight_grad(io, b, value_matrix(config), out, attended_place(config, io->buffers[ATTENDED]));
    heads_transposed(io, value_matrix(config), out, attended_place(config, io->buffers[DATTENDED]));
}

/* To the gradients of absorbed queries and latents. */
static void attend_backward(const struct block_io *io)
{
    const struct model *model = io->model;
    const struct model_config *config = &model->config;
    int key = key_width(config);
    size_t row = (size_t)io->pass->T * (size_t)key * model->device->element_bytes;
    device_zero(model->device, io->buffers[DQUERY], (size_t)config->H * row);
    device_zero(model->device, io->buffers[DLATENT], row);
    model->device->ops->attention_grad(&(struct attention_grad_args){
        .n_contexts = io->pass->n_contexts,
        .contexts = io->pass->contexts,
        .H = config->H,
        .J = 1,
        .D = key,
        .Dv = config->mla.kv_rank,
        .scale = config->mla.softmax_scale,
        .q = io->buffers[QUERY],
        .k = io->buffers[LATENT],
        .v = io->buffers[LATENT],
        .qkv_stride = config->H * key,
        .kv_stride = key,
        .out = io->buffers[ATTENDED],
        .dout = io->buffers[DATTENDED],
        .out_stride = config->H * config->mla.kv_rank,
        .lse = io->buffers[LSE],
        .dq = io->buffers[DQUERY],
        .dk = io->buffers[DLATENT],
        .dv = io->buffers[DLATENT],
    });
}

/* To the gradients of q and [c|k]. */
static void absorb_backward(const struct block_io *io, const struct backward *b)
{
    const struct model *model = io->model;
    const struct mla_config *mla = &model->config.mla;
    struct place q = q_place(&model->config, io->buffers[PROJECTED], io->buffers[Q]);
    struct place dq = q_place(&model->config, io->buffers[DPROJECTED], io->buffers[DQ]);
    struct place dquery = query_place(&model->config, io->buffers[DQUERY]);
    struct place c = latent_place(model, io->buffers[PROJECTED]), dc = latent_place(model, io->buffers[DPROJECTED]);
    struct place dlatent = {io->buffers[DLATENT], key_width(&model->config), 0};
    struct norm norm = latent_norm(io);
    heads_weight_grad(io, b, key_matrix(&model->config), q, dquery);
    heads_forward(io, key_matrix(&model->config), dquery, dq);
    rope(io, model->config.H, columns_from(model, dquery, mla->kv_rank), columns_from(model, dq, mla->nope), true);
    norm_backward(b, &norm, c.at, dlatent.at, dc.at, false);
    rope(io, 1, columns_from(model, dlatent, mla->kv_rank), columns_from(model, dc, mla->kv_rank), true);
}

/* To the gradient of x, which takes its place. */
static void project_backward(const struct block_io *io, const struct backward *b, void *x)
{
    if (io->buffers[Q]) {
        struct norm norm = q_norm(io);
        void *latent = io->buffers[Q_LATENT];
        norm_forward(io->model, &norm, io->pass->T, io->buffers[PROJECTED], latent);
        linear_backward(b, io->weights[Q_B_WEIGHT], -1, io->buffers[DQ], latent, latent);
        norm_backward(b, &norm, io->buffers[PROJECTED], latent, io->buffers[DPROJECTED], false);
    }
    linear_backward(b, io->weights[PROJECTION], -1, io->buffers[DPROJECTED], x, x);
}

static void backward(const struct block_io *io, const struct backward *b, const void *dy, void *x)
{
    output_backward(io, b, dy);
    absorb(io); /* scratch: another layer has written there */
    attend_backward(io);
    absorb_backward(io, b);
    project_backward(io, b, x);
}

const struct block block_mla = {
    .name = "mla",
    .check = check,
    .plan_weights = plan_weights,
    .n_buffers = BUFFERS,
    .list_buffers = list_buffers,
    .list_shapes = list_shapes,
    .forward = forward,
    .output = output,
    .backward = backward,
    .copy_page = copy_page,
};

_Static_assert((int)BUFFERS <= BLOCK_MAX_BUFFERS, "all buffers have a number");
