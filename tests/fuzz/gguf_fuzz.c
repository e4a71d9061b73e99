/* tests/fuzz/gguf_fuzz.c - any bytes as a GGUF file: every tensor is dequantised, the keys are asked for a config and a tokenizer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "model/gguf_model.h"

#define MOST_FLOATS (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf file;
    if (gguf_parse(&file, data, size, "fuzz") != ERR_NONE) {
        return 0;
    }
    for (int i = 0; i < file.n_tensors; i++) {
        const struct gguf_tensor *t = &file.tensors[i];
        uint64_t n = t->bytes / t->type->bytes * t->type->block;
        BUG_ON(t->bytes > size || t->data < data || t->data + t->bytes > data + size);
        if (n <= MOST_FLOATS) {
            float *values = mem_alloc((n + 1) * sizeof *values);
            dequantise(t->type, t->data, n, values);
            free(values);
        }
    }
    struct model_config config;
    struct tokenizer *tokenizer = NULL;
    if (gguf_model_config(&file, &config) == ERR_NONE) {
        BUG_ON(config.D < 1 || config.H % config.J != 0);
    }
    if (gguf_model_tokenizer(&file, &tokenizer) == ERR_NONE) {
        tokenizer_free(tokenizer);
    }
    gguf_close(&file);
    return 0;
}
