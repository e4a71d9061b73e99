/* tests/fault/kill.c - kill -9 a run at random instants, go on with it, and compare what is there in the end with the run that
 * nobody killed.
 *
 *   FAULTS=500 SEED=1 DEVICE=auto build/release/tests/fault/kill
 *
 * DEVICE is what the runs compute on: cuda, cpu, or auto, which is a GPU if there is one.
 *
 * Each run is a process of its own. Half of the kills come at an instant drawn from the length of a run; the other half are
 * aimed: the parent waits until the run is in a drawn phase, then for a drawn part of that phase. The linker leads the
 * calls that begin a phase through this file (--wrap, see the Makefile), which notes it in memory that both share, so
 * that where a kill fell is known and not guessed.
 *
 * A run is killed and taken up again until it ends by itself. Then its weights, optimiser, reference, state, metrics.jsonl
 * and run.db must be those of the straight run (tests/rl/run_fixture.h), nothing else may lie in its folder, and no kill may
 * have cost a checkpoint that was whole before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernels/rng.h"
#include "rl/eval.h"
#include "rl/report/report.h"
#include "rl/score.h"
#include "rl/train_internal.h"
#include "tests/rl/run_fixture.h"

#define STEPS       12
#define RUN_SECONDS 120 /* a run that takes longer hangs */

static const char fault_recipe[] = RUN_GRPO "max_prompt_length: 56\n"
                                            "long_prompts: skip\n"
                                            "num_iterations: 2\n"
                                            "steps_per_generation: 2\n"
                                            "beta: 0.05\n"
                                            "sync_ref_model: true\n"
                                            "ref_model_sync_steps: 3\n"
                                            "save_steps: 1\n"
                                            "save_total_limit: 2\n"
                                            "eval_dataset_name: countdown:split=eval\n"
                                            "eval_steps: 4\n"
                                            "eval_num_prompts: 3\n";

/* ---- phases ---- */

enum phase { ELSEWHERE, OPEN, ROLLOUT, REWARD, STORE, TRAIN, CHECKPOINT, EVALUATION, REPORT, PHASES };
static const char *const phase_names[] = {"elsewhere", "open",       "rollout",    "reward", "store",
                                          "train",     "checkpoint", "evaluation", "report"};

static struct shared {
    volatile int phase;
    volatile int entered[PHASES]; /* times */
    int aim, times;               /* the kill is to fall in this phase when it is entered so often; 0: anywhere */
    double since, seconds[PHASES];
} * shared;

static void rest(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* Some phases are over before the parent can look: one that is aimed at begins and ends with a rest. */
#define REST 300e-6

static void rest_if_aimed_at(int phase)
{
    if (phase == shared->aim && shared->entered[phase] == shared->times) {
        rest(REST);
    }
}

static int enter(enum phase phase)
{
    int before = shared->phase;
    if (before == ELSEWHERE) {
        shared->since = clock_seconds();
        shared->phase = (int)phase;
        shared->entered[phase]++;
        rest_if_aimed_at((int)phase);
    }
    return before;
}

static void leave(int before)
{
    if (before == ELSEWHERE) {
        rest_if_aimed_at(shared->phase);
        shared->seconds[shared->phase] += clock_seconds() - shared->since;
        shared->phase = before;
    }
}

#define LEAD(phase, name, parameters, arguments)                                                                       \
    enum err __real_##name parameters;                                                                                 \
    enum err __wrap_##name parameters;                                                                                 \
    enum err __wrap_##name parameters                                                                                  \
    {                                                                                                                  \
        int before = enter(phase);                                                                                     \
        enum err result = __real_##name arguments;                                                                     \
        leave(before);                                                                                                 \
        return result;                                                                                                 \
    }

LEAD(OPEN, train_open, (struct train * t, struct recipe *recipe, const char *command), (t, recipe, command))
LEAD(ROLLOUT, sample_groups, (struct rollout * rollout, struct iteration *it), (rollout, it))
LEAD(REWARD, score_groups, (struct reward_set * set, struct iteration *it), (set, it))
LEAD(STORE, store_rollout, (struct store * store, const struct iteration *it, const struct reward_set *set),
     (store, it, set))
LEAD(STORE, store_step, (struct store * store, int64_t step, int64_t iteration, const struct metrics *metrics),
     (store, step, iteration, metrics))
LEAD(TRAIN, optim_step, (struct optim * optim, struct model *model, int64_t step, struct optim_stats *stats),
     (optim, model, step, stats))
LEAD(CHECKPOINT, checkpoint_save,
     (const char *folder, const struct checkpoint_state *state, const struct model *policy, const struct optim *optim,
      const struct model *reference, const char *dtype, int limit),
     (folder, state, policy, optim, reference, dtype, limit))
LEAD(EVALUATION, eval_run,
     (const struct eval_options *options, struct dataset *dataset, struct rollout *rollout, struct reward_set *rewards,
      struct iteration *it, struct metrics *metrics, rollout_progress *progress, void *context),
     (options, dataset, rollout, rewards, it, metrics, progress, context))
LEAD(TRAIN, loss_backward,
     (struct loss * loss, const struct iteration *it, const struct minibatch *minibatch, bool on_policy,
      struct loss_stats *stats),
     (loss, it, minibatch, on_policy, stats))
LEAD(REPORT, report_write, (const char *run, const char *path), (run, path))

/* ---- processes ---- */

static char folder[64];

static void child_quiet(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/log", folder);
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close(log);
    }
}

static struct strbuf fault_text; /* fault_recipe and the device */

/* The parent starts no threads and opens no GPU, so that a fork of it can: the model too is made in a child. */
static pid_t start(const char *name, int aim, int times)
{
    memset(shared, 0, sizeof *shared);
    shared->aim = aim;
    shared->times = times;
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    child_quiet();
    if (!name) {
        char model[128];
        snprintf(model, sizeof model, "%s/model", folder);
        run_make_model(model, 5);
        _exit(0);
    }
    struct recipe recipe;
    run_open_recipe(&recipe, folder, name, fault_text.data);
    enum err result = train_run(&recipe, "kill");
    if (result != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
    }
    recipe_release(&recipe);
    _exit(result == ERR_NONE ? 0 : 1);
}

/* Whether the process has ended; waits for it if `wait`. */
static bool ended(pid_t pid, bool wait, int *status)
{
    pid_t got;
    do {
        got = waitpid(pid, status, wait ? 0 : WNOHANG);
    } while (got < 0 && errno == EINTR);
    return got == pid;
}

static void show_log(void)
{
    char path[128];
    struct strbuf text = STRBUF_INIT;
    snprintf(path, sizeof path, "%s/log", folder);
    if (file_read(&text, path, (size_t)1 << 24) == ERR_NONE && text.length) {
        size_t from = text.length > 2000 ? text.length - 2000 : 0;
        printf("---- its last words:\n%s\n", text.data + from);
    }
    strbuf_release(&text);
}

/* ---- what lies in the folder ---- */

static int whole_checkpoint(const char *run)
{
    char path[160];
    int newest = 0;
    for (int step = 1; step <= STEPS; step++) {
        snprintf(path, sizeof path, "%s/%s/checkpoints/step-%06d", folder, run, step);
        newest = checkpoint_verify(path) == ERR_NONE ? step : newest;
    }
    struct checkpoint_state state;
    snprintf(path, sizeof path, "%s/%s/checkpoints/unfinished", folder, run);
    if (checkpoint_verify(path) == ERR_NONE && checkpoint_read_state(path, &state) == ERR_NONE && state.step > newest) {
        newest = (int)state.step;
    }
    return newest;
}

/* The first name that a run should not have left, or NULL. */
static const char *litter(const char *run, const char *part, const char *allowed)
{
    static char name[300];
    char path[160];
    name[0] = '\0';
    snprintf(path, sizeof path, "%s/%s%s", folder, run, part);
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char word[300];
        snprintf(word, sizeof word, " %s ", entry->d_name);
        if (entry->d_name[0] != '.' && !strstr(allowed, word)) {
            snprintf(name, sizeof name, "%s", entry->d_name);
        }
    }
    if (listing) {
        closedir(listing);
    }
    return name[0] ? name : NULL;
}

static const char *difference(const char *run, const struct run_digest *want)
{
    static char text[400];
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, run);
    struct run_digest got = run_digest_of(path, STEPS);
    const char *what = run_difference(&got, want);
    if (what) {
        snprintf(text, sizeof text, "%s differ", what);
        return text;
    }
    what = litter(run, "", " run.db run.db-wal run.db-shm metrics.jsonl recipe.yaml lock report.html checkpoints ");
    if (!what) { /* a kill between two removals leaves one checkpoint more until the next save */
        what = litter(run, "/checkpoints", " latest latest.tmp files step-000012 step-000011 step-000010 ");
    }
    if (what) {
        snprintf(text, sizeof text, "%s was left behind", what);
    }
    return what ? text : NULL;
}

/* ---- kills ---- */

struct tally {
    struct rng rng;
    int kills, wanted, runs, different;
    int fell[PHASES];
    double length, mean[PHASES]; /* seconds: of a run, of a phase */
};

static double drawn(struct tally *t)
{
    return (double)rng_below(&t->rng, 1 << 20) / (1 << 20);
}

/* Waits for the instant to kill at; false if the process ended before. */
static bool await_instant(struct tally *t, pid_t pid, int *status)
{
    double begin = clock_seconds(), until = begin + drawn(t) * t->length;
    while (shared->aim == 0 && clock_seconds() < until) {
        if (ended(pid, false, status)) {
            return false;
        }
        rest(fmin(0.002, fmax(0, until - clock_seconds())));
    }
    while (shared->aim && shared->entered[shared->aim] < shared->times) {
        if (ended(pid, false, status)) {
            return false;
        }
        rest(20e-6);
        if (clock_seconds() - begin > RUN_SECONDS) {
            return true; /* it hangs: the kill, and then the comparison, will tell */
        }
    }
    if (shared->aim) {
        rest(drawn(t) * (t->mean[shared->aim] + REST));
    }
    return true;
}

static void report_failure(struct tally *t, const char *what)
{
    printf("run %d: %s\n", t->runs, what);
    show_log();
    t->different++;
}

/* One run to its end, through as many kills as it takes. */
static void torment(struct tally *t, const struct run_digest *want)
{
    char name[32], path[128];
    int saved = 0, status = 0;
    snprintf(name, sizeof name, "run-%d", t->runs);
    for (bool over = false; !over;) {
        bool aimed = rng_below(&t->rng, 2);
        int phase = 1 + (int)rng_below(&t->rng, PHASES - 1),
            times = phase == OPEN || phase == REPORT ? 1 : 1 + (int)rng_below(&t->rng, 3);
        pid_t pid = start(name, aimed ? phase : ELSEWHERE, times);
        bool kill_it = t->kills < t->wanted && await_instant(t, pid, &status);
        if (kill_it) {
            kill(pid, SIGKILL);
        }
        if (kill_it || t->kills >= t->wanted) {
            ended(pid, true, &status);
        }
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            t->kills++;
            t->fell[shared->phase]++;
            int now = whole_checkpoint(name);
            if (now < saved) {
                printf("the checkpoint of step %d was whole; after a kill step %d is the newest\n", saved, now);
                report_failure(t, "work is lost");
                return;
            }
            saved = now;
            continue;
        }
        over = true;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            report_failure(t, "it ended in an error");
            return;
        }
    }
    const char *what = difference(name, want);
    if (what) {
        report_failure(t, what);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!what) {
        MUST(file_remove_folder(path));
    }
}

static int number_of(const char *name, int fallback)
{
    int64_t value;
    const char *text = getenv(name);
    return text && str_to_int(str_of(text), &value) && value > 0 ? (int)value : fallback;
}

static struct run_digest straight(struct tally *t)
{
    char path[128];
    int status = 1;
    if (!ended(start(NULL, ELSEWHERE, 0), true, &status) || status != 0) {
        show_log();
        exit(1);
    }
    double begin = clock_seconds();
    if (!ended(start("straight", ELSEWHERE, 0), true, &status) || status != 0) {
        show_log();
        exit(1);
    }
    t->length = clock_seconds() - begin;
    for (int p = 1; p < PHASES; p++) {
        BUG_ON(shared->entered[p] == 0); /* the linker did not lead it here */
        t->mean[p] = shared->seconds[p] / shared->entered[p];
    }
    snprintf(path, sizeof path, "%s/straight", folder);
    return run_digest_of(path, STEPS);
}

int main(void)
{
    int seed = number_of("SEED", 1);
    struct tally t = {.rng = rng_stream((uint64_t)seed, 0), .wanted = number_of("FAULTS", 50)};
    const char *device = getenv("DEVICE");
    strbuf_printf(&fault_text, "%sdevice: %s\n", fault_recipe, device ? device : "auto");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(folder, sizeof folder, "%s/strop_fault_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    if (shared == MAP_FAILED || !mkdtemp(folder)) {
        perror("fault");
        return 1;
    }
    struct run_digest want = straight(&t);
    printf("seed %d, device %s; a run of %d steps takes %.2f s\n", seed, device ? device : "auto", STEPS, t.length);
    for (; t.kills < t.wanted; t.runs++) {
        torment(&t, &want);
    }
    printf("kills fell in:");
    for (int p = 0; p < PHASES; p++) {
        printf(" %s %d%s", phase_names[p], t.fell[p], p + 1 < PHASES ? "," : "\n");
    }
    printf("%d kills over %d runs, %d different\n", t.kills, t.runs, t.different);
    if (t.different == 0) {
        MUST(file_remove_folder(folder));
    } else {
        printf("the runs that differ are in %s\n", folder);
    }
    printf("%d passed, %d failed\n", t.runs - t.different, t.different);
    strbuf_release(&fault_text);
    return t.different > 0;
}
