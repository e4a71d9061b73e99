/* base/banned.h - functions that this project does not use; included on the command line of every compilation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok atoi atol atof rand srand gmtime localtime gets tmpnam

#endif
