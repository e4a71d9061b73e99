/* rl/exchange.c - parts of an iteration as bytes, and back. Both ends are the same program on the same kind of machine.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/exchange.h"

#include <string.h>

#include "rl/dist.h"

int exchange_own(const struct iteration *it)
{
    int n_ranks = dist_ranks(it->dist);
    return (it->n_prompts - dist_rank(it->dist) + n_ranks - 1) / n_ranks;
}

int exchange_prompt(const struct iteration *it, int i)
{
    return dist_rank(it->dist) + i * dist_ranks(it->dist);
}

/* ---- bytes ---- */

struct reader {
    struct str bytes;
    size_t at;
    struct arena *arena;
};

static void read_bytes(struct reader *r, void *to, size_t n)
{
    BUG_ON(n > r->bytes.length - r->at); /* the other rank is this program */
    if (n > 0) {
        memcpy(to, r->bytes.data + r->at, n);
    }
    r->at += n;
}

static void *read_array(struct reader *r, size_t n)
{
    void *data = arena_alloc(r->arena, n);
    read_bytes(r, data, n);
    return data;
}

static void put_int(struct strbuf *out, int64_t value)
{
    strbuf_add(out, &value, sizeof value);
}

static int64_t read_int(struct reader *r)
{
    int64_t value;
    read_bytes(r, &value, sizeof value);
    return value;
}

static void put_double(struct strbuf *out, double value)
{
    strbuf_add(out, &value, sizeof value);
}

static double read_double(struct reader *r)
{
    double value;
    read_bytes(r, &value, sizeof value);
    return value;
}

/* Text; NULL stays NULL. */
static void put_str(struct strbuf *out, struct str text)
{
    put_int(out, text.data ? (int64_t)text.length : -1);
    strbuf_add(out, text.length ? text.data : "", text.length);
}

static struct str read_str(struct reader *r)
{
    int64_t length = read_int(r);
    if (length < 0) {
        return (struct str){0};
    }
    char *data = arena_alloc(r->arena, (size_t)length + 1); /* zeroed: it ends like a C string */
    read_bytes(r, data, (size_t)length);
    return (struct str){data, (size_t)length};
}

/* ---- completions ---- */

static void put_group(struct strbuf *out, const struct group *group)
{
    for (int i = 0; i < group->n_completions; i++) {
        const struct completion *c = &group->completions[i];
        size_t n = (size_t)c->n_tokens;
        put_int(out, c->n_tokens);
        put_int(out, (int64_t)c->finish);
        put_str(out, c->text);
        strbuf_add(out, c->tokens, n * sizeof *c->tokens);
        strbuf_add(out, c->logprob, n * sizeof *c->logprob);
        strbuf_add(out, c->lse, n * sizeof *c->lse);
        strbuf_add(out, c->entropy, n * sizeof *c->entropy);
        put_int(out, c->expert_bytes);
        strbuf_add(out, c->experts, n > 0 ? (n - 1) * (size_t)c->expert_bytes : 0);
        if (i == 0) { /* the others have the same prompt */
            put_int(out, c->prompt_bytes);
            strbuf_add(out, c->prompt_experts, (size_t)c->prompt_bytes);
        }
    }
}

static struct group read_group(struct reader *r, int G)
{
    struct group group = {.completions = ARENA_NEW(r->arena, struct completion, G), .n_completions = G};
    for (int i = 0; i < G; i++) {
        struct completion *c = &group.completions[i];
        c->n_tokens = (int)read_int(r);
        c->finish = (enum finish_reason)read_int(r);
        c->text = read_str(r);
        size_t bytes = (size_t)c->n_tokens * sizeof(float);
        c->tokens = read_array(r, bytes);
        c->logprob = read_array(r, bytes);
        c->lse = read_array(r, bytes);
        c->entropy = read_array(r, bytes);
        c->expert_bytes = (int)read_int(r);
        c->experts = read_array(r, c->n_tokens > 0 ? (size_t)(c->n_tokens - 1) * (size_t)c->expert_bytes : 0);
        c->prompt_bytes = i == 0 ? (int)read_int(r) : c[-1].prompt_bytes;
        c->prompt_experts = i == 0 ? read_array(r, (size_t)c->prompt_bytes) : c[-1].prompt_experts;
    }
    return group;
}

/* ---- between all ranks ---- */

/* What a prompt's results are as bytes, and how they come into the iteration. */
typedef void put_prompt(struct strbuf *out, const struct iteration *it, int prompt, int n_parts);
typedef void read_prompt(struct reader *r, struct iteration *it, int prompt, int n_parts);

static enum err exchange_prompts(struct iteration *it, put_prompt *put, read_prompt *read, int n_parts)
{
    struct strbuf own = STRBUF_INIT;
    int n_ranks = dist_ranks(it->dist);
    if (n_ranks == 1) {
        return ERR_NONE;
    }
    struct str *all = ARENA_NEW(&it->arena, struct str, n_ranks);
    for (int i = 0; i < exchange_own(it); i++) {
        put(&own, it, exchange_prompt(it, i), n_parts);
    }
    enum err result = dist_gather(it->dist, strbuf_view(&own), &it->arena, all);
    for (int rank = 0; rank < n_ranks && result == ERR_NONE; rank++) {
        struct reader r = {.bytes = all[rank], .arena = &it->arena};
        for (int p = rank; rank != dist_rank(it->dist) && p < it->n_prompts; p += n_ranks) {
            read(&r, it, p, n_parts);
        }
    }
    strbuf_release(&own);
    return result;
}

static void put_groups(struct strbuf *out, const struct iteration *it, int prompt, int n_parts)
{
    (void)n_parts;
    put_group(out, &it->groups[prompt]);
}

static void read_groups(struct reader *r, struct iteration *it, int prompt, int n_parts)
{
    (void)n_parts;
    it->groups[prompt] = read_group(r, it->G);
}

enum err exchange_groups(struct iteration *it)
{
    return exchange_prompts(it, put_groups, read_groups, 0);
}

static void put_judgements(struct strbuf *out, const struct iteration *it, int prompt, int n_parts)
{
    for (int i = prompt * it->G; i < (prompt + 1) * it->G; i++) {
        const struct judgement *j = &it->samples[i].judgement;
        put_double(out, j->total);
        put_int(out, j->dropped);
        for (int part = 0; part < n_parts; part++) {
            const struct verdict *v = &j->parts[part];
            put_int(out, (int64_t)v->kind);
            put_double(out, v->score);
            put_str(out, str_of(v->reason));
            put_str(out, v->extracted);
            put_str(out, str_of(v->path));
            put_double(out, j->seconds[part]);
        }
    }
}

static void read_judgements(struct reader *r, struct iteration *it, int prompt, int n_parts)
{
    for (int i = prompt * it->G; i < (prompt + 1) * it->G; i++) {
        struct judgement *j = &it->samples[i].judgement;
        *j = (struct judgement){.total = read_double(r), .dropped = read_int(r) != 0};
        j->parts = ARENA_NEW(r->arena, struct verdict, n_parts);
        j->seconds = ARENA_NEW(r->arena, double, n_parts);
        for (int part = 0; part < n_parts; part++) {
            struct verdict *v = &j->parts[part];
            v->kind = (enum verdict_kind)read_int(r);
            v->score = read_double(r);
            v->reason = read_str(r).data;
            v->extracted = read_str(r);
            v->path = read_str(r).data;
            j->seconds[part] = read_double(r);
        }
    }
}

enum err exchange_judgements(struct iteration *it, int n_parts)
{
    return exchange_prompts(it, put_judgements, read_judgements, n_parts);
}

/* ---- from the first rank ---- */

static void put_rollout(struct strbuf *out, const struct iteration *it)
{
    for (int p = 0; p < it->n_prompts; p++) {
        const struct prompt *prompt = &it->prompts[p];
        put_int(out, prompt->index);
        put_int(out, prompt->n_tokens);
        put_str(out, prompt->text);
        strbuf_add(out, prompt->tokens, (size_t)prompt->n_tokens * sizeof *prompt->tokens);
        put_group(out, &it->groups[p]);
        for (int i = p * it->G; i < (p + 1) * it->G; i++) {
            put_double(out, it->samples[i].reward);
            put_double(out, it->samples[i].advantage);
            put_int(out, it->samples[i].dropped);
        }
    }
}

static void read_rollout(struct reader *r, struct iteration *it)
{
    it->n_samples = it->n_prompts * it->G;
    it->prompts = ARENA_NEW(r->arena, struct prompt, it->n_prompts);
    it->groups = ARENA_NEW(r->arena, struct group, it->n_prompts);
    it->samples = ARENA_NEW(r->arena, struct sample, it->n_samples);
    for (int p = 0; p < it->n_prompts; p++) {
        struct prompt *prompt = &it->prompts[p];
        prompt->index = read_int(r);
        prompt->n_tokens = (int)read_int(r);
        prompt->text = read_str(r);
        prompt->tokens = read_array(r, (size_t)prompt->n_tokens * sizeof *prompt->tokens);
        it->groups[p] = read_group(r, it->G);
        for (int i = p * it->G; i < (p + 1) * it->G; i++) {
            it->samples[i] = (struct sample){.prompt = prompt, .completion = &it->groups[p].completions[i % it->G]};
            it->samples[i].reward = read_double(r);
            it->samples[i].advantage = read_double(r);
            it->samples[i].dropped = read_int(r) != 0;
        }
    }
}

enum err exchange_rollout(struct iteration *it)
{
    struct strbuf bytes = STRBUF_INIT;
    if (dist_ranks(it->dist) == 1) {
        return ERR_NONE;
    }
    if (dist_is_first(it->dist)) {
        put_rollout(&bytes, it);
    }
    enum err result = dist_text_from_first(it->dist, &bytes);
    if (result == ERR_NONE && !dist_is_first(it->dist)) {
        struct reader r = {.bytes = strbuf_view(&bytes), .arena = &it->arena};
        read_rollout(&r, it);
    }
    strbuf_release(&bytes);
    return result;
}
