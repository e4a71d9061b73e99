/* model/save_weights.c - parts, read a block of rows at a time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/finite.h"
#include "model/save.h"

#define EXPORT_ROWS 64 /* whole panels, so that each is read once */

void part_reader_open(struct part_reader *r, const struct model *model)
{
    size_t widest = 1;
    for (int i = 0; i < model->params.n_params; i++) {
        size_t width = (size_t)param_width(&model->params.table[i]);
        widest = width > widest ? width : widest;
    }
    *r = (struct part_reader){.model = model, .rows = mem_alloc(EXPORT_ROWS * widest * sizeof(float)), .part = -1};
}

void part_reader_close(struct part_reader *r)
{
    free(r->rows);
    *r = (struct part_reader){0};
}

void part_reader_read(void *reader, int i, uint64_t at, uint64_t n, float *out)
{
    struct part_reader *r = reader;
    const struct param_part *part = &r->model->params.parts[i];
    const struct param *p = &r->model->params.table[part->param];
    uint64_t cols = (uint64_t)param_width(p);
    for (uint64_t done = 0; done < n;) {
        int first = (int)((at + done) / cols) / EXPORT_ROWS * EXPORT_ROWS;
        int n_rows = part->rows - first < EXPORT_ROWS ? part->rows - first : EXPORT_ROWS;
        if (r->part != i || r->first != first) {
            params_export(&r->model->params, r->model->device, p, r->rows, part->row + first, n_rows);
            r->part = i;
            r->first = first;
        }
        uint64_t from = at + done - (uint64_t)first * cols, there = (uint64_t)n_rows * cols - from;
        uint64_t n_here = there < n - done ? there : n - done;
        memcpy(out + done, r->rows + from, n_here * sizeof *out);
        done += n_here;
    }
}

/* Looks at what goes by. */
struct guard {
    tensor_reader *read;
    void *context;
    int broken;   /* the first part with numbers that are not finite; -1: none so far */
    uint64_t bad; /* how many it has */
};

static void read_guarded(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    struct guard *g = context;
    g->read(g->context, i, at, n, out);
    if (g->broken < 0 || g->broken == i) {
        g->bad += not_finite_count(out, DTYPE_F32, n);
        g->broken = g->bad > 0 ? i : -1;
    }
}

enum err save_weights(const struct params *params, const char *folder, const char *dtype, tensor_reader *read,
                      void *context)
{
    char path[FILE_PATH_BYTES];
    bool whole = strcmp(dtype, "float32") == 0;
    BUG_ON(!whole && strcmp(dtype, "bfloat16") != 0);
    TRY(file_join(path, sizeof path, folder, "model.safetensors"));
    struct tensor_source *sources = mem_zero((size_t)params->n_parts * sizeof *sources);
    for (int i = 0; i < params->n_parts; i++) {
        const struct param_part *part = &params->parts[i];
        int cols = params->table[part->param].cols;
        bool wide = part->role == TENSOR_ROUTER_BIAS; /* in transformers' models fp32, whatever the weights are */
        sources[i] = (struct tensor_source){part->name, cols ? 2 : 1, {part->rows, cols}, wide};
    }
    struct guard guard = {read, context, -1, 0};
    enum err result =
        safetensors_write(path, sources, params->n_parts, whole ? DTYPE_F32 : DTYPE_BF16, read_guarded, &guard);
    free(sources);
    if (result == ERR_NONE && guard.broken >= 0) {
        unlink(path);
        result = err_set(ERR_NUMBERS, "%s is not saved: %llu numbers of tensor '%s' are not finite (NaN or infinity)",
                         path, (unsigned long long)guard.bad, params->parts[guard.broken].name);
    }
    return result;
}
