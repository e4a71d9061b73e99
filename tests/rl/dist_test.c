/* tests/rl/dist_test.c - runs of several ranks: the same bits as one rank, and one end for all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/dist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/rl/ranks_fixture.h"

#define PLAIN                                                                                                          \
    "model_name_or_path: model\n"                                                                                      \
    "dataset_name: \"countdown:number_most=30\"\n"                                                                     \
    "template: none\n"                                                                                                 \
    "max_prompt_length: 96\n"                                                                                          \
    "max_completion_length: 16\n"                                                                                      \
    "num_generations: 4\n"                                                                                             \
    "max_sequences: 8\n"                                                                                               \
    "tokens_per_micro_batch: 256\n"                                                                                    \
    "reward_funcs: [{name: length, unit: characters, target: 12}, {name: countdown, weight: 0.5}]\n"                   \
    "reward_threads: 1\n"                                                                                              \
    "learning_rate: 1.0e-2\n"                                                                                          \
    "num_threads: 1\n"

/* Prompts that ranks cannot share evenly, steps inside an iteration, and whatever else passes between ranks. */
#define MIXED                                                                                                          \
    PLAIN "prompts_per_step: 3\nnum_iterations: 2\nsteps_per_generation: 2\ndynamic_sampling: true\n"                  \
          "top_entropy_quantile: 0.6\nbeta: 0.05\nsync_ref_model: true\nref_model_sync_steps: 3\n"                     \
          "eval_dataset_name: countdown:split=eval\neval_steps: 2\neval_num_prompts: 3\neval_num_generations: 2\n"     \
          "save_steps: 1\ngradient_shards: 4\n"

#define STEPS 6

static void assert_alike(const char *name, const char *other)
{
    struct run_digest a = team_digest(name, STEPS), b = team_digest(other, STEPS);
    const char *what = run_difference(&a, &b);
    if (what) {
        fail_msg("%s and %s: %s differ", name, other, what);
    }
}

/* The test that is quick and always run: two steps of two ranks are those of one. */
static void two_ranks_make_the_bits_of_one(void **state)
{
    (void)state;
    static const char text[] = PLAIN "prompts_per_step: 3\ngradient_shards: 2\nmax_steps: 2\n";
    assert_true(team_run(1, "one", text));
    assert_true(team_run(2, "two", text));
    struct run_digest one = team_digest("one", 2), two = team_digest("two", 2);
    assert_null(run_difference(&one, &two));
}

static void any_number_of_ranks_makes_the_same_bits(void **state)
{
    (void)state;
    static const char text[] = MIXED "max_steps: 6\n";
    assert_true(team_run(1, "mixed-1", text));
    assert_true(team_run(2, "mixed-2", text));
    assert_true(team_run(4, "mixed-4", text));
    assert_alike("mixed-1", "mixed-2");
    assert_alike("mixed-1", "mixed-4");
}

/* Another number of shards is another order of sums: the tests above compare something. */
static void another_number_of_shards_makes_other_bits(void **state)
{
    (void)state;
    static const char text[] = PLAIN "prompts_per_step: 3\ngradient_shards: 1\nmax_steps: 2\n";
    assert_true(team_run(1, "other", text));
    struct run_digest one = team_digest("one", 2), other = team_digest("other", 2);
    assert_string_equal(run_difference(&one, &other), "weights");
}

/* Steps 1 and 2 on four ranks, 3 on two, the others on one; the second and third stop inside an iteration. */
static void a_run_continues_on_fewer_ranks(void **state)
{
    (void)state;
    assert_true(team_run(4, "fewer", MIXED "max_steps: 2\neval_on_end: false\n"));
    assert_true(team_run(2, "fewer", MIXED "max_steps: 3\neval_on_end: false\n"));
    assert_true(team_run(1, "fewer", MIXED "max_steps: 6\n"));
    assert_alike("mixed-1", "fewer");
}

/* The default is the number of ranks that the run began with, whatever it is continued on. */
static void the_number_of_shards_is_kept(void **state)
{
    (void)state;
    static const char text[] = PLAIN "prompts_per_step: 4\n";
    char all[2048], more[2048];
    snprintf(all, sizeof all, "%smax_steps: 6\n", text);
    snprintf(more, sizeof more, "%smax_steps: 3\n", text);
    assert_true(team_run(2, "kept-2", all));
    assert_true(team_run(2, "kept", more));
    assert_true(team_run(1, "kept", all));
    assert_alike("kept-2", "kept");
    struct team team = {.n = 4, .name = "kept", .text = PLAIN "prompts_per_step: 4\nmax_steps: 9\n"};
    team_start(&team);
    team_wait(&team, -1);
    assert_true(team_ended_with(&team, 2));
    assert_true(team_says(&team, 0, "'gradient_shards' is 2, fewer than the 4 ranks"));
}

static void texts_are_shared_too(void **state)
{
    (void)state;
    static const char text[] = "method: sft\nmodel_name_or_path: model\ndataset_name: tiny-text\ntext_field: text\n"
                               "pack_length: 512\ntexts_per_step: 5\ntokens_per_micro_batch: 512\n"
                               "learning_rate: 1.0e-2\nnum_threads: 1\nmax_steps: 6\ngradient_shards: 4\n";
    assert_true(team_run(1, "sft-1", text));
    assert_true(team_run(2, "sft-2", text));
    assert_true(team_run(4, "sft-4", text));
    assert_alike("sft-1", "sft-2");
    assert_alike("sft-1", "sft-4");
}

/* Experts get their tokens from all ranks' samples. */
static void make_mixture(void)
{
    char path[128];
    struct model_config config;
    json_t *document =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "model_type", "qwen3_moe",
                  "num_hidden_layers", 2, "hidden_size", 32, "intermediate_size", 48, "num_attention_heads", 2,
                  "num_key_value_heads", 1, "head_dim", 16, "vocab_size", RUN_VOCABULARY, "max_position_embeddings",
                  1024, "eos_token_id", RUN_EOS, "num_experts", 4, "num_experts_per_tok", 2, "moe_intermediate_size",
                  32, "norm_topk_prob", 1);
    MUST(model_config_parse(&config, document, "config.json"));
    snprintf(path, sizeof path, "%s/mixture", team_folder);
    run_save_model(path, &config, 7);
    json_decref(document);
}

/* Also where the experts of a rollout are replayed, and another number of ranks continues inside an iteration. */
static void mixtures_are_shared_too(void **state)
{
    (void)state;
#define MIXTURE PLAIN "prompts_per_step: 4\ngradient_shards: 4\nnum_iterations: 2\nrouting_replay: R3\n"
    char text[2048], half[2048];
    pid_t pid = fork();
    if (pid == 0) {
        make_mixture();
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    snprintf(text, sizeof text, "model_name_or_path: mixture\n%s", strchr(MIXTURE "max_steps: 6\n", '\n') + 1);
    snprintf(half, sizeof half, "model_name_or_path: mixture\n%s", strchr(MIXTURE "max_steps: 3\n", '\n') + 1);
    assert_true(team_run(1, "mixture-1", text));
    assert_true(team_run(4, "mixture-4", text));
    assert_true(team_run(4, "mixture", half));
    assert_true(team_run(2, "mixture", text));
    assert_alike("mixture-1", "mixture-4");
    assert_alike("mixture-1", "mixture");
}

/* The gradient that is shared is the adapter's; what a rank continues from is an adapter too. */
static void adapters_are_shared_too(void **state)
{
    (void)state;
#define ADAPTER                                                                                                        \
    PLAIN "prompts_per_step: 4\ngradient_shards: 4\nlora_r: 4\nlora_target_modules: all-linear\nbeta: 0.05\n"
    assert_true(team_run(1, "adapter-1", ADAPTER "max_steps: 6\n"));
    assert_true(team_run(4, "adapter", ADAPTER "max_steps: 2\n"));
    assert_true(team_run(2, "adapter", ADAPTER "max_steps: 4\n"));
    assert_true(team_run(1, "adapter", ADAPTER "max_steps: 6\n"));
    assert_alike("adapter-1", "adapter");
}

/* ---- one end for all ---- */

/* Starts the run and waits until it has saved a step. */
static void start_until_saved(struct team *team)
{
    char path[256];
    team_start(team);
    snprintf(path, sizeof path, "%s/%s/checkpoints/latest", team_folder, team->name);
    for (int i = 0; i < 5000 && !file_exists(path) && !team_has_ended(team, 0); i++) {
        usleep(2000);
    }
    assert_true(file_exists(path));
}

static void assert_continues(const char *name)
{
    assert_true(team_run(2, name, MIXED "max_steps: 6\n"));
    assert_alike("mixed-1", name);
}

/* A launcher may tell one rank alone. */
static void a_signal_to_one_stops_all(void **state)
{
    (void)state;
    struct team team = {.n = 2, .name = "signalled", .text = MIXED "max_steps: 6\n"};
    start_until_saved(&team);
    kill(team.pids[1], SIGTERM);
    team_wait(&team, -1);
    assert_true(team_ended_with(&team, 128 + SIGTERM));
    assert_continues("signalled");
}

static void a_killed_rank_is_named_by_all(void **state)
{
    (void)state;
    for (int victim = 0; victim < 4; victim += 3) { /* rank 0, and another */
        char name[32], text[64];
        snprintf(name, sizeof name, "killed-%d", victim);
        snprintf(text, sizeof text, "rank %d (process", victim);
        struct team team = {.n = 4, .name = name, .text = MIXED "max_steps: 6\n"};
        start_until_saved(&team);
        double start = clock_seconds();
        kill(team.pids[victim], SIGKILL);
        team_wait(&team, -1);
        for (int rank = 0; rank < 4; rank++) {
            assert_int_equal(team.codes[rank], rank == victim ? 128 + SIGKILL : 75);
            assert_true(rank == victim || (team_says(&team, rank, text) && team_says(&team, rank, "is lost")));
            assert_true(team.ended[rank] - start < 10);
        }
        assert_continues(name);
    }
}

/* A failure of a rank's own is not a loss: all end with its code, and say whose it was. */
static void a_rank_that_fails_is_named_by_all(void **state)
{
    (void)state;
    struct team team = {.n = 2, .name = "failed", .text = PLAIN "prompts_per_step: 4\nmax_steps: 2\n"};
    char path[256];
    snprintf(path, sizeof path, "%s/failed", team_folder);
    run_write_text(team_folder, "failed", "a file in the place of the folder");
    team_start(&team);
    team_wait(&team, -1);
    assert_true(team_ended_with(&team, 2));
    assert_true(team_says(&team, 0, "is a file; name a folder"));
    assert_true(team_says(&team, 1, "rank 0 (process") && team_says(&team, 1, "is a file; name a folder"));
}

/* A judge that dies on one rank only in the evaluation after the last step: there is no later call to hear of it in. */
static void a_rank_that_fails_after_the_last_step_is_named_by_all(void **state)
{
    (void)state;
    struct team team = {.n = 2,
                        .name = "late",
                        .text = "model_name_or_path: model\ndataset_name: countdown\ntemplate: none\n"
                                "max_prompt_length: 96\nmax_completion_length: 8\nprompts_per_step: 2\n"
                                "num_generations: 4\nnum_threads: 1\nreward_threads: 1\nmax_steps: 1\n"
                                "eval_dataset_name: late.jsonl\neval_num_generations: 4\neval_on_start: false\n"
                                "reward_funcs: [{name: command, run: \"sh $FOLDER/late.sh\", processes: 1}]\n"};
    static const char rows[] = "{\"prompt\": \"1\", \"late\": 1}\n{\"prompt\": \"2\", \"late\": 1}\n"
                               "{\"prompt\": \"3\", \"late\": 1}\n{\"prompt\": \"4\", \"late\": 1}\n";
    static const char judge[] =
        "read -r hello\n"
        "echo '{\"type\": \"ready\", \"protocol\": 1}'\n"
        "while read -r line; do\n"
        "    case $RANK$line in 1*'\"late\":'*) exit 3 ;; esac\n"
        "    seq=${line#*'\"seq\": '} seq=${seq%%,*}\n"
        "    echo '{\"type\": \"scores\", \"seq\": '$seq', \"results\": [{\"id\": \"'$seq'\", \"score\": 1}]}'\n"
        "done\n";
    char text[2048];
    run_write_text(team_folder, "late.jsonl", rows);
    run_write_text(team_folder, "late.sh", judge);
    const char *at = strstr(team.text, "$FOLDER");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - team.text), team.text, team_folder, at + strlen("$FOLDER"));
    team.text = text;
    team_start(&team);
    team_wait(&team, -1);
    assert_true(team_ended_with(&team, 1));
    for (int rank = 0; rank < 2; rank++) {
        assert_true(team_says(&team, rank, "failed 6 times in a row"));
    }
    assert_true(team_says(&team, 0, "rank 1 (process"));
    snprintf(text, sizeof text, "%s/late/checkpoints/step-000001", team_folder);
    assert_true(file_is_folder(text));
}

/* ---- who does not belong together ---- */

static void another_recipe_is_refused(void **state)
{
    (void)state;
    struct team team = {.n = 4, .name = "recipes", .text = PLAIN "prompts_per_step: 4\nmax_steps: 2\n"};
    team.more[2] = "beta: 0.1\n";
    team_start(&team);
    team_wait(&team, -1);
    assert_true(team_ended_with(&team, 2));
    for (int rank = 0; rank < 4; rank++) {
        assert_true(team_says(&team, rank, "rank 2 (process") &&
                    team_says(&team, rank, "has another recipe than rank 0"));
    }
}

static void three_ranks_and_too_few_shards_are_refused(void **state)
{
    (void)state;
    struct team three = {.n = 3, .name = "three", .text = PLAIN "max_steps: 2\n"};
    team_start(&three);
    team_wait(&three, -1);
    assert_true(team_ended_with(&three, 2) && team_says(&three, 0, "3 ranks cannot share a gradient evenly"));
    struct team few = {.n = 4, .name = "few", .text = PLAIN "max_steps: 2\ngradient_shards: 2\n"};
    team_start(&few);
    team_wait(&few, -1);
    assert_true(team_ended_with(&few, 2) && team_says(&few, 3, "fewer than the 4 ranks; start at most 2"));
}

static void a_port_in_use_and_a_rank_that_does_not_come(void **state)
{
    (void)state;
    int listener;
    struct net_address at;
    setenv("STROP_MEET_SECONDS", "1", 1);
    MUST(net_resolve(&at, "127.0.0.1", 0));
    MUST(net_listen(&listener, &at, 0));
    MUST(net_local(&at, listener));
    struct team team = {.n = 2, .name = "port", .text = PLAIN "max_steps: 2\n", .port = net_port(&at)};
    team_start(&team);
    team_wait(&team, -1);
    close(listener);
    assert_int_equal(team.codes[0], 1);
    assert_true(team_says(&team, 0, "Address already in use; another run or program has it"));
    assert_int_not_equal(team.codes[1], 0);
    struct team absent = {.n = 2, .name = "absent", .text = PLAIN "max_steps: 2\n"};
    team_start(&absent);
    kill(absent.pids[1], SIGKILL);
    team_wait(&absent, -1);
    assert_int_not_equal(absent.codes[0], 0);
    unsetenv("STROP_MEET_SECONDS");
}

static int begin(void **state)
{
    (void)state;
    team_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    team_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ranks_make_the_bits_of_one),
        cmocka_unit_test(another_number_of_shards_makes_other_bits),
        cmocka_unit_test(any_number_of_ranks_makes_the_same_bits),
        cmocka_unit_test(a_run_continues_on_fewer_ranks),
        cmocka_unit_test(the_number_of_shards_is_kept),
        cmocka_unit_test(texts_are_shared_too),
        cmocka_unit_test(mixtures_are_shared_too),
        cmocka_unit_test(adapters_are_shared_too),
        cmocka_unit_test(a_signal_to_one_stops_all),
        cmocka_unit_test(a_killed_rank_is_named_by_all),
        cmocka_unit_test(a_rank_that_fails_is_named_by_all),
        cmocka_unit_test(a_rank_that_fails_after_the_last_step_is_named_by_all),
        cmocka_unit_test(another_recipe_is_refused),
        cmocka_unit_test(three_ranks_and_too_few_shards_are_refused),
        cmocka_unit_test(a_port_in_use_and_a_rank_that_does_not_come),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
