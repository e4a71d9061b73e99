/* rl/run/checkpoint.h - a run's state at a step, whole or not at all.
 *
 *   checkpoints/step-000200/   config.json, tokenizer files, model.safetensors (others open this folder)
 *                              with LoRA instead of config and model: adapter_config.json, adapter_model.safetensors (PEFT)
 *     state/train.json         step, iteration, cursor, optimiser's step ...
 *     state/optimizer.bin      m then v, tensor by tensor, rows in fp32 (no device's layout); with optim adamw_bf16_sr
 *                              optimizer_bf16.bin, rows in bf16
 *     state/reference.bin      the reference model, where it has moved
 *     MANIFEST.json            size and XXH3 of every file; written last
 *   checkpoints/latest         symlink, replaced by rename
 *   checkpoints/files/         config and tokenizer as the present run opened them; each checkpoint gets copies
 *
 * It is written under another name (checkpoints/unfinished) and renamed when it is complete and on disk. A folder
 * without a manifest, or that does not match it, is not a checkpoint: checkpoint_find says so and takes the one
 * before. Only files that the manifest lists are read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_CHECKPOINT_H
#define RL_RUN_CHECKPOINT_H

#include "base/file.h"
#include "rl/optim.h"

struct checkpoint_state {
    int64_t step;                      /* updates done */
    int64_t iteration;                 /* the iteration that comes next, or that is under way */
    int64_t minibatch;                 /* minibatches of it that are done; 0: it has not begun */
    int64_t cursor;                    /* of the data set: where the next prompts are drawn */
    int64_t first_step;                /* of that iteration */
    uint64_t sequence;                 /* before that iteration */
    int64_t num_tokens;                /* trained on so far */
    int64_t optim_step, optim_skipped; /* struct optim: step, n_skipped */
    int64_t
        bits; /* inside an iteration: XXH3 of log-probabilities that its next step begins with (loss_bits); else 0 */
};

/* Saves step state->step under FOLDER/checkpoints. `reference` may be NULL. At most `limit` checkpoints stay (0:
 * all), not counting the folder that the policy was opened from if it is one of them; what was set aside goes. Where
 * there is no room, the oldest of several goes first. What fails after the checkpoint is in place is only warned of. */
enum err checkpoint_save(const char *folder, const struct checkpoint_state *state, const struct model *policy,
                         const struct optim *optim, const struct model *reference, const char *dtype, int limit);

/* Bytes that a checkpoint takes at most. reference: with a reference model that has moved. */
uint64_t checkpoint_bytes(size_t n_weights, enum optim_kind kind, bool reference, const char *dtype);

/* Before the first step: makes FOLDER/checkpoints, and tries to write there. */
enum err checkpoint_prepare(const char *folder);
/* Bytes free on the disk that `path` is, or will be, on. */
enum err checkpoint_space(const char *path, uint64_t *left);
/* ERR_IO if not one checkpoint of `bytes` has room; warns if `limit` and one in the making have not. */
enum err checkpoint_check_space(const char *folder, uint64_t bytes, int limit);
/* Fills FOLDER/checkpoints/files from the listed files of a checkpoint (weights as links), for model_open; its path
 * is written to `files`. */
enum err checkpoint_stage(const char *folder, const char *checkpoint, char files[FILE_PATH_BYTES]);
/* Once the model is open: removes the links. */
void checkpoint_unstage(const char *files);
/* Fills it with the files of an open model, and has saves copy from there, whatever becomes of the folder that the
 * model was opened from. */
enum err checkpoint_keep_files(const char *folder, struct model *policy, const char *dtype);

/* Whether a whole checkpoint can be continued from: ERR_STATE passes it over, ERR_USAGE ends the search. */
typedef enum err checkpoint_accept(void *context, const char *path, const struct checkpoint_state *state);
/* The newest whole checkpoint under FOLDER/checkpoints that is accepted (NULL: any); *found false if there are no
 * checkpoints; ERR_STATE if there are, but none will do. Cleans up after a crash: what was complete but not yet
 * renamed is a checkpoint, other remains are removed. */
enum err checkpoint_find(const char *folder, char *path, size_t capacity, bool *found, checkpoint_accept *accept,
                         void *context);
/* Renames checkpoints of later steps to aside-*: a run that continues from `step` takes another course. The next
 * save removes them. */
enum err checkpoint_set_aside(const char *folder, int64_t step);
/* ERR_STATE with the file's name if the folder does not match its manifest, or the manifest lacks a file that must
 * be there. */
enum err checkpoint_verify(const char *path);

enum err checkpoint_read_state(const char *path, struct checkpoint_state *out);
/* Moments, and the weights in all bits. ERR_USAGE if it has the moments of another kind of optimiser. */
enum err checkpoint_read_optim(const char *path, struct optim *optim, const struct model *policy);
bool checkpoint_has_reference(const char *path);
enum err checkpoint_read_reference(const char *path, struct model *reference);

#endif
