/* model/shards.h - the tensors of a Hugging Face folder, by name: model.safetensors, or the files of its index.
 *
 * For the files of model/ and strop check. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_SHARDS_H
#define MODEL_SHARDS_H

#include "base/err.h"
#include "base/file.h"
#include "model/config.h"
#include "model/params.h"
#include "model/safetensors.h"

struct shards {
    char folder[FILE_PATH_BYTES], path[FILE_PATH_BYTES]; /* path: of the file that lists the tensors */
    struct safetensors *files;
    char **paths; /* of the files */
    int n_files;
    struct names names;         /* of the tensors of all files */
    struct tensor_view **views; /* the tensors, by the same number */
};

/* ERR_FORMAT if two files have a tensor of one name. Released by shards_close, also after an error. */
enum err shards_open(struct shards *out, const char *folder);
void shards_close(struct shards *shards);
const struct tensor_view *shards_find(const struct shards *shards, const char *name);

/* The rows of a part of a parameter. An expert's may be a tensor of its own, or are in the stack of all experts of its layer:
 * mlp.experts.gate_up_proj [E, 2F, d], an expert's rows of gate before those of up, and mlp.experts.down_proj [E, d, F]. A tensor of
 * dtype F8_E4M3 has a scale for each block of 128 x 128, NAME_scale_inv [ceil(rows / 128), ceil(cols / 128)], of each matrix of a
 * stack: a weight is its number times the scale of its block (DeepSeek-V3, section 3.3). */
struct shard_rows {
    const struct tensor_view *tensor, *scales; /* scales: NULL if it has none */
    uint64_t first;                            /* element of the tensor at which the rows begin, */
    uint64_t first_scale;                      /* and of the scales at which their matrix begins */
    int row, cols;                             /* where they begin in their matrix; elements of a row */
};

/* ERR_FORMAT with the names of tensor and file if the rows are not there or have another shape. */
enum err shards_find_rows(struct shard_rows *out, const struct shards *shards, const struct model_config *config,
                          const struct params *params, const struct param_part *part);
/* Rows row .. row + n - 1 of the part, as fp32. */
void shard_rows_read(const struct shard_rows *rows, int row, int n, float *out);
/* How many of them are no weights (model/finite.h); values: as read, looked at where there are scales. */
uint64_t shard_rows_bad(const struct shard_rows *rows, int row, int n, const float *values);
/* The memory of the first n rows may be given back. */
void shard_rows_forget(const struct shard_rows *rows, int n);

/* The stack that an expert's tensor is in: model.layers.0.mlp.experts.gate_up_proj of model.layers.0.mlp.experts.7.up_proj.weight.
 * False: it is in none. */
bool shards_stack_name(const struct param_part *part, char *out, size_t capacity);

/* ERR_FORMAT for a tensor that no part of the parameters uses: it means another network, whose results would be silently wrong. */
enum err shards_check_unused(const struct shards *shards, const struct model_config *config,
                             const struct params *params);

/* What model.safetensors.index.json says, without the files that it names. */
struct shard_index {
    int n_tensors;
    double bytes; /* metadata.total_size; 0: it does not say */
};
/* ERR_FORMAT if its tensors are not those of the parameters: one is missing, or has no place. */
enum err shards_check_index(struct shard_index *out, const char *path, const struct model_config *config,
                            const struct params *params);

#endif
