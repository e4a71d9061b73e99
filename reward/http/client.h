/* reward/http/client.h - many POST requests to one url, some of them at a time, and each over within a known time.
 *
 * A job is one thing to find out, by one request or several after each other. Its clock starts when its first request
 * is sent; all of it, with every wait and every new try, ends within `seconds`. A request is tried again where that can
 * help: no connection, one that breaks, and 408, 429, 500, 502, 503, 504; after 0.5 s, then twice as long each time (a
 * little more or less, so that many do not come at once), or as the server's Retry-After says. Anything else that is
 * not 200 ends the job.
 * When GIVE_UP jobs in a row failed, those not yet begun are not begun: a server that is down costs a batch the time of
 * a few jobs, not of all.
 *
 * What is not done: redirects are not followed; no scheme but http and https; no proxy but the one given, whatever the
 * environment says; no cookies, no .netrc; certificates are verified; an answer is refused when it grows over
 * HTTP_ANSWER_BYTES. Connections are kept and reused. Sentences show the url without its query (from '?' on).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_HTTP_CLIENT_H
#define REWARD_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { HTTP_ANSWER_BYTES = 8 << 20 };

struct http_plan {
    const char *url;
    const char *token; /* sent as "Authorization: Bearer"; NULL: none. Never in a sentence */
    const char *proxy; /* "": none */
    int concurrency;   /* requests under way at a time, in one http_run */
    int retries;       /* of a request */
    double connect_seconds;
};

enum http_next {
    HTTP_DONE,  /* the job has its result */
    HTTP_MORE,  /* another request is to follow */
    HTTP_AGAIN, /* the server could not judge now: try again as after a failure; if no try is left, as DONE */
};

/* What the jobs of a run are about; called by the thread that runs them. */
struct http_talk {
    void *context;
    double seconds;     /* of a job */
    bool (*stop)(void); /* asked several times a second; once true, what is not answered fails. NULL: never */
    /* The body of a request. `seq` differs for each request, and is the same when it is tried again; seconds: left. */
    void (*ask)(void *context, int job, int64_t seq, double seconds, struct strbuf *body);
    /* The body of an answer 200, valid during the call. */
    enum http_next (*answer)(void *context, int job, int64_t seq, struct str body);
    void (*fail)(void *context, int job, const char *why); /* there will be no answer; `why` is in the arena */
};

struct http_client;

/* The plan's texts must outlive the client. ERR_USAGE for a url that is none or holds a password, ERR_STATE without
 * libcurl. */
enum err http_client_open(struct http_client **out, const struct http_plan *plan);
void http_client_close(struct http_client *client);             /* NULL is fine */
const char *http_client_name(const struct http_client *client); /* the url as sentences show it */
/* Runs jobs 0 .. n_jobs - 1; each is answered or failed in the end. Any number of threads at once. */
void http_run(struct http_client *client, int n_jobs, const struct http_talk *talk, struct arena *arena);

#endif
