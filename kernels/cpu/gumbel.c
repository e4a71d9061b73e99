/* kernels/cpu/gumbel.c - random noise by Philox in 32 columns at once, and the filters of sampling.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/gumbel.h"

#include <stdlib.h>

#include "base/arena.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/philox.h"

/* One Philox block gives four tokens' words. */
static void philox_tile(const struct sampling *s, int first, uint32_t c[4][PHILOX_BLOCKS])
{
    _Static_assert(PHILOX_BLOCKS * 4 == GUMBEL_TOKENS, "a tile is one call");
    for (int i = 0; i < PHILOX_BLOCKS; i++) {
        c[0][i] = (uint32_t)(first / 4 + i);
        c[1][i] = s->position;
        c[2][i] = (uint32_t)s->sequence;
        c[3][i] = (uint32_t)(s->sequence >> 32);
    }
    philox_blocks(c, s->seed);
}

void ISA_NAME(gumbel_tile)(const struct sampling *s, int first, float noise[GUMBEL_TOKENS])
{
    uint32_t words[4][PHILOX_BLOCKS];
    philox_tile(s, first, words);
    for (int i = 0; i < GUMBEL_TOKENS; i++) {
        noise[i] = ((float)(words[i % 4][i / 4] >> 8) + 0.5f) * 0x1p-24f;
    }
    const vec zero = vec_zero();
    for (int i = 0; i < GUMBEL_TOKENS; i += VEC_LANES) {
        /* u is rounded to at most 1 - 2^-24, so that -log(u) stays positive */
        vec u = vec_min(vec_load(noise + i), vec_set(1.0f - 0x1p-24f));
        vec e = vec_sub(zero, vec_log(u));
        vec_store(noise + i, vec_sub(zero, vec_log(e)));
    }
}

bool ISA_NAME(sampling_filters)(const struct sampling *s)
{
    return s->repetition_penalty != 1.0f || (s->temperature > 0 && (s->top_k > 0 || s->top_p < 1.0f || s->min_p > 0));
}

struct candidate {
    float logit;
    int32_t token;
};

static int candidate_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->token < y->token ? -1 : 1;
}

/* Keskar et al. 2019 (CTRL, arXiv 1909.05858), section 4.1; each token once however often it was seen. */
static void penalise(const struct sampling *s, float *logits, int n_valid)
{
    for (int i = 0; i < s->n_seen; i++) {
        int32_t token = s->seen[i];
        bool again = token >= n_valid;
        for (int j = 0; j < i && !again; j++) {
            again = s->seen[j] == token;
        }
        if (!again) {
            float x = logits[token];
            logits[token] = x > 0 ? x / s->repetition_penalty : x * s->repetition_penalty;
        }
    }
}

/* How many of the sorted candidates stay: top-k, then top-p of the rest, then min-p, as transformers orders them. */
static int filter(const struct sampling *s, const struct candidate *sorted, int n)
{
    int kept = s->top_k > 0 && s->top_k < n ? s->top_k : n;
    double total = 0, sum = 0;
    for (int i = 0; i < kept; i++) {
        total += exp((double)sorted[i].logit - (double)sorted[0].logit);
    }
    int most = kept;
    for (int i = 0; s->top_p < 1.0f && i < kept; i++) {
        sum += exp((double)sorted[i].logit - (double)sorted[0].logit) / total;
        if (sum >= (double)s->top_p) {
            most = i + 1;
            break;
        }
    }
    while (s->min_p > 0 && most > 1 &&
           exp((double)sorted[most - 1].logit - (double)sorted[0].logit) < (double)s->min_p) {
        most--;
    }
    return most;
}

int32_t ISA_NAME(sample_filtered)(const struct sampling *s, float *logits, int n_valid)
{
    penalise(s, logits, n_valid);
    struct candidate *sorted = mem_alloc((size_t)n_valid * sizeof *sorted);
    float inverse = s->temperature > 0 ? 1.0f / s->temperature : 1.0f, noise[GUMBEL_TOKENS];
    for (int v = 0; v < n_valid; v++) {
        sorted[v] = (struct candidate){logits[v] * inverse, v};
    }
    qsort(sorted, (size_t)n_valid, sizeof *sorted, candidate_order);
    int kept = s->temperature > 0 ? filter(s, sorted, n_valid) : 1;
    struct candidate best = sorted[0];
    for (int i = 0; s->temperature > 0 && i < kept; i++) {
        ISA_NAME(gumbel_tile)(s, sorted[i].token / GUMBEL_TOKENS * GUMBEL_TOKENS, noise);
        float value = sorted[i].logit + noise[sorted[i].token % GUMBEL_TOKENS];
        if (i == 0 || value > best.logit || (value == best.logit && sorted[i].token < best.token)) {
            best = (struct candidate){value, sorted[i].token};
        }
    }
    free(sorted);
    return best.token;
}
