/* rl/ranks/net.h - TCP connections with deadlines: seconds on the clock of base/clock.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RANKS_NET_H
#define RL_RANKS_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"

struct net_address {
    struct sockaddr_storage bytes;
    socklen_t length;
};

/* Of a name or a number; ERR_IO with the name if there is none. */
enum err net_resolve(struct net_address *out, const char *host, int port);
bool net_is_loopback(const struct net_address *address);
int net_port(const struct net_address *address);
void net_set_port(struct net_address *address, int port);
/* The other end of a connection. */
enum err net_peer(struct net_address *out, int fd);

/* Listens on the port (0: any) of every network of `near`'s family; of the machine's own alone if `near` is loopback. The
 * descriptor does not block. ERR_IO, saying so, if the port is in use. */
enum err net_listen(int *fd, const struct net_address *near, int port);
/* Where a listening socket listens. */
enum err net_local(struct net_address *out, int fd);
/* One try; -1 with errno if nobody listens there, or nobody answers until then, or `stop` (may be NULL) says so. */
int net_connect(const struct net_address *to, double until, bool (*stop)(void));
/* The next connection of a listening socket; -1: there is none now. */
int net_accept(int listener);

/* All bytes or an error: ERR_IO if the connection ends, or at `until`; ERR_STOPPED if `stop` (may be NULL) says so. */
enum err net_write(int fd, const void *data, size_t bytes, double until, bool (*stop)(void));
enum err net_read(int fd, void *data, size_t bytes, double until, bool (*stop)(void));

#endif
