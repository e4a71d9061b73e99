/* tests/fault/ranks.c - a rank of several is killed or stopped at random instants: the others end within ten seconds and name
 * it, and the run that is started again ends with the bits of the straight one.
 *
 *   RANKS_FAULTS=20 SEED=1 build/release/tests/fault/ranks
 *
 * Each fault takes 2 or 4 ranks, one of them as the victim, and SIGKILL or SIGSTOP. The instant is drawn from the length of a
 * straight run with as many ranks, from the rendezvous on.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rng.h"
#include "tests/rl/ranks_fixture.h"

#define STEPS 12
#define LIMIT 10.0 /* seconds for the others to end */
#define LOST  75   /* their exit code */

static const char text[] = RUN_LONG_ITERATIONS "eval_dataset_name: countdown:split=eval\n"
                                               "eval_steps: 4\n"
                                               "eval_num_prompts: 3\n"
                                               "save_steps: 1\n"
                                               "gradient_shards: 4\n"
                                               "max_steps: 12\n";

static struct rng rng;
static int n_tried, n_failed, n_hit; /* n_hit: faults that fell before the run had ended */
static double slowest;               /* of the others' ends */

static int number_of(const char *name, int fallback)
{
    int64_t value;
    const char *given = getenv(name);
    return given && str_to_int(str_of(given), &value) && value >= 0 ? (int)value : fallback;
}

static int draw(int n)
{
    return (int)rng_below(&rng, (uint32_t)n);
}

static void complain(const struct team *team, int victim, int signal, const char *what)
{
    struct strbuf log = STRBUF_INIT;
    n_failed++;
    printf("FAILED: rank %d of %d, signal %d: %s\n", victim, team->n, signal, what);
    for (int rank = 0; rank < team->n; rank++) {
        team_log(team, rank, &log);
        printf("---- rank %d, code %d\n%s\n", rank, team->codes[rank], log.data);
    }
    strbuf_release(&log);
}

/* The others have ended after the fault; NULL if as they should. A run that was over before is no fault. */
static const char *check_others(const struct team *team, int victim, double fault)
{
    char name[32];
    snprintf(name, sizeof name, "rank %d", victim);
    for (int rank = 0; rank < team->n; rank++) {
        double took = team->ended[rank] - fault;
        if (rank == victim || team->codes[rank] == 0) {
            continue;
        }
        slowest = took > slowest ? took : slowest;
        if (team->codes[rank] == TEAM_HANGS || took > LIMIT) {
            return "another rank did not end within ten seconds";
        }
        if (team->codes[rank] != LOST) {
            return "another rank ended with another code than 75";
        }
        if (!team_says(team, rank, name)) {
            return "another rank does not name the one that was lost";
        }
        n_hit += rank == (victim == 0 ? 1 : 0);
    }
    return NULL;
}

static const char *go_on(int n, const struct run_digest *straight)
{
    if (!team_run(n, "try", text)) {
        return "the run does not go on";
    }
    struct run_digest got = team_digest("try", STEPS);
    return run_difference(&got, straight);
}

static void forget(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", team_folder, name);
    MUST(file_remove_folder(path));
}

/* Until all ranks are there: one that has not come yet is waited for (rl/ranks/meet.h). */
static void wait_for_rendezvous(struct team *team)
{
    for (int i = 0; i < 5000 && !team_has_ended(team, 0) && !team_says(team, 0, "ranks (torchrun)"); i++) {
        usleep(1000);
    }
}

static void fault(int n, double seconds, const struct run_digest *straight)
{
    struct team team = {.n = n, .name = "try", .text = text};
    int victim = draw(n), signal = draw(2) ? SIGKILL : SIGSTOP;
    n_tried++;
    team_start(&team);
    wait_for_rendezvous(&team);
    usleep((useconds_t)(draw(1000) * seconds * 1000));
    double start = clock_seconds();
    kill(team.pids[victim], signal);
    team_wait(&team, victim);
    if (!team_has_ended(&team, victim)) {
        kill(team.pids[victim], SIGKILL);
        team_wait(&team, -1);
    }
    const char *what = check_others(&team, victim, start);
    if (!what) {
        what = go_on(draw(2) ? n : 1, straight);
    }
    if (what) {
        complain(&team, victim, signal, what);
    }
    forget("try");
}

int main(void)
{
    double seconds[5] = {0};
    rng = rng_stream((uint64_t)number_of("SEED", 1), 0);
    team_begin();
    struct run_digest straight = {0};
    for (int n = 1; n <= 4; n *= 2) {
        double start = clock_seconds();
        if (!team_run(n, "straight", text)) {
            return 1;
        }
        seconds[n] = clock_seconds() - start;
        struct run_digest got = team_digest("straight", STEPS);
        const char *what = n == 1 ? NULL : run_difference(&got, &straight);
        n_tried++;
        if (what) {
            n_failed++;
            printf("FAILED: %d ranks: %s differ from those of one\n", n, what);
        }
        straight = n == 1 ? got : straight;
        forget("straight");
    }
    printf("seed %d; a run takes %.2f, %.2f, %.2f s on 1, 2, 4 ranks\n", number_of("SEED", 1), seconds[1], seconds[2],
           seconds[4]);
    for (int i = number_of("RANKS_FAULTS", 20); i > 0; i--) {
        int n = draw(2) ? 4 : 2;
        fault(n, seconds[n], &straight);
    }
    printf("%d faults fell on a run under way; the others ended after at most %.1f s\n", n_hit, slowest);
    team_end();
    printf("%d passed, %d failed\n", n_tried - n_failed, n_failed);
    return n_failed > 0;
}
