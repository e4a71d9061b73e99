/* model/config.h - the shape of a decoder, read from a Hugging Face config.json.
 *
 * Families (model/family.c): qwen2 (Qwen2, 2.5 and R1-Distill-Qwen), qwen3, llama (Llama 3.x, SmolLM2). Both spellings of newer files are
 * understood: torch_dtype / dtype, rope_theta + rope_scaling / rope_parameters, and both at once as transformers 5 understands
 * them. What cannot be computed is refused by name (sliding window in use, another activation, an unknown rope type), never ignored.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/family.h"

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN };

struct rope_config {
    enum rope_type type;
    bool has_attention_factor; /* yarn; else it follows from the factor and mscale */
    double theta;
    double factor;                                 /* linear, llama3, yarn */
    double low_freq_factor, high_freq_factor;      /* llama3 */
    double original_max_positions;                 /* llama3, yarn */
    double beta_fast, beta_slow, attention_factor; /* yarn */
    double mscale, mscale_all_dim;                 /* yarn, 0: absent */
};

enum { MODEL_MOST_ENDS = 4096 };

struct model_config {
    const struct model_family *family;
    int n_layers, d, F, H, J, D, V; /* letters of kernels/README.md */
    float norm_eps;
    bool tied; /* lm_head is the embedding */
    struct rope_config rope;
    int max_positions;
    int32_t bos_id;                   /* -1: none */
    int n_eos;                        /* 0: none is known */
    const char *eos_from;             /* which file says so (static); NULL: the program itself */
    int32_t eos_ids[MODEL_MOST_ENDS]; /* model/end_tokens.h */
};

/* `name` opens the sentence of an error. */
enum err model_config_parse(struct model_config *out, const json_t *document, const char *name);
/* Reads config.json and, for the end tokens, generation_config.json of a folder. */
enum err model_config_open(struct model_config *out, const char *folder);
/* A config.json that transformers opens with the right class. Caller releases. */
json_t *model_config_to_json(const struct model_config *config);
/* Which block a layer has; half: BLOCK_ATTENTION or BLOCK_FEED_FORWARD. */
const struct block *model_block(const struct model_config *config, int layer, int half);
/* Whether no earlier layer has that block. */
bool model_block_is_first(const struct model_config *config, int layer, int half);

/* The part of config.json that describes the rotation, in and out; max_positions is the model's. Released by the caller. */
enum err rope_config_parse(struct rope_config *out, const json_t *document, int max_positions, const char *name);
json_t *rope_config_to_json(const struct rope_config *rope);
/* The frequency of each pair i < D/2 and the factor on cos and sin (yarn), computed in fp64 as transformers does. */
void rope_frequencies(const struct rope_config *rope, int D, double *frequencies, double *scale);

#endif
