/* reward/sandbox/host.h - what the sandbox uses of this machine: an interpreter, compilers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_SANDBOX_HOST_H
#define REWARD_SANDBOX_HOST_H

#include "reward/sandbox/wire.h"

/* Fills python, stdlib and dynload of the setup with the first Python 3.9 or newer among: `wanted` (only it, if given),
 * /usr/bin/python3, /usr/local/bin/python3, python3 in PATH. Links and start scripts are resolved to the executable.
 * False with a sentence. */
bool host_find_python(const char *wanted, struct wire_setup *setup, char text[WIRE_TEXT]);

/* "/usr/bin/gcc", "/usr/bin/g++"; NULL if it is not there. */
const char *host_compiler(bool cpp);

#endif
