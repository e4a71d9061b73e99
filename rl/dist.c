/* rl/dist.c - opening the ranks of a run, and the few moves that a run is made of.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/dist.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "kernels/comm.h"
#include "rl/ranks/environment.h"
#include "rl/ranks/meet.h"
#include "rl/ranks/watch.h"
#include "rl/recipe/recipe.h"

struct dist {
    struct ranks ranks;
    struct comm *comm;
    struct watch *watch;
};

/* ---- the beginning ---- */

/* Of what decides the results: each machine may have its own device and number of threads. */
static uint64_t hash_recipe(const struct recipe *recipe)
{
    struct recipe same = *recipe;
    struct strbuf text = STRBUF_INIT;
    same.model.device = "";
    same.model.num_threads = 0;
    recipe_write(&same, &text);
    uint64_t hash = XXH3_64bits(text.data, text.length);
    strbuf_release(&text);
    return hash;
}

static enum err hash_program(uint64_t *out)
{
    struct file_map map;
    TRY(file_map_open(&map, "/proc/self/exe"));
    *out = XXH3_64bits(map.data, map.size);
    file_map_close(&map);
    return ERR_NONE;
}

static enum err connect_all(struct dist *d, const struct meet_card *card, bool (*stop)(void), bool (*stop_later)(void))
{
    struct meeting meeting;
    TRY(meet(&meeting, &d->ranks, card, stop));
    enum err result = comm_open_sockets(&d->comm, d->ranks.rank, d->ranks.n_ranks, meeting.data);
    for (int r = 0; r < d->ranks.n_ranks; r++) {
        meeting.data[r] = -1; /* comm has closed them if it failed */
    }
    if (result == ERR_NONE) {
        d->comm->stop = stop_later;
        result = watch_open(&d->watch, d->comm, d->ranks.rank, &meeting);
    }
    meeting_release(&meeting);
    return result;
}

enum err dist_open(struct dist **out, struct recipe *recipe, bool (*stop)(void), bool (*stop_later)(void))
{
    struct ranks ranks;
    struct meet_card card = {.recipe = hash_recipe(recipe)};
    *out = NULL;
    recipe->run.n_ranks = 1;
    TRY(ranks_from_environment(&ranks));
    unsetenv("STROP_LISTENER"); /* programs that this one starts have no such socket */
    if (ranks.n_ranks == 1) {
        return ERR_NONE;
    }
    recipe->run.n_ranks = ranks.n_ranks;
    TRY(recipe_check_ranks(recipe));
    TRY(hash_program(&card.program));
    struct dist *d = mem_zero(sizeof *d);
    d->ranks = ranks;
    enum err result = connect_all(d, &card, stop, stop_later);
    if (result != ERR_NONE) {
        dist_close(d);
        return result;
    }
    if (ranks.rank == 0) {
        log_info("%d ranks (%s), %d of them on this machine", ranks.n_ranks, ranks.launcher, ranks.n_local);
    }
    *out = d;
    return ERR_NONE;
}

void dist_close(struct dist *d)
{
    if (d) {
        watch_close(d->watch);
        comm_close(d->comm);
        free(d);
    }
}

void dist_quiet_others(void)
{
    struct ranks ranks;
    char name[32];
    if (ranks_from_environment(&ranks) == ERR_NONE && ranks.rank > 0) {
        snprintf(name, sizeof name, "rank %d: ", ranks.rank);
        log_set_name(name);
        if (!getenv("STROP_LOG")) {
            log_set_level(LOG_ERROR);
        }
    }
}

/* ---- who is who ---- */

int dist_rank(const struct dist *d)
{
    return d ? d->ranks.rank : 0;
}

int dist_ranks(const struct dist *d)
{
    return d ? d->ranks.n_ranks : 1;
}

bool dist_is_first(const struct dist *d)
{
    return dist_rank(d) == 0;
}

int dist_local_rank(const struct dist *d)
{
    return d ? d->ranks.local_rank : 0;
}

int dist_local_ranks(const struct dist *d)
{
    return d ? d->ranks.n_local : 1;
}

/* ---- moves ---- */

enum err dist_check(struct dist *d)
{
    return d ? comm_aborted(d->comm) : ERR_NONE;
}

enum err dist_max(struct dist *d, int *values, int n)
{
    if (!d) {
        return ERR_NONE;
    }
    size_t bytes = (size_t)n * sizeof *values;
    int *all = mem_alloc((size_t)d->ranks.n_ranks * bytes);
    enum err result = comm_all_gather(d->comm, values, all, bytes);
    for (int i = 0; result == ERR_NONE && i < d->ranks.n_ranks * n; i++) {
        values[i % n] = all[i] > values[i % n] ? all[i] : values[i % n];
    }
    free(all);
    return result;
}

enum err dist_from_first(struct dist *d, void *data, size_t bytes)
{
    return d ? comm_broadcast(d->comm, data, bytes, 0) : ERR_NONE;
}

enum err dist_text_from_first(struct dist *d, struct strbuf *text)
{
    uint64_t length = text->length;
    if (!d) {
        return ERR_NONE;
    }
    TRY(dist_from_first(d, &length, sizeof length));
    char *bytes = mem_zero((size_t)length + 1);
    if (d->ranks.rank == 0 && length > 0) {
        memcpy(bytes, text->data, (size_t)length);
    }
    enum err result = dist_from_first(d, bytes, (size_t)length);
    if (result == ERR_NONE && d->ranks.rank != 0) {
        strbuf_clear(text);
        strbuf_add(text, bytes, (size_t)length);
    }
    free(bytes);
    return result;
}

enum err dist_gather(struct dist *d, struct str own, struct arena *arena, struct str *all)
{
    if (!d) {
        all[0] = own;
        return ERR_NONE;
    }
    uint64_t length = own.length, max = 0;
    uint64_t *lengths = ARENA_NEW(arena, uint64_t, d->ranks.n_ranks);
    TRY(comm_all_gather(d->comm, &length, lengths, sizeof length));
    for (int r = 0; r < d->ranks.n_ranks; r++) {
        max = lengths[r] > max ? lengths[r] : max;
    }
    char *padded = ARENA_NEW(arena, char, max + 1),
         *bytes = ARENA_NEW(arena, char, max *(uint64_t)d->ranks.n_ranks + 1);
    if (own.length > 0) {
        memcpy(padded, own.data, own.length);
    }
    TRY(comm_all_gather(d->comm, padded, bytes, (size_t)max));
    for (int r = 0; r < d->ranks.n_ranks; r++) {
        all[r].data = bytes + (size_t)r * max;
        all[r].length = (size_t)lengths[r];
    }
    return ERR_NONE;
}

enum err dist_sum(struct dist *d, float *data, size_t n)
{
    return d ? comm_sum(d->comm, data, n) : ERR_NONE;
}

/* ---- the end ---- */

void dist_saving(struct dist *d, bool saving)
{
    if (d) {
        watch_saving(d->watch, saving);
    }
}

int dist_fail(struct dist *d, enum err code, int signal)
{
    int stopped_by = 0;
    char text[2048];
    if (!d) {
        return signal;
    }
    snprintf(text, sizeof text, "%s", err_text());
    watch_fail(d->watch, code, signal);
    watch_verdict(d->watch, &stopped_by);
    err_set(code, "%s", text);
    return signal ? signal : stopped_by;
}

enum err dist_leave(struct dist *d)
{
    return d ? watch_leave(d->watch) : ERR_NONE;
}
