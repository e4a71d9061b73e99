/* rl/score.c - one reward item per sample, judged in one batch; the verdicts come back in the same order. Each rank
 * judges what it drew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/score.h"

#include <math.h>
#include <strings.h>
#include <string.h>

#include "base/clock.h"

#include "base/log.h"
#include "rl/data/survey.h"
#include "rl/exchange.h"

const char *const aha_words[AHA_WORDS] = {"wait",  "mistake", "however", "but",      "retry",
                                          "error", "verify",  "wrong",   "evaluate", "check"};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void aha_count(struct str text, int counts[AHA_WORDS])
{
    memset(counts, 0, AHA_WORDS * sizeof *counts);
    for (size_t i = 0, end; i < text.length; i = end) {
        end = i + 1;
        if (!is_letter(text.data[i])) {
            continue;
        }
        while (end < text.length && is_letter(text.data[end])) {
            end++;
        }
        for (int w = 0; w < AHA_WORDS; w++) {
            counts[w] += strlen(aha_words[w]) == end - i && strncasecmp(aha_words[w], text.data + i, end - i) == 0;
        }
    }
}

static const char *look(void *context, const json_t *row, struct arena *arena)
{
    return reward_set_check(context, row, arena);
}

enum err score_check_rows(struct reward_set *rewards, struct dataset *dataset, const char *name, bool refuse)
{
    struct survey survey;
    TRY(survey_rows(dataset, look, rewards, &survey));
    if (survey.n_wrong == 0) {
        return ERR_NONE;
    }
    if (survey.n_wrong == survey.n && refuse) {
        return err_set(ERR_FORMAT, "none of the %lld rows of %s can be judged; the first, %s: %s", (long long)survey.n,
                       name, survey.where, survey.why);
    }
    log_warning("%lld of the %lld rows of %s cannot be judged; the first, %s: %s", (long long)survey.n_wrong,
                (long long)survey.n, name, survey.where, survey.why);
    return ERR_NONE;
}

/* Judges this rank's samples. */
static enum err judge_own(struct reward_set *rewards, struct iteration *it)
{
    int n = exchange_own(it) * it->G;
    struct reward_item *items = ARENA_NEW(&it->arena, struct reward_item, n);
    struct judgement *judgements = ARENA_NEW(&it->arena, struct judgement, n);
    for (int i = 0; i < n; i++) {
        const struct sample *s = &it->samples[exchange_prompt(it, i / it->G) * it->G + i % it->G];
        items[i] = (struct reward_item){.prompt = s->prompt->text,
                                        .completion = s->completion->text,
                                        .fields = s->prompt->fields,
                                        .n_tokens = s->completion->n_tokens,
                                        .max_tokens = it->max_tokens,
                                        .truncated = s->completion->finish == FINISH_LENGTH};
    }
    TRY(reward_judge(rewards, items, n, &it->arena, judgements));
    const char *dead = reward_set_dead(rewards, &it->arena);
    if (dead) {
        return err_set(ERR_STATE, "%s; mend it and run the same command again", dead);
    }
    for (int i = 0; i < n; i++) {
        it->samples[exchange_prompt(it, i / it->G) * it->G + i % it->G].judgement = judgements[i];
    }
    return ERR_NONE;
}

enum err score_groups(struct reward_set *rewards, struct iteration *it)
{
    double start = clock_seconds();
    it->n_samples = it->n_prompts * it->G;
    it->samples = ARENA_NEW(&it->arena, struct sample, it->n_samples);
    for (int i = 0; i < it->n_samples; i++) {
        it->samples[i] = (struct sample){.prompt = &it->prompts[i / it->G],
                                         .completion = &it->groups[i / it->G].completions[i % it->G]};
    }
    TRY(judge_own(rewards, it));
    TRY(exchange_judgements(it, reward_set_count(rewards)));
    for (int i = 0; i < it->n_samples; i++) {
        it->samples[i].reward = it->samples[i].judgement.total;
        it->samples[i].dropped = it->samples[i].judgement.dropped;
    }
    it->seconds_reward += clock_seconds() - start;
    return ERR_NONE;
}

double score_error_rate(const struct reward_set *rewards, struct iteration *it, const char **why)
{
    int n_failed = 0;
    *why = NULL;
    for (int i = 0; i < it->n_samples; i++) {
        bool failed = false;
        for (int part = 0; part < reward_set_count(rewards); part++) {
            const struct verdict *v = &it->samples[i].judgement.parts[part];
            if (v->kind == VERDICT_ERROR) {
                failed = true;
                *why = arena_printf(&it->arena, "%s: %s", reward_set_label(rewards, part), v->reason);
            }
        }
        n_failed += failed;
    }
    return it->n_samples ? (double)n_failed / it->n_samples : 0;
}

static void part_metrics(const struct reward_set *rewards, const struct iteration *it, int part,
                         struct metrics *metrics)
{
    double sum = 0, squares = 0;
    int n = 0;
    for (int i = 0; i < it->n_samples; i++) {
        const struct verdict *v = &it->samples[i].judgement.parts[part];
        if (v->kind == VERDICT_OK) {
            sum += v->score;
            squares += v->score * v->score;
            n++;
        }
    }
    double mean = n ? sum / n : (double)NAN;
    double variance = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0;
    metrics_set(metrics, mean, "rewards/%s/mean", reward_set_label(rewards, part));
    metrics_set(metrics, sqrt(variance > 0 ? variance : 0), "rewards/%s/std", reward_set_label(rewards, part));
}

double score_mean_length(const struct iteration *it)
{
    double sum = 0;
    for (int i = 0; i < it->n_samples; i++) {
        sum += it->samples[i].completion->n_tokens;
    }
    return sum / it->n_samples;
}

static void length_metrics(const struct iteration *it, struct metrics *metrics)
{
    double sum = 0, ended_sum = 0, entropy = 0;
    int min = INT32_MAX, max = 0, n_ended = 0, n_dropped = 0;
    for (int i = 0; i < it->n_samples; i++) {
        const struct completion *c = it->samples[i].completion;
        bool ended = c->finish != FINISH_LENGTH;
        sum += c->n_tokens;
        ended_sum += ended ? c->n_tokens : 0;
        n_ended += ended;
        n_dropped += it->samples[i].dropped;
        min = c->n_tokens < min ? c->n_tokens : min;
        max = c->n_tokens > max ? c->n_tokens : max;
        for (int t = 0; t < c->n_tokens; t++) {
            entropy += (double)c->entropy[t];
        }
    }
    metrics_set(metrics, score_mean_length(it), "completions/mean_length");
    metrics_set(metrics, min, "completions/min_length");
    metrics_set(metrics, max, "completions/max_length");
    metrics_set(metrics, 1 - (double)n_ended / it->n_samples, "completions/clipped_ratio");
    metrics_set(metrics, n_ended ? ended_sum / n_ended : 0, "completions/mean_terminated_length");
    metrics_set(metrics, (double)n_dropped / it->n_samples, "completions/dropped_ratio");
    metrics_set(metrics, sum > 0 ? entropy / sum : 0, "entropy");
}

void score_metrics(const struct reward_set *rewards, const struct iteration *it, struct metrics *metrics)
{
    for (int part = 0; part < reward_set_count(rewards); part++) {
        part_metrics(rewards, it, part, metrics);
    }
    length_metrics(it, metrics);
    double words[AHA_WORDS] = {0}, all = 0;
    for (int i = 0; i < it->n_samples; i++) {
        int counts[AHA_WORDS];
        aha_count(it->samples[i].completion->text, counts);
        for (int w = 0; w < AHA_WORDS; w++) {
            words[w] += (double)counts[w] / it->n_samples;
            all += (double)counts[w] / it->n_samples;
        }
    }
    for (int w = 0; w < AHA_WORDS; w++) {
        metrics_set(metrics, words[w], "aha/%s", aha_words[w]);
    }
    metrics_set(metrics, all, "aha/all");
}
