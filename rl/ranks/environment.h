/* rl/ranks/environment.h - which of the processes of its run this one is, as its launcher says in the environment.
 *
 *   launcher   rank                   of how many            on this machine
 *   torchrun   RANK                   WORLD_SIZE             LOCAL_RANK, LOCAL_WORLD_SIZE    (and strop launch)
 *   Open MPI   OMPI_COMM_WORLD_RANK   OMPI_COMM_WORLD_SIZE   OMPI_COMM_WORLD_LOCAL_RANK, _LOCAL_SIZE
 *   PMI        PMI_RANK               PMI_SIZE               MPI_LOCALRANKID, MPI_LOCALNRANKS
 *   Slurm      SLURM_PROCID           SLURM_STEP_NUM_TASKS   SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE
 *
 * A Slurm batch script that starts strop train without srun is one process, although SLURM_NTASKS may be larger there.
 * The first row whose rank and number are both set holds: torchrun inside srun is torchrun.
 *
 * Where rank 0 listens: MASTER_ADDR; else the first machine of SLURM_STEP_NODELIST; else this machine, if all ranks are
 * on it. STROP_PORT; else MASTER_PORT, plus 1 under torchrun, which listens on MASTER_PORT itself; else a number
 * from 20000 to 31999 that follows from the job's name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RANKS_ENVIRONMENT_H
#define RL_RANKS_ENVIRONMENT_H

#include <stddef.h>

#include "base/err.h"

struct ranks {
    int rank, n_ranks;
    int local_rank, n_local; /* of this machine */
    const char *launcher;    /* "torchrun", "Open MPI", "PMI", "Slurm"; "" for one process */
    char address[256];       /* of the machine of rank 0 */
    int port;
    char job[128]; /* the same for all processes of one start, and another for any other start, as far as is known */
    int listener;  /* a socket that listens on the port already; -1: none (rank 0 of strop launch has one) */
};

#define RANKS_MAX 1024

/* ERR_USAGE, naming the variable, for what is no number or out of range, or if nothing says where rank 0 is. */
enum err ranks_from_environment(struct ranks *out);

/* The first name of a Slurm list of machines: "node[07-09,12],gpu3" is node07. */
void ranks_first_host(const char *list, char *out, size_t capacity);

#endif
