/* tests/fuzz/frame_fuzz.c - any bytes as what comes out of the sandbox: an answer's frame, a report of tests, a slot's reply.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "reward/code/report.h"
#include "reward/plain.h"
#include "reward/sandbox/wire.h"

enum { OUTPUT_BYTES = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_report(struct str answer, struct arena *arena)
{
    struct code_report report;
    if (code_report_read(&report, answer, arena)) {
        BUG_ON(!(report.share >= 0 && report.share <= 1));
        BUG_ON(report.all && report.share == 0);
        BUG_ON(report.fault && strlen(report.fault) > answer.length * 2);
    }
}

static void read_value(struct str answer, struct arena *arena)
{
    struct str text;
    if (!frame_read(answer, &text)) {
        return;
    }
    BUG_ON(text.data != answer.data + 4 || text.length != answer.length - 4);
    const struct plain *value = plain_parse(text, arena), *want = plain_parse(STR("[1, \"a\", {\"b\": 2.5}]"), arena);
    if (value) {
        BUG_ON(plain_equal(value, want, 0, 0) != plain_equal(want, value, 0, 0));
    }
}

/* The bytes as they are, and as a frame of the right length. */
static void read_frames(struct str text, struct arena *arena)
{
    read_report(text, arena);
    read_value(text, arena);
    char *framed = arena_alloc(arena, text.length + 4);
    for (int i = 0; i < 4; i++) {
        framed[i] = (char)(text.length >> (24 - 8 * i));
    }
    if (text.length) {
        memcpy(framed + 4, text.data, text.length);
    }
    read_report((struct str){framed, text.length + 4}, arena);
    read_value((struct str){framed, text.length + 4}, arena);
}

/* A slot that says anything: `head` before what follows it. */
static void read_reply(const struct wire_reply *head, struct str rest)
{
    int pair[2];
    struct wire_reply reply;
    struct sandbox_result result;
    BUG_ON(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0);
    fcntl(pair[0], F_SETFL, O_NONBLOCK); /* what does not fit is lost, as if it had died */
    if (head) {
        wire_send(pair[0], head, sizeof *head, NULL, 0);
    }
    if (rest.length) {
        (void)!send(pair[0], rest.data, rest.length, MSG_NOSIGNAL);
    }
    close(pair[0]);
    if (wire_receive_result(pair[1], OUTPUT_BYTES, &reply, &result)) {
        BUG_ON(result.out.length > OUTPUT_BYTES || result.answer.length > OUTPUT_BYTES + WIRE_ANSWER_MORE);
        BUG_ON(result.err.length > SANDBOX_STDERR || result.kept != -1);
        BUG_ON(!isfinite(result.wall_s) || strlen(reply.text) >= sizeof reply.text);
    }
    sandbox_result_release(&result);
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct str text = {(const char *)data, size};
    read_frames(text, &arena);
    read_reply(NULL, text);
    struct wire_reply head = {.ok = true};
    uint16_t lengths[3] = {0};
    size_t used = size < sizeof lengths ? size : sizeof lengths;
    memcpy(lengths, data, used);
    head.out_bytes = lengths[0] % (OUTPUT_BYTES + 2);
    head.err_bytes = lengths[1] % (SANDBOX_STDERR + 2);
    head.answer_bytes = lengths[2] % (OUTPUT_BYTES + WIRE_ANSWER_MORE + 2);
    read_reply(&head, str_slice(text, used, size));
    arena_release(&arena);
    return 0;
}
