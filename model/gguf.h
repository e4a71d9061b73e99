/* model/gguf.h - the container format of llama.cpp: typed keys and quantised tensors in one file, read through a mapping.
 *
 *   "GGUF" | u32 version 2 or 3 | u64 tensors | u64 keys                             all little-endian
 *   keys:    string name | u32 type | value         string = u64 length, bytes; array = u32 type, u64 n, elements
 *   tensors: string name | u32 n_dims | u64 ne[n_dims] | u32 type | u64 offset       ne[0] is the contiguous dimension
 *   padding to general.alignment (32) | data, each tensor padded to the alignment
 *
 * The reader refuses, with the name of the key or tensor, whatever breaks a rule: lengths beyond the file, names twice,
 * nested arrays, sizes that overflow or are no whole number of blocks, offsets that are not the padded sum of the
 * sizes before. So every byte range it hands out lies inside the mapping.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_GGUF_H
#define MODEL_GGUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "model/dequantise.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

struct gguf_key {
    struct str name;
    enum gguf_type type;
    enum gguf_type of; /* arrays: of the elements */
    uint64_t n;        /* elements of an array, else 1 */
    struct str bytes;  /* the value; elements of an array one after the other */
};

struct gguf_tensor {
    struct str name;
    const struct quant_type *type;
    int n_dims;
    int64_t ne[4]; /* 1 where absent */
    const uint8_t *data;
    uint64_t bytes;
};

struct gguf {
    char *path; /* opens the sentences of errors */
    struct file_map map;
    struct gguf_key *keys;
    struct gguf_tensor *tensors;
    int n_keys, n_tensors;
};

/* Release with gguf_close. */
enum err gguf_open(struct gguf *out, const char *path);
/* The same from memory that stays the caller's. */
enum err gguf_parse(struct gguf *out, const uint8_t *data, size_t size, const char *name);
void gguf_close(struct gguf *file);

const struct gguf_key *gguf_find(const struct gguf *file, const char *name);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *file, const char *name);

/* A key that may be missing, which leaves *out as it was; ERR_FORMAT if it is of another kind. Texts are borrowed. */
enum err gguf_want_int(const struct gguf *file, const char *name, int64_t *out); /* any integer type that fits */
enum err gguf_want_double(const struct gguf *file, const char *name, double *out);
enum err gguf_want_text(const struct gguf *file, const char *name, struct str *out);
/* An array of strings, or of 32-bit integers, in memory that the caller frees; *out NULL and *n 0 if it is missing. */
enum err gguf_want_texts(const struct gguf *file, const char *name, struct str **out, int *n);
enum err gguf_want_ints(const struct gguf *file, const char *name, int32_t **out, int *n);

#endif
