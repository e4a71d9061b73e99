/* reward/library.c - dlopen, the ABI's checks, and copies of what a result holds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/library.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

struct library {
    void *handle;
    const struct strop_plugin *plugin;
    void *state;
    bool created;
    pthread_mutex_t one_at_a_time;
};

static void host_log(int level, const char *message)
{
    log_message(level == STROP_LOG_WARNING ? LOG_WARNING : LOG_INFO, "%s", message);
}

static const struct strop_host host = {sizeof host, host_log};

static enum err check(const char *path, const struct strop_plugin *plugin)
{
    if (!plugin) {
        return err_set(ERR_STATE, "%s: strop_plugin_v1() gave NULL", path);
    }
    if (plugin->abi != STROP_PLUGIN_ABI) {
        return err_set(ERR_STATE, "%s: it has ABI %u, not %u; build it with this strop_plugin.h", path, plugin->abi,
                       STROP_PLUGIN_ABI);
    }
    if (plugin->size < sizeof *plugin) {
        return err_set(ERR_STATE, "%s: its struct strop_plugin has %u bytes, and ABI %u has %zu", path, plugin->size,
                       STROP_PLUGIN_ABI, sizeof *plugin);
    }
    return plugin->score ? ERR_NONE : err_set(ERR_STATE, "%s: it has no score()", path);
}

static enum err load(struct library *library, const char *path, const char *config)
{
    if (strchr(path, '/')) { /* else the loader searches its own folders */
        TRY(file_check_regular(path));
    }
    library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle) {
        return err_set(ERR_STATE, "cannot load the plug-in: %s", dlerror());
    }
    const struct strop_plugin *(*entry)(void) = NULL;
    void *symbol = dlsym(library->handle, "strop_plugin_v1");
    if (!symbol) {
        return err_set(ERR_STATE, "%s: it has no strop_plugin_v1()", path);
    }
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from an object's address to a function's */
    library->plugin = entry();
    TRY(check(path, library->plugin));
    char error[256] = "";
    struct strop_text text = {config, strlen(config)};
    if (library->plugin->create && library->plugin->create(&host, text, &library->state, error, sizeof error) != 0) {
        error[sizeof error - 1] = '\0';
        return err_set(ERR_STATE, "%s: create() failed: %s", path, error[0] ? error : "it does not say why");
    }
    library->created = true;
    return ERR_NONE;
}

enum err library_open(struct library **out, const char *path, const char *config)
{
    struct library *library = mem_zero(sizeof *library);
    pthread_mutex_init(&library->one_at_a_time, NULL);
    enum err result = load(library, path, config);
    if (result != ERR_NONE) {
        library_close(library);
        return result;
    }
    *out = library;
    return ERR_NONE;
}

void library_close(struct library *library)
{
    if (!library) {
        return;
    }
    if (library->created && library->plugin->destroy) {
        library->plugin->destroy(library->state);
    }
    if (library->handle) {
        dlclose(library->handle);
    }
    pthread_mutex_destroy(&library->one_at_a_time);
    free(library);
}

/* The text before the NUL that must be there, as far as it is UTF-8. */
static void close_text(char *text, size_t capacity)
{
    text[capacity - 1] = '\0';
    text[str_utf8_prefix(str_of(text))] = '\0';
}

static void fail(struct strop_result *result, const char *message)
{
    result->status = STROP_ERROR;
    snprintf(result->message, sizeof result->message, "%s", message);
}

void library_score(struct library *library, struct strop_item *item, double deadline, struct strop_result *result)
{
    bool lock = !(library->plugin->flags & STROP_PLUGIN_THREAD_SAFE);
    item->size = sizeof *item;
    *result = (struct strop_result){.size = sizeof *result, .status = STROP_ERROR};
    if (lock) {
        double whole = floor(deadline);
        struct timespec until = {.tv_sec = (time_t)whole, .tv_nsec = (long)((deadline - whole) * 1e9)};
        if (pthread_mutex_clocklock(&library->one_at_a_time, CLOCK_MONOTONIC, &until) != 0) {
            fail(result, "the plug-in was busy with other items for too long");
            return;
        }
    }
    int failure = library->plugin->score(library->state, item, 1, result, (uint64_t)(deadline * 1e9));
    if (lock) {
        pthread_mutex_unlock(&library->one_at_a_time);
    }
    close_text(result->message, sizeof result->message);
    close_text(result->extracted, sizeof result->extracted);
    if (failure || result->status > STROP_ABSTAIN) {
        fail(result, failure ? "score() failed" : "score() set no known status");
    } else if (result->status == STROP_ERROR && !result->message[0]) {
        fail(result, "score() failed without a message");
    }
}

struct strop_text library_text(const json_t *value, struct arena *arena)
{
    if (!value || json_is_null(value) || json_is_string(value)) {
        return (struct strop_text){json_string_value(value), json_string_length(value)};
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    struct strop_text kept = {text ? arena_strdup(arena, text) : "", text ? strlen(text) : 0};
    free(text);
    return kept;
}
