/* tests/base/names_test.c - texts are found by hash, as many as a large checkpoint has.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"

static void all_are_found_and_no_others(void **state)
{
    (void)state;
    enum { N = 45000 };
    struct arena arena = ARENA_INIT;
    struct names names = {0};
    assert_int_equal(names_find(&names, "model.norm.weight"), -1);
    for (int i = 0; i < N; i++) {
        assert_int_equal(names.n, i);
        assert_true(
            names_add(&names, arena_printf(&arena, "model.layers.%d.mlp.experts.%d.up_proj", i / 256, i % 256)));
    }
    for (int i = 0; i < N; i++) {
        char text[96];
        snprintf(text, sizeof text, "model.layers.%d.mlp.experts.%d.up_proj", i / 256, i % 256);
        assert_int_equal(names_find(&names, text), i);
        snprintf(text, sizeof text, "model.layers.%d.mlp.experts.%d.up_pro", i / 256, i % 256);
        assert_int_equal(names_find(&names, text), -1);
    }
    names_release(&names);
    assert_int_equal(names_find(&names, "model.norm.weight"), -1);
    arena_release(&arena);
}

static void a_text_is_added_once(void **state)
{
    (void)state;
    struct names names = {0};
    assert_true(names_add(&names, "q"));
    assert_true(names_add(&names, ""));
    assert_false(names_add(&names, "q"));
    assert_int_equal(names.n, 2);
    assert_int_equal(names_find(&names, "q"), 0);
    assert_int_equal(names_find(&names, ""), 1);
    names_release(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_found_and_no_others),
        cmocka_unit_test(a_text_is_added_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
