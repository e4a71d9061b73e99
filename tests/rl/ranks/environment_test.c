/* tests/rl/ranks/environment_test.c - what each launcher sets, and what is made of it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/ranks/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VARIABLES 16

/* "NAME=value" of an environment that has nothing else of launchers. */
struct given {
    const char *variables[VARIABLES];
};

static void set_only(const struct given *given)
{
    assert_int_equal(clearenv(), 0);
    for (int i = 0; i < VARIABLES && given->variables[i]; i++) {
        assert_int_equal(putenv((char *)(uintptr_t)given->variables[i]), 0);
    }
}

static const struct {
    const char *what;
    struct given given;
    struct ranks want; /* port 0: not compared */
} cases[] = {
    {"nothing", {{"RANK=3", "SLURM_JOB_ID=9"}}, {.n_ranks = 1, .n_local = 1, .launcher = ""}},
    {"torchrun, one machine",
     {{"RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29500",
       "TORCHELASTIC_USE_AGENT_STORE=True", "TORCHELASTIC_RUN_ID=none", "TORCHELASTIC_RESTART_COUNT=1"}},
     {1, 2, 1, 2, "torchrun", "127.0.0.1", 29501, "none.1", -1}},
    {"by hand: the port is free",
     {{"RANK=3", "WORLD_SIZE=4", "MASTER_ADDR=10.0.0.7", "MASTER_PORT=29500", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2"}},
     {3, 4, 1, 2, "torchrun", "10.0.0.7", 29500, "", -1}},
    {"a port of one's own",
     {{"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=29500", "STROP_PORT=7777", "TORCHELASTIC_USE_AGENT_STORE=True"}},
     {0, 2, 0, 2, "torchrun", "127.0.0.1", 7777, "", -1}},
    {"mpirun, one machine",
     {{"OMPI_COMM_WORLD_RANK=5", "OMPI_COMM_WORLD_SIZE=8", "OMPI_COMM_WORLD_LOCAL_RANK=5",
       "OMPI_COMM_WORLD_LOCAL_SIZE=8", "PMIX_NAMESPACE=123456", "PMIX_RANK=5"}},
     {5, 8, 5, 8, "Open MPI", "127.0.0.1", 0, "123456", -1}},
    {"mpirun inside a batch job, whose own variables are those of one task",
     {{"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_LOCAL_SIZE=2", "SLURM_PROCID=0",
       "SLURM_NTASKS=2", "SLURM_JOB_ID=7"}},
     {1, 2, 1, 2, "Open MPI", "127.0.0.1", 0, "7", -1}},
    {"Hydra",
     {{"PMI_RANK=2", "PMI_SIZE=4", "MPI_LOCALRANKID=0", "MPI_LOCALNRANKS=2", "MASTER_ADDR=a"}},
     {2, 4, 0, 2, "PMI", "a", 0, "", -1}},
    {"srun on two machines",
     {{"SLURM_PROCID=3", "SLURM_STEP_NUM_TASKS=4", "SLURM_NTASKS=64", "SLURM_LOCALID=1",
       "SLURM_STEP_TASKS_PER_NODE=2(x2)", "SLURM_STEP_NODELIST=node[07-08]", "SLURM_JOB_ID=17", "SLURM_STEP_ID=2",
       "SLURM_LAUNCH_NODE_IPADDR=10.1.1.1"}},
     {3, 4, 1, 2, "Slurm", "node07", 0, "17.2", -1}},
    {"a batch script without srun",
     {{"SLURM_PROCID=0", "SLURM_NTASKS=2", "SLURM_LOCALID=0", "SLURM_JOB_ID=17", "SLURM_JOB_NODELIST=vm"}},
     {.n_ranks = 1, .n_local = 1, .launcher = ""}},
    {"torchrun inside srun",
     {{"RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=1", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1", "MASTER_ADDR=h",
       "LOCAL_WORLD_SIZE=2"}},
     {1, 2, 1, 2, "torchrun", "h", 0, "", -1}},
};

static void each_launcher_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ranks got;
        const struct ranks *want = &cases[i].want;
        set_only(&cases[i].given);
        if (ranks_from_environment(&got) != ERR_NONE) {
            fail_msg("%s: %s", cases[i].what, err_text());
        }
        if (got.rank != want->rank || got.n_ranks != want->n_ranks || got.local_rank != want->local_rank ||
            got.n_local != want->n_local || strcmp(got.launcher, want->launcher) != 0 ||
            strcmp(got.address, want->address) != 0 || strcmp(got.job, want->job) != 0 ||
            (want->port != 0 && got.port != want->port)) {
            fail_msg("%s: rank %d of %d, local %d of %d, '%s' at %s:%d, job '%s'", cases[i].what, got.rank, got.n_ranks,
                     got.local_rank, got.n_local, got.launcher, got.address, got.port, got.job);
        }
        assert_true(got.n_ranks == 1 || (got.port > 0 && got.port < 65536));
    }
}

/* Two jobs on one machine do not get in each other's way, mostly; all ranks of one find the same. */
static void a_port_follows_from_the_job(void **state)
{
    (void)state;
    struct ranks a, b, other;
    set_only(&(struct given){{"SLURM_PROCID=0", "SLURM_NTASKS=2", "SLURM_JOB_ID=17", "SLURM_STEP_ID=0"}});
    assert_int_equal(ranks_from_environment(&a), ERR_NONE);
    set_only(&(struct given){{"SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_JOB_ID=17", "SLURM_STEP_ID=0"}});
    assert_int_equal(ranks_from_environment(&b), ERR_NONE);
    set_only(&(struct given){{"SLURM_PROCID=0", "SLURM_NTASKS=2", "SLURM_JOB_ID=18", "SLURM_STEP_ID=0"}});
    assert_int_equal(ranks_from_environment(&other), ERR_NONE);
    assert_int_equal(a.port, b.port);
    assert_int_not_equal(a.port, other.port);
    assert_in_range(a.port, 20000, 31999);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        struct given given;
        const char *want;
    } wrong[] = {
        {{{"RANK=2", "WORLD_SIZE=2"}}, "RANK is '2', and should be a number of 0 to 1"},
        {{{"RANK=x", "WORLD_SIZE=2"}}, "RANK is 'x'"},
        {{{"RANK=-1", "WORLD_SIZE=2"}}, "RANK is '-1'"},
        {{{"RANK=0", "WORLD_SIZE=0"}}, "WORLD_SIZE is '0'"},
        {{{"RANK=0", "WORLD_SIZE=100000"}}, "WORLD_SIZE is '100000'"},
        {{{"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=99999"}}, "MASTER_PORT is '99999'"},
        {{{"RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=one"}}, "LOCAL_RANK is 'one'"},
        {{{"RANK=0", "WORLD_SIZE=2",
           "STROP_PORT="
           "0"}},
         "STROP_PORT is '0'"},
        {{{"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2"}}, "set MASTER_ADDR"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ranks got;
        set_only(&wrong[i].given);
        assert_int_equal(ranks_from_environment(&got), ERR_USAGE);
        if (!strstr(err_text(), wrong[i].want)) {
            fail_msg("case %zu: %s", i, err_text());
        }
    }
}

static void the_first_host_of_a_list(void **state)
{
    (void)state;
    static const char *const lists[][2] = {
        {"node1", "node1"},           {"a,b", "a"}, {"node[07-09,12],gpu3", "node07"}, {"n[3,5]", "n3"},
        {"rack1-n[10]", "rack1-n10"}, {"", ""}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char host[64];
        ranks_first_host(lists[i][0], host, sizeof host);
        assert_string_equal(host, lists[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_launcher_is_understood),
        cmocka_unit_test(a_port_follows_from_the_job),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_first_host_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
