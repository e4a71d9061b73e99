/* model/load.h - a checkpoint, opened: its config, its weights, its tokenizer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_LOAD_H
#define MODEL_LOAD_H

#include "model/config.h"
#include "model/tokenizer.h"
#include "model/params.h"

struct load;

/* A folder with config.json and model.safetensors or its shards, or a GGUF file. Checks the headers; reads no weights yet. */
enum err load_open(struct load **out, const char *path);
/* The same, also of a folder without weights, for all but load_weights. */
enum err load_open_shape(struct load **out, const char *path);
void load_close(struct load *load);

/* The config alone: of a folder without weights, too. */
enum err load_config_of(struct model_config *out, const char *path);
enum err load_config(const struct load *load, struct model_config *out);
/* Into the memory of `params`, which was planned for that config. Every tensor must be there with its shape, and no other parameter; on a
 * device that plans, only that is looked at. */
enum err load_weights(const struct load *load, struct params *params, struct device *device);
/* NULL, without an error, if there is none: a folder without tokenizer.json. */
enum err load_tokenizer(const struct load *load, struct tokenizer **out);

#endif
