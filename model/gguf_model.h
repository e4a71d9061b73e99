/* model/gguf_model.h - a decoder in a GGUF file, in the terms of a Hugging Face checkpoint.
 *
 * Architectures: qwen2, qwen3, llama, qwen2moe, qwen3moe, deepseek2. What differs from a checkpoint, and is turned back here:
 *   names       blk.N.attn_q.weight is model.layers.N.self_attn.q_proj.weight, and so on
 *   q, k rows   of llama: their rotation pairs neighbours. Row h D + 2i + p of the file is row h D + p D/2 + i (p = 0, 1)
 *   rope        llama3 scaling is a tensor of divisors, rope_freqs.weight, from which the parameters are found again
 *   head        tied when output.weight is absent
 *   experts     one tensor for all of a layer, or one for their gate and up
 *   kv_b        of latent attention: in two parts
 *   ends        every end-of-generation token of the vocabulary, as llama.cpp finds them
 *
 * For the files of model/ only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_GGUF_MODEL_H
#define MODEL_GGUF_MODEL_H

#include "model/config.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "model/params.h"

enum err gguf_model_config(const struct gguf *file, struct model_config *out);
/* Appends the ids of the tokens at which llama.cpp ends, those that keys name first (model/gguf_ends.c); some may be twice. */
enum err gguf_end_tokens(const struct gguf *file, json_t *ids);
/* Dequantised into the memory of `params`. Every tensor of the table must be there with its shape, and no other. */
enum err gguf_model_weights(const struct gguf *file, const struct model_config *config, const struct params *params,
                            struct device *device);

/* ---- config, as a config.json, so that it passes the same checks ---- */

struct gguf_builder {
    const struct gguf *file;
    struct str architecture; /* before the names of keys */
    json_t *document;
};

/* ARCHITECTURE.name, if it is there; ERR_FORMAT if it is not, but needed. */
enum err gguf_copy_int(const struct gguf_builder *b, const char *name, const char *to, bool needed);
enum err gguf_copy_double(const struct gguf_builder *b, const char *name, json_t *object, const char *to);

/* ---- experts and latent attention (model/gguf_experts.c) ---- */

/* The model_type of the architecture: qwen3_moe of qwen3moe, deepseek_v2 or deepseek_v3 of deepseek2. */
enum err gguf_build_type(const struct gguf_builder *b);
/* Their keys; refuses experts in another architecture. After the sizes. */
enum err gguf_build_experts(const struct gguf_builder *b);

/* Rows of a part in the file: of a tensor of its own, of the one that has those of all experts, or of kv_b from two, whose keys are
 * transposed: attn_k_b [H, kv_rank, nope] and attn_v_b [H, v, kv_rank]. */
struct gguf_rows {
    const struct gguf_tensor *tensors[2]; /* the second: attn_v_b, else NULL */
    int first, cols;                      /* row of the first tensor; elements of a row */
    int nope, v;                          /* of kv_b from two */
};
enum err gguf_find_rows(struct gguf_rows *out, const struct gguf *file, const struct model_config *config,
                        const struct params *params, const struct param_part *part);
/* One row of the part, as fp32. */
void gguf_rows_read(const struct gguf_rows *rows, int row, float *out);

/* ---- model/gguf_tokenizer.c ---- */

/* *out is NULL if the file has no tokenizer. */
enum err gguf_model_tokenizer(const struct gguf *file, struct tokenizer **out);
/* Writes tokenizer.json and tokenizer_config.json with which transformers opens the same tokenizer. */
enum err gguf_model_save_tokenizer(const struct gguf *file, const char *folder);

#endif
