/* rollout/stream.h - text that grows token by token, shown as it becomes certain.
 *
 * Tokens go in; whole UTF-8 characters come out (model/tokenizer.h, token_stream). What may be the beginning of a stop
 * string is held back until it is known not to be one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_STREAM_H
#define ROLLOUT_STREAM_H

#include "model/tokenizer.h"
#include "rollout/stop.h"

struct stream {
    struct token_stream characters;
    struct strbuf pending, piece;
};

/* What can be shown after one more token, perhaps nothing; valid until the next call. A stop string and all after it is
 * left out, and the caller gives no more tokens. */
struct str stream_push(struct stream *stream, const struct stop *stop, const struct tokenizer *tokenizer,
                       int32_t token);
/* The rest, up to a stop string; the stream is then empty and can be used again. */
struct str stream_end(struct stream *stream, const struct stop *stop);
void stream_release(struct stream *stream);

#endif
