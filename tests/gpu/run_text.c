/* tests/gpu/run_text.c - all that a run left in metrics.jsonl and run.db and that does not depend on the clock, every sampled
 * token and log-probability among it, as text: run_text RUN | sha256sum
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/rl/run_fixture.h"

int main(int argc, char **argv)
{
    struct strbuf text = STRBUF_INIT;
    if (argc != 2) {
        fprintf(stderr, "usage: run_text RUN\n");
        return 2;
    }
    run_metrics_text(argv[1], &text);
    run_db_text(argv[1], &text);
    fwrite(text.data, 1, text.length, stdout);
    strbuf_release(&text);
    return ferror(stdout) ? 1 : 0;
}
