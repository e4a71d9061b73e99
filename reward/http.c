/* reward/http.c - a server that scores over HTTP: one of the user's, an OpenRLHF reward model, or SandboxFusion.
 *
 * A request that fails costs its own items: they are errors, like those whose result is one. reward/http/form.h and
 * reward/http/fusion.h define the messages, reward/http/client.h carries them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "reward/dialog.h"
#include "reward/http/client.h"
#include "reward/http/form.h"
#include "reward/http/fusion.h"
#include "reward/rewards.h"

enum form { NATIVE, OPENRLHF, FUSION };

struct http {
    struct http_client *client;
    enum form form;
    int batch;
    double timeout;
    const char *field;
};

static const struct reward_option http_options[] = {
    {"url", OPTION_TEXT, NULL, 0, 0, NULL, "where to POST to: http://HOST:PORT/PATH, or https"},
    {"form", OPTION_CHOICE, "native", 0, 0, "native|openrlhf|sandbox_fusion",
     "what is said: our own form, that of OpenRLHF's remote reward models, or programs to a SandboxFusion server's "
     "/run_code"},
    {"batch", OPTION_INT, "1", 1, 4096, NULL, "items in a request"},
    {"concurrency", OPTION_INT, "16", 1, 1024, NULL, "requests at a time"},
    {"timeout", OPTION_NUMBER, "180", 0.001, 86400, NULL,
     "seconds for a request with all its tries, where that is less than its items may take together"},
    {"connect_timeout", OPTION_NUMBER, "5", 0.001, 86400, NULL, "seconds for a connection"},
    {"retries", OPTION_INT, "2", 0, 100, NULL,
     "how often a request is sent again after no answer or 408, 429, 500, 502, 503, 504"},
    {"field", OPTION_TEXT, "", 0, 0, NULL,
     "the field sent as ground_truth; else ground_truth, answer, solution or label, the first there is"},
    {"token_env", OPTION_TEXT, "", 0, 0, NULL, "the environment variable that holds a bearer token"},
    {"proxy", OPTION_TEXT, "", 0, 0, NULL, "a proxy's url; empty: none, whatever the environment says"},
    {0},
};

/* NULL where the reward names no token_env. */
static enum err find_token(const char *variable, const char **token)
{
    *token = variable[0] ? getenv(variable) : NULL;
    if (variable[0] && (!*token || !**token)) {
        return err_set(ERR_USAGE, "the environment variable %s (token_env) is not set", variable);
    }
    for (const char *c = *token; c && *c; c++) {
        if (*c <= ' ' || *c > '~') {
            return err_set(ERR_USAGE, "the environment variable %s (token_env) holds a character that no token has",
                           variable);
        }
    }
    return ERR_NONE;
}

static enum err open_client(struct http *http, const struct reward_values *values)
{
    struct http_plan plan = {
        .url = reward_text(values, "url"),
        .proxy = reward_text(values, "proxy"),
        .concurrency = (int)reward_int(values, "concurrency"),
        .retries = (int)reward_int(values, "retries"),
        .connect_seconds = reward_number(values, "connect_timeout"),
    };
    if (http->form == FUSION && http->batch > 1) {
        return err_set(ERR_USAGE, "form=sandbox_fusion runs one program a request; leave out batch");
    }
    TRY(find_token(reward_text(values, "token_env"), &plan.token));
    return http_client_open(&http->client, &plan);
}

static enum err http_open(void *state, const struct reward_values *values)
{
    struct http *http = state;
    const char *form = reward_text(values, "form");
    http->form = strcmp(form, "openrlhf") == 0 ? OPENRLHF : strcmp(form, "sandbox_fusion") == 0 ? FUSION : NATIVE;
    http->batch = (int)reward_int(values, "batch");
    http->timeout = reward_number(values, "timeout");
    http->field = reward_text(values, "field");
    enum err result = open_client(http, values);
    return result == ERR_NONE ? ERR_NONE : err_wrap(result, "reward http");
}

static void http_close(void *state)
{
    http_client_close(((struct http *)state)->client);
}

/* ---- the jobs of a batch: each some items, or one program ---- */

struct talk {
    const struct http *http;
    const struct reward_item *items;
    int n;
    struct verdict *verdicts;
    struct arena *arena;
    struct http_fusion *programs; /* FUSION: [job] */
    int *owners;                  /* FUSION: [job], the item */
};

static int first_of(const struct talk *talk, int job)
{
    return talk->owners ? talk->owners[job] : job * talk->http->batch;
}

static int count_of(const struct talk *talk, int job)
{
    int left = talk->n - first_of(talk, job);
    return left < talk->http->batch ? left : talk->http->batch;
}

static void ask(void *context, int job, int64_t seq, double seconds, struct strbuf *body)
{
    const struct talk *talk = context;
    const struct reward_item *items = &talk->items[first_of(talk, job)];
    switch (talk->http->form) {
    case NATIVE: http_form_ask_native(body, seq, items, count_of(talk, job), talk->http->field, seconds); return;
    case OPENRLHF: http_form_ask_openrlhf(body, items, count_of(talk, job), talk->http->field); return;
    case FUSION: http_fusion_ask(body, &talk->programs[job], seconds); return;
    }
}

static void fail(void *context, int job, const char *why)
{
    const struct talk *talk = context;
    for (int i = 0; i < count_of(talk, job); i++) {
        talk->verdicts[first_of(talk, job) + i] = verdict_error(why);
    }
}

static enum http_next take_scores(struct talk *talk, int job, int64_t seq, struct str body)
{
    struct verdict *verdicts = &talk->verdicts[first_of(talk, job)];
    int n = count_of(talk, job);
    bool retryable = false;
    const char *wrong = talk->http->form == NATIVE
                            ? http_form_read_native(body, seq, n, verdicts, &retryable, talk->arena)
                            : http_form_read_openrlhf(body, n, verdicts, talk->arena);
    if (wrong) {
        fail(talk, job,
             arena_printf(talk->arena, "%s broke the protocol: %s", http_client_name(talk->http->client), wrong));
    }
    return retryable ? HTTP_AGAIN : HTTP_DONE;
}

static enum http_next answer(void *context, int job, int64_t seq, struct str body)
{
    struct talk *talk = context;
    if (talk->http->form != FUSION) {
        return take_scores(talk, job, seq, body);
    }
    struct verdict *verdict = &talk->verdicts[first_of(talk, job)];
    enum http_fusion_said said = http_fusion_read(&talk->programs[job], body, talk->arena, verdict);
    if (said != FUSION_MORE && verdict->kind == VERDICT_ERROR) {
        verdict->reason = arena_printf(talk->arena, "%s: %s", http_client_name(talk->http->client), verdict->reason);
    }
    return said == FUSION_MORE ? HTTP_MORE : said == FUSION_FAILED ? HTTP_AGAIN : HTTP_DONE;
}

/* Those that have a program to run; the others have their verdict. */
static int begin_programs(struct talk *talk)
{
    int n_jobs = 0;
    talk->programs = ARENA_NEW(talk->arena, struct http_fusion, talk->n);
    talk->owners = ARENA_NEW(talk->arena, int, talk->n);
    for (int i = 0; i < talk->n; i++) {
        if (http_fusion_begin(&talk->programs[n_jobs], &talk->items[i], talk->arena, &talk->verdicts[i])) {
            talk->owners[n_jobs++] = i;
        }
    }
    return n_jobs;
}

static void http_judge_all(const void *state, const struct reward_item *items, int n, double seconds,
                           const struct reward_call *call, struct verdict *verdicts)
{
    const struct http *http = state;
    struct talk talk = {.http = http, .items = items, .n = n, .verdicts = verdicts, .arena = call->arena};
    int n_jobs = http->form == FUSION ? begin_programs(&talk) : (n + http->batch - 1) / http->batch;
    struct http_talk jobs = {
        .context = &talk,
        .seconds = fmin(http->timeout, seconds * http->batch),
        .stop = call->stop,
        .ask = ask,
        .answer = answer,
        .fail = fail,
    };
    http_run(http->client, n_jobs, &jobs, call->arena);
}

static const char *http_check(const void *state, const json_t *row, struct arena *arena)
{
    const struct http *http = state;
    return http->form == FUSION ? http_fusion_check(row, arena) : dialog_check(row, http->field, arena);
}

static struct verdict http_judge(const void *state, const struct reward_item *item, const struct reward_call *call)
{
    struct verdict verdict = {0};
    http_judge_all(state, item, 1, fmax(0, call->deadline - clock_seconds()), call, &verdict);
    return verdict;
}

const struct reward_kind reward_http = {
    .name = "http",
    .help = "what a server decides, over HTTP: yours, one of OpenRLHF's, or SandboxFusion",
    .fields = "",
    .options = http_options,
    .open = http_open,
    .close = http_close,
    .state_bytes = sizeof(struct http),
    .judge = http_judge,
    .judge_all = http_judge_all,
    .check = http_check,
};
