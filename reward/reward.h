/* reward/reward.h - a completion in, a number out: the interface of every reward.
 *
 * A reward is a row in a table: a name, its options, and a function that judges one item. It knows nothing of models,
 * tokens or devices. It must be pure (same item, same verdict), thread-safe, and must end by itself: it is called from
 * several threads at once, and checks reward_expired() in loops that the text can lengthen.
 *
 * A verdict is one of
 *   ok(score)  judged; the score is finite
 *   abstain    the reward does not apply to this item (TRL: None); it is left out of the sum
 *   error      the judge failed (missing reference field, plug-in dead, deadline): the recipe says what then: drop the
 *              sample, count it as zero, or abort the run. Never confused with a wrong answer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef REWARD_REWARD_H
#define REWARD_REWARD_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* What is judged. Any bytes may be in the texts: empty, NUL, broken UTF-8. */
struct reward_item {
    struct str prompt;     /* as the model saw it */
    struct str completion; /* without the end token */
    const json_t *fields;  /* the data set's row: answer, nums, target, tests ... ; never NULL, shared: read only */
    int n_tokens;          /* of the completion; -1: unknown */
    int max_tokens;        /* that it could have had; 0: unknown */
    bool truncated;        /* it did not end by itself */
};

enum verdict_kind { VERDICT_OK, VERDICT_ABSTAIN, VERDICT_ERROR };

struct verdict {
    enum verdict_kind kind;
    double score;         /* VERDICT_OK only */
    const char *reason;   /* a few words: "right", "no answer tag", "missing field 'answer'"; static or in the arena */
    struct str extracted; /* what was judged, e.g. the answer found; may be empty; in the arena or the item */
    const char *path;     /* how it was found: "box", "answer tag"; static; NULL where there is but one way */
};

static inline struct verdict verdict_ok(double score, const char *reason, struct str extracted)
{
    return (struct verdict){.kind = VERDICT_OK, .score = score, .reason = reason, .extracted = extracted};
}
static inline struct verdict verdict_abstain(const char *reason)
{
    return (struct verdict){.kind = VERDICT_ABSTAIN, .reason = reason};
}
static inline struct verdict verdict_error(const char *reason)
{
    return (struct verdict){.kind = VERDICT_ERROR, .reason = reason};
}

/* One call's surroundings. */
struct reward_call {
    struct arena *arena; /* for the verdict's texts and for scratch; lives until the batch's results are used */
    double deadline;     /* clock_seconds() */
    bool (*stop)(void);  /* true once judging is to end at once; NULL: never. Any thread */
};

/* Past the deadline, or stopped: what is not judged yet is an error. */
bool reward_expired(const struct reward_call *call);
bool reward_stopped(const struct reward_call *call);
/* For code that waits in a loop: the longest time, in seconds, before it looks at reward_stopped again. */
#define REWARD_LOOK_SECONDS 0.2

/* An option of a reward: "name:key=value,key=value" on the command line, a mapping in a recipe. */
struct reward_option {
    const char *name;
    enum { OPTION_BOOL, OPTION_INT, OPTION_NUMBER, OPTION_TEXT, OPTION_CHOICE } type;
    const char *fallback; /* the default, as text; NULL: must be given */
    double min, max;      /* numbers; both 0: any */
    const char *choices;  /* OPTION_CHOICE: "strict|graded" */
    const char *help;     /* one sentence */
};

struct reward_values;

/* A kind of reward. */
struct reward_kind {
    const char *name;
    const char *help;                    /* one sentence: what earns what */
    const char *fields;                  /* reference fields it reads: "nums target"; "" for none */
    const struct reward_option *options; /* ends with a NULL name; or NULL */
    /* Reads options into `state` (state_bytes of zeroed memory). NULL: nothing to set up. */
    enum err (*open)(void *state, const struct reward_values *values); /* texts of `values` outlive the state */
    void (*close)(void *state); /* also after an open that failed; NULL: nothing to give back */
    size_t state_bytes;
    struct verdict (*judge)(const void *state, const struct reward_item *item, const struct reward_call *call);
    /* For a reward that waits for others more than it computes: a set hands it a whole batch at once, on one thread,
     * while the others judge. `seconds` is what an item may take, not counting the time in the queue, instead of the
     * call's deadline. NULL: there is none. */
    void (*judge_all)(const void *state, const struct reward_item *items, int n, double seconds,
                      const struct reward_call *call, struct verdict *verdicts);
    /* Whether a row of the data set has what the reward reads: NULL, or a sentence, static or in the arena. NULL: where
     * the kind has fields, the error of judging an empty completion; else any row will do. */
    const char *(*check)(const void *state, const json_t *row, struct arena *arena);
    /* Why it will never judge again: its program or server failed time after time. Until then NULL. NULL: it cannot. */
    const char *(*dead)(const void *state, struct arena *arena);
};

/* Option values of an opened reward, checked against its table (type, range, choice; unknown names are refused with the
 * nearest known one). Asking for an option that the table lacks, or by another type, is a bug. */
bool reward_bool(const struct reward_values *values, const char *name);
int64_t reward_int(const struct reward_values *values, const char *name);
double reward_number(const struct reward_values *values, const char *name);
const char *reward_text(const struct reward_values *values, const char *name);

/* All kinds, ended by NULL. */
extern const struct reward_kind *const reward_kinds[];
const struct reward_kind *reward_find(const char *name);

/* ---- a set of rewards, as a recipe or `strop score` uses it ----
 *
 * Text of a reward: its name, then options after a colon, divided by commas: "format:mode=graded,weight=0.1". A value
 * with commas is written in single quotes, in which '' is a quote:
 * "cosine_length:correct='countdown:needs_format,label=c'". A bare name is true: "countdown:needs_format". `weight`
 * (1), `label` (the reward's name) and `only_if_right` are options of all; labels of a set differ from each other. A
 * part with only_if_right is judged like the others, and added to the sum only where the first part without it gave 1
 * or more: a format that anyone can have is paid for right answers alone. */

enum reward_on_error { ON_ERROR_DROP, ON_ERROR_ZERO, ON_ERROR_ABORT };

struct reward_spec {
    const char *text;
};

/* Opened, used and closed by one thread. seconds_per_item: what each part may take for an item; its deadline counts
 * from when the part starts, so that a slow part costs the others nothing. n_threads 0: one per processor. */
struct reward_set;
enum err reward_set_open(struct reward_set **out, const struct reward_spec *specs, int n_specs,
                         enum reward_on_error on_error, double seconds_per_item, int n_threads);
void reward_set_close(struct reward_set *set);
/* stop: called from any thread several times per second while the set judges; once it returns true, what is not judged
 * yet ends at once, and reward_judge with ERR_STOPPED. NULL: never. */
void reward_set_stop(struct reward_set *set, bool (*stop)(void));
/* NULL, or what a row of the data set lacks for the first reward that cannot read it: "gsm8k: missing field 'answer'".
 * In the arena. */
const char *reward_set_check(const struct reward_set *set, const json_t *row, struct arena *arena);
/* NULL, or which reward has died for good, and why. In the arena. */
const char *reward_set_dead(const struct reward_set *set, struct arena *arena);
int reward_set_count(const struct reward_set *set);
const char *reward_set_label(const struct reward_set *set, int i); /* for the metric rewards/LABEL/mean */
double reward_set_weight(const struct reward_set *set, int i);

/* The judgement of one item: the parts in the order of the set, and their weighted sum over those that are ok. A score
 * that is not finite is made an error. `dropped`: an error with ON_ERROR_DROP, or every part abstained; the sample must
 * not be trained on. */
struct judgement {
    struct verdict *parts; /* [reward_set_count] */
    double *seconds;       /* [reward_set_count] */
    double total;
    bool dropped;
};

/* Judges n items on the set's threads; results come in the order of the items whatever order they were judged in, and
 * live in `arena`. ERR_STATE with the reason if a part failed and the set is ON_ERROR_ABORT; ERR_STOPPED: see
 * reward_set_stop. */
enum err reward_judge(struct reward_set *set, const struct reward_item *items, int n, struct arena *arena,
                      struct judgement *judgements);

#endif
