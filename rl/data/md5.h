/* rl/data/md5.h - the MD5 digest (RFC 1321), for choices that must agree with other programs; it protects nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_DATA_MD5_H
#define RL_DATA_MD5_H

#include <stdint.h>

#include "base/str.h"

void md5(uint8_t digest[16], struct str text);

#endif
