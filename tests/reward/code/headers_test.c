/* tests/reward/code/headers_test.c - which programs may be compiled behind precompiled headers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "reward/code/headers.h"

static void check(const char *source, const char *want)
{
    struct header_names names;
    struct strbuf text = STRBUF_INIT;
    if (headers_scan(str_of(source), &names)) {
        headers_text(&names, &text);
    }
    assert_string_equal(text.data ? text.data : "", want);
    strbuf_release(&text);
}

static void leading_includes_are_found(void **state)
{
    (void)state;
    check("#include <vector>\n#include <map>\nint main() {}", "#include <map>\n#include <vector>\n");
    check("// hello\n/* a\n b */\n  # include<iostream>\n\nusing namespace std;", "#include <iostream>\n");
    check("#include <bits/stdc++.h>\n#include <vector>\n", "#include <bits/stdc++.h>\n");
}

/* What stands before an include may change its meaning; nothing after such a thing may be moved in front of it. */
static void nothing_is_moved_over_what_matters(void **state)
{
    (void)state;
    check("#define NDEBUG\n#include <vector>\n", "");
    check("#pragma GCC optimize(\"O3\")\n#include <bits/stdc++.h>\n", "");
    check("#include <vector>\n#define X\n#include <map>\n", "#include <vector>\n");
    check("#include <unistd.h>\n#include <map>\n", "");
    check("#include <cassert>\n#include <map>\n", "");
    check("#include \"vector\"\n", "");
    check("#include <vector\n>\n", "");
    check("// a comment that goes on \\\n#include <vector>\n", "");
    check("/* open\n#include <vector>\n", "");
    check("", "");
    check("#", "");
    check("#include", "");
}

static void the_order_does_not_matter(void **state)
{
    (void)state;
    struct header_names a, b;
    assert_true(headers_scan(STR("#include <map>\n#include <vector>\n"), &a));
    assert_true(headers_scan(STR("#include <vector>\n#include <map>\n#include <map>"), &b));
    assert_int_equal(headers_key(&a), headers_key(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(leading_includes_are_found),
                                       cmocka_unit_test(nothing_is_moved_over_what_matters),
                                       cmocka_unit_test(the_order_does_not_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
