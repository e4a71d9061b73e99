/* rl/train_signals.c - what a run does about signals: noted in handlers, acted on between steps.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "rl/train_internal.h"

static volatile sig_atomic_t interrupts, stop_signal, save_wanted, present_step, on_terminal;

bool train_interrupted(void)
{
    return interrupts > 0;
}

bool train_stops_now(void)
{
    return interrupts >= 2;
}

int train_stop_signal(void)
{
    return stop_signal;
}

bool train_save_wanted(void)
{
    bool wanted = save_wanted;
    save_wanted = 0;
    return wanted;
}

void train_stopped_by(int signal)
{
    if (signal && !stop_signal) {
        stop_signal = signal;
        interrupts = interrupts + 1;
    }
}

void train_signals_step(int64_t step)
{
    present_step = (sig_atomic_t)step;
}

/* ---- in handlers: nothing but write() ---- */

static size_t put_text(char *line, size_t n, size_t capacity, const char *text)
{
    for (; *text && n < capacity; text++) {
        line[n++] = *text;
    }
    return n;
}

static size_t put_number(char *line, size_t n, size_t capacity, unsigned long number)
{
    char digits[24];
    int k = 0;
    do {
        digits[k++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (k > 0 && n < capacity) {
        line[n++] = digits[--k];
    }
    return n;
}

/* "strop: BEFORE 12AFTER" on stderr, at once. */
static void say(const char *before, long step, const char *after)
{
    char line[256];
    int keep = errno;
    size_t n = on_terminal ? put_text(line, 0, sizeof line, "\r\033[K") : 0;
    n = put_text(line, n, sizeof line, "strop: ");
    n = put_text(line, n, sizeof line, before);
    n = step > 0 ? put_number(line, n, sizeof line, (unsigned long)step) : n;
    n = put_text(line, n, sizeof line, after);
    n = put_text(line, n, sizeof line, "\n");
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
    errno = keep;
}

static void on_stop(int signal)
{
    stop_signal = stop_signal ? stop_signal : signal;
    interrupts = interrupts + 1;
    if (interrupts >= 3) {
        _exit(128 + stop_signal);
    }
    if (interrupts == 2) {
        say("saving the last finished step as soon as the step in progress can be left; once more ends the program "
            "unsaved",
            0, "");
    } else if (present_step == 0) {
        say("stopping before the first step; twice more ends the program at once", 0, "");
    } else {
        say("finishing step ", present_step, ", then saving; Ctrl-C again: saves the last finished step at once");
    }
}

static void on_save(int signal)
{
    (void)signal;
    save_wanted = 1;
    say(present_step ? "saving after step " : "saving after the first step", present_step, ", then continuing");
}

/* A handler, not SIG_IGN: programs that the run starts would inherit that. */
static void on_nothing(int signal)
{
    (void)signal;
}

/* ---- a run ---- */

/* In the order of a table: what each signal does. A lost reader of stderr (SIGPIPE) and a limit on files (SIGXFSZ)
 * show as failing writes. */
static const struct {
    int signal;
    void (*handler)(int);
} actions[] = {
    {SIGINT, on_stop},  {SIGTERM, on_stop},   {SIGHUP, on_stop},     {SIGXCPU, on_stop},
    {SIGALRM, on_stop}, {SIGVTALRM, on_stop}, {SIGIO, on_stop},      {SIGPWR, on_stop},
    {SIGUSR1, on_save}, {SIGUSR2, on_save},   {SIGPIPE, on_nothing}, {SIGXFSZ, on_nothing},
};
#define N_ACTIONS (sizeof actions / sizeof *actions)

static struct sigaction before[N_ACTIONS];

void train_signals_begin(void)
{
    interrupts = stop_signal = save_wanted = present_step = 0;
    on_terminal = isatty(STDERR_FILENO) == 1;
    for (size_t i = 0; i < N_ACTIONS; i++) {
        struct sigaction action = {.sa_handler = actions[i].handler, .sa_flags = SA_RESTART};
        sigaction(actions[i].signal, &action, &before[i]);
        if (actions[i].signal == SIGHUP && before[i].sa_handler == SIG_IGN) { /* nohup */
            sigaction(SIGHUP, &before[i], NULL);
        }
    }
}

void train_signals_end(void)
{
    for (size_t i = 0; i < N_ACTIONS; i++) {
        sigaction(actions[i].signal, &before[i], NULL);
    }
}
