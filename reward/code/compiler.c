/* reward/code/compiler.c - a source is compiled as a sandbox job, and its executable kept as a file in memory.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/compiler.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "reward/code/headers.h"
#include "reward/sandbox/host.h"

enum { MAX_KEPT = 512, MAX_SETS = 16, MESSAGE_BYTES = 600 };

struct kept {
    XXH128_hash_t key;
    int file; /* -1: refused by the compiler; 0: a free entry */
    uint64_t used;
    char *message;
};

struct header_set {
    uint64_t key;
    int seen;
    enum { SET_NONE, SET_BUILDING, SET_READY, SET_FAILED } state;
};

struct compiler {
    struct sandbox *sandbox;
    const char *headers;
    uint64_t version; /* changes with the compiler */
    pthread_mutex_t lock;
    struct kept kept[MAX_KEPT];
    uint64_t clock;
    struct header_set sets[MAX_SETS];
    int n_sets;
};

bool code_headers_folder(char *path, size_t capacity)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = cache && cache[0] == '/' ? snprintf(path, capacity, "%s/strop/headers", cache)
            : home && home[0] == '/' ? snprintf(path, capacity, "%s/.cache/strop/headers", home)
                                     : -1;
    return n > 0 && (size_t)n < capacity && file_make_folders(path) == ERR_NONE && access(path, W_OK | X_OK) == 0;
}

struct compiler *compiler_new(struct sandbox *sandbox, const char *headers)
{
    struct compiler *compiler = mem_zero(sizeof *compiler);
    struct stat status = {0};
    stat("/usr/bin/g++", &status);
    int64_t version[] = {status.st_size, status.st_mtim.tv_sec, (int64_t)status.st_ino};
    compiler->version = XXH3_64bits(version, sizeof version);
    compiler->sandbox = sandbox;
    compiler->headers = headers;
    pthread_mutex_init(&compiler->lock, NULL);
    return compiler;
}

void compiler_free(struct compiler *compiler)
{
    if (!compiler) {
        return;
    }
    for (int i = 0; i < MAX_KEPT; i++) {
        if (compiler->kept[i].file > 0) {
            close(compiler->kept[i].file);
        }
        free(compiler->kept[i].message);
    }
    pthread_mutex_destroy(&compiler->lock);
    free(compiler);
}

/* ---- what was compiled before ---- */

static bool kept_find(struct compiler *compiler, XXH128_hash_t key, struct arena *arena, int *file,
                      const char **message)
{
    bool found = false;
    pthread_mutex_lock(&compiler->lock);
    for (int i = 0; i < MAX_KEPT && !found; i++) {
        struct kept *kept = &compiler->kept[i];
        if (kept->file != 0 && XXH128_isEqual(kept->key, key)) {
            kept->used = ++compiler->clock;
            *file = kept->file < 0 ? -1 : fcntl(kept->file, F_DUPFD_CLOEXEC, 3);
            *message = arena_strdup(arena, kept->message ? kept->message : "");
            found = kept->file < 0 || *file >= 0;
        }
    }
    pthread_mutex_unlock(&compiler->lock);
    return found;
}

static void kept_add(struct compiler *compiler, XXH128_hash_t key, int file, const char *message)
{
    int copy = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, 3);
    if (file >= 0 && copy < 0) {
        return;
    }
    pthread_mutex_lock(&compiler->lock);
    struct kept *oldest = &compiler->kept[0];
    for (int i = 1; i < MAX_KEPT; i++) {
        oldest = compiler->kept[i].used < oldest->used ? &compiler->kept[i] : oldest;
    }
    if (oldest->file > 0) {
        close(oldest->file);
    }
    free(oldest->message);
    *oldest = (struct kept){.key = key, .file = copy, .used = ++compiler->clock, .message = mem_strdup(message)};
    pthread_mutex_unlock(&compiler->lock);
}

/* ---- the compiler ---- */

static void command_add(struct strbuf *command, const char *word)
{
    strbuf_add(command, word, strlen(word) + 1);
}

static void command_begin(struct strbuf *command, enum code_language language, const char *kind)
{
    command_add(command, host_compiler(language == CODE_CPP));
    command_add(command, "-x");
    command_add(command, kind);
    command_add(command, "-O1");
    command_add(command, "-w");
}

static struct sandbox_limits compile_limits(bool headers)
{
    struct sandbox_limits limits = SANDBOX_LIMITS;
    limits.wall_s = headers ? 120 : 30; /* the wall is for a busy machine; the processor's time decides */
    limits.cpu_s = headers ? 60 : 10;
    limits.memory_mb = 1024;
    limits.fsize_mb = headers ? 256 : 64;
    limits.tmp_mb = headers ? 512 : 128;
    return limits;
}

static enum err compile(struct compiler *compiler, const struct strbuf *command, struct str source, bool headers,
                        const struct reward_call *call, struct sandbox_result *result)
{
    struct sandbox_job job = {.what = SANDBOX_COMPILE,
                              .source = source,
                              .file = -1,
                              .channel = -1,
                              .command = strbuf_view(command),
                              .keep = "/tmp/a",
                              .limits = compile_limits(headers),
                              .stop = call->stop};
    TRY(sandbox_run(compiler->sandbox, &job, call->deadline, result));
    struct stat status = {0};
    bool good = result->stop == SANDBOX_ENDED && result->exit_code == 0 && result->kept >= 0 &&
                fstat(result->kept, &status) == 0 && status.st_size > 0;
    if (!good && result->kept >= 0) {
        close(result->kept);
        result->kept = -1;
    }
    return ERR_NONE;
}

/* ---- precompiled headers ---- */

static struct header_set *set_find(struct compiler *compiler, uint64_t key)
{
    for (int i = 0; i < compiler->n_sets; i++) {
        if (compiler->sets[i].key == key) {
            return &compiler->sets[i];
        }
    }
    if (compiler->n_sets == MAX_SETS) {
        return NULL;
    }
    compiler->sets[compiler->n_sets] = (struct header_set){.key = key};
    return &compiler->sets[compiler->n_sets++];
}

static bool copy_out(int from, const char *path)
{
    struct strbuf bytes = STRBUF_INIT;
    char chunk[65536];
    ssize_t n;
    lseek(from, 0, SEEK_SET);
    while ((n = read(from, chunk, sizeof chunk)) > 0) {
        strbuf_add(&bytes, chunk, (size_t)n);
    }
    bool ok = n == 0 && file_write_atomic(path, bytes.data, bytes.length) == ERR_NONE && chmod(path, 0644) == 0;
    strbuf_release(&bytes);
    return ok;
}

static bool set_build(struct compiler *compiler, const struct header_names *names, const char *folder,
                      const struct reward_call *call)
{
    char path[FILE_PATH_BYTES];
    struct strbuf text = STRBUF_INIT, command = STRBUF_INIT;
    struct sandbox_result result = {.kept = -1};
    headers_text(names, &text);
    command_begin(&command, CODE_CPP, "c++-header");
    command_add(&command, "/box/source");
    command_add(&command, "-o");
    command_add(&command, "/tmp/a");
    bool ok = compile(compiler, &command, strbuf_view(&text), true, call, &result) == ERR_NONE && result.kept >= 0 &&
              file_make_folders(folder) == ERR_NONE && chmod(folder, 0755) == 0;
    snprintf(path, sizeof path, "%.4000s/all.h", folder);
    ok = ok && file_write_atomic(path, text.data, text.length) == ERR_NONE && chmod(path, 0644) == 0;
    snprintf(path, sizeof path, "%.4000s/all.h.gch", folder);
    ok = ok && copy_out(result.kept, path);
    sandbox_result_release(&result);
    strbuf_release(&text);
    strbuf_release(&command);
    return ok;
}

/* The path inside the sandbox of the precompiled headers that the source starts with; false: none. Builds them if it is
 * time; sources that come meanwhile are compiled without. */
static bool headers_for(struct compiler *compiler, struct str source, const struct reward_call *call, char *path,
                        size_t capacity)
{
    struct header_names names;
    char folder[FILE_PATH_BYTES];
    if (!compiler->headers || !headers_scan(source, &names)) {
        return false;
    }
    uint64_t key = headers_key(&names) ^ compiler->version;
    snprintf(folder, sizeof folder, "%.4000s/%016llx", compiler->headers, (unsigned long long)key);
    snprintf(path, capacity, "/headers/%016llx/all.h", (unsigned long long)key);
    pthread_mutex_lock(&compiler->lock);
    struct header_set *set = set_find(compiler, key);
    bool build = false;
    if (set && set->state == SET_NONE) {
        char made[FILE_PATH_BYTES];
        snprintf(made, sizeof made, "%.4000s/all.h.gch", folder);
        set->seen++;
        build = !file_exists(made) && (names.everything || set->seen > 1);
        set->state = file_exists(made) ? SET_READY : build ? SET_BUILDING : SET_NONE;
    }
    bool ready = set && set->state == SET_READY;
    pthread_mutex_unlock(&compiler->lock);
    if (build) {
        ready = set_build(compiler, &names, folder, call);
        pthread_mutex_lock(&compiler->lock);
        set->state = ready ? SET_READY : SET_FAILED;
        pthread_mutex_unlock(&compiler->lock);
    }
    return ready;
}

/* ---- the compiler's interface ---- */

static enum err compile_source(struct compiler *compiler, enum code_language language, struct str source,
                               const struct reward_call *call, struct sandbox_result *result)
{
    char headers[64];
    struct strbuf command = STRBUF_INIT;
    command_begin(&command, language, language == CODE_CPP ? "c++" : "c");
    if (language == CODE_CPP && headers_for(compiler, source, call, headers, sizeof headers)) {
        command_add(&command, "-include");
        command_add(&command, headers);
    }
    command_add(&command, "/box/source");
    command_add(&command, "-o");
    command_add(&command, "/tmp/a");
    command_add(&command, "-lm");
    enum err err = compile(compiler, &command, source, false, call, result);
    strbuf_release(&command);
    return err;
}

enum err compiler_run(struct compiler *compiler, enum code_language language, struct str source,
                      const struct reward_call *call, int *file, const char **message)
{
    if (!host_compiler(language == CODE_CPP)) {
        return err_set(ERR_STATE, "%s is not installed; install the package %s", language == CODE_CPP ? "g++" : "gcc",
                       language == CODE_CPP ? "g++" : "gcc");
    }
    XXH128_hash_t key = XXH3_128bits_withSeed(source.data ? source.data : "", source.length, language);
    if (kept_find(compiler, key, call->arena, file, message)) {
        return ERR_NONE;
    }
    struct sandbox_result result;
    TRY(compile_source(compiler, language, source, call, &result));
    if (result.kept < 0 && result.stop == SANDBOX_WALL) {
        sandbox_result_release(&result);
        return err_set(ERR_LIMIT, "the compiler was not done in %g s; the machine is too busy",
                       compile_limits(false).wall_s);
    }
    size_t n = result.err.length < MESSAGE_BYTES ? result.err.length : MESSAGE_BYTES;
    *message = n ? arena_strndup(call->arena, result.err.data, n) : "";
    kept_add(compiler, key, result.kept, *message);
    *file = result.kept;
    result.kept = -1;
    sandbox_result_release(&result);
    return ERR_NONE;
}
