/* rl/cmd/doctor.c - strop doctor: what this machine has, and what it lacks for a run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pcre2.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utf8proc.h>
#include <xxhash.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "kernels/device.h"
#include "reward/code/doctor.h"
#include "rl/cmd/commands.h"

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL };

struct doctor {
    const char *folder; /* where runs are to go */
    bool json;
    int counts[3];
    struct arena arena;
};

/* ---- a line of the result ---- */

/* `found` says what is there, `mend` what to do about it ("" if nothing). */
static void report(struct doctor *d, const char *name, enum level level, const char *found, const char *mend)
{
    static const char *const names[] = {"OK", "WARN", "FAIL"};
    struct strbuf line = STRBUF_INIT;
    d->counts[level]++;
    if (d->json) {
        strbuf_printf(&line, "{\"check\": \"%s\", \"level\": \"%s\", \"found\": \"", name, names[level]);
        strbuf_add_json(&line, str_of(found));
        strbuf_puts(&line, "\", \"mend\": \"");
        strbuf_add_json(&line, str_of(mend));
        strbuf_puts(&line, "\"}\n");
    } else {
        strbuf_printf(&line, "%-4s  %-10s %s\n", names[level], name, found);
        if (mend[0]) {
            strbuf_printf(&line, "%16s -> %s\n", "", mend);
        }
    }
    fwrite(line.data, 1, line.length, stdout);
    fflush(stdout); /* a check may take a while, or never end */
    strbuf_release(&line);
}

/* ---- the machine ---- */

/* The number after the first `key` in a small text file; -1 if it is not there. */
static int64_t number_in_file(const char *path, const char *key)
{
    char text[8192];
    int64_t number = -1;
    FILE *file = fopen(path, "re");
    if (!file) {
        return -1;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = strstr(text, key);
    if (at) {
        at += strlen(key);
        at += strspn(at, " \t:");
        size_t digits = strspn(at, "0123456789");
        str_to_int((struct str){at, digits}, &number);
    }
    return number;
}

static void check_processor(struct doctor *d)
{
    struct device *device;
    if (device_open(&device, "cpu") != ERR_NONE) {
        report(d, "processor", LEVEL_FAIL, err_text(), "");
        return;
    }
    bool plain = strcmp(device->ops->name, "cpu/scalar") == 0;
    const char *found = arena_printf(&d->arena, "%s, %d threads", device->ops->name, device_threads());
    report(d, "processor", plain ? LEVEL_WARN : LEVEL_OK, found,
           plain ? "a processor with AVX2 is several times as fast" : "");
    device_close(device);
}

/* A container may have less than the machine. */
static void check_memory(struct doctor *d)
{
    int64_t available = number_in_file("/proc/meminfo", "MemAvailable"); /* KiB */
    int64_t limit = number_in_file("/sys/fs/cgroup/memory.max", "");
    int64_t used = number_in_file("/sys/fs/cgroup/memory.current", "");
    double gib = (double)available / (1 << 20), room = (double)(limit - used) / (1 << 30);
    if (available < 0) {
        report(d, "memory", LEVEL_WARN, "unknown: /proc/meminfo cannot be read", "");
        return;
    }
    bool contained = limit >= 0 && room < gib;
    gib = contained ? room : gib;
    report(d, "memory",
           gib < 0.5 ? LEVEL_FAIL
           : gib < 4 ? LEVEL_WARN
                     : LEVEL_OK,
           arena_printf(&d->arena, "%.1f GiB available%s", gib, contained ? " (limit of the control group)" : ""),
           gib < 4 ? "training takes 16 bytes per parameter and more; strop check RECIPE prints the table" : "");
}

/* ---- the folder of the runs ---- */

static void check_disk(struct doctor *d)
{
    uint64_t bytes;
    if (file_space_left(d->folder, &bytes) != ERR_NONE) {
        report(d, "disk", LEVEL_FAIL, err_text(), "name a folder that exists with --folder=PATH");
        return;
    }
    double gib = (double)bytes / (1 << 30);
    report(d, "disk",
           gib < 1    ? LEVEL_FAIL
           : gib < 10 ? LEVEL_WARN
                      : LEVEL_OK,
           arena_printf(&d->arena, "%.1f GiB free in %s", gib, d->folder),
           gib < 10 ? "a checkpoint takes 12 bytes per parameter; save_total_limit says how many are kept" : "");
}

/* Writes a page and waits until it is on the disk, some times over: what each step of a run does. */
static enum err time_fsync(const char *path, double *milliseconds)
{
    enum { TIMES = 5 };
    static const char page[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set(ERR_IO, "%s cannot be made: %s", path, strerror(errno));
    }
    double start = clock_seconds();
    enum err result = ERR_NONE;
    for (int i = 0; i < TIMES && result == ERR_NONE; i++) {
        result = file_write_all(fd, page, sizeof page, path);
        if (result == ERR_NONE && fsync(fd) != 0) {
            result = err_set(ERR_IO, "fsync of %s failed: %s", path, strerror(errno));
        }
    }
    *milliseconds = 1000 * (clock_seconds() - start) / TIMES;
    close(fd);
    unlink(path);
    return result;
}

static void check_fsync(struct doctor *d)
{
    double milliseconds = 0;
    const char *path = arena_printf(&d->arena, "%s/.strop-doctor.%ld", d->folder, (long)getpid());
    if (time_fsync(path, &milliseconds) != ERR_NONE) {
        report(d, "fsync", LEVEL_FAIL, err_text(), "give output_dir a folder that can be written");
        return;
    }
    bool slow = milliseconds > 100;
    report(d, "fsync", slow ? LEVEL_WARN : LEVEL_OK, arena_printf(&d->arena, "%.1f ms", milliseconds),
           slow ? "each step waits for some of them; a local disk is faster" : "");
}

/* A database in the mode of run.db, which network file systems may refuse. */
static void check_database(struct doctor *d)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    sqlite3 *db;
    const char *path = arena_printf(&d->arena, "%s/.strop-doctor.%ld.db", d->folder, (long)getpid());
    const char *version = arena_printf(&d->arena, "SQLite %s, write-ahead log works", sqlite3_libversion());
    bool works = sqlite3_open(path, &db) == SQLITE_OK &&
                 sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)", NULL, NULL,
                              NULL) == SQLITE_OK;
    const char *problem = arena_strdup(&d->arena, sqlite3_errmsg(db));
    sqlite3_close(db);
    for (int i = 0; i < 3; i++) {
        unlink(arena_printf(&d->arena, "%s%s", path, ends[i]));
    }
    report(d, "run.db", works ? LEVEL_OK : LEVEL_FAIL,
           works ? version : arena_printf(&d->arena, "SQLite %s: %s", sqlite3_libversion(), problem),
           works ? "" : "put output_dir on a local disk that can be written");
}

static void check_file_system(struct doctor *d)
{
    static const struct {
        unsigned long magic;
        const char *name, *mend;
    } doubtful[] = {
        {0x01021994, "tmpfs", "it is gone after a restart; give output_dir a folder on a disk"},
        {0x6969, "NFS", "run.db wants a local disk: locks of network file systems are not to be trusted"},
        {0xff534d42, "CIFS", "run.db wants a local disk: locks of network file systems are not to be trusted"},
        {0xfe534d42, "SMB", "run.db wants a local disk: locks of network file systems are not to be trusted"},
    };
    struct statfs info;
    if (statfs(d->folder, &info) != 0) {
        return; /* check_disk has said so */
    }
    for (size_t i = 0; i < sizeof doubtful / sizeof *doubtful; i++) {
        if (((unsigned long)info.f_type & 0xffffffffUL) == doubtful[i].magic) {
            report(d, "files", LEVEL_WARN, arena_printf(&d->arena, "%s is on %s", d->folder, doubtful[i].name),
                   doubtful[i].mend);
        }
    }
}

/* ---- libraries ---- */

static void check_pcre2(struct doctor *d)
{
    char version[64] = "";
    uint32_t has_jit = 0;
    int error;
    PCRE2_SIZE offset;
    pcre2_config(PCRE2_CONFIG_VERSION, version);
    pcre2_config(PCRE2_CONFIG_JIT, &has_jit);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) "a+b", PCRE2_ZERO_TERMINATED, 0, &error, &offset, NULL);
    bool works = has_jit && code && pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    pcre2_code_free(code);
    report(d, "PCRE2", works ? LEVEL_OK : LEVEL_WARN,
           arena_printf(&d->arena, "%s, compiled patterns %s", version, works ? "work" : "do not work"),
           works ? "" : "tokenizing is slower; does the system forbid memory that is written and executed?");
}

static void check_libraries(struct doctor *d)
{
    report(d, "libraries", LEVEL_OK,
           arena_printf(&d->arena, "jansson %s, libyaml %s, utf8proc %s, xxHash %u.%u.%u", jansson_version_str(),
                        yaml_get_version_string(), utf8proc_version(), XXH_versionNumber() / 10000,
                        XXH_versionNumber() / 100 % 100, XXH_versionNumber() % 100),
           "");
}

/* ---- the GPU, as the driver itself reports it ---- */

struct driver {
    void *library;
    int (*init)(unsigned flags);
    int (*version)(int *out);
    int (*count)(int *out);
    int (*name)(char *out, int capacity, int device);
    int (*memory)(size_t *out, int device);
    int (*attribute)(int *out, int attribute, int device);
};

static bool driver_open(struct driver *driver)
{
    driver->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver->library) {
        return false;
    }
    const struct {
        void *to;
        const char *name;
    } calls[] = {{&driver->init, "cuInit"},
                 {&driver->version, "cuDriverGetVersion"},
                 {&driver->count, "cuDeviceGetCount"},
                 {&driver->name, "cuDeviceGetName"},
                 {&driver->memory, "cuDeviceTotalMem_v2"},
                 {&driver->attribute, "cuDeviceGetAttribute"}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(driver->library, calls[i].name);
        if (!call) {
            dlclose(driver->library);
            return false;
        }
        memcpy(calls[i].to, &call, sizeof call); /* POSIX: the two kinds of pointer are alike */
    }
    return true;
}

static void report_gpu(struct doctor *d, const struct driver *driver, int device, int version)
{
    enum { MAJOR = 75, MINOR = 76 }; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_... */
    char name[128] = "";
    size_t memory = 0;
    int major = 0, minor = 0;
    driver->name(name, sizeof name, device);
    driver->memory(&memory, device);
    driver->attribute(&major, MAJOR, device);
    driver->attribute(&minor, MINOR, device);
    report(d, "GPU", major < 8 ? LEVEL_WARN : LEVEL_OK,
           arena_printf(&d->arena, "%d: %s, %.0f GiB, compute capability %d.%d, driver for CUDA %d.%d", device, name,
                        (double)memory / (1 << 30), major, minor, version / 1000, version % 1000 / 10),
           major < 8 ? "bfloat16 arithmetic begins with capability 8.0" : "");
}

static void check_gpu(struct doctor *d)
{
    struct driver driver = {0};
    int version = 0, n = 0;
    if (!driver_open(&driver)) {
        report(d, "GPU", LEVEL_WARN, "no NVIDIA driver (libcuda.so.1)", "models run on the processor");
        return;
    }
    int code = driver.init(0);
    if (code != 0 || driver.version(&version) != 0 || driver.count(&n) != 0 || n == 0) {
        report(d, "GPU", LEVEL_WARN, arena_printf(&d->arena, "the driver is there, but no GPU (cuInit: %d)", code),
               "see nvidia-smi; in a container, were the devices handed on?");
    }
    for (int i = 0; i < n; i++) {
        report_gpu(d, &driver, i, version);
    }
    dlclose(driver.library);
}

/* ---- what rewards run ---- */

/* Runs need the sandbox for the code reward alone, so nothing here is a failure. */
static void check_sandbox(struct doctor *d)
{
    struct doctor_finding findings[DOCTOR_FINDINGS];
    int n = code_doctor(findings);
    for (int i = 0; i < n; i++) {
        const struct doctor_finding *f = &findings[i];
        bool fails = f->level == DOCTOR_FAIL;
        report(d, f->layer, f->level == DOCTOR_OK ? LEVEL_OK : LEVEL_WARN, f->text,
               fails && !f->mend[0] ? "only rewards that run programs need it" : f->mend);
    }
}

/* ---- all ---- */

static enum err doctor_command(const struct cmd_args *args)
{
    static void (*const checks[])(struct doctor * d) = {
        check_processor, check_memory,   check_gpu,       check_disk,  check_file_system,
        check_fsync,     check_database, check_libraries, check_pcre2, check_sandbox,
    };
    struct doctor d = {.folder = cmd_text(args, "folder"), .json = cmd_flag(args, "json")};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        checks[i](&d);
    }
    arena_release(&d.arena);
    return d.counts[LEVEL_FAIL] ? err_set(ERR_STATE, "%d checks failed; runs will not work here", d.counts[LEVEL_FAIL])
                                : ERR_NONE;
}

static const struct cmd_option doctor_options[] = {
    {"folder", CMD_TEXT, "PATH", ".", "where runs are to go"},
    {"json", CMD_FLAG, NULL, NULL, "print a JSON object a check"},
    {0},
};

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[--folder=PATH] [--json]",
    .summary = "check this machine: processor, memory, GPU, disk, libraries",
    .details =
        "Each check is OK, WARN (works, but see the line below it) or FAIL (runs will not work), with what to do.\n"
        "The exit code is 1 if one failed. Nothing is left in the folder.\n",
    .options = doctor_options,
    .run = doctor_command,
};
