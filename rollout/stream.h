/* rollout/stream.h - text that grows token by token, shown as it becomes certain.
 *
 * Bytes go in as tokens decode to them; whole UTF-8 characters come out. Held back are a character that is not complete yet
 * and what may be the beginning of a stop string. Bytes that cannot be UTF-8 come out as U+FFFD, one each.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_STREAM_H
#define ROLLOUT_STREAM_H

#include "rollout/stop.h"

struct stream {
    struct strbuf pending, piece;
};

#define STREAM_INIT                                                                                                    \
    {                                                                                                                  \
        STRBUF_INIT, STRBUF_INIT                                                                                       \
    }

/* Takes bytes; returns what can be shown now, perhaps nothing; valid until the next call. A stop string and all behind it in
 * these bytes is left out, and the caller gives no more. */
struct str stream_push(struct stream *stream, const struct stop *stop, struct str bytes);
/* The rest; the stream is then empty and can be used again. */
struct str stream_end(struct stream *stream);
void stream_release(struct stream *stream);

#endif
