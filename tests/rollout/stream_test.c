/* tests/rollout/stream_test.c - however the bytes are cut, what is shown is the same, whole, and never taken back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/rng.h"
#include "rollout/stream.h"

static void stop_open(struct stop *stop, const char *const *strings, int n)
{
    struct rollout_options options = {.stop = strings, .n_stop = n};
    struct model_config config = {0};
    assert_int_equal(stop_init(stop, &options, &config), ERR_NONE);
}

/* Pushes `text` in random pieces of 1 to `longest` bytes until it stops; every piece shown is valid UTF-8. */
static void push_all(struct stream *stream, const struct stop *stop, struct str text, uint32_t longest, struct rng *rng,
                     struct strbuf *out)
{
    strbuf_clear(out);
    for (size_t at = 0; at < text.length;) {
        size_t n = 1 + rng_below(rng, longest);
        struct str piece = stream_push(stream, stop, str_slice(text, at, at + n));
        assert_int_equal(str_utf8_prefix(piece), piece.length);
        strbuf_add_str(out, piece);
        at += n;
        if (stop_find(stop, str_slice(text, 0, at)) >= 0) {
            break;
        }
    }
    struct str rest = stream_end(stream);
    assert_int_equal(str_utf8_prefix(rest), rest.length);
    strbuf_add_str(out, rest);
}

static void cuts_do_not_show(void **state)
{
    (void)state;
    static const char *const strings[] = {"</a>", "\xC3\xA9!", "END"};
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"caf\xC3\xA9 \xF0\x9F\x98\x80 \xE2\x82\xAC", "caf\xC3\xA9 \xF0\x9F\x98\x80 \xE2\x82\xAC"},
        {"a</a>b", "a"},
        {"a</ab</a", "a</ab</a"},
        {"x\xC3\xA9!y", "x"},
        {"EEND", "E"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xC3(\xFF\xE2\x82", "\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xED\xA0\x80z", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"},
        {"\xE0\x80"
         "END",
         "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"END", ""},
    };
    struct stop stop;
    struct stream stream = STREAM_INIT;
    struct strbuf out = STRBUF_INIT;
    struct rng rng = rng_stream(4, 4);
    stop_open(&stop, strings, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int round = 0; round < 50; round++) {
            push_all(&stream, &stop, str_of(cases[i].text), 1 + (uint32_t)round % 5, &rng, &out);
            assert_int_equal(out.length, strlen(cases[i].want));
            assert_memory_equal(out.data ? out.data : "", cases[i].want, out.length);
        }
    }
    strbuf_release(&out);
    stream_release(&stream);
    stop_release(&stop);
}

/* Any bytes: what is shown is what the whole text, cut at its stop string, reads as. */
static void random_bytes_agree_with_the_whole(void **state)
{
    (void)state;
    static const char *const strings[] = {"ab", "b\x80"};
    static const char alphabet[] = "ab\x80\xA9\xC3\xE2\x82\xF0\x9F\xED";
    struct stop stop;
    struct stream stream = STREAM_INIT;
    struct strbuf out = STRBUF_INIT, want = STRBUF_INIT;
    struct rng rng = rng_stream(4, 5);
    stop_open(&stop, strings, 2);
    for (int round = 0; round < 20000; round++) {
        char bytes[12];
        size_t n = rng_below(&rng, sizeof bytes), length;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = alphabet[rng_below(&rng, sizeof alphabet - 1)];
        }
        struct str text = {bytes, n};
        push_all(&stream, &stop, text, 4, &rng, &out);
        ptrdiff_t end = stop_find(&stop, text);
        text = str_slice(text, 0, end >= 0 ? (size_t)end : n);
        strbuf_clear(&want);
        for (size_t at = 0; at < text.length; at += length) {
            strbuf_put_utf8(&want, str_utf8_next(text, at, &length));
        }
        assert_true(str_equal(strbuf_view(&want), strbuf_view(&out)));
    }
    strbuf_release(&out);
    strbuf_release(&want);
    stream_release(&stream);
    stop_release(&stop);
}

static void what_may_be_a_stop_string_is_held(void **state)
{
    (void)state;
    static const char *const strings[] = {"STOP"};
    struct stop stop;
    struct stream stream = STREAM_INIT;
    stop_open(&stop, strings, 1);
    assert_true(str_equal(stream_push(&stream, &stop, STR("aST")), STR("a")));
    assert_true(str_equal(stream_push(&stream, &stop, STR("O")), STR("")));
    assert_true(str_equal(stream_push(&stream, &stop, STR("x\xC3")), STR("STOx")));
    assert_true(str_equal(stream_push(&stream, &stop, STR("\xA9")), STR("\xC3\xA9")));
    assert_true(str_equal(stream_end(&stream), STR("")));
    stream_release(&stream);
    stop_release(&stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_do_not_show),
        cmocka_unit_test(random_bytes_agree_with_the_whole),
        cmocka_unit_test(what_may_be_a_stop_string_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
