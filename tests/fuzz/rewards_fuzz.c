/* tests/fuzz/rewards_fuzz.c - any bytes as a completion, and as a reference, for every kind of reward.
 *
 * The first byte says how many of the next are the reference; the rest is the completion. A verdict must come, be finite,
 * and be the same when asked again. Kinds that run programs find no field that asks for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "reward/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More than the bare names: options that change the way through the code, or must be given. */
static const char *const specs[] = {
    "format:mode=graded,prefilled",
    "think_format:mode=trl",
    "gsm8k:answer_tags,prefilled",
    "gsm8k:last_number,label=g2",
    "math:fallback",
    "choice:fallback",
    "countdown:allow_equals",
    "exact:ignore_case,white_space=collapse",
    "exact:part=thinking,white_space=remove,label=e2",
    "length:unit=words,target=5",
    "length:unit=characters,least=3,most=9",
    "soft_overlong:soft_punish_cache=5",
    "cosine_length:correct=exact,unit=characters,max_len=50",
    "repetition:ngram_size=2,unit=characters",
    "language:part=all,language=ja,unit=letters",
    "language:field=lang",
    "reasoning_steps:every_line",
};
#define N_SPECS    (sizeof specs / sizeof *specs)
#define MOST_KINDS 64

static const char ifeval_ids[] =
    "[\"keywords:existence\", \"keywords:frequency\", \"keywords:forbidden_words\", \"keywords:letter_frequency\","
    "\"language:response_language\", \"length_constraints:number_sentences\","
    "\"length_constraints:number_paragraphs\", \"length_constraints:number_words\","
    "\"length_constraints:nth_paragraph_first_word\", \"detectable_content:number_placeholders\","
    "\"detectable_content:postscript\", \"detectable_format:number_bullet_lists\","
    "\"detectable_format:constrained_response\", \"detectable_format:number_highlighted_sections\","
    "\"detectable_format:multiple_sections\", \"detectable_format:json_format\", \"detectable_format:json_object\","
    "\"detectable_format:title\", \"combination:two_responses\", \"combination:repeat_prompt\","
    "\"startend:start_checker\", \"startend:end_checker\", \"startend:sentence_end\", \"startend:quotation\","
    "\"change_case:capital_word_frequency\", \"change_case:english_capital\", \"change_case:english_lowercase\","
    "\"punctuation:no_comma\"]";

static const char *const number_args[] = {"frequency",      "let_frequency", "num_sentences",    "num_paragraphs",
                                          "num_words",      "nth_paragraph", "num_placeholders", "num_bullets",
                                          "num_highlights", "num_sections",  "capital_frequency"};
static const char *const text_args[] = {"keyword",          "first_word", "postscript_marker", "section_spliter",
                                        "prompt_to_repeat", "starter",    "end_phrase",        "sentence_end"};

/* A row with what the rewards read; `reference` wherever a text is asked for. */
static json_t *make_fields(struct str reference)
{
    json_t *text = json_stringn(reference.data ? reference.data : "", reference.length);
    text = text ? text : json_string("4");
    json_t *args = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[O],s:[O]}", "relation", "at least", "let_relation", "less than",
                             "capital_relation", "exactly", "letter", "e", "language", "zh", "keywords", text,
                             "forbidden_words", text);
    for (size_t i = 0; i < sizeof number_args / sizeof *number_args; i++) {
        json_object_set_new(args, number_args[i], json_integer(2));
    }
    for (size_t i = 0; i < sizeof text_args / sizeof *text_args; i++) {
        json_object_set(args, text_args[i], text);
    }
    json_t *ids = json_loads(ifeval_ids, 0, NULL), *kwargs = json_array();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_array_append(kwargs, args);
    }
    json_decref(args);
    return json_pack("{s:o,s:[i,i,i],s:i,s:s,s:o,s:o}", "answer", text, "nums", 3, 4, 2, "target", 24, "lang", "ru",
                     "instruction_id_list", ids, "kwargs", kwargs);
}

static void judge(const struct reward_part *part, struct str completion, const json_t *fields)
{
    struct arena arena = ARENA_INIT;
    struct reward_call call = {.arena = &arena, .deadline = clock_seconds() + 5};
    struct reward_item item = {.completion = completion, .fields = fields, .n_tokens = 7, .max_tokens = 9};
    struct verdict a = reward_part_judge(part, &item, &call), b = reward_part_judge(part, &item, &call);
    BUG_ON(a.kind != b.kind || (a.kind == VERDICT_OK && (a.score != b.score || !isfinite(a.score))));
    BUG_ON(!a.reason || strcmp(a.reason, b.reason) != 0 || !str_equal(a.extracted, b.extracted));
    arena_release(&arena);
}

/* All specs, and all kinds that need no options. */
static size_t open_parts(struct reward_part *parts)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SPECS; i++) {
        BUG_ON(reward_part_open(&parts[n++], specs[i]) != ERR_NONE);
    }
    for (int i = 0; reward_kinds[i]; i++) {
        BUG_ON(i == MOST_KINDS);
        n += reward_part_open(&parts[n], reward_kinds[i]->name) == ERR_NONE;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reward_part parts[N_SPECS + MOST_KINDS];
    static size_t n_parts;
    if (n_parts == 0) {
        n_parts = open_parts(parts);
    }
    struct str text = {(const char *)data, size};
    size_t length = size ? data[0] : 0;
    json_t *fields = make_fields(str_slice(text, 1, 1 + length)), *none = json_object();
    for (size_t i = 0; i < n_parts; i++) {
        judge(&parts[i], str_slice(text, 1 + length, size), fields);
        judge(&parts[i], str_slice(text, 1 + length, size), none);
    }
    json_decref(fields);
    json_decref(none);
    return 0;
}
