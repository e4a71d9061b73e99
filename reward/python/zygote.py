# zygote.py - a warm interpreter that forks one child a run. Standard library only; Python 3.9 or newer.
#
# It never runs a model's program itself. For each order it enters the run's pid namespace, which C has made, forks, and the
# child enters the run's mounts, gives up every right, and runs the program. A strange child cannot reach this process: it is
# in another pid namespace. The structs mirror python_order and python_notice in reward/sandbox/slot.h.
#
# SPDX-License-Identifier: Apache-2.0
import sys

ROOT = sys.argv[1]  # "", or the slot's folder where there are no namespaces (reward/sandbox/landlock.h)
sys.path.insert(0, ROOT + "/strop")
import asserts
import calls

sys.path.remove(ROOT + "/strop")
calls.PROGRAM = ROOT + "/box/main.py"
del sys.modules["calls"], sys.modules["asserts"]

import _sitebuiltins
import atexit
import bisect, cmath, collections, copy, dataclasses, enum, functools, heapq, itertools, math, operator  # noqa: warm
import array, contextlib, queue, statistics, string, textwrap, time, typing, threading, traceback  # noqa: warm
import builtins
import ctypes
import fcntl
import gc
import io
import os
import random
import re  # noqa: warm
import resource
import socket
import struct
import types

SCRIPT, FUNCTION, SERVE, TEST = 0, 1, 2, 3
ORDER = struct.Struct("=4i6Q")
NOTICE = struct.Struct("=iiiiqq")
NEW_PID, NEW_REST = 0x20000000, 0x00020000 | 0x08000000 | 0x04000000  # mounts, ipc, uts
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAP_AMBIENT, AMBIENT_CLEAR = 1, 22, 47, 4
SIGKILL, LANDLOCK_RESTRICT_SELF = 9, 446
WARM = os.getpid()
FIRST_HIGH = 64  # descriptors are moved here first, so that none is overwritten
libc = ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_void_p)]


with open(ROOT + "/strop/filter", "rb") as f:
    filter_bytes = f.read()
filter_code = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
seccomp_filter = Filter(len(filter_bytes) // 8, ctypes.addressof(filter_code))
no_capabilities = (ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0)), ctypes.create_string_buffer(24))


def must(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")


def place_descriptors(fds, trouble):
    """stdin, stdout, stderr and what follows become 0, 1, 2, ...; all others are closed but `trouble`, which moves."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST_HIGH) for fd in fds]
    trouble = fcntl.fcntl(trouble, fcntl.F_DUPFD, FIRST_HIGH)
    for number, fd in enumerate(high):
        os.dup2(fd, number)
    os.closerange(len(high), trouble)
    os.closerange(trouble + 1, 1024)
    return trouble


def enter(run):
    if not ROOT:
        must(libc.setns(run, NEW_REST))
    os.setsid()
    os.chdir(ROOT + "/tmp")
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")  # where memory is limited as a whole, the program goes first
    except OSError:
        pass
    if ROOT:
        must(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        if os.getppid() != WARM:
            os._exit(1)  # it died before it could be told
        must(libc.syscall(LANDLOCK_RESTRICT_SELF, run, 0))


def confine(order):
    """In the child, before a byte of the program is looked at."""
    cpu, space, file_size, tasks, files, stack = order[4:]
    for what, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, file_size, file_size),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, files, files),
        (resource.RLIMIT_STACK, stack, stack),
        (resource.RLIMIT_NPROC, tasks, tasks),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_SIGPENDING, 256, 256),
        (resource.RLIMIT_AS, space, space),
    ):
        most = resource.getrlimit(what)[1]
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(what, (min(soft, hard), hard))
    must(libc.prctl(PR_CAP_AMBIENT, AMBIENT_CLEAR, 0, 0, 0))
    must(libc.capset(*no_capabilities))
    must(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(seccomp_filter), 0, 0))


def fresh_streams():
    """As a new interpreter makes them under LANG=C.UTF-8."""
    sys.stdin = sys.__stdin__ = io.open(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = sys.__stdout__ = io.open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = sys.__stderr__ = io.open(
        2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1
    )


def finish(code):
    """What the end of an interpreter does that a program can notice."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        pass
    try:
        sys.stdout.flush()
    except BaseException:
        code = code or 120
    try:
        sys.stderr.flush()
    except BaseException:
        pass
    os._exit(code)


def exit_code(value):
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 255
    print(value, file=sys.stderr)
    return 1


def guarded(work):
    """Runs a program to its end; never returns."""
    code = 0
    try:
        work()
    except SystemExit as e:
        code = exit_code(e.code)
    except BaseException as e:
        code = 1
        try:
            here = e.__traceback__
            while here and here.tb_frame.f_code.co_filename.startswith(ROOT + "/strop/"):
                here = here.tb_next
            sys.excepthook(type(e), e, here)
        except BaseException:
            pass
    finish(code)


def run_script():
    main = types.ModuleType("__main__")
    main.__file__ = calls.PROGRAM
    main.__builtins__ = builtins
    sys.modules["__main__"] = main
    with open(calls.PROGRAM, "rb") as f:
        code = compile(f.read(), calls.PROGRAM, "exec")
    exec(code, main.__dict__)


def silence():
    """stdin and stdout of a program whose functions are called are nobody's."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def run_child(what, prelude):
    random.seed(0)
    sys.argv = [calls.PROGRAM]
    sys.path.insert(0, ROOT + "/box")
    fresh_streams()
    if prelude:
        calls.import_prelude()
    if what == SCRIPT:
        guarded(run_script)
    elif what == FUNCTION:
        guarded(lambda: calls.answer(answer_fd=3))
    elif what == SERVE:
        setup = calls.read_input()
        silence()
        guarded(lambda: calls.serve(channel=3, setup=setup))
    else:
        guarded(lambda: asserts.test(channel=4, answer_fd=3))


def child_main(order, fds, trouble):
    try:
        enter(fds[0])
        trouble = place_descriptors(fds[1:], trouble)
        confine(order)
    except BaseException as e:
        os.write(trouble, struct.pack("=i", getattr(e, "errno", None) or 1))
        os._exit(1)
    os.close(trouble)
    run_child(order[0], prelude=order[2])


def obey(orders, message, fds):
    """One run: says when the program starts and how it ended."""
    order = ORDER.unpack(message)
    watch, trouble = os.pipe()
    try:
        if not ROOT:
            must(libc.setns(fds[0], NEW_PID))
        child = os.fork()
    except OSError as e:
        child, failure = -1, e.errno or 1
    if child == 0:
        child_main(order, fds, trouble)
    os.close(trouble)
    for fd in fds:
        os.close(fd)
    if child > 0:
        failure = struct.unpack("=i", os.read(watch, 4) or bytes(4))[0]  # end of file: it is confined
    os.close(watch)
    if failure == 0:
        orders.send(NOTICE.pack(0, child, 0, 0, 0, 0))
    if child > 0:
        _, status, used = os.wait4(child, 0)
    if failure:
        orders.send(NOTICE.pack(2, 0, failure, 0, 0, 0))
    else:
        cpu = int((used.ru_utime + used.ru_stime) * 1e6)
        orders.send(NOTICE.pack(1, child, status, 0, cpu, used.ru_maxrss))


def main():
    orders = socket.socket(fileno=3)
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 2)
    os.close(null)
    gc.collect()
    gc.freeze()
    orders.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(orders, ORDER.size, 6)
        if not message:
            os._exit(0)
        obey(orders, message, fds)


main()
