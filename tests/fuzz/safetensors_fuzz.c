/* tests/fuzz/safetensors_fuzz.c - any bytes as a safetensors file; every tensor that it gives is read to its end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    if (safetensors_parse(&file, data, size, "fuzz") != ERR_NONE) {
        return 0;
    }
    uint64_t total = 0;
    for (int i = 0; i < file.n; i++) {
        const struct tensor_view *t = &file.tensors[i];
        total += t->bytes;
        BUG_ON(t->bytes > size || !safetensors_find(&file, t->name));
        if (t->dtype != DTYPE_OTHER) {
            uint64_t n = t->bytes / (t->dtype == DTYPE_F32 ? 4 : 2);
            float *values = mem_alloc((n + 1) * sizeof *values);
            tensor_to_float(t, 0, n, values);
            free(values);
        }
    }
    BUG_ON(total >= size);
    safetensors_close(&file);
    return 0;
}
