/* model/gguf_model.h - a decoder in a GGUF file, in the terms of a Hugging Face checkpoint.
 *
 * Architectures: qwen2, qwen3, llama. What differs from a checkpoint, and is turned back here:
 *   names       blk.N.attn_q.weight is model.layers.N.self_attn.q_proj.weight, and so on
 *   q, k rows   of llama: their rotation pairs neighbours. Row h D + 2i + p of the file is row h D + p D/2 + i (p = 0, 1)
 *   rope        llama3 scaling is a tensor of divisors, rope_freqs.weight, from which the parameters are found again
 *   head        tied when output.weight is absent
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

/* ---- model/gguf_tokenizer.c ---- */

/* *out is NULL if the file has no tokenizer. */
enum err gguf_model_tokenizer(const struct gguf *file, struct tokenizer **out);
/* Writes tokenizer.json and tokenizer_config.json with which transformers opens the same tokenizer. */
enum err gguf_model_save_tokenizer(const struct gguf *file, const char *folder);

#endif
