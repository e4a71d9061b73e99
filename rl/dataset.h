/* rl/dataset.h - an endless, shuffled order of prompts (or of texts) with a position in it.
 *
 * The source is a JSONL file, opened by the offsets of its lines, or a built-in generator. Position i of the order is a function of
 * (seed, i) alone: epoch i / size, and a permutation of the epoch that is computed, not stored (a Feistel network of the
 * index, walked until it falls inside). So resuming at a position is one assignment.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATASET_H
#define RL_DATASET_H

#include "model/tokenizer.h"
#include "rl/iteration.h"
#include "rl/recipe.h"

struct dataset;

/* `name`: a path, or "GENERATOR:options". The eval data set is not shuffled. */
enum err dataset_open(struct dataset **out, struct recipe *recipe, const char *name, bool is_eval,
                      const struct tokenizer *tokenizer);
void dataset_close(struct dataset *dataset);

int64_t dataset_size(const struct dataset *dataset); /* rows of an epoch; 0: endless */
int64_t dataset_cursor(const struct dataset *dataset);
void dataset_seek(struct dataset *dataset, int64_t position);

/* Fills it->prompts with the next it->n_prompts: the row's prompt in the template, tokenised. A prompt of more than
 * max_prompt_length tokens is an error that names its line, or is passed over (long_prompts). */
enum err dataset_next(struct dataset *dataset, struct iteration *it);

/* For method sft: the next text as tokens, an end token after it; the first n_masked are not learnt (the prompt). */
struct dataset_text {
    int32_t *tokens;
    int n_tokens, n_masked;
};
enum err dataset_next_text(struct dataset *dataset, struct arena *arena, struct dataset_text *out);

#endif
