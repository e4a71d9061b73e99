/* rl/cmd/generate.c - `strop generate`: completions of prompts on standard output.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/tokenizer.h"
#include "rl/cmd/commands.h"
#include "rl/cmd/sampling.h"
#include "rollout/rollout.h"

#define FILE_LIMIT ((size_t)1 << 30)

/* All prompts of the command line. */
struct prompts {
    struct arena arena;
    struct str *texts;
    int n, capacity;
};

static void prompts_add(struct prompts *prompts, struct str text)
{
    if (prompts->n == prompts->capacity) {
        int capacity = prompts->capacity ? 2 * prompts->capacity : 16;
        struct str *texts = ARENA_NEW(&prompts->arena, struct str, capacity);
        if (prompts->n > 0) {
            memcpy(texts, prompts->texts, (size_t)prompts->n * sizeof *texts);
        }
        prompts->texts = texts;
        prompts->capacity = capacity;
    }
    prompts->texts[prompts->n++] = (struct str){arena_strndup(&prompts->arena, text.data, text.length), text.length};
}

/* One line of --prompts: an object with a text "prompt", or a text by itself. */
static enum err prompts_add_line(struct prompts *prompts, struct str line, const char *name)
{
    json_t *document;
    struct str text = {0};
    TRY(json_parse(&document, line, name));
    enum err err = ERR_NONE;
    if (json_is_string(document)) {
        text = (struct str){json_string_value(document), json_string_length(document)};
    } else {
        err = json_get_text(document, "prompt", name, &text);
    }
    if (err == ERR_NONE) {
        prompts_add(prompts, text);
    }
    json_decref(document);
    return err;
}

static enum err prompts_read(struct prompts *prompts, const char *path)
{
    struct strbuf file = STRBUF_INIT;
    TRY(file_read(&file, path, FILE_LIMIT));
    struct str text = strbuf_view(&file);
    enum err err = ERR_NONE;
    for (int line = 1; text.length > 0 && err == ERR_NONE; line++) {
        ptrdiff_t end = str_find(text, STR("\n"), 0);
        size_t length = end < 0 ? text.length : (size_t)end;
        struct str row = str_trim(str_slice(text, 0, length));
        if (row.length > 0) {
            err = prompts_add_line(prompts, row, arena_printf(&prompts->arena, "%s:%d", path, line));
        }
        text = str_slice(text, length + 1, text.length);
    }
    strbuf_release(&file);
    return err;
}

static enum err prompts_collect(struct prompts *prompts, const struct cmd_args *args)
{
    for (int i = 0; cmd_repeated(args, "prompt", i); i++) {
        prompts_add(prompts, str_of(cmd_repeated(args, "prompt", i)));
    }
    if (cmd_text(args, "prompts")) {
        TRY(prompts_read(prompts, cmd_text(args, "prompts")));
    }
    if (prompts->n == 0) {
        return err_set(ERR_USAGE, "there is no prompt; give --prompt=TEXT or --prompts=FILE.jsonl");
    }
    return ERR_NONE;
}

static const char *finish_name(enum finish_reason finish)
{
    return finish == FINISH_EOS ? "eos" : finish == FINISH_STOP ? "stop" : "length";
}

static void print_json(int prompt, int sample, struct str text, const struct completion *c, struct strbuf *line)
{
    double sum = 0;
    for (int i = 0; i < c->n_tokens; i++) {
        sum += c->logprob[i];
    }
    strbuf_clear(line);
    strbuf_printf(line, "{\"index\": %d, \"sample\": %d, \"prompt\": \"", prompt, sample);
    strbuf_add_json(line, text);
    strbuf_puts(line, "\", \"completion\": \"");
    strbuf_add_json(line, c->text);
    strbuf_printf(line, "\", \"finish\": \"%s\", \"n_tokens\": %d, \"logprob\": %.6g, \"tokens\": [",
                  finish_name(c->finish), c->n_tokens, sum);
    for (int i = 0; i < c->n_tokens; i++) {
        strbuf_printf(line, "%s%d", i ? ", " : "", c->tokens[i]);
    }
    strbuf_puts(line, "]}\n");
    fwrite(line->data, 1, line->length, stdout);
}

static void print_results(const struct cmd_args *args, const struct prompts *prompts, const struct group *groups)
{
    struct strbuf line = STRBUF_INIT;
    bool json = cmd_flag(args, "json"), alone = prompts->n == 1 && groups[0].n_completions == 1;
    for (int p = 0; p < prompts->n; p++) {
        for (int k = 0; k < groups[p].n_completions; k++) {
            const struct completion *c = &groups[p].completions[k];
            if (json) {
                print_json(p, k, prompts->texts[p], c, &line);
                continue;
            }
            if (!alone) {
                printf("--- prompt %d, sample %d (%d tokens, %s)\n", p, k, c->n_tokens, finish_name(c->finish));
            }
            fwrite(c->text.data, 1, c->text.length, stdout);
            putchar('\n');
        }
    }
    strbuf_release(&line);
}

static void print_stats(const struct rollout_stats *s)
{
    double prefill_seconds = s->seconds - s->decode_seconds;
    int64_t prefill_rows = s->computed_rows - s->decode_rows;
    log_info("%lld prompt tokens, %lld drawn in %.2f s; prefill %.1f tokens/s, decode %.1f tokens/s",
             (long long)s->prompt_tokens, (long long)s->completion_tokens, s->seconds,
             prefill_seconds > 0 ? (double)prefill_rows / prefill_seconds : 0.0,
             s->decode_seconds > 0 ? (double)s->decode_rows / s->decode_seconds : 0.0);
}

static enum err generate(const struct cmd_args *args, struct model *model, struct prompts *prompts)
{
    struct arena *arena = &prompts->arena;
    struct rollout_prompt *requests = ARENA_NEW(arena, struct rollout_prompt, prompts->n);
    struct group *groups = ARENA_NEW(arena, struct group, prompts->n);
    int n = (int)cmd_int(args, "n"), longest = 0;
    for (int p = 0; p < prompts->n; p++) {
        int32_t *tokens;
        TRY(tokenizer_encode_whole(model->tokenizer, prompts->texts[p], cmd_flag(args, "special"), arena, &tokens,
                                   &requests[p].n_tokens));
        requests[p].tokens = tokens;
        requests[p].n_samples = n;
        requests[p].max_tokens = (int)cmd_int(args, "max_tokens");
        requests[p].sequence = (uint64_t)p * (uint64_t)n;
        longest = requests[p].n_tokens > longest ? requests[p].n_tokens : longest;
    }
    struct rollout_options options;
    struct rollout *rollout;
    sampling_options(args, arena, &options);
    sampling_size_cache(&options, model, (int64_t)prompts->n * n, (int64_t)longest + requests[0].max_tokens);
    TRY(rollout_open(&rollout, model, &options));
    enum err err = rollout_run(rollout, requests, prompts->n, arena, groups, NULL, NULL);
    if (err == ERR_NONE) {
        print_results(args, prompts, groups);
        print_stats(rollout_stats(rollout));
    }
    rollout_close(rollout);
    return err;
}

static enum err generate_run(const struct cmd_args *args)
{
    struct prompts prompts = {0};
    struct sampling_model opened;
    enum err err = sampling_check(args);
    if (err == ERR_NONE) {
        err = prompts_collect(&prompts, args);
    }
    if (err == ERR_NONE) {
        err = sampling_model_open(&opened, args, cmd_positional(args, 0));
        if (err == ERR_NONE) {
            err = generate(args, opened.model, &prompts);
            sampling_model_close(&opened);
        }
    }
    arena_release(&prompts.arena);
    return err;
}

static const struct cmd_option generate_options[] = {
    {"prompt", CMD_TEXT, "TEXT", NULL, "a prompt as it is, without a template; may be repeated"},
    {"prompts", CMD_TEXT, "FILE", NULL, "a JSONL file of prompts: objects with a text \"prompt\", or texts"},
    {"n", CMD_INT, "N", "1", "samples of each prompt"},
    {"special", CMD_FLAG, NULL, NULL, "names of special tokens in a prompt are those tokens"},
    {"json", CMD_FLAG, NULL, NULL, "print a JSON object a completion"},
    SAMPLING_OPTIONS("1.0"),
    {0},
};

const struct command command_generate = {
    .name = "generate",
    .arguments = "MODEL [--prompt=TEXT | --prompts=FILE.jsonl] [--OPTION=VALUE ...]",
    .summary = "print completions of prompts",
    .details =
        "MODEL is a folder with config.json and safetensors, or a .gguf file. Completions go to standard output,\n"
        "speeds to standard error. The same seed gives the same completions, whatever else is in the batch.\n",
    .options = generate_options,
    .least_positional = 1,
    .most_positional = 1,
    .run = generate_run,
};
