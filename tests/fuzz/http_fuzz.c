/* tests/fuzz/http_fuzz.c - any bytes as what a server answers, in each form, and as what it is told.
 *
 * An answer is understood or wrong with a reason; a request is JSON whatever is judged.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "reward/http/form.h"
#include "reward/http/fusion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS = 2 };

static void check(const struct verdict *v)
{
    BUG_ON(!v->reason || !v->reason[0]);
    BUG_ON(v->kind == VERDICT_OK && !isfinite(v->score));
}

static void read_native(struct str body, int n, struct arena *arena)
{
    struct verdict verdicts[ITEMS] = {0};
    bool retryable = false;
    const char *wrong = http_form_read_native(body, 1, n, verdicts, &retryable, arena);
    BUG_ON(wrong && !wrong[0]);
    for (int i = 0; i < n; i++) {
        BUG_ON(wrong && verdicts[i].reason);
        if (!wrong) {
            check(&verdicts[i]);
        }
    }
}

static void read_openrlhf(struct str body, int n, struct arena *arena)
{
    struct verdict verdicts[ITEMS] = {0};
    const char *wrong = http_form_read_openrlhf(body, n, verdicts, arena);
    BUG_ON(wrong && !wrong[0]);
    for (int i = 0; !wrong && i < n; i++) {
        check(&verdicts[i]);
    }
}

/* One fuzzed answer after each other to the tests of a program. */
static void read_fusion(struct str body, const json_t *row, struct arena *arena)
{
    struct http_fusion fusion;
    struct verdict verdict = {0};
    struct reward_item item = {.completion = STR("```cpp\nx\n```"), .fields = row};
    BUG_ON(!http_fusion_begin(&fusion, &item, arena, &verdict));
    enum http_fusion_said said = FUSION_MORE;
    for (int i = 0; said == FUSION_MORE; i++) {
        BUG_ON(i == fusion.tests.n);
        said = http_fusion_read(&fusion, body, arena, &verdict);
    }
    check(&verdict);
    BUG_ON(said == FUSION_FAILED && verdict.kind != VERDICT_ERROR);
}

static void check_request(struct strbuf *body)
{
    json_t *document = json_loadb(body->data, body->length, JSON_ALLOW_NUL, NULL);
    BUG_ON(!json_is_object(document));
    json_decref(document);
    strbuf_clear(body);
}

static void ask_all(struct str text, const json_t *row, struct arena *arena)
{
    struct strbuf body = STRBUF_INIT;
    struct reward_item items[ITEMS] = {{.prompt = text, .completion = text, .fields = row},
                                       {.completion = text, .fields = row}};
    http_form_ask_native(&body, 1, items, ITEMS, "", 1);
    check_request(&body);
    http_form_ask_openrlhf(&body, items, ITEMS, "");
    check_request(&body);
    struct http_fusion fusion;
    struct verdict verdict = {0};
    if (http_fusion_begin(&fusion, &items[0], arena, &verdict)) {
        http_fusion_ask(&body, &fusion, 1);
        check_request(&body);
    } else {
        check(&verdict);
    }
    strbuf_release(&body);
}

/* Near what is right: the bytes in the place of what a form leaves open. */
static void read_within(const char *before, struct str text, const char *after, const json_t *row, struct arena *arena)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_puts(&body, before);
    strbuf_add_str(&body, text);
    strbuf_puts(&body, after);
    read_native(strbuf_view(&body), 1, arena);
    read_openrlhf(strbuf_view(&body), 1, arena);
    read_fusion(strbuf_view(&body), row, arena);
    strbuf_release(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena arena;
    struct str text = {(const char *)data, size};
    json_t *row = json_pack("{s:[s,s],s:[s,s],s:i}", "inputs", "1", "2", "outputs", "1", "2", "answer", 1);
    for (int n = 1; n <= ITEMS; n++) {
        read_native(text, n, &arena);
        read_openrlhf(text, n, &arena);
    }
    read_fusion(text, row, &arena);
    read_within("{\"results\": [{\"id\": \"1:0\", ", text, "}]}", row, &arena);
    read_within("{\"rewards\": [", text, "]}", row, &arena);
    read_within("{\"status\": \"Success\", \"run_result\": {", text, "}}", row, &arena);
    read_within("{\"status\": \"Failed\", \"compile_result\": ", text, "}", row, &arena);
    ask_all(text, row, &arena);
    arena_reset(&arena);
    json_decref(row);
    return 0;
}
