/* reward/code/headers.h - which standard headers does a C++ program include before anything else?
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_HEADERS_H
#define REWARD_CODE_HEADERS_H

#include "base/str.h"

/* A set: bit i is the i-th name of the list in headers.c. */
struct header_names {
    uint64_t has[2];
    bool everything; /* <bits/stdc++.h>: then nothing else counts */
};

/* False if the text does not start with includes of standard headers (comments and blank lines aside). */
bool headers_scan(struct str source, struct header_names *names);
uint64_t headers_key(const struct header_names *names);
/* The set as a header file. */
void headers_text(const struct header_names *names, struct strbuf *out);

#endif
