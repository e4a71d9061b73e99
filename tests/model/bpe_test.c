/* tests/model/bpe_test.c - the heap against the definition, merge by merge, on random vocabularies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/bpe.h"

enum { MOST_MERGES = 24, MOST_LENGTH = 40 };

struct rule {
    int32_t left, right, joined;
};

struct sample {
    struct bpe bpe;
    struct rule rules[MOST_MERGES];
    int n_rules;
    struct arena arena;
    struct str texts[3 + MOST_MERGES];
};

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Tokens a, b, c and pairs of any tokens before them, each text once. */
static void sample_make(struct sample *s)
{
    static char letters[] = "abc";
    text_table_reserve(&s->bpe.vocab, 3 + MOST_MERGES);
    bpe_reserve_merges(&s->bpe, MOST_MERGES);
    for (int i = 0; i < 3; i++) {
        s->texts[i] = (struct str){&letters[i], 1};
        text_table_add(&s->bpe.vocab, s->texts[i], i);
    }
    for (int tries = 0; tries < MOST_MERGES; tries++) {
        int32_t l = (int32_t)random_below((uint32_t)(3 + s->n_rules)), id = 3 + s->n_rules;
        int32_t r = (int32_t)random_below((uint32_t)(3 + s->n_rules));
        struct str a = s->texts[l], b = s->texts[r];
        char *both = arena_printf(&s->arena, "%.*s%.*s", (int)a.length, a.data, (int)b.length, b.data);
        if (strlen(both) > 12 || text_table_find(&s->bpe.vocab, str_of(both)) >= 0) {
            continue;
        }
        s->texts[id] = str_of(both);
        text_table_add(&s->bpe.vocab, s->texts[id], id);
        assert_true(bpe_add_merge(&s->bpe, a, b, s->n_rules));
        s->rules[s->n_rules++] = (struct rule){l, r, id};
    }
    bpe_index_bytes(&s->bpe);
}

static void sample_release(struct sample *s)
{
    bpe_release(&s->bpe);
    arena_release(&s->arena);
}

/* The definition: the lowest rule that applies anywhere, at its leftmost place, again and again. */
static int encode_slowly(const struct sample *s, struct str piece, int32_t *ids)
{
    int n = 0;
    for (size_t i = 0; i < piece.length; i++) {
        ids[n++] = piece.data[i] - 'a';
    }
    for (bool found = true; found;) {
        found = false;
        for (int rule = 0; rule < s->n_rules && !found; rule++) {
            for (int i = 0; i + 1 < n && !found; i++) {
                if (ids[i] == s->rules[rule].left && ids[i + 1] == s->rules[rule].right) {
                    ids[i] = s->rules[rule].joined;
                    memmove(ids + i + 1, ids + i + 2, (size_t)(n - i - 2) * sizeof *ids);
                    n--;
                    found = true;
                }
            }
        }
    }
    return n;
}

static void heap_is_the_definition(void **state)
{
    (void)state;
    random_state = 5;
    struct bpe_work work = {0};
    for (int k = 0; k < 3000; k++) {
        struct sample s = {0};
        sample_make(&s);
        char text[MOST_LENGTH];
        size_t length = 1 + random_below(MOST_LENGTH);
        for (size_t i = 0; i < length; i++) {
            text[i] = (char)('a' + random_below(k % 2 ? 3 : 2));
        }
        int32_t want[MOST_LENGTH];
        int n = encode_slowly(&s, (struct str){text, length}, want);
        work.n_tokens = 0;
        bpe_encode(&s.bpe, (struct str){text, length}, &work);
        if ((int)work.n_tokens != n || memcmp(work.tokens, want, (size_t)n * sizeof *want) != 0) {
            fail_msg("sample %d: '%.*s' differs", k, (int)length, text);
        }
        sample_release(&s);
    }
    bpe_work_release(&work);
}

static void whole_pieces_and_missing_bytes(void **state)
{
    (void)state;
    struct bpe bpe = {0};
    struct bpe_work work = {0};
    text_table_reserve(&bpe.vocab, 4);
    bpe_reserve_merges(&bpe, 1);
    text_table_add(&bpe.vocab, STR("a"), 0);
    text_table_add(&bpe.vocab, STR("b"), 1);
    text_table_add(&bpe.vocab, STR("aab"), 2); /* no merge makes it */
    text_table_add(&bpe.vocab, STR("a"), 3);   /* comes twice */
    assert_int_equal(text_table_find(&bpe.vocab, STR("a")), 0);
    assert_false(bpe_add_merge(&bpe, STR("a"), STR("b"), 0));
    bpe_index_bytes(&bpe);
    bpe_encode(&bpe, STR("aab"), &work);
    assert_int_equal(work.n_tokens, 3);
    bpe.ignore_merges = true;
    bpe_encode(&bpe, STR("aab"), &work);
    assert_int_equal(work.n_tokens, 4);
    assert_int_equal(work.tokens[3], 2);
    bpe_encode(&bpe, STR("xay"), &work); /* bytes without a token are left out */
    bpe_encode(&bpe, STR("x"), &work);
    assert_int_equal(work.n_tokens, 5);
    assert_int_equal(work.tokens[4], 0);
    bpe_work_release(&work);
    bpe_release(&bpe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_is_the_definition),
        cmocka_unit_test(whole_pieces_and_missing_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
