/* model/gguf.c - every read goes through a cursor that knows where the file ends.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define LEAST_KEY_BYTES    13 /* length of the name, type, the shortest value: bounds the count by the file's size */
#define LEAST_TENSOR_BYTES 24
#define MOST_NAME          64 /* bytes of a tensor's name */
#define MOST_ALIGNMENT     (1u << 20)

static const uint8_t type_bytes[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; /* 0: of no fixed size */

struct cursor {
    const uint8_t *data;
    size_t size, at;
    const char *path;
};

static enum err cut_off(const struct cursor *c)
{
    return err_set(ERR_FORMAT, "%s: ends at byte %zu in the middle of its header; the file is cut off or damaged",
                   c->path, c->size);
}

static enum err take(struct cursor *c, uint64_t n, struct str *out)
{
    if (n > c->size - c->at) {
        return cut_off(c);
    }
    *out = (struct str){(const char *)c->data + c->at, n};
    c->at += n;
    return ERR_NONE;
}

/* Little-endian, 1 to 8 bytes. */
static uint64_t integer_at(const char *bytes, int width)
{
    uint64_t value = 0;
    for (int i = 0; i < width; i++) {
        value |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
    }
    return value;
}

static enum err take_integer(struct cursor *c, int width, uint64_t *out)
{
    struct str bytes = {0};
    TRY(take(c, (uint64_t)width, &bytes));
    *out = integer_at(bytes.data, width);
    return ERR_NONE;
}

static enum err take_string(struct cursor *c, struct str *out)
{
    uint64_t length = 0;
    TRY(take_integer(c, 8, &length));
    return take(c, length, out);
}

/* ---- keys ---- */

static enum err take_elements(struct cursor *c, struct gguf_key *key)
{
    const char *start = (const char *)c->data + c->at;
    struct str skipped = {0};
    if (key->of == GGUF_STRING) {
        for (uint64_t i = 0; i < key->n; i++) {
            TRY(take_string(c, &skipped));
        }
    } else {
        uint64_t bytes;
        if (__builtin_mul_overflow(key->n, (uint64_t)type_bytes[key->of], &bytes)) {
            return cut_off(c);
        }
        TRY(take(c, bytes, &skipped));
    }
    key->bytes = (struct str){start, (size_t)((const char *)c->data + c->at - start)};
    return ERR_NONE;
}

static enum err take_key(struct cursor *c, struct gguf_key *key)
{
    uint64_t type = 0, of = 0, n = 1;
    TRY(take_string(c, &key->name));
    TRY(take_integer(c, 4, &type));
    of = type;
    if (type == GGUF_ARRAY) {
        TRY(take_integer(c, 4, &of));
        TRY(take_integer(c, 8, &n));
    }
    if (key->name.length == 0 || type >= GGUF_TYPES || of >= GGUF_TYPES || of == GGUF_ARRAY) {
        return err_set(ERR_FORMAT, "%s: the key '%.*s' has no name or a type that cannot be read (%u of %u)", c->path,
                       (int)(key->name.length < 200 ? key->name.length : 200), key->name.data, (unsigned)type,
                       (unsigned)of);
    }
    key->type = (enum gguf_type)type;
    key->of = (enum gguf_type)of;
    key->n = n;
    return take_elements(c, key);
}

/* ---- tensors ---- */

static enum err tensor_fail(const struct cursor *c, const struct gguf_tensor *t, const char *what)
{
    return err_set(ERR_FORMAT, "%s: tensor '%.*s' %s", c->path, (int)t->name.length, t->name.data, what);
}

static enum err take_shape(struct cursor *c, struct gguf_tensor *t, uint64_t *elements)
{
    uint64_t n_dims = 0, ne = 1;
    TRY(take_integer(c, 4, &n_dims));
    if (n_dims < 1 || n_dims > 4) {
        return tensor_fail(c, t, "does not have 1 to 4 dimensions");
    }
    t->n_dims = (int)n_dims;
    *elements = 1;
    for (int i = 0; i < 4; i++) {
        ne = 1;
        if (i < t->n_dims) {
            TRY(take_integer(c, 8, &ne));
        }
        if (ne > INT64_MAX || __builtin_mul_overflow(*elements, ne, elements) || *elements > INT64_MAX) {
            return tensor_fail(c, t, "has an impossible shape");
        }
        t->ne[i] = (int64_t)ne;
    }
    return ERR_NONE;
}

/* Its data start at `expected` bytes after the header; moves `expected` on. */
static enum err take_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t alignment, uint64_t *expected)
{
    uint64_t elements = 0, type = 0, offset = 0, bytes = 0, next = 0;
    TRY(take_string(c, &t->name));
    if (t->name.length == 0 || t->name.length >= MOST_NAME) {
        return err_set(ERR_FORMAT, "%s: a tensor's name has %zu bytes; 1 to %d are allowed", c->path, t->name.length,
                       MOST_NAME - 1);
    }
    TRY(take_shape(c, t, &elements));
    TRY(take_integer(c, 4, &type));
    TRY(take_integer(c, 8, &offset));
    t->type = quant_type_find((uint32_t)type);
    if (!t->type) {
        return err_set(ERR_FORMAT,
                       "%s: tensor '%.*s' has the number format %u, which strop cannot read; use a file in "
                       "F32, F16, BF16, Q8_0, Q4_0 to Q5_1 or Q2_K to Q6_K",
                       c->path, (int)t->name.length, t->name.data, (unsigned)type);
    }
    if (t->ne[0] % t->type->block != 0) {
        return tensor_fail(c, t, "has rows that are no whole number of blocks");
    }
    if (offset != *expected) {
        return tensor_fail(c, t, "does not follow the one before it");
    }
    if (__builtin_mul_overflow(elements / t->type->block, (uint64_t)t->type->bytes, &bytes) ||
        __builtin_add_overflow(offset, bytes, &next) || __builtin_add_overflow(next, alignment - 1, &next)) {
        return tensor_fail(c, t, "has an impossible shape");
    }
    t->bytes = bytes;
    *expected = next & ~(alignment - 1);
    return ERR_NONE;
}

/* After all headers the place of the data is known. The alignment is a power of two. */
static enum err place_tensors(struct cursor *c, struct gguf *file, uint64_t alignment)
{
    uint64_t at = (c->at + alignment - 1) & ~(alignment - 1);
    for (int i = 0; i < file->n_tensors; i++) {
        struct gguf_tensor *t = &file->tensors[i];
        if (at > c->size || t->bytes > c->size - at) {
            return tensor_fail(c, t, "lies outside the file; the file is cut off or damaged");
        }
        t->data = c->data + at;
        at += (t->bytes + alignment - 1) & ~(alignment - 1);
    }
    return ERR_NONE;
}

/* ---- the file ---- */

static int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    size_t least = x->length < y->length ? x->length : y->length;
    int order = least > 0 ? memcmp(x->data, y->data, least) : 0;
    return order ? order : x->length < y->length ? -1 : x->length > y->length;
}

/* names is sorted here. */
static enum err check_unique(const struct cursor *c, struct str *names, int n, const char *what)
{
    qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 1; i < n; i++) {
        if (str_equal(names[i - 1], names[i])) {
            return err_set(ERR_FORMAT, "%s: the %s '%.*s' is there twice", c->path, what,
                           (int)(names[i].length < 200 ? names[i].length : 200), names[i].data);
        }
    }
    return ERR_NONE;
}

static enum err check_names(const struct cursor *c, const struct gguf *file)
{
    int most = file->n_keys > file->n_tensors ? file->n_keys : file->n_tensors;
    struct str *names = mem_alloc(((size_t)most + 1) * sizeof *names);
    for (int i = 0; i < file->n_keys; i++) {
        names[i] = file->keys[i].name;
    }
    enum err result = check_unique(c, names, file->n_keys, "key");
    for (int i = 0; i < file->n_tensors; i++) {
        names[i] = file->tensors[i].name;
    }
    if (result == ERR_NONE) {
        result = check_unique(c, names, file->n_tensors, "tensor");
    }
    free(names);
    return result;
}

static enum err take_head(struct cursor *c, uint64_t *n_tensors, uint64_t *n_keys)
{
    struct str magic = {0};
    uint64_t version = 0;
    if (c->size < 4 || memcmp(c->data, "GGUF", 4) != 0) {
        return err_set(ERR_FORMAT, "%s: not a GGUF file", c->path);
    }
    TRY(take(c, 4, &magic));
    TRY(take_integer(c, 4, &version));
    if (version != 2 && version != 3) {
        return err_set(ERR_FORMAT, "%s: GGUF version %u; 2 and 3 can be read%s", c->path, (unsigned)version,
                       (version & 0xFFFF) == 0 ? " (this file is big-endian)" : "");
    }
    TRY(take_integer(c, 8, n_tensors));
    TRY(take_integer(c, 8, n_keys));
    if (*n_tensors > c->size / LEAST_TENSOR_BYTES || *n_keys > c->size / LEAST_KEY_BYTES || *n_tensors > INT_MAX ||
        *n_keys > INT_MAX) {
        return cut_off(c);
    }
    return ERR_NONE;
}

static enum err choose_alignment(const struct gguf *file, uint64_t *out)
{
    const struct gguf_key *key = gguf_find(file, "general.alignment");
    uint64_t alignment = 32;
    if (key) {
        alignment = key->type == GGUF_U32 ? integer_at(key->bytes.data, 4) : 0;
        if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > MOST_ALIGNMENT) {
            return err_set(ERR_FORMAT, "%s: 'general.alignment' must be a power of two of 32 bits", file->path);
        }
    }
    *out = alignment;
    return ERR_NONE;
}

static enum err parse(struct gguf *file, struct cursor *c)
{
    uint64_t n_tensors = 0, n_keys = 0, alignment = 0, expected = 0;
    TRY(take_head(c, &n_tensors, &n_keys));
    file->keys = mem_zero((n_keys + 1) * sizeof *file->keys);
    for (; (uint64_t)file->n_keys < n_keys; file->n_keys++) {
        TRY(take_key(c, &file->keys[file->n_keys]));
    }
    TRY(choose_alignment(file, &alignment));
    file->tensors = mem_zero((n_tensors + 1) * sizeof *file->tensors);
    for (; (uint64_t)file->n_tensors < n_tensors; file->n_tensors++) {
        TRY(take_tensor(c, &file->tensors[file->n_tensors], alignment, &expected));
    }
    TRY(check_names(c, file));
    return place_tensors(c, file, alignment);
}

enum err gguf_parse(struct gguf *out, const uint8_t *data, size_t size, const char *name)
{
    struct gguf file = {.path = mem_strdup(name)};
    struct cursor cursor = {.data = data, .size = size, .path = name};
    enum err result = parse(&file, &cursor);
    if (result != ERR_NONE) {
        gguf_close(&file);
        return result;
    }
    *out = file;
    return ERR_NONE;
}

enum err gguf_open(struct gguf *out, const char *path)
{
    struct file_map map;
    TRY(file_map_open(&map, path));
    enum err result = gguf_parse(out, map.data, map.size, path);
    if (result != ERR_NONE) {
        file_map_close(&map);
        return result;
    }
    out->map = map;
    return ERR_NONE;
}

void gguf_close(struct gguf *file)
{
    free(file->keys);
    free(file->tensors);
    free(file->path);
    file_map_close(&file->map);
    *file = (struct gguf){0};
}

/* ---- answers ---- */

const struct gguf_key *gguf_find(const struct gguf *file, const char *name)
{
    for (int i = 0; i < file->n_keys; i++) {
        if (str_equal(file->keys[i].name, str_of(name))) {
            return &file->keys[i];
        }
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *file, const char *name)
{
    for (int i = 0; i < file->n_tensors; i++) {
        if (str_equal(file->tensors[i].name, str_of(name))) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

static enum err wrong_kind(const struct gguf *file, const char *name, const char *kind)
{
    return err_set(ERR_FORMAT, "%s: the key '%s' must be %s", file->path, name, kind);
}

/* False if the value is no integer, or does not fit. */
static bool integer_value(enum gguf_type type, const char *bytes, int64_t *out)
{
    uint64_t value;
    switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_I64:
    case GGUF_BOOL: value = integer_at(bytes, type_bytes[type]); break;
    case GGUF_I8: value = (uint64_t)(int64_t)(int8_t)integer_at(bytes, 1); break;
    case GGUF_I16: value = (uint64_t)(int64_t)(int16_t)integer_at(bytes, 2); break;
    case GGUF_I32: value = (uint64_t)(int64_t)(int32_t)integer_at(bytes, 4); break;
    case GGUF_U64: value = integer_at(bytes, 8); break;
    default: return false;
    }
    if (type == GGUF_U64 && value > INT64_MAX) {
        return false;
    }
    *out = (int64_t)value;
    return true;
}

enum err gguf_want_int(const struct gguf *file, const char *name, int64_t *out)
{
    const struct gguf_key *key = gguf_find(file, name);
    if (key && !integer_value(key->type, key->bytes.data, out)) {
        return wrong_kind(file, name, "an integer");
    }
    return ERR_NONE;
}

enum err gguf_want_double(const struct gguf *file, const char *name, double *out)
{
    const struct gguf_key *key = gguf_find(file, name);
    int64_t whole;
    if (!key) {
        return ERR_NONE;
    }
    if (key->type == GGUF_F32) {
        float value;
        uint32_t bits = (uint32_t)integer_at(key->bytes.data, 4);
        memcpy(&value, &bits, sizeof value);
        *out = (double)value;
    } else if (key->type == GGUF_F64) {
        uint64_t bits = integer_at(key->bytes.data, 8);
        memcpy(out, &bits, sizeof *out);
    } else if (integer_value(key->type, key->bytes.data, &whole)) {
        *out = (double)whole;
    } else {
        return wrong_kind(file, name, "a number");
    }
    return ERR_NONE;
}

enum err gguf_want_text(const struct gguf *file, const char *name, struct str *out)
{
    const struct gguf_key *key = gguf_find(file, name);
    if (!key) {
        return ERR_NONE;
    }
    if (key->type != GGUF_STRING) {
        return wrong_kind(file, name, "a string");
    }
    *out = str_slice(key->bytes, 8, key->bytes.length);
    return ERR_NONE;
}

/* The array of that name, NULL if it is missing. */
static enum err find_array(const struct gguf *file, const char *name, enum gguf_type of, enum gguf_type or_of,
                           const char *kind, const struct gguf_key **out)
{
    const struct gguf_key *key = gguf_find(file, name);
    if (key && (key->type != GGUF_ARRAY || (key->of != of && key->of != or_of) || key->n > INT_MAX / 64)) {
        return wrong_kind(file, name, kind);
    }
    *out = key;
    return ERR_NONE;
}

enum err gguf_want_texts(const struct gguf *file, const char *name, struct str **out, int *n)
{
    const struct gguf_key *key = NULL;
    TRY(find_array(file, name, GGUF_STRING, GGUF_STRING, "a list of strings", &key));
    *n = key ? (int)key->n : 0;
    *out = key ? mem_alloc((key->n + 1) * sizeof **out) : NULL;
    for (size_t i = 0, at = 0; i < (size_t)*n; i++) {
        uint64_t length = integer_at(key->bytes.data + at, 8);
        (*out)[i] = (struct str){key->bytes.data + at + 8, length};
        at += 8 + length;
    }
    return ERR_NONE;
}

enum err gguf_want_ints(const struct gguf *file, const char *name, int32_t **out, int *n)
{
    const struct gguf_key *key = NULL;
    TRY(find_array(file, name, GGUF_I32, GGUF_U32, "a list of 32-bit integers", &key));
    *n = key ? (int)key->n : 0;
    *out = key ? mem_alloc((key->n + 1) * sizeof **out) : NULL;
    for (size_t i = 0; i < (size_t)*n; i++) {
        (*out)[i] = (int32_t)(uint32_t)integer_at(key->bytes.data + 4 * i, 4);
    }
    return ERR_NONE;
}
