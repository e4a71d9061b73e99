/* rl/data/dataset_internal.h - the inside of a data set: rows and prompts (dataset.c), texts (dataset_text.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_DATASET_INTERNAL_H
#define RL_DATA_DATASET_INTERNAL_H

#include "rl/data/dataset.h"
#include "rl/data/generator.h"
#include "rl/data/jsonl.h"
#include "rl/data/template.h"

enum { WHERE_BYTES = 4200, AHEAD = 128 };

/* What the making of a row needs; of one thread at a time. */
struct desk {
    struct arena scratch; /* of one row */
    struct strbuf line, text;
};

/* A text made ahead of its use; it is stored in the arena of its desk. */
struct made {
    struct desk desk;
    struct dataset_text text;
    bool fits;
    enum err err;
    const char *error; /* the sentence of err */
};

struct dataset {
    const struct data_recipe *options;
    const struct tokenizer *tokenizer;
    struct template *tpl;
    int32_t end_token;
    int32_t *turn_end; /* tokens after a learnt completion; in `lasting` */
    int n_turn_end;
    struct arena lasting;
    bool learns;  /* whole texts, or completions; else prompts are answered */
    bool is_text; /* rows are whole texts */
    bool from_generator;
    bool shuffled;
    uint64_t seed;
    struct generator generator;
    struct jsonl file;
    uint64_t fingerprint;
    int64_t cursor, n_skipped;
    struct desk desk;
    struct made *made; /* [AHEAD], the texts of the positions made_from .. made_from + n_made - 1 */
    int64_t made_from;
    int n_made;
};

/* The row at one position. */
struct row {
    json_t *fields;
    json_t *prompt;  /* text or messages; borrowed from fields, or owned by the row of a generator */
    struct str text; /* is_text */
    char where[WHERE_BYTES];
};

/* Reads the row at a position; row_release gives it back. */
enum err dataset_read(const struct dataset *dataset, int64_t position, struct desk *desk, struct row *row);
void row_release(struct row *row);

/* The key that says how long a row may be. */
const char *dataset_length_key(const struct dataset *dataset);
/* Too long: an error, or *fits is false. */
enum err dataset_check_length(const struct dataset *dataset, const struct row *row, int n, int max, bool *fits);
/* After a row that was too long: is there any hope of one that is not? */
enum err dataset_skip(struct dataset *dataset, int64_t skipped_in_a_row);

enum err dataset_encode_prompt(const struct dataset *dataset, struct str text, struct arena *arena, int32_t **tokens,
                               int *n);

/* What is learnt of a row with a prompt. If there is no such field, the prompt's last message is taken out of
 * `messages`, a copy of the prompt. */
enum err dataset_completion(const struct dataset *dataset, const struct row *row, json_t *messages, struct str *out);
void dataset_find_turn_end(struct dataset *dataset); /* once the template is open */

void desk_release(struct desk *desk);

#endif
