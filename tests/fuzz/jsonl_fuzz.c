/* tests/fuzz/jsonl_fuzz.c - any bytes as a JSONL file, through a file without a name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include <unistd.h>

#include "rl/data/jsonl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz", MFD_CLOEXEC);
        BUG_ON(file < 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    BUG_ON(ftruncate(file, 0) != 0 || (size && pwrite(file, data, size, 0) != (ssize_t)size));
    struct jsonl jsonl;
    if (jsonl_open(&jsonl, path) != ERR_NONE) {
        return 0;
    }
    BUG_ON(jsonl.n < 1 || (size_t)jsonl.n > size);
    struct strbuf scratch = STRBUF_INIT;
    for (int64_t i = 0; i < jsonl.n; i++) {
        json_t *row = NULL;
        if (jsonl_read(&jsonl, i, &scratch, &row) == ERR_NONE) {
            BUG_ON(!json_is_object(row));
            json_decref(row);
        }
    }
    strbuf_release(&scratch);
    jsonl_close(&jsonl);
    return 0;
}
