/* model/family.h - the families of decoders: one row each.
 *
 * A row says what a family is called, which blocks its layers have, and what its tensors are called in files. A new family whose
 * blocks are here already is one row of model/family.c and golden files (tests/golden/make_models.py).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "model/block.h"

/* What a tensor is in the network. */
enum tensor_role {
    TENSOR_EMBEDDING,
    TENSOR_FINAL_NORM,
    TENSOR_HEAD,
    TENSOR_INPUT_NORM, /* of layers from here on */
    TENSOR_POST_NORM,
    TENSOR_Q,
    TENSOR_K,
    TENSOR_V,
    TENSOR_Q_BIAS,
    TENSOR_K_BIAS,
    TENSOR_V_BIAS,
    TENSOR_Q_NORM,
    TENSOR_K_NORM,
    TENSOR_O,
    TENSOR_GATE,
    TENSOR_UP,
    TENSOR_DOWN,
    TENSOR_ROUTER,
    TENSOR_ROUTER_BIAS,
    TENSOR_EXPERT_GATE, /* of one expert: its number is in the name */
    TENSOR_EXPERT_UP,
    TENSOR_EXPERT_DOWN,
    TENSOR_SHARED_GATE, /* the gate product of the shared expert's MLP */
    TENSOR_SHARED_UP,
    TENSOR_SHARED_DOWN,
    TENSOR_SHARED_WEIGHT, /* what the shared expert's output is multiplied by */
    TENSOR_Q_A,           /* of latent attention from here on */
    TENSOR_Q_A_NORM,
    TENSOR_Q_B,
    TENSOR_KV_A,
    TENSOR_KV_A_NORM,
    TENSOR_KV_B,
    TENSORS
};

/* Of one expert's matrices. */
static inline bool tensor_role_is_expert(int role)
{
    return role == TENSOR_EXPERT_GATE || role == TENSOR_EXPERT_UP || role == TENSOR_EXPERT_DOWN;
}

enum tensor_naming { NAMING_HF, NAMING_GGUF, NAMINGS };

struct tensor_names {
    const char *layer[NAMINGS];       /* before the number of a layer: "model.layers." */
    const char *of[TENSORS][NAMINGS]; /* after it; of tensors outside layers, the whole name. Of experts, with their
                                       * number: "mlp.experts.#.up_proj.weight" */
};

/* How config.json describes experts and latent attention (model/config_moe.c). */
struct moe_rules;
extern const struct moe_rules moe_rules_qwen2, moe_rules_qwen3, moe_rules_deepseek_v2, moe_rules_deepseek_v3;

struct model_family {
    const char *name;  /* model_type of config.json, general.architecture of a GGUF file */
    const char *class; /* architectures of config.json */
    const struct block *blocks[BLOCKS_PER_LAYER];
    const struct tensor_names *names;
    uint64_t lacks;              /* tensors that others with the same names have: bits 1 << role */
    bool gguf_permuted;          /* rows of q and k in GGUF files (model/gguf_model.h) */
    const struct moe_rules *moe; /* NULL: a family without experts */
};

extern const struct model_family model_families[];
extern const int n_model_families;

/* NULL: there is none of that name. */
const struct model_family *model_family_find(struct str name);
/* Appends "qwen2, qwen3 and llama". */
void model_family_list(struct strbuf *out);
bool model_family_has(const struct model_family *family, enum tensor_role role);
#define TENSOR_NAME_BYTES 192 /* the longest name, in any layout of files */
/* The name in a file; layer and expert are ignored where the tensor is in none. */
void model_family_tensor(const struct model_family *family, enum tensor_role role, int layer, int expert,
                         enum tensor_naming naming, char *out, size_t capacity);

#endif
