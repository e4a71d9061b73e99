/* reward/http/curl.h - libcurl, opened when a reward first asks for it.
 *
 * It is not linked: it needs so many libraries that the program would carry 16 MB along (make bundle), for a reward
 * that few runs use. Nearly every machine has it, since the curl command needs it; either flavour will do (OpenSSL's or
 * GnuTLS'). Names are libcurl's own, without their curl_.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_HTTP_CURL_H
#define REWARD_HTTP_CURL_H

#include <curl/curl.h>

#include "base/err.h"

#define HTTP_CURL_CALLS(X)                                                                                             \
    X(easy_init)                                                                                                       \
    X(easy_cleanup)                                                                                                    \
    X(easy_setopt)                                                                                                     \
    X(easy_getinfo)                                                                                                    \
    X(easy_strerror)                                                                                                   \
    X(multi_init)                                                                                                      \
    X(multi_cleanup)                                                                                                   \
    X(multi_add_handle)                                                                                                \
    X(multi_remove_handle)                                                                                             \
    X(multi_perform)                                                                                                   \
    X(multi_poll)                                                                                                      \
    X(multi_info_read)                                                                                                 \
    X(slist_append)                                                                                                    \
    X(slist_free_all)                                                                                                  \
    X(url)                                                                                                             \
    X(url_set)                                                                                                         \
    X(url_get)                                                                                                         \
    X(url_cleanup)                                                                                                     \
    X(free)                                                                                                            \
    X(global_init)

struct http_curl {
#define HTTP_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    HTTP_CURL_CALLS(HTTP_CURL_MEMBER)
#undef HTTP_CURL_MEMBER
};

/* All callers get the same table, from any thread. ERR_STATE: there is no libcurl here; the sentence names the
 * package. */
enum err http_curl_open(const struct http_curl **out);

#endif
