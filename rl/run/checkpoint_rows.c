/* rl/run/checkpoint_rows.c - arrays in the layout of the weights, as rows on disk.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/finite.h"
#include "rl/run/checkpoint_internal.h"

#define ROW_FLOATS (1 << 16)

/* One block of rows at a time goes through `buffer`; writing or reading is the only difference. */
struct row_file {
    int fd;
    const char *path;
    bool writing;
    const struct device *device;
    size_t width; /* bytes of a number: 4, or 2 for bf16 */
    void *buffer;
};

static enum err row_file_block(const struct row_file *f, size_t bytes)
{
    if (f->writing) {
        return file_write_all(f->fd, f->buffer, bytes, f->path);
    }
    char *to = f->buffer;
    while (bytes) {
        ssize_t n = read(f->fd, to, bytes);
        if (n <= 0) {
            return err_set(ERR_STATE, "%s: ends too early", f->path);
        }
        to += n;
        bytes -= (size_t)n;
    }
    return ERR_NONE;
}

/* n rows of a tensor of `data` into the buffer, or out of it */
static void row_file_rows(const struct row_file *f, const struct params *params, const struct param *w, void *data,
                          int row, int n)
{
    const struct ops *ops = f->device->ops;
    int cols = param_width(w);
    void *tensor = data ? (char *)data + w->offset * f->width : NULL;
    if (!data && f->writing) {
        params_export(params, f->device, w, f->buffer, row, n);
    } else if (!data) {
        params_import(params, f->device, w, f->buffer, row, n);
    } else if (f->width == sizeof(uint16_t) && f->writing) {
        ops->bf16_export(f->buffer, tensor, row, n, w->rows, cols);
    } else if (f->width == sizeof(uint16_t)) {
        ops->bf16_import(tensor, f->buffer, row, n, w->rows, cols);
    } else if (f->writing) {
        ops->wide_export(f->buffer, tensor, row, n, w->rows, cols);
    } else {
        ops->wide_import(tensor, f->buffer, row, n, w->rows, cols);
    }
}

/* Of n numbers that are about to be written. */
static enum err check_block(const struct row_file *f, const struct params *params, const struct param *w, uint64_t n)
{
    uint64_t bad = not_finite_count(f->buffer, f->width == sizeof(float) ? DTYPE_F32 : DTYPE_BF16, n);
    return bad == 0 ? ERR_NONE
                    : err_set(ERR_NUMBERS, "%s: the numbers of '%s' are not finite (NaN or infinity)", f->path,
                              params->parts[w->first_part].name);
}

/* data: an array in the layout of the parameters that train; NULL: all parameters themselves, as fp32. */
static enum err row_file_array(const struct row_file *f, const struct params *params, void *data)
{
    for (int i = 0; i < params->n_params; i++) {
        const struct param *w = &params->table[i];
        int cols = param_width(w), block = ROW_FLOATS / cols > 0 ? ROW_FLOATS / cols : 1;
        bool there = !data || w->trains;
        for (int row = 0; there && row < w->rows; row += block) {
            int n = w->rows - row < block ? w->rows - row : block;
            if (f->writing) {
                row_file_rows(f, params, w, data, row, n);
                TRY(check_block(f, params, w, (uint64_t)n * (uint64_t)cols));
            }
            TRY(row_file_block(f, (size_t)n * (size_t)cols * f->width));
            if (!f->writing) {
                row_file_rows(f, params, w, data, row, n);
            }
        }
    }
    return ERR_NONE;
}

/* All arrays, of numbers of `width` bytes, one after the other, to or from a file: of the set that is trained. */
static enum err row_file_run(const char *folder, const char *name, bool writing, const struct model *model,
                             size_t width, void **arrays, int n)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, name));
    int widest = ROW_FLOATS;
    const struct params *params = model_trained(model);
    for (int i = 0; i < params->n_params; i++) {
        widest = params->table[i].cols > widest ? params->table[i].cols : widest;
    }
    struct row_file f = {.path = path, .writing = writing, .device = model->device, .width = width};
    if (!writing) {
        TRY(file_open(&f.fd, path));
    } else if ((f.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        return err_set(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    f.buffer = mem_alloc((size_t)widest * width);
    enum err result = ERR_NONE;
    for (int i = 0; i < n && result == ERR_NONE; i++) {
        result = row_file_array(&f, params, arrays[i]);
    }
    if (writing && result == ERR_NONE && fsync(f.fd) != 0) {
        result = err_set(ERR_IO, "cannot fsync %s: %s", path, strerror(errno));
    }
    close(f.fd);
    free(f.buffer);
    return result;
}

enum err row_file_weights(const char *folder, const char *name, bool writing, const struct model *model)
{
    return row_file_run(folder, name, writing, model, sizeof(float), (void *[]){NULL}, 1);
}

const char *row_file_moments_name(enum optim_kind kind)
{
    return kind == OPTIM_ADAMW_BF16_SR ? "state/optimizer_bf16.bin" : "state/optimizer.bin";
}

enum err row_file_moments(const char *folder, bool writing, const struct model *model, const struct optim *optim)
{
    enum optim_kind kind = optim->options.kind;
    const struct params *params = model_trained(model);
    void *arrays[] = {params->m, params->v};
    return row_file_run(folder, row_file_moments_name(kind), writing, model, optim_moment_bytes(kind), arrays, 2);
}
