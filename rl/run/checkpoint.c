/* rl/run/checkpoint.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "rl/run/manifest.h"

#define ROW_FLOATS (1 << 16)
#define STEP       "step-"
#define ASIDE      "aside-step-"

/* ---- arrays in the layout of the weights, as rows on disk ---- */

/* One block of rows at a time goes through `buffer`; writing or reading is the only difference. */
struct row_file {
    int fd;
    const char *path;
    bool writing;
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
static void row_file_rows(const struct row_file *f, const struct model *model, const struct param *w, void *data,
                          int row, int n)
{
    const struct ops *ops = model->device->ops;
    int cols = param_width(w);
    void *tensor = data ? (char *)data + w->offset * f->width : NULL;
    if (!data && f->writing) {
        params_export(&model->params, model->device, w, f->buffer, row, n);
    } else if (!data) {
        params_import(&model->params, model->device, w, f->buffer, row, n);
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

/* data: an array in the layout of the weights; NULL: the weights themselves, as fp32. */
static enum err row_file_array(const struct row_file *f, const struct model *model, void *data)
{
    for (int i = 0; i < model->params.n_params; i++) {
        const struct param *w = &model->params.table[i];
        int cols = param_width(w), block = ROW_FLOATS / cols > 0 ? ROW_FLOATS / cols : 1;
        for (int row = 0; row < w->rows; row += block) {
            int n = w->rows - row < block ? w->rows - row : block;
            if (f->writing) {
                row_file_rows(f, model, w, data, row, n);
            }
            TRY(row_file_block(f, (size_t)n * (size_t)cols * f->width));
            if (!f->writing) {
                row_file_rows(f, model, w, data, row, n);
            }
        }
    }
    return ERR_NONE;
}

/* All arrays, of numbers of `width` bytes, one after the other, to or from a file. */
static enum err row_file_run(const char *folder, const char *name, bool writing, const struct model *model,
                             size_t width, void **arrays, int n)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, name));
    int widest = ROW_FLOATS;
    for (int i = 0; i < model->params.n_params; i++) {
        widest = model->params.table[i].cols > widest ? model->params.table[i].cols : widest;
    }
    struct row_file f = {.path = path, .writing = writing, .width = width};
    if (!writing) {
        TRY(file_open(&f.fd, path));
    } else if ((f.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        return err_set(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    f.buffer = mem_alloc((size_t)widest * width);
    enum err result = ERR_NONE;
    for (int i = 0; i < n && result == ERR_NONE; i++) {
        result = row_file_array(&f, model, arrays[i]);
    }
    if (writing && result == ERR_NONE && fsync(f.fd) != 0) {
        result = err_set(ERR_IO, "cannot fsync %s: %s", path, strerror(errno));
    }
    close(f.fd);
    free(f.buffer);
    return result;
}

/* The weights (or the masters), all bits of them. */
static enum err row_file_weights(const char *folder, const char *name, bool writing, const struct model *model)
{
    return row_file_run(folder, name, writing, model, sizeof(float), (void *[]){NULL}, 1);
}

static const char *moments_name(enum optim_kind kind)
{
    return kind == OPTIM_ADAMW_BF16_SR ? "state/optimizer_bf16.bin" : "state/optimizer.bin";
}

static enum err row_file_moments(const char *folder, bool writing, const struct model *model, const struct optim *optim)
{
    enum optim_kind kind = optim->options.kind;
    void *arrays[] = {optim->m, optim->v};
    return row_file_run(folder, moments_name(kind), writing, model, optim_moment_bytes(kind), arrays, 2);
}

/* ---- saving ---- */

static const struct {
    const char *name;
    size_t offset;
} state_fields[] = {
    {"step", offsetof(struct checkpoint_state, step)},
    {"iteration", offsetof(struct checkpoint_state, iteration)},
    {"minibatch", offsetof(struct checkpoint_state, minibatch)},
    {"cursor", offsetof(struct checkpoint_state, cursor)},
    {"first_step", offsetof(struct checkpoint_state, first_step)},
    {"sequence", offsetof(struct checkpoint_state, sequence)},
    {"num_tokens", offsetof(struct checkpoint_state, num_tokens)},
    {"optim_step", offsetof(struct checkpoint_state, optim_step)},
    {"optim_skipped", offsetof(struct checkpoint_state, optim_skipped)},
};

static enum err write_state(const char *folder, const struct checkpoint_state *state)
{
    char path[FILE_PATH_BYTES];
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < sizeof state_fields / sizeof *state_fields; i++) {
        int64_t value;
        memcpy(&value, (const char *)state + state_fields[i].offset, sizeof value);
        strbuf_printf(&text, "%s\"%s\": %lld", i ? ", " : "{", state_fields[i].name, (long long)value);
    }
    strbuf_puts(&text, "}\n");
    enum err result = file_join(path, sizeof path, folder, "state/train.json");
    if (result == ERR_NONE) {
        result = file_write_atomic(path, text.data, text.length);
    }
    strbuf_release(&text);
    return result;
}

enum err checkpoint_read_state(const char *folder, struct checkpoint_state *out)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    struct checkpoint_state state = {0};
    TRY(file_join(path, sizeof path, folder, "state/train.json"));
    TRY(json_parse_file(&document, path, (size_t)1 << 16));
    enum err result = ERR_NONE;
    for (size_t i = 0; i < sizeof state_fields / sizeof *state_fields && result == ERR_NONE; i++) {
        int64_t value = 0;
        result = json_get_int(document, state_fields[i].name, path, &value);
        memcpy((char *)&state + state_fields[i].offset, &value, sizeof value);
    }
    json_decref(document);
    TRY(result);
    *out = state;
    return ERR_NONE;
}

static enum err check_space(const char *folder, const struct model *policy, const struct optim *optim, bool reference)
{
    size_t moments = 2 * optim_moment_bytes(optim->options.kind), weights = sizeof(float) * (reference ? 2 : 1);
    uint64_t left, need = (uint64_t)policy->params.n * (weights + moments);
    need += need / 20 + ((uint64_t)1 << 20);
    TRY(file_space_left(folder, &left));
    if (left < need) {
        return err_set(ERR_IO, "%s: a checkpoint needs %llu MiB, but only %llu MiB are free", folder,
                       (unsigned long long)(need >> 20), (unsigned long long)(left >> 20));
    }
    return ERR_NONE;
}

static enum err write_files(const char *folder, const struct checkpoint_state *state, const struct model *policy,
                            const struct optim *optim, const struct model *reference, const char *dtype)
{
    char part[FILE_PATH_BYTES];
    TRY(file_join(part, sizeof part, folder, "state"));
    TRY(file_make_folders(part));
    TRY(model_save(policy, folder, dtype));
    TRY(row_file_moments(folder, true, policy, optim));
    if (strcmp(dtype, "float32") != 0) { /* training goes on from all bits of the weights */
        TRY(row_file_weights(folder, "state/weights.bin", true, policy));
    }
    if (reference) {
        TRY(row_file_weights(folder, "state/reference.bin", true, reference));
    }
    TRY(write_state(folder, state));
    TRY(manifest_write(folder));
    TRY(file_sync(part));
    return file_sync(folder);
}

static enum err point_latest(const char *checkpoints, const char *name)
{
    char link[FILE_PATH_BYTES], temporary[FILE_PATH_BYTES];
    TRY(file_join(link, sizeof link, checkpoints, "latest"));
    TRY(file_join(temporary, sizeof temporary, checkpoints, "latest.tmp"));
    unlink(temporary);
    if (symlink(name, temporary) != 0) {
        return err_set(ERR_IO, "cannot create %s: %s", temporary, strerror(errno));
    }
    return file_rename_synced(temporary, link);
}

static void step_name(char name[32], int64_t step)
{
    snprintf(name, 32, "step-%06lld", (long long)step);
}

/* The steps of all checkpoints, or of those set aside, descending. The caller frees. */
static enum err list_steps(const char *checkpoints, struct str prefix, int64_t **out, int *n)
{
    DIR *listing = opendir(checkpoints);
    if (!listing) {
        return errno == ENOENT ? ERR_NONE : err_set(ERR_IO, "cannot list %s: %s", checkpoints, strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(listing));) {
        int64_t step;
        struct str name = str_of(entry->d_name);
        if (!str_starts(name, prefix) || !str_to_int(str_slice(name, prefix.length, name.length), &step)) {
            continue;
        }
        *out = mem_grow(*out, (size_t)(*n + 1) * sizeof **out);
        int i = (*n)++;
        for (; i > 0 && (*out)[i - 1] < step; i--) {
            (*out)[i] = (*out)[i - 1];
        }
        (*out)[i] = step;
    }
    closedir(listing);
    return ERR_NONE;
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* All but the newest `limit` and the one that is still read from. */
static enum err remove_old(const char *checkpoints, struct str prefix, int limit, const char *source)
{
    int64_t *steps = NULL;
    int n = 0;
    enum err result = list_steps(checkpoints, prefix, &steps, &n);
    for (int i = limit; steps && i < n && result == ERR_NONE; i++) {
        char name[64], path[FILE_PATH_BYTES];
        snprintf(name, sizeof name, "%.*s%06lld", (int)prefix.length, prefix.data, (long long)steps[i]);
        result = file_join(path, sizeof path, checkpoints, name);
        if (result == ERR_NONE && !same_folder(path, source)) {
            result = file_remove_folder(path);
        }
    }
    free(steps);
    return result;
}

enum err checkpoint_set_aside(const char *folder, int64_t step)
{
    char checkpoints[FILE_PATH_BYTES];
    int64_t *steps = NULL;
    int n = 0;
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    enum err result = list_steps(checkpoints, STR(STEP), &steps, &n);
    for (int i = 0; result == ERR_NONE && steps && i < n && steps[i] > step; i++) {
        char name[32], aside[64], from[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
        step_name(name, steps[i]);
        snprintf(aside, sizeof aside, ASIDE "%06lld", (long long)steps[i]);
        result = file_join(from, sizeof from, checkpoints, name);
        result = result == ERR_NONE ? file_join(to, sizeof to, checkpoints, aside) : result;
        result = result == ERR_NONE ? file_remove_folder(to) : result;
        result = result == ERR_NONE ? file_rename_synced(from, to) : result;
        if (result == ERR_NONE) {
            log_info("%s is now %s, and will go when the next checkpoint is saved", name, aside);
        }
    }
    free(steps);
    return result;
}

enum err checkpoint_save(const char *folder, const struct checkpoint_state *state, const struct model *policy,
                         const struct optim *optim, const struct model *reference, const char *dtype, int limit)
{
    char checkpoints[FILE_PATH_BYTES], temporary[FILE_PATH_BYTES], path[FILE_PATH_BYTES], name[32];
    step_name(name, state->step);
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    TRY(file_join(temporary, sizeof temporary, checkpoints, "unfinished"));
    TRY(file_join(path, sizeof path, checkpoints, name));
    TRY(file_make_folders(checkpoints));
    TRY(file_remove_folder(temporary));
    TRY(check_space(checkpoints, policy, optim, reference != NULL));
    enum err result = write_files(temporary, state, policy, optim, reference, dtype);
    if (result == ERR_NONE) {
        result = file_remove_folder(path); /* of a run that was taken up again from before this step */
    }
    if (result == ERR_NONE) {
        result = file_rename_synced(temporary, path);
    }
    if (result != ERR_NONE) {
        char reason[1024];
        snprintf(reason, sizeof reason, "%s", err_text());
        file_remove_folder(temporary);
        return err_set(result, "%s", reason);
    }
    TRY(point_latest(checkpoints, name));
    TRY(remove_old(checkpoints, STR(ASIDE), 0, policy->source));
    return limit > 0 ? remove_old(checkpoints, STR(STEP), limit, policy->source) : ERR_NONE;
}

/* ---- finding and reading ---- */

enum err checkpoint_verify(const char *path)
{
    return manifest_verify(path);
}

/* What a crash left of the last save: a checkpoint if it was complete. It is newer than one of the same step. */
static enum err settle_unfinished(const char *checkpoints)
{
    char unfinished[FILE_PATH_BYTES], path[FILE_PATH_BYTES], name[32];
    struct checkpoint_state state;
    TRY(file_join(unfinished, sizeof unfinished, checkpoints, "unfinished"));
    if (!file_exists(unfinished)) {
        return ERR_NONE;
    }
    if (checkpoint_verify(unfinished) != ERR_NONE || checkpoint_read_state(unfinished, &state) != ERR_NONE) {
        return file_remove_folder(unfinished);
    }
    step_name(name, state.step);
    TRY(file_join(path, sizeof path, checkpoints, name));
    TRY(file_remove_folder(path));
    return file_rename_synced(unfinished, path);
}

static enum err settle_latest(const char *checkpoints, const char *name)
{
    char link[FILE_PATH_BYTES], is[64];
    TRY(file_join(link, sizeof link, checkpoints, "latest"));
    ssize_t n = readlink(link, is, sizeof is - 1);
    is[n > 0 ? n : 0] = '\0';
    return strcmp(is, name) == 0 ? ERR_NONE : point_latest(checkpoints, name);
}

enum err checkpoint_find(const char *folder, char *path, size_t capacity, bool *found)
{
    char checkpoints[FILE_PATH_BYTES], name[32];
    int64_t *steps = NULL;
    int n = 0;
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    TRY(settle_unfinished(checkpoints));
    enum err result = list_steps(checkpoints, STR(STEP), &steps, &n);
    BUG_ON(n > 0 && !steps);
    *found = false;
    for (int i = 0; i < n && !*found && result == ERR_NONE; i++) {
        step_name(name, steps[i]);
        *found = file_join(path, capacity, checkpoints, name) == ERR_NONE && checkpoint_verify(path) == ERR_NONE;
        if (!*found) {
            log_warning("checkpoint %s is passed over: %s", name, err_text());
        }
    }
    free(steps);
    TRY(result);
    if (n > 0 && !*found) {
        return err_set(
            ERR_STATE,
            "%s: none of its %d checkpoints is whole; put one back from a copy, or choose another output_dir",
            checkpoints, n);
    }
    return *found ? settle_latest(checkpoints, name) : ERR_NONE;
}

static enum err check_moments(const char *path, enum optim_kind kind)
{
    static const char *const names[] = {[OPTIM_ADAMW] = "adamw", [OPTIM_ADAMW_BF16_SR] = "adamw_bf16_sr"};
    enum optim_kind other = kind == OPTIM_ADAMW ? OPTIM_ADAMW_BF16_SR : OPTIM_ADAMW;
    char file[FILE_PATH_BYTES];
    TRY(file_join(file, sizeof file, path, moments_name(other)));
    if (file_exists(file)) {
        return err_set(
            ERR_USAGE,
            "%s was saved with optim: %s, but the recipe has optim: %s, whose moments are of another kind; set "
            "it back, or name that folder as model_name_or_path of a new run",
            path, names[other], names[kind]);
    }
    return ERR_NONE;
}

enum err checkpoint_read_optim(const char *path, struct optim *optim, const struct model *policy)
{
    char weights[FILE_PATH_BYTES];
    TRY(check_moments(path, optim->options.kind));
    TRY(row_file_moments(path, false, policy, optim));
    TRY(file_join(weights, sizeof weights, path, "state/weights.bin"));
    if (file_exists(weights)) {
        TRY(row_file_weights(path, "state/weights.bin", false, policy));
    }
    return ERR_NONE;
}

bool checkpoint_has_reference(const char *path)
{
    char file[FILE_PATH_BYTES];
    return file_join(file, sizeof file, path, "state/reference.bin") == ERR_NONE && file_exists(file);
}

enum err checkpoint_read_reference(const char *path, struct model *reference)
{
    return row_file_weights(path, "state/reference.bin", false, reference);
}
