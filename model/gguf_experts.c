/* model/gguf_experts.c - experts and latent attention in a GGUF file: keys, and where rows are.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "model/gguf_model.h"

#define MOST_BLOCK 256 /* numbers that are quantised together */

enum { GATING_SOFTMAX = 1, GATING_SIGMOID = 2 }; /* expert_gating_func */

/* ---- keys ---- */

static bool is_deepseek(const struct gguf_builder *b)
{
    return str_equal(b->architecture, STR("deepseek2"));
}

/* An integer key of the architecture; absent: the fallback. */
static enum err int_of(const struct gguf_builder *b, const char *name, int64_t fallback, int64_t *out)
{
    char key[TENSOR_NAME_BYTES];
    snprintf(key, sizeof key, "%.*s.%s", (int)b->architecture.length, b->architecture.data, name);
    *out = fallback;
    return gguf_want_int(b->file, key, out);
}

enum err gguf_build_type(const struct gguf_builder *b)
{
    static const struct {
        const char *architecture, *type;
    } types[] = {{"qwen2moe", "qwen2_moe"}, {"qwen3moe", "qwen3_moe"}, {"deepseek2", "deepseek_v2"}};
    int64_t gating = GATING_SOFTMAX;
    const char *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        type = str_equal(b->architecture, str_of(types[i].architecture)) ? types[i].type : type;
    }
    if (is_deepseek(b)) {
        TRY(int_of(b, "expert_gating_func", GATING_SOFTMAX, &gating));
        if (gating < 0 || gating > GATING_SIGMOID) {
            return err_set(ERR_FORMAT, "%s: expert_gating_func is %lld; only softmax (1) and sigmoid (2) are supported",
                           b->file->path, (long long)gating);
        }
        type = gating == GATING_SIGMOID ? "deepseek_v3" : type;
    }
    if (type) {
        json_object_set_new(b->document, "model_type", json_string(type));
    }
    return ERR_NONE;
}

/* Without groups where the file names none, as llama.cpp computes. */
static enum err build_deepseek_router(const struct gguf_builder *b)
{
    static const char *const none[] = {"n_group", "topk_group"};
    int64_t normalised;
    TRY(int_of(b, "expert_weights_norm", 0, &normalised));
    json_object_set_new(b->document, "norm_topk_prob", json_boolean(normalised != 0));
    json_object_set_new(b->document, "routed_scaling_factor", json_real(1));
    TRY(gguf_copy_double(b, "expert_weights_scale", b->document, "routed_scaling_factor"));
    if (!(json_real_value(json_object_get(b->document, "routed_scaling_factor")) > 0)) {
        json_object_set_new(b->document, "routed_scaling_factor", json_real(1));
    }
    TRY(gguf_copy_int(b, "expert_group_count", none[0], false));
    TRY(gguf_copy_int(b, "expert_group_used_count", none[1], false));
    for (int i = 0; i < 2; i++) {
        if (!json_object_get(b->document, none[i])) {
            json_object_set_new(b->document, none[i], json_integer(1));
        }
    }
    const char *type = json_string_value(json_object_get(b->document, "model_type"));
    if (strcmp(type, "deepseek_v2") == 0 && json_integer_value(json_object_get(b->document, "n_group")) > 1) {
        json_object_set_new(b->document, "topk_method", json_string("group_limited_greedy"));
    }
    return ERR_NONE;
}

/* Widths of heads have names of their own where keys and values are latents; files made before that have those of heads. */
static enum err build_latent(const struct gguf_builder *b)
{
    int64_t key, value, rope, plain_key, plain_value;
    TRY(int_of(b, "attention.key_length", 0, &plain_key));
    TRY(int_of(b, "attention.value_length", 0, &plain_value));
    TRY(int_of(b, "attention.key_length_mla", plain_key, &key));
    TRY(int_of(b, "attention.value_length_mla", plain_value, &value));
    TRY(int_of(b, "rope.dimension_count", 0, &rope));
    TRY(gguf_copy_int(b, "attention.kv_lora_rank", "kv_lora_rank", true));
    json_object_set_new(b->document, "q_lora_rank", json_null());
    TRY(gguf_copy_int(b, "attention.q_lora_rank", "q_lora_rank", false));
    if (rope < 1 || key <= rope || value < 1) {
        return err_set(ERR_FORMAT, "%s: heads of %lld with %lld rotated, and values of %lld, cannot be", b->file->path,
                       (long long)key, (long long)rope, (long long)value);
    }
    json_object_set_new(b->document, "qk_nope_head_dim", json_integer(key - rope));
    json_object_set_new(b->document, "qk_rope_head_dim", json_integer(rope));
    json_object_set_new(b->document, "v_head_dim", json_integer(value));
    json_object_del(b->document, "head_dim");
    json_object_del(b->document, "num_key_value_heads"); /* 1: the latent */
    return ERR_NONE;
}

enum err gguf_build_experts(const struct gguf_builder *b)
{
    bool qwen2 = str_equal(b->architecture, STR("qwen2moe")), qwen3 = str_equal(b->architecture, STR("qwen3moe"));
    int64_t n;
    if (!qwen2 && !qwen3 && !is_deepseek(b)) {
        TRY(int_of(b, "expert_count", 0, &n));
        return n == 0 ? ERR_NONE
                      : err_set(ERR_FORMAT, "%s: '%.*s.expert_count' is %lld, which is not supported", b->file->path,
                                (int)b->architecture.length, b->architecture.data, (long long)n);
    }
    TRY(gguf_copy_int(b, "expert_count", is_deepseek(b) ? "n_routed_experts" : "num_experts", true));
    TRY(gguf_copy_int(b, "expert_used_count", "num_experts_per_tok", true));
    TRY(gguf_copy_int(b, "expert_feed_forward_length", "moe_intermediate_size", true));
    if (is_deepseek(b)) {
        json_object_set_new(b->document, "first_k_dense_replace", json_integer(0));
        TRY(gguf_copy_int(b, "leading_dense_block_count", "first_k_dense_replace", false));
        TRY(gguf_copy_int(b, "expert_shared_count", "n_shared_experts", false));
        TRY(build_deepseek_router(b));
        return build_latent(b);
    }
    json_object_set_new(b->document, "norm_topk_prob",
                        json_boolean(qwen3)); /* the file does not say; llama.cpp knows */
    return qwen2 ? gguf_copy_int(b, "expert_shared_feed_forward_length", "shared_expert_intermediate_size", true)
                 : ERR_NONE;
}

/* ---- rows ---- */

static const struct gguf_tensor *find(const struct gguf *file, const struct param_part *part, const char *name)
{
    char whole[TENSOR_NAME_BYTES];
    snprintf(whole, sizeof whole, "blk.%d.%s", part->layer, name);
    return gguf_find_tensor(file, whole);
}

/* rows by cols, in n matrices; a vector is one row. */
static enum err check_shape(const struct gguf *file, const struct gguf_tensor *t, int64_t n, int64_t rows, int64_t cols)
{
    if (t->ne[0] == cols && t->ne[1] == rows && t->ne[2] == n && t->ne[3] == 1) {
        return ERR_NONE;
    }
    return err_set(ERR_FORMAT, "%s: tensor '%.*s' is %lld by %lld by %lld, but the keys ask for %lld by %lld by %lld",
                   file->path, (int)t->name.length, t->name.data, (long long)t->ne[2], (long long)t->ne[1],
                   (long long)t->ne[0], (long long)n, (long long)rows, (long long)cols);
}

static bool is_gate_or_up(const struct param_part *part)
{
    return part->role == TENSOR_EXPERT_GATE || part->role == TENSOR_EXPERT_UP;
}

/* The matrix of an expert in the tensor of all; in that of gate and up, up follows gate. */
static enum err find_expert(struct gguf_rows *out, const struct gguf *file, const struct model_config *config,
                            const struct param_part *part)
{
    const struct gguf_tensor *fused = is_gate_or_up(part) ? find(file, part, "ffn_gate_up_exps.weight") : NULL;
    int rows = fused ? 2 * part->rows : part->rows;
    out->tensors[0] = fused ? fused : out->tensors[0];
    TRY(check_shape(file, out->tensors[0], config->moe.router.E, rows, out->cols));
    out->first = part->expert * rows + (fused && part->role == TENSOR_EXPERT_UP ? part->rows : 0);
    return ERR_NONE;
}

static enum err find_kv_b(struct gguf_rows *out, const struct gguf *file, const struct model_config *config,
                          const struct param_part *part)
{
    const struct mla_config *mla = &config->mla;
    out->tensors[0] = find(file, part, "attn_k_b.weight");
    out->tensors[1] = find(file, part, "attn_v_b.weight");
    if (!out->tensors[0] || !out->tensors[1]) {
        return err_set(ERR_FORMAT, "%s: the tensor 'blk.%d.attn_%s.weight' is missing", file->path, part->layer,
                       out->tensors[0] ? "v_b" : "k_b");
    }
    out->nope = mla->nope;
    out->v = mla->v;
    TRY(check_shape(file, out->tensors[0], config->H, mla->kv_rank, mla->nope));
    return check_shape(file, out->tensors[1], config->H, mla->v, mla->kv_rank);
}

enum err gguf_find_rows(struct gguf_rows *out, const struct gguf *file, const struct model_config *config,
                        const struct params *params, const struct param_part *part)
{
    char name[TENSOR_NAME_BYTES];
    const struct param *p = &params->table[part->param];
    bool vector = p->cols == 0, gate_up = is_gate_or_up(part), expert = tensor_role_is_expert(part->role);
    model_family_tensor(config->family, (enum tensor_role)part->role, part->layer, part->expert, NAMING_GGUF, name,
                        sizeof name);
    *out = (struct gguf_rows){.tensors = {gguf_find_tensor(file, name), NULL}, .cols = vector ? part->rows : p->cols};
    if (expert && (out->tensors[0] || (gate_up && find(file, part, "ffn_gate_up_exps.weight")))) {
        return find_expert(out, file, config, part);
    }
    if (part->role == TENSOR_KV_B && !out->tensors[0]) {
        return find_kv_b(out, file, config, part);
    }
    if (!out->tensors[0]) {
        return err_set(ERR_FORMAT, "%s: the tensor '%s' is missing", file->path, name);
    }
    return check_shape(file, out->tensors[0], 1, vector ? 1 : part->rows, out->cols);
}

static void read_row(const struct gguf_tensor *t, int row, float *out)
{
    size_t bytes = (size_t)t->ne[0] / t->type->block * t->type->bytes;
    dequantise(t->type, t->data + (size_t)row * bytes, (uint64_t)t->ne[0], out);
}

/* Row i of a head's keys is column i of its matrix in the file; only the block of numbers that has it is looked at. */
static void read_key_row(const struct gguf_rows *rows, int head, int i, float *out)
{
    const struct gguf_tensor *t = rows->tensors[0];
    size_t row_bytes = (size_t)rows->nope / t->type->block * t->type->bytes, block = (size_t)i / t->type->block;
    float values[MOST_BLOCK];
    BUG_ON(t->type->block > MOST_BLOCK);
    for (int k = 0; k < rows->cols; k++) {
        size_t row = (size_t)head * (size_t)rows->cols + (size_t)k;
        dequantise(t->type, t->data + row * row_bytes + block * t->type->bytes, t->type->block, values);
        out[k] = values[(size_t)i % t->type->block];
    }
}

void gguf_rows_read(const struct gguf_rows *rows, int row, float *out)
{
    if (!rows->tensors[1]) {
        read_row(rows->tensors[0], rows->first + row, out);
        return;
    }
    int of_head = rows->nope + rows->v, head = row / of_head, i = row % of_head;
    if (i < rows->nope) {
        read_key_row(rows, head, i, out);
    } else {
        read_row(rows->tensors[1], head * rows->v + i - rows->nope, out);
    }
}
