/* rl/ranks/net.c - sockets that never block: each wait is a poll of at most a tenth of a second.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_MS 100
#define BACKLOG 1024

/* ---- addresses ---- */

enum err net_resolve(struct net_address *out, const char *host, int port)
{
    char text[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(text, sizeof text, "%d", port);
    int code = getaddrinfo(host, text, &hints, &found);
    if (code != 0) {
        return err_set(ERR_IO, "cannot find the machine '%s' of rank 0: %s; is MASTER_ADDR right?", host,
                       gai_strerror(code));
    }
    *out = (struct net_address){.length = found->ai_addrlen};
    memcpy(&out->bytes, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return ERR_NONE;
}

bool net_is_loopback(const struct net_address *a)
{
    if (a->bytes.ss_family == AF_INET) {
        return (ntohl(((const struct sockaddr_in *)&a->bytes)->sin_addr.s_addr) >> 24) == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->bytes)->sin6_addr);
}

int net_port(const struct net_address *a)
{
    return ntohs(a->bytes.ss_family == AF_INET ? ((const struct sockaddr_in *)&a->bytes)->sin_port
                                               : ((const struct sockaddr_in6 *)&a->bytes)->sin6_port);
}

void net_set_port(struct net_address *a, int port)
{
    if (a->bytes.ss_family == AF_INET) {
        ((struct sockaddr_in *)&a->bytes)->sin_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in6 *)&a->bytes)->sin6_port = htons((uint16_t)port);
    }
}

static enum err name_of(int (*ask)(int, struct sockaddr *, socklen_t *), struct net_address *out, int fd)
{
    *out = (struct net_address){.length = sizeof out->bytes};
    return ask(fd, (struct sockaddr *)&out->bytes, &out->length) == 0
               ? ERR_NONE
               : err_set(ERR_IO, "a connection between ranks has ended: %s", strerror(errno));
}

static int ask_peer(int fd, struct sockaddr *address, socklen_t *length)
{
    return getpeername(fd, address, length);
}

static int ask_own(int fd, struct sockaddr *address, socklen_t *length)
{
    return getsockname(fd, address, length);
}

enum err net_peer(struct net_address *out, int fd)
{
    return name_of(ask_peer, out, fd);
}

enum err net_local(struct net_address *out, int fd)
{
    return name_of(ask_own, out, fd);
}

/* ---- connections ---- */

static struct net_address any_of(const struct net_address *near, int port)
{
    struct net_address any = *near;
    if (!net_is_loopback(near) && near->bytes.ss_family == AF_INET) {
        ((struct sockaddr_in *)&any.bytes)->sin_addr.s_addr = htonl(INADDR_ANY);
    } else if (!net_is_loopback(near)) {
        ((struct sockaddr_in6 *)&any.bytes)->sin6_addr = in6addr_any;
    }
    net_set_port(&any, port);
    return any;
}

enum err net_listen(int *fd, const struct net_address *near, int port)
{
    const int one = 1;
    struct net_address at = any_of(near, port);
    int s = socket(at.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s >= 0 && setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(s, (const struct sockaddr *)&at.bytes, at.length) == 0 && listen(s, BACKLOG) == 0) {
        *fd = s;
        return ERR_NONE;
    }
    int reason = errno;
    if (s >= 0) {
        close(s);
    }
    return err_set(ERR_IO, "cannot listen on port %d for the other ranks: %s%s", port, strerror(reason),
                   reason == EADDRINUSE ? "; another run or program has it: set STROP_PORT to a free one on all ranks"
                                        : "");
}

static void set_quick(int fd)
{
    const int one = 1; /* small messages are not held back */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Waits for `events`, a little. */
static void wait_for(int fd, short events)
{
    struct pollfd polled = {.fd = fd, .events = events};
    poll(&polled, 1, LOOK_MS);
}

int net_connect(const struct net_address *to, double until, bool (*stop)(void))
{
    int reason = 0, s = socket(to->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t length = sizeof reason;
    if (s < 0) {
        return -1;
    }
    if (connect(s, (const struct sockaddr *)&to->bytes, to->length) != 0) {
        reason = errno;
        for (struct pollfd polled = {.fd = s, .events = POLLOUT}; reason == EINPROGRESS;) {
            if (poll(&polled, 1, LOOK_MS) > 0) {
                getsockopt(s, SOL_SOCKET, SO_ERROR, &reason, &length);
            } else if (clock_seconds() > until || (stop && stop())) {
                reason = ETIMEDOUT;
            }
        }
    }
    if (reason != 0) {
        close(s);
        errno = reason;
        return -1;
    }
    set_quick(s);
    return s;
}

int net_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        set_quick(fd);
    }
    return fd;
}

/* ---- whole messages ---- */

static enum err move(int fd, char *data, size_t bytes, bool in, double until, bool (*stop)(void))
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = in ? recv(fd, data + done, bytes - done, 0) : send(fd, data + done, bytes - done, MSG_NOSIGNAL);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return err_set(ERR_IO, "the connection has ended%s%s", n == 0 ? "" : ": ", n == 0 ? "" : strerror(errno));
        }
        if (stop && stop()) {
            return err_set(ERR_STOPPED, "stopped");
        }
        if (clock_seconds() > until) {
            return err_set(ERR_IO, "there was no answer in time");
        }
        wait_for(fd, in ? POLLIN : POLLOUT);
    }
    return ERR_NONE;
}

enum err net_write(int fd, const void *data, size_t bytes, double until, bool (*stop)(void))
{
    return move(fd, (char *)(uintptr_t)data, bytes, false, until, stop);
}

enum err net_read(int fd, void *data, size_t bytes, double until, bool (*stop)(void))
{
    return move(fd, data, bytes, true, until, stop);
}
