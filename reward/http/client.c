/* reward/http/client.c - one thread, libcurl's multi interface; what a run needs of libcurl is kept for the next one.
 *
 * A job is new, then on a slot (its request is under way) or in the list of waiting jobs (for a new try, or for a slot
 * for its next request), and in the end over. Waiting jobs go first: their clocks run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/http/client.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/dialog.h"
#include "reward/http/curl.h"

#define BACK_OFF 0.5 /* seconds before the second try */

enum { GIVE_UP = 16, LOOK_MS = 200 };

struct slot {
    CURL *easy; /* NULL: not used so far */
    bool busy, too_long;
    int job;
    struct strbuf body, answer;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
};

/* What one run has to itself. */
struct wire {
    struct wire *next; /* in the list of idle ones */
    CURLM *multi;      /* keeps the connections */
    struct slot slots[];
};

struct http_client {
    const struct http_curl *curl;
    struct http_plan plan;
    char *name;
    char *authorization; /* the header; NULL */
    uint64_t nonce;      /* distinguishes our requests from those of other runs */
    atomic_int_least64_t seq;
    pthread_mutex_t lock;
    struct wire *idle; /* guarded by the lock */
};

struct job {
    double until;  /* when all of it must be over */
    double moment; /* when the next request may be sent */
    int tries;     /* of the present request, begun so far */
    int64_t seq;   /* of the present request */
};

struct run {
    struct http_client *client;
    const struct http_talk *talk;
    struct arena *arena;
    struct wire *wire;
    struct job *jobs;
    int n, n_begun, n_over;
    int *waiting, n_waiting;
    int n_busy;          /* slots */
    int failures_in_row; /* jobs that failed since one was answered */
};

/* ---- a slot: one request under way ---- */

static size_t take_bytes(char *bytes, size_t size, size_t n, void *context)
{
    struct slot *slot = context;
    slot->too_long = slot->answer.length + size * n > HTTP_ANSWER_BYTES;
    if (slot->too_long) {
        return 0; /* which ends the transfer */
    }
    strbuf_add(&slot->answer, bytes, size * n);
    return size * n;
}

/* Programs that other rewards start must not hold our connections open. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* What is the same for all requests. */
static bool slot_open(const struct http_client *client, struct slot *slot)
{
    const struct http_curl *curl = client->curl;
    CURL *easy = curl->easy_init();
    if (!easy) {
        return false;
    }
    slot->easy = easy;
    bool good = curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_PROXY, client->plan.proxy) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_URL, client->plan.url) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_USERAGENT, "strop") == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK &&
                curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error) == CURLE_OK;
    curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent does not hold us; 7.87 and newer */
    return good;
}

static void add_header(const struct http_client *client, struct slot *slot, const char *line)
{
    struct curl_slist *longer = client->curl->slist_append(slot->headers, line);
    BUG_ON(!longer); /* as arena_alloc: no memory is left */
    slot->headers = longer;
}

/* Sends the job's present request on a free slot. */
static void slot_send(struct run *run, struct slot *slot, int i)
{
    const struct http_client *client = run->client;
    const struct http_curl *curl = client->curl;
    struct job *job = &run->jobs[i];
    double left = job->until - clock_seconds();
    char key[64];
    strbuf_clear(&slot->body);
    strbuf_clear(&slot->answer);
    run->talk->ask(run->talk->context, i, job->seq, left, &slot->body);
    snprintf(key, sizeof key, "Idempotency-Key: %016" PRIx64 "-%" PRId64, client->nonce, job->seq);
    add_header(client, slot, "Content-Type: application/json");
    add_header(client, slot, "Accept: application/json");
    add_header(client, slot, "Expect:"); /* or a long body waits a second for permission */
    add_header(client, slot, "X-Strop-Protocol: 1");
    add_header(client, slot, key);
    if (client->authorization) {
        add_header(client, slot, client->authorization);
    }
    curl->easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
    curl->easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body.data);
    curl->easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)slot->body.length);
    curl->easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)fmax(1, left * 1000));
    curl->easy_setopt(slot->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)fmax(1, client->plan.connect_seconds * 1000));
    slot->error[0] = '\0';
    slot->too_long = false;
    slot->job = i;
    slot->busy = true;
    run->n_busy++;
    job->tries++;
    BUG_ON(curl->multi_add_handle(run->wire->multi, slot->easy) != CURLM_OK);
}

static void slot_free(struct run *run, struct slot *slot)
{
    run->client->curl->multi_remove_handle(run->wire->multi, slot->easy);
    run->client->curl->slist_free_all(slot->headers);
    slot->headers = NULL;
    slot->busy = false;
    run->n_busy--;
}

/* ---- a job, from one request to the next ---- */

static void job_wait(struct run *run, int i, double moment)
{
    run->jobs[i].moment = moment;
    run->waiting[run->n_waiting++] = i;
}

static void job_over(struct run *run, bool answered)
{
    run->n_over++;
    run->failures_in_row = answered ? 0 : run->failures_in_row + 1;
}

static void job_fail(struct run *run, int i, const char *why)
{
    run->talk->fail(run->talk->context, i, why);
    job_over(run, false);
    if (run->failures_in_row < GIVE_UP || run->n_begun == run->n) {
        return;
    }
    why = arena_printf(run->arena, "not asked, since %d requests in a row came to nothing; the last: %s",
                       run->failures_in_row, why);
    for (; run->n_begun < run->n; run->n_begun++) {
        run->talk->fail(run->talk->context, run->n_begun, why);
        run->n_over++;
    }
}

/* From 3/4 to 5/4, another for each request and try. */
static double jitter(const struct http_client *client, const struct job *job)
{
    uint64_t mix = (client->nonce + (uint64_t)job->seq * 64 + (uint64_t)job->tries) * UINT64_C(0x9e3779b97f4a7c15);
    return 0.75 + 0.5 * (double)(mix >> 40) / (1 << 24);
}

/* Schedules the next try. False: there is none left, or no time for it. asked: the server's Retry-After; 0: none. */
static bool job_again(struct run *run, int i, double asked)
{
    struct job *job = &run->jobs[i];
    double delay = fmax(asked, BACK_OFF * ldexp(1, job->tries - 1) * jitter(run->client, job));
    double moment = clock_seconds() + delay;
    if (job->tries > run->client->plan.retries || moment >= job->until) {
        return false;
    }
    job_wait(run, i, moment);
    return true;
}

/* ---- how a request ended ---- */

static bool may_pass(CURLcode code)
{
    static const CURLcode passing[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT,   CURLE_OPERATION_TIMEDOUT,   CURLE_GOT_NOTHING,
        CURLE_SEND_ERROR,           CURLE_RECV_ERROR,        CURLE_PARTIAL_FILE,         CURLE_HTTP2,
        CURLE_HTTP2_STREAM,         CURLE_SSL_CONNECT_ERROR, CURLE_COULDNT_RESOLVE_PROXY};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        if (passing[i] == code) {
            return true;
        }
    }
    return false;
}

/* No answer came. */
static void ended_without(struct run *run, const struct slot *slot, CURLcode code)
{
    const struct job *job = &run->jobs[slot->job];
    const char *name = run->client->name, *why;
    int tries = job->tries;
    if (slot->too_long) {
        why = arena_printf(run->arena, "%s answered with more than %d bytes", name, HTTP_ANSWER_BYTES);
    } else if (code == CURLE_OPERATION_TIMEDOUT && clock_seconds() > job->until - 0.05) {
        why = arena_printf(run->arena,
                           "%s gave no answer in %.3g s; give an item more time, or the server less at once "
                           "(concurrency, batch)",
                           name, run->talk->seconds);
    } else if (may_pass(code) && job_again(run, slot->job, 0)) {
        return;
    } else {
        why = arena_printf(run->arena, "%s gave no answer: %s (tries: %d); is the server up, and the url right?", name,
                           slot->error[0] ? slot->error : run->client->curl->easy_strerror(code), tries);
    }
    job_fail(run, slot->job, why);
}

/* An answer that is not 200. */
static void ended_with_status(struct run *run, const struct slot *slot, long status)
{
    static const long passing[] = {408, 429, 500, 502, 503, 504};
    const struct http_curl *curl = run->client->curl;
    const char *name = run->client->name, *target = NULL;
    struct str body = strbuf_view(&slot->answer);
    int tries = run->jobs[slot->job].tries;
    curl_off_t asked = 0;
    bool passes = false;
    curl->easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &asked);
    curl->easy_getinfo(slot->easy, CURLINFO_REDIRECT_URL, &target);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        passes = passes || passing[i] == status;
    }
    if (passes && job_again(run, slot->job, (double)asked)) {
        return;
    }
    if (target) {
        job_fail(run, slot->job,
                 arena_printf(run->arena,
                              "%s answered %ld, a redirect, which is not followed; if it is right, give %s as url",
                              name, status, dialog_shown(str_of(target), run->arena)));
        return;
    }
    const char *wait = asked > 0 ? arena_printf(run->arena, ", to be asked again in %lld s", (long long)asked) : "";
    job_fail(run, slot->job,
             arena_printf(run->arena, "%s answered %ld (tries: %d)%s: %s", name, status, tries, wait,
                          dialog_shown(body, run->arena)));
}

static void ended(struct run *run, struct slot *slot, CURLcode code)
{
    int i = slot->job;
    struct job *job = &run->jobs[i];
    long status = 0;
    run->client->curl->easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        ended_without(run, slot, code);
        return;
    }
    if (status != 200) {
        ended_with_status(run, slot, status);
        return;
    }
    enum http_next next = run->talk->answer(run->talk->context, i, job->seq, strbuf_view(&slot->answer));
    job->seq = atomic_fetch_add(&run->client->seq, 1);
    if (next == HTTP_MORE) {
        job->tries = 0;
        job_wait(run, i, clock_seconds());
    } else if (next == HTTP_DONE || !job_again(run, i, 0)) {
        job_over(run, true);
    }
}

/* ---- a run ---- */

static struct slot *free_slot(struct run *run)
{
    for (int i = 0; i < run->client->plan.concurrency; i++) {
        struct slot *slot = &run->wire->slots[i];
        if (!slot->busy) {
            BUG_ON(!slot->easy && !slot_open(run->client, slot)); /* the first one could be opened */
            return slot;
        }
    }
    BUG_ON(true);
}

/* Sends what may be sent now; returns when the next may be. */
static double send_some(struct run *run)
{
    double now = clock_seconds(), next = now + 1;
    for (int k = 0; k < run->n_waiting;) {
        int i = run->waiting[k];
        struct job *job = &run->jobs[i];
        bool late = now >= job->until, sends = now >= job->moment && run->n_busy < run->client->plan.concurrency;
        if (!late && !sends) {
            next = fmin(next, job->moment > now ? job->moment : job->until);
            k++;
            continue;
        }
        run->waiting[k] = run->waiting[--run->n_waiting];
        if (late) {
            job_fail(run, i,
                     arena_printf(run->arena, "%s did not answer all requests in %.3g s", run->client->name,
                                  run->talk->seconds));
        } else {
            slot_send(run, free_slot(run), i);
        }
    }
    while (run->n_begun < run->n && run->n_busy < run->client->plan.concurrency) {
        int i = run->n_begun++;
        run->jobs[i].until = clock_seconds() + run->talk->seconds;
        run->jobs[i].seq = atomic_fetch_add(&run->client->seq, 1);
        slot_send(run, free_slot(run), i);
    }
    return next;
}

/* Whether a request has ended. */
static bool receive_some(struct run *run)
{
    const struct http_curl *curl = run->client->curl;
    int going = 0, left = 0;
    bool some = false;
    curl->multi_perform(run->wire->multi, &going);
    for (CURLMsg *message; (message = curl->multi_info_read(run->wire->multi, &left));) {
        CURLcode code = message->data.result;
        for (int s = 0; s < run->client->plan.concurrency; s++) {
            struct slot *slot = &run->wire->slots[s];
            if (slot->busy && slot->easy == message->easy_handle) {
                ended(run, slot, code);
                slot_free(run, slot);
                some = true;
                break;
            }
        }
    }
    return some;
}

static struct wire *wire_new(const struct http_client *client)
{
    struct wire *wire = mem_zero(sizeof *wire + (size_t)client->plan.concurrency * sizeof wire->slots[0]);
    wire->multi = client->curl->multi_init();
    BUG_ON(!wire->multi); /* no memory is left */
    return wire;
}

static void wire_free(const struct http_client *client, struct wire *wire)
{
    for (int i = 0; i < client->plan.concurrency; i++) {
        struct slot *slot = &wire->slots[i];
        if (slot->easy) {
            client->curl->easy_cleanup(slot->easy);
        }
        strbuf_release(&slot->body);
        strbuf_release(&slot->answer);
    }
    client->curl->multi_cleanup(wire->multi);
    free(wire);
}

static struct wire *wire_take(struct http_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct wire *wire = client->idle;
    client->idle = wire ? wire->next : NULL;
    pthread_mutex_unlock(&client->lock);
    return wire ? wire : wire_new(client);
}

static void wire_give(struct http_client *client, struct wire *wire)
{
    pthread_mutex_lock(&client->lock);
    wire->next = client->idle;
    client->idle = wire;
    pthread_mutex_unlock(&client->lock);
}

/* Fails all that is not over. */
static void stop_all(struct run *run)
{
    const char *why = "judging was stopped";
    for (int s = 0; s < run->client->plan.concurrency; s++) {
        struct slot *slot = &run->wire->slots[s];
        if (slot->busy) {
            run->talk->fail(run->talk->context, slot->job, why);
            slot_free(run, slot);
        }
    }
    for (int k = 0; k < run->n_waiting; k++) {
        run->talk->fail(run->talk->context, run->waiting[k], why);
    }
    for (int i = run->n_begun; i < run->n; i++) {
        run->talk->fail(run->talk->context, i, why);
    }
}

void http_run(struct http_client *client, int n_jobs, const struct http_talk *talk, struct arena *arena)
{
    struct run run = {
        .client = client,
        .talk = talk,
        .arena = arena,
        .wire = wire_take(client),
        .jobs = ARENA_NEW(arena, struct job, n_jobs),
        .n = n_jobs,
        .waiting = ARENA_NEW(arena, int, n_jobs),
    };
    while (run.n_over < run.n) {
        if (talk->stop && talk->stop()) {
            stop_all(&run);
            break;
        }
        double next = send_some(&run);
        if (!receive_some(&run) && run.n_over < run.n) {
            double wait = fmin(LOOK_MS, ceil(1000 * fmax(0, next - clock_seconds())));
            client->curl->multi_poll(run.wire->multi, NULL, 0, (int)wait, NULL);
        }
    }
    wire_give(client, run.wire);
}

/* ---- a client ---- */

static char *url_part(const struct http_curl *curl, CURLU *url, CURLUPart part)
{
    char *text = NULL;
    return curl->url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

/* By libcurl's own reading, so that it cannot see another host than we do. */
static enum err check_url(const struct http_curl *curl, const char *text)
{
    CURLU *url = curl->url();
    BUG_ON(!url); /* no memory is left */
    bool good = curl->url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    char *scheme = url_part(curl, url, CURLUPART_SCHEME), *user = url_part(curl, url, CURLUPART_USER),
         *password = url_part(curl, url, CURLUPART_PASSWORD);
    enum err result = ERR_NONE;
    if (!good || !scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        result = err_set(ERR_USAGE, "'%s' is no url of http or https; write url=http://HOST:PORT/PATH", text);
    } else if (user || password) {
        result = err_set(ERR_USAGE,
                         "the url holds a user or a password, which would be shown and stored; put a token into an "
                         "environment variable and name that: token_env=NAME");
    }
    curl->free(scheme);
    curl->free(user);
    curl->free(password);
    curl->url_cleanup(url);
    return result;
}

enum err http_client_open(struct http_client **out, const struct http_plan *plan)
{
    const struct http_curl *curl;
    TRY(http_curl_open(&curl));
    TRY(check_url(curl, plan->url));
    struct http_client *client = mem_zero(sizeof *client);
    client->curl = curl;
    client->plan = *plan;
    client->name = mem_strdup(plan->url);
    client->name[strcspn(client->name, "?#")] = '\0';
    if (plan->token) {
        struct strbuf line = STRBUF_INIT;
        strbuf_printf(&line, "Authorization: Bearer %s", plan->token);
        client->authorization = line.data;
    }
    pthread_mutex_init(&client->lock, NULL);
    client->idle = wire_new(client);
    if (getrandom(&client->nonce, sizeof client->nonce, 0) != sizeof client->nonce ||
        !slot_open(client, &client->idle->slots[0])) {
        http_client_close(client);
        return err_set(ERR_STATE, "this machine's libcurl is older than 7.85, or was built without http and https");
    }
    *out = client;
    return ERR_NONE;
}

void http_client_close(struct http_client *client)
{
    if (!client) {
        return;
    }
    while (client->idle) {
        struct wire *wire = client->idle;
        client->idle = wire->next;
        wire_free(client, wire);
    }
    pthread_mutex_destroy(&client->lock);
    free(client->authorization);
    free(client->name);
    free(client);
}

const char *http_client_name(const struct http_client *client)
{
    return client->name;
}
