/* model/safetensors.h - the file format of tensors, read and written.
 *
 *   8 bytes: N, little-endian | N bytes of JSON, from '{', padded with spaces | data
 *   "name": {"dtype": "F32", "shape": [rows, cols], "data_offsets": [begin, end)}     row-major, little-endian
 *
 * The reader maps the file and refuses, with the tensor's name, whatever breaks a rule: a header beyond the file or 100 MB,
 * duplicate names, offsets that overlap, leave a hole, or do not end with the file, sizes that do not follow from dtype and
 * shape. So every byte range it hands out lies inside the mapping.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stdint.h>

#include "base/file.h"
#include "base/names.h"

enum tensor_dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F8_E4M3, DTYPE_OTHER };

struct tensor_view {
    char *name;
    enum tensor_dtype dtype;
    char dtype_name[12];
    int n_dims;
    int64_t shape[4]; /* the first four */
    const uint8_t *data;
    uint64_t bytes;
};

struct safetensors {
    struct file_map map;
    struct tensor_view *tensors; /* in the order of their data */
    struct names names;          /* of the tensors, by the same number */
    int n;
};

enum err safetensors_open(struct safetensors *out, const char *path);
/* The same from memory that stays the caller's. */
enum err safetensors_parse(struct safetensors *out, const uint8_t *data, size_t size, const char *name);
void safetensors_close(struct safetensors *file);
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);

size_t tensor_element_bytes(const struct tensor_view *tensor); /* dtype is not DTYPE_OTHER */
/* n elements from `at` on, as fp32. dtype is not DTYPE_OTHER. */
void tensor_to_float(const struct tensor_view *tensor, uint64_t at, uint64_t n, float *out);
float half_to_float(uint16_t half);
float bfloat16_to_float(uint16_t bits);
float e4m3_to_float(
    uint8_t bits); /* of 8 bits, with NaN, without infinity (Micikevicius et al. 2022, arXiv 2209.05433) */
uint16_t float_to_bfloat16(float x); /* to nearest, ties to even */

/* One tensor to write. `read` gives n elements from `at` on, as fp32, and is called in ascending order. */
struct tensor_source {
    const char *name;
    int n_dims;
    int64_t shape[2];
    bool wide; /* F32 in a file of BF16, too */
};
typedef void tensor_reader(void *context, int i_source, uint64_t at, uint64_t n, float *out);

/* Writes all sources as F32 or BF16, sorted by name, those of F32 first, with metadata format "pt"; fsynced. */
enum err safetensors_write(const char *path, const struct tensor_source *sources, int n, enum tensor_dtype dtype,
                           tensor_reader *read, void *context);

#endif
