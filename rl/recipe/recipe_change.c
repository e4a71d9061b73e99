/* rl/recipe/recipe_change.c - what a changed key means to a run that is continued.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rl/recipe/recipe_table.h"

/* Keys that are not here are CHANGE_SAID. */
static const struct {
    const char *key;
    enum recipe_change change;
} changes[] = {
    {"method", CHANGE_REFUSED},
    {"model_name_or_path", CHANGE_REFUSED},
    {"init_weights", CHANGE_REFUSED},
    {"lora_r", CHANGE_REFUSED},
    {"lora_alpha", CHANGE_REFUSED},
    {"lora_target_modules", CHANGE_REFUSED},
    {"use_rslora", CHANGE_REFUSED},

    {"seed", CHANGE_BETWEEN},
    {"dataset_name", CHANGE_BETWEEN},
    {"prompt_field", CHANGE_BETWEEN},
    {"template", CHANGE_BETWEEN},
    {"system_prompt", CHANGE_BETWEEN},
    {"chat_template_kwargs", CHANGE_BETWEEN},
    {"max_prompt_length", CHANGE_BETWEEN},
    {"max_length", CHANGE_BETWEEN},
    {"long_prompts", CHANGE_BETWEEN},
    {"shuffle", CHANGE_BETWEEN},
    {"num_generations", CHANGE_BETWEEN},
    {"prompts_per_step", CHANGE_BETWEEN},
    {"texts_per_step", CHANGE_BETWEEN},
    {"max_completion_length", CHANGE_BETWEEN},
    {"temperature", CHANGE_BETWEEN},
    {"top_p", CHANGE_BETWEEN},
    {"top_k", CHANGE_BETWEEN},
    {"min_p", CHANGE_BETWEEN},
    {"repetition_penalty", CHANGE_BETWEEN},
    {"stop", CHANGE_BETWEEN},
    {"reward_funcs", CHANGE_BETWEEN},
    {"scale_rewards", CHANGE_BETWEEN},
    {"advantage_baseline", CHANGE_BETWEEN},
    {"multi_objective_aggregation", CHANGE_BETWEEN},
    {"mask_truncated_completions", CHANGE_BETWEEN},
    {"dynamic_sampling", CHANGE_BETWEEN},
    {"dynamic_sampling_max_rounds", CHANGE_BETWEEN},
    {"num_iterations", CHANGE_BETWEEN},
    {"steps_per_generation", CHANGE_BETWEEN},
    {"routing_replay", CHANGE_BETWEEN},

    {"output_dir", CHANGE_SILENT},
    {"num_threads", CHANGE_SILENT},
    {"max_sequences", CHANGE_SILENT},
    {"max_batch_tokens", CHANGE_SILENT},
    {"kv_pages", CHANGE_SILENT},
    {"reward_threads", CHANGE_SILENT},
    {"max_steps", CHANGE_SILENT},
    {"num_train_epochs", CHANGE_SILENT},
    {"gradient_checkpointing", CHANGE_SILENT},
    {"save_steps", CHANGE_SILENT},
    {"save_total_limit", CHANGE_SILENT},
    {"save_dtype", CHANGE_SILENT},
    {"resume_from_checkpoint", CHANGE_SILENT},
    {"report_to", CHANGE_SILENT},
    {"num_completions_to_print", CHANGE_SILENT},
    {"eval_steps", CHANGE_SILENT},
    {"eval_on_start", CHANGE_SILENT},
    {"eval_on_end", CHANGE_SILENT},
};

enum recipe_change recipe_change_of(const char *key)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (strcmp(changes[i].key, key) == 0) {
            return changes[i].change;
        }
    }
    return CHANGE_SAID;
}

/* What fits into a rollout under way: a longer limit does. */
static enum recipe_change change_between(const struct recipe *before, const struct recipe *now,
                                         const struct recipe_field *field)
{
    enum recipe_change change = recipe_change_of(field->key);
    bool longer = (strcmp(field->key, "max_prompt_length") == 0 &&
                   now->data.max_prompt_length >= before->data.max_prompt_length) ||
                  (strcmp(field->key, "max_completion_length") == 0 &&
                   recipe_schedule_max(&now->rollout.max_completion_length) >=
                       recipe_schedule_max(&before->rollout.max_completion_length));
    return longer ? CHANGE_SAID : change;
}

/* A value in a sentence: long ones are cut. */
static void put_value(struct strbuf *out, struct str text)
{
    enum { LONGEST = 80 };
    if (text.length <= LONGEST) {
        strbuf_add_str(out, text);
        return;
    }
    size_t end = LONGEST - 3;
    while (end > 0 && ((unsigned char)text.data[end] & 0xC0) == 0x80) { /* not inside a character */
        end--;
    }
    strbuf_add(out, text.data, end);
    strbuf_puts(out, "...");
}

int recipe_compare(const struct recipe *before, const struct recipe *now, enum recipe_change change, struct strbuf *out)
{
    int n = 0;
    struct strbuf old = STRBUF_INIT, new = STRBUF_INIT;
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        strbuf_clear(&old);
        strbuf_clear(&new);
        recipe_value_text(before, field, &old);
        recipe_value_text(now, field, &new);
        if (str_equal(strbuf_view(&old), strbuf_view(&new)) || change_between(before, now, field) != change) {
            continue;
        }
        strbuf_printf(out, "%s%s ", n++ ? "; " : "", field->key);
        put_value(out, strbuf_view(&old));
        strbuf_puts(out, " -> ");
        put_value(out, strbuf_view(&new));
    }
    strbuf_release(&old);
    strbuf_release(&new);
    return n;
}

void recipe_write_between(const struct recipe *recipe, struct strbuf *out)
{
    for (int i = 0; i < recipe_n_fields; i++) {
        const struct recipe_field *field = &recipe_fields[i];
        if (recipe_change_of(field->key) == CHANGE_BETWEEN) {
            strbuf_printf(out, "%s: ", field->key);
            recipe_value_text(recipe, field, out);
            strbuf_putc(out, '\n');
        }
    }
}
