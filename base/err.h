/* base/err.h - how a call says that the world was at fault.
 *
 * Three kinds of error, never mixed:
 *   our bug            BUG_ON(condition): prints file:line and aborts, in release builds too
 *   the world's fault  a function returns enum err, and the sentence for the user is kept per thread
 *   the device's fault stops at once (kernels/ only)
 *
 * A sentence says what, where and what to do: err_set(ERR_FORMAT, "%s:%d: unknown key '%s'; did you mean '%s'?", ...).
 * rl/cmd prints it; where a run continues past a failure, a warning holds it. Outputs are untouched when a call fails.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    ERR_NONE = 0,
    ERR_USAGE,   /* the command line or a recipe asks for what cannot be (exit code 2) */
    ERR_FORMAT,  /* a file or message is not what it should be */
    ERR_IO,      /* the system refused: open, write, full disk ... */
    ERR_LIMIT,   /* the input is legal but larger than a stated limit */
    ERR_STATE,   /* files of a run do not fit together: wrong checkpoint, run in use ... */
    ERR_NUMBERS, /* weights, log-probabilities or a gradient are not finite: what is in memory is not worth saving */
    ERR_DEVICE,  /* no such device, or it cannot do what is requested */
    ERR_STOPPED, /* the user asked to stop */
    ERR_PEER,    /* another rank of the run is lost: killed, stopped or cut off (exit code 75: start it again) */
};

/* Sets the sentence of this thread and returns `code`, so that a caller writes: return err_set(...). */
enum err err_set(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* the analyzer then knows that `code` is returned, and follows no path past a failure */
#define err_set(code, ...) (err_set((code), __VA_ARGS__), (code))
#endif

/* Puts "<context>: " before the present sentence and returns `code`. */
enum err err_wrap(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of this thread's last error; "" if there was none. Valid until the next err_set or err_wrap. */
const char *err_text(void);

/* Hands a failure to the caller. The only macro of the project that hides a return. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum err try_result_ = (call);                                                                                 \
        if (try_result_ != ERR_NONE) {                                                                                 \
            return try_result_;                                                                                        \
        }                                                                                                              \
    } while (0)

void err_bug(const char *file, int line, const char *condition) __attribute__((noreturn));

#define BUG_ON(condition)                                                                                              \
    do {                                                                                                               \
        if (__builtin_expect(!!(condition), 0)) {                                                                      \
            err_bug(__FILE__, __LINE__, #condition);                                                                   \
        }                                                                                                              \
    } while (0)

#endif
