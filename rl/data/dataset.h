/* rl/data/dataset.h - an endless, shuffled order of prompts (or of texts) with a position in it.
 *
 * The source is a JSONL file, opened by the offsets of its lines, or a built-in generator. Position i of the order
 * is a function of (seed, i) alone: epoch i / size, and a permutation of the epoch that is computed, not stored
 * (rl/data/order.h). So resuming at a position is one assignment.
 *
 * A file is read through once when it is opened: a line that is not JSON, lacks its fields or has a prompt that is
 * too long (unless long_prompts is skip) is an error then, with path:line, and not in the middle of a run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_DATASET_H
#define RL_DATA_DATASET_H

#include "model/tokenizer.h"
#include "rl/iteration.h"
#include "rl/recipe/recipe.h"

struct dataset;

/* `name`: a path (see recipe_path), or "GENERATOR:options". The eval data set is not shuffled, and its generator has
 * a seed of its own, so that every run is measured on the same prompts. end_token ends a text of method sft; -1:
 * none. A completion in a chat template ends as the template ends it. The recipe and the tokenizer outlive the data
 * set. */
enum err dataset_open(struct dataset **out, struct recipe *recipe, const char *name, bool is_eval,
                      const struct tokenizer *tokenizer, int32_t end_token);
void dataset_close(struct dataset *dataset); /* NULL is allowed */

/* The row of line i of a file (of number i of a generator), whatever the order; the caller's reference. `where`:
 * what errors about it begin with. */
enum err dataset_row(struct dataset *dataset, int64_t i, json_t **fields, char *where, size_t capacity);

int64_t dataset_size(const struct dataset *dataset); /* rows of an epoch; 0: endless */
int64_t dataset_cursor(const struct dataset *dataset);
void dataset_seek(struct dataset *dataset, int64_t position);
/* Another value for other contents: of the file's bytes, or of the generator's name, options and seed. */
uint64_t dataset_fingerprint(const struct dataset *dataset);
int64_t dataset_skipped(const struct dataset *dataset); /* too long rows passed over since it was opened */

/* Fills it->prompts with the next it->n_prompts: the row's prompt in the template, tokenised. A prompt of more than
 * max_prompt_length tokens is an error that names its line, or is passed over (long_prompts). If it fails, the
 * cursor stays. */
enum err dataset_next(struct dataset *dataset, struct iteration *it);

/* For method sft: the next row as tokens; the first n_masked are not learnt (the prompt). A row is a prompt and its
 * completion, or a whole text, with its end after it; or, with pack_length, as many whole texts as fit, each with
 * its end token. The completion is the field completion_field or, if that is missing, the last message of the
 * prompt. Texts are made some way ahead, by several threads; what comes out and when a bad row is an error do not
 * depend on it. */
struct dataset_text {
    int32_t *tokens;
    int n_tokens, n_masked;
};
enum err dataset_next_text(struct dataset *dataset, struct arena *arena, struct dataset_text *out);
/* What the next call would take, without taking it: of a prompt all tokens are masked (`sft` false). */
enum err dataset_first(struct dataset *dataset, bool sft, struct arena *arena, struct dataset_text *out);

#endif
