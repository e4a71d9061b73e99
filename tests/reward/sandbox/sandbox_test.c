/* tests/reward/sandbox/sandbox_test.c - how runs end, what is left of them, and what programs can see.
 *
 * Where the kernel refuses the namespaces, what needs them is skipped, with the reason. The whole corpus of attacks is
 * `make sandbox-check`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/sandbox/sandbox.h"
#include "reward/sandbox/guard.h"

static struct sandbox *sandbox;

static void need_sandbox(void)
{
    if (!sandbox) {
        skip();
    }
}

static struct sandbox_job python_job(const char *source, const char *input)
{
    struct sandbox_job job = {.what = SANDBOX_SCRIPT,
                              .source = str_of(source),
                              .input = str_of(input),
                              .file = -1,
                              .channel = -1,
                              .limits = SANDBOX_LIMITS};
    job.limits.wall_s = 20; /* a busy machine must not decide */
    return job;
}

static struct sandbox_result run(const struct sandbox_job *job)
{
    struct sandbox_result result;
    enum err err = sandbox_run(sandbox, job, clock_seconds() + 120, &result);
    if (err != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return result;
}

/* Runs Python and compares its output; the exit code must be 0. */
static void check_output(const char *source, const char *input, const char *want)
{
    struct sandbox_job job = python_job(source, input);
    struct sandbox_result result = run(&job);
    struct str err = strbuf_view(&result.err);
    if (result.stop != SANDBOX_ENDED || result.exit_code != 0) {
        fail_msg("stop %d, exit code %d, signal %d: %.*s", result.stop, result.exit_code, result.signal,
                 (int)err.length, err.data ? err.data : "");
    }
    strbuf_putc(&result.out, '\0');
    assert_string_equal(result.out.data, want);
    sandbox_result_release(&result);
}

static void the_filter_can_be_built(void **state)
{
    (void)state;
    struct guard_filter filter = {0};
    char text[WIRE_TEXT];
    for (int alone = 0; alone < 2; alone++) {
        assert_true(guard_build(&filter, alone, text));
        assert_true(filter.n > 50);
        free(filter.code);
    }
}

static void files_in_memory_are_sealed(void **state)
{
    (void)state;
    char bytes[8] = "";
    int fd = sandbox_file(STR("abc"));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), 3);
    assert_string_equal(bytes, "abc");
    close(fd);
}

static void a_program_reads_and_writes(void **state)
{
    (void)state;
    need_sandbox();
    check_output("a, b = map(int, input().split())\nprint(a + b)", "3 4\n", "7\n");
    check_output("import sys\nsys.stdout.write(sys.stdin.read()[::-1])", "abc", "cba");
    check_output("print(open(0).read(), end='')", "x\ny", "x\ny");
    check_output("exit(0)", "", "");
    check_output("import atexit\natexit.register(print, 'bye')", "", "bye\n");
    check_output("print(__name__, __file__)", "", "__main__ /box/main.py\n");
    check_output("import threading\nt = threading.Thread(target=print, args=('t',))\nt.start()", "", "t\n");
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    need_sandbox();
    static const struct {
        const char *source;
        enum sandbox_stop stop;
        int exit_code, signal;
    } cases[] = {
        {"raise SystemExit(3)", SANDBOX_ENDED, 3, 0},
        {"1/0", SANDBOX_ENDED, 1, 0},
        {"def", SANDBOX_ENDED, 1, 0},
        {"import os\nos.kill(os.getpid(), 9)", SANDBOX_ENDED, -1, SIGKILL},
        {"import os\nos.abort()", SANDBOX_ENDED, -1, SIGABRT},
        {"import os\nos.kill(os.getpid(), 31)", SANDBOX_ENDED, -1, SIGSYS},
        {"import time\ntime.sleep(60)", SANDBOX_WALL, -1, 0},
        {"while True: pass", SANDBOX_CPU, -1, SIGXCPU},
        {"while True: print('x' * 4096)", SANDBOX_OUTPUT, -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sandbox_job job = python_job(cases[i].source, "");
        job.limits.cpu_s = 1;
        job.limits.wall_s = cases[i].stop == SANDBOX_WALL ? 0.3 : 20;
        struct sandbox_result result = run(&job);
        if (result.stop != cases[i].stop || result.exit_code != cases[i].exit_code ||
            result.signal != cases[i].signal) {
            fail_msg("%s: stop %d, exit code %d, signal %d", cases[i].source, result.stop, result.exit_code,
                     result.signal);
        }
        assert_true(result.wall_s < job.limits.wall_s + 1);
        sandbox_result_release(&result);
    }
}

static void runs_do_not_see_each_other(void **state)
{
    (void)state;
    need_sandbox();
    check_output(
        "import os, builtins\nbuiltins.left = 1\nopen('/tmp/left', 'w').write('x')\nprint(os.listdir('/tmp'))\n"
        "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(600)\n",
        "", "['left']\n");
    check_output("import os, builtins\nprint(os.listdir('/tmp'), hasattr(builtins, 'left'), os.getpid())", "",
                 "[] False 2\n");
    check_output("import os\nprint(sorted(p for p in os.listdir('/proc') if p.isdigit()))", "", "['2']\n");
}

static void a_program_has_no_rights(void **state)
{
    (void)state;
    need_sandbox();
    setenv("STROP_SECRET", "1", 1);
    check_output("import os\nprint('STROP_SECRET' in os.environ, os.getuid() == 0)", "", "False False\n");
    check_output("import os\nprint(os.listdir('/proc/self/fd'))", "",
                 "['0', '1', '2', '3']\n"); /* 3: the folder itself */
    check_output("print([l.split()[1] for l in open('/proc/self/status') if l[:6] in ('CapPrm', 'CapBnd', 'NoNewP')])",
                 "", "['0000000000000000', '0000000000000000', '1']\n");
    check_output("import socket\n"
                 "try:\n    socket.socket()\nexcept PermissionError:\n    print('refused')\n"
                 "a, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))",
                 "", "refused\nb'x'\n");
    check_output("import ctypes, errno\nc = ctypes.CDLL(None, use_errno=True)\n"
                 "for call in (lambda: c.unshare(0x10000000), lambda: c.mount(b'x', b'/tmp', b'tmpfs', 0, None),\n"
                 "             lambda: c.ptrace(16, 1, 0, 0), lambda: c.umount2(b'/proc', 2), lambda: c.setuid(0),\n"
                 "             lambda: c.shmget(1, 4096, 0o1600), lambda: c.memfd_create(b'x', 0)):\n"
                 "    print(call(), errno.errorcode[ctypes.get_errno()], end=' ')",
                 "", "-1 EPERM -1 EPERM -1 EPERM -1 EPERM -1 EPERM -1 EPERM -1 EPERM ");
    check_output("import os\n"
                 "for path in ('/x', '/box/main.py', '/usr/x', '/strop/zygote.py', '/etc/x', '/dev/x'):\n"
                 "    try:\n        open(path, 'w')\n        print(path)\n    except OSError:\n        pass\n"
                 "try:\n    open('/proc/1/mem', 'rb')\nexcept OSError:\n    print('no')",
                 "", "no\n");
}

static void processes_and_memory_are_counted(void **state)
{
    (void)state;
    need_sandbox();
    check_output(
        "import os, time\nn = 0\ntry:\n    while n < 1000:\n        if os.fork() == 0:\n            time.sleep(60)\n"
        "        n += 1\nexcept OSError:\n    pass\nprint(10 <= n <= 20)",
        "", "True\n");
    struct sandbox_job job = python_job("x = bytearray(1 << 33)", "");
    struct sandbox_result result = run(&job);
    assert_true(result.stop == SANDBOX_MEMORY || result.exit_code == 1); /* MemoryError */
    sandbox_result_release(&result);
    check_output("try:\n    f = open('/tmp/big', 'wb')\n    for _ in range(100):\n        f.write(bytes(1 << 20))\n"
                 "    f.flush()\nexcept OSError:\n    pass\nimport os\nprint(os.path.getsize('/tmp/big') <= 16 << 20)",
                 "", "True\n");
}

static void the_sandbox_outlives_lost_slots(void **state)
{
    (void)state;
    need_sandbox();
    struct sandbox_job job = python_job("print(1)", "");
    job.what = SANDBOX_BINARY; /* a file that is no executable: the sandbox's failure, not a verdict */
    job.file = sandbox_file(STR("#!/bin/none\n"));
    struct sandbox_result result;
    assert_int_not_equal(sandbox_run(sandbox, &job, clock_seconds() + 60, &result), ERR_NONE);
    assert_non_null(strstr(err_text(), "cannot execute"));
    close(job.file);
    check_output("print(1)", "", "1\n");
}

static int open_sandbox(void **state)
{
    (void)state;
    if (sandbox_open(&sandbox, &(struct sandbox_options){.n_slots = 2}) != ERR_NONE) {
        sandbox = NULL;
        print_message("skipped: %s\n", err_text());
        return 0;
    }
    struct sandbox_job job = python_job("", "");
    struct sandbox_result result;
    if (sandbox_run(sandbox, &job, clock_seconds() + 60, &result) == ERR_NONE) {
        sandbox_result_release(&result);
    } else { /* no Python */
        print_message("skipped: %s\n", err_text());
        sandbox_close(sandbox);
        sandbox = NULL;
    }
    return 0;
}

static int close_sandbox(void **state)
{
    (void)state;
    sandbox_close(sandbox);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_can_be_built),          cmocka_unit_test(files_in_memory_are_sealed),
        cmocka_unit_test(a_program_reads_and_writes),       cmocka_unit_test(ends_are_told_apart),
        cmocka_unit_test(runs_do_not_see_each_other),       cmocka_unit_test(a_program_has_no_rights),
        cmocka_unit_test(processes_and_memory_are_counted), cmocka_unit_test(the_sandbox_outlives_lost_slots),
    };
    return cmocka_run_group_tests(tests, open_sandbox, close_sandbox);
}
