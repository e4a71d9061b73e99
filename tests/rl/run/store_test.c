/* tests/rl/run/store_test.c - what is stored comes back in every bit; going back to a step forgets what came after and no more.
 * With rl/run/store_load.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/store.h"

#include <unistd.h>

#include "base/file.h"
#include "rl/run/store_internal.h"
#include "tests/rl/iteration_fixture.h"

enum { PROMPTS = 3, G = 4, LONGEST = 9 };

static char folder[64];
static struct reward_set *rewards;

static int open_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/strop_store_XXXXXX", file_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(folder));
    struct reward_spec specs[] = {{"format:mode=graded"}, {"countdown"}};
    ASSERT_OK(reward_set_open(&rewards, specs, 2, ON_ERROR_DROP, 10, 1));
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    reward_set_close(rewards);
    ASSERT_OK(file_remove_folder(folder));
    return 0;
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    ASSERT_OK(store_open(&store, folder));
    return store;
}

/* Iteration `number`, its rewards and verdicts all different. */
static void judged(struct iteration *it, int64_t number)
{
    make_iteration(it, PROMPTS, G, LONGEST, 50);
    it->number = number;
    for (int i = 0; i < it->n_samples; i++) {
        struct sample *s = &it->samples[i];
        s->judgement.parts = ARENA_NEW(&it->arena, struct verdict, 2);
        s->judgement.seconds = ARENA_NEW(&it->arena, double, 2);
        s->judgement.parts[0] = verdict_ok(1.0 / (i + 3), "share", STR("x"));
        s->judgement.parts[1] = i % 3 ? verdict_abstain("none") : verdict_error("missing field");
        s->reward = 1.0 / (i + 3) + (double)number;
        s->advantage = sin(i) * 1e-7;
        s->dropped = i % 5 == 0;
    }
}

static void assert_same_sample(const struct sample *a, const struct sample *b)
{
    const struct completion *x = a->completion, *y = b->completion;
    size_t bytes = (size_t)x->n_tokens * 4;
    assert_int_equal(x->n_tokens, y->n_tokens);
    assert_int_equal(x->finish, y->finish);
    assert_memory_equal(x->tokens, y->tokens, bytes);
    assert_memory_equal(x->logprob, y->logprob, bytes);
    assert_memory_equal(x->lse, y->lse, bytes);
    assert_memory_equal(x->entropy, y->entropy, bytes);
    assert_true(str_equal(x->text, y->text));
    assert_memory_equal(&a->reward, &b->reward, sizeof a->reward);
    assert_memory_equal(&a->advantage, &b->advantage, sizeof a->advantage);
    assert_int_equal(a->dropped, b->dropped);
}

static bool load(struct store *store, int64_t number, int n_prompts, int n_samples, struct iteration *out)
{
    *out = (struct iteration){.number = number, .n_prompts = n_prompts, .G = n_samples};
    enum err result = store_load_rollout(store, out, 50);
    assert_true(result == ERR_NONE || result == ERR_STATE);
    return result == ERR_NONE;
}

static void rollouts_come_back_in_every_bit(void **state)
{
    (void)state;
    struct iteration in, out;
    struct store *store = open_store();
    judged(&in, 5);
    in.groups[1].completions[2].text = (struct str){"a\0b\xff", 4}; /* any bytes */
    ASSERT_OK(store_rollout(store, &in, rewards));
    store_close(store);
    store = open_store();
    assert_true(load(store, 5, PROMPTS, G, &out));
    for (int p = 0; p < PROMPTS; p++) {
        assert_int_equal(out.prompts[p].index, in.prompts[p].index);
        assert_int_equal(out.prompts[p].n_tokens, in.prompts[p].n_tokens);
        assert_memory_equal(out.prompts[p].tokens, in.prompts[p].tokens, (size_t)in.prompts[p].n_tokens * 4);
        assert_true(str_equal(out.prompts[p].text, in.prompts[p].text));
        assert_true(json_equal(out.prompts[p].fields, in.prompts[p].fields));
    }
    for (int i = 0; i < in.n_samples; i++) {
        assert_same_sample(&in.samples[i], &out.samples[i]);
        assert_ptr_equal(out.samples[i].prompt, &out.prompts[i / G]);
    }
    iteration_release(&out);
    assert_false(load(store, 6, PROMPTS, G, &out));
    iteration_release(&out);
    assert_false(load(store, 5, PROMPTS + 1, G, &out)); /* another shape */
    iteration_release(&out);
    iteration_release(&in);
    store_close(store);
}

/* What was changed from outside is not believed, and the sentence says what is wrong. */
static void changed_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *says;
    } changes[] = {
        {"UPDATE completions SET advantage = advantage + 1e-9 WHERE prompt = 1 AND sample = 2",
         "not as they were written"},
        {"UPDATE completions SET reward = 7 WHERE prompt = 0 AND sample = 0", "not as they were written"},
        {"UPDATE completions SET text = x'00' WHERE prompt = 1 AND sample = 2", "not as they were written"},
        {"UPDATE completions SET logprob = x'' WHERE prompt = 1 AND sample = 2", "no token or no number"},
        {"UPDATE completions SET tokens = x'ffffffff', logprob = x'00000000', lse = x'00000000', entropy = x'00000000'"
         " WHERE prompt = 1 AND sample = 2",
         "no token or no number"},
        {"UPDATE completions SET tokens = substr(tokens, 1, 3) WHERE prompt = 1 AND sample = 2",
         "no token or no number"},
        {"UPDATE completions SET lse = x'0000c07f', tokens = x'01000000', logprob = x'00000000', entropy = x'00000000'"
         " WHERE prompt = 1 AND sample = 2",
         "no token or no number"},
        {"UPDATE prompts SET prompt = 7 WHERE prompt = 1", "no token or no number"},
        {"DELETE FROM prompts WHERE prompt = 1", "no token or no number"},
        {"DELETE FROM completions WHERE sample = 1", "no token or no number"},
        {"INSERT INTO completions SELECT iteration, 9, sample, text, tokens, logprob, lse, entropy, finish, reward, "
         "advantage,"
         " dropped FROM completions WHERE prompt = 0",
         "no token or no number"},
        {"UPDATE rewards SET reason = 'better' WHERE prompt = 0 AND sample = 0", "not as they were written"},
        {"UPDATE rollouts SET keys = 'seed: 8'", "not as they were written"},
        {"UPDATE rollouts SET steps = 5", "another shape"},
        {"UPDATE rollouts SET prompts = prompts + 0.5", "not in it"},
        {"DELETE FROM rollouts", "not in it"},
    };
    struct iteration in, out;
    struct store *store = open_store();
    judged(&in, 5);
    in.keys = "seed: 7\n";
    ASSERT_OK(store_rollout(store, &in, rewards));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        ASSERT_OK(store_exec(store, "BEGIN"));
        ASSERT_OK(store_exec(store, changes[i].sql));
        if (load(store, 5, PROMPTS, G, &out) || !strstr(err_text(), changes[i].says)) {
            fail_msg("%s: %s", changes[i].sql, err_text());
        }
        iteration_release(&out);
        ASSERT_OK(store_exec(store, "ROLLBACK"));
    }
    ASSERT_OK(store_exec(store, "UPDATE rewards SET seconds = 7")); /* the clock is not hashed */
    assert_true(load(store, 5, PROMPTS, G, &out));
    iteration_release(&out);
    iteration_release(&in);
    store_close(store);
}

static int64_t count(struct store *store, const char *what)
{
    sqlite3 *db;
    sqlite3_stmt *query;
    char sql[128];
    (void)store;
    ASSERT_OK(store_open_reader(&db, folder));
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", what);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return n;
}

static void read_metrics(struct strbuf *out)
{
    char path[128];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    strbuf_clear(out);
    ASSERT_OK(file_read(out, path, 1 << 16));
}

static void add_step(struct store *store, int64_t step)
{
    struct metrics metrics = {0};
    metrics_set(&metrics, 1.0 / (double)step, "reward");
    metrics_set(&metrics, step % 2 ? (double)NAN : 0.1, "loss");
    ASSERT_OK(store_step(store, step, (step - 1) / 2, &metrics));
    ASSERT_OK(store_eval(store, step, &metrics));
}

static void going_back_forgets_what_came_after(void **state)
{
    (void)state;
    struct strbuf straight = STRBUF_INIT, again = STRBUF_INIT;
    struct store *store = open_store();
    bool has = true;
    for (int64_t step = 1; step <= 3; step++) {
        add_step(store, step);
    }
    read_metrics(&straight);
    for (int64_t step = 4; step <= 8; step++) {
        add_step(store, step);
    }
    for (int64_t number = 0; number < 4; number++) {
        struct iteration it;
        judged(&it, number);
        ASSERT_OK(store_rollout(store, &it, rewards));
        iteration_release(&it);
    }
    ASSERT_OK(store_rewind(store, 3, 2));
    read_metrics(&again);
    assert_string_equal(again.data, straight.data); /* written from run.db: the same text */
    assert_int_equal(count(store, "steps"), 3);
    assert_int_equal(count(store, "metrics"), 6);
    assert_int_equal(count(store, "prompts"), 2 * PROMPTS);
    assert_int_equal(count(store, "completions"), 2 * PROMPTS * G);
    assert_int_equal(count(store, "rewards"), 2 * PROMPTS * G * 2);
    ASSERT_OK(store_has_eval(store, 3, &has));
    assert_true(has);
    ASSERT_OK(store_has_eval(store, 4, &has));
    assert_false(has);
    ASSERT_OK(store_rewind(store, -1, 0));
    assert_int_equal(count(store, "steps") + count(store, "evals") + count(store, "completions"), 0);
    store_close(store);
    strbuf_release(&straight);
    strbuf_release(&again);
}

/* An older run.db: metrics.jsonl keeps what it has; what is done again is kept under another name. */
static void lines_that_run_db_lacks_are_kept(void **state)
{
    (void)state;
    char path[128];
    struct strbuf lines = STRBUF_INIT;
    int64_t last, missing;
    struct store *store = open_store();
    for (int64_t step = 1; step <= 6; step++) {
        add_step(store, step);
    }
    ASSERT_OK(store_exec(store, "DELETE FROM steps WHERE step > 2; DELETE FROM metrics WHERE step > 2"));
    ASSERT_OK(store_count_steps(store, 4, &last, &missing));
    assert_int_equal(last, 2);
    assert_int_equal(missing, 2);
    ASSERT_OK(store_rewind(store, 6, 3));
    read_metrics(&lines);
    assert_non_null(strstr(lines.data, "{\"step\": 6"));
    snprintf(path, sizeof path, "%s/metrics-1.jsonl", folder);
    assert_false(file_exists(path));
    ASSERT_OK(store_rewind(store, 4, 3));
    read_metrics(&lines);
    assert_non_null(strstr(lines.data, "{\"step\": 4"));
    assert_null(strstr(lines.data, "{\"step\": 5"));
    assert_true(file_exists(path));
    strbuf_release(&lines);
    store_close(store);
}

static void a_folder_belongs_to_one(void **state)
{
    (void)state;
    char pid[32];
    struct store *store = open_store(), *second = NULL;
    assert_int_equal(store_open(&second, folder), ERR_STATE);
    assert_null(second);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err_text(), pid));
    assert_non_null(strstr(err_text(), folder));
    store_close(store);
    store_close(open_store()); /* the lock went with it */
}

static void meta_and_events_are_kept(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct store *store = open_store();
    assert_null(store_get_meta(store, "recipe", &arena));
    ASSERT_OK(store_set_meta(store, "recipe", "a: 1\n"));
    ASSERT_OK(store_set_meta(store, "recipe", "a: 2\n"));
    assert_string_equal(store_get_meta(store, "recipe", &arena), "a: 2\n");
    ASSERT_OK(store_event(store, 3, "checkpoint", "no space"));
    assert_int_equal(count(store, "events WHERE step = 3 AND kind = 'checkpoint' AND text = 'no space'"), 1);
    ASSERT_OK(store_set_meta(store, "schema", "0"));
    store_close(store);
    assert_int_equal(store_open(&store, folder), ERR_STATE);
    assert_non_null(strstr(err_text(), "another version"));
    arena_release(&arena);
}

/* Several calls are one: what fails takes back what went before. */
static void transactions_nest(void **state)
{
    (void)state;
    struct store *store = open_store();
    ASSERT_OK(store_begin(store));
    add_step(store, 1);
    assert_int_equal(store_end(store, err_set(ERR_LIMIT, "no")), ERR_LIMIT);
    assert_int_equal(count(store, "steps"), 0);
    ASSERT_OK(store_begin(store));
    add_step(store, 2);
    ASSERT_OK(store_end(store, ERR_NONE));
    assert_int_equal(count(store, "steps"), 1);
    store_close(store);
}

static void what_a_kill_left_is_removed(void **state)
{
    (void)state;
    static const char *const names[] = {"metrics.jsonl.tmp123", "recipe.yaml.tmp7", "notes.tmp1"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        ASSERT_OK(file_write_atomic(path, "x", 1));
    }
    store_close(open_store());
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(file_exists(path), i == 2); /* not a file of ours */
    }
}

/* Texts are TEXT but where a completion ends inside a character; the views join; the tables say what is in them. */
static void the_file_explains_itself(void **state)
{
    (void)state;
    struct store *store = open_store();
    struct iteration it;
    judged(&it, 0);
    it.samples[0].completion = &it.groups[0].completions[0];
    it.groups[0].completions[0].text = STR("half a \xe2\x82");
    it.groups[0].completions[1].text = STR("a whole \xe2\x82\xac");
    ASSERT_OK(store_rollout(store, &it, rewards));
    assert_int_equal(count(store, "samples"), it.n_samples);
    assert_int_equal(count(store, "verdicts"), it.n_samples * reward_set_count(rewards));
    assert_int_equal(count(store, "samples WHERE sample = 1 AND prompt = 0 AND typeof(text) = 'text'"), 1);
    assert_int_equal(count(store, "samples WHERE sample = 0 AND prompt = 0 AND typeof(text) = 'blob'"), 1);
    assert_int_equal(count(store, "sqlite_master WHERE name = 'completions' AND sql LIKE '%1 end token, 2 stop%'"), 1);
    store_close(store);
    struct strbuf lines = STRBUF_INIT;
    store = open_store();
    struct metrics metrics = {0};
    metrics_set(&metrics, 0.5, "eval/pass@1");
    metrics_set(&metrics, 0, "eval/unjudged");
    ASSERT_OK(store_eval(store, 0, &metrics));
    read_metrics(&lines);
    assert_string_equal(lines.data, "{\"step\": 0, \"eval/pass@1\": 0.5, \"eval/unjudged\": 0}\n");
    strbuf_release(&lines);
    iteration_release(&it);
    store_close(store);
}

static void what_is_no_database_is_refused(void **state)
{
    (void)state;
    char path[128], text[5000];
    struct store *store = NULL;
    memset(text, 'x', sizeof text);
    snprintf(path, sizeof path, "%s/run.db", folder);
    ASSERT_OK(file_write_atomic(path, text, sizeof text));
    assert_int_not_equal(store_open(&store, folder), ERR_NONE);
    assert_non_null(strstr(err_text(), path));
    assert_null(store);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(rollouts_come_back_in_every_bit),
        IN_A_FOLDER(changed_rows_are_refused),
        IN_A_FOLDER(lines_that_run_db_lacks_are_kept),
        IN_A_FOLDER(going_back_forgets_what_came_after),
        IN_A_FOLDER(a_folder_belongs_to_one),
        IN_A_FOLDER(meta_and_events_are_kept),
        IN_A_FOLDER(transactions_nest),
        IN_A_FOLDER(what_a_kill_left_is_removed),
        IN_A_FOLDER(the_file_explains_itself),
        IN_A_FOLDER(what_is_no_database_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
