/* tests/model/end_tokens_test.c - the tokenizer's own end, and how the ends are shown.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/end_tokens.h"

#include "base/log.h"
#include "tests/model/fixture.h"

#define TINY "tests/golden/tiny_tokenizer/tokenizer.json"

static struct tokenizer *tokenizer; /* its eos_token is 0, <|endoftext|> */

static int open_tokenizer(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    return tokenizer_open(&tokenizer, TINY) == ERR_NONE ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

static void check(const char *document, const char *want)
{
    struct model_config c = {.V = 512};
    struct strbuf text = STRBUF_INIT;
    json_t *json = json_loads(document, 0, NULL);
    FIXTURE_ASSERT(end_tokens_parse(&c, json, "config.json", "config.json"));
    end_tokens_add_tokenizer(&c, tokenizer, "MODEL");
    end_tokens_describe(&c, tokenizer, &text);
    assert_string_equal(text.data, want);
    assert_true(str_utf8_prefix(strbuf_view(&text)) == text.length);
    json_decref(json);
    strbuf_release(&text);
}

static void the_tokenizers_end_is_one_of_them(void **state)
{
    (void)state;
    check("{}", "0 <|endoftext|> (from the tokenizer's eos_token)");
    check("{\"eos_token_id\": [4, 0]}", "4 </answer>, 0 <|endoftext|> (from config.json)");
    check("{\"eos_token_id\": 9}", "9 %, 0 <|endoftext|> (from config.json and the tokenizer's eos_token)");
}

/* A byte that is no character, and a long list. */
static void any_token_can_be_shown(void **state)
{
    (void)state;
    check("{\"eos_token_id\": [100, 0]}", "100, 0 <|endoftext|> (from config.json)");
    check("{\"eos_token_id\": [0, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112]}",
          "0 <|endoftext|>, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110 and 2 more (from config.json)");
    struct model_config none = {.V = 512};
    struct strbuf text = STRBUF_INIT;
    end_tokens_describe(&none, NULL, &text);
    assert_non_null(strstr(text.data, "none"));
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tokenizers_end_is_one_of_them),
        cmocka_unit_test(any_token_can_be_shown),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
