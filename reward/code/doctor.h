/* reward/code/doctor.h - what running programs needs from this machine, layer by layer, by trying it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_DOCTOR_H
#define REWARD_CODE_DOCTOR_H

#include "base/err.h"

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_WARN, /* works, but weaker or slower; or is only needed for some programs */
    DOCTOR_FAIL, /* the code reward cannot be used as it is */
};

struct doctor_finding {
    enum doctor_level level;
    const char *layer; /* "namespaces", "python" ...; static */
    char text[480];    /* what was found */
    const char *mend;  /* what to do about it, where `text` does not say it; static; "": nothing */
};

#define DOCTOR_FINDINGS 10

/* Tries everything, in about a second, fills the findings and returns their number. Any thread. */
int code_doctor(struct doctor_finding findings[DOCTOR_FINDINGS]);

#endif
