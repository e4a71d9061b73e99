/* tests/reward/sandbox_check.c - make sandbox-check DATA=FOLDER: a corpus of hostile and ordinary programs.
 *
 *   sandbox_check FOLDER [REPEAT [AT_A_TIME [NAME]]]
 *
 * FOLDER/manifest.jsonl says for each program which verdicts are right and what must hold besides (its README.md). Each round
 * judges all programs, AT_A_TIME at once, so that each has neighbours; REPEAT rounds as this user, and when that is root,
 * REPEAT more as an ordinary one. A program passes if every round went well. The last line is "N passed, N failed".
 *
 * What is checked besides verdicts: a secret planted in our environment, memory and a file never shows in what a program
 * wrote; runs end within their wall clock and a second; when nothing runs, no process of a run is left; mounts, SysV objects,
 * the corpus and files owned by the sandbox's users are as before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "reward/code/run.h"
#include "reward/pool.h"

enum { MOST = 4096, ORDINARY_USER = 61234, SANDBOX_USERS = 1879048192 };

struct program {
    json_t *row;
    const char *name;
    struct strbuf source;
    enum code_language language;
};

struct check {
    struct program programs[MOST];
    int n;
    const char *folder;
    bool *failed; /* shared with the child that is an ordinary user */
    char canary[64];
    struct code_runner *runner;
    const char *who;
    pthread_mutex_t print;
};

/* ---- the corpus ---- */

/* Whole numbers beyond what the JSON library holds become {"$i": "..."}, which the comparison knows. */
static void protect_integers(struct str line, struct strbuf *out)
{
    bool quoted = false;
    for (size_t i = 0; i < line.length;) {
        size_t end = i;
        while (!quoted && end < line.length && line.data[end] >= '0' && line.data[end] <= '9') {
            end++;
        }
        if (end - i > 18) {
            strbuf_printf(out, "{\"$i\":\"%.*s\"}", (int)(end - i), line.data + i);
            i = end;
        } else if (end > i) {
            strbuf_add(out, line.data + i, end - i);
            i = end;
        } else {
            bool escaped = quoted && line.data[i] == '\\' && i + 1 < line.length;
            quoted = line.data[i] == '"' ? !quoted : quoted;
            strbuf_add(out, line.data + i, escaped ? 2 : 1);
            i += escaped ? 2 : 1;
        }
    }
}

/* {"range_lines": n} stands for the numbers 0 .. n-1, one a line. */
static void expand(json_t *test, const char *from, const char *to)
{
    const json_t *range = json_object_get(json_object_get(test, from), "range_lines");
    if (!json_is_integer(range)) {
        return;
    }
    struct strbuf text = STRBUF_INIT;
    for (json_int_t i = 0; i < json_integer_value(range); i++) {
        strbuf_printf(&text, "%lld\n", (long long)i);
    }
    json_object_set_new(test, to, json_stringn(text.data ? text.data : "", text.length));
    strbuf_release(&text);
}

static enum err load_program(struct check *c, struct str line)
{
    struct program *p = &c->programs[c->n];
    struct strbuf safe = STRBUF_INIT;
    char path[FILE_PATH_BYTES];
    protect_integers(line, &safe);
    enum err result = json_parse(&p->row, strbuf_view(&safe), "manifest.jsonl");
    strbuf_release(&safe);
    TRY(result);
    p->name = json_string_value(json_object_get(p->row, "name"));
    const char *file = json_string_value(json_object_get(p->row, "file"));
    if (!p->name || !file) {
        return err_set(ERR_FORMAT, "manifest.jsonl:%d: no name or file", c->n + 1);
    }
    size_t i;
    json_t *test;
    json_array_foreach(json_object_get(p->row, "tests"), i, test)
    {
        expand(test, "stdin_gen", "stdin");
        expand(test, "expected_gen", "expected");
    }
    p->language = code_language_of(str_of(json_string_value(json_object_get(p->row, "language"))));
    TRY(file_join(path, sizeof path, c->folder, file));
    TRY(file_read(&p->source, path, 16 << 20));
    c->n++;
    return ERR_NONE;
}

static enum err load(struct check *c)
{
    char path[FILE_PATH_BYTES];
    struct strbuf text = STRBUF_INIT;
    TRY(file_join(path, sizeof path, c->folder, "manifest.jsonl"));
    TRY(file_read(&text, path, 64 << 20));
    struct str all = strbuf_view(&text);
    for (size_t at = 0; at < all.length && c->n < MOST;) {
        ptrdiff_t end = str_find(all, STR("\n"), at);
        size_t to = end < 0 ? all.length : (size_t)end;
        struct str line = str_trim(str_slice(all, at, to));
        if (line.length) {
            TRY(load_program(c, line));
        }
        at = to + 1;
    }
    strbuf_release(&text);
    return c->n ? ERR_NONE : err_set(ERR_FORMAT, "%s: no programs", path);
}

/* ---- what must not change ---- */

static uint64_t hash_file(uint64_t hash, const char *path)
{
    struct strbuf text = STRBUF_INIT;
    if (file_read(&text, path, 256 << 20) == ERR_NONE && text.length) {
        hash = XXH3_64bits_withSeed(text.data, text.length, hash);
    }
    strbuf_release(&text);
    return hash;
}

/* Names, sizes and times of a folder's files; of those that belong to a sandbox's user only, where others work too. */
static uint64_t hash_folder(uint64_t hash, const char *path, bool sandbox_users_only)
{
    DIR *folder = opendir(path);
    uint64_t sum = 0; /* a sum: the order of a folder is not fixed */
    for (struct dirent *e; folder && (e = readdir(folder));) {
        struct stat s;
        if (fstatat(dirfd(folder), e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, ".") == 0 || strncmp(e->d_name, "strop-check-", 12) == 0 || /* our own home */
            (sandbox_users_only && s.st_uid < SANDBOX_USERS && s.st_uid != ORDINARY_USER)) {
            continue;
        }
        int64_t facts[] = {s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, (int64_t)s.st_mode, (int64_t)s.st_uid};
        sum += XXH3_64bits_withSeed(e->d_name, strlen(e->d_name), XXH3_64bits(facts, sizeof facts));
    }
    if (folder) {
        closedir(folder);
    }
    return XXH3_64bits_withSeed(&sum, sizeof sum, hash);
}

static uint64_t host_state(const struct check *c)
{
    char programs[FILE_PATH_BYTES];
    uint64_t hash = 0;
    static const char *const files[] = {"/proc/self/mounts", "/proc/sysvipc/shm", "/proc/sysvipc/msg",
                                        "/proc/sysvipc/sem", "/etc/passwd",       "/etc/hosts"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        hash = hash_file(hash, files[i]);
    }
    static const char *const shared[] = {"/tmp", "/var/tmp", "/dev/shm", ".", "/"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        hash = hash_folder(hash, shared[i], true);
    }
    snprintf(programs, sizeof programs, "%.4000s/progs", c->folder);
    return hash_folder(hash_folder(hash, c->folder, false), programs, false);
}

/* Fields of /proc/PID/status: the parent, and how many pid namespaces deep it is. */
static bool process_facts(pid_t pid, pid_t *parent, int *depth)
{
    char path[64];
    struct strbuf text = STRBUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    bool ok = file_read(&text, path, 1 << 16) == ERR_NONE && text.length;
    const char *up = ok ? strstr(text.data, "\nPPid:") : NULL, *ns = ok ? strstr(text.data, "\nNSpid:") : NULL;
    ok = up && ns;
    if (ok) {
        *parent = (pid_t)strtol(up + 6, NULL, 10);
        *depth = 0;
        for (const char *at = ns + 7; *at && *at != '\n'; at++) {
            *depth += *at == '\t';
        }
    }
    strbuf_release(&text);
    return ok;
}

static bool is_ours(pid_t pid)
{
    int depth;
    for (int i = 0; i < 64 && pid > 1; i++) {
        if (pid == getpid()) {
            return true;
        }
        if (!process_facts(pid, &pid, &depth)) {
            return false;
        }
    }
    return false;
}

/* Processes below us that are in a run's namespace: slots are one deep, runs two. */
static int survivors(void)
{
    int n = 0, own = 0;
    pid_t parent;
    process_facts(getpid(), &parent, &own);
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        int depth;
        if (pid > 0 && process_facts(pid, &parent, &depth) && depth >= own + 2 && is_ours(pid)) {
            n++;
        }
    }
    if (proc) {
        closedir(proc);
    }
    return n;
}

/* ---- judging ---- */

static bool accepted(const struct program *p, const char *verdict)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(p->row, "accept"), i, one)
    {
        if (strcmp(json_string_value(one), verdict) == 0) {
            return true;
        }
    }
    return false;
}

static void check_program(void *context, int job, int thread)
{
    (void)thread;
    struct check *c = context;
    const struct program *p = &c->programs[job];
    struct arena arena = ARENA_INIT;
    struct strbuf output = STRBUF_INIT;
    struct code_tests tests = {.limits = SANDBOX_LIMITS};
    struct code_outcome outcome = {.output = &output};
    char why[512] = "";
    const char *wrong = code_tests_read(&tests, p->row, false, &arena);
    if (wrong) {
        snprintf(why, sizeof why, "the row: %s", wrong);
    } else {
        struct code_program program = {.text = strbuf_view(&p->source), .language = p->language};
        struct reward_call call = {.arena = &arena, .deadline = clock_seconds() + 600};
        code_run(c->runner, &program, &tests, false, &call, &outcome);
        const char *verdict = code_verdict_names[outcome.verdict];
        if (!accepted(p, verdict)) {
            snprintf(why, sizeof why, "%s (test %d: %.300s)", verdict, outcome.test + 1, outcome.detail);
        } else if (outcome.slowest > tests.limits.wall_s + 1) {
            snprintf(why, sizeof why, "a run took %.2f s of %.2f", outcome.slowest, tests.limits.wall_s);
        } else if (str_find(strbuf_view(&output), str_of(c->canary), 0) >= 0 || strstr(outcome.detail, c->canary)) {
            snprintf(why, sizeof why, "the canary shows");
        }
    }
    if (why[0]) {
        pthread_mutex_lock(&c->print);
        c->failed[job] = true;
        printf("FAILED %s, %s: %s\n", p->name, c->who, why);
        pthread_mutex_unlock(&c->print);
    }
    strbuf_release(&output);
    arena_release(&arena);
}

static void fail_all(const struct check *c, const char *must, const char *why)
{
    printf("FAILED %s: %s\n", c->who, why);
    for (int i = 0; i < c->n; i++) { /* which program it was is not known; all that promise it fail */
        size_t k;
        const json_t *one;
        json_array_foreach(json_object_get(c->programs[i].row, "must"), k, one)
        {
            c->failed[i] = c->failed[i] || strcmp(json_string_value(one), must) == 0;
        }
    }
}

static enum err check_rounds(struct check *c, int repeat, int at_a_time, const char *only)
{
    struct pool *pool;
    c->who = geteuid() == 0 ? "as root" : "as an ordinary user";
    uint64_t before = host_state(c);
    TRY(code_runner_open(&c->runner, &(struct code_runner_options){.n_slots = at_a_time}));
    printf("%s: %s, %d at a time\n", c->who, code_runner_mode(c->runner), at_a_time);
    TRY(pool_open(&pool, at_a_time));
    for (int round = 0; round < repeat; round++) {
        double start = clock_seconds();
        for (int i = 0; only && i < c->n; i++) {
            if (strcmp(c->programs[i].name, only) == 0) {
                check_program(c, i, 0);
            }
        }
        if (!only) {
            pool_run(pool, c->n, check_program, c);
        }
        int left = survivors();
        if (left) {
            char why[64];
            snprintf(why, sizeof why, "%d processes are left after a round", left);
            fail_all(c, "no_survivors", why);
        }
        printf("%s: round %d of %d, %.1f s\n", c->who, round + 1, repeat, clock_seconds() - start);
        fflush(stdout);
    }
    pool_close(pool);
    code_runner_close(c->runner);
    if (host_state(c) != before) {
        fail_all(c, "host_unchanged", "the host has changed");
    }
    return ERR_NONE;
}

static int as_ordinary_user(struct check *c, int repeat, int at_a_time, const char *only)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char home[] = "/tmp/strop-check-XXXXXX";
        bool ok = mkdtemp(home) && chown(home, ORDINARY_USER, ORDINARY_USER) == 0 && setgroups(0, NULL) == 0 &&
                  setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) == 0 &&
                  setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) == 0;
        setenv("HOME", home, 1);
        if (!ok || check_rounds(c, repeat, at_a_time, only) != ERR_NONE) {
            printf("as an ordinary user: %s\n", ok ? err_text() : strerror(errno));
            ok = false;
        }
        fflush(stdout);
        file_remove_folder(home);
        _exit(ok ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    return status;
}

static void plant_canary(struct check *c, char *path, size_t capacity)
{
    unsigned char noise[16];
    if (getrandom(noise, sizeof noise, 0) != sizeof noise) {
        abort();
    }
    snprintf(c->canary, sizeof c->canary, "CANARY-");
    for (int i = 0; i < 16; i++) {
        snprintf(c->canary + 7 + 2 * i, 3, "%02x", noise[i]);
    }
    setenv("STROP_CANARY", c->canary, 1);
    snprintf(path, capacity, "/tmp/strop-canary-%d", (int)getpid());
    file_write_atomic(path, c->canary, strlen(c->canary));
    chmod(path, 0644);
}

int main(int argc, char **argv)
{
    static struct check c = {.print = PTHREAD_MUTEX_INITIALIZER};
    char canary[64];
    int64_t repeat = 1, at_a_time = 8;
    if (argc < 2 || (argc > 2 && !str_to_int(str_of(argv[2]), &repeat)) ||
        (argc > 3 && !str_to_int(str_of(argv[3]), &at_a_time))) {
        fprintf(stderr, "usage: sandbox_check FOLDER [REPEAT [AT_A_TIME [NAME]]]\n");
        return 2;
    }
    const char *only = argc > 4 ? argv[4] : NULL;
    c.folder = argv[1];
    plant_canary(&c, canary, sizeof canary);
    enum err result = load(&c);
    c.failed = mmap(NULL, MOST * sizeof *c.failed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    result = result == ERR_NONE ? check_rounds(&c, (int)repeat, (int)at_a_time, only) : result;
    bool ok = result == ERR_NONE;
    if (!ok) {
        printf("sandbox-check: %s\n", err_text());
    } else if (geteuid() == 0) {
        ok = as_ordinary_user(&c, (int)repeat, (int)at_a_time, only) == 0;
    } else {
        printf("not root: the rounds as root were left out\n");
    }
    unlink(canary);
    int failed = 0;
    for (int i = 0; i < c.n; i++) {
        failed += !ok || c.failed[i];
    }
    failed += !ok && c.n == 0;
    printf("%d passed, %d failed\n", c.n - (failed < c.n ? failed : c.n), failed);
    return failed ? 1 : 0;
}
