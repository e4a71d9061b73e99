/* model/config.h - the shape of a decoder, read from a Hugging Face config.json.
 *
 * Families (model/family.c): qwen2 (Qwen2, 2.5 and R1-Distill-Qwen), qwen3, llama (Llama 3.x, SmolLM2), qwen2_moe, qwen3_moe,
 * deepseek_v2 and deepseek_v3 (R1, Moonlight). Both spellings of newer files are understood: torch_dtype / dtype, rope_theta +
 * rope_scaling / rope_parameters, and both at once as transformers 5 understands them. What cannot be computed is refused by name
 * (sliding window in use, another activation, an unknown rope type), never ignored.
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

enum { MODEL_MOST_ENDS = 4096, MODEL_MOST_LAYERS = 4096, MODEL_MOST_BYTE_EXPERTS = 256 };

/* A mixture of experts in the feed-forward half of layers. */
struct moe_config {
    struct router router;                      /* kernels/experts.h; E 0: no layer has experts */
    bool has_bias;                             /* added to the scores for the choice: e_score_correction_bias */
    int F;                                     /* width of an expert, */
    int shared_F;                              /* and of the shared experts, which are one MLP for all rows; 0: none */
    bool shared_gated;                         /* the shared expert's output is multiplied by sigmoid(x w) */
    uint64_t is_dense[MODEL_MOST_LAYERS / 64]; /* bits of the layers that have an MLP instead */
};

/* Multi-head latent attention. */
struct mla_config {
    int q_rank;        /* 0: queries are projected directly */
    int kv_rank;       /* width of the latent; 0: not this attention */
    int nope, rope, v; /* widths of a head: not rotated and rotated part of queries and keys, values */
    bool interleaved;  /* pairs of the rotation are neighbours */
    float softmax_scale;
};

/* Low-rank adaptation (model/adapter.h). */
struct lora {
    int r; /* 0: none */
    double alpha;
    bool rslora;      /* scale alpha / sqrt(r), not alpha / r (Kalajdzievski 2023, arXiv 2312.03732) */
    unsigned targets; /* matrices: bits 1 << enum tensor_role */
};

struct model_config {
    const struct model_family *family;
    int n_layers, d, F, H, J, D, V; /* letters of kernels/README.md */
    float norm_eps;
    bool tied; /* lm_head is the embedding */
    struct rope_config rope;
    struct moe_config moe;
    struct mla_config mla;
    struct lora lora; /* in no config.json: what the weights are opened with */
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
/* The part of experts and of latent attention, in and out, of a family that has them (model/config_moe.c); parse needs all else
 * but D, which is the rotated part of a head then. */
enum err moe_config_parse(struct model_config *config, const json_t *document, const char *name);
void moe_config_to_json(const struct model_config *config, json_t *document);
/* The shortest decimal that is this float: 1e-06, not 9.999999974752427e-07. */
double config_shortest(float x);
/* Whether a layer of a family with experts has an MLP instead. */
bool model_layer_is_dense(const struct model_config *config, int layer);
int model_expert_layers(const struct model_config *config); /* how many layers have experts */
int model_expert_bytes(const struct model_config *config);  /* experts of a row in all of them, a byte each */
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
