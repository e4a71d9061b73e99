/* tests/reward/http_server.h - a reward server on 127.0.0.1 that misbehaves when its request's first text tells it to.
 *
 * It reads a request, finds the words of what is judged ("score 1", "status 503", "cut" ...; http_test.c lists them), and
 * answers in the form of the path: /native, /openrlhf, /run_code. A thread for each connection, raw sockets.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_REWARD_HTTP_SERVER_H
#define TESTS_REWARD_HTTP_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"

enum { SERVER_MOST = 256, SERVER_KEYS = 512 };

struct server {
    int listener, port;
    pthread_t acceptor, threads[SERVER_MOST];
    int connections[SERVER_MOST];
    pthread_mutex_t lock; /* of what follows */
    int n_connections, n_requests, n_now, peak;
    char keys[SERVER_KEYS][64]; /* Idempotency-Keys seen */
    int n_keys;
    char head[4096]; /* of the last request */
    struct strbuf body;
};

struct server_connection {
    struct server *server;
    int fd;
};

/* ---- a request ---- */

static inline bool server_send(int fd, struct str text)
{
    while (text.length) {
        ssize_t n = send(fd, text.data, text.length, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        text = str_slice(text, (size_t)n, text.length);
    }
    return true;
}

/* Status, more header lines (each with \r\n), body. */
static inline bool server_reply(int fd, const char *status, const char *headers, struct str body)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_printf(&out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, body.length);
    strbuf_add_str(&out, body);
    bool good = server_send(fd, strbuf_view(&out));
    strbuf_release(&out);
    return good;
}

/* A header's value in `head`, up to its end of line. */
static inline struct str server_header(struct str head, const char *name)
{
    struct strbuf key = STRBUF_INIT;
    strbuf_printf(&key, "\r\n%s: ", name);
    ptrdiff_t at = str_find(head, strbuf_view(&key), 0);
    size_t from = at < 0 ? head.length : (size_t)at + key.length;
    ptrdiff_t end = str_find(head, STR("\r\n"), from);
    strbuf_release(&key);
    return str_slice(head, from, end < 0 ? head.length : (size_t)end);
}

/* Whether this key came before. */
static inline bool server_seen(struct server *s, struct str key)
{
    bool seen = false;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_keys; i++) {
        seen = seen || str_equal(str_of(s->keys[i]), key);
    }
    if (!seen && s->n_keys < SERVER_KEYS) {
        snprintf(s->keys[s->n_keys++], sizeof s->keys[0], "%.*s", (int)key.length, key.data);
    }
    pthread_mutex_unlock(&s->lock);
    return seen;
}

static inline bool server_says(const char *words, const char *word)
{
    return str_starts(str_of(words), str_of(word));
}

/* What the words ask for that is no answer of the form. True: it was done. *open: the connection goes on. */
static inline bool server_fault(int fd, const char *words, bool seen, bool *open)
{
    *open = false;
    if (server_says(words, "once ") && !seen) {
        words += strlen("once ");
    }
    if (server_says(words, "status ")) {
        *open = server_reply(fd, words + strlen("status "), "", STR("out of \"order\""));
    } else if (server_says(words, "wait ")) {
        char headers[64];
        snprintf(headers, sizeof headers, "Retry-After: %s\r\n", words + strlen("wait "));
        *open = server_reply(fd, "429 Too Many Requests", headers, STR("busy"));
    } else if (server_says(words, "redirect")) {
        *open = server_reply(fd, "302 Found", "Location: http://127.0.0.1:1/elsewhere\r\n", STR(""));
    } else if (server_says(words, "garbage")) {
        *open = server_reply(fd, "200 OK", "", STR("<html>\0\xff"));
    } else if (server_says(words, "cut")) {
        server_send(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"resu"));
    } else if (server_says(words, "no http")) {
        server_send(fd, STR("what?\r\n\r\n"));
    } else if (server_says(words, "huge")) {
        server_send(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"));
        static const char spaces[1 << 16];
        while (server_send(fd, (struct str){spaces, sizeof spaces})) {
        }
    } else if (server_says(words, "slow")) { /* until the client goes */
        struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
        poll(&gone, 1, 20000);
    } else if (server_says(words, "drip")) { /* never silent, never done */
        server_send(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
        while (server_send(fd, STR(" "))) {
            usleep(10000);
        }
    } else if (!server_says(words, "close")) {
        return false;
    }
    return true;
}

/* ---- what is judged, and what is said of it ---- */

static inline const char *server_words(const json_t *ask)
{
    const json_t *first = json_array_get(json_object_get(ask, "items"), 0);
    const char *native = json_string_value(json_object_get(first, "completion"));
    const char *query = json_string_value(json_array_get(json_object_get(ask, "query"), 0));
    const char *code = json_string_value(json_object_get(ask, "code"));
    return native ? native : query ? query : code ? code : "";
}

/* `values` become the value of "score" or an element of "rewards": "score 1" gives 1. */
static inline const char *server_value(const char *words)
{
    return server_says(words, "score ") ? words + strlen("score ") : "0.5";
}

/* In the reverse order, which ids put right. */
static inline void server_native(const json_t *ask, const char *first, struct strbuf *out)
{
    const json_t *items = json_object_get(ask, "items");
    strbuf_puts(out, "{\"results\": [");
    for (size_t i = json_array_size(items); i-- > 0;) {
        const json_t *item = json_array_get(items, i);
        const char *words = json_string_value(json_object_get(item, "completion"));
        const char *id = server_says(first, "id") ? "7" : json_string_value(json_object_get(item, "id"));
        strbuf_printf(out, "{\"id\": \"%s\", ", id);
        if (server_says(words, "error ")) {
            strbuf_printf(out, "\"error\": \"judge: %s\", \"retryable\": %s}", words + strlen("error "),
                          strstr(words, "again") ? "true" : "false");
        } else if (server_says(words, "nothing")) {
            strbuf_puts(out, "\"reason\": \"none\"}");
        } else {
            strbuf_printf(out, "\"score\": %s, \"reason\": \"half\"}", server_value(words));
        }
        strbuf_puts(out, i ? ", " : "");
    }
    strbuf_puts(out, server_says(first, "count") ? ", {\"id\": \"7\", \"score\": 1}]}" : "]}");
}

static inline void server_openrlhf(const json_t *ask, const char *first, struct strbuf *out)
{
    const json_t *queries = json_object_get(ask, "query");
    strbuf_puts(out, server_says(first, "other key") ? "{\"scores\": [" : "{\"rewards\": [");
    for (size_t i = 0; i < json_array_size(queries); i++) {
        strbuf_printf(out, "%s%s", i ? ", " : "", server_value(json_string_value(json_array_get(queries, i))));
    }
    strbuf_puts(out, server_says(first, "count") ? ", 1]}" : "]}");
}

/* "say X": it prints X; "echo": its stdin. */
static inline void server_fusion(const json_t *ask, const char *words, struct strbuf *out)
{
    static const struct {
        const char *word, *answer;
    } said[] = {
        {"raise", "{\"status\": \"Failed\", \"message\": \"\", \"compile_result\": null, \"run_result\": {\"status\": "
                  "\"Finished\", \"return_code\": 1, \"stdout\": \"\"}}"},
        {"loop", "{\"status\": \"Failed\", \"message\": \"\", \"compile_result\": null, \"run_result\": {\"status\": "
                 "\"TimeLimitExceeded\", \"return_code\": null, \"stdout\": \"\"}}"},
        {"no compile", "{\"status\": \"Failed\", \"message\": \"\", \"compile_result\": {\"status\": \"Finished\", "
                       "\"return_code\": 1}, \"run_result\": null}"},
        {"sandbox error", "{\"status\": \"SandboxError\", \"message\": \"no room\"}"},
        {"no status", "{\"message\": \"\"}"},
        {"no output", "{\"status\": \"Success\", \"run_result\": {\"status\": \"Finished\", \"return_code\": 0}}"},
        {"two minds", "{\"status\": \"Success\", \"run_result\": {\"return_code\": 1, \"stdout\": \"\"}}"},
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        if (server_says(words, said[i].word)) {
            strbuf_puts(out, said[i].answer);
            return;
        }
    }
    const char *text =
        server_says(words, "say ") ? words + strlen("say ") : json_string_value(json_object_get(ask, "stdin"));
    strbuf_puts(out,
                "{\"status\": \"Success\", \"message\": \"\", \"compile_result\": null, \"run_result\": {\"status\": "
                "\"Finished\", \"execution_time\": 0.1, \"return_code\": 0, \"stderr\": \"\", \"stdout\": \"");
    strbuf_add_json(out, str_of(text));
    strbuf_puts(out, "\"}}");
}

/* Whether the connection goes on. */
static inline bool server_answer(struct server *s, int fd, struct str head, struct str body)
{
    json_t *ask = NULL;
    BUG_ON(json_parse(&ask, body, "request") != ERR_NONE);
    bool open = true, seen = server_seen(s, server_header(head, "Idempotency-Key"));
    const char *words = server_words(ask);
    if (server_says(words, "sleep")) {
        usleep(100000);
    }
    if (!server_fault(fd, words, seen, &open)) {
        struct strbuf out = STRBUF_INIT;
        if (str_starts(head, STR("POST /native"))) {
            server_native(ask, words, &out);
        } else if (str_starts(head, STR("POST /openrlhf"))) {
            server_openrlhf(ask, words, &out);
        } else {
            server_fusion(ask, words, &out);
        }
        open = server_reply(fd, "200 OK", "Content-Type: application/json\r\n", strbuf_view(&out));
        strbuf_release(&out);
    }
    json_decref(ask);
    return open;
}

static inline void server_note(struct server *s, struct str head, struct str body)
{
    pthread_mutex_lock(&s->lock);
    s->n_requests++;
    s->n_now++;
    s->peak = s->n_now > s->peak ? s->n_now : s->peak;
    snprintf(s->head, sizeof s->head, "%.*s", (int)head.length, head.data);
    strbuf_clear(&s->body);
    strbuf_add_str(&s->body, body);
    pthread_mutex_unlock(&s->lock);
}

static inline void *server_serve(void *argument)
{
    struct server_connection *connection = argument;
    struct server *s = connection->server;
    struct strbuf in = STRBUF_INIT;
    int fd = connection->fd;
    static _Thread_local char chunk[1 << 16];
    for (bool open = true; open;) {
        strbuf_clear(&in);
        ptrdiff_t end = -1;
        int64_t length = 0;
        while (end < 0 || in.length < (size_t)end + 4 + (size_t)length) {
            ssize_t n = recv(fd, chunk, sizeof chunk, 0);
            if (n <= 0) {
                break;
            }
            strbuf_add(&in, chunk, (size_t)n);
            end = end < 0 ? str_find(strbuf_view(&in), STR("\r\n\r\n"), 0) : end;
            if (end >= 0 && length == 0) {
                struct str head = str_slice(strbuf_view(&in), 0, (size_t)end);
                BUG_ON(!str_to_int(server_header(head, "Content-Length"), &length));
            }
        }
        if (end < 0 || in.length < (size_t)end + 4 + (size_t)length) {
            break;
        }
        struct str head = str_slice(strbuf_view(&in), 0, (size_t)end + 2);
        struct str body = str_slice(strbuf_view(&in), (size_t)end + 4, in.length);
        server_note(s, head, body);
        open = server_answer(s, fd, head, body);
        pthread_mutex_lock(&s->lock);
        s->n_now--;
        pthread_mutex_unlock(&s->lock);
    }
    shutdown(fd, SHUT_RDWR); /* closed when the server stops, so that its number is not another's till then */
    strbuf_release(&in);
    free(connection);
    return NULL;
}

/* ---- the server ---- */

static inline void *server_accept(void *argument)
{
    struct server *s = argument;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        struct server_connection *connection = mem_zero(sizeof *connection);
        *connection = (struct server_connection){s, fd};
        pthread_mutex_lock(&s->lock);
        BUG_ON(s->n_connections == SERVER_MOST);
        int i = s->n_connections++;
        s->connections[i] = fd;
        pthread_mutex_unlock(&s->lock);
        BUG_ON(pthread_create(&s->threads[i], NULL, server_serve, connection) != 0);
    }
}

/* A socket of 127.0.0.1 with a port of its own; nobody listens so far. */
static inline int server_socket(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BUG_ON(fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0);
    BUG_ON(getsockname(fd, (struct sockaddr *)&address, &length) != 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static inline struct server *server_start(void)
{
    struct server *s = mem_zero(sizeof *s);
    s->listener = server_socket(&s->port);
    pthread_mutex_init(&s->lock, NULL);
    BUG_ON(listen(s->listener, 64) != 0 || pthread_create(&s->acceptor, NULL, server_accept, s) != 0);
    return s;
}

static inline void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->listener);
    for (int i = 0; i < s->n_connections; i++) {
        shutdown(s->connections[i], SHUT_RDWR);
        pthread_join(s->threads[i], NULL);
        close(s->connections[i]);
    }
    pthread_mutex_destroy(&s->lock);
    strbuf_release(&s->body);
    free(s);
}

#endif
