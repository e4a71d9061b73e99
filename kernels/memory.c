/* kernels/memory.c - memory with names: slices, and the one piece that a plan cuts them from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "kernels/device.h"
#include "kernels/memory.h"

/* In builds for debugging contents do not survive a change of phase, and the other phase may not be touched. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
#include <sanitizer/asan_interface.h>
#define GAP   ALIGNMENT /* between slices, so that a step beyond the end is seen */
#define FILLS true
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes)   ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define GAP                                      0
#if defined(__OPTIMIZE__)
#define FILLS false
#else
#define FILLS true
#endif
#endif

#define ALIGNMENT 256

struct device_slice {
    struct device_slice *next;
    char *label;
    enum device_phase phase;
    size_t bytes, room; /* room: with what alignment takes */
    void *data;
};

/* ---- the system's memory ---- */

static void *take(struct device *device, size_t bytes)
{
    void *data = device->memory->alloc(bytes);
    if (data) {
        device->n_allocations++;
        device->taken += bytes;
        device->max_taken = max_size(device->taken, device->max_taken);
    }
    return data;
}

static void give_back(struct device *device, void *data, size_t bytes)
{
    device->memory->free(data);
    device->taken -= bytes;
}

/* ---- the region ---- */

size_t device_plan_bytes(const struct device *plan)
{
    const size_t *cut = plan->cut;
    return cut[DEVICE_ALWAYS] +
           (cut[DEVICE_ROLLOUT] > cut[DEVICE_TRAINING] ? cut[DEVICE_ROLLOUT] : cut[DEVICE_TRAINING]);
}

static void poison(const struct device *device, const char *data, size_t bytes)
{
    if (device->kind->shares_memory) { /* addresses of a GPU are not the program's */
        ASAN_POISON_MEMORY_REGION(data, bytes);
    }
}

static void unpoison(const struct device *device, const char *data, size_t bytes)
{
    if (device->kind->shares_memory) {
        ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    }
}

static size_t region_bytes(const struct device *device)
{
    const size_t *r = device->reserved;
    return r[DEVICE_ALWAYS] + (r[DEVICE_ROLLOUT] > r[DEVICE_TRAINING] ? r[DEVICE_ROLLOUT] : r[DEVICE_TRAINING]);
}

enum err device_reserve(struct device *device, const struct device *plan)
{
    BUG_ON(device->slices || device->region || device->kind != plan->kind);
    size_t bytes = device_plan_bytes(plan);
    device->region = take(device, bytes);
    if (!device->region) {
        return err_set(
            ERR_DEVICE,
            "%s has not %.1f GiB in one piece, though it says that %.1f GiB are free; end what else runs there",
            device->ops->name, (double)bytes / (1 << 30), (double)device_free_bytes(device) / (1 << 30));
    }
    memcpy(device->reserved, plan->cut, sizeof device->reserved);
    poison(device, device->region, bytes);
    return ERR_NONE;
}

/* The next `room` bytes of a phase. */
static void *cut_off(struct device *device, enum device_phase phase, size_t room, size_t bytes, const char *label)
{
    size_t at = phase == DEVICE_ALWAYS ? 0 : device->reserved[DEVICE_ALWAYS];
    if (device->cut[phase] + room > device->reserved[phase]) {
        fprintf(stderr, "strop: %s: %zu bytes were not in the plan. In use:\n", label, bytes);
        device_report(device, stderr);
        BUG_ON(true);
    }
    char *data = device->region + at + device->cut[phase];
    if (device_holds(device, phase)) {
        unpoison(device, data, bytes);
    }
    return data;
}

void device_use(struct device *device, enum device_phase phase)
{
    if (device->phase == phase) {
        return;
    }
    device->phase = phase;
    if (!device->region) {
        return;
    }
    poison(device, device->region + device->reserved[DEVICE_ALWAYS],
           region_bytes(device) - device->reserved[DEVICE_ALWAYS]);
    for (const struct device_slice *slice = device->slices; slice; slice = slice->next) {
        if (slice->phase == phase) {
            unpoison(device, slice->data, slice->bytes);
            if (FILLS) {
                device->memory->fill(slice->data, 0xFF, slice->bytes);
            }
        }
    }
}

bool device_holds(const struct device *device, enum device_phase phase)
{
    return !device->region || phase == DEVICE_ALWAYS || phase == device->phase;
}

/* ---- slices ---- */

void *device_alloc(struct device *device, size_t bytes, const char *label)
{
    return device_alloc_in(device, DEVICE_ALWAYS, bytes, label);
}

void *device_alloc_in(struct device *device, enum device_phase phase, size_t bytes, const char *label)
{
    size_t room = round_up(bytes, ALIGNMENT) + GAP;
    room = room > 0 ? room : ALIGNMENT;
    struct device_slice *slice = mem_alloc(sizeof *slice);
    *slice = (struct device_slice){device->slices, mem_strdup(label), phase, bytes, room, slice};
    if (device->region) {
        slice->data = cut_off(device, phase, room, bytes, label);
    } else if (!device_plans(device)) {
        slice->data = take(device, bytes);
    } /* planning: any address will do that no other slice has */
    if (!slice->data) {
        fprintf(stderr, "strop: no memory left for %s (%zu bytes); use a smaller batch. In use:\n", label, bytes);
        device_report(device, stderr);
        exit(1);
    }
    device->cut[phase] += room;
    device->slices = slice;
    return slice->data;
}

void device_free(struct device *device, void *data)
{
    for (struct device_slice **at = &device->slices; data && *at; at = &(*at)->next) {
        if ((*at)->data == data) {
            struct device_slice *slice = *at;
            *at = slice->next;
            if (device->region) {
                poison(device, data, slice->bytes);
            } else if (!device_plans(device)) {
                give_back(device, data, slice->bytes);
            }
            device->cut[slice->phase] -= device->region ? 0 : slice->room;
            free(slice->label);
            free(slice);
            return;
        }
    }
    BUG_ON(data != NULL);
}

void device_release(struct device *device)
{
    while (device->slices) {
        device_free(device, device->slices->data);
    }
    if (device->region) {
        unpoison(device, device->region, region_bytes(device));
        give_back(device, device->region, region_bytes(device));
        device->region = NULL;
    }
}

void device_alloc_slots(struct device *device, const struct device_limits *limits)
{
    size_t bytes[DEVICE_PHASES][CUDA_SLOTS];
    if (!device->kind->has_slots) {
        return;
    }
    cuda_slots_plan(limits, bytes);
    for (enum device_phase phase = DEVICE_ALWAYS; phase < DEVICE_PHASES; phase++) {
        for (enum cuda_slot slot = CUDA_SLOT_ROWS; slot < CUDA_SLOTS; slot++) {
            size_t n = bytes[phase][slot];
            void *data = n ? device_alloc_in(device, phase, n, cuda_slot_label(slot)) : NULL;
            if (n && !device_plans(device)) {
                device->memory->set_slot(slot, phase, data, n);
            }
        }
    }
}

/* ---- the table ---- */

size_t device_bytes(const struct device *device)
{
    size_t bytes = 0;
    for (const struct device_slice *slice = device->slices; slice; slice = slice->next) {
        bytes += slice->bytes;
    }
    return bytes;
}

size_t device_free_bytes(const struct device *device)
{
    return device_plans(device) ? device->capacity : device->memory->free_bytes();
}

static void report_line(FILE *out, const char *label, int n, size_t bytes)
{
    bool small = bytes < (1 << 20) / 10;
    fprintf(out, "  %-40s %5.0d  %10.1f %s\n", label, n, (double)bytes / (small ? 1 << 10 : 1 << 20),
            small ? "KiB" : "MiB");
}

static bool same_line(const struct device_slice *a, const struct device_slice *b)
{
    return a->phase == b->phase && strcmp(a->label, b->label) == 0;
}

/* One line per label of a phase, in the order of first use; returns the bytes of the lines. */
static size_t report_lines(const struct device_slice *slice, const struct device_slice *all, enum device_phase phase,
                           FILE *out)
{
    if (!slice) {
        return 0;
    }
    size_t before = report_lines(slice->next, all, phase, out), bytes = 0;
    bool reported = slice->phase != phase;
    for (const struct device_slice *older = slice->next; older && !reported; older = older->next) {
        reported = same_line(older, slice);
    }
    if (reported) {
        return before;
    }
    int n = 0;
    for (const struct device_slice *s = all; s; s = s->next) {
        if (same_line(s, slice)) {
            bytes += s->bytes;
            n++;
        }
    }
    report_line(out, slice->label, n, bytes);
    return before + bytes;
}

void device_report(const struct device *device, FILE *out)
{
    static const char *const names[DEVICE_PHASES] = {"", "while sampling, in the same place as training",
                                                     "while training, in the same place as sampling"};
    bool shares = device->region || device_plans(device);
    for (enum device_phase phase = DEVICE_ALWAYS; phase < DEVICE_PHASES; phase++) {
        if (shares && phase != DEVICE_ALWAYS && device->cut[phase] > 0) {
            fprintf(out, "  %s:\n", names[phase]);
        }
        size_t bytes = report_lines(device->slices, device->slices, phase, out);
        if (shares && bytes > 0) {
            report_line(out, "", 0, bytes);
        }
    }
    report_line(out, "total", 0, shares ? device_plan_bytes(device) : device_bytes(device));
}
