/* rl/recipe/recipe.c - reading a recipe: defaults, file, overrides, what follows, what cannot be.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/recipe/recipe.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "rl/method.h"
#include "rl/recipe/recipe_table.h"

/* ---- defaults, file, overrides ---- */

void recipe_init(struct recipe *recipe)
{
    memset(recipe, 0, sizeof *recipe);
    recipe->path = "";
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        const struct yaml_value value = yaml_plain(field->fallback ? field->fallback : "");
        BUG_ON(recipe_set(recipe, field, &value, "default") != ERR_NONE);
    }
}

void recipe_release(struct recipe *recipe)
{
    arena_release(&recipe->arena);
    memset(recipe, 0, sizeof *recipe);
}

const char *recipe_where(struct recipe *recipe, const char *key)
{
    const struct recipe_field *field = recipe_find(key);
    BUG_ON(!field);
    const struct recipe_mark *mark = &recipe->marks[field - recipe_fields];
    if (mark->line > 0) {
        return arena_printf(&recipe->arena, "%s:%d:%d", recipe->path, mark->line, mark->column);
    }
    return mark->line < 0    ? arena_printf(&recipe->arena, "--%s", field->key)
           : recipe->path[0] ? recipe->path
                             : "recipe";
}

static enum err recipe_unknown(const char *where, const char *key)
{
    const char *foreign = recipe_foreign(key), *nearest = recipe_nearest(key);
    if (foreign) {
        return err_set(ERR_USAGE, "%s: unknown key '%.80s': %s", where, key, foreign);
    }
    if (nearest) {
        return err_set(ERR_USAGE, "%s: unknown key '%.80s'; did you mean '%s'?", where, key, nearest);
    }
    return err_set(ERR_USAGE, "%s: unknown key '%.80s'; 'strop check --keys' lists them all", where, key);
}

/* ---- all mistakes at once ---- */

enum { SHOWN_ERRORS = 12 };

void recipe_errors_add(struct recipe_errors *errors)
{
    if (errors->n < SHOWN_ERRORS) {
        strbuf_puts(&errors->text, errors->n ? "\n  " : "");
        strbuf_puts(&errors->text, err_text());
    }
    errors->n++;
}

enum err recipe_errors_end(struct recipe_errors *errors)
{
    enum err result = ERR_NONE;
    if (errors->n > SHOWN_ERRORS) {
        result = err_set(ERR_USAGE, "%s\n  and %d more", errors->text.data, errors->n - SHOWN_ERRORS);
    } else if (errors->n > 0) {
        result = err_set(ERR_USAGE, "%s", errors->text.data);
    }
    strbuf_release(&errors->text);
    return result;
}

static enum err recipe_apply(struct recipe *recipe, const struct yaml_value *value)
{
    struct recipe_mark mark = {value->line, value->column};
    char *where = arena_printf(&recipe->arena, "%s:%d:%d", recipe->path, value->key_line, value->key_column);
    const struct recipe_field *field = recipe_find(value->key);
    if (!field && value->kind == YAML_MAP) {
        return err_set(ERR_USAGE, "%s: '%.80s' is a mapping, but a recipe is flat; write '%.80s.NAME: value'", where,
                       value->key, value->key);
    }
    if (!field) {
        return recipe_unknown(where, value->key);
    }
    struct recipe_mark *slot = &recipe->marks[field - recipe_fields];
    if (slot->line != 0) { /* yaml refuses the same word twice; this is an alias next to its key */
        return err_set(ERR_USAGE, "%s: '%s' is the same as '%s', which was given in line %d; remove one of them", where,
                       value->key, field->key, slot->line);
    }
    where = arena_printf(&recipe->arena, "%s:%d:%d", recipe->path, mark.line, mark.column);
    TRY(recipe_set(recipe, field, value, where));
    *slot = mark;
    return ERR_NONE;
}

static enum err recipe_read(struct recipe *recipe, struct str text)
{
    struct yaml_value *document = NULL;
    TRY(yaml_parse(&document, text, recipe->path, &recipe->arena));
    if (document->kind == YAML_NULL) {
        return err_set(ERR_USAGE, "%s: the recipe is empty; write lines of 'key: value'", recipe->path);
    }
    if (document->kind != YAML_MAP) {
        return err_set(ERR_USAGE, "%s:%d:%d: a recipe is lines of 'key: value', not %s", recipe->path, document->line,
                       document->column, yaml_kind_name(document->kind));
    }
    struct recipe_errors errors = {0};
    for (const struct yaml_value *v = document->first; v; v = v->next) {
        if (recipe_apply(recipe, v) != ERR_NONE) {
            recipe_errors_add(&errors);
        }
    }
    return recipe_errors_end(&errors);
}

enum err recipe_parse(struct recipe *recipe, struct str text, const char *name)
{
    struct recipe fresh;
    recipe_init(&fresh);
    fresh.path = arena_strdup(&fresh.arena, name);
    enum err err = recipe_read(&fresh, text);
    if (err != ERR_NONE) {
        recipe_release(&fresh);
        return err;
    }
    *recipe = fresh;
    return ERR_NONE;
}

enum err recipe_open(struct recipe *recipe, const char *path)
{
    struct strbuf text = STRBUF_INIT;
    enum err err = file_is_folder(path) ? err_set(ERR_USAGE, "%s is a folder; name a recipe, a .yaml file", path)
                                        : file_read(&text, path, YAML_MAX_BYTES);
    if (err == ERR_NONE) {
        err = recipe_parse(recipe, strbuf_view(&text), path);
    }
    strbuf_release(&text);
    return err;
}

enum err recipe_override(struct recipe *recipe, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    BUG_ON(!equals);
    char *key = arena_strndup(&recipe->arena, assignment, (size_t)(equals - assignment));
    char *where = arena_printf(&recipe->arena, "--%s", key);
    const struct recipe_field *field = recipe_find(key);
    if (!field) {
        return recipe_unknown(where, key);
    }
    const char *text = arena_strdup(&recipe->arena, equals + 1);
    struct yaml_value plain = yaml_plain(text), *value = &plain;
    if (*text == '[' || *text == '{' || *text == '"' || *text == '\'') {
        TRY(yaml_parse(&value, str_of(text), where, &recipe->arena));
    }
    TRY(recipe_set(recipe, field, value, where));
    recipe->marks[field - recipe_fields] = (struct recipe_mark){-1, 0};
    return ERR_NONE;
}

/* ---- what follows from other keys ---- */

static void recipe_derive_loss(struct loss_recipe *loss)
{
    static const enum surrogate surrogates[] = {
        [LOSS_DAPO] = SURROGATE_CLIP,           [LOSS_GRPO] = SURROGATE_CLIP,  [LOSS_DR_GRPO] = SURROGATE_CLIP,
        [LOSS_BNPO] = SURROGATE_CLIP,           [LOSS_GSPO] = SURROGATE_CLIP,  [LOSS_CISPO] = SURROGATE_CISPO,
        [LOSS_SAPO] = SURROGATE_SAPO,           [LOSS_LUSPO] = SURROGATE_CLIP, [LOSS_VESPO] = SURROGATE_VESPO,
        [LOSS_REINFORCE] = SURROGATE_REINFORCE,
    };
    loss->policy.surrogate = surrogates[loss->loss_type];
    if (loss->loss_type == LOSS_GSPO) {
        loss->importance_sampling_level = IMPORTANCE_SEQUENCE;
    }
    loss->policy.sequence_level = loss->importance_sampling_level == IMPORTANCE_SEQUENCE;
    if (isnan(loss->policy.epsilon_high)) {
        loss->policy.epsilon_high = loss->loss_type == LOSS_CISPO ? 5 : loss->policy.epsilon;
    }
}

/* Two keys for one thing: TRL's switch, and the estimator by name. What was written holds; recipe_check has refused
 * what differs. */
static void recipe_derive_kl(struct recipe *recipe)
{
    struct loss_recipe *loss = &recipe->loss;
    enum kl_estimator *estimator = &loss->policy.kl_estimator;
    bool switched = recipe_given(recipe, "use_bias_correction_kl");
    if (*estimator == KL_K3 && switched && loss->use_bias_correction_kl) {
        *estimator = KL_K3_UNBIASED;
    } else if (*estimator == KL_K3_UNBIASED && switched && !loss->use_bias_correction_kl) {
        *estimator = KL_K3;
    }
    loss->use_bias_correction_kl = *estimator == KL_K3_UNBIASED;
}

/* "recipes/tiny/r1-zero.yaml" to "runs/r1-zero" */
static const char *recipe_default_folder(struct recipe *recipe)
{
    const char *slash = strrchr(recipe->path, '/');
    const char *name = slash ? slash + 1 : recipe->path;
    const char *dot = strrchr(name, '.');
    size_t length = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return length ? arena_printf(&recipe->arena, "runs/%.*s", (int)length, name) : "runs/run";
}

static void recipe_derive_lora(struct lora_recipe *lora)
{
    lora->lora = (struct lora){.r = lora->r, .alpha = lora->alpha, .rslora = lora->use_rslora};
    for (int i = 0; i < lora->target_modules.n; i++) {
        lora->lora.targets |= lora_target(lora->target_modules.items[i]);
    }
}

static void recipe_derive(struct recipe *recipe)
{
    recipe_derive_lora(&recipe->lora);
    recipe_derive_loss(&recipe->loss);
    recipe_derive_kl(recipe);
    recipe->optim.seed = recipe->run.seed;
    if (isnan(recipe->eval.eval_temperature)) {
        recipe->eval.eval_temperature = recipe->rollout.temperature;
    }
    if (recipe->run.output_dir[0] == '\0') {
        recipe->run.output_dir = recipe_default_folder(recipe);
    }
    recipe->run.report_tensorboard = false;
    for (int i = 0; i < recipe->run.report_to.n; i++) {
        recipe->run.report_tensorboard |= strcmp(recipe->run.report_to.items[i], "tensorboard") == 0;
    }
}

/* Names that meant something else with sft, and are understood where the key's own name is not given. */
static void recipe_take_old_names(struct recipe *recipe)
{
    static const struct {
        const char *old, *key;
    } names[] = {{"prompts_per_step", "texts_per_step"}, {"max_prompt_length", "max_length"}};
    for (size_t i = 0; i < sizeof names / sizeof *names && !method_of(recipe)->samples; i++) {
        ptrdiff_t old = recipe_find(names[i].old) - recipe_fields, key = recipe_find(names[i].key) - recipe_fields;
        if (recipe->marks[old].line != 0 && recipe->marks[key].line == 0) {
            *(int *)((char *)recipe + recipe_fields[key].offset) =
                *(const int *)((const char *)recipe + recipe_fields[old].offset);
            recipe->marks[key] = recipe->marks[old];
        }
    }
}

enum err recipe_finish(struct recipe *recipe)
{
    recipe_take_old_names(recipe);
    TRY(recipe_check(recipe));
    recipe_derive(recipe);
    return ERR_NONE;
}

/* ---- questions ---- */

int recipe_schedule_at(const struct recipe_schedule *schedule, int64_t step)
{
    int value = schedule->entries[0].value;
    for (int i = 1; i < schedule->n && schedule->entries[i].step <= step; i++) {
        value = schedule->entries[i].value;
    }
    return value;
}

int recipe_schedule_max(const struct recipe_schedule *schedule)
{
    int max = 0;
    for (int i = 0; i < schedule->n; i++) {
        max = schedule->entries[i].value > max ? schedule->entries[i].value : max;
    }
    return max;
}

const char *recipe_path(struct recipe *recipe, const char *value)
{
    const char *slash = strrchr(recipe->path, '/');
    if (value[0] == '/' || !slash) {
        return value;
    }
    const char *near = arena_printf(&recipe->arena, "%.*s/%s", (int)(slash - recipe->path), recipe->path, value);
    return file_exists(near) ? near : value;
}

int recipe_steps_per_iteration(const struct recipe *recipe)
{
    return method_of(recipe)->samples ? recipe->loss.num_iterations * recipe->loss.steps_per_generation : 1;
}

int recipe_prompts_per_iteration(const struct recipe *recipe)
{
    bool samples = method_of(recipe)->samples;
    return recipe->rollout.prompts_per_step * (samples ? recipe->loss.steps_per_generation : 1);
}
