/* model/model.h - a decoder with its weights and its tokenizer, forward and backward.
 *
 * A model is opened from a Hugging Face directory or a GGUF file, lives on one device, and is used by one thread at a time
 * (operations are parallel inside). Rollout and training use the same weights and the same forward operations, so that
 * the log-probabilities of both agree in every bit (kernels/ops.h).
 *
 * Two ways forward:
 *   model_forward_cached   any mix of prompt chunks and single decode rows; keys and values go to the caller's pages
 *   model_forward          a packed training batch; keeps what model_backward needs
 * Both end in `hidden`, the rows after the final norm; ops->head and ops->head_sample turn chosen rows into log-probabilities
 * and tokens. Tokens, positions, rows and numbers per target are host arrays; hidden and gradients are on the device.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/params.h"
#include "model/weights.h"

struct tokenizer;
struct activations;
struct adapter;
struct buffers;
struct model;

/* A function that sees the rows x [T, d] (device) after each layer of a forward pass, or NULL. Positions are on the host. */
struct model_watch {
    void (*see)(void *context, const struct model *model, int layer, int T, const int32_t *positions, const void *x);
    void *context;
};

struct model {
    struct device *device; /* borrowed */
    struct model_config config;
    struct params params;    /* the numbers, */
    struct weights weights;  /* and which of them is what */
    struct adapter *adapter; /* what it has learnt in addition, with frozen params (model/adapter.h); NULL: nothing */
    struct tokenizer *tokenizer;
    float *rope_cos, *rope_sin;    /* device, [max positions in use, D/2] */
    int max_positions;             /* rows of the two tables */
    char *source;                  /* the path it was opened from */
    char *base;                    /* of an adapter, or what it was merged into: the model below it; else NULL */
    struct model_scratch *scratch; /* buffers of model_forward_cached */
    struct model_watch watch;      /* set by whoever watches */
    bool is_clone;                 /* tokenizer and rope tables belong to the model it was cloned from, */
    bool borrows_weights;          /* and the parameters too */
};

/* Opens a directory (config.json + *.safetensors + tokenizer.json), a .gguf file, or an adapter (model/peft.h) with the base that it
 * names. max_positions bounds every sequence
 * (0: what the config allows, at most 32768); ERR_LIMIT if the config allows fewer, ERR_DEVICE if the device's operations do
 * not take the model's shape (struct ops_limits). Release with model_close. */
enum err model_open(struct model **out, const char *path, struct device *device, int max_positions);
/* Like model_open, with fp32 master weights where the device's elements are narrower: for a model that is trained by fp32 steps. Not
 * of an adapter. */
enum err model_open_trainable(struct model **out, const char *path, struct device *device, int max_positions);
/* The shape and the tokenizer of `path`, which may be a folder without weights, with weights drawn as by model_new. */
enum err model_open_random(struct model **out, const char *path, struct device *device, int max_positions,
                           bool trainable, uint64_t seed);
/* The model at `base`, frozen, with an adapter that trains: the one in the folder `adapter`, which has the shape that `lora` says, or
 * (NULL) a new one drawn from the seed. masters: as model_open_trainable, of the adapter. */
struct model_lora {
    const char *base, *adapter;
    struct lora lora;
    uint64_t seed;
    bool masters;
};
enum err model_open_lora(struct model **out, const struct model_lora *lora, struct device *device, int max_positions);
/* Random weights of the given shape (normal, deviation 0.02; output projections / sqrt(2 layers); norms 1), for training from
 * nothing and for tests; trainable. Takes the tokenizer over (may be NULL). */
enum err model_new(struct model **out, const struct model_config *config, struct tokenizer *tokenizer,
                   struct device *device, int max_positions, uint64_t seed);
/* A model of that shape on a device that plans (device_open_planning), for its memory alone. `source` is for messages; trainable:
 * with master weights. On such a device model_open and model_new check everything, too, but read and draw no weights. */
enum err model_plan(struct model **out, const struct model_config *config, const char *source, struct device *device,
                    int max_positions, bool trainable);

/* Reads the config of the model at `path`, and nothing else; of an adapter, that of its base, with config.lora. */
enum err model_open_config(struct model_config *out, const char *path);
/* Other weights of the same shape from `path`. */
enum err model_read_weights(struct model *model, const char *path);
/* Weights drawn anew, as model_new draws them. */
void model_init_random(struct model *model, uint64_t seed);
/* The parameters that are trained: the adapter's if there is one. */
struct params *model_trained(const struct model *model);
/* A second set of weights equal to the first (the reference model). It borrows the tokenizer and the rope tables, so it is
 * closed before the first. Not of a model with an adapter. */
enum err model_clone(struct model **out, const struct model *model);
/* The same model with its adapter off; it borrows all it has. */
struct model *model_without_adapter(const struct model *model);
/* The adapter becomes part of the weights; each rounded once. */
void model_merge(struct model *model);
/* The numbers of `to` become those of `from`; same shapes; `to` is not trained. */
void model_copy_weights(struct model *to, const struct model *from);
/* to = share from + (1 - share) to; what is fp32 on every device, a router's correction bias, is copied */
void model_mix_weights(struct model *to, const struct model *from, float share);
void model_close(struct model *model);

/* Writes a Hugging Face directory (config.json, generation_config.json and tokenizer files as they were opened,
 * model.safetensors, format "pt", in `dtype`: "float32" or "bfloat16"); of a model with an adapter, the adapter and tokenizer files
 * alone. Each file fsynced. The folder exists. ERR_NUMBERS, and no *.safetensors, if a weight is not finite. */
enum err model_save(const struct model *model, const char *folder, const char *dtype);
/* config.json, generation_config.json and tokenizer files. */
enum err model_save_files(const struct model *model, const char *folder, const char *dtype);

/* ---- cached forward (rollout) ---- */

/* Pages of OPS_PAGE positions, in every layer what its blocks keep of them (keys and values); on a device that repeats work there
 * is one page more, for rows that are added (model/forward_cached.c). */
struct kv_pool {
    int n_pages;
    struct buffers *pages;
};

void kv_pool_init(struct kv_pool *pool, const struct model *model, int n_pages);
void kv_pool_release(struct kv_pool *pool, const struct model *model);
size_t kv_page_bytes(const struct model *model); /* of one page over all layers */
/* Copies the first n positions of page `from` to page `to`, in every layer. */
void kv_pool_copy(struct kv_pool *pool, const struct model *model, int32_t from, int32_t to, int n);

/* T rows of any sequences, at most as many as were reserved; the spans cover the rows in order. `hidden` [T, d] is written
 * (device). Pages of positions 0 .. last must be given in each span. */
struct cached_batch {
    int T;
    const int32_t *tokens, *positions;
    int n_spans;
    const struct span *spans;
};

void model_reserve_cached(struct model *model, int max_rows); /* sizes the buffers once, in DEVICE_ROLLOUT */
void model_release_cached(struct model *model);
void model_forward_cached(struct model *model, const struct cached_batch *batch, struct kv_pool *pool, void *hidden);
/* Which experts the T rows of the last pass went to: [T, layers with experts, k] on the host, ascending in each layer; for at most
 * MODEL_MOST_BYTE_EXPERTS experts. */
void model_cached_experts(const struct model *model, int T, uint8_t *experts);

/* ---- training ---- */

/* Packed without padding: contexts, none of them empty, cover all T rows in order, and a shared prefix is the head of the
 * nearest context before that has no prefix itself. A target is a row whose hidden state predicts a token (the last row of a
 * prompt predicts the first token of each of its completions, so rows may repeat, in any order). */
struct train_batch {
    int T;
    const int32_t *tokens, *positions; /* [T] */
    int n_contexts;
    const struct context *contexts;
    int n_targets;
    const int32_t *target_rows, *targets; /* [n_targets] */
    const uint8_t *experts; /* [T, layers with experts, k], ascending in each: taken without a choice; or NULL */
};

/* Memory of DEVICE_TRAINING for batches of at most max_tokens rows, max_targets targets and max_contexts sequences of at most
 * max_length. With checkpointing, much less of it: model_backward computes the layers again, to the same bits
 * (model/activations.h). */
struct activations *activations_new(const struct model *model, int max_tokens, int max_targets, int max_contexts,
                                    int max_length, bool checkpointing);
void activations_free(struct activations *acts, const struct model *model);

/* Fills acts; then model_target_logprobs reads from it, and model_backward adds to model_trained's grads, for weights that train. Both
 * may be called any number of times after one forward pass. */
void model_forward(struct model *model, const struct train_batch *batch, struct activations *acts);
/* As model_cached_experts, of model_forward; and of one layer, [T, k], with the router's logits [T, E] (NULL: not wanted). */
void model_packed_experts(const struct model *model, const struct activations *acts, uint8_t *experts);
void model_packed_routes(const struct model *model, const struct activations *acts, int layer, int32_t *experts,
                         float *logits);
/* A loss on the router's shares, a row's scores divided by their sum: what model_backward adds to their gradient after this forward
 * pass. dshares [n_layers, n_sets, E]; sets [T]: which of them a row has. Host; room for max_sets is taken once. */
void activations_add_balance(struct activations *acts, const struct model *model, int max_sets);
void model_balance(const struct model *model, struct activations *acts, const float *dshares, const int32_t *sets,
                   int n_sets);
/* logprob, lse [n_targets], entropy [n_targets] or NULL; host. */
void model_target_logprobs(struct model *model, const struct train_batch *batch, struct activations *acts,
                           float inv_temperature, float *logprob, float *lse, float *entropy);
/* Given lse of each target (from model_target_logprobs, or from the rollout while the weights are unchanged) and the loss's
 * gradient with respect to each target's log-probability and entropy (NULL: zeros). */
void model_backward(struct model *model, const struct train_batch *batch, struct activations *acts,
                    float inv_temperature, const float *lse, const float *entropy, const float *d_logprob,
                    const float *d_entropy);

/* The operations of its layers, for struct device_limits. */
void model_shapes(const struct model *model, struct device_shapes *out);
/* Forward floating-point operations of `n_tokens` new tokens after `n_context` cached ones: 2 per weight that multiplies,
 * 2 H (D + Dv) per pair of positions and layer. Training costs three times as much, that of an adapter
 * twice. An adapter is not counted. */
double model_flops(const struct model_config *config, double n_tokens, double n_context);

#endif
