/* tests/rl/data/dataset_test.c - an order that is a function of seed and position; lengths; texts, pairs and packed rows.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/data/dataset.h"

#include <unistd.h>

#include "base/file.h"
#include "kernels/device.h"
#include "tests/rl/iteration_fixture.h"

#include "tests/rl/byte_tokenizer.h"

enum { ROWS = 10 };

static char folder[64];
static struct tokenizer *tokenizer;

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ASSERT_OK(file_write_atomic(path, text, strlen(text)));
}

static int set_up(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT;
    snprintf(folder, sizeof folder, "/tmp/strop_dataset_XXXXXX");
    assert_non_null(mkdtemp(folder));
    tokenizer = byte_tokenizer("", -1);
    for (int i = 0; i < ROWS; i++) { /* row i is i + 1 bytes long */
        strbuf_printf(&text, "{\"prompt\": \"%.*s\", \"completion\": \"<%d>\", \"n\": %d}\n", i + 1, "0123456789", i,
                      i);
    }
    write_file("rows.jsonl", text.data);
    strbuf_release(&text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokenizer_free(tokenizer);
    ASSERT_OK(file_remove_folder(folder));
    return 0;
}

static enum err try_open(struct dataset **out, struct recipe *recipe, const char *name, const char *more)
{
    char text[1024], path[128];
    snprintf(text, sizeof text, "model_name_or_path: m\ndataset_name: \"%s\"\nreward_funcs: [format]\n%s%s", name,
             strstr(more, "template:") ? "" : "template: none\n", more);
    snprintf(path, sizeof path, "%s/r.yaml", folder);
    ASSERT_OK(recipe_parse(recipe, str_of(text), path));
    ASSERT_OK(recipe_finish(recipe));
    return dataset_open(out, recipe, recipe->data.dataset_name, strstr(more, "# eval") != NULL, tokenizer, 258);
}

static struct dataset *open_set(struct recipe *recipe, const char *name, const char *more)
{
    struct dataset *set = NULL;
    ASSERT_OK(try_open(&set, recipe, name, more));
    return set;
}

static void close_set(struct dataset *set, struct recipe *recipe)
{
    dataset_close(set);
    recipe_release(recipe);
}

/* The field n of the next rows. */
static void draw(struct dataset *set, int n, int *out)
{
    struct iteration it = {.n_prompts = n};
    ASSERT_OK(dataset_next(set, &it));
    for (int i = 0; i < n; i++) {
        out[i] = (int)json_integer_value(json_object_get(it.prompts[i].fields, "n"));
        assert_int_equal(it.prompts[i].n_tokens, out[i] + 1);
        assert_int_equal(it.prompts[i].tokens[out[i]], '0' + out[i]);
    }
    iteration_release(&it);
}

static void epochs_are_permutations_of_the_seed(void **state)
{
    (void)state;
    struct recipe recipe;
    int orders[3][3 * ROWS];
    for (int i = 0; i < 3; i++) {
        struct dataset *set = open_set(&recipe, "rows.jsonl", i == 2 ? "seed: 7\n" : "seed: 6\n");
        assert_int_equal(dataset_size(set), ROWS);
        draw(set, i == 1 ? 13 : 30, orders[i]); /* in other portions: the same order */
        if (i == 1) {
            draw(set, 17, orders[i] + 13);
        }
        assert_int_equal(dataset_cursor(set), 30);
        close_set(set, &recipe);
    }
    assert_memory_equal(orders[0], orders[1], sizeof orders[0]);
    assert_memory_not_equal(orders[0], orders[2], sizeof orders[0]);
    assert_memory_not_equal(orders[0], orders[0] + ROWS, ROWS * sizeof(int));
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen = 0;
        for (int i = 0; i < ROWS; i++) {
            seen |= 1 << orders[0][epoch * ROWS + i];
        }
        assert_int_equal(seen, (1 << ROWS) - 1);
    }
}

static void seeking_is_where_one_was(void **state)
{
    (void)state;
    struct recipe recipe;
    int all[25], rest[8];
    struct dataset *set = open_set(&recipe, "rows.jsonl", "");
    draw(set, 25, all);
    dataset_seek(set, 17);
    draw(set, 8, rest);
    assert_memory_equal(all + 17, rest, sizeof rest);
    close_set(set, &recipe);
}

static void what_is_measured_on_keeps_its_order(void **state)
{
    (void)state;
    static const char *const cases[] = {"shuffle: false\n", "# eval\n"};
    for (int k = 0; k < 2; k++) {
        struct recipe recipe;
        int order[12];
        struct dataset *set = open_set(&recipe, "rows.jsonl", cases[k]);
        draw(set, 12, order);
        for (int i = 0; i < 12; i++) {
            assert_int_equal(order[i], i % ROWS);
        }
        close_set(set, &recipe);
    }
}

static void long_prompts_are_refused_or_passed_over(void **state)
{
    (void)state;
    struct recipe recipe;
    struct dataset *set = NULL;
    int order[8];
    assert_int_equal(try_open(&set, &recipe, "rows.jsonl", "max_prompt_length: 4\n"), ERR_LIMIT);
    assert_non_null(strstr(err_text(), "rows.jsonl:5: 5 tokens")); /* when it is opened, not when its turn comes */
    recipe_release(&recipe);
    set = open_set(&recipe, "rows.jsonl", "max_prompt_length: 4\nlong_prompts: skip\nshuffle: false\n");
    draw(set, 8, order);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(order[i], i % 4);
    }
    assert_int_equal(dataset_cursor(set), 14);
    assert_int_equal(dataset_skipped(set), 6);
    close_set(set, &recipe);
    write_file("long.jsonl", "{\"prompt\": \"12345\"}\n{\"prompt\": \"123456\"}\n");
    set = open_set(&recipe, "long.jsonl", "max_prompt_length: 4\nlong_prompts: skip\n");
    struct iteration it = {.n_prompts = 1};
    assert_int_equal(dataset_next(set, &it), ERR_LIMIT); /* and does not search for ever */
    assert_int_equal(dataset_cursor(set), 0);
    iteration_release(&it);
    close_set(set, &recipe);
}

static void contents_have_a_fingerprint(void **state)
{
    (void)state;
    static const char *const names[] = {"rows.jsonl", "other.jsonl", "countdown", "countdown:count=4"};
    uint64_t prints[4];
    write_file("other.jsonl", "{\"prompt\": \"x\"}\n");
    for (int i = 0; i < 4; i++) {
        struct recipe recipe;
        struct dataset *set = open_set(&recipe, names[i], "");
        prints[i] = dataset_fingerprint(set);
        for (int k = 0; k < i; k++) {
            assert_true(prints[i] != prints[k]);
        }
        close_set(set, &recipe);
    }
}

static void assert_text(struct dataset *set, const char *want, int n_masked)
{
    struct arena arena = ARENA_INIT;
    struct dataset_text text;
    ASSERT_OK(dataset_next_text(set, &arena, &text));
    assert_int_equal(text.n_tokens, strlen(want));
    assert_int_equal(text.n_masked, n_masked);
    for (int i = 0; i < text.n_tokens; i++) {
        assert_int_equal(text.tokens[i], want[i] == '$' ? 258 : want[i]);
    }
    arena_release(&arena);
}

#define SFT "method: sft\nshuffle: false\n"

static void pairs_mask_their_prompts(void **state)
{
    (void)state;
    struct recipe recipe;
    struct dataset *set = open_set(&recipe, "rows.jsonl", SFT);
    assert_text(set, "0<0>$", 1);
    assert_text(set, "01<1>$", 2);
    close_set(set, &recipe);
    write_file("chat.jsonl", "{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", "
                             "\"content\": \"yes\"}]}\n");
    set = open_set(&recipe, "chat.jsonl", SFT);
    assert_text(set, "hiyes$", 2);
    close_set(set, &recipe);
}

/* What the chat template writes after an answer, and not the model's first end token (258). */
static void answers_end_as_the_chat_template_ends_them(void **state)
{
    (void)state;
    struct recipe recipe;
    struct dataset_text text;
    struct arena arena = ARENA_INIT;
    struct tokenizer *without = tokenizer;
    tokenizer = byte_tokenizer("{% for m in messages %}{{ m.content }}!<|im_start|>\n{% endfor %}", -1);
    static const int32_t want[] = {'0', '!', 257, '\n', '<', '0', '>', '!', 257};
    struct dataset *set = open_set(&recipe, "rows.jsonl", SFT "template: chat\n");
    ASSERT_OK(dataset_next_text(set, &arena, &text));
    assert_int_equal(text.n_masked, 4);
    assert_int_equal(text.n_tokens, sizeof want / sizeof *want);
    assert_memory_equal(text.tokens, want, sizeof want);
    close_set(set, &recipe);
    arena_release(&arena);
    tokenizer_free(tokenizer);
    tokenizer = without;
}

/* Contents may be lists of parts, or missing beside calls of tools; what is learnt is a text. */
static void messages_are_what_their_template_makes_of_them(void **state)
{
    (void)state;
    struct recipe recipe;
    struct iteration it = {.n_prompts = 1};
    struct dataset *set = NULL;
    struct tokenizer *without = tokenizer;
    tokenizer = byte_tokenizer("{{ messages[0].content[0].text }}{{ messages[1].tool_calls[0] }}{{ tools[0] }}", -1);
    write_file("parts.jsonl",
               "{\"prompt\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"p\"}]}, "
               "{\"role\": \"assistant\", \"tool_calls\": [3]}], \"tools\": [4]}\n");
    set = open_set(&recipe, "parts.jsonl", "shuffle: false\ntemplate: chat\n");
    ASSERT_OK(dataset_next(set, &it));
    assert_true(str_equal(it.prompts[0].text, STR("p34")));
    iteration_release(&it);
    close_set(set, &recipe);
    assert_int_equal(try_open(&set, &recipe, "parts.jsonl", SFT "template: chat\n"), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "must have a text as its content"));
    recipe_release(&recipe);
    tokenizer_free(tokenizer);
    tokenizer = without;
}

/* The first two tokens of the first prompt, or of the first text. */
static void first_tokens(const char *more, int32_t out[2])
{
    struct recipe recipe;
    struct dataset *set = open_set(&recipe, "rows.jsonl", more);
    if (recipe.method == METHOD_SFT) {
        struct dataset_text text;
        struct arena arena = ARENA_INIT;
        ASSERT_OK(dataset_next_text(set, &arena, &text));
        memcpy(out, text.tokens, 2 * sizeof *out);
        arena_release(&arena);
    } else {
        struct iteration it = {.n_prompts = 1};
        ASSERT_OK(dataset_next(set, &it));
        memcpy(out, it.prompts[0].tokens, 2 * sizeof *out);
        iteration_release(&it);
    }
    close_set(set, &recipe);
}

static void plain_texts_begin_with_the_begin_token(void **state)
{
    (void)state;
    int32_t tokens[2];
    struct tokenizer *without = tokenizer;
    tokenizer = byte_tokenizer(CHATML, 257);
    first_tokens("shuffle: false\n", tokens);
    assert_true(tokens[0] == 257 && tokens[1] == '0');
    first_tokens("shuffle: false\ntemplate: chat\n", tokens);
    assert_true(tokens[0] == 257 && tokens[1] != 257);
    first_tokens(SFT, tokens);
    assert_true(tokens[0] == 257 && tokens[1] == '0');
    first_tokens(SFT "text_field: prompt\n", tokens);
    assert_true(tokens[0] == 257 && tokens[1] == '0');
    tokenizer_free(tokenizer);
    tokenizer = without;
}

static void whole_texts_are_joined(void **state)
{
    (void)state;
    struct recipe recipe;
    struct dataset *set = open_set(&recipe, "rows.jsonl", SFT "text_field: completion\n");
    assert_text(set, "<0>$", 0);
    close_set(set, &recipe);
    set = open_set(&recipe, "rows.jsonl", SFT "text_field: prompt\npack_length: 12\n");
    assert_text(set, "0$01$012$", 0); /* 9; the next would make 14 */
    assert_text(set, "0123$01234$", 0);
    assert_int_equal(dataset_cursor(set), 5);
    assert_text(set, "012345$", 0);
    dataset_seek(set, 3); /* where a row began */
    assert_text(set, "0123$01234$", 0);
    close_set(set, &recipe);
}

/* The first texts of a set, one after the other, with where each ends. */
static struct strbuf texts_of(const char *name, const char *more, int n_threads)
{
    struct recipe recipe;
    struct strbuf all = STRBUF_INIT;
    struct arena arena = ARENA_INIT;
    struct dataset *set = open_set(&recipe, name, more);
    device_set_threads(n_threads);
    for (int i = 0; i < 300; i++) {
        struct dataset_text text;
        ASSERT_OK(dataset_next_text(set, &arena, &text));
        int64_t ends[4] = {text.n_tokens, text.n_masked, dataset_cursor(set), dataset_skipped(set)};
        strbuf_add(&all, (const char *)ends, sizeof ends);
        strbuf_add(&all, (const char *)text.tokens, (size_t)text.n_tokens * sizeof *text.tokens);
    }
    device_set_threads(0);
    arena_release(&arena);
    close_set(set, &recipe);
    return all;
}

static void texts_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"tiny-text", "method: sft\npack_length: 256\nmax_prompt_length: 256\nlong_prompts: skip\n"},
        {"tiny-text", "method: sft\nmax_prompt_length: 150\nlong_prompts: skip\n"},
        {"rows.jsonl", "method: sft\nmax_prompt_length: 11\nlong_prompts: skip\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf one = texts_of(cases[i][0], cases[i][1], 1);
        for (int n_threads = 2; n_threads <= 5; n_threads += 3) {
            struct strbuf many = texts_of(cases[i][0], cases[i][1], n_threads);
            assert_int_equal(many.length, one.length);
            assert_memory_equal(many.data, one.data, one.length);
            strbuf_release(&many);
        }
        strbuf_release(&one);
    }
}

static void a_bad_text_is_an_error_in_its_turn(void **state)
{
    (void)state;
    struct recipe recipe;
    struct arena arena = ARENA_INIT;
    struct dataset_text text;
    struct dataset *set = open_set(&recipe, "rows.jsonl", SFT "max_prompt_length: 6\n");
    assert_text(set, "0<0>$", 1);
    for (int i = 0; i < 2; i++) { /* "01<1>$" fits, "012<2>$" does not; again when it is asked for again */
        dataset_seek(set, 1);
        assert_text(set, "01<1>$", 2);
        assert_int_equal(dataset_next_text(set, &arena, &text), ERR_LIMIT);
        assert_non_null(strstr(err_text(), "rows.jsonl:3: 7 tokens"));
        assert_int_equal(dataset_cursor(set), 2);
    }
    arena_release(&arena);
    close_set(set, &recipe);
}

static void uses_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *more, *error;
    } cases[] = {
        {"tiny-text", "", "whole texts"},
        {"countdown", "method: sft\n", "without completions"},
        {"rows.jsonl", "method: sft\npack_length: 64\n", "text_field"},
        {"rows.jsonl", "prompt_field: n\n", "must be text"},
        {"rows.jsonl", "prompt_field: q\n", "rows.jsonl:1: the field 'q' is missing"},
        {"rows.jsonl", "method: sft\ncompletion_field: q\n", "'q' is missing"},
        {"absent.jsonl", "", "absent.jsonl"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe;
        struct dataset *set = NULL;
        assert_int_not_equal(try_open(&set, &recipe, cases[i].name, cases[i].more), ERR_NONE);
        assert_null(set);
        if (!strstr(err_text(), cases[i].error)) {
            fail_msg("'%s', but it should speak of '%s'", err_text(), cases[i].error);
        }
        recipe_release(&recipe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_are_permutations_of_the_seed),
        cmocka_unit_test(seeking_is_where_one_was),
        cmocka_unit_test(what_is_measured_on_keeps_its_order),
        cmocka_unit_test(long_prompts_are_refused_or_passed_over),
        cmocka_unit_test(contents_have_a_fingerprint),
        cmocka_unit_test(pairs_mask_their_prompts),
        cmocka_unit_test(answers_end_as_the_chat_template_ends_them),
        cmocka_unit_test(messages_are_what_their_template_makes_of_them),
        cmocka_unit_test(plain_texts_begin_with_the_begin_token),
        cmocka_unit_test(whole_texts_are_joined),
        cmocka_unit_test(texts_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(a_bad_text_is_an_error_in_its_turn),
        cmocka_unit_test(uses_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
