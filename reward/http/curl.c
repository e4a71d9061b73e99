/* reward/http/curl.c - dlopen and dlsym, once, into one table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/http/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

static struct http_curl table;
static const char *missing; /* the name of what was not found; NULL: nothing */

static void open_once(void)
{
    static const char *const libraries[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    static const struct {
        const char *name;
        size_t at;
    } calls[] = {
#define HTTP_CURL_CALL(name) {"curl_" #name, offsetof(struct http_curl, name)},
        HTTP_CURL_CALLS(HTTP_CURL_CALL)
#undef HTTP_CURL_CALL
    };
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof libraries / sizeof *libraries; i++) {
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    }
    missing = library ? NULL : libraries[0];
    for (size_t i = 0; !missing && i < sizeof calls / sizeof *calls; i++) {
        void *found = dlsym(library, calls[i].name);
        memcpy((char *)&table + calls[i].at, &found, sizeof found); /* ISO C has no cast to a function's address */
        missing = found ? NULL : calls[i].name;
    }
    if (!missing && table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        missing = "curl_global_init";
    }
}

enum err http_curl_open(const struct http_curl **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    if (missing) {
        return err_set(ERR_STATE,
                       "%s is not to be had on this machine; install libcurl 7.85 or newer (the package libcurl4, on "
                       "Ubuntu 24.04 libcurl4t64)",
                       missing);
    }
    *out = &table;
    return ERR_NONE;
}
