/* strop_plugin.h - what a reward in a shared object is: this header alone, any C compiler, no library.
 *
 *   #include "strop_plugin.h"
 *   static int score(void *state, const struct strop_item *items, size_t n, struct strop_result *out,
 *                    uint64_t deadline_ns) ..
 *   static const struct strop_plugin plugin = {STROP_PLUGIN_ABI, sizeof plugin, 0, "mine", "1.0", NULL, score, NULL};
 *   const struct strop_plugin *strop_plugin_v1(void) { return &plugin; }
 *
 *   cc -shared -fPIC -o mine.so mine.c
 *   strop score --reward plugin:path=./mine.so completions.jsonl
 *
 * Structures only ever grow at their end, and begin with their size as the host was built (strop_item, strop_result,
 * strop_host) or as the plug-in was (strop_plugin); a change of any other kind is another ABI number.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef STROP_PLUGIN_H
#define STROP_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STROP_PLUGIN_ABI 1u

struct strop_text {
    const char *data; /* UTF-8, not NUL-ended, valid during the call; may hold NUL */
    size_t length;
};

enum { STROP_STOP, STROP_LENGTH }; /* how a completion ended: by itself, or at its greatest length */

struct strop_item {
    uint32_t size;
    uint32_t finish;
    uint64_t id;
    struct strop_text prompt, completion;
    struct strop_text data_source;  /* the row's; empty if it has none */
    struct strop_text ground_truth; /* the reference: a text as it is, anything else as JSON; empty if there is none */
    struct strop_text row_json;     /* all of the data set's row */
    int64_t n_tokens;               /* of the completion; -1: unknown */
    int64_t max_tokens;             /* that it could have had; 0: unknown */
};

enum {
    STROP_ERROR,   /* it could not be judged; what a result is before the plug-in sets it */
    STROP_OK,      /* score is set, and finite */
    STROP_ABSTAIN, /* the reward does not apply */
};

struct strop_result {
    uint32_t size;
    uint32_t status;
    double score;
    char message[200];   /* NUL-ended: the reason, in a few words; may be empty */
    char extracted[200]; /* NUL-ended UTF-8: what was judged, e.g. the answer found; may be empty */
};

enum { STROP_LOG_INFO, STROP_LOG_WARNING };

struct strop_host {
    uint32_t size;
    void (*log)(int level, const char *message); /* one line; any thread */
};

/* flags: score() may be called from several threads at once. Without it, one call at a time. */
#define STROP_PLUGIN_THREAD_SAFE 1u

struct strop_plugin {
    uint32_t abi, size, flags;
    const char *name, *version;
    /* NULL: no state. `config`: a JSON object. 0, or not 0 and a sentence in `error` (NUL-ended). `host` stays
     * valid. */
    int (*create)(const struct strop_host *host, struct strop_text config, void **state, char *error,
                  size_t error_bytes);
    /* Judges n items into out[n]. 0, or not if all of it failed. deadline_ns: of CLOCK_MONOTONIC; past it nobody
     * waits. */
    int (*score)(void *state, const struct strop_item *items, size_t n, struct strop_result *out, uint64_t deadline_ns);
    void (*destroy)(void *state); /* NULL: nothing to do */
};

/* The one symbol that the shared object has for us. */
const struct strop_plugin *strop_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
