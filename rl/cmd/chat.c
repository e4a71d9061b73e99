/* rl/cmd/chat.c - strop chat MODEL: a conversation, line by line.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/tokenizer.h"
#include "rl/cmd/commands.h"
#include "rl/cmd/sampling.h"
#include "rl/run/runs.h"
#include "rl/data/template.h"

struct chat {
    struct sampling_model opened;
    struct rollout *rollout;
    struct template *tpl;
    bool keeps_turns; /* a chat template; a template of text has one question at a time */
    bool live;        /* a person types */
    int max_tokens;
    uint64_t n_turns;
    json_t *messages; /* without the system message */
    struct strbuf system, reply;
    struct arena turn;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- one turn ---- */

static void on_piece(void *context, struct str piece)
{
    struct chat *chat = context;
    strbuf_add_str(&chat->reply, piece);
    fwrite(piece.data, 1, piece.length, stdout);
    fflush(stdout);
}

static bool on_progress(void *context, int64_t tokens, int finished, int total)
{
    (void)context, (void)tokens, (void)finished, (void)total;
    return interrupted != 0;
}

static json_t *message_of(const char *role, struct str content)
{
    json_t *text = json_stringn_nocheck(content.data ? content.data : "", content.length); /* it may be no UTF-8 */
    return json_pack("{s:s, s:o}", "role", role, "content", text);
}

/* Appends the text that the model continues. */
static enum err render(struct chat *chat, struct strbuf *text)
{
    if (!chat->keeps_turns) {
        const json_t *last = json_array_get(chat->messages, json_array_size(chat->messages) - 1);
        return template_apply(chat->tpl, json_object_get(last, "content"), json_null(), "this line", text);
    }
    json_t *all = json_array();
    if (chat->system.length) {
        json_array_append_new(all, message_of("system", strbuf_view(&chat->system)));
    }
    json_array_extend(all, chat->messages);
    enum err result = template_apply(chat->tpl, all, json_null(), "this conversation", text);
    json_decref(all);
    return result;
}

static void print_speed(const struct chat *chat, const struct completion *c, double seconds)
{
    if (chat->live && c) {
        fprintf(stderr, "\033[2m[%d tokens, %.1f tokens/s%s]\033[0m\n", c->n_tokens, c->n_tokens / seconds,
                c->finish == FINISH_LENGTH ? ", cut off by --max_tokens" : "");
    }
}

/* Draws a reply to the conversation; Ctrl-C ends it early. */
static enum err answer(struct chat *chat)
{
    struct strbuf text = STRBUF_INIT;
    struct group group = {0};
    struct rollout_prompt prompt = {.n_samples = 1, .sequence = chat->n_turns++};
    int32_t *tokens = NULL;
    arena_reset(&chat->turn);
    strbuf_clear(&chat->reply);
    enum err result = render(chat, &text);
    if (result == ERR_NONE) {
        result = tokenizer_encode(chat->opened.model->tokenizer, strbuf_view(&text), true, &chat->turn, &tokens,
                                  &prompt.n_tokens);
    }
    strbuf_release(&text);
    TRY(result);
    int room = chat->opened.model->max_positions - prompt.n_tokens;
    if (room < 1) {
        return err_set(ERR_LIMIT,
                       "the conversation has %d tokens, and the model has room for %d; begin anew with /reset",
                       prompt.n_tokens, chat->opened.model->max_positions);
    }
    prompt.tokens = tokens;
    prompt.max_tokens = chat->max_tokens < room ? chat->max_tokens : room;
    double start = clock_seconds();
    interrupted = 0;
    result = rollout_run(chat->rollout, &prompt, 1, &chat->turn, &group, on_progress, chat);
    putchar('\n');
    fflush(stdout);
    print_speed(chat, result == ERR_NONE ? &group.completions[0] : NULL, clock_seconds() - start);
    return result == ERR_STOPPED ? ERR_NONE : result;
}

static void forget(struct chat *chat)
{
    json_array_clear(chat->messages);
}

/* A line that the person said. A turn that failed leaves no trace. */
static enum err say(struct chat *chat, struct str line)
{
    if (!chat->keeps_turns) {
        forget(chat);
    }
    json_array_append_new(chat->messages, message_of("user", line));
    enum err result = answer(chat);
    if (result == ERR_NONE) {
        json_array_append_new(chat->messages, message_of("assistant", strbuf_view(&chat->reply)));
    } else {
        json_array_remove(chat->messages, json_array_size(chat->messages) - 1);
    }
    return result;
}

/* ---- commands ---- */

static void set_system(struct chat *chat, struct str text)
{
    strbuf_clear(&chat->system);
    strbuf_add_str(&chat->system, text);
    forget(chat);
    if (!chat->keeps_turns) {
        log_warning("the template is plain text, and has no place for a system message");
    }
}

/* Lines that begin with a slash; *quit is set by /quit. */
static enum err obey(struct chat *chat, struct str line, bool *quit)
{
    if (str_equal(line, STR("/quit")) || str_equal(line, STR("/exit"))) {
        *quit = true;
    } else if (str_equal(line, STR("/reset"))) {
        forget(chat);
    } else if (str_equal(line, STR("/system")) || str_starts(line, STR("/system "))) {
        set_system(chat, str_trim(str_slice(line, 7, line.length)));
    } else if (str_equal(line, STR("/help"))) {
        fputs("/reset        forget the conversation\n"
              "/system TEXT  set the system message, and begin anew\n"
              "/quit         end (also Ctrl-D); Ctrl-C stops a reply\n",
              stderr);
    } else {
        return err_set(ERR_USAGE, "there is no command %.*s; /help lists them", (int)line.length, line.data);
    }
    return ERR_NONE;
}

/* A line, and those after it while a backslash ends them. False at the end of the input. */
static bool read_message(struct chat *chat, struct strbuf *message)
{
    char *line = NULL;
    size_t capacity = 0;
    bool more = true, any = false;
    strbuf_clear(message);
    while (more) {
        if (chat->live) {
            fputs(any ? "\033[1m. \033[0m" : "\033[1m> \033[0m", stderr);
        }
        ssize_t n = getline(&line, &capacity, stdin);
        if (n < 0) {
            break;
        }
        struct str text = {line, (size_t)n - (line[n - 1] == '\n')};
        more = str_ends(text, STR("\\"));
        strbuf_add_str(message, str_slice(text, 0, text.length - more));
        if (more) {
            strbuf_putc(message, '\n');
        }
        any = true;
    }
    free(line);
    return any;
}

/* Reads messages to the end. A person can continue after an error; a pipe ends. */
static enum err converse(struct chat *chat)
{
    struct strbuf message = STRBUF_INIT;
    enum err result = ERR_NONE;
    for (bool quit = false; !quit && result == ERR_NONE && read_message(chat, &message);) {
        struct str text = str_trim(strbuf_view(&message));
        if (text.length > 0) {
            result = text.data[0] == '/' ? obey(chat, text, &quit) : say(chat, text);
        }
        if (result != ERR_NONE && chat->live) {
            log_message(LOG_ERROR, "%s", err_text());
            result = ERR_NONE;
        }
    }
    if (chat->live) {
        fputc('\n', stderr);
    }
    strbuf_release(&message);
    return result;
}

/* ---- opening ---- */

/* Adds the chat template's end of a turn to the model's own end tokens: a base model does not know it as its end. */
static void add_turn_end(struct chat *chat, struct rollout_options *options)
{
    int32_t *ids = NULL;
    int n = 0;
    template_turn_end(chat->tpl, &chat->turn, &ids, &n);
    if (n > 0) {
        options->stop_tokens = &ids[n - 1];
        options->n_stop_tokens = 1;
    }
}

static enum err open_template(struct chat *chat, const struct cmd_args *args, const struct run_summary *run)
{
    const char *name = cmd_text(args, "template"), *system = cmd_text(args, "system");
    const char *kwargs = cmd_text(args, "chat_template_kwargs");
    name = name ? name : run && run->template_name[0] ? run->template_name : "chat";
    system = system ? system : run ? run->system_prompt : "";
    chat->keeps_turns = strcmp(name, "chat") == 0;
    kwargs = kwargs ? kwargs : run ? run->chat_template_kwargs : "";
    enum err result = template_open(&chat->tpl, name, "", kwargs, chat->opened.model->tokenizer);
    if (result != ERR_NONE && chat->keeps_turns) {
        return err_wrap(result, "no conversation with %s; a base model is talked to with --template=none or r1-zero",
                        chat->opened.model->source);
    }
    if (result == ERR_NONE && system[0]) {
        set_system(chat, str_of(system));
    }
    return result;
}

/* What the model was trained to answer, so that a person knows what to type. */
static void print_example(const struct run_summary *run)
{
    if (run->example[0]) {
        fprintf(stderr, "\033[2ma prompt of this run (%s, template %s):\n%.400s%s\033[0m\n", run->data,
                run->template_name, run->example, strlen(run->example) > 400 ? " ..." : "");
    }
}

static enum err open_chat(struct chat *chat, const struct cmd_args *args)
{
    const char *target = cmd_positional(args, 0), *folder;
    struct run_summary run = {0};
    struct rollout_options options;
    TRY(sampling_check(args));
    folder = run_of(target, &chat->turn);
    if (folder) {
        run_summarise(folder, &chat->turn, &run);
    }
    TRY(sampling_model_open(&chat->opened, args, target));
    TRY(open_template(chat, args, folder ? &run : NULL));
    if (chat->live && folder) {
        print_example(&run);
    }
    chat->max_tokens = (int)cmd_int(args, "max_tokens");
    sampling_options(args, &chat->turn, &options);
    add_turn_end(chat, &options);
    sampling_size_cache(&options, chat->opened.model, 1, chat->opened.model->max_positions);
    TRY(rollout_open(&chat->rollout, chat->opened.model, &options));
    rollout_set_stream(chat->rollout, on_piece, chat);
    return ERR_NONE;
}

static void close_chat(struct chat *chat)
{
    if (chat->rollout) {
        rollout_close(chat->rollout);
    }
    template_close(chat->tpl);
    if (chat->opened.model) {
        sampling_model_close(&chat->opened);
    }
    json_decref(chat->messages);
    strbuf_release(&chat->system);
    strbuf_release(&chat->reply);
    arena_release(&chat->turn);
}

static enum err chat_command(const struct cmd_args *args)
{
    struct sigaction action = {.sa_handler = on_interrupt}, old;
    struct chat chat = {.messages = json_array(), .live = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1};
    enum err result = open_chat(&chat, args);
    if (result == ERR_NONE) {
        if (chat.live) {
            fprintf(stderr, "%s; /help lists commands, /quit ends\n", chat.opened.model->source);
        }
        sigaction(SIGINT, &action, &old); /* no SA_RESTART: at the prompt it ends the conversation */
        result = converse(&chat);
        sigaction(SIGINT, &old, NULL);
    }
    close_chat(&chat);
    return result;
}

static const struct cmd_option chat_options[] = {
    {"system", CMD_TEXT, "TEXT", NULL, "system message"},
    {"template", CMD_TEXT, "NAME", NULL, "chat, r1-zero, none or a text file (a run's own, else chat)"},
    {"chat_template_kwargs", CMD_TEXT, "JSON", NULL, "variables for the chat template: {\"enable_thinking\": false}"},
    SAMPLING_OPTIONS("0.7"),
    {0},
};

const struct command command_chat = {
    .name = "chat",
    .arguments = "MODEL|RUN [--OPTION=VALUE ...]",
    .summary = "talk with a model",
    .details =
        "Each line is a message (a backslash at its end continues it on the next); the reply appears as it is drawn.\n"
        "/reset forgets the conversation, /system TEXT sets the system message, /quit ends. A RUN is talked to at its\n"
        "newest checkpoint and in its template. With another template than chat each line is a conversation of its\n"
        "own. On a pipe each line of input gives a reply on standard output, and nothing else is printed there.\n\n"
        "  strop chat MODEL --system='Answer in one sentence.'\n"
        "  echo 'What is 6 times 7?' | strop chat MODEL --temperature=0\n",
    .options = chat_options,
    .min_positional = 1,
    .max_positional = 1,
    .run = chat_command,
};
