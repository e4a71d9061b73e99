/* tests/rl/recipe/yaml_test.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "rl/recipe/yaml.h"

static void scalars_have_the_types_of_yaml_1_2(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum yaml_kind kind;
        double number;
    } cases[] = {
        {"", YAML_NULL, 0},
        {"~", YAML_NULL, 0},
        {"null", YAML_NULL, 0},
        {"NULL", YAML_NULL, 0},
        {"true", YAML_BOOL, 0},
        {"FALSE", YAML_BOOL, 0},
        {"yes", YAML_TEXT, 0},
        {"on", YAML_TEXT, 0},
        {"tRue", YAML_TEXT, 0},
        {"12", YAML_INT, 12},
        {"-12", YAML_INT, -12},
        {"+12", YAML_INT, 12},
        {"012", YAML_INT, 12},
        {"0x1F", YAML_INT, 31},
        {"0o17", YAML_INT, 15},
        {"0o18", YAML_TEXT, 0},
        {"1_000", YAML_TEXT, 0},
        {"1:30", YAML_TEXT, 0},
        {"1e-6", YAML_NUMBER, 1e-6},
        {"1.", YAML_NUMBER, 1},
        {".5", YAML_NUMBER, 0.5},
        {"-1.5E+3", YAML_NUMBER, -1500},
        {"1e", YAML_TEXT, 0},
        {".", YAML_TEXT, 0},
        {"-", YAML_TEXT, 0},
        {"1.2.3", YAML_TEXT, 0},
        {"0x", YAML_TEXT, 0},
        {".inf", YAML_TEXT, 0},
        {"99999999999999999999", YAML_NUMBER, 1e20},
        {"1e5x", YAML_TEXT, 0},
        {" 1", YAML_TEXT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct yaml_value value = yaml_plain(cases[i].text);
        if (value.kind != cases[i].kind || value.number != cases[i].number) {
            fail_msg("'%s': kind %d, number %g", cases[i].text, (int)value.kind, value.number);
        }
    }
    assert_true(yaml_plain("True").boolean);
    assert_false(yaml_plain("false").boolean);
}

static void trees_have_their_places(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct yaml_value *root;
    assert_int_equal(
        yaml_parse(&root, STR("# c\na: 1\nlist:\n  - x\n  - {b: '2', c: [3]}\ntext: |\n  two\n  lines\n"), "f", &arena),
        ERR_NONE);
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->n, 3);
    const struct yaml_value *a = root->first, *list = a->next, *text = list->next;
    assert_string_equal(a->key, "a");
    assert_int_equal(a->key_line * 100 + a->key_column, 201);
    assert_int_equal(a->line * 100 + a->column, 204);
    assert_int_equal(list->n, 2);
    const struct yaml_value *map = list->first->next;
    assert_int_equal(map->line * 100 + map->column, 505);
    assert_int_equal(map->first->kind, YAML_TEXT);
    assert_string_equal(map->first->text, "2");
    assert_int_equal(map->first->next->first->integer, 3);
    assert_string_equal(text->text, "two\nlines\n");
    assert_null(text->next);
    assert_int_equal(yaml_parse(&root, STR("# nothing\n"), "f", &arena), ERR_NONE);
    assert_int_equal(root->kind, YAML_NULL);
    assert_int_equal(yaml_parse(&root, (struct str){NULL, 0}, "f", &arena), ERR_NONE);
    assert_int_equal(root->kind, YAML_NULL);
    arena_release(&arena);
}

static void what_recipes_do_not_need_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } cases[] = {
        {{"a: 1\nb: 2\na: 3\n", 15}, "f:3:1: 'a' was already given in line 1; remove one of them"},
        {{"a: &x 1\n", 8}, "f:1:4: anchors (&name) are not for recipes; take it out"},
        {{"a: *x\n", 6}, "f:1:4: aliases (*name) are not for recipes; write the value out"},
        {{"a: !!str 1\n", 11}, "f:1:4: tags (!name) are not for recipes; take it out"},
        {{"a: !x {}\n", 9}, "f:1:4: tags (!name) are not for recipes; take it out"},
        {{"--- a\n--- b\n", 12}, "f:2:1: a second document; a recipe is one"},
        {{"[1]: 2\n", 7}, "f:1:1: a key must be a word"},
        {{"a: \"\\0\"\n", 8}, "f:1:4: a NUL byte in a text; take it out"},
        {{"a: [[[[[1]]]]]\n", 15}, "f:1:7: nested too deeply; a recipe is flat"},
        {{"a: b: c\n", 8}, "f:1:5: not valid YAML: mapping values are not allowed in this context"},
        {{"a:\n\tb: 1\n", 9}, "f:2:1: not valid YAML: found character that cannot start any token"},
        {{"a: 1\nb: \xff\n", 10}, "f:2:4: not valid YAML: invalid leading UTF-8 octet"},
        {{"a: \"x", 5}, "f:1:6: not valid YAML: found unexpected end of stream"},
    };
    struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct yaml_value *root = NULL;
        assert_int_equal(yaml_parse(&root, cases[i].text, "f", &arena), ERR_USAGE);
        assert_string_equal(err_text(), cases[i].want);
        assert_null(root);
    }
    arena_release(&arena);
}

static void size_is_limited(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct strbuf text = STRBUF_INIT;
    struct yaml_value *root = NULL;
    for (int i = 0; i < 3 * YAML_MAX_VALUES; i++) {
        strbuf_puts(&text, "- 1\n");
    }
    assert_int_equal(yaml_parse(&root, strbuf_view(&text), "f", &arena), ERR_USAGE);
    assert_non_null(strstr(err_text(), "more values than any recipe has"));
    while (text.length <= YAML_MAX_BYTES) {
        strbuf_puts(&text, "# a comment\n");
    }
    assert_int_equal(yaml_parse(&root, strbuf_view(&text), "f", &arena), ERR_LIMIT);
    strbuf_release(&text);
    arena_release(&arena);
}

static void written_text_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "plain",
                                        "a b",
                                        "12",
                                        "true",
                                        "null",
                                        "a: b",
                                        "#x",
                                        "- x",
                                        "...",
                                        "a#b",
                                        "'q'",
                                        "\"q\"",
                                        "back\\n",
                                        "\n\t\x01",
                                        "\x7f",
                                        "a\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xf0\x9f\x98\x80",
                                        "x:",
                                        "=",
                                        "1e3",
                                        "[a]",
                                        "{a}",
                                        ",",
                                        "-",
                                        "a,b",
                                        "0:5,1:6",
                                        "*x",
                                        "&x",
                                        "!x",
                                        "%x",
                                        "@x"};
    struct arena arena = ARENA_INIT;
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (int quoted = 0; quoted < 2; quoted++) {
            struct yaml_value *root = NULL;
            strbuf_clear(&out);
            strbuf_puts(&out, "key: ");
            (quoted ? yaml_write_quoted : yaml_write_text)(&out, texts[i]);
            strbuf_puts(&out, "\n");
            if (yaml_parse(&root, strbuf_view(&out), "f", &arena) != ERR_NONE) {
                fail_msg("%s: %s", err_text(), out.data);
            }
            assert_int_equal(root->first->kind, YAML_TEXT);
            assert_string_equal(root->first->text, texts[i]);
        }
    }
    strbuf_release(&out);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_have_the_types_of_yaml_1_2),
        cmocka_unit_test(trees_have_their_places),
        cmocka_unit_test(what_recipes_do_not_need_is_refused),
        cmocka_unit_test(size_is_limited),
        cmocka_unit_test(written_text_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
