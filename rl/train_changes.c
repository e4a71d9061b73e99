/* rl/train_changes.c - the recipe of a run that is continued: paths that open from any folder, what has changed
 * since the last start, and what of that is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "rl/data/generator.h"
#include "rl/train_resume.h"

/* ---- paths ---- */

/* `path` from the root, or as it is if it cannot be followed and begins there; in the recipe's arena. */
static const char *absolute(struct recipe *recipe, const char *path)
{
    const char *result = path;
    char *real = realpath(path, NULL);
    if (real) {
        result = arena_strdup(&recipe->arena, real);
        free(real);
    } else if (path[0] != '/' && (real = realpath(".", NULL))) {
        result = arena_printf(&recipe->arena, "%s/%s", real, path);
        free(real);
    }
    return result;
}

/* A name that need not be a path (a generator, a template that is built in) stays as it is unless there is such a
 * file. */
static const char *absolute_file(struct recipe *recipe, const char *name)
{
    const char *path = name[0] ? recipe_path(recipe, name) : name;
    return name[0] && file_exists(path) ? absolute(recipe, path) : name;
}

static bool is_path_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("./_-", c);
}

/* The text of a reward of the user's own (a plug-in, a program), its words that name a file here made absolute. */
static const char *absolute_words(struct recipe *recipe, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    for (size_t at = 0, n; text[at]; at += n) {
        for (n = 0; text[at + n] && is_path_letter(text[at + n]); n++) {
        }
        if (n == 0) {
            n = 1;
            strbuf_putc(&out, text[at]);
            continue;
        }
        const char *word = arena_strndup(&recipe->arena, text + at, n), *path = word;
        if (word[0] != '/' && (strchr(word, '/') || strchr(word, '.')) && file_exists(word) && !file_is_folder(word)) {
            path = absolute(recipe, word);
        }
        bool plain = true;
        for (const char *c = path; *c; c++) {
            plain = plain && is_path_letter(*c);
        }
        strbuf_puts(&out, plain ? path : word);
    }
    const char *result = arena_strdup(&recipe->arena, out.data ? out.data : "");
    strbuf_release(&out);
    return result;
}

void train_resolve_paths(struct recipe *recipe)
{
    static const char *const templates[] = {"r1-zero", "chat", "none"};
    struct data_recipe *data = &recipe->data;
    struct run_recipe *run = &recipe->run;
    recipe->model.model_name_or_path = absolute(recipe, recipe_path(recipe, recipe->model.model_name_or_path));
    if (!generator_find(data->dataset_name)) {
        data->dataset_name = absolute_file(recipe, data->dataset_name);
    }
    if (!generator_find(data->eval_dataset_name)) {
        data->eval_dataset_name = absolute_file(recipe, data->eval_dataset_name);
    }
    bool built_in = false;
    for (int i = 0; i < 3; i++) {
        built_in |= strcmp(data->template_name, templates[i]) == 0;
    }
    data->template_name = built_in ? data->template_name : absolute_file(recipe, data->template_name);
    if (strcmp(run->resume_from_checkpoint, "auto") != 0 && strcmp(run->resume_from_checkpoint, "none") != 0) {
        run->resume_from_checkpoint = absolute(recipe, run->resume_from_checkpoint);
    }
    for (int i = 0; i < recipe->reward.reward_funcs.n; i++) {
        const char **item = &recipe->reward.reward_funcs.items[i];
        if (str_starts(str_of(*item), STR("command")) || str_starts(str_of(*item), STR("plugin"))) {
            *item = absolute_words(recipe, *item);
        }
    }
}

/* ---- the base model ---- */

#define SAMPLES      64
#define SAMPLE_BYTES ((size_t)1 << 16)

/* Size and parts of a file: all of a small one, pieces spread evenly over a large one, so that no start reads
 * gigabytes. */
static enum err fold_file(XXH3_state_t *hash, const char *path)
{
    struct file_map map;
    TRY(file_map_open(&map, path));
    uint64_t size = map.size;
    XXH3_64bits_update(hash, &size, sizeof size);
    if (map.size <= SAMPLES * SAMPLE_BYTES) {
        XXH3_64bits_update(hash, map.size ? (const void *)map.data : "", map.size);
    } else {
        for (size_t i = 0; i < SAMPLES; i++) {
            XXH3_64bits_update(hash, map.data + (map.size - SAMPLE_BYTES) / (SAMPLES - 1) * i, SAMPLE_BYTES);
        }
    }
    file_map_close(&map);
    return ERR_NONE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in a folder that make a model: config, tokenizer, weights. In the arena, sorted. */
static int list_model(const char *folder, struct arena *arena, const char *names[64])
{
    int n = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && n < 64 && (entry = readdir(listing));) {
        struct str name = str_of(entry->d_name);
        if (str_ends(name, STR(".safetensors")) || str_equal(name, STR("config.json")) ||
            str_equal(name, STR("tokenizer.json")) || str_equal(name, STR("tokenizer_config.json")) ||
            str_equal(name, STR("generation_config.json"))) {
            names[n++] = arena_strdup(arena, entry->d_name);
        }
    }
    if (listing) {
        closedir(listing);
    }
    qsort(names, (size_t)n, sizeof *names, by_name);
    return n;
}

/* Writes a hash that distinguishes one model from another, in hexadecimal. */
static enum err model_fingerprint(const char *path, struct arena *arena, char out[17])
{
    const char *names[64];
    XXH3_state_t *hash = XXH3_createState();
    BUG_ON(!hash);
    XXH3_64bits_reset(hash);
    bool folder = file_is_folder(path);
    int n = folder ? list_model(path, arena, names) : 0;
    enum err result = folder ? ERR_NONE : fold_file(hash, path);
    for (int i = 0; i < n && result == ERR_NONE; i++) {
        char file[FILE_PATH_BYTES];
        XXH3_64bits_update(hash, names[i], strlen(names[i]) + 1);
        result = file_join(file, sizeof file, path, names[i]);
        result = result == ERR_NONE ? fold_file(hash, file) : result;
    }
    snprintf(out, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(hash));
    XXH3_freeState(hash);
    return result;
}

enum err train_note_base(struct train *t)
{
    char now[17];
    struct arena scratch = ARENA_INIT;
    enum err result = model_fingerprint(t->recipe->model.model_name_or_path, &scratch, now);
    if (result == ERR_NONE) {
        result = store_set_meta(t->record.store, "base_xxh3", now);
    }
    arena_release(&scratch);
    return result;
}

/* A path of another name is the same model if what is there is the same; the same path may hold another model by
 * now. */
static enum err check_base(struct train *t, const struct recipe *before, struct arena *scratch)
{
    const char *was = before->model.model_name_or_path, *is = t->recipe->model.model_name_or_path;
    char now[17] = "";
    bool readable = file_exists(is) && model_fingerprint(is, scratch, now) == ERR_NONE;
    const char *began = store_get_meta(t->record.store, "base_xxh3", scratch);
    bool same = readable && began && strcmp(began, now) == 0, moved = strcmp(was, is) != 0;
    if (same || (!moved && (!readable || !began))) {
        return ERR_NONE; /* without its base a run continues from its checkpoints */
    }
    if (moved) {
        return err_set(ERR_USAGE,
                       "%s trains another model: model_name_or_path %s -> %s; choose another output_dir, or name the "
                       "model that it began with",
                       t->recipe->run.output_dir, was, is);
    }
    if (t->recipe->lora.r > 0) {
        return err_set(ERR_USAGE,
                       "%s has changed since %s began, and its adapter was trained on what was there; put it back", is,
                       t->recipe->run.output_dir);
    }
    if (train_has_reference(t->recipe) && !t->recipe->loss.sync_ref_model) { /* else checkpoints have it */
        return err_set(ERR_USAGE,
                       "%s has changed since %s began, and the reference model is read from it (beta %g); put it back",
                       is, t->recipe->run.output_dir, t->recipe->loss.policy.beta);
    }
    t->record.base_changed = true;
    return ERR_NONE;
}

/* ---- keys ---- */

/* The effective recipe of the last start, from run.db, or from recipe.yaml if run.db was lost; false if there is
 * none that this version can read. */
static bool recipe_before(struct train *t, struct recipe *out, struct arena *scratch)
{
    const char *text = store_get_meta(t->record.store, "recipe", scratch);
    const char *path = store_get_meta(t->record.store, "recipe_path", scratch);
    char file[FILE_PATH_BYTES] = "";
    enum err result = ERR_NONE;
    if (text) {
        result = recipe_parse(out, str_of(text), path ? path : "run.db");
    } else {
        result = file_join(file, sizeof file, t->recipe->run.output_dir, "recipe.yaml");
        if (result == ERR_NONE && !file_exists(file)) {
            return false;
        }
        result = result == ERR_NONE ? recipe_open(out, file) : result;
    }
    if (result != ERR_NONE) {
        log_warning("%s: the recipe of its last start cannot be compared with this one: %s", t->recipe->run.output_dir,
                    err_text());
        return false;
    }
    train_resolve_paths(out);
    return true;
}

/* Compares what the run is, apart from its model, which may have been moved. */
static enum err refuse_other_run(struct train *t, const struct recipe *before)
{
    struct strbuf keys = STRBUF_INIT;
    struct recipe same = *before;
    same.model.model_name_or_path = t->recipe->model.model_name_or_path;
    enum err result = ERR_NONE;
    if (recipe_compare(&same, t->recipe, CHANGE_REFUSED, &keys) > 0) {
        result = err_set(ERR_USAGE, "%s is another run: %s; choose another output_dir, or set that back",
                         t->recipe->run.output_dir, keys.data);
    }
    strbuf_release(&keys);
    return result;
}

enum err train_compare(struct train *t)
{
    struct recipe before;
    struct arena scratch = ARENA_INIT;
    enum err result = ERR_NONE;
    if (recipe_before(t, &before, &scratch)) {
        int *shards = &t->recipe->run.gradient_shards; /* 0: as many as the run began with */
        before.run.gradient_shards = before.run.gradient_shards ? before.run.gradient_shards : 1;
        *shards = *shards ? *shards : before.run.gradient_shards;
        result = refuse_other_run(t, &before);
        if (result == ERR_NONE) {
            result = check_base(t, &before, &scratch);
        }
        recipe_compare(&before, t->recipe, CHANGE_SAID, &t->record.changed);
        struct strbuf more = STRBUF_INIT;
        if (recipe_compare(&before, t->recipe, CHANGE_BETWEEN, &more) > 0) {
            strbuf_printf(&t->record.changed, "%s%s", t->record.changed.length ? "; " : "", more.data);
        }
        strbuf_release(&more);
        recipe_release(&before);
    }
    arena_release(&scratch);
    return result;
}

enum err train_check_inside(struct train *t, const struct checkpoint_state *state, const struct store_shape *shape)
{
    struct recipe then;
    struct strbuf keys = STRBUF_INIT;
    char name[64];
    snprintf(name, sizeof name, "run.db, iteration %lld", (long long)state->iteration);
    TRY(recipe_parse(&then, str_of(shape->keys), name));
    enum err result = ERR_NONE;
    if (recipe_compare(&then, t->recipe, CHANGE_BETWEEN, &keys) > 0) {
        long long left = shape->n_steps - state->minibatch;
        result =
            err_set(ERR_USAGE,
                    "%s stopped inside an iteration, whose rollouts were made with other keys: %s; set that back "
                    "for %lld more step%s (--max_steps=%lld) and change it then, or choose another output_dir",
                    t->recipe->run.output_dir, keys.data, left, left == 1 ? "" : "s", (long long)state->step + left);
    }
    strbuf_release(&keys);
    recipe_release(&then);
    return result;
}

enum err train_report_changes(struct train *t)
{
    if (t->record.changed.length == 0) {
        return ERR_NONE;
    }
    log_warning("changed since the last start, and used from step %lld on: %s", (long long)t->state.step + 1,
                t->record.changed.data);
    return store_event(t->record.store, t->state.step, "recipe", t->record.changed.data);
}
