/* rl/recipe/recipe.h - every setting of a run, read from one flat YAML file and from --key=value.
 *
 *   struct recipe recipe;
 *   TRY(recipe_open(&recipe, "recipes/tiny/r1-zero.yaml"));     the file
 *   TRY(recipe_override(&recipe, "learning_rate=3e-6"));        each --key=value, in order
 *   TRY(recipe_finish(&recipe));                                what follows from other keys; wrong combinations
 *   ...
 *   recipe_release(&recipe);
 *
 * One table (rl/recipe/recipe_table.c: key, type, default, range, unit, aliases, one sentence) drives the reading,
 * the overrides, `strop check`, the effective recipe that is saved with a run, and the key reference. Keys carry
 * TRL's names; verl's and OpenRLHF's dotted names are understood as aliases. An unknown key, a duplicate, a value of
 * another type or out of range is refused with file:line:column.
 *
 * Paths in a recipe are relative to the recipe's folder if they exist there, else to the working directory;
 * recipe_path says which. output_dir is always relative to the working directory.
 *
 * All text belongs to the recipe's arena. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RECIPE_RECIPE_H
#define RL_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "kernels/grpo_loss.h"
#include "model/adapter.h"
#include "reward/reward.h"
#include "rl/advantage.h"
#include "rl/optim.h"

enum recipe_method {
    METHOD_GRPO,
    METHOD_SFT, /* next-token training: on completions (prompt masked), or on whole texts when text_field is set */
};
enum init_weights { INIT_CHECKPOINT, INIT_RANDOM };
enum long_prompts { LONG_PROMPTS_ERROR, LONG_PROMPTS_SKIP };

struct recipe_list {
    const char **items;
    int n;
};

/* A value by step: "0:512,200:1024" is 512 up to step 199 and 1024 from step 200 on. A plain number is one entry. */
struct recipe_schedule {
    struct recipe_schedule_entry {
        int64_t step;
        int value;
    } * entries;
    int n;
};
int recipe_schedule_at(const struct recipe_schedule *schedule, int64_t step); /* steps count from 1 */
int recipe_schedule_max(const struct recipe_schedule *schedule);              /* the largest value */

struct model_recipe {
    const char *model_name_or_path; /* as written; open recipe_path(recipe, ...) of it */
    enum init_weights init_weights; /* random: shape and tokenizer from the path, weights from the seed */
    const char *device;             /* "auto", "cpu", "cpu/avx2" ... */
    int num_threads;                /* 0: one per core */
};

struct data_recipe {
    const char *dataset_name;      /* a JSONL path, or "GENERATOR:key=value,..." */
    const char *eval_dataset_name; /* "" for none */
    const char *prompt_field;
    const char *completion_field; /* sft: what is learnt */
    const char *text_field;       /* sft: "" for prompt and completion; else whole texts are learnt */
    const char *template_name;    /* r1-zero, chat, none, or a path */
    const char *system_prompt;
    const char *chat_template_kwargs; /* a JSON object; "": none */
    int max_prompt_length;            /* tokens */
    int max_length;                   /* tokens of a whole text (sft) */
    enum long_prompts long_prompts;
    bool shuffle;
    int pack_length; /* sft: whole texts are joined into rows of at most this many tokens; 0: a text is a row */
};

struct rollout_recipe {
    int num_generations;                          /* G */
    int prompts_per_step;                         /* prompts (sft: texts or packed rows) of one update */
    struct recipe_schedule max_completion_length; /* tokens */
    double temperature, top_p, min_p, repetition_penalty;
    int top_k; /* 0: off */
    struct recipe_list stop;
    int max_sequences, max_batch_tokens; /* struct rollout_options */
    int kv_pages;                        /* 0: as many as max_sequences need */
};

struct reward_recipe {
    struct recipe_list reward_funcs; /* each "name:key=value,..." */
    enum reward_on_error on_reward_error;
    double max_error_rate; /* of a rollout's samples */
    double reward_timeout; /* seconds per item */
    int reward_threads;    /* 0: num_threads */
    bool mask_truncated_completions;
    bool dynamic_sampling;
    int dynamic_sampling_max_rounds; /* rollouts of one iteration at most */
};

enum loss_type {
    LOSS_DAPO,
    LOSS_GRPO,
    LOSS_DR_GRPO,
    LOSS_BNPO,
    LOSS_GSPO,
    LOSS_CISPO,
    LOSS_SAPO,
    LOSS_LUSPO,
    LOSS_VESPO,
    LOSS_REINFORCE,
};

/* Experts that off-policy steps take: their own choice, or the rollout's. One engine draws and trains, so the policy's choice at the
 * start of an iteration (R2) is the rollout's (R3), bit by bit. */
enum routing_replay { REPLAY_NONE, REPLAY_R2, REPLAY_R3 };

enum importance_level { IMPORTANCE_TOKEN, IMPORTANCE_SEQUENCE };

struct loss_recipe {
    enum loss_type loss_type; /* surrogate and aggregation */
    enum importance_level importance_sampling_level;
    struct grpo_loss_options policy; /* surrogate and sequence_level are set by recipe_finish */
    bool use_bias_correction_kl;     /* as policy.kl_estimator says, after recipe_finish */
    double entropy_coef;
    enum routing_replay routing_replay;
    double router_aux_loss_coef, router_seq_loss_coef, router_bias_update_rate; /* rl/balance.h */
    double
        top_entropy_quantile; /* share of tokens, the most uncertain ones, that have policy and entropy term; 1: all */
    int num_iterations;       /* passes over a rollout */
    int steps_per_generation; /* minibatches of a rollout */
    bool sync_ref_model;
    int ref_model_sync_steps;
    double ref_model_mixup_alpha; /* reference = alpha * policy + (1 - alpha) * reference */
};

enum bits_check { BITS_CHECK_ON, BITS_CHECK_WARN };

struct lora_recipe {
    int r; /* 0: all weights are trained */
    double alpha;
    struct recipe_list target_modules;
    bool use_rslora;
    struct lora lora; /* the same for model/adapter.h; after recipe_finish */
};

struct run_recipe {
    const char *output_dir;
    uint64_t seed;
    int64_t max_steps; /* 0: num_train_epochs decides (dataset_steps) */
    double num_train_epochs;
    int texts_per_step; /* sft */
    int tokens_per_micro_batch;
    int gradient_shards; /* rl/grad_shards.h; 0: as many as there are ranks, until the run begins */
    int n_ranks;         /* no key: of this start, set by dist_open; 0: one */
    bool gradient_checkpointing;
    enum bits_check bits_check;
    int save_steps; /* 0: at the end only */
    int save_total_limit;
    const char *save_dtype;             /* "float32", "bfloat16" */
    const char *resume_from_checkpoint; /* "auto", "none", or a path */
    bool report_tensorboard;            /* report_to has "tensorboard"; jsonl is always written */
    struct recipe_list report_to;
    int num_completions_to_print;
};

struct eval_recipe {
    int eval_steps; /* 0: never between */
    bool eval_on_start, eval_on_end;
    int eval_num_prompts;     /* 0: all of a file */
    int eval_num_generations; /* k */
    double eval_temperature;
};

#define RECIPE_KEYS_MAX 128

struct recipe {
    enum recipe_method method;
    struct model_recipe model;
    struct data_recipe data;
    struct rollout_recipe rollout;
    struct reward_recipe reward;
    struct advantage_options advantage;
    struct loss_recipe loss;
    struct lora_recipe lora;
    struct optim_options optim; /* seed is set by recipe_finish, max_steps by the trainer when it is known */
    struct run_recipe run;
    struct eval_recipe eval;

    const char *path; /* of the file; "" if there was none */
    struct recipe_mark {
        int line, column; /* where the key's value is; line 0: default, -1: command line */
    } marks[RECIPE_KEYS_MAX];
    struct arena arena;
};

/* All keys at their defaults. */
void recipe_init(struct recipe *recipe);
/* recipe_init, then the file; nothing is left to release if it fails. The error names all mistakes of the file, one
 * per line. */
enum err recipe_open(struct recipe *recipe, const char *path);
/* As recipe_open, but from a text; `name` takes the place of the path in errors and for recipe_path. */
enum err recipe_parse(struct recipe *recipe, struct str text, const char *name);
/* "key=value"; the value is read as YAML would read it after "key: ". */
enum err recipe_override(struct recipe *recipe, const char *assignment);
/* Collects mistakes, so that a person sees all of them at once. Begin with {0}; recipe_errors_add takes the present
 * sentence of base/err.h; recipe_errors_end releases, and returns ERR_USAGE with all sentences, or ERR_NONE if there
 * were none. */
struct recipe_errors {
    struct strbuf text;
    int n;
};
void recipe_errors_add(struct recipe_errors *errors);
enum err recipe_errors_end(struct recipe_errors *errors);

/* Fills in what follows from other keys (epsilon_high, output_dir, surrogate ...), and refuses what cannot be together.
 * Doubtful combinations are warned of (base/log.h). */
enum err recipe_finish(struct recipe *recipe);
/* What the methods refuse and warn of (rl/method.h). */
enum err recipe_check_grpo(struct recipe *recipe);
enum err recipe_check_sft(struct recipe *recipe);
/* ERR_USAGE if the gradient cannot be shared by run.n_ranks ranks; gradient_shards may still be 0. */
enum err recipe_check_ranks(struct recipe *recipe);
void recipe_release(struct recipe *recipe);

/* `value` as a path that opens: in the recipe's folder if it exists there, else as it is. In the recipe's arena. */
const char *recipe_path(struct recipe *recipe, const char *value);

/* Steps that one rollout feeds, and its prompts. */
int recipe_steps_per_iteration(const struct recipe *recipe);
int recipe_prompts_per_iteration(const struct recipe *recipe);

/* The effective recipe as YAML that reads back to the same: every key under its group, with its sentence. */
void recipe_write(const struct recipe *recipe, struct strbuf *out);
/* "key: value" lines of keys whose value is not the default. */
void recipe_write_changes(const struct recipe *recipe, struct strbuf *out);
/* What a key that has changed means to a run that is continued. */
enum recipe_change {
    CHANGE_SAID,    /* it continues with the new value, which is named */
    CHANGE_SILENT,  /* results do not depend on it, or it says only how long, where to and what is shown */
    CHANGE_BETWEEN, /* the rollout depends on it: named between two iterations, refused inside one */
    CHANGE_REFUSED, /* it would be another run */
};
enum recipe_change recipe_change_of(const char *key);
/* Appends "learning_rate 0.01 -> 0.1; beta 0 -> 0.05" for the keys of that kind whose values differ; returns how
 * many there are. A longer max_prompt_length or max_completion_length is CHANGE_SAID. */
int recipe_compare(const struct recipe *before, const struct recipe *now, enum recipe_change change,
                   struct strbuf *out);
/* The keys that are CHANGE_BETWEEN as lines "key: value", which recipe_parse reads. */
void recipe_write_between(const struct recipe *recipe, struct strbuf *out);
/* The key reference as Markdown. */
void recipe_write_reference(struct strbuf *out);
/* The name of key i in the order of the reference; NULL past the last. */
const char *recipe_key(int i);
/* The value of a key as its YAML text, for lists and comparisons of runs; NULL if there is no such key. */
const char *recipe_text(struct recipe *recipe, const char *key);

#endif
