/* tests/fuzz/answer_fuzz.c - any bytes as a completion, under every set of options: what is found lies in the completion.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "reward/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str whole)
{
    BUG_ON(part.length == 0 || part.data < whole.data || part.data + part.length > whole.data + whole.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    for (unsigned m = 0; m < 128; m++) {
        struct answer_options options = {.answer_tags = m & 1,
                                         .hashes = m & 2,
                                         .phrases = m & 4,
                                         .bare = m & 8,
                                         .last_number = m & 16,
                                         .lenient = m & 32,
                                         .prefilled = m & 64};
        struct answer answer;
        if (answer_find(text, &options, &answer)) {
            continue;
        }
        BUG_ON(!answer.path || answer.n_boxes < 0 || answer.n_boxes > ANSWER_MAX_BOXES);
        inside(answer.text, text);
        for (int i = 0; i < answer.n_boxes; i++) {
            inside(answer.boxes[i], text);
        }
    }
    return 0;
}
