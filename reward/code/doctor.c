/* reward/code/doctor.c - looks at the kernel, the programs and the limits, then runs a program in each mode of the
 * sandbox.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "reward/code/run.h"
#include "reward/sandbox/host.h"

struct report {
    struct doctor_finding *findings;
    int n;
};

static void add(struct report *report, enum doctor_level level, const char *layer, const char *mend, const char *format,
                ...) __attribute__((format(printf, 5, 6)));

static void add(struct report *report, enum doctor_level level, const char *layer, const char *mend, const char *format,
                ...)
{
    BUG_ON(report->n == DOCTOR_FINDINGS);
    struct doctor_finding *finding = &report->findings[report->n++];
    finding->level = level;
    finding->layer = layer;
    finding->mend = mend;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

static void look_at_kernel(struct report *report)
{
    struct utsname name;
    unsigned long major = 0, minor = 0;
    if (uname(&name) == 0) {
        char *end = name.release;
        major = strtoul(end, &end, 10);
        minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    }
    bool new_enough = major > 5 || (major == 5 && minor >= 12);
    add(report, new_enough ? DOCTOR_OK : DOCTOR_FAIL, "kernel", new_enough ? "" : "the sandbox needs 5.12 or newer",
        "Linux %s", name.release);
}

static void look_at_programs(struct report *report)
{
    struct wire_setup setup = {0};
    char text[WIRE_TEXT];
    bool python = host_find_python(NULL, &setup, text);
    add(report, python ? DOCTOR_OK : DOCTOR_WARN, "python", python ? "" : "rewards that run Python programs need it",
        "%s", python ? setup.python : text);
    for (int cpp = 0; cpp < 2; cpp++) {
        const char *path = host_compiler(cpp), *name = cpp ? "g++" : "gcc";
        add(report, path ? DOCTOR_OK : DOCTOR_WARN, name,
            path ? "" : "rewards that run programs in its language need it: apt-get install g++", "%s",
            path ? path : "not found");
    }
    char folder[FILE_PATH_BYTES];
    bool headers = code_headers_folder(folder, sizeof folder);
    add(report, headers ? DOCTOR_OK : DOCTOR_WARN, "headers",
        headers ? "" : "C++ compiles slowly; set XDG_CACHE_HOME to a folder that can be written",
        headers ? "%.400s" : "no folder for precompiled headers", folder);
}

/* What the sandbox reports about itself (sandbox_mode). */
static void look_at_limits(struct report *report, const char *mode)
{
    bool both = strstr(mode, "(memory, tasks)") != NULL, proc = strstr(mode, "no /proc") == NULL;
    add(report, both ? DOCTOR_OK : DOCTOR_WARN, "cgroup",
        both ? "" : "a program may use memory x processes; run as root, or: systemd-run --user --scope -p Delegate=yes",
        "%s", mode);
    if (!proc) {
        add(report, DOCTOR_WARN, "/proc", "in a container: --security-opt systempaths=unconfined",
            "a new /proc is refused, so programs have none");
    }
}

static void try_program(struct report *report, struct code_runner *runner, enum code_language language,
                        const char *layer, const char *source)
{
    struct arena arena = ARENA_INIT;
    struct code_test test = {.input = STR("3 4\n"), .expected = STR("7\n"), .weight = 1};
    struct code_tests tests = {.limits = SANDBOX_LIMITS, .tests = &test, .n = 1};
    struct code_outcome outcome = {0};
    double start = clock_seconds();
    struct code_program program = {.text = str_of(source), .language = language};
    struct reward_call call = {.arena = &arena, .deadline = clock_seconds() + 60};
    code_run(runner, &program, &tests, false, &call, &outcome);
    bool right = outcome.verdict == CODE_AC;
    if (right) {
        add(report, DOCTOR_OK, layer, "", "a program ran in %.0f ms", (clock_seconds() - start) * 1e3);
    } else {
        add(report, DOCTOR_FAIL, layer, "", "a right program was judged %s: %.300s",
            code_verdict_names[outcome.verdict], outcome.detail);
    }
    arena_release(&arena);
}

static const char python_sum[] = "print(sum(map(int, input().split())))\n";

static void look_at_strict(struct report *report, bool python, bool gcc)
{
    struct code_runner *runner;
    if (code_runner_open(&runner, &(struct code_runner_options){.n_slots = 1}) != ERR_NONE) {
        add(report, DOCTOR_FAIL, "sandbox", "", "%s", err_text());
        return;
    }
    look_at_limits(report, code_runner_mode(runner));
    if (python) {
        try_program(report, runner, CODE_PYTHON, "run Python", python_sum);
    }
    if (gcc) {
        try_program(
            report, runner, CODE_C, "run C",
            "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b); printf(\"%d\\n\", a + b); }\n");
    }
    code_runner_close(runner);
}

/* The weaker mode (landlock); it is not needed where namespaces work. */
static void look_at_landlock(struct report *report, bool needed)
{
    struct code_runner *runner;
    if (code_runner_open(&runner, &(struct code_runner_options){.n_slots = 1, .landlock = true}) != ERR_NONE) {
        add(report, needed ? DOCTOR_WARN : DOCTOR_OK, "landlock", "", "%s%s", needed ? "" : "not needed: ", err_text());
        return;
    }
    try_program(report, runner, CODE_PYTHON, "landlock", python_sum);
    struct doctor_finding *finding = &report->findings[report->n - 1];
    if (finding->level == DOCTOR_OK) {
        snprintf(finding->text, sizeof finding->text,
                 "works; weaker, Python only, used where requested by "
                 "code:sandbox=landlock");
    }
    code_runner_close(runner);
}

int code_doctor(struct doctor_finding findings[DOCTOR_FINDINGS])
{
    struct report report = {.findings = findings};
    look_at_kernel(&report);
    look_at_programs(&report);
    bool python = findings[1].level == DOCTOR_OK, gcc = findings[2].level == DOCTOR_OK;
    look_at_strict(&report, python, gcc);
    if (python) {
        look_at_landlock(&report, findings[5].level == DOCTOR_FAIL);
    }
    return report.n;
}
