/* model/shard_rows.c - where the rows of a part are: a tensor of their own, or the stack of all experts; block scales.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/finite.h"
#include "model/shards.h"

#define SCALE_BLOCK 128 /* rows and columns that share a scale */

bool shards_stack_name(const struct param_part *part, char *out, size_t capacity)
{
    const char *end = strstr(part->name, ".experts.");
    if (!tensor_role_is_expert(part->role) || !end) {
        return false;
    }
    int length = snprintf(out, capacity, "%.*s.experts.%s", (int)(end - part->name), part->name,
                          part->role == TENSOR_EXPERT_DOWN ? "down_proj" : "gate_up_proj");
    return length > 0 && (size_t)length < capacity;
}

static const struct tensor_view *find_stack(const struct shards *s, const struct param_part *part)
{
    char name[TENSOR_NAME_BYTES];
    return shards_stack_name(part, name, sizeof name) ? shards_find(s, name) : NULL;
}

/* The file that has the tensor. */
static const char *path_of(const struct shards *s, const struct tensor_view *t)
{
    for (int i = 0; i < s->n_files; i++) {
        if (t >= s->files[i].tensors && t < s->files[i].tensors + s->files[i].n) {
            return s->paths[i];
        }
    }
    return s->folder;
}

static void shape_to_text(const int64_t *shape, int n, char *out, size_t capacity)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < n && at < capacity; i++) {
        int length = snprintf(out + at, capacity - at, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
        at += length > 0 ? (size_t)length : 0;
    }
}

/* Whether a tensor of a checkpoint has this shape; `whose` says what asks for it. */
static enum err check_shape(const struct shards *s, const struct tensor_view *t, const int64_t *shape, int n,
                            const char *whose)
{
    char is[96], wanted[96];
    if (t->n_dims == n && memcmp(t->shape, shape, (size_t)n * sizeof *shape) == 0) {
        return ERR_NONE;
    }
    shape_to_text(t->shape, t->n_dims < 4 ? t->n_dims : 4, is, sizeof is);
    shape_to_text(shape, n, wanted, sizeof wanted);
    return err_set(ERR_FORMAT, "%s: tensor '%s' has the shape (%s), but %s asks for (%s)", path_of(s, t), t->name, is,
                   whose, wanted);
}

static enum err check_dtype(const struct shards *s, const struct tensor_view *t)
{
    return t->dtype != DTYPE_OTHER
               ? ERR_NONE
               : err_set(
                     ERR_FORMAT,
                     "%s: tensor '%s' is of dtype %s; F32, F16, BF16, and F8_E4M3 with scales of blocks can be read",
                     path_of(s, t), t->name, t->dtype_name);
}

static enum err find_scales(struct shard_rows *out, const struct shards *s, const int64_t *shape, int n)
{
    char name[TENSOR_NAME_BYTES];
    const struct tensor_view *t = out->tensor;
    int64_t want[3] = {shape[0], 0, 0};
    int length = snprintf(name, sizeof name, "%s_scale_inv", t->name);
    out->scales = length > 0 && (size_t)length < sizeof name ? shards_find(s, name) : NULL;
    if (!out->scales || n < 2) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' is of dtype F8_E4M3, but its scales '%s_scale_inv' are missing",
                       path_of(s, t), t->name, t->name);
    }
    for (int i = n - 2; i < n; i++) {
        want[i] = (shape[i] + SCALE_BLOCK - 1) / SCALE_BLOCK;
    }
    TRY(check_shape(s, out->scales, want, n, "its tensor, in blocks of 128 x 128,"));
    if (out->scales->dtype != DTYPE_F32 && out->scales->dtype != DTYPE_BF16) {
        return err_set(ERR_FORMAT, "%s: tensor '%s' is of dtype %s; scales of blocks are F32 or BF16",
                       path_of(s, out->scales), out->scales->name, out->scales->dtype_name);
    }
    return ERR_NONE;
}

/* Rows of an expert in a stack [E, rows of a matrix, cols]. */
static void place_in_stack(struct shard_rows *out, const struct param_part *part, const int64_t *shape)
{
    uint64_t matrix = (uint64_t)part->expert;
    out->row = part->role == TENSOR_EXPERT_UP ? part->rows : 0;
    out->first = (matrix * (uint64_t)shape[1] + (uint64_t)out->row) * (uint64_t)shape[2];
    if (out->scales) {
        out->first_scale = matrix * (uint64_t)out->scales->shape[1] * (uint64_t)out->scales->shape[2];
    }
}

enum err shards_find_rows(struct shard_rows *out, const struct shards *s, const struct model_config *config,
                          const struct params *params, const struct param_part *part)
{
    const struct param *p = &params->table[part->param];
    int matrix_rows = part->role == TENSOR_EXPERT_DOWN ? part->rows : 2 * part->rows;
    int64_t own[] = {part->rows, p->cols}, stacked[] = {config->moe.router.E, matrix_rows, p->cols};
    *out = (struct shard_rows){.tensor = shards_find(s, part->name), .cols = param_width(p)};
    bool stack = !out->tensor;
    out->tensor = stack ? find_stack(s, part) : out->tensor;
    if (!out->tensor) {
        return err_set(ERR_FORMAT, "%s: the tensor '%s' is missing; is config.json of another model?", s->path,
                       part->name);
    }
    const int64_t *shape = stack ? stacked : own;
    int n = stack ? 3 : p->cols ? 2 : 1;
    TRY(check_dtype(s, out->tensor));
    TRY(check_shape(s, out->tensor, shape, n, "config.json"));
    if (out->tensor->dtype == DTYPE_F8_E4M3) {
        TRY(find_scales(out, s, shape, n));
    }
    if (stack) {
        place_in_stack(out, part, shape);
    }
    return ERR_NONE;
}

static void scale_row(const struct shard_rows *rows, int row, float *values)
{
    uint64_t n_blocks = (uint64_t)(rows->cols + SCALE_BLOCK - 1) / SCALE_BLOCK;
    uint64_t first = rows->first_scale + (uint64_t)((rows->row + row) / SCALE_BLOCK) * n_blocks;
    for (int at = 0; at < rows->cols; at += SCALE_BLOCK) {
        float scale;
        tensor_to_float(rows->scales, first + (uint64_t)(at / SCALE_BLOCK), 1, &scale);
        for (int i = at; i < at + SCALE_BLOCK && i < rows->cols; i++) {
            values[i] *= scale;
        }
    }
}

void shard_rows_read(const struct shard_rows *rows, int row, int n, float *out)
{
    uint64_t cols = (uint64_t)rows->cols;
    tensor_to_float(rows->tensor, rows->first + (uint64_t)row * cols, (uint64_t)n * cols, out);
    for (int i = 0; i < n && rows->scales; i++) {
        scale_row(rows, row + i, out + (uint64_t)i * cols);
    }
}

uint64_t shard_rows_bad(const struct shard_rows *rows, int row, int n, const float *values)
{
    uint64_t cols = (uint64_t)rows->cols, n_values = (uint64_t)n * cols;
    if (rows->scales) {
        return not_weight_count(values, DTYPE_F32, n_values);
    }
    uint64_t at = rows->first + (uint64_t)row * cols;
    return not_weight_count(rows->tensor->data + at * tensor_element_bytes(rows->tensor), rows->tensor->dtype,
                            n_values);
}

void shard_rows_forget(const struct shard_rows *rows, int n)
{
    uint64_t width = tensor_element_bytes(rows->tensor), page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = (uint64_t)(uintptr_t)rows->tensor->data + rows->first * width;
    uint64_t to = (from + (uint64_t)n * (uint64_t)rows->cols * width) / page * page;
    from = (from + page - 1) / page * page;
    if (to > from) {
        (void)madvise((void *)(uintptr_t)from, to - from, MADV_DONTNEED); /* a wish; no harm if refused */
    }
}
