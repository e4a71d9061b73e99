/* reward/sandbox/wire.c - whole structs over a stream socket; descriptors go with the first byte (SCM_RIGHTS).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/sandbox/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool send_rest(int socket, const char *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = send(socket, data, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

bool wire_send(int socket, const void *data, size_t bytes, const int *fds, int n_fds)
{
    if (n_fds == 0) {
        return send_rest(socket, data, bytes);
    }
    union {
        char bytes[CMSG_SPACE(WIRE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
    memcpy(CMSG_DATA(head), fds, (size_t)n_fds * sizeof(int));
    ssize_t n;
    do {
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n > 0 && send_rest(socket, (const char *)data + n, bytes - (size_t)n);
}

static void take_fds(struct msghdr *message, int fds[WIRE_FDS], int *n_fds)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        int n = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + (size_t)i * sizeof fd, sizeof fd);
            if (*n_fds < WIRE_FDS) {
                fds[(*n_fds)++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static bool receive_all(int socket, char *to, size_t bytes, int fds[WIRE_FDS])
{
    int n_fds = 0;
    while (bytes) {
        union {
            char bytes[CMSG_SPACE(WIRE_FDS * sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec part = {.iov_base = to, .iov_len = bytes};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? ECONNRESET : errno;
            return false;
        }
        take_fds(&message, fds, &n_fds);
        to += n;
        bytes -= (size_t)n;
    }
    return true;
}

bool wire_receive(int socket, void *data, size_t bytes, int fds[WIRE_FDS])
{
    int here[WIRE_FDS] = {-1, -1, -1, -1, -1, -1};
    bool ok = receive_all(socket, data, bytes, here);
    for (int i = 0; i < WIRE_FDS; i++) {
        if (fds && ok) {
            fds[i] = here[i];
        } else if (here[i] >= 0) {
            close(here[i]);
        }
    }
    return ok;
}

static bool receive_part(int socket, struct strbuf *to, uint64_t bytes)
{
    char chunk[65536];
    while (bytes) {
        size_t n = bytes < sizeof chunk ? (size_t)bytes : sizeof chunk;
        if (!wire_receive(socket, chunk, n, NULL)) {
            return false;
        }
        strbuf_add(to, chunk, n);
        bytes -= n;
    }
    return true;
}

/* The comparisons are written so that a NaN makes them false. */
static bool is_answer(const struct wire_reply *reply, int64_t output_bytes)
{
    uint64_t max = output_bytes < 0 ? 0 : (uint64_t)output_bytes;
    unsigned char ok; /* read as a bool it must be one */
    memcpy(&ok, &reply->ok, 1);
    return ok <= 1 && memchr(reply->text, 0, sizeof reply->text) && reply->stop <= SANDBOX_OUTPUT &&
           reply->wall_s >= 0 && reply->wall_s < 1e9 && reply->cpu_s >= 0 && reply->cpu_s < 1e9 &&
           reply->starved_s >= 0 && reply->starved_s < 1e9 && reply->out_bytes <= max &&
           reply->answer_bytes <= max + WIRE_ANSWER_MORE && reply->err_bytes <= SANDBOX_STDERR;
}

bool wire_receive_result(int socket, int64_t output_bytes, struct wire_reply *reply, struct sandbox_result *result)
{
    int fds[WIRE_FDS];
    *result = (struct sandbox_result){.kept = -1};
    if (!wire_receive(socket, reply, sizeof *reply, fds)) {
        return false;
    }
    for (int i = 1; i < WIRE_FDS; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    result->kept = fds[0];
    if (!is_answer(reply, output_bytes)) {
        errno = EBADMSG;
        return false;
    }
    result->stop = reply->stop;
    result->exit_code = reply->exit_code;
    result->signal = reply->signal;
    result->wall_s = reply->wall_s;
    result->cpu_s = reply->cpu_s;
    result->starved_s = reply->starved_s;
    result->peak_kb = reply->peak_kb;
    return receive_part(socket, &result->out, reply->out_bytes) &&
           receive_part(socket, &result->err, reply->err_bytes) &&
           receive_part(socket, &result->answer, reply->answer_bytes);
}

bool wire_fail(char text[WIRE_TEXT], const char *format, ...)
{
    int reason = errno;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, WIRE_TEXT, format, arguments);
    va_end(arguments);
    if (n > 0 && n < WIRE_TEXT - 1) {
        snprintf(text + n, (size_t)(WIRE_TEXT - n), ": %s", strerror(reason));
    }
    return false;
}

bool wire_read_small(const char *path, char *text, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    size_t length = 0;
    ssize_t n;
    while (length < capacity - 1 && (n = read(fd, text + length, capacity - 1 - length)) > 0) {
        length += (size_t)n;
    }
    text[length] = '\0';
    close(fd);
    return length < capacity - 1;
}

bool wire_write_small(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = write(fd, text, strlen(text));
    int reason = errno;
    close(fd);
    errno = reason;
    return n == (ssize_t)strlen(text);
}
