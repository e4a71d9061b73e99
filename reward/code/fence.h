/* reward/code/fence.h - the fenced code blocks of a text (CommonMark 0.31, section 4.5).
 *
 * A fence is a line of three or more ` or ~ and an info string. Its indentation comes off the block's lines; so do the
 * marks of the block quotes it is in, and leaving the quote ends the block. Three things are read as they are meant
 * rather than as CommonMark reads them: a fence may be indented by any amount, as it is in a list; tags may precede an
 * opening fence or follow a closing one (</answer>, an end token's text).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_FENCE_H
#define REWARD_CODE_FENCE_H

#include "base/arena.h"
#include "base/str.h"

struct fence_block {
    struct str info; /* what follows the opening fence on its line, trimmed; a view of the text */
    struct str code; /* whole lines; a view of the text, or in the arena where something came off */
    bool closed;     /* false: it continues to the end of the text */
};

/* The next block at or after *at, which moves past it; false: there is none. Linear in the text. */
bool fence_next(struct str text, size_t *at, struct arena *arena, struct fence_block *block);

#endif
