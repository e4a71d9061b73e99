/* reward/http/fusion.h - programs judged on a SandboxFusion server: one request to /run_code per test.
 *
 *   > {"code": .., "language": "python" or "cpp", "stdin": .., "run_timeout": 8, "compile_timeout": 8,
 *      "memory_limit_MB": 1024}
 *   < {"status": "Success", "message": "", "compile_result": null, "run_result": {"status": "Finished",
 *      "return_code": 0, "stdout": "..", ..}}
 *
 * The program is the completion's last code block, the tests are the row's (reward/code/tests.h), of the kind that
 * gives input and compares output; the output is compared here, so the expected one never leaves. A program that fails
 * a test, of whatever cause, earns 0, and the rest of its tests is not run. Tests of functions and assertions are not
 * sent: they would have to run in the program's own process, where it can forge their outcome; the reward `code` judges
 * them. C goes as C++, as the server has no C.
 * The status "SandboxError" is the server's fault, never the program's.
 *
 * Source: SandboxFusion, sandbox/server/sandbox_api.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_HTTP_FUSION_H
#define REWARD_HTTP_FUSION_H

#include "reward/code/tests.h"
#include "reward/reward.h"

/* One completion and how far it is through its tests. */
struct http_fusion {
    struct code_tests tests;
    enum code_language language;
    struct str program; /* in the item or the arena */
    int test;           /* the present one */
};

enum http_fusion_said {
    FUSION_MORE,   /* passed; the next test follows */
    FUSION_JUDGED, /* *verdict is set */
    FUSION_FAILED, /* the server could not run it; *verdict is the error */
};

/* NULL, or why a row cannot be judged so. */
const char *http_fusion_check(const json_t *row, struct arena *arena);
/* False: nothing is to be run, and *verdict is set. Views go into the item and the arena. */
bool http_fusion_begin(struct http_fusion *fusion, const struct reward_item *item, struct arena *arena,
                       struct verdict *verdict);
void http_fusion_ask(struct strbuf *out, const struct http_fusion *fusion, double seconds);
/* Reads an answer (any bytes). */
enum http_fusion_said http_fusion_read(struct http_fusion *fusion, struct str body, struct arena *arena,
                                       struct verdict *verdict);

#endif
