/* model/config.h - the shape of a decoder, read from a Hugging Face config.json.
 *
 * Families: qwen2 (Qwen2, 2.5 and R1-Distill-Qwen), qwen3, llama (Llama 3.x, SmolLM2). Both spellings of newer files are
 * understood: torch_dtype / dtype, rope_theta + rope_scaling / rope_parameters. What cannot be computed is refused by name
 * (sliding window in use, another activation, an unknown rope type), never ignored.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum model_family { FAMILY_QWEN2, FAMILY_QWEN3, FAMILY_LLAMA };

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN };

struct rope_config {
    enum rope_type type;
    double theta;
    double factor;                                 /* linear, llama3, yarn */
    double low_freq_factor, high_freq_factor;      /* llama3 */
    double original_max_positions;                 /* llama3, yarn */
    double beta_fast, beta_slow, attention_factor; /* yarn; attention_factor 0: the default of the type */
    double mscale, mscale_all_dim;                 /* yarn, 0: absent */
};

struct model_config {
    enum model_family family;
    int n_layers, d, F, H, J, D, V; /* letters of kernels/README.md */
    float norm_eps;
    bool tied;     /* lm_head is the embedding */
    bool qkv_bias; /* Qwen2 */
    bool qk_norm;  /* Qwen3 */
    struct rope_config rope;
    int max_positions;
    int32_t bos_id, eos_ids[8]; /* bos -1: none */
    int n_eos;                  /* config.json and generation_config.json together */
};

/* `name` opens the sentence of an error. */
enum err model_config_parse(struct model_config *out, const json_t *document, const char *name);
/* Reads config.json and, for the end tokens, generation_config.json of a folder. */
enum err model_config_open(struct model_config *out, const char *folder);
/* A config.json that transformers opens with the right class. Caller releases. */
json_t *model_config_to_json(const struct model_config *config);
const char *model_family_name(enum model_family family); /* "qwen2" */

/* The frequency of each pair i < D/2 and the factor on cos and sin (yarn), computed in fp64 as transformers does. */
void rope_frequencies(const struct rope_config *rope, int D, double *frequencies, double *scale);

#endif
