/* tests/reward/sandbox/landlock_test.c - the sandbox without namespaces: refused unless asked for, and what still holds.
 *
 * Namespaces are refused to us by a filter of system calls, as a container's. Where the kernel has no Landlock, or there is
 * no Python, what needs it is skipped, with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "reward/reward.h"
#include "reward/sandbox/sandbox.h"

static struct sandbox *sandbox;
static char secret[] = "/tmp/landlock_test.XXXXXX";

static struct sandbox_job python_job(const char *source)
{
    struct sandbox_job job = {
        .what = SANDBOX_SCRIPT, .source = str_of(source), .file = -1, .channel = -1, .limits = SANDBOX_LIMITS};
    job.limits.wall_s = 20; /* a busy machine must not decide */
    return job;
}

static struct sandbox_result run(const struct sandbox_job *job)
{
    struct sandbox_result result;
    if (!sandbox) {
        skip();
    }
    if (sandbox_run(sandbox, job, clock_seconds() + 120, &result) != ERR_NONE) {
        fail_msg("%s", err_text());
    }
    return result;
}

/* Runs Python and compares its output; the exit code must be 0. */
static void check_output(const char *source, const char *want)
{
    struct sandbox_job job = python_job(source);
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

static void it_must_be_asked_for(void **state)
{
    (void)state;
    struct sandbox *refused = NULL;
    assert_int_equal(sandbox_open(&refused, &(struct sandbox_options){.n_slots = 1}), ERR_STATE);
    assert_null(refused);
    assert_non_null(strstr(err_text(), "a process in new user, pid, mount and network namespaces was refused"));
    assert_non_null(strstr(err_text(), "seccomp profile forbids new namespaces; start it with --security-opt"));
    struct reward_set *set = NULL;
    struct reward_spec spec = {"code"};
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 10, 1), ERR_STATE);
    assert_null(set);
    spec.text = "code:sandbox=none";
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 10, 1), ERR_USAGE);
}

static void the_reward_says_so(void **state)
{
    (void)state;
    if (!sandbox) {
        skip();
    }
    struct reward_set *set;
    struct reward_spec spec = {"code:sandbox=landlock"};
    assert_int_equal(reward_set_open(&set, &spec, 1, ON_ERROR_DROP, 60, 1), ERR_NONE);
    static const struct {
        const char *row, *completion;
        enum verdict_kind kind;
        double score;
    } cases[] = {
        {"{\"tests\": [\"assert f(2) == 4\"]}", "```python\ndef f(x):\n    return 2 * x\n```", VERDICT_OK, 1},
        {"{\"tests\": [\"assert f(2) == 4\"]}", "```python\ndef f(x):\n    return x\n```", VERDICT_OK, 0},
        {"{\"entry\": \"f\", \"tests\": [{\"args\": [2], \"expected\": 4}]}", "```python\ndef f(x): return 4\n```",
         VERDICT_OK, 1},
        {"{\"tests\": [{\"stdin\": \"3\", \"expected\": \"9\"}]}", "```python\nprint(int(input()) ** 2)\n```",
         VERDICT_OK, 1},
        {"{\"language\": \"c\", \"tests\": [{\"stdin\": \"\", \"expected\": \"\"}]}", "```c\nint main(){}\n```",
         VERDICT_ERROR, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = ARENA_INIT;
        json_t *fields = json_loads(cases[i].row, 0, NULL);
        struct reward_item item = {.fields = fields, .completion = str_of(cases[i].completion), .n_tokens = -1};
        struct judgement judgement;
        assert_int_equal(reward_judge(set, &item, 1, &arena, &judgement), ERR_NONE);
        const struct verdict *verdict = &judgement.parts[0];
        assert_int_equal((int)verdict->kind, (int)cases[i].kind);
        assert_true(verdict->kind == VERDICT_ERROR ? !!strstr(verdict->reason, "sandbox=landlock runs Python only")
                                                   : strcmp(verdict->path, "landlock") == 0);
        assert_true(verdict->kind == VERDICT_ERROR || verdict->score == cases[i].score);
        json_decref(fields);
        arena_release(&arena);
    }
    reward_set_close(set);
}

static void limits_hold(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum sandbox_stop stop;
        int exit_code, signal;
    } cases[] = {
        {"raise SystemExit(3)", SANDBOX_ENDED, 3, 0},
        {"import time\ntime.sleep(60)", SANDBOX_WALL, -1, 0},
        {"import signal, time\nfor s in range(1, 32):\n    try:\n        signal.signal(s, signal.SIG_IGN)\n"
         "    except (OSError, ValueError):\n        pass\nwhile True:\n    time.sleep(60)",
         SANDBOX_WALL, -1, 0},
        {"while True: pass", SANDBOX_CPU, -1, SIGXCPU},
        {"while True: print('x' * 4096)", SANDBOX_OUTPUT, -1, 0},
        {"x = bytearray(1 << 33)", SANDBOX_ENDED, 1, 0}, /* MemoryError */
        {"f = open('big', 'wb')\nfor _ in range(100):\n    f.write(bytes(1 << 20))", SANDBOX_ENDED, 1, 0}, /* EFBIG */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sandbox_job job = python_job(cases[i].source);
        job.limits.cpu_s = 1;
        job.limits.wall_s = cases[i].stop == SANDBOX_WALL ? 0.5 : 20;
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

static void a_program_reaches_nothing(void **state)
{
    (void)state;
    char source[2048], mode[64];
    struct stat before, after;
    snprintf(source, sizeof source,
             "import os\n"
             "print([n for n in os.environ if 'SECRET' in n], os.getuid() == 0)\n"
             "for do in (lambda: open('%s').read(), lambda: open('%s', 'w'), lambda: os.chmod('%s', 0),\n"
             "           lambda: os.utime('%s'), lambda: os.truncate('%s', 0), lambda: os.unlink('%s'),\n"
             "           lambda: open('/proc/%d/environ').read(), lambda: os.readlink('/proc/%d/exe'),\n"
             "           lambda: open('/tmp/new', 'w'), lambda: open('/etc/passwd'), lambda: os.listdir('/'),\n"
             "           lambda: open('../box/main.py', 'w'), lambda: open('../strop/zygote.py')):\n"
             "    try:\n        print('did', do())\n    except OSError:\n        pass\n",
             secret, secret, secret, secret, secret, secret, (int)getpid(), (int)getpid());
    assert_int_equal(stat(secret, &before), 0);
    check_output(source, "[] False\n");
    assert_int_equal(stat(secret, &after), 0);
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    snprintf(
        source, sizeof source,
        "import ctypes, errno, fcntl, os, socket\n"
        "c = ctypes.CDLL(None, use_errno=True)\n"
        "a, b = socket.socketpair()\n"
        "for do in (os.fork, lambda: os.execv('/bin/true', ['true']), lambda: os.kill(%d, 0), lambda: os.kill(0, 15),\n"
        "           lambda: os.kill(os.getpid(), 9), lambda: os.killpg(os.getppid(), 9), socket.socket,\n"
        "           lambda: fcntl.fcntl(a, fcntl.F_SETOWN, %d), lambda: os.pidfd_open(%d),\n"
        "           lambda: fcntl.fcntl(a, fcntl.F_SETSIG, 9), lambda: os.sched_setaffinity(%d, [0]),\n"
        "           lambda: os.memfd_create('x')):\n"
        "    try:\n        print('did', do())\n    except PermissionError:\n        pass\n"
        "for call in (lambda: c.ptrace(16, os.getppid(), 0, 0), lambda: c.unshare(0x10000000), lambda: c.prctl(1, 0, "
        "0, 0, 0),\n"
        "             lambda: c.shmget(1, 4096, 0o1600), lambda: c.syscall(56, 17, 0, 0, 0, 0), lambda: c.vfork()):\n"
        "    if call() != -1 or ctypes.get_errno() != errno.EPERM:\n        print('did')\n",
        (int)getpid(), (int)getpid(), (int)getpid(), (int)getpid());
    check_output(source, "");
    snprintf(mode, sizeof mode, "%s", sandbox_mode(sandbox));
    assert_true(str_starts(str_of(mode), STR("landlock, seccomp, ")));
}

static void runs_do_not_see_each_other(void **state)
{
    (void)state;
    check_output("import os, tempfile, threading\n"
                 "t = threading.Thread(target=print, args=('t',))\nt.start()\nt.join()\n"
                 "open('left', 'w').write('x')\nos.symlink('/etc/passwd', 'link')\nos.mkdir('locked', 0)\n"
                 "os.mkdir('0')\ntempfile.mkstemp()\nprint(len(os.listdir('.')))\n"
                 "for _ in range(300):\n    os.mkdir('d' * 20, 0o300)\n    os.chdir('d' * 20)\n    open('f', 'w')\n",
                 "t\n5\n");
    check_output("import os\nprint(os.listdir('.'), os.getcwd() == os.environ['TMPDIR'])", "[] True\n");
}

/* As a container's profile does. The filter also holds for what we start. */
static bool refuse_namespaces(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool ok = filter &&
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) == 0 &&
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0 && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok;
}

static int open_sandbox(void **state)
{
    (void)state;
    int file = mkstemp(secret);
    bool ok = file >= 0 && write(file, "secret", 6) == 6 && fchmod(file, 0666) == 0 && close(file) == 0;
    setenv("STROP_SECRET", "1", 1);
    if (!ok || !refuse_namespaces()) {
        return -1;
    }
    if (sandbox_open(&sandbox, &(struct sandbox_options){.n_slots = 2, .landlock = true}) != ERR_NONE) {
        sandbox = NULL;
        print_message("skipped: %s\n", err_text());
    }
    return 0;
}

static int close_sandbox(void **state)
{
    (void)state;
    sandbox_close(sandbox);
    return unlink(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_must_be_asked_for),
        cmocka_unit_test(the_reward_says_so),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_program_reaches_nothing),
        cmocka_unit_test(runs_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, open_sandbox, close_sandbox);
}
