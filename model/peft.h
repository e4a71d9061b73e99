/* model/peft.h - adapters in the folders of PEFT (checked against 0.21): adapter_config.json and adapter_model.safetensors.
 *
 *   base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight [r, K], .lora_B.weight [N, r]
 *
 * Targets are the same in all layers: names of matrices, or, as PEFT writes them for all-linear, of modules. What this program would
 * compute otherwise than PEFT is refused by name: another kind of adapter, ranks by layer, some layers alone, DoRA, biases and whole
 * modules that were trained along. The base is the folder or .gguf file that base_model_name_or_path names, from the
 * working directory or from the adapter's folder.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_PEFT_H
#define MODEL_PEFT_H

#include "base/file.h"
#include "model/model.h"

struct peft {
    struct lora lora;
    char base[FILE_PATH_BYTES];
};

/* Whether there is an adapter_config.json in the folder, and no whole model beside it. */
bool peft_is(const char *folder);
/* Reads adapter_config.json. ERR_IO if the base is not there. */
enum err peft_open(struct peft *out, const char *folder);
/* The numbers of model->adapter; ERR_FORMAT unless the file has exactly its tensors, in their shapes. The folder's tokenizer, if it
 * has one, takes the place of the base's. */
enum err peft_read(struct model *model, const char *folder);
/* Writes both files, weights in `dtype` (model_save); base_model_name_or_path is model->base, absolute where it can be. */
enum err peft_save(const struct model *model, const char *folder, const char *dtype);

#endif
