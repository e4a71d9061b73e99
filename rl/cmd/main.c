/* rl/cmd/main.c - the table of commands.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "rl/cmd/cmd.h"
#include "rl/cmd/commands.h"

/* clang-format off */
const struct command *const all_commands[] = {
    &command_train,
    &command_launch,
    &command_eval,
    &command_generate,
    &command_chat,
    &command_score,
    &command_check,
    &command_report,
    &command_runs,
    &command_convert,
    &command_bench,
    &command_doctor,
    &command_help,
    NULL,
};
/* clang-format on */

/* A thread that waits for others spins first, by default for milliseconds: on a busy machine that starves the thread
 * it waits for, and a step takes ten times as long. A thousand spins take some twenty microseconds. libgomp reads
 * the number before main begins, so the program starts once more. */
static void spin_briefly(char **argv)
{
    if (!getenv("GOMP_SPINCOUNT") && !getenv("OMP_WAIT_POLICY") && setenv("GOMP_SPINCOUNT", "1000", 0) == 0) {
        execv("/proc/self/exe", argv); /* continues below if there is no such file */
    }
}

/* A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened, and messages written into
 * it. */
static void open_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            _exit(1); /* there is no /dev/null either */
        }
    }
}

/* STROP_LOG=debug, info, warning or error: what is printed to standard error at least. */
static void set_log_level(void)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    const char *level = getenv("STROP_LOG");
    for (int i = 0; level && i < 4; i++) {
        if (strcmp(level, names[i]) == 0) {
            log_set_level((enum log_level)i);
        }
    }
}

int main(int argc, char **argv)
{
    set_log_level();
    open_standard_descriptors();
    spin_briefly(argv);
    json_use_memory();
    return cmd_main(all_commands, argc, argv);
}
