/* reward/code/tests.h - the tests of a data set's row, whatever shape the data set gives them.
 *
 *   HumanEval       test, entry_point, problem or prompt          one test; its assertions are counted one by one
 *   MBPP            tests or test_list: ["assert ...", ...], setup or test_setup_code
 *   list of tests   tests: [{"stdin", "expected"} | {"args", "expected"} | {"code"}], entry, compare: {"type",
 *                   "abs_tol", "rel_tol"} or its type's name, weights: [1, 2, ...]
 *   APPS, TACO ...  inputs, outputs: lists of text; with fn_name: lists of arguments and values, or their JSON text,
 *                   one argument per line; all may be in input_output, as an object or as its JSON text. As in the
 *                   harnesses of those data sets, the value of a function may be wrapped in a list of one, and a first
 *                   argument whose keys are all whole numbers is a dict of integers
 *
 * A row may also say language ("python", "c", "cpp") and limits {"wall_s", "cpu_s", "memory_mb", "output_bytes",
 * "processes", "fsize_mb", "tmp_mb"}.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_TESTS_H
#define REWARD_CODE_TESTS_H

#include <jansson.h>

#include "base/arena.h"
#include "reward/code/compare.h"
#include "reward/sandbox/sandbox.h"

enum code_language { CODE_PYTHON, CODE_C, CODE_CPP, CODE_UNKNOWN };
enum code_mode { CODE_STDIO, CODE_FUNCTION, CODE_ASSERTS };

struct code_test {
    struct str input;    /* CODE_STDIO: stdin; else the request's JSON text (python/calls.py) */
    struct str expected; /* CODE_STDIO: text; CODE_FUNCTION: JSON text; CODE_ASSERTS: none */
    double weight;
};

struct code_tests {
    enum code_mode mode;
    enum code_language language; /* CODE_UNKNOWN: the row does not say; functions and asserts are Python's */
    struct compare compare;
    struct sandbox_limits limits;
    struct str prelude; /* HumanEval's prompt: the program comes after it, so that its imports and helpers are there */
    struct str setup;   /* MBPP's: one module with the program */
    struct str entry;
    bool pairs; /* inputs and outputs, as in APPS, TACO, LiveCodeBench, whose harnesses import for the program */
    struct code_test *tests;
    int n;
};

/* The limits in *out are the ones a row starts from. count_all: assertions after a failed one are to be counted too.
 * NULL, or what is wrong with the row, in the arena. */
const char *code_tests_read(struct code_tests *out, const json_t *fields, bool count_all, struct arena *arena);

/* "python", "py", "Python3", "c++17" ...; CODE_UNKNOWN for anything else. */
enum code_language code_language_of(struct str name);

#endif
