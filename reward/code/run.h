/* reward/code/run.h - a program and its tests to a verdict.
 *
 * The tests run one after the other, each in a run of its own; the first that is not AC decides the verdict. Expected
 * values stay here: output is compared in this process, and assertions run in a sandbox of their own that the program
 * cannot see.
 *
 * A run of one process that the wall clock ended although it had waited for a processor much of its time is tried once
 * more with nothing else of ours running. (One of several processes may have starved itself.)
 *
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_CODE_RUN_H
#define REWARD_CODE_RUN_H

#include "reward/code/compiler.h"
#include "reward/reward.h"

enum code_verdict {
    CODE_AC,
    CODE_WA,  /* another output, or an assertion that fails */
    CODE_TLE, /* processor time or wall clock */
    CODE_MLE,
    CODE_OLE,
    CODE_RE, /* an exit code, a signal, an answer that is no answer */
    CODE_CE,
    CODE_IE, /* the judge failed; nothing is known about the program */
};
extern const char *const code_verdict_names[]; /* "AC" ... */

struct code_runner;
struct code_runner_options {
    const char *python; /* as in struct sandbox_options */
    int n_slots;
    bool landlock;
};
enum err code_runner_open(struct code_runner **out, const struct code_runner_options *options);
void code_runner_close(struct code_runner *runner);
const char *code_runner_mode(const struct code_runner *runner);

struct code_outcome {
    enum code_verdict verdict; /* of the first test that is not AC; CODE_IE wins over all */
    int test;                  /* that test, from 0 */
    double share;              /* weight passed of all weight; a test of several assertions may pass in part */
    const char *detail;        /* a few words or a sentence, in the arena or static; for logs only */
    double seconds;            /* that programs ran, on the wall clock */
    double slowest;            /* of these, the longest run */
    struct strbuf *output;     /* where all that the programs wrote is added, if not NULL */
};

struct code_program {
    struct str text;
    enum code_language language;
    bool prelude; /* Python: what harnesses import needs no import */
};

/* Judges until the first failure, or all tests if `all_tests`, on the call's arena. A program has its tests' wall
 * clocks to use, each in full; the call's deadline holds where it is later than all of them and one repeat together.
 * Then, or when the call is stopped, CODE_IE: a deadline never makes a verdict. */
void code_run(struct code_runner *runner, const struct code_program *program, const struct code_tests *tests,
              bool all_tests, const struct reward_call *call, struct code_outcome *outcome);

#endif
