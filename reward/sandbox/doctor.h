/* reward/sandbox/doctor.h - what of the sandbox works on this machine, layer by layer, by trying it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_DOCTOR_H
#define REWARD_SANDBOX_DOCTOR_H

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
    const char *mend;  /* what to do about it, where `text` does not say; static; "" */
};

#define SANDBOX_FINDINGS 10

/* Tries everything, in about a second, and fills the findings; how many. Any thread. */
int sandbox_doctor(struct doctor_finding findings[SANDBOX_FINDINGS]);

#endif
