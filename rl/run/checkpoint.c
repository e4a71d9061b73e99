/* rl/run/checkpoint.c - a folder is written under another name, synced, listed in its manifest, and renamed.
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
#include "rl/run/checkpoint_internal.h"
#include "rl/run/manifest.h"

#define STEP  "step-"
#define ASIDE "aside-step-"

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
    {"bits", offsetof(struct checkpoint_state, bits)},
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
        bool optional =
            state_fields[i].offset == offsetof(struct checkpoint_state, bits); /* earlier versions lack it */
        result = optional ? json_want_int(document, state_fields[i].name, path, &value)
                          : json_get_int(document, state_fields[i].name, path, &value);
        memcpy((char *)&state + state_fields[i].offset, &value, sizeof value);
    }
    json_decref(document);
    TRY(result);
    *out = state;
    return ERR_NONE;
}

uint64_t checkpoint_bytes(size_t n_weights, enum optim_kind kind, bool reference, const char *dtype)
{
    bool wide = strcmp(dtype, "float32") == 0;
    uint64_t weights = wide ? sizeof(float) : sizeof(uint16_t) + sizeof(float); /* state/weights.bin */
    uint64_t bytes = n_weights * (weights + 2 * optim_moment_bytes(kind) + (reference ? sizeof(float) : 0));
    return bytes + bytes / 20 + ((uint64_t)1 << 20);
}

static enum err check_space(const char *folder, uint64_t need)
{
    uint64_t left;
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
    if (strcmp(dtype, "float32") != 0) { /* training continues from all bits of the weights */
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

/* Renames the checkpoint of a step. */
static enum err set_aside(const char *checkpoints, int64_t step)
{
    char name[32], aside[64], from[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    step_name(name, step);
    snprintf(aside, sizeof aside, ASIDE "%06lld", (long long)step);
    TRY(file_join(from, sizeof from, checkpoints, name));
    TRY(file_join(to, sizeof to, checkpoints, aside));
    TRY(file_remove_folder(to));
    TRY(file_rename_synced(from, to));
    log_info("%s is now %s, and will go when the next checkpoint is saved", name, aside);
    return ERR_NONE;
}

enum err checkpoint_set_aside(const char *folder, int64_t step)
{
    char checkpoints[FILE_PATH_BYTES];
    int64_t *steps = NULL;
    int n = 0;
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    enum err result = list_steps(checkpoints, STR(STEP), &steps, &n);
    for (int i = 0; result == ERR_NONE && steps && i < n && steps[i] > step; i++) {
        result = set_aside(checkpoints, steps[i]);
    }
    free(steps);
    return result;
}

/* Of at least two checkpoints the oldest goes when the next one finds no room, if a newer one is whole. */
static enum err make_room(const char *checkpoints, bool *made)
{
    char name[32], path[FILE_PATH_BYTES];
    int64_t *steps = NULL;
    int n = 0;
    *made = false;
    enum err result = list_steps(checkpoints, STR(STEP), &steps, &n);
    for (int i = 0; steps && i + 1 < n && result == ERR_NONE && !*made; i++) {
        step_name(name, steps[i]);
        result = file_join(path, sizeof path, checkpoints, name);
        *made = result == ERR_NONE && checkpoint_verify(path) == ERR_NONE;
    }
    if (steps && *made) {
        step_name(name, steps[n - 1]);
        result = file_join(path, sizeof path, checkpoints, name);
        log_warning("%s goes before its time: there is no room for the next checkpoint", name);
        result = result == ERR_NONE ? file_remove_folder(path) : result;
    }
    free(steps);
    return result;
}

struct save {
    const struct checkpoint_state *state;
    const struct model *policy, *reference;
    const struct optim *optim;
    const char *dtype;
};

static uint64_t save_bytes(const struct save *save)
{
    return checkpoint_bytes(model_trained(save->policy)->n, save->optim->options.kind, save->reference != NULL,
                            save->dtype);
}

/* The folder of a checkpoint, complete and on disk, or nothing. */
static enum err write_whole(const char *checkpoints, const char *folder, const struct save *save)
{
    enum err result = check_space(checkpoints, save_bytes(save));
    if (result == ERR_NONE) {
        result = write_files(folder, save->state, save->policy, save->optim, save->reference, save->dtype);
    }
    if (result != ERR_NONE) {
        char reason[1024];
        snprintf(reason, sizeof reason, "%s", err_text());
        file_remove_folder(folder);
        return err_set(result, "%s", reason);
    }
    return ERR_NONE;
}

/* A full disk is no end while there are older checkpoints; another failure is. */
static enum err write_with_room(const char *checkpoints, const char *folder, const struct save *save)
{
    uint64_t need = save_bytes(save);
    for (;;) {
        bool made = false;
        char reason[1024];
        enum err result = write_whole(checkpoints, folder, save);
        if (result == ERR_NONE) {
            return ERR_NONE;
        }
        snprintf(reason, sizeof reason, "%s", err_text());
        if (check_space(checkpoints, need) == ERR_NONE || make_room(checkpoints, &made) != ERR_NONE || !made) {
            return err_set(result, "%s", reason);
        }
    }
}

/* The checkpoint is in place: what fails from here on does not undo it. */
static void tidy(const char *checkpoints, const char *name, int limit, const char *source)
{
    if (point_latest(checkpoints, name) != ERR_NONE) {
        log_warning("%s is saved, but %s/latest does not point to it: %s", name, checkpoints, err_text());
    }
    if (remove_old(checkpoints, STR(ASIDE), 0, source) != ERR_NONE ||
        (limit > 0 && remove_old(checkpoints, STR(STEP), limit, source) != ERR_NONE)) {
        log_warning("%s is saved, but an older checkpoint could not be removed: %s", name, err_text());
    }
}

enum err checkpoint_save(const char *folder, const struct checkpoint_state *state, const struct model *policy,
                         const struct optim *optim, const struct model *reference, const char *dtype, int limit)
{
    char checkpoints[FILE_PATH_BYTES], temporary[FILE_PATH_BYTES], path[FILE_PATH_BYTES], name[32];
    struct save save = {state, policy, reference, optim, dtype};
    step_name(name, state->step);
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    TRY(file_join(temporary, sizeof temporary, checkpoints, "unfinished"));
    TRY(file_join(path, sizeof path, checkpoints, name));
    TRY(file_make_folders(checkpoints));
    TRY(file_remove_folder(temporary));
    TRY(write_with_room(checkpoints, temporary, &save));
    TRY(file_remove_folder(path)); /* of a run that was continued from before this step */
    TRY(file_rename_synced(temporary, path));
    tidy(checkpoints, name, limit, policy->source);
    return ERR_NONE;
}

/* ---- before the first step ---- */

enum err checkpoint_prepare(const char *folder)
{
    char checkpoints[FILE_PATH_BYTES], probe[FILE_PATH_BYTES];
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    TRY(file_join(probe, sizeof probe, checkpoints, "probe"));
    struct stat status;
    if (lstat(checkpoints, &status) == 0 && !file_is_folder(checkpoints)) {
        return err_set(ERR_STATE,
                       "%s is no folder that can be opened (a link to a disk that is not mounted?): the run could "
                       "not save; put it back, or remove it",
                       checkpoints);
    }
    TRY(file_make_folders(checkpoints));
    enum err result = file_write_atomic(probe, "", 0);
    if (result != ERR_NONE) {
        return err_wrap(result, "%s cannot be written, so the run could not save", checkpoints);
    }
    unlink(probe);
    return ERR_NONE;
}

/* Of its nearest folder that exists. */
enum err checkpoint_space(const char *path, uint64_t *left)
{
    char folder[FILE_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    while (!file_exists(folder)) {
        char *slash = strrchr(folder, '/');
        if (!slash) {
            return file_space_left(".", left);
        }
        slash[slash == folder] = '\0';
    }
    return file_space_left(folder, left);
}

enum err checkpoint_check_space(const char *folder, uint64_t bytes, int limit)
{
    char checkpoints[FILE_PATH_BYTES];
    int64_t *steps = NULL;
    int n = 0;
    uint64_t left;
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    TRY(list_steps(checkpoints, STR(STEP), &steps, &n));
    free(steps);
    TRY(checkpoint_space(checkpoints, &left));
    if (left < bytes && n < 2) {
        return err_set(ERR_IO,
                       "%s: a checkpoint takes %llu MiB, but only %llu MiB are free: the run could not save; make "
                       "room, or choose another output_dir",
                       checkpoints, (unsigned long long)(bytes >> 20), (unsigned long long)(left >> 20));
    }
    if (n <= limit && left < (uint64_t)(limit + 1 - n) * bytes) {
        log_warning("%s: %llu MiB are free, too little for checkpoints of %llu MiB, of which %d are kept "
                    "(save_total_limit) while another one is written: older ones will go before their time",
                    checkpoints, (unsigned long long)(left >> 20), (unsigned long long)(bytes >> 20), limit);
    }
    return ERR_NONE;
}

/* One listed file of a checkpoint: weights as a link, the others as copies. */
static enum err stage_file(const char *checkpoint, const char *files, const char *name)
{
    char from[FILE_PATH_BYTES], to[FILE_PATH_BYTES], *real;
    TRY(file_join(from, sizeof from, checkpoint, name));
    TRY(file_join(to, sizeof to, files, name));
    if (!str_ends(str_of(name), STR(".safetensors"))) {
        return file_copy(from, to);
    }
    real = realpath(from, NULL);
    int status = real ? symlink(real, to) : -1;
    free(real);
    return status == 0 ? ERR_NONE : err_set(ERR_IO, "cannot link %s to %s: %s", to, from, strerror(errno));
}

static enum err files_path(const char *folder, char files[FILE_PATH_BYTES])
{
    char checkpoints[FILE_PATH_BYTES];
    TRY(file_join(checkpoints, sizeof checkpoints, folder, "checkpoints"));
    return file_join(files, FILE_PATH_BYTES, checkpoints, "files");
}

enum err checkpoint_stage(const char *folder, const char *checkpoint, char files[FILE_PATH_BYTES])
{
    json_t *list, *entry;
    const char *name;
    enum err result = ERR_NONE;
    TRY(files_path(folder, files));
    TRY(manifest_read(&list, checkpoint));
    result = file_remove_folder(files);
    result = result == ERR_NONE ? file_make_folders(files) : result;
    json_object_foreach(list, name, entry)
    {
        if (result == ERR_NONE && !strchr(name, '/')) {
            result = stage_file(checkpoint, files, name);
        }
    }
    json_decref(list);
    return result;
}

void checkpoint_unstage(const char *files)
{
    static const char *const names[] = {"model.safetensors", "adapter_model.safetensors"};
    char weights[FILE_PATH_BYTES];
    struct stat status;
    for (int i = 0; i < 2; i++) {
        if (file_join(weights, sizeof weights, files, names[i]) == ERR_NONE && lstat(weights, &status) == 0 &&
            S_ISLNK(status.st_mode)) {
            unlink(weights);
        }
    }
}

enum err checkpoint_keep_files(const char *folder, struct model *policy, const char *dtype)
{
    char files[FILE_PATH_BYTES];
    TRY(files_path(folder, files));
    TRY(file_remove_folder(files));
    TRY(file_make_folders(files));
    TRY(model_save_files(policy, files, dtype));
    free(policy->source);
    policy->source = mem_strdup(files);
    return ERR_NONE;
}

/* ---- finding and reading ---- */

enum err checkpoint_verify(const char *path)
{
    static const char *const needed[][3] = {{"config.json", "model.safetensors", "state/train.json"},
                                            {"adapter_config.json", "adapter_model.safetensors", "state/train.json"}};
    json_t *files;
    TRY(manifest_read(&files, path));
    const char *missing = NULL;
    int adapter = json_object_get(files, "adapter_config.json") != NULL;
    for (int i = 0; i < 3; i++) {
        missing = json_object_get(files, needed[adapter][i]) ? missing : needed[adapter][i];
    }
    if (!json_object_get(files, row_file_moments_name(OPTIM_ADAMW)) &&
        !json_object_get(files, row_file_moments_name(OPTIM_ADAMW_BF16_SR))) {
        missing = row_file_moments_name(OPTIM_ADAMW);
    }
    json_decref(files);
    if (missing) {
        return err_set(ERR_STATE, "%s: its manifest does not list %s: it is no whole checkpoint", path, missing);
    }
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

/* Whole, of the step that its name says, and one that the caller can continue from. */
static enum err try_checkpoint(const char *path, int64_t step, checkpoint_accept *accept, void *context)
{
    struct checkpoint_state state;
    TRY(checkpoint_verify(path));
    TRY(checkpoint_read_state(path, &state));
    if (state.step != step) {
        return err_set(ERR_STATE, "its state/train.json is of step %lld: a copy of another one", (long long)state.step);
    }
    return accept ? accept(context, path, &state) : ERR_NONE;
}

enum err checkpoint_find(const char *folder, char *path, size_t capacity, bool *found, checkpoint_accept *accept,
                         void *context)
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
        result = file_join(path, capacity, checkpoints, name);
        enum err tried = result == ERR_NONE ? try_checkpoint(path, steps[i], accept, context) : result;
        *found = tried == ERR_NONE;
        if (tried == ERR_USAGE) {
            result = tried;
        } else if (!*found) {
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
    if (manifest_lists(path, row_file_moments_name(other))) {
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
    TRY(check_moments(path, optim->options.kind));
    TRY(row_file_moments(path, false, policy, optim));
    if (manifest_lists(path, "state/weights.bin")) {
        TRY(row_file_weights(path, "state/weights.bin", false, policy));
    }
    return ERR_NONE;
}

bool checkpoint_has_reference(const char *path)
{
    return manifest_lists(path, "state/reference.bin");
}

enum err checkpoint_read_reference(const char *path, struct model *reference)
{
    return row_file_weights(path, "state/reference.bin", false, reference);
}
