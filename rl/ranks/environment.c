/* rl/ranks/environment.c - a row per launcher.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/str.h"

#define FIRST_PORT 20000 /* below those that systems give to connections */
#define PORTS      12000

static const struct launcher {
    const char *name, *rank, *number, *other_number, *local_rank, *local_number;
} launchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", NULL, "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL, "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI", "PMI_RANK", "PMI_SIZE", NULL, "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};

/* NULL if it is not set, or empty. */
static const char *variable(const char *name)
{
    const char *value = name ? getenv(name) : NULL;
    return value && value[0] ? value : NULL;
}

static enum err number_of(const char *name, int min, int max, int *out)
{
    int64_t number;
    const char *text = variable(name);
    if (!text || !str_to_int(str_of(text), &number) || number < min || number > max) {
        return err_set(ERR_USAGE, "the environment variable %s is '%.40s', and should be a number of %d to %d", name,
                       text ? text : "", min, max);
    }
    *out = (int)number;
    return ERR_NONE;
}

/* The script of a batch job has the variables of its first task, but is no step of the job. */
static bool is_batch_script(const char *number)
{
    if (!variable("SLURM_JOB_ID") || variable("SLURM_STEP_ID") || variable("SLURM_STEPID")) {
        return false;
    }
    if (variable(number) && strcmp(variable(number), "1") != 0) {
        log_warning_once(
            "this Slurm script has %s tasks, and this process is one of them: srun strop train ... starts all",
            variable(number));
    }
    return true;
}

static const struct launcher *find_launcher(const char **number)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const struct launcher *l = &launchers[i];
        *number = variable(l->number) ? l->number : l->other_number;
        if (variable(l->rank) && variable(*number)) {
            return strcmp(l->name, "Slurm") == 0 && is_batch_script(*number) ? NULL : l;
        }
    }
    return NULL;
}

/* "2" or Slurm's "4(x2),3": the first number; 0 if there is none. */
static int leading_number(const char *text)
{
    long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n <= RANKS_MAX ? (int)n : 0;
}

/* What a launcher does not say about the machine: without an address all ranks are taken to be on one. */
static enum err find_local(struct ranks *ranks, const struct launcher *l)
{
    const char *address = variable("MASTER_ADDR");
    int said = leading_number(variable(l->local_number));
    bool one_machine = !address || strcmp(address, "127.0.0.1") == 0 || strcmp(address, "localhost") == 0;
    ranks->n_local = said ? said : one_machine ? ranks->n_ranks : 1;
    ranks->n_local = ranks->n_local < ranks->n_ranks ? ranks->n_local : ranks->n_ranks;
    ranks->local_rank = ranks->rank % ranks->n_local;
    return variable(l->local_rank) ? number_of(l->local_rank, 0, RANKS_MAX - 1, &ranks->local_rank) : ERR_NONE;
}

void ranks_first_host(const char *list, char *out, size_t capacity)
{
    size_t name = strcspn(list, "[,"), digits = list[name] == '[' ? strcspn(list + name + 1, "-,]") : 0;
    snprintf(out, capacity, "%.*s%.*s", (int)name, list, (int)digits, digits ? list + name + 1 : "");
}

static enum err find_address(struct ranks *ranks)
{
    const char *given = variable("MASTER_ADDR");
    const char *nodes =
        variable("SLURM_STEP_NODELIST") ? variable("SLURM_STEP_NODELIST") : variable("SLURM_JOB_NODELIST");
    if (given) {
        snprintf(ranks->address, sizeof ranks->address, "%s", given);
    } else if (ranks->n_local == ranks->n_ranks) {
        snprintf(ranks->address, sizeof ranks->address, "127.0.0.1");
    } else if (nodes) {
        ranks_first_host(nodes, ranks->address, sizeof ranks->address);
    } else if (variable("SLURM_LAUNCH_NODE_IPADDR")) {
        snprintf(ranks->address, sizeof ranks->address, "%s", variable("SLURM_LAUNCH_NODE_IPADDR"));
    } else {
        return err_set(ERR_USAGE,
                       "%s started %d ranks, %d of them on this machine, and nothing says where rank 0 is; set "
                       "MASTER_ADDR to its machine (mpirun -x MASTER_ADDR=HOST)",
                       ranks->launcher, ranks->n_ranks, ranks->n_local);
    }
    return ERR_NONE;
}

/* torchrun's name is "none" unless it was given one. */
static void find_job(struct ranks *ranks)
{
    static const char *const names[] = {"STROP_JOB",      "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
                                        "PMIX_NAMESPACE", "SLURM_JOB_ID",        "SLURM_STEP_ID"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && n < sizeof ranks->job; i++) {
        const char *value = variable(names[i]);
        int more = value ? snprintf(ranks->job + n, sizeof ranks->job - n, "%s%s", n ? "." : "", value) : 0;
        n += more > 0 ? (size_t)more : 0;
    }
}

static enum err find_port(struct ranks *ranks)
{
    bool agent =
        variable("TORCHELASTIC_USE_AGENT_STORE") && strcmp(variable("TORCHELASTIC_USE_AGENT_STORE"), "True") == 0;
    if (variable("STROP_PORT")) {
        return number_of("STROP_PORT", 1, 65535, &ranks->port);
    }
    if (variable("MASTER_PORT")) {
        TRY(number_of("MASTER_PORT", 1, 65535, &ranks->port));
        ranks->port += !agent ? 0 : ranks->port < 65535 ? 1 : -1;
        return ERR_NONE;
    }
    ranks->port = FIRST_PORT + (int)(XXH3_64bits(ranks->job, strlen(ranks->job)) % PORTS);
    return ERR_NONE;
}

enum err ranks_from_environment(struct ranks *out)
{
    const char *number = NULL;
    const struct launcher *l = find_launcher(&number);
    *out = (struct ranks){.n_ranks = 1, .n_local = 1, .launcher = "", .listener = -1};
    if (!l) {
        return ERR_NONE;
    }
    out->launcher = l->name;
    TRY(number_of(number, 1, RANKS_MAX, &out->n_ranks));
    TRY(number_of(l->rank, 0, out->n_ranks - 1, &out->rank));
    if (out->n_ranks == 1) {
        return ERR_NONE;
    }
    TRY(find_local(out, l));
    TRY(find_address(out));
    find_job(out);
    if (out->rank == 0 && variable("STROP_LISTENER")) {
        TRY(number_of("STROP_LISTENER", 0, 1 << 20, &out->listener));
    }
    return find_port(out);
}
