/* tests/rollout/stream_test.c - what is shown is whole, certain, and never taken back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rollout/fixture.h"

#include "rollout/request.h"
#include "rollout/stream.h"

static struct arena arena; /* of every struct stop */

static int open_tokenizer(void **state)
{
    *state = fixture_tokenizer();
    return 0;
}

static int close_tokenizer(void **state)
{
    tokenizer_free(*state);
    arena_release(&arena);
    return 0;
}

static struct stop stop_of(struct tokenizer *tokenizer, const char *const *strings, int n)
{
    struct stop stop;
    struct engine_request request = {.stop = strings, .n_stop = n};
    struct model model = {.tokenizer = tokenizer};
    FIXTURE_ASSERT(stop_check(&request, &model));
    stop_init(&stop, &request, &model, &arena);
    return stop;
}

/* Pushes the bytes of `text` one by one until it stops; every piece shown is valid UTF-8. */
static void push_all(struct stream *stream, const struct stop *stop, const struct tokenizer *tokenizer, struct str text,
                     struct strbuf *out)
{
    strbuf_clear(out);
    for (size_t i = 0; i < text.length; i++) {
        struct str piece = stream_push(stream, stop, tokenizer, (unsigned char)text.data[i]);
        assert_int_equal(str_utf8_prefix(piece), piece.length);
        strbuf_add_str(out, piece);
        if (stop_find(stop, str_slice(text, 0, i + 1)) >= 0) {
            break;
        }
    }
    struct str rest = stream_end(stream, stop);
    assert_int_equal(str_utf8_prefix(rest), rest.length);
    strbuf_add_str(out, rest);
}

static void stop_strings_are_not_shown(void **state)
{
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
        {"END", ""},
        {"", ""},
    };
    struct stop stop = stop_of(*state, strings, 3);
    struct stream stream = {0};
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        push_all(&stream, &stop, *state, str_of(cases[i].text), &out);
        assert_string_equal(out.data ? out.data : "", cases[i].want);
    }
    strbuf_release(&out);
    stream_release(&stream);
}

/* Any valid text: what is shown is the text up to its first stop string. */
static void random_text_is_shown_up_to_the_stop(void **state)
{
    static const char *const strings[] = {"ab\xC3\xA9", "ba", "\xE2\x82\xAC\xE2\x82\xAC"};
    static const char *const alphabet[] = {"a", "b", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    struct stop stop = stop_of(*state, strings, 3);
    struct stream stream = {0};
    struct strbuf out = STRBUF_INIT, text = STRBUF_INIT;
    struct rng rng = rng_stream(4, 5);
    for (int round = 0; round < 5000; round++) {
        strbuf_clear(&text);
        strbuf_puts(&text, "");
        for (uint32_t n = rng_below(&rng, 12); n > 0; n--) {
            strbuf_puts(&text, alphabet[rng_below(&rng, 5)]);
        }
        push_all(&stream, &stop, *state, strbuf_view(&text), &out);
        ptrdiff_t end = stop_find(&stop, strbuf_view(&text));
        assert_true(
            str_equal(str_slice(strbuf_view(&text), 0, end >= 0 ? (size_t)end : text.length), strbuf_view(&out)));
    }
    strbuf_release(&out);
    strbuf_release(&text);
    stream_release(&stream);
}

static void what_may_be_a_stop_string_is_held(void **state)
{
    static const char *const strings[] = {"STOP"};
    static const struct {
        int32_t token;
        const char *shown;
    } steps[] = {{'a', "a"}, {'S', ""},          {'T', ""}, {'O', ""},          {'x', "STOx"},
                 {0xC3, ""}, {0xA9, "\xC3\xA9"}, {'S', ""}, {FIXTURE_AB, "Sab"}};
    struct stop stop = stop_of(*state, strings, 1);
    struct stream stream = {0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_true(str_equal(stream_push(&stream, &stop, *state, steps[i].token), str_of(steps[i].shown)));
    }
    assert_int_equal(stream_end(&stream, &stop).length, 0);
    stream_release(&stream);
}

/* As in a completion's text. What was held before it can be no character any more. */
static void special_tokens_are_shown(void **state)
{
    static const char *const strings[] = {"STOP"};
    struct stop stop = stop_of(*state, strings, 1);
    struct stream stream = {0};
    struct strbuf want = STRBUF_INIT;
    const int32_t special = FIXTURE_SPECIAL;
    assert_int_equal(stream_push(&stream, &stop, *state, 0xC3).length, 0);
    strbuf_puts(&want, "\xEF\xBF\xBD");
    tokenizer_decode(*state, &special, 1, false, &want);
    assert_true(want.length > 3);
    assert_true(str_equal(stream_push(&stream, &stop, *state, special), strbuf_view(&want)));
    assert_int_equal(stream_end(&stream, &stop).length, 0);
    strbuf_release(&want);
    stream_release(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_strings_are_not_shown),
        cmocka_unit_test(random_text_is_shown_up_to_the_stop),
        cmocka_unit_test(what_may_be_a_stop_string_is_held),
        cmocka_unit_test(special_tokens_are_shown),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
