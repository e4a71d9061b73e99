/* rl/cmd/launch.c - strop launch -n N train RECIPE: a run of several ranks on this machine.
 *
 * The ranks are processes of this program in groups of their own, so that a signal to this one is handed to rank 0 alone,
 * and once: the ranks share its stop flag (rl/dist.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "rl/cmd/commands.h"
#include "rl/cmd/launch_templates.h"
#include "rl/ranks/environment.h"
#include "rl/ranks/net.h"

#define PATIENCE 15.0 /* seconds that ranks may go on after one has failed; rank 0 may save for longer */
#define LOST     75

struct rank_process {
    pid_t pid; /* 0: ended */
    int code;  /* its exit code, or 128 and the signal that ended it */
    bool signalled, stopped;
};

struct launch {
    int n, n_left;
    struct rank_process *ranks;
    double failed; /* when the first rank ended otherwise than with 0; 0: none has */
};

/* ---- a rank ---- */

static void set_number(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

/* In the process of a rank: what torchrun would set, and the socket on which rank 0 is called. */
static void become_rank(int rank, int n, int listener, int port, const char *job, char **words)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    set_number("RANK", rank);
    set_number("WORLD_SIZE", n);
    set_number("LOCAL_RANK", rank);
    set_number("LOCAL_WORLD_SIZE", n);
    set_number("MASTER_PORT", port);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("STROP_JOB", job, 1);
    unsetenv("STROP_PORT");
    unsetenv("TORCHELASTIC_USE_AGENT_STORE");
    unsetenv("STROP_LISTENER");
    if (rank == 0 && n > 1) {
        set_number("STROP_LISTENER", listener);
        fcntl(listener, F_SETFD, 0);
    }
    execv("/proc/self/exe", words);
    fprintf(stderr, "strop: error: cannot start /proc/self/exe: %s\n", strerror(errno));
    _exit(1);
}

static enum err make_job(char job[33])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return err_set(ERR_IO, "the system gives no random numbers: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(job + 2 * i, 3, "%02x", bytes[i]);
    }
    return ERR_NONE;
}

static enum err start_ranks(struct launch *l, char **words)
{
    int listener;
    char job[33];
    struct net_address at;
    TRY(make_job(job));
    TRY(net_resolve(&at, "127.0.0.1", 0));
    TRY(net_listen(&listener, &at, 0));
    TRY(net_local(&at, listener));
    fflush(NULL);
    for (int rank = 0; rank < l->n; rank++) {
        pid_t pid = fork();
        if (pid == 0) {
            become_rank(rank, l->n, listener, net_port(&at), job, words);
        }
        if (pid < 0) {
            return err_set(ERR_IO, "cannot start rank %d: %s", rank,
                           strerror(errno)); /* the others end with this process */
        }
        l->ranks[rank].pid = pid;
        l->n_left++;
    }
    close(listener);
    return ERR_NONE;
}

/* ---- signals: handed on ---- */

static volatile pid_t first_rank; /* 0: it has ended */

static void hand_on(int signal)
{
    if (first_rank > 0) {
        kill(first_rank, signal);
    }
}

static void hand_on_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGALRM, SIGVTALRM, SIGPWR, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART}, before;
        sigaction(signals[i], &action, &before);
        if (signals[i] == SIGHUP && before.sa_handler == SIG_IGN) { /* nohup */
            sigaction(signals[i], &before, NULL);
        }
    }
}

/* ---- until all have ended ---- */

static void note_end(struct launch *l, int rank, int status)
{
    struct rank_process *p = &l->ranks[rank];
    p->signalled = WIFSIGNALED(status);
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    p->pid = 0;
    l->n_left--;
    first_rank = rank == 0 ? 0 : first_rank;
    if (p->code != 0 && l->failed == 0) {
        l->failed = clock_seconds();
    }
    if (p->signalled) {
        log_warning("rank %d was ended by signal %d (%s)", rank, WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
}

static void look(struct launch *l)
{
    int status;
    for (int rank = 0; rank < l->n; rank++) {
        struct rank_process *p = &l->ranks[rank];
        if (p->pid == 0 || waitpid(p->pid, &status, WNOHANG | WUNTRACED | WCONTINUED) != p->pid) {
            continue;
        }
        if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
            p->stopped = WIFSTOPPED(status);
        } else {
            note_end(l, rank, status);
        }
    }
}

/* Ranks that are stopped cannot end by themselves; others have had their time. */
static void end_the_rest(const struct launch *l)
{
    bool late = clock_seconds() - l->failed > PATIENCE, only_stopped = true;
    for (int rank = 0; rank < l->n; rank++) {
        only_stopped = only_stopped && (l->ranks[rank].pid == 0 || l->ranks[rank].stopped);
    }
    for (int rank = 0; rank < l->n; rank++) {
        const struct rank_process *p = &l->ranks[rank];
        if (p->pid > 0 && ((p->stopped && (late || only_stopped)) || (late && rank > 0))) {
            kill(p->pid, SIGKILL);
        }
    }
}

/* That of rank 0, which has saved; where a signal ended it, or it knows of no failure, that of the first other one. */
static int code_of(const struct launch *l)
{
    const struct rank_process *first = &l->ranks[0];
    int code = first->signalled ? LOST : first->code;
    for (int rank = 1; rank < l->n && (code == 0 || first->signalled); rank++) {
        const struct rank_process *p = &l->ranks[rank];
        if (p->code != 0 && !p->signalled) {
            return p->code;
        }
        code = p->code != 0 ? LOST : code;
    }
    return code;
}

static enum err launch_ranks(int n, char **words)
{
    struct launch l = {.n = n, .ranks = mem_zero((size_t)n * sizeof *l.ranks)};
    enum err result = start_ranks(&l, words);
    if (result != ERR_NONE) {
        free(l.ranks);
        return result;
    }
    first_rank = l.ranks[0].pid;
    hand_on_signals();
    while (l.n_left > 0) {
        usleep(20000);
        look(&l);
        if (l.failed > 0) {
            end_the_rest(&l);
        }
    }
    int code = code_of(&l);
    free(l.ranks);
    if (code != 0) {
        exit(code); /* the ranks have said why */
    }
    return ERR_NONE;
}

/* ---- the command ---- */

/* The words of a rank's command line, ended by NULL; in the arena. */
static char **rank_words(const struct cmd_args *args, struct arena *arena)
{
    int n = 0, n_overrides = 0;
    while (cmd_override(args, n_overrides)) {
        n_overrides++;
    }
    char **words = ARENA_NEW(arena, char *, cmd_positional_count(args) + n_overrides + 2);
    words[n++] = arena_strdup(arena, "strop");
    for (int i = 0; i < cmd_positional_count(args); i++) {
        words[n++] = arena_strdup(arena, cmd_positional(args, i));
    }
    for (int i = 0; i < n_overrides; i++) {
        words[n++] = arena_printf(arena, "--%s", cmd_override(args, i));
    }
    return words;
}

/* What is wrong is said once, before there are ranks that would each say it. */
static enum err check_recipe(const struct cmd_args *args, int n)
{
    struct recipe recipe;
    log_set_level(LOG_ERROR); /* rank 0 will warn */
    TRY(cmd_open_training(&recipe, args, 1));
    recipe.run.n_ranks = n;
    enum err result = recipe_check_ranks(&recipe);
    recipe_release(&recipe);
    log_set_level(getenv("STROP_LOG") ? LOG_ERROR : LOG_INFO);
    return result;
}

static enum err launch_command(const struct cmd_args *args)
{
    struct arena arena = ARENA_INIT;
    int64_t n = cmd_int(args, "num_ranks");
    const char *template = cmd_text(args, "template");
    int n_words = cmd_positional_count(args);
    if (n < 1 || n > RANKS_MAX) {
        return err_set(ERR_USAGE, "--num_ranks is how many processes train together: 1 to %d, a power of two",
                       RANKS_MAX);
    }
    if (n_words > 0 && strcmp(cmd_positional(args, 0), "train") != 0) {
        return err_set(ERR_USAGE,
                       "strop launch starts the ranks of strop train, not of '%s': strop launch -n %d train RECIPE",
                       cmd_positional(args, 0), (int)n);
    }
    if (!template && n_words != 2) {
        return err_set(ERR_USAGE, "usage: strop launch -n N train RECIPE|RUN [--KEY=VALUE ...]");
    }
    if (!template) {
        TRY(check_recipe(args, (int)n));
    }
    char **words = rank_words(args, &arena);
    enum err result = template ? launch_print_template(template, (int)n, words, stdout) : launch_ranks((int)n, words);
    arena_release(&arena);
    return result;
}

static const struct cmd_option launch_options[] = {
    {"num_ranks", CMD_INT, "N", "2", "how many ranks; -n N"},
    {"template", CMD_TEXT, "NAME", NULL,
     "print how another launcher starts them: slurm, kubernetes, torchrun or mpirun"},
    {0},
};

const struct command command_launch = {
    .name = "launch",
    .arguments = "[-n N] train RECIPE|RUN [--KEY=VALUE ...]",
    .summary = "train with several processes on this machine",
    .details =
        "Each rank draws and judges its share of the groups, and computes its share of the gradient. The number of "
        "ranks is\n"
        "a power of two. The bits of a run depend on gradient_shards and not on how many ranks there are: with the "
        "same one\n"
        "1, 2, 4 and 8 ranks leave the same weights, and a run may be continued on another number. Threads "
        "(num_threads 0)\n"
        "are divided among the ranks. Results are written by rank 0.\n\n"
        "Signals go to rank 0, and stop all ranks as in strop train. When a rank is lost (killed, stopped, cut off) "
        "the others\n"
        "end within ten seconds, naming it, with exit code 75: start the same command again, and the run continues "
        "with\n"
        "the bits that it would have had. Other exit codes are those of strop train.\n\n"
        "strop train itself finds its rank in what torchrun, mpirun, srun or a batch system set: RANK and WORLD_SIZE,\n"
        "OMPI_COMM_WORLD_*, PMI_*, SLURM_*, in this order; MASTER_ADDR and MASTER_PORT (or STROP_PORT) say where rank "
        "0 is.\n"
        "All machines need the same program, recipe and files, and a file system that they share for output_dir. The\n"
        "network is taken to be private: connections are not encrypted. Ranks are waited for a minute "
        "(STROP_MEET_SECONDS).\n\n"
        "  strop launch -n 4 train my.yaml --gradient_shards=8\n"
        "  strop launch -n 8 --template=slurm train my.yaml >job.sh; sbatch job.sh\n",
    .options = launch_options,
    .min_positional = 0,
    .max_positional = -1,
    .takes_recipe_keys = true,
    .run = launch_command,
};
