/* model/safetensors.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"

#define HEADER_MOST 100000000u
#define CHUNK       65536 /* elements converted at once */

static const struct {
    const char *name;
    int bits;
    enum tensor_dtype dtype;
} dtypes[] = {
    {"F32", 32, DTYPE_F32},          {"F16", 16, DTYPE_F16},      {"BF16", 16, DTYPE_BF16},
    {"BOOL", 8, DTYPE_OTHER},        {"U8", 8, DTYPE_OTHER},      {"I8", 8, DTYPE_OTHER},
    {"I16", 16, DTYPE_OTHER},        {"U16", 16, DTYPE_OTHER},    {"I32", 32, DTYPE_OTHER},
    {"U32", 32, DTYPE_OTHER},        {"F64", 64, DTYPE_OTHER},    {"I64", 64, DTYPE_OTHER},
    {"U64", 64, DTYPE_OTHER},        {"C64", 64, DTYPE_OTHER},    {"F8_E5M2", 8, DTYPE_OTHER},
    {"F8_E4M3", 8, DTYPE_F8_E4M3},   {"F8_E8M0", 8, DTYPE_OTHER}, {"F8_E4M3FNUZ", 8, DTYPE_OTHER},
    {"F8_E5M2FNUZ", 8, DTYPE_OTHER}, {"F6_E2M3", 6, DTYPE_OTHER}, {"F6_E3M2", 6, DTYPE_OTHER},
    {"F4", 4, DTYPE_OTHER},
};

static enum err parse_dtype(struct tensor_view *t, const json_t *entry, const char *name, int *bits)
{
    struct str dtype;
    TRY(json_get_text(entry, "dtype", name, &dtype));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (str_equal(dtype, str_of(dtypes[i].name))) {
            t->dtype = dtypes[i].dtype;
            *bits = dtypes[i].bits;
            memcpy(t->dtype_name, dtypes[i].name, strlen(dtypes[i].name) + 1);
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT, "%s: tensor '%s' has the unknown dtype '%.*s'", name, t->name, (int)dtype.length,
                   dtype.data);
}

static enum err parse_shape(struct tensor_view *t, const json_t *entry, const char *name, int bits, uint64_t *bytes)
{
    const json_t *shape = json_object_get(entry, "shape");
    uint64_t elements = 1, total;
    if (!json_is_array(shape)) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' has no shape", name, t->name);
    }
    t->n_dims = (int)json_array_size(shape);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            __builtin_mul_overflow(elements, (uint64_t)json_integer_value(size), &elements)) {
            return err_set(ERR_FORMAT, "%s: tensor '%s' has an impossible shape", name, t->name);
        }
        if (i < 4) {
            t->shape[i] = json_integer_value(size);
        }
    }
    if (__builtin_mul_overflow(elements, (uint64_t)bits, &total) || total % 8) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' has an impossible shape", name, t->name);
    }
    *bytes = total / 8;
    return ERR_NONE;
}

static enum err parse_tensor(struct tensor_view *t, const char *key, const json_t *entry, const char *name,
                             const uint8_t *data, uint64_t size)
{
    int bits = 0;
    uint64_t want = 0;
    t->name = mem_strdup(key);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_object(entry) || json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
        !json_is_integer(json_array_get(offsets, 1))) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' has no two data_offsets", name, key);
    }
    json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
               end = json_integer_value(json_array_get(offsets, 1));
    TRY(parse_dtype(t, entry, name, &bits));
    TRY(parse_shape(t, entry, name, bits, &want));
    if (begin < 0 || end < begin || (uint64_t)end > size) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' lies outside the file; the file is cut off or damaged", name, key);
    }
    if ((uint64_t)(end - begin) != want) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' has %lld bytes, but its shape needs %llu", name, key,
                       (long long)(end - begin), (unsigned long long)want);
    }
    t->data = data + begin;
    t->bytes = want;
    return ERR_NONE;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor_view *x = a, *y = b;
    if (x->data != y->data) {
        return x->data < y->data ? -1 : 1;
    }
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes ? 1 : strcmp(x->name, y->name);
}

/* Tensors follow each other without hole or overlap and end with the file. */
static enum err check_places(struct safetensors *file, const uint8_t *data, uint64_t size, const char *name)
{
    qsort(file->tensors, (size_t)file->n, sizeof *file->tensors, by_place);
    const uint8_t *at = data;
    for (int i = 0; i < file->n; i++) {
        if (file->tensors[i].data != at) {
            return err_set(ERR_FORMAT, "%s: tensor '%s' overlaps another or leaves a hole", name,
                           file->tensors[i].name);
        }
        at += file->tensors[i].bytes;
    }
    return at == data + size ? ERR_NONE : err_set(ERR_FORMAT, "%s: bytes are left over after the last tensor", name);
}

/* Text to text, or null; what it says is not used. */
static enum err check_metadata(json_t *metadata, const char *name)
{
    const char *key;
    json_t *value;
    bool is_text = json_is_object(metadata) || json_is_null(metadata);
    json_object_foreach(metadata, key, value)
    {
        is_text = is_text && json_is_string(value);
    }
    return is_text ? ERR_NONE : err_set(ERR_FORMAT, "%s: '__metadata__' must be an object of texts", name);
}

static enum err parse_entries(struct safetensors *file, json_t *header, const char *name, const uint8_t *data,
                              uint64_t size)
{
    const char *key;
    json_t *entry;
    file->tensors = mem_zero((json_object_size(header) + 1) * sizeof *file->tensors);
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0) {
            TRY(check_metadata(entry, name));
        } else {
            TRY(parse_tensor(&file->tensors[file->n++], key, entry, name, data, size));
        }
    }
    TRY(check_places(file, data, size, name));
    for (int i = 0; i < file->n; i++) {
        BUG_ON(!names_add(&file->names, file->tensors[i].name)); /* the keys of a JSON object, which differ */
    }
    return ERR_NONE;
}

/* Past white space, which the format does not allow in front, but its library reads. 0: there is none. */
static char first_letter(const uint8_t *header, uint64_t length)
{
    uint64_t i = 0;
    while (i < length && (header[i] == ' ' || header[i] == '\n' || header[i] == '\r' || header[i] == '\t')) {
        i++;
    }
    return i < length ? (char)header[i] : 0;
}

enum err safetensors_parse(struct safetensors *out, const uint8_t *data, size_t size, const char *name)
{
    uint64_t length = 0;
    for (int i = 0; i < 8 && size >= 8; i++) {
        length |= (uint64_t)data[i] << (8 * i);
    }
    if (size < 8 || length > HEADER_MOST || length > size - 8 || length < 2 || first_letter(data + 8, length) != '{') {
        return err_set(ERR_FORMAT, "%s: not a safetensors file, or cut off", name);
    }
    json_t *header;
    TRY(json_parse(&header, (struct str){(const char *)data + 8, length}, name));
    struct safetensors file = {0};
    enum err result = json_is_object(header) ? parse_entries(&file, header, name, data + 8 + length, size - 8 - length)
                                             : err_set(ERR_FORMAT, "%s: not a safetensors file", name);
    json_decref(header);
    if (result != ERR_NONE) {
        safetensors_close(&file);
        return result;
    }
    *out = file;
    return ERR_NONE;
}

enum err safetensors_open(struct safetensors *out, const char *path)
{
    struct file_map map;
    TRY(file_map_open(&map, path));
    enum err result = safetensors_parse(out, map.data, map.size, path);
    if (result != ERR_NONE) {
        file_map_close(&map);
        return result;
    }
    out->map = map;
    return ERR_NONE;
}

void safetensors_close(struct safetensors *file)
{
    for (int i = 0; i < file->n; i++) {
        free(file->tensors[i].name);
    }
    free(file->tensors);
    names_release(&file->names);
    file_map_close(&file->map);
    *file = (struct safetensors){0};
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name)
{
    int i = names_find(&file->names, name);
    return i < 0 ? NULL : &file->tensors[i];
}

static float bits_to_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31) {
        return bits_to_float(sign | 0x7F800000 | mantissa << 13);
    }
    if (exponent == 0) {
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

float bfloat16_to_float(uint16_t bits)
{
    return bits_to_float((uint32_t)bits << 16);
}

uint16_t float_to_bfloat16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float e4m3_to_float(uint8_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x80) << 24, exponent = bits >> 3 & 15, mantissa = bits & 7;
    if (exponent == 0) {
        float value = (float)mantissa * 0x1p-9f;
        return sign ? -value : value;
    }
    bool nan = (bits & 0x7F) == 0x7F;
    return bits_to_float(nan ? sign | 0x7FC00000 : sign | (exponent + 120) << 23 | mantissa << 20);
}

size_t tensor_element_bytes(const struct tensor_view *tensor)
{
    BUG_ON(tensor->dtype == DTYPE_OTHER);
    return tensor->dtype == DTYPE_F32 ? 4 : tensor->dtype == DTYPE_F8_E4M3 ? 1 : 2;
}

void tensor_to_float(const struct tensor_view *tensor, uint64_t at, uint64_t n, float *out)
{
    BUG_ON(tensor->dtype == DTYPE_OTHER);
    if (tensor->dtype == DTYPE_F32) {
        memcpy(out, tensor->data + 4 * at, 4 * n);
        return;
    }
    if (tensor->dtype == DTYPE_F8_E4M3) {
        for (uint64_t i = 0; i < n; i++) {
            out[i] = e4m3_to_float(tensor->data[at + i]);
        }
        return;
    }
    const uint8_t *from = tensor->data + 2 * at;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t bits = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        out[i] = tensor->dtype == DTYPE_F16 ? half_to_float(bits) : bfloat16_to_float(bits);
    }
}

static uint64_t source_elements(const struct tensor_source *s)
{
    return (uint64_t)s->shape[0] * (s->n_dims > 1 ? (uint64_t)s->shape[1] : 1);
}

struct ordered {
    const struct tensor_source *source;
};

/* The wide ones first, so that each begins at a multiple of its width. */
static int by_width_and_name(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    return x->source->wide != y->source->wide ? y->source->wide - x->source->wide
                                              : strcmp(x->source->name, y->source->name);
}

static enum tensor_dtype source_dtype(const struct tensor_source *s, enum tensor_dtype dtype)
{
    return s->wide ? DTYPE_F32 : dtype;
}

static void write_header(struct strbuf *out, const struct ordered *sorted, int n, enum tensor_dtype dtype)
{
    uint64_t at = 0;
    strbuf_add(out, "\0\0\0\0\0\0\0\0", 8);
    strbuf_puts(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < n; i++) {
        const struct tensor_source *s = sorted[i].source;
        bool whole = source_dtype(s, dtype) == DTYPE_F32;
        uint64_t end = at + (whole ? 4 : 2) * source_elements(s);
        strbuf_printf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%lld", s->name, whole ? "F32" : "BF16",
                      (long long)s->shape[0]);
        if (s->n_dims > 1) {
            strbuf_printf(out, ",%lld", (long long)s->shape[1]);
        }
        strbuf_printf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)end);
        at = end;
    }
    strbuf_putc(out, '}');
    while (out->length % 8) {
        strbuf_putc(out, ' ');
    }
    for (int i = 0; i < 8; i++) {
        out->data[i] = (char)((out->length - 8) >> (8 * i) & 255);
    }
}

static enum err write_tensor(int fd, const char *path, const struct tensor_source *s, int index,
                             enum tensor_dtype dtype, tensor_reader *read, void *context, float *values)
{
    uint64_t elements = source_elements(s);
    for (uint64_t at = 0; at < elements; at += CHUNK) {
        uint64_t n = elements - at < CHUNK ? elements - at : CHUNK;
        read(context, index, at, n, values);
        if (dtype == DTYPE_BF16) {
            uint16_t *halves = (uint16_t *)(void *)values; /* shrinks in place, front to back */
            for (uint64_t i = 0; i < n; i++) {
                float x;
                memcpy(&x, &values[i], sizeof x);
                uint16_t half = float_to_bfloat16(x);
                memcpy(&halves[i], &half, sizeof half);
            }
        }
        TRY(file_write_all(fd, values, n * (dtype == DTYPE_F32 ? 4 : 2), path));
    }
    return ERR_NONE;
}

enum err safetensors_write(const char *path, const struct tensor_source *sources, int n, enum tensor_dtype dtype,
                           tensor_reader *read, void *context)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return err_set(ERR_IO, "cannot create %s: %s", path, strerror(errno));
    }
    struct ordered *sorted = mem_alloc((size_t)(n + 1) * sizeof *sorted);
    for (int i = 0; i < n; i++) {
        sorted[i].source = &sources[i];
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_width_and_name);
    struct strbuf header = STRBUF_INIT;
    write_header(&header, sorted, n, dtype);
    float *values = mem_alloc(CHUNK * sizeof *values);
    enum err result = file_write_all(fd, header.data, header.length, path);
    for (int i = 0; i < n && result == ERR_NONE; i++) {
        const struct tensor_source *s = sorted[i].source;
        result = write_tensor(fd, path, s, (int)(s - sources), source_dtype(s, dtype), read, context, values);
    }
    if (result == ERR_NONE && fsync(fd) != 0) {
        result = err_set(ERR_IO, "cannot fsync %s: %s", path, strerror(errno));
    }
    if (close(fd) != 0 && result == ERR_NONE) {
        result = err_set(ERR_IO, "cannot close %s: %s", path, strerror(errno));
    }
    free(values);
    free(sorted);
    strbuf_release(&header);
    return result;
}
