/* reward/code/compiler.h - C and C++ to executables, inside the sandbox, once per source.
 *
 * Executables are kept in memory, by the hash of language and source: the tests of one completion, and equal
 * completions, share one. C++ is sped up by precompiled headers: the standard headers that a program includes before
 * anything else are compiled once as a set, in our order, which the language allows; the program is compiled after
 * them, its text unchanged. A set with <bits/stdc++.h> is made at its first use, others at their second. They are made
 * by the compiler from header names of a fixed list only, and kept on disk in the folder that code_headers_folder
 * names.
 *
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_COMPILER_H
#define REWARD_CODE_COMPILER_H

#include "reward/code/tests.h"
#include "reward/reward.h"

struct compiler;

/* Where precompiled headers are kept: $XDG_CACHE_HOME/strop/headers or ~/.cache/strop/headers, made if missing; false:
 * there is no such place, and compiling works without. */
bool code_headers_folder(char *path, size_t capacity);

/* headers: the folder, also given to sandbox_open; NULL: none. The sandbox must outlive the compiler. */
struct compiler *compiler_new(struct sandbox *sandbox, const char *headers);
void compiler_free(struct compiler *compiler);

/* An executable in *file, which the caller closes, or *file = -1: the source is refused (an error in it, or a limit);
 * *message, in the call's arena, has the compiler's first words, for logs only. Failures are the sandbox's, or a
 * missing compiler. */
enum err compiler_run(struct compiler *compiler, enum code_language language, struct str source,
                      const struct reward_call *call, int *file, const char **message);

#endif
