/* model/family.c - the rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/family.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct tensor_names llama_names = {
    .layer = {"model.layers.", "blk."},
    .of =
        {
            [TENSOR_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight"},
            [TENSOR_FINAL_NORM] = {"model.norm.weight", "output_norm.weight"},
            [TENSOR_HEAD] = {"lm_head.weight", "output.weight"},
            [TENSOR_INPUT_NORM] = {"input_layernorm.weight", "attn_norm.weight"},
            [TENSOR_POST_NORM] = {"post_attention_layernorm.weight", "ffn_norm.weight"},
            [TENSOR_Q] = {"self_attn.q_proj.weight", "attn_q.weight"},
            [TENSOR_K] = {"self_attn.k_proj.weight", "attn_k.weight"},
            [TENSOR_V] = {"self_attn.v_proj.weight", "attn_v.weight"},
            [TENSOR_Q_BIAS] = {"self_attn.q_proj.bias", "attn_q.bias"},
            [TENSOR_K_BIAS] = {"self_attn.k_proj.bias", "attn_k.bias"},
            [TENSOR_V_BIAS] = {"self_attn.v_proj.bias", "attn_v.bias"},
            [TENSOR_Q_NORM] = {"self_attn.q_norm.weight", "attn_q_norm.weight"},
            [TENSOR_K_NORM] = {"self_attn.k_norm.weight", "attn_k_norm.weight"},
            [TENSOR_O] = {"self_attn.o_proj.weight", "attn_output.weight"},
            [TENSOR_GATE] = {"mlp.gate_proj.weight", "ffn_gate.weight"},
            [TENSOR_UP] = {"mlp.up_proj.weight", "ffn_up.weight"},
            [TENSOR_DOWN] = {"mlp.down_proj.weight", "ffn_down.weight"},
            [TENSOR_ROUTER] = {"mlp.gate.weight", "ffn_gate_inp.weight"},
            [TENSOR_EXPERT_GATE] = {"mlp.experts.#.gate_proj.weight", "ffn_gate_exps.weight"},
            [TENSOR_EXPERT_UP] = {"mlp.experts.#.up_proj.weight", "ffn_up_exps.weight"},
            [TENSOR_EXPERT_DOWN] = {"mlp.experts.#.down_proj.weight", "ffn_down_exps.weight"},
            [TENSOR_SHARED_GATE] = {"mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"},
            [TENSOR_SHARED_UP] = {"mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"},
            [TENSOR_SHARED_DOWN] = {"mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"},
            [TENSOR_SHARED_WEIGHT] = {"mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"},
        },
};

static const struct tensor_names deepseek_names = {
    .layer = {"model.layers.", "blk."},
    .of =
        {
            [TENSOR_EMBEDDING] = {"model.embed_tokens.weight", "token_embd.weight"},
            [TENSOR_FINAL_NORM] = {"model.norm.weight", "output_norm.weight"},
            [TENSOR_HEAD] = {"lm_head.weight", "output.weight"},
            [TENSOR_INPUT_NORM] = {"input_layernorm.weight", "attn_norm.weight"},
            [TENSOR_POST_NORM] = {"post_attention_layernorm.weight", "ffn_norm.weight"},
            [TENSOR_Q] = {"self_attn.q_proj.weight", "attn_q.weight"},
            [TENSOR_Q_A] = {"self_attn.q_a_proj.weight", "attn_q_a.weight"},
            [TENSOR_Q_A_NORM] = {"self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight"},
            [TENSOR_Q_B] = {"self_attn.q_b_proj.weight", "attn_q_b.weight"},
            [TENSOR_KV_A] = {"self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight"},
            [TENSOR_KV_A_NORM] = {"self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight"},
            [TENSOR_KV_B] = {"self_attn.kv_b_proj.weight", "attn_kv_b.weight"},
            [TENSOR_O] = {"self_attn.o_proj.weight", "attn_output.weight"},
            [TENSOR_GATE] = {"mlp.gate_proj.weight", "ffn_gate.weight"},
            [TENSOR_UP] = {"mlp.up_proj.weight", "ffn_up.weight"},
            [TENSOR_DOWN] = {"mlp.down_proj.weight", "ffn_down.weight"},
            [TENSOR_ROUTER] = {"mlp.gate.weight", "ffn_gate_inp.weight"},
            [TENSOR_ROUTER_BIAS] = {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
            [TENSOR_EXPERT_GATE] = {"mlp.experts.#.gate_proj.weight", "ffn_gate_exps.weight"},
            [TENSOR_EXPERT_UP] = {"mlp.experts.#.up_proj.weight", "ffn_up_exps.weight"},
            [TENSOR_EXPERT_DOWN] = {"mlp.experts.#.down_proj.weight", "ffn_down_exps.weight"},
            [TENSOR_SHARED_GATE] = {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
            [TENSOR_SHARED_UP] = {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
            [TENSOR_SHARED_DOWN] = {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"},
        },
};

enum {
    QKV_BIAS = 1 << TENSOR_Q_BIAS | 1 << TENSOR_K_BIAS | 1 << TENSOR_V_BIAS,
    QK_NORM = 1 << TENSOR_Q_NORM | 1 << TENSOR_K_NORM,
    EXPERTS = 1 << TENSOR_ROUTER | 1 << TENSOR_EXPERT_GATE | 1 << TENSOR_EXPERT_UP | 1 << TENSOR_EXPERT_DOWN,
    SHARED_EXPERT =
        1 << TENSOR_SHARED_GATE | 1 << TENSOR_SHARED_UP | 1 << TENSOR_SHARED_DOWN | 1 << TENSOR_SHARED_WEIGHT,
    DENSE = EXPERTS | SHARED_EXPERT, /* what those without a mixture lack */
    QWEN3_MOE = QKV_BIAS | SHARED_EXPERT,
};

const struct model_family model_families[] = {
    {"qwen2", "Qwen2ForCausalLM", {&block_gqa, &block_mlp}, &llama_names, DENSE | QK_NORM, false, NULL},
    {"qwen3", "Qwen3ForCausalLM", {&block_gqa, &block_mlp}, &llama_names, DENSE | QKV_BIAS, false, NULL},
    {"llama", "LlamaForCausalLM", {&block_gqa, &block_mlp}, &llama_names, DENSE | QKV_BIAS | QK_NORM, true, NULL},
    {"deepseek_v2",
     "DeepseekV2ForCausalLM",
     {&block_mla, &block_moe},
     &deepseek_names,
     1 << TENSOR_ROUTER_BIAS,
     false,
     &moe_rules_deepseek_v2},
    {"deepseek_v3",
     "DeepseekV3ForCausalLM",
     {&block_mla, &block_moe},
     &deepseek_names,
     0,
     false,
     &moe_rules_deepseek_v3},
    {"qwen2_moe", "Qwen2MoeForCausalLM", {&block_gqa, &block_moe}, &llama_names, QK_NORM, false, &moe_rules_qwen2},
    {"qwen3_moe", "Qwen3MoeForCausalLM", {&block_gqa, &block_moe}, &llama_names, QWEN3_MOE, false, &moe_rules_qwen3},
};
const int n_model_families = sizeof model_families / sizeof *model_families;

const struct model_family *model_family_find(struct str name)
{
    for (int i = 0; i < n_model_families; i++) {
        if (str_equal(name, str_of(model_families[i].name))) {
            return &model_families[i];
        }
    }
    return NULL;
}

void model_family_list(struct strbuf *out)
{
    for (int i = 0; i < n_model_families; i++) {
        strbuf_puts(out, i == 0 ? "" : i + 1 < n_model_families ? ", " : " and ");
        strbuf_puts(out, model_families[i].name);
    }
}

bool model_family_has(const struct model_family *family, enum tensor_role role)
{
    return family->names->of[role][NAMING_HF] && !(family->lacks >> role & 1);
}

/* Appends a name with # replaced by the expert's number. */
static int append_name(char *out, size_t capacity, const char *name, int expert)
{
    const char *number = strchr(name, '#');
    return number ? snprintf(out, capacity, "%.*s%d%s", (int)(number - name), name, expert, number + 1)
                  : snprintf(out, capacity, "%s", name);
}

void model_family_tensor(const struct model_family *family, enum tensor_role role, int layer, int expert,
                         enum tensor_naming naming, char *out, size_t capacity)
{
    int length = role < TENSOR_INPUT_NORM ? 0 : snprintf(out, capacity, "%s%d.", family->names->layer[naming], layer);
    BUG_ON(length < 0 || (size_t)length >= capacity);
    capacity -= (size_t)length;
    int more = append_name(out + length, capacity, family->names->of[role][naming], expert);
    BUG_ON(more < 0 || (size_t)more >= capacity);
}
