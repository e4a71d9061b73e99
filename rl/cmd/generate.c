/* rl/cmd/generate.c - `strop generate`: completions of prompts on standard output.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/tokenizer.h"
#include "rl/cmd/commands.h"
#include "rl/cmd/sampling.h"
#include "rl/data/lines.h"
#include "rl/data/template.h"
#include "rollout/rollout.h"

#define INPUT_LIMIT ((size_t)1 << 30)

/* A prompt as it was given; text and tokens once it is in its template. */
struct request {
    json_t *prompt, *fields; /* text or chat messages; the row it is from */
    const char *where;       /* opens the sentence of an error */
    struct str text;
    int32_t *tokens;
    int n_tokens;
};

struct prompts {
    struct arena arena;
    struct request *items;
    int n, capacity;
};

static void prompts_add(struct prompts *prompts, json_t *prompt, json_t *fields, const char *where)
{
    if (prompts->n == prompts->capacity) {
        int capacity = prompts->capacity ? 2 * prompts->capacity : 16;
        struct request *items = ARENA_NEW(&prompts->arena, struct request, capacity);
        if (prompts->n > 0) {
            memcpy(items, prompts->items, (size_t)prompts->n * sizeof *items);
        }
        prompts->items = items;
        prompts->capacity = capacity;
    }
    prompts->items[prompts->n++] = (struct request){.prompt = json_incref(prompt), .fields = fields, .where = where};
}

static void prompts_add_text(struct prompts *prompts, struct str text, const char *where)
{
    json_t *prompt = json_stringn_nocheck(text.data ? text.data : "", text.length);
    prompts_add(prompts, prompt, json_null(), where);
    json_decref(prompt);
}

static void prompts_release(struct prompts *prompts)
{
    for (int i = 0; i < prompts->n; i++) {
        json_decref(prompts->items[i].prompt);
        json_decref(prompts->items[i].fields);
    }
    arena_release(&prompts->arena);
}

/* A line of --prompts: an object whose "prompt" or "messages" is a text or chat messages, or either by itself. */
static enum err prompts_add_line(struct prompts *prompts, struct str line, const char *where)
{
    json_t *row;
    TRY(json_parse(&row, line, where));
    json_t *prompt = row;
    if (json_is_object(row)) {
        prompt = json_object_get(row, "prompt");
        prompt = prompt ? prompt : json_object_get(row, "messages");
    }
    if (!json_is_string(prompt) && !json_is_array(prompt)) {
        json_decref(row);
        return err_set(ERR_FORMAT, "%s: a line is an object with 'prompt' or 'messages', a text, or a list of messages",
                       where);
    }
    prompts_add(prompts, prompt, row, where);
    return ERR_NONE;
}

static enum err prompts_read(struct prompts *prompts, const char *path)
{
    struct lines *lines;
    struct str line;
    TRY(lines_open(&lines, path));
    enum err result = lines_next(lines, &line);
    while (result == ERR_NONE && line.data) {
        char where[FILE_PATH_BYTES + 24];
        lines_where(lines, where, sizeof where);
        result = prompts_add_line(prompts, line, arena_strdup(&prompts->arena, where));
        if (result == ERR_NONE) {
            result = lines_next(lines, &line);
        }
    }
    lines_close(lines);
    return result;
}

/* All of standard input is one prompt; the line end that a shell's echo adds is not part of it. */
static enum err prompts_read_input(struct prompts *prompts)
{
    struct strbuf text = STRBUF_INIT;
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0 && text.length < INPUT_LIMIT) {
        strbuf_add(&text, block, n);
    }
    struct str all = strbuf_view(&text);
    all.length -= str_ends(all, STR("\n"));
    enum err result =
        text.length < INPUT_LIMIT ? ERR_NONE : err_set(ERR_LIMIT, "the prompt on standard input is too long");
    if (result == ERR_NONE && all.length > 0) {
        prompts_add_text(prompts, all, "standard input");
    }
    strbuf_release(&text);
    return result;
}

static enum err prompts_collect(struct prompts *prompts, const struct cmd_args *args)
{
    for (int i = 0; cmd_repeated(args, "prompt", i); i++) {
        prompts_add_text(prompts, str_of(cmd_repeated(args, "prompt", i)), "--prompt");
    }
    if (cmd_text(args, "prompts")) {
        TRY(prompts_read(prompts, cmd_text(args, "prompts")));
    }
    if (prompts->n == 0 && !cmd_text(args, "prompts") && isatty(STDIN_FILENO) == 0) {
        TRY(prompts_read_input(prompts));
    }
    if (prompts->n == 0) {
        return err_set(ERR_USAGE,
                       "there is no prompt; give --prompt=TEXT, --prompts=FILE.jsonl, or a text on standard input");
    }
    return ERR_NONE;
}

/* ---- prompts to tokens ---- */

static enum err encode(const struct cmd_args *args, const struct model *model, const struct template *tpl,
                       struct request *request, struct arena *arena)
{
    struct strbuf text = STRBUF_INIT;
    enum err result = template_apply(tpl, request->prompt, request->fields, request->where, &text);
    if (result == ERR_NONE) {
        request->text = (struct str){arena_strndup(arena, text.data ? text.data : "", text.length), text.length};
        result =
            template_is_chat(tpl)
                ? tokenizer_encode(model->tokenizer, request->text, true, arena, &request->tokens, &request->n_tokens)
                : tokenizer_encode_whole(model->tokenizer, request->text, cmd_flag(args, "special"), arena,
                                         &request->tokens, &request->n_tokens);
    }
    strbuf_release(&text);
    return result;
}

/* Texts are taken as they are and chat messages in the model's own format, unless --template says otherwise. */
static enum err encode_all(const struct cmd_args *args, const struct model *model, struct prompts *prompts)
{
    const char *name = cmd_text(args, "template");
    struct template *text = NULL, *chat = NULL;
    const char *kwargs = cmd_text(args, "chat_template_kwargs");
    kwargs = kwargs ? kwargs : "";
    enum err result = template_open(&text, name ? name : "none", "", kwargs, model->tokenizer);
    for (int i = 0; result == ERR_NONE && i < prompts->n; i++) {
        bool messages = json_is_array(prompts->items[i].prompt) && !name;
        if (messages && !chat) {
            TRY(template_open(&chat, "chat", "", kwargs, model->tokenizer));
        }
        result = encode(args, model, messages ? chat : text, &prompts->items[i], &prompts->arena);
    }
    template_close(text);
    template_close(chat);
    return result;
}

/* ---- results ---- */

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
                print_json(p, k, prompts->items[p].text, c, &line);
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
    TRY(encode_all(args, model, prompts));
    for (int p = 0; p < prompts->n; p++) {
        requests[p].tokens = prompts->items[p].tokens;
        requests[p].n_tokens = prompts->items[p].n_tokens;
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
    prompts_release(&prompts);
    return err;
}

static const struct cmd_option generate_options[] = {
    {"prompt", CMD_TEXT, "TEXT", NULL, "a prompt; may be repeated"},
    {"prompts", CMD_TEXT, "FILE", NULL,
     "JSON lines (-: standard input): objects with \"prompt\" or \"messages\", a text or chat messages"},
    {"template", CMD_TEXT, "NAME", NULL,
     "chat, r1-zero, none or a text file; default: none for a text, chat for chat messages"},
    {"chat_template_kwargs", CMD_TEXT, "JSON", NULL, "variables for the chat template: {\"enable_thinking\": false}"},
    {"n", CMD_INT, "N", "1", "samples of each prompt"},
    {"special", CMD_FLAG, NULL, NULL, "names of special tokens in a prompt are those tokens"},
    {"json", CMD_FLAG, NULL, NULL, "print a JSON object per completion"},
    SAMPLING_OPTIONS("1.0"),
    {0},
};

const struct command command_generate = {
    .name = "generate",
    .arguments = "MODEL|RUN [--prompt=TEXT | --prompts=FILE.jsonl] [--OPTION=VALUE ...]",
    .summary = "print completions of prompts",
    .details =
        "MODEL is a folder with config.json and safetensors, a .gguf file, or the folder of a LoRA adapter (PEFT),\n"
        "whose base is where its base_model_name_or_path says; of a RUN the newest checkpoint is taken.\n"
        "Without --prompt and --prompts all of standard input is the prompt. Completions go to standard output, "
        "speeds\n"
        "to standard error. The same seed gives the same completions, whatever else is in the batch. On a CPU weights\n"
        "are computed in fp32, those of a quantised file too: it takes four bytes per parameter.\n\n"
        "  strop generate MODEL --prompt='The capital of France is' --temperature=0\n"
        "  echo 'What is 6 times 7?' | strop generate MODEL --template=chat\n"
        "  strop generate runs/mine --prompts=questions.jsonl -n 4 --json\n",
    .options = generate_options,
    .min_positional = 1,
    .max_positional = 1,
    .run = generate_run,
};
