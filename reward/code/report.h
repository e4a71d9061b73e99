/* reward/code/report.h - what a run says on its answer pipe: one frame, and in that of a tests' run a report.
 *
 *   frame    4 bytes of length, most significant first, then as many bytes of JSON text, and nothing more
 *   report   {"passed": 3, "failed": 1, "planned": 4, "done": true, "gone": false, "fault": null}   (python/asserts.py)
 *
 * Any bytes may come: the other end is a program whose values are compared.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_REPORT_H
#define REWARD_CODE_REPORT_H

#include "base/arena.h"
#include "base/str.h"

/* The bytes of the one frame; false if there is another number of them. */
bool frame_read(struct str answer, struct str *text);

struct code_report {
    double share;      /* assertions that held, of those planned or more; 0 to 1 */
    bool all;          /* some held and none failed */
    bool done;         /* the tests came to their end */
    bool gone;         /* the program left before that */
    const char *fault; /* of the tests themselves, in the arena; NULL: none */
};

/* False if the answer is no report. */
bool code_report_read(struct code_report *report, struct str answer, struct arena *arena);

#endif
