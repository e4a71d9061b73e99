/* model/save.h - the files of a folder that is saved, and the parts of a set of parameters, written as model.safetensors.
 *
 * For the files of model/ only. SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_SAVE_H
#define MODEL_SAVE_H

#include <jansson.h>

#include "model/model.h"
#include "model/safetensors.h"

/* The document and a line end, laid out for people; real numbers as short as they are exact. */
enum err save_json(const json_t *document, const char *folder, const char *name);

/* Reads the parts of a model, the same rows again without asking the device. */
struct part_reader {
    const struct model *model; /* borrowed */
    float *rows;               /* [64, cols] */
    int part, first;           /* which rows are there */
};
void part_reader_open(struct part_reader *reader, const struct model *model);
void part_reader_close(struct part_reader *reader);
/* A tensor_reader: n elements of part i from `at` on. */
void part_reader_read(void *reader, int i, uint64_t at, uint64_t n, float *out);

/* Writes folder/model.safetensors in `dtype`, "float32" or "bfloat16": the numbers of part i of `params` are those that `read` gives.
 * ERR_NUMBERS, and no file, if one is not finite. */
enum err save_weights(const struct params *params, const char *folder, const char *dtype, tensor_reader *read,
                      void *context);

#endif
